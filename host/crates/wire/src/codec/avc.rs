//! AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1) and the
//! picture size in a sequence parameter set (ITU-T H.264 section 7.3.2.1.1).

use super::CodecError;
use super::bits::{BitReader, without_emulation_prevention};
use crate::cursor::Cursor;

/// What an H.264 sequence header says. The parameter sets are slices of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvcConfig<'a> {
    /// profile_idc, such as 100 for High.
    pub profile: u8,
    /// The constraint_set flags, as one byte.
    pub constraints: u8,
    /// level_idc: ten times the level, such as 31 for 3.1.
    pub level: u8,
    /// Bytes of the length before each NAL unit in a frame: 1, 2 or 4.
    pub nal_length_size: u8,
    /// Sequence parameter sets, as NAL units.
    pub sequence_parameter_sets: Vec<&'a [u8]>,
    /// Picture parameter sets, as NAL units.
    pub picture_parameter_sets: Vec<&'a [u8]>,
}

/// A picture's size in pixels, after cropping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl<'a> AvcConfig<'a> {
    /// Takes a record apart. What follows the picture parameter sets (the
    /// High profiles' chroma format) is not read.
    ///
    /// # Errors
    /// When the record is cut short, its version is not 1, or NAL unit
    /// lengths have three bytes.
    pub fn parse(record: &'a [u8]) -> Result<Self, CodecError> {
        let mut cursor = Cursor::new(record);
        let version = cursor.u8()?;
        if version != 1 {
            return Err(CodecError::Unexpected {
                expected: "version 1 of the AVC configuration record",
                found: u32::from(version),
            });
        }
        let profile = cursor.u8()?;
        let constraints = cursor.u8()?;
        let level = cursor.u8()?;
        let nal_length_size = (cursor.u8()? & 0x03).saturating_add(1);
        if nal_length_size == 3 {
            return Err(CodecError::Unexpected {
                expected: "NAL unit lengths of 1, 2 or 4 bytes",
                found: 3,
            });
        }
        let count = cursor.u8()? & 0x1f;
        let sequence_parameter_sets = nal_units(&mut cursor, count)?;
        let count = cursor.u8()?;
        let picture_parameter_sets = nal_units(&mut cursor, count)?;
        Ok(Self {
            profile,
            constraints,
            level,
            nal_length_size,
            sequence_parameter_sets,
            picture_parameter_sets,
        })
    }

    /// The picture size in the first sequence parameter set.
    ///
    /// # Errors
    /// When there is no set, or it is cut short, or says something that no
    /// set can say.
    pub fn dimensions(&self) -> Result<Dimensions, CodecError> {
        let set = self.sequence_parameter_sets.first();
        let set = set.ok_or(CodecError::Unexpected {
            expected: "a sequence parameter set",
            found: 0,
        })?;
        dimensions(set)
    }
}

fn nal_units<'a>(cursor: &mut Cursor<'a>, count: u8) -> Result<Vec<&'a [u8]>, CodecError> {
    (0..count)
        .map(|_| {
            let length = cursor.u16()?;
            Ok(cursor.take(usize::from(length))?)
        })
        .collect()
}

/// Reads a sequence parameter set up to its cropping rectangle.
fn dimensions(nal_unit: &[u8]) -> Result<Dimensions, CodecError> {
    let payload = without_emulation_prevention(nal_unit);
    let mut bits = BitReader::new(&payload, "an H.264 sequence parameter set");
    let nal_unit_type = bits.bits(8)? & 0x1f;
    if nal_unit_type != 7 {
        return Err(CodecError::Unexpected {
            expected: "NAL unit type 7, a sequence parameter set",
            found: nal_unit_type,
        });
    }
    let profile = bits.bits(8)?;
    bits.bits(16)?; // constraint flags, level_idc
    bits.unsigned()?; // seq_parameter_set_id
    // What a chroma format counts in: 4:2:0 unless a High profile says else.
    let (mut chroma_format, mut separate_planes) = (1, false);
    if matches!(
        profile,
        44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244
    ) {
        chroma_format = bits.unsigned()?;
        if chroma_format == 3 {
            separate_planes = bits.flag()?;
        }
        bits.unsigned()?; // bit_depth_luma_minus8
        bits.unsigned()?; // bit_depth_chroma_minus8
        bits.flag()?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            let lists = if chroma_format == 3 { 12 } else { 8 };
            for list in 0..lists {
                if bits.flag()? {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.unsigned()?; // log2_max_frame_num_minus4
    match bits.unsigned()? {
        0 => {
            bits.unsigned()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            bits.flag()?; // delta_pic_order_always_zero_flag
            bits.signed()?; // offset_for_non_ref_pic
            bits.signed()?; // offset_for_top_to_bottom_field
            for _ in 0..bits.unsigned()? {
                bits.signed()?; // offset_for_ref_frame
            }
        }
        _ => {}
    }
    bits.unsigned()?; // max_num_ref_frames
    bits.flag()?; // gaps_in_frame_num_value_allowed_flag
    let width_in_macroblocks = bits.unsigned()?;
    let height_in_map_units = bits.unsigned()?;
    let frames_only = bits.flag()?;
    if !frames_only {
        bits.flag()?; // mb_adaptive_frame_field_flag
    }
    bits.flag()?; // direct_8x8_inference_flag
    let mut crop = [0; 4];
    if bits.flag()? {
        for edge in &mut crop {
            *edge = bits.unsigned()?;
        }
    }
    let [left, right, top, bottom] = crop;
    // Section 7.4.2.1.1: cropping counts chroma samples, and field rows.
    let (unit_x, chroma_y) = match chroma_format {
        1 if !separate_planes => (2, 2),
        2 if !separate_planes => (2, 1),
        _ => (1, 1),
    };
    let fields = if frames_only { 1 } else { 2 };
    let size = |units: u32, scale: u32, crop: [u32; 2], unit: u32| {
        let [before, after] = crop;
        let full = units.checked_add(1)?.checked_mul(16 * scale)?;
        let cut = before.checked_add(after)?.checked_mul(unit)?;
        full.checked_sub(cut).filter(|size| *size > 0)
    };
    let impossible = CodecError::Unexpected {
        expected: "a cropping rectangle inside the picture, in macroblocks",
        found: width_in_macroblocks,
    };
    let width = size(width_in_macroblocks, 1, [left, right], unit_x);
    let height = size(
        height_in_map_units,
        fields,
        [top, bottom],
        chroma_y * fields,
    );
    match (width, height) {
        (Some(width), Some(height)) => Ok(Dimensions { width, height }),
        _ => Err(impossible),
    }
}

/// Section 7.3.2.1.1.1.
fn skip_scaling_list(bits: &mut BitReader<'_>, size: u32) -> Result<(), CodecError> {
    let (mut last, mut next) = (8_i32, 8);
    for _ in 0..size {
        if next != 0 {
            let delta = bits.signed()?;
            next = last.wrapping_add(delta) & 0xff;
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x264, High profile level 3.1, 1280x720, one reference.
    const RECORD: &[u8] = &[
        0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40,
        0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0,
        0xf1, 0x83, 0x19, 0x60, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
    ];

    #[test]
    fn a_record_of_x264_is_taken_apart() {
        let config = AvcConfig::parse(RECORD).unwrap();
        assert_eq!((config.profile, config.level), (100, 31));
        assert_eq!(config.nal_length_size, 4);
        assert_eq!(config.sequence_parameter_sets, [&RECORD[8..34]]);
        assert_eq!(config.picture_parameter_sets, [&RECORD[37..]]);
        assert_eq!(
            config.dimensions(),
            Ok(Dimensions {
                width: 1280,
                height: 720
            })
        );
    }

    #[test]
    fn cropping_is_applied() {
        // Baseline 4.0, 120x68 macroblocks, bottom crop of 4 chroma rows:
        // 1920x1080. Fields: id 0, frame_num 0, poc type 2, refs 1, no gaps,
        // 119, 67, frames only, direct 1, crop 0 0 0 4, no VUI.
        let set = bits_to_bytes(
            "01100111 01000010 00000000 00101000 1 1 011 010 0 0000001111000 0000001000100 1 1 1 \
             1 1 1 00101 0 1",
        );
        assert_eq!(
            dimensions(&set),
            Ok(Dimensions {
                width: 1920,
                height: 1080
            })
        );
    }

    #[test]
    fn scaling_lists_are_skipped_and_4_2_2_is_cropped_by_rows() {
        // High 4:2:2, 8 bits, scaling lists 0 (16 entries) and 6 (64) given,
        // 120x68 macroblocks, crop of one chroma column left and 8 rows below.
        let lists = format!("1 {} 00000 1 {} 0", "1".repeat(16), "1".repeat(64));
        let set = bits_to_bytes(&format!(
            "01100111 01111010 00000000 00101000 1 011 1 1 0 1 {lists} 1 011 010 0 \
             0000001111000 0000001000100 1 1 1 010 1 1 0001001 0 1",
        ));
        assert_eq!(
            dimensions(&set),
            Ok(Dimensions {
                width: 1918,
                height: 1080
            })
        );
    }

    #[test]
    fn interlaced_pictures_count_two_fields() {
        // Main 3.0, 45x18 macroblocks per field: 720x576.
        let set = bits_to_bytes(
            "01100111 01001101 00000000 00011110 1 1 011 010 0 00000101101 000010010 0 0 1 0 0 1",
        );
        assert_eq!(
            dimensions(&set),
            Ok(Dimensions {
                width: 720,
                height: 576
            })
        );
    }

    #[test]
    fn a_crop_larger_than_the_picture_is_refused() {
        // One macroblock, left crop of 8 chroma samples.
        let set = bits_to_bytes(
            "01100111 01000010 00000000 00101000 1 1 011 010 0 1 1 1 1 1 0001001 1 1 1 0 1",
        );
        assert!(dimensions(&set).is_err());
    }

    #[test]
    fn every_truncation_is_an_error() {
        for length in 0..RECORD.len() {
            assert!(AvcConfig::parse(&RECORD[..length]).is_err(), "{length}");
        }
        // Up to the picture size, which ends in the set's 11th byte.
        for length in 0..10 {
            assert!(dimensions(&RECORD[8..8 + length]).is_err(), "{length}");
        }
    }

    #[test]
    fn impossible_records_are_refused() {
        let with = |index: usize, byte| {
            let mut record = RECORD.to_vec();
            record[index] = byte;
            record
        };
        assert!(AvcConfig::parse(&with(0, 0)).is_err());
        assert!(AvcConfig::parse(&with(4, 0xfe)).is_err());
        let no_set = with(5, 0xe0);
        let config = AvcConfig::parse(&no_set).unwrap();
        assert!(config.dimensions().is_err());
        let picture_set_first = with(8, 0x68);
        let config = AvcConfig::parse(&picture_set_first).unwrap();
        assert!(config.dimensions().is_err());
    }

    fn bits_to_bytes(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits
            .bytes()
            .filter(|b| *b != b' ')
            .map(|b| b - b'0')
            .collect();
        bits.chunks(8)
            .map(|chunk| chunk.iter().fold(0, |byte, bit| byte << 1 | bit) << (8 - chunk.len()))
            .collect()
    }
}
