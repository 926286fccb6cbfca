//! AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1).

use super::CodecError;
use super::bits::BitReader;

/// What an AAC sequence header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// The audio object type of the core coder: 2 for AAC-LC.
    pub object_type: u8,
    /// Samples per second of the core coder.
    pub sample_rate_hz: u32,
    /// Channels, or `None` when the stream itself says (configuration 0).
    pub channels: Option<u8>,
    /// Samples per second after spectral band replication (HE-AAC), when the
    /// record signals it in its hierarchical form.
    pub extension_sample_rate_hz: Option<u32>,
    /// Whether parametric stereo makes two channels of one (HE-AAC v2).
    pub parametric_stereo: bool,
}

/// Sampling frequencies by index (table 1.18).
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

impl AudioSpecificConfig {
    /// Reads a record up to the channel configuration and the object type
    /// behind spectral band replication.
    ///
    /// # Errors
    /// When the record is cut short, or a table index is a reserved one.
    pub fn parse(record: &[u8]) -> Result<Self, CodecError> {
        let mut bits = BitReader::new(record, "an AAC configuration record");
        let mut object_type = object_type(&mut bits)?;
        let sample_rate_hz = sample_rate(&mut bits)?;
        let channels = channels(bits.bits(4)?)?;
        let mut extension_sample_rate_hz = None;
        let parametric_stereo = object_type == 29;
        if object_type == 5 || parametric_stereo {
            extension_sample_rate_hz = Some(sample_rate(&mut bits)?);
            object_type = self::object_type(&mut bits)?;
        }
        Ok(Self {
            object_type,
            sample_rate_hz,
            channels,
            extension_sample_rate_hz,
            parametric_stereo,
        })
    }
}

fn object_type(bits: &mut BitReader<'_>) -> Result<u8, CodecError> {
    let value = match bits.bits(5)? {
        31 => bits.bits(6)?.saturating_add(32),
        value => value,
    };
    Ok(u8::try_from(value).unwrap_or(u8::MAX))
}

fn sample_rate(bits: &mut BitReader<'_>) -> Result<u32, CodecError> {
    let index = bits.bits(4)?;
    if index == 15 {
        return bits.bits(24);
    }
    let rate = usize::try_from(index)
        .ok()
        .and_then(|i| SAMPLE_RATES.get(i));
    rate.copied().ok_or(CodecError::Unexpected {
        expected: "a sampling frequency index of 0 to 12 or 15",
        found: index,
    })
}

/// Table 1.19.
fn channels(configuration: u32) -> Result<Option<u8>, CodecError> {
    Ok(match configuration {
        0 => None,
        1..=6 => u8::try_from(configuration).ok(),
        7 | 12 | 14 => Some(8),
        11 => Some(7),
        13 => Some(24),
        found => {
            return Err(CodecError::Unexpected {
                expected: "a channel configuration of 0 to 7 or 11 to 14",
                found,
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_complexity_stereo_at_44_1_khz() {
        assert_eq!(
            AudioSpecificConfig::parse(&[0x12, 0x10]),
            Ok(AudioSpecificConfig {
                object_type: 2,
                sample_rate_hz: 44_100,
                channels: Some(2),
                extension_sample_rate_hz: None,
                parametric_stereo: false,
            })
        );
    }

    #[test]
    fn he_aac_names_both_rates() {
        // 5 bits 00101, 24 kHz (6), 2 channels, 48 kHz (3), AAC-LC.
        let record = [0b0010_1011, 0b0001_0001, 0b1000_1000];
        assert_eq!(
            AudioSpecificConfig::parse(&record),
            Ok(AudioSpecificConfig {
                object_type: 2,
                sample_rate_hz: 24_000,
                channels: Some(2),
                extension_sample_rate_hz: Some(48_000),
                parametric_stereo: false,
            })
        );
    }

    #[test]
    fn escapes_are_read() {
        // Object type 31 + 10, frequency in 24 bits (50,000), configuration 7.
        let record = [
            0b1111_1001,
            0b0101_1110,
            0b0000_0001,
            0b1000_0110,
            0b1010_0000,
            0b1110_0000,
        ];
        let config = AudioSpecificConfig::parse(&record).unwrap();
        assert_eq!(config.object_type, 42);
        assert_eq!(config.sample_rate_hz, 50_000);
        assert_eq!(config.channels, Some(8));
    }

    #[test]
    fn reserved_indices_and_truncation_are_errors() {
        assert!(AudioSpecificConfig::parse(&[]).is_err());
        assert!(AudioSpecificConfig::parse(&[0x12]).is_err());
        // Frequency index 13, then channel configuration 8.
        assert!(AudioSpecificConfig::parse(&[0b0001_0110, 0b1001_0000]).is_err());
        assert!(AudioSpecificConfig::parse(&[0b0001_0010, 0b0100_0000]).is_err());
    }
}
