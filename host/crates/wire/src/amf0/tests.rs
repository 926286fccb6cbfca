//! Golden bytes, limits and round trips of AMF0.

use proptest::prelude::*;

use super::*;

fn decode_one(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut input = bytes;
    let value = decode(&mut input)?;
    assert!(input.is_empty(), "{} bytes left", input.len());
    Ok(value)
}

/// The value and its only encoding.
#[track_caller]
fn golden(value: Value, bytes: &[u8]) {
    assert_eq!(decode_one(bytes).as_ref(), Ok(&value));
    assert_eq!(encode_all(&[value]), bytes);
}

#[test]
fn every_type_has_the_bytes_of_the_specification() {
    golden(Value::Number(1.0), b"\x00\x3f\xf0\0\0\0\0\0\0");
    golden(Value::Boolean(true), b"\x01\x01");
    golden(Value::Boolean(false), b"\x01\x00");
    golden(Value::from("live"), b"\x02\x00\x04live");
    golden(
        Value::Object(Properties::from([("app", Value::from("a"))])),
        b"\x03\x00\x03app\x02\x00\x01a\x00\x00\x09",
    );
    golden(Value::Null, b"\x05");
    golden(Value::Undefined, b"\x06");
    golden(Value::Reference(258), b"\x07\x01\x02");
    golden(
        Value::EcmaArray(Properties::from([("w", Value::Null)])),
        b"\x08\0\0\0\x01\x00\x01w\x05\x00\x00\x09",
    );
    golden(
        Value::StrictArray(vec![Value::from("hvc1"), Value::from("Opus")]),
        b"\x0a\0\0\0\x02\x02\x00\x04hvc1\x02\x00\x04Opus",
    );
    golden(
        Value::Date {
            millis: 1.0,
            timezone: -60,
        },
        b"\x0b\x3f\xf0\0\0\0\0\0\0\xff\xc4",
    );
    golden(Value::Unsupported, b"\x0d");
    golden(Value::XmlDocument("<a/>".into()), b"\x0f\0\0\0\x04<a/>");
    golden(
        Value::TypedObject(Box::new(TypedObject {
            class_name: "C".into(),
            properties: Properties::from([("x", Value::Undefined)]),
        })),
        b"\x10\x00\x01C\x00\x01x\x06\x00\x00\x09",
    );
    golden(
        Value::AvmPlus(Box::new(amf3::Value::Integer(-1))),
        b"\x11\x04\xff\xff\xff\xff",
    );
}

#[test]
fn strings_change_their_marker_at_64_kib() {
    let short = Value::String("a".repeat(65_535));
    let long = Value::String("a".repeat(65_536));
    let encoded = encode_all(&[short.clone(), long.clone()]);
    assert_eq!(encoded[..3], [0x02, 0xff, 0xff]);
    assert_eq!(encoded[65_538..65_543], [0x0c, 0, 1, 0, 0]);
    assert_eq!(decode_all(&encoded), Ok(vec![short, long]));
    // The long marker is also good for a short text.
    assert_eq!(decode_one(b"\x0c\0\0\0\x01a"), Ok(Value::from("a")));
}

#[test]
fn a_connect_command_decodes_value_by_value() {
    let mut input: &[u8] = b"\x02\x00\x07connect\x00\x3f\xf0\0\0\0\0\0\0\
        \x03\x00\x03app\x02\x00\x04live\x00\x04fpad\x01\x00\x00\x00\x09";
    assert_eq!(decode(&mut input).unwrap().as_str(), Some("connect"));
    assert_eq!(decode(&mut input).unwrap().as_f64(), Some(1.0));
    let object = decode(&mut input).unwrap();
    assert_eq!(object.get("app").and_then(Value::as_str), Some("live"));
    assert_eq!(object.get("fpad").and_then(Value::as_bool), Some(false));
    assert_eq!(object.get("tcUrl"), None);
    assert_eq!(input, b"");
}

#[test]
fn the_end_marker_decides_over_an_ecma_arrays_count() {
    for count in [b"\0\0\0\0", b"\0\0\0\x09", b"\xff\xff\xff\xff"] {
        let bytes = [
            b"\x08",
            &count[..],
            b"\x00\x01a\x05\x00\x01b\x06\x00\x00\x09",
        ]
        .concat();
        let expected = Properties::from([("a", Value::Null), ("b", Value::Undefined)]);
        assert_eq!(decode_one(&bytes), Ok(Value::EcmaArray(expected)));
    }
}

#[test]
fn an_empty_name_is_a_property_unless_the_end_marker_follows() {
    golden(
        Value::Object(Properties::from([("", Value::Null), ("a", Value::Null)])),
        b"\x03\x00\x00\x05\x00\x01a\x05\x00\x00\x09",
    );
}

#[test]
fn a_missing_end_marker_is_an_error_that_says_where() {
    let error = decode_one(b"\x03\x00\x01a\x05").unwrap_err();
    assert_eq!(
        error,
        DecodeError::Truncated {
            offset: 5,
            needed: 2,
            available: 0
        }
    );
    assert_eq!(
        error.to_string(),
        "AMF input ends too early: expected 2 byte(s) of a value or an object end marker at \
         offset 5, found 0"
    );
}

#[test]
fn text_that_is_not_utf8_gets_replacement_characters() {
    assert_eq!(
        decode_one(b"\x02\x00\x04caf\xe9"),
        Ok(Value::from("caf\u{fffd}"))
    );
    // A name that grows past 16 bits is clipped, and so can be encoded.
    let bytes = [b"\x03\xff\xff", &[0xff; 65_535][..], b"\x05\x00\x00\x09"].concat();
    let value = decode_one(&bytes).unwrap();
    let name = "\u{fffd}".repeat(65_535 / 3);
    assert_eq!(
        value,
        Value::Object(Properties::from([(name.as_str(), Value::Null)]))
    );
    assert_eq!(
        decode_one(&encode_all(std::slice::from_ref(&value))),
        Ok(value)
    );
}

#[test]
fn markers_without_a_value_are_refused_by_name_and_offset() {
    assert_eq!(
        decode_all(b"\x05\x04").unwrap_err().to_string(),
        "expected a supported AMF0 type at offset 1, found the reserved MovieClip marker 0x04"
    );
    assert_eq!(
        decode_all(b"\x0e").unwrap_err().to_string(),
        "expected a supported AMF0 type at offset 0, found the reserved RecordSet marker 0x0e"
    );
    assert_eq!(
        decode_all(b"\x05\x05\x12").unwrap_err().to_string(),
        "expected an AMF0 type marker at offset 2, found 0x12"
    );
    // An end marker where a value should be.
    assert_eq!(decode_all(b"\x09").unwrap_err().offset(), 0);
}

#[test]
fn a_failed_decode_leaves_the_input_in_place() {
    let mut input: &[u8] = b"\x00\x00";
    assert!(decode(&mut input).is_err());
    assert_eq!(input, b"\x00\x00");
}

fn nested_arrays(depth: usize) -> Vec<u8> {
    let mut bytes = b"\x0a\0\0\0\x01".repeat(depth);
    bytes.push(0x05);
    bytes
}

#[test]
fn nesting_stops_at_its_limit() {
    assert!(decode_one(&nested_arrays(MAX_DEPTH)).is_ok());
    assert_eq!(
        decode_one(&nested_arrays(MAX_DEPTH + 1)),
        Err(DecodeError::TooDeep {
            offset: 5 * MAX_DEPTH
        })
    );
    // The same for objects, and when the input never closes them.
    let endless = b"\x03\x00\x01a".repeat(100_000);
    assert!(matches!(
        decode_one(&endless),
        Err(DecodeError::TooDeep { .. })
    ));
}

#[test]
fn nesting_counts_through_the_switch_to_amf3() {
    let with_amf3 = |amf0_depth: usize, amf3_depth: usize| {
        let mut bytes = b"\x0a\0\0\0\x01".repeat(amf0_depth);
        bytes.push(0x11);
        bytes.extend(b"\x09\x03\x01".repeat(amf3_depth));
        bytes.push(0x01);
        decode_one(&bytes)
    };
    assert!(with_amf3(20, 12).is_ok());
    assert!(matches!(
        with_amf3(20, 13),
        Err(DecodeError::TooDeep { .. })
    ));
}

#[test]
fn encoding_writes_null_for_what_is_nested_too_deep() {
    let mut value = Value::StrictArray(Vec::new());
    for _ in 0..MAX_DEPTH + 10 {
        value = Value::StrictArray(vec![value]);
    }
    let encoded = encode_all(&[value]);
    assert_eq!(encoded, nested_arrays(MAX_DEPTH));
    assert!(decode_one(&encoded).is_ok());
}

#[test]
fn what_values_cost_stops_at_the_budget_of_the_message() {
    let nulls = |count: usize| decode_all(&vec![0x05; count]);
    assert!(nulls(8_000).is_ok());
    let DecodeError::TooMuchMemory { offset, limit } = nulls(100_000).unwrap_err() else {
        panic!("another error");
    };
    assert_eq!(limit, (1 << 20) + 800_000);
    assert!((8_000..100_000).contains(&offset));
    // AMF3 values count on, references expanded: an array of 1000 nulls, then
    // 70 references to it.
    let mut bytes = b"\x11\x09\x81\x0f\x01\x09\x8f\x51\x01".to_vec();
    bytes.extend([0x01; 1_000]);
    bytes.extend(b"\x09\x02".repeat(70));
    // 135 entries announced (0x81 0x0f): the 71 above and 64 nulls.
    bytes.extend([0x01; 64]);
    assert!(matches!(
        decode_one(&bytes),
        Err(DecodeError::TooMuchMemory { .. })
    ));
}

#[test]
fn the_values_of_a_message_share_its_budget() {
    let mut budget = crate::Budget::of_message(0);
    let text = encode_all(&["a".repeat(300_000).into()]);
    let mut decoded = 0;
    while decode_within(&mut &text[..], &mut budget).is_ok() {
        decoded += 1;
    }
    assert_eq!(decoded, 3);
}

#[test]
fn as_many_numbers_as_a_message_can_hold_are_read() {
    let numbers: Vec<_> = (0..50_000).map(|n| Value::Number(f64::from(n))).collect();
    let array = Value::StrictArray(numbers);
    let encoded = encode_all(std::slice::from_ref(&array));
    assert_eq!(decode_one(&encoded), Ok(array));
}

#[test]
fn what_is_encoded_takes_as_much_memory_as_it_has_bytes() {
    let values = [Value::from("text"), Value::Number(1.0)];
    let encoded = encode_all(&values);
    assert_eq!(encoded.len(), encoded_len(&values));
    assert_eq!(Vec::from(encoded.clone()).capacity(), encoded.len());
}

#[test]
fn announced_counts_reserve_nothing() {
    // 4 Gi entries, 4 GiB of text: only what is there counts.
    for bytes in [
        &b"\x0a\xff\xff\xff\xff"[..],
        b"\x0c\xff\xff\xff\xff",
        b"\x0f\xff\xff\xff\xffab",
        b"\x08\xff\xff\xff\xff",
    ] {
        assert!(matches!(
            decode_one(bytes),
            Err(DecodeError::Truncated { .. })
        ));
    }
}

#[test]
fn amf3_values_convert_to_the_amf0_values_they_stand_for() {
    let array = |dense, associative| amf3::Value::Array { dense, associative };
    let plain = array(vec![amf3::Value::Integer(7)], amf3::Properties::new());
    assert_eq!(
        Value::from(plain.clone()),
        Value::StrictArray(vec![Value::Number(7.0)])
    );
    let named = array(
        vec![amf3::Value::Null],
        amf3::Properties::from([("k", amf3::Value::Boolean(true))]),
    );
    assert_eq!(
        Value::from(named),
        Value::EcmaArray(Properties::from([
            ("0", Value::Null),
            ("k", Value::Boolean(true))
        ]))
    );
    let object = amf3::Object {
        class_name: String::new(),
        sealed: amf3::Properties::from([("app", amf3::Value::String("live".into()))]),
        dynamic: Some(amf3::Properties::from([("n", amf3::Value::Double(0.5))])),
    };
    let converted = Value::from(amf3::Value::Object(object));
    assert_eq!(converted.get("app").and_then(Value::as_str), Some("live"));
    assert_eq!(converted.get("n").and_then(Value::as_f64), Some(0.5));
    let wrapped = amf3::Value::Wrapped {
        class_name: "flex.messaging.io.ArrayCollection".into(),
        value: Box::new(plain),
    };
    assert!(matches!(Value::from(wrapped), Value::StrictArray(_)));
    let bytes = amf3::Value::ByteArray(vec![1]);
    assert_eq!(Value::from(bytes.clone()), Value::AvmPlus(Box::new(bytes)));
}

/// Any value, nested up to eight deep.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<f64>().prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        any::<String>().prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        any::<u16>().prop_map(Value::Reference),
        (any::<f64>(), any::<i16>())
            .prop_map(|(millis, timezone)| Value::Date { millis, timezone }),
        Just(Value::Unsupported),
        any::<String>().prop_map(Value::XmlDocument),
        any::<i32>()
            .prop_filter("29 bits", |n| (amf3::MIN_INTEGER..=amf3::MAX_INTEGER)
                .contains(n))
            .prop_map(|n| Value::AvmPlus(Box::new(amf3::Value::Integer(n)))),
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        let properties = proptest::collection::vec((any::<String>(), inner.clone()), 0..6)
            .prop_map(|items| items.into_iter().collect::<Properties>());
        prop_oneof![
            properties.clone().prop_map(Value::Object),
            properties.clone().prop_map(Value::EcmaArray),
            proptest::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
            (any::<String>(), properties).prop_map(|(class_name, properties)| {
                Value::TypedObject(Box::new(TypedObject {
                    class_name,
                    properties,
                }))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(
        values in proptest::collection::vec(any_value(), 0..4),
    ) {
        prop_assert_eq!(decode_all(&encode_all(&values)), Ok(values));
    }

    #[test]
    fn a_value_cut_short_is_an_error_not_a_value(value in any_value(), cut in any::<prop::sample::Index>()) {
        let encoded = encode_all(&[value]);
        let end = cut.index(encoded.len());
        prop_assert!(decode(&mut &encoded[..end]).is_err());
    }

    #[test]
    fn arbitrary_bytes_decode_or_fail_but_never_panic(
        bytes in proptest::collection::vec(prop_oneof![0..0x12_u8, any::<u8>()], 0..200),
    ) {
        crate::fuzz::amf0(&bytes);
    }
}
