//! HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 8.3.3.1).

use super::CodecError;
use crate::cursor::Cursor;

/// The basics of an H.265 sequence header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HevcConfig {
    /// general_profile_idc: 1 for Main, 2 for Main 10.
    pub profile: u8,
    /// Whether the level's limits are those of the High tier.
    pub high_tier: bool,
    /// general_level_idc: thirty times the level, such as 93 for 3.1.
    pub level: u8,
    /// Bits of a luma sample.
    pub bit_depth: u8,
    /// Bytes of the length before each NAL unit in a frame: 1, 2 or 4.
    pub nal_length_size: u8,
}

impl HevcConfig {
    /// Reads the fixed part of a record. The version is not looked at:
    /// encoders older than the standard write 0.
    ///
    /// # Errors
    /// When the fixed part is cut short.
    pub fn parse(record: &[u8]) -> Result<Self, CodecError> {
        let mut cursor = Cursor::new(record);
        cursor.u8()?; // configurationVersion
        let profile = cursor.u8()?;
        cursor.take(10)?; // compatibility and constraint flags
        let level = cursor.u8()?;
        cursor.take(4)?; // segmentation, parallelism, chroma format
        let bit_depth = (cursor.u8()? & 0x07).saturating_add(8);
        cursor.take(3)?; // chroma bit depth, frame rate
        let nal_length_size = (cursor.u8()? & 0x03).saturating_add(1);
        Ok(Self {
            profile: profile & 0x1f,
            high_tier: profile & 0x20 != 0,
            level,
            bit_depth,
            nal_length_size,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_part_of_a_main_10_record() {
        let record = [
            0x01, 0x22, 0x20, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5d, 0xf0,
            0x00, 0xfc, 0xfd, 0xfa, 0xfa, 0x00, 0x00, 0x0f, 0x00,
        ];
        assert_eq!(
            HevcConfig::parse(&record),
            Ok(HevcConfig {
                profile: 2,
                high_tier: true,
                level: 93,
                bit_depth: 10,
                nal_length_size: 4,
            })
        );
        for length in 0..22 {
            assert!(HevcConfig::parse(&record[..length]).is_err(), "{length}");
        }
    }
}
