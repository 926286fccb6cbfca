//! The bytes of a packet: as they came, or inside what was made of them.

use bytes::{Bytes, BytesMut};

/// Where something that was made of a body has that body inside: from `head`
/// on, in pieces of `piece` bytes with `gap` bytes between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLayout {
    /// Bytes before the first piece.
    pub head: u32,
    /// Bytes of each piece but the last, which may be shorter.
    pub piece: u32,
    /// Bytes between two pieces.
    pub gap: u32,
}

/// A body inside other bytes.
#[derive(Debug, Clone)]
pub(crate) struct Embedded {
    bytes: Bytes,
    layout: BodyLayout,
    /// Of the body.
    len: u32,
}

impl Embedded {
    /// A body of `len` bytes inside `bytes`, which come back if it can't lie
    /// there.
    #[inline]
    pub(crate) fn new(bytes: Bytes, layout: BodyLayout, len: usize) -> Result<Self, Bytes> {
        match u32::try_from(len) {
            Ok(len) if end(layout, len).is_some_and(|end| end <= bytes.len() as u64) => {
                Ok(Self { bytes, layout, len })
            }
            _ => Err(bytes),
        }
    }

    /// What it is inside of.
    #[inline]
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The body, if it is in one piece.
    #[inline]
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        let behind = self.bytes.get(self.layout.head as usize..)?;
        let is_whole = self.len <= self.layout.piece;
        behind.get(..self.len()).filter(|_| is_whole)
    }

    /// Shared if it is in one piece, else put together.
    pub(crate) fn body(&self) -> Bytes {
        if let Some(whole) = self.whole() {
            return self.bytes.slice_ref(whole);
        }
        let BodyLayout { head, piece, gap } = self.layout;
        let stride = piece.saturating_add(gap) as usize;
        let mut body = BytesMut::with_capacity(self.len());
        let behind = self.bytes.get(head as usize..).unwrap_or_default();
        for part in behind.chunks(stride.max(1)) {
            let left = self.len().saturating_sub(body.len());
            let len = part.len().min(piece as usize).min(left);
            body.extend_from_slice(part.get(..len).unwrap_or(part));
        }
        body.freeze()
    }
}

/// Where a body of `len` bytes ends that is laid out so.
fn end(layout: BodyLayout, len: u32) -> Option<u64> {
    let gaps = match len.checked_sub(1)? {
        last if last < layout.piece => 0,
        last => last.checked_div(layout.piece)?,
    };
    let gaps = u64::from(gaps).checked_mul(layout.gap.into())?;
    gaps.checked_add(u64::from(layout.head) + u64::from(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: BodyLayout = BodyLayout {
        head: 2,
        piece: 3,
        gap: 1,
    };

    #[test]
    fn one_piece_is_shared_and_more_are_put_together() {
        let bytes = Bytes::from_static(b"--abc-def-g!");
        let body = |len| Embedded::new(bytes.clone(), LAYOUT, len).unwrap().body();
        assert_eq!(body(3), "abc");
        assert_eq!(body(3).as_ptr(), bytes.slice(2..).as_ptr(), "no copy");
        assert_eq!(body(4), "abcd");
        assert_eq!(body(7), "abcdefg");
    }

    #[test]
    fn a_body_does_not_lie_where_there_is_no_room() {
        let bytes = Bytes::from_static(b"--abc-def-g");
        let lies = |layout, len| Embedded::new(bytes.clone(), layout, len).is_ok();
        assert!(lies(LAYOUT, 7) && !lies(LAYOUT, 8) && !lies(LAYOUT, 0));
        for layout in [
            BodyLayout { piece: 0, ..LAYOUT },
            BodyLayout { head: 12, ..LAYOUT },
            BodyLayout {
                gap: u32::MAX,
                ..LAYOUT
            },
        ] {
            assert!(!lies(layout, 7), "{layout:?}");
        }
    }
}
