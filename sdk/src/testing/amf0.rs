//! Whether bytes are AMF0 values, as the host asks of data before it sends it.

/// Values in each other.
const MAX_DEPTH: usize = 64;

/// Whether `amf0` is nothing but values.
pub(super) fn is_values(amf0: &[u8]) -> bool {
    let mut rest = amf0;
    while !rest.is_empty() {
        match behind_value(rest, 0) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    true
}

fn behind_value(amf0: &[u8], depth: usize) -> Option<&[u8]> {
    if depth > MAX_DEPTH {
        return None;
    }
    let (marker, rest) = amf0.split_first()?;
    match marker {
        0 => rest.get(8..),
        1 => rest.get(1..),
        2 => behind_text(rest, 2),
        3 => behind_members(rest, depth),
        5 | 6 | 13 => Some(rest),
        7 => rest.get(2..),
        8 => behind_members(rest.get(4..)?, depth),
        10 => {
            let (count, mut rest) = rest.split_at_checked(4)?;
            for _ in 0..u32::from_be_bytes(count.try_into().ok()?) {
                rest = behind_value(rest, depth + 1)?;
            }
            Some(rest)
        }
        11 => rest.get(10..),
        12 | 15 => behind_text(rest, 4),
        16 => behind_members(behind_text(rest, 2)?, depth),
        // What follows is AMF3, which is not looked into.
        17 if !rest.is_empty() => Some(&[]),
        _ => None,
    }
}

/// Names with values, up to the end of an object.
fn behind_members(mut amf0: &[u8], depth: usize) -> Option<&[u8]> {
    loop {
        if let Some(behind) = amf0.strip_prefix(&[0, 0, 9]) {
            return Some(behind);
        }
        amf0 = behind_value(behind_text(amf0, 2)?, depth + 1)?;
    }
}

/// Text behind its length of so many bytes.
fn behind_text(amf0: &[u8], length: usize) -> Option<&[u8]> {
    let (length, rest) = amf0.split_at_checked(length)?;
    let length = (length.iter()).fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let (text, rest) = rest.split_at_checked(length)?;
    std::str::from_utf8(text).ok().map(|_| rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amf0::{boolean, null, number, text};

    #[test]
    fn values_are_told_from_other_bytes() {
        let object = [&[3, 0, 1, b'a'][..], &number(1.0), &[0, 0, 9]].concat();
        let list = [&[10, 0, 0, 0, 2][..], &object, &boolean(true)].concat();
        let values = [text("a"), null(), list, object];
        let all = values.concat();
        let ends: Vec<usize> = (0..=values.len())
            .map(|n| values[..n].concat().len())
            .collect();
        for cut in 0..=all.len() {
            assert_eq!(is_values(&all[..cut]), ends.contains(&cut), "{cut}");
        }
        assert!(!is_values(b"goal"));
        assert!(!is_values(&[10, 0, 0, 0, 1].repeat(100)), "too deep");
    }
}
