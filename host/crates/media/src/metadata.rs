//! Data messages as bodies: AMF0, the handler's name first. Metadata is what
//! `onMetaData` says; players that join later need it.

use std::collections::BTreeSet;

use bytes::Bytes;
use livehost_wire::amf0::{self, Properties, Value};

/// The AMF0 string that starts a stream's metadata.
const ON_METADATA: &[u8] = b"\x02\x00\x0aonMetaData";
/// The AMF0 string "@clearDataFrame": what was kept of a handler is dropped.
const CLEAR_DATA_FRAME: &[u8] = b"\x02\x00\x0f@clearDataFrame";
/// Metadata of more properties, or longer, is not merged but replaced.
const MAX_PROPERTIES: usize = 256;
const MAX_METADATA: usize = 64 * 1024;

/// Whether a body is metadata.
pub(crate) fn is_metadata(body: &[u8]) -> bool {
    body.starts_with(ON_METADATA)
}

/// The handler whose kept data a body clears (`@clearDataFrame`, Adobe's "Add
/// metadata to a live stream").
pub fn cleared(body: &[u8]) -> Option<String> {
    let rest = body.strip_prefix(CLEAR_DATA_FRAME)?;
    match amf0::decode(&mut &*rest).ok()? {
        Value::String(handler) => Some(handler),
        _ => None,
    }
}

/// Metadata as players that join later need it: what `newer` says, and what it
/// does not mention as `kept` said it. Both are bodies of `onMetaData`; what
/// can't be merged is replaced.
pub fn merged(kept: &Bytes, newer: &Bytes) -> Bytes {
    merge(kept, newer).unwrap_or_else(|| newer.clone())
}

fn merge(kept: &[u8], newer: &[u8]) -> Option<Bytes> {
    if kept.len() + newer.len() > MAX_METADATA {
        return None;
    }
    let (kept, newer) = (amf0::decode_all(kept).ok()?, amf0::decode_all(newer).ok()?);
    let ([_, kept], [handler, newer]) = (&kept[..], &newer[..]) else {
        return None;
    };
    let (kept, newer) = (kept.as_object()?, newer.as_object()?);
    let mentioned: BTreeSet<&str> = newer.iter().map(|(name, _)| name).collect();
    let mut merged = Properties::new();
    let unmentioned = kept.iter().filter(|(name, _)| !mentioned.contains(name));
    for (index, (name, value)) in unmentioned.chain(newer.iter()).enumerate() {
        if index >= MAX_PROPERTIES {
            return None;
        }
        merged.push(name, value.clone());
    }
    let merged = [handler.clone(), Value::EcmaArray(merged)];
    // References in AMF3 may stand for more than they are long.
    (amf0::encoded_len(&merged) <= MAX_METADATA).then(|| amf0::encode_all(&merged))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_metadata(properties: &[(&str, f64)]) -> Bytes {
        let values = properties.iter().map(|(name, n)| (*name, Value::from(*n)));
        let mut object = Properties::new();
        values.for_each(|(name, value)| object.push(name, value));
        amf0::encode_all(&[Value::from("onMetaData"), Value::EcmaArray(object)])
    }

    #[test]
    fn metadata_is_merged_and_the_newer_value_counts() {
        let kept = on_metadata(&[("width", 640.0), ("framerate", 30.0)]);
        let newer = on_metadata(&[("width", 1280.0), ("height", 720.0)]);
        assert_eq!(
            merged(&kept, &newer),
            on_metadata(&[("framerate", 30.0), ("width", 1280.0), ("height", 720.0)])
        );
    }

    #[test]
    fn metadata_that_cannot_be_merged_is_replaced() {
        let newer = on_metadata(&[("width", 1280.0)]);
        let text = amf0::encode_all(&[Value::from("onMetaData"), Value::from("text")]);
        for kept in [Bytes::from_static(b"\x02\x00"), text.clone(), Bytes::new()] {
            assert_eq!(merged(&kept, &newer), newer);
        }
        assert_eq!(merged(&newer, &text), text);
        let names: Vec<_> = (0..MAX_PROPERTIES).map(|n| format!("p{n}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        assert_eq!(merged(&on_metadata(&many), &newer), newer);
    }

    #[test]
    fn what_merged_metadata_would_expand_to_is_bounded() {
        // An array of references to a text of 1,000 bytes, as AMF3.
        let mut array = b"\x11\x09\x87\x69\x01\x06\x8f\x51".to_vec();
        array.extend([b'a'; 1000]);
        array.extend(b"\x06\x00".repeat(499));
        let kept = [b"\x02\0\x0aonMetaData\x03\0\x01a", &array[..], b"\0\0\x09"].concat();
        let kept = Bytes::from(kept);
        assert_eq!(amf0::decode_all(&kept).unwrap().len(), 2);
        let newer = on_metadata(&[("width", 1280.0)]);
        assert_eq!(merged(&kept, &newer), newer);
    }

    #[test]
    fn clear_data_frame_names_its_handler() {
        let clear = amf0::encode_all(&["@clearDataFrame".into(), "onMetaData".into()]);
        assert_eq!(cleared(&clear).as_deref(), Some("onMetaData"));
        let alone = amf0::encode_all(&["@clearDataFrame".into()]);
        assert_eq!(cleared(&alone), None);
        assert_eq!(cleared(&on_metadata(&[])), None);
    }
}
