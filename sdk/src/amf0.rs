//! The simple values of AMF0, as shared objects and remote calls carry them.
//!
//! Lists of values are their bytes one behind the other:
//! `[amf0::text("onChat"), amf0::number(1.0)].concat()`.

const NUMBER: u8 = 0;
const BOOLEAN: u8 = 1;
const STRING: u8 = 2;
const NULL: u8 = 5;
const LONG_STRING: u8 = 12;

/// A number.
///
/// ```
/// use livehost_sdk::amf0;
/// assert_eq!(amf0::as_number(&amf0::number(1.5)), Some(1.5));
/// assert_eq!(amf0::as_number(&amf0::text("1.5")), None);
/// ```
pub fn number(value: f64) -> Vec<u8> {
    [&[NUMBER], &value.to_be_bytes()[..]].concat()
}

/// True or false.
///
/// ```
/// use livehost_sdk::amf0;
/// assert_eq!(amf0::as_boolean(&amf0::boolean(true)), Some(true));
/// ```
pub fn boolean(value: bool) -> Vec<u8> {
    vec![BOOLEAN, value.into()]
}

/// A text.
///
/// ```
/// use livehost_sdk::amf0;
/// assert_eq!(amf0::as_text(&amf0::text("hello")), Some("hello"));
/// // Of a list it is the first value that counts.
/// let send = [amf0::text("onChat"), amf0::number(1.0)].concat();
/// assert_eq!(amf0::as_text(&send), Some("onChat"));
/// ```
pub fn text(value: &str) -> Vec<u8> {
    match u16::try_from(value.len()) {
        Ok(len) => [&[STRING], &len.to_be_bytes()[..], value.as_bytes()].concat(),
        Err(_) => {
            let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
            [&[LONG_STRING], &len.to_be_bytes()[..], value.as_bytes()].concat()
        }
    }
}

/// No object.
///
/// ```
/// use livehost_sdk::amf0;
/// assert_eq!(amf0::null(), [5]);
/// ```
pub fn null() -> Vec<u8> {
    vec![NULL]
}

/// The number that the bytes begin with.
///
/// ```
/// use livehost_sdk::amf0;
/// assert_eq!(amf0::as_number(&amf0::number(7.0)), Some(7.0));
/// assert_eq!(amf0::as_number(&[0, 1]), None);
/// ```
pub fn as_number(amf0: &[u8]) -> Option<f64> {
    match amf0 {
        [NUMBER, rest @ ..] => Some(f64::from_be_bytes(*rest.first_chunk()?)),
        _ => None,
    }
}

/// True or false, if the bytes begin with it.
///
/// ```
/// use livehost_sdk::amf0;
/// assert_eq!(amf0::as_boolean(&amf0::null()), None);
/// ```
pub fn as_boolean(amf0: &[u8]) -> Option<bool> {
    match amf0 {
        [BOOLEAN, value, ..] => Some(*value != 0),
        _ => None,
    }
}

/// The text that the bytes begin with.
///
/// ```
/// use livehost_sdk::amf0;
/// let long = "x".repeat(70_000);
/// assert_eq!(amf0::as_text(&amf0::text(&long)), Some(&*long));
/// assert_eq!(amf0::as_text(&[2, 0, 9, b'x']), None);
/// ```
pub fn as_text(amf0: &[u8]) -> Option<&str> {
    let (len, rest) = match amf0 {
        [STRING, rest @ ..] => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        [LONG_STRING, rest @ ..] => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_be_bytes(*len)).ok()?, rest)
        }
        _ => return None,
    };
    std::str::from_utf8(rest.get(..len)?).ok()
}
