//! A bounds-checked bit reader, most significant bit first, with the
//! Exp-Golomb codes of ITU-T H.264 section 9.1.

use super::CodecError;

pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits read so far.
    position: usize,
    /// What is being read, for errors.
    what: &'static str,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self {
            bytes,
            position: 0,
            what,
        }
    }

    /// An unsigned integer of `count` bits, at most 32.
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, CodecError> {
        let start = self.position;
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.position / 8).copied();
            let byte = byte.ok_or(CodecError::OutOfBits {
                what: self.what,
                bit: start,
                needed: count,
            })?;
            let shift = 7 - self.position % 8;
            value = value << 1 | u32::from(byte >> shift & 1);
            // Cannot overflow: the position is at most eight times a slice's
            // length, and slices of more than an eighth of the address space
            // do not occur here.
            self.position = self.position.saturating_add(1);
        }
        Ok(value)
    }

    pub(super) fn flag(&mut self) -> Result<bool, CodecError> {
        Ok(self.bits(1)? == 1)
    }

    /// ue(v): an unsigned Exp-Golomb code.
    pub(super) fn unsigned(&mut self) -> Result<u32, CodecError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(CodecError::Unexpected {
                    expected: "an Exp-Golomb code of at most 31 leading zeros",
                    found: zeros,
                });
            }
        }
        // At most 2^31 - 1 + 2^31 - 1, which fits.
        Ok(((1 << zeros) - 1) + self.bits(zeros)?)
    }

    /// se(v): a signed Exp-Golomb code.
    pub(super) fn signed(&mut self) -> Result<i32, CodecError> {
        let code = self.unsigned()?;
        let magnitude = (code / 2 + code % 2).cast_signed();
        Ok(if code % 2 == 0 { -magnitude } else { magnitude })
    }
}

/// A NAL unit's bytes without the emulation prevention bytes (ITU-T H.264
/// section 7.4.1): after two zeros, a three is left out.
pub(super) fn without_emulation_prevention(nal_unit: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(nal_unit.len());
    let mut zeros = 0;
    for &byte in nal_unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        bytes.push(byte);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_of_the_specifications_table() {
        // Table 9-1 and 9-3: codes 0 to 4 as 1 010 011 00100 00101.
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut reader = BitReader::new(&bytes, "test");
        let codes: Vec<_> = (0..5).map(|_| reader.unsigned().unwrap()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let mut reader = BitReader::new(&bytes, "test");
        let codes: Vec<_> = (0..5).map(|_| reader.signed().unwrap()).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn the_longest_code_is_read_and_longer_ones_are_refused() {
        let longest = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe];
        let mut reader = BitReader::new(&longest, "test");
        assert_eq!(reader.unsigned(), Ok(u32::MAX - 1));
        let mut reader = BitReader::new(&longest, "test");
        assert_eq!(reader.signed(), Ok(-i32::MAX));
        assert!(BitReader::new(&[0; 9], "test").unsigned().is_err());
        assert!(BitReader::new(&[0; 2], "test").unsigned().is_err());
    }

    #[test]
    fn emulation_prevention_is_removed_once_per_pair_of_zeros() {
        assert_eq!(
            without_emulation_prevention(&[0, 0, 3, 0, 0, 3, 1, 0, 3]),
            [0, 0, 0, 0, 1, 0, 3]
        );
    }
}
