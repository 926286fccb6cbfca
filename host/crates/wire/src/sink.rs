//! Where encoded bytes go: into a buffer, or into a count of them, so that a
//! buffer can be made as long as it has to be.

use bytes::BytesMut;

/// Takes bytes, numbers big-endian.
pub(crate) trait Sink {
    fn put_slice(&mut self, bytes: &[u8]);

    fn put_u8(&mut self, number: u8) {
        self.put_slice(&[number]);
    }

    fn put_u16(&mut self, number: u16) {
        self.put_slice(&number.to_be_bytes());
    }

    fn put_i16(&mut self, number: i16) {
        self.put_slice(&number.to_be_bytes());
    }

    fn put_u32(&mut self, number: u32) {
        self.put_slice(&number.to_be_bytes());
    }

    fn put_i32(&mut self, number: i32) {
        self.put_slice(&number.to_be_bytes());
    }

    fn put_f64(&mut self, number: f64) {
        self.put_slice(&number.to_be_bytes());
    }
}

impl Sink for BytesMut {
    fn put_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Bytes so far.
#[derive(Debug, Default)]
pub(crate) struct Length(pub(crate) usize);

impl Sink for Length {
    fn put_slice(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}
