//! What Enhanced RTMP v2 adds to `connect` and its `_result` (section
//! "Enhancing NetConnection connect Command").
//!
//! Flows in: the properties of a `connect`. Flows out: what the client can do,
//! typed and bounded, and the properties with which a server answers. Nothing
//! here decides whether media is taken: enhanced messages of a client that
//! announced nothing are as good.

use livehost_wire::amf0::{Properties, Value};
use livehost_wire::flv::{AudioCodec, FourCc, VideoCodec};

/// `capsEx`: what a client or server does beyond the legacy protocol.
pub mod caps_ex {
    /// Acts on `NetConnection.Connect.ReconnectRequest`.
    pub const RECONNECT: u32 = 0x01;
    /// Takes several tracks.
    pub const MULTITRACK: u32 = 0x02;
    /// Reads ModEx packets.
    pub const MOD_EX: u32 = 0x04;
    /// Uses the nanoseconds of a ModEx packet.
    pub const TIMESTAMP_NANO_OFFSET: u32 = 0x08;
}

/// The flags in `videoFourCcInfoMap` and `audioFourCcInfoMap`.
pub mod four_cc_info {
    /// Decodes the codec.
    pub const CAN_DECODE: u32 = 0x01;
    /// Encodes the codec.
    pub const CAN_ENCODE: u32 = 0x02;
    /// Passes the codec on.
    pub const CAN_FORWARD: u32 = 0x04;
}

/// Codecs that are read of one list; there are a dozen.
const MAX_FOUR_CCS: usize = 64;

/// What a client announced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Flags of [`caps_ex`]; none if `capsEx` was not sent.
    pub caps_ex: Option<u32>,
    /// `fourCcList`, the form of the first version.
    pub four_ccs: FourCcInfoMap,
    /// `videoFourCcInfoMap`.
    pub video: FourCcInfoMap,
    /// `audioFourCcInfoMap`.
    pub audio: FourCcInfoMap,
}

/// Flags of [`four_cc_info`] for each codec.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FourCcInfoMap {
    codecs: Vec<(FourCc, u32)>,
    wildcard: Option<u32>,
}

impl FourCcInfoMap {
    /// The flags of a codec. Those of the wildcard `*` replace those of single
    /// codecs, as the specification has it.
    pub fn flags(&self, four_cc: FourCc) -> u32 {
        let of_codec = || {
            let found = self.codecs.iter().find(|(known, _)| *known == four_cc);
            found.map_or(0, |(_, flags)| *flags)
        };
        self.wildcard.unwrap_or_else(of_codec)
    }

    /// Whether nothing was announced.
    pub fn is_empty(&self) -> bool {
        self.codecs.is_empty() && self.wildcard.is_none()
    }

    /// Names that are no FourCC are passed over.
    fn add(&mut self, name: &str, flags: u32) {
        if name == "*" {
            self.wildcard = Some(flags);
        } else if let Ok(four_cc) = <[u8; 4]>::try_from(name.as_bytes())
            && self.codecs.len() < MAX_FOUR_CCS
        {
            self.codecs.push((FourCc(four_cc), flags));
        }
    }

    fn of_list(value: Option<&Value>) -> Self {
        let mut map = Self::default();
        let mut add = |name: &Value| {
            if let Some(name) = name.as_str() {
                map.add(name, four_cc_info::CAN_DECODE | four_cc_info::CAN_FORWARD);
            }
        };
        match value {
            Some(Value::StrictArray(names)) => names.iter().for_each(add),
            // A list as some AMF libraries write it.
            Some(other) => {
                let entries = other.as_object().into_iter().flat_map(Properties::iter);
                entries.for_each(|(_, name)| add(name));
            }
            None => {}
        }
        map
    }

    fn of_map(value: Option<&Value>) -> Self {
        let mut map = Self::default();
        let Some(entries) = value.and_then(Value::as_object) else {
            return map;
        };
        for (name, flags) in entries.iter() {
            if let Some(flags) = flags.as_f64() {
                map.add(name, bits(flags));
            }
        }
        map
    }
}

impl Capabilities {
    /// Reads the command object of a `connect`. What is not as the
    /// specification has it counts as not said.
    pub fn of_connect(properties: &Properties) -> Self {
        Self {
            caps_ex: properties.get("capsEx").and_then(Value::as_f64).map(bits),
            four_ccs: FourCcInfoMap::of_list(properties.get("fourCcList")),
            video: FourCcInfoMap::of_map(properties.get("videoFourCcInfoMap")),
            audio: FourCcInfoMap::of_map(properties.get("audioFourCcInfoMap")),
        }
    }

    /// Whether the client speaks Enhanced RTMP, as far as it said.
    pub fn is_enhanced(&self) -> bool {
        self.caps_ex.is_some()
            || !(self.four_ccs.is_empty() && self.video.is_empty() && self.audio.is_empty())
    }

    /// Whether all of these flags of [`caps_ex`] were announced.
    pub fn has(&self, flags: u32) -> bool {
        self.caps_ex.unwrap_or_default() & flags == flags
    }
}

/// What a server that passes everything on says of itself: every codec is
/// forwarded, those of the specification by name, too, for clients that look
/// for theirs.
pub(super) fn of_server() -> [(&'static str, Value); 4] {
    let forward = || Value::Number(f64::from(four_cc_info::CAN_FORWARD));
    let wildcard = "*".to_owned();
    let video = VideoCodec::ENHANCED.iter().filter_map(|c| c.four_cc());
    let audio = AudioCodec::ENHANCED.iter().filter_map(|c| c.four_cc());
    let named = |four_ccs: &mut dyn Iterator<Item = FourCc>| -> Vec<String> {
        let names = four_ccs.map(|four_cc| four_cc.to_string());
        std::iter::once(wildcard.clone()).chain(names).collect()
    };
    let map = |names: Vec<String>| {
        let mut map = Properties::new();
        for name in names {
            map.push(name, forward());
        }
        Value::Object(map)
    };
    let list = named(&mut video.clone().chain(audio.clone()));
    let caps =
        caps_ex::RECONNECT | caps_ex::MULTITRACK | caps_ex::MOD_EX | caps_ex::TIMESTAMP_NANO_OFFSET;
    [
        (
            "fourCcList",
            Value::StrictArray(list.into_iter().map(Value::from).collect()),
        ),
        ("videoFourCcInfoMap", map(named(&mut video.clone()))),
        ("audioFourCcInfoMap", map(named(&mut audio.clone()))),
        ("capsEx", Value::Number(f64::from(caps))),
    ]
}

/// Flags that came as a double. A cast of one that is no such number gives 0
/// or all bits; neither does harm.
fn bits(number: f64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(properties: &[(&'static str, Value)]) -> Capabilities {
        let mut object = Properties::new();
        for (name, value) in properties {
            object.push(*name, value.clone());
        }
        Capabilities::of_connect(&object)
    }

    #[test]
    fn nothing_announced_is_nothing() {
        let legacy = capabilities(&[("app", "live".into()), ("videoCodecs", 252.0.into())]);
        assert_eq!(legacy, Capabilities::default());
        assert!(!legacy.is_enhanced());
        assert!(!legacy.has(caps_ex::RECONNECT));
    }

    #[test]
    fn each_form_is_read() {
        let list = Value::StrictArray(vec!["av01".into(), "hvc1".into(), "*".into()]);
        let first = capabilities(&[("fourCcList", list)]);
        assert!(first.is_enhanced());
        assert_ne!(first.four_ccs.flags(FourCc(*b"any1")), 0);

        let map = Properties::from([("vp09", Value::Number(3.0))]);
        let second = capabilities(&[
            ("videoFourCcInfoMap", Value::Object(map)),
            ("capsEx", 5.0.into()),
        ]);
        assert!(second.is_enhanced());
        assert_eq!(
            second.video.flags(FourCc(*b"vp09")),
            four_cc_info::CAN_DECODE | four_cc_info::CAN_ENCODE
        );
        assert_eq!(second.video.flags(FourCc(*b"av01")), 0);
        assert!(second.has(caps_ex::RECONNECT | caps_ex::MOD_EX));
        assert!(!second.has(caps_ex::MULTITRACK));
    }

    #[test]
    fn the_wildcard_replaces_single_flags() {
        let map = Properties::from([("Opus", Value::Number(3.0)), ("*", Value::Number(4.0))]);
        let found = capabilities(&[("audioFourCcInfoMap", Value::EcmaArray(map))]);
        assert_eq!(
            found.audio.flags(FourCc(*b"Opus")),
            four_cc_info::CAN_FORWARD
        );
    }

    #[test]
    fn nonsense_is_passed_over_and_bounded() {
        let mut many = Properties::new();
        for i in 0..1_000 {
            many.push(format!("{i:04}"), Value::Number(1.0));
        }
        let found = capabilities(&[
            ("capsEx", Value::from("all")),
            ("fourCcList", Value::from("av01")),
            ("videoFourCcInfoMap", Value::Object(many)),
            (
                "audioFourCcInfoMap",
                Value::Object(Properties::from([
                    ("Opus", Value::Null),
                    ("toolong", Value::Number(1.0)),
                ])),
            ),
        ]);
        assert_eq!(found.caps_ex, None);
        assert!(found.four_ccs.is_empty() && found.audio.is_empty());
        assert_eq!(found.video.codecs.len(), MAX_FOUR_CCS);
        for number in [f64::NAN, -1.0, 1e300, f64::INFINITY] {
            capabilities(&[("capsEx", number.into())]);
        }
    }
}
