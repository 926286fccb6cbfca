//! The bytes of a packet: as they came, or inside what was made of them.

use bytes::{Bytes, BytesMut};

/// Where something that was made of a body has that body inside: from `head`
/// on, in pieces of `piece` bytes with `gap` bytes between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes before the first piece.
    pub head: usize,
    /// Bytes of each piece but the last, which may be shorter.
    pub piece: usize,
    /// Bytes between two pieces.
    pub gap: usize,
}

/// A body inside other bytes.
#[derive(Debug, Clone)]
pub(crate) struct Embedded {
    bytes: Bytes,
    layout: Layout,
    /// Of the body.
    len: usize,
}

impl Embedded {
    /// A body of `len` bytes inside `bytes`, which come back if it can't lie
    /// there.
    pub(crate) fn new(bytes: Bytes, layout: Layout, len: usize) -> Result<Self, Bytes> {
        match end(layout, len) {
            Some(end) if end <= bytes.len() => Ok(Self { bytes, layout, len }),
            _ => Err(bytes),
        }
    }

    /// What it is inside of.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The body, if it is in one piece.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        let body = self.bytes.get(self.layout.head..)?.get(..self.len)?;
        (self.len <= self.layout.piece).then_some(body)
    }

    /// Shared if it is in one piece, else put together.
    pub(crate) fn body(&self) -> Bytes {
        if let Some(whole) = self.whole() {
            return self.bytes.slice_ref(whole);
        }
        let Layout { head, piece, gap } = self.layout;
        let mut body = BytesMut::with_capacity(self.len);
        let mut rest = self.bytes.get(head..).unwrap_or_default();
        while body.len() < self.len {
            let left = self.len.saturating_sub(body.len());
            let (part, behind) = rest.split_at(piece.min(left).min(rest.len()));
            body.extend_from_slice(part);
            rest = behind.get(gap..).unwrap_or_default();
        }
        body.freeze()
    }
}

/// Where a body of `len` bytes ends that is laid out so.
fn end(layout: Layout, len: usize) -> Option<usize> {
    let gaps = len.checked_sub(1)?.checked_div(layout.piece)?;
    let gaps = gaps.checked_mul(layout.gap)?;
    gaps.checked_add(layout.head)?.checked_add(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout {
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
            Layout { piece: 0, ..LAYOUT },
            Layout { head: 12, ..LAYOUT },
            Layout {
                gap: usize::MAX,
                ..LAYOUT
            },
        ] {
            assert!(!lies(layout, 7), "{layout:?}");
        }
    }
}
