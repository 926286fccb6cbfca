//! Golden bytes, references, limits and round trips of AMF3.

use proptest::prelude::*;

use super::*;

fn decode_one(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut input = bytes;
    let value = decode(&mut input)?;
    assert!(input.is_empty(), "{} bytes left", input.len());
    Ok(value)
}

/// The value and its encoding without references.
#[track_caller]
fn golden(value: Value, bytes: &[u8]) {
    assert_eq!(decode_one(bytes).as_ref(), Ok(&value));
    assert_eq!(encode_all(&[value]), bytes);
}

fn array(dense: Vec<Value>) -> Value {
    Value::Array {
        dense,
        associative: Properties::new(),
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn every_type_has_the_bytes_of_the_specification() {
    golden(Value::Undefined, b"\x00");
    golden(Value::Null, b"\x01");
    golden(Value::Boolean(false), b"\x02");
    golden(Value::Boolean(true), b"\x03");
    golden(Value::Double(1.0), b"\x05\x3f\xf0\0\0\0\0\0\0");
    golden(text(""), b"\x06\x01");
    golden(text("live"), b"\x06\x09live");
    golden(Value::XmlDocument("<a/>".into()), b"\x07\x09<a/>");
    golden(Value::Date { millis: 1.0 }, b"\x08\x01\x3f\xf0\0\0\0\0\0\0");
    golden(
        Value::Array {
            dense: vec![Value::Null],
            associative: Properties::from([("k", Value::Undefined)]),
        },
        b"\x09\x03\x03k\x00\x01\x01",
    );
    golden(
        Value::Object(Object {
            class_name: "C".into(),
            sealed: Properties::from([("a", Value::Null), ("b", Value::Undefined)]),
            dynamic: None,
        }),
        b"\x0a\x23\x03C\x03a\x03b\x01\x00",
    );
    golden(
        Value::Object(Object {
            dynamic: Some(Properties::from([("x", Value::Boolean(true))])),
            ..Object::default()
        }),
        b"\x0a\x0b\x01\x03x\x03\x01",
    );
    golden(Value::Xml("<a/>".into()), b"\x0b\x09<a/>");
    golden(Value::ByteArray(vec![1, 2]), b"\x0c\x05\x01\x02");
    golden(
        Value::VectorInt {
            fixed: true,
            items: vec![-1],
        },
        b"\x0d\x03\x01\xff\xff\xff\xff",
    );
    golden(
        Value::VectorUint {
            fixed: false,
            items: vec![1, u32::MAX],
        },
        b"\x0e\x05\x00\0\0\0\x01\xff\xff\xff\xff",
    );
    golden(
        Value::VectorDouble {
            fixed: false,
            items: vec![1.0],
        },
        b"\x0f\x03\x00\x3f\xf0\0\0\0\0\0\0",
    );
    golden(
        Value::VectorObject {
            fixed: false,
            class_name: "C".into(),
            items: vec![Value::Null],
        },
        b"\x10\x03\x00\x03C\x01",
    );
    golden(
        Value::Dictionary {
            weak: true,
            entries: vec![(text("k"), Value::Null)],
        },
        b"\x11\x03\x01\x06\x03k\x01",
    );
}

#[test]
fn integers_take_one_to_four_bytes_and_become_doubles_beyond() {
    // Section 1.3.1, at each change of length.
    golden(Value::Integer(0), b"\x04\x00");
    golden(Value::Integer(0x7f), b"\x04\x7f");
    golden(Value::Integer(0x80), b"\x04\x81\x00");
    golden(Value::Integer(0x3fff), b"\x04\xff\x7f");
    golden(Value::Integer(0x4000), b"\x04\x81\x80\x00");
    golden(Value::Integer(0x1f_ffff), b"\x04\xff\xff\x7f");
    golden(Value::Integer(0x20_0000), b"\x04\x80\xc0\x80\x00");
    golden(Value::Integer(MAX_INTEGER), b"\x04\xbf\xff\xff\xff");
    golden(Value::Integer(-1), b"\x04\xff\xff\xff\xff");
    golden(Value::Integer(MIN_INTEGER), b"\x04\xc0\x80\x80\x00");
    for number in [MAX_INTEGER + 1, MIN_INTEGER - 1, i32::MAX, i32::MIN] {
        let encoded = encode_all(&[Value::Integer(number)]);
        assert_eq!(decode_one(&encoded), Ok(Value::Double(f64::from(number))));
    }
}

#[test]
fn strings_are_referenced_by_order_and_the_empty_one_never_counts() {
    // "a", "", "b", then references 0 and 1.
    let bytes = b"\x09\x0b\x01\x06\x03a\x06\x01\x06\x03b\x06\x00\x06\x02";
    let expected = ["a", "", "b", "a", "b"].map(text).to_vec();
    assert_eq!(decode_one(bytes), Ok(array(expected)));
}

#[test]
fn objects_and_traits_are_referenced_by_order() {
    // Object 0 is the array, 1 an instance of C {a}, 2 another by its traits,
    // then a reference to object 1.
    let bytes = b"\x09\x07\x01\x0a\x13\x03C\x03a\x04\x01\x0a\x01\x04\x02\x0a\x02";
    let instance = |number| {
        Value::Object(Object {
            class_name: "C".into(),
            sealed: Properties::from([("a", Value::Integer(number))]),
            dynamic: None,
        })
    };
    assert_eq!(
        decode_one(bytes),
        Ok(array(vec![instance(1), instance(2), instance(1)]))
    );
}

#[test]
fn every_complex_type_takes_an_index_of_its_own() {
    // Dates, byte arrays, XML and vectors count in the same table as arrays.
    let bytes = b"\x09\x11\x01\x08\x01\0\0\0\0\0\0\0\0\x0c\x03z\x0b\x03x\x0d\x01\x00\
        \x08\x02\x0c\x04\x0b\x06\x0d\x08";
    let Value::Array { dense, .. } = decode_one(bytes).unwrap() else {
        panic!("not an array");
    };
    assert_eq!(dense.len(), 8);
    assert_eq!(dense[..4], dense[4..]);
}

#[test]
fn reference_tables_last_for_one_decode_call() {
    let values = decode_all(b"\x06\x03a\x06\x00").unwrap();
    assert_eq!(values, [text("a"), text("a")]);
    let mut input: &[u8] = b"\x06\x03a\x06\x00";
    assert_eq!(decode(&mut input), Ok(text("a")));
    assert_eq!(
        decode(&mut input),
        Err(DecodeError::UnknownReference {
            offset: 1,
            table: "string",
            index: 0,
            known: 0
        })
    );
}

#[test]
fn references_to_nothing_are_refused() {
    assert_eq!(
        decode_one(b"\x0a\x04").unwrap_err().to_string(),
        "expected an AMF3 object reference below 0 at offset 1, found 2"
    );
    // Inline object, traits reference 3.
    assert!(matches!(
        decode_one(b"\x0a\x0d"),
        Err(DecodeError::UnknownReference {
            table: "traits",
            index: 3,
            ..
        })
    ));
}

#[test]
fn an_object_inside_itself_is_refused() {
    // An array whose only entry is a reference to the array.
    assert_eq!(
        decode_one(b"\x09\x03\x01\x09\x00"),
        Err(DecodeError::CircularReference {
            offset: 5,
            index: 0
        })
    );
    // Two arrays deep, and through a dictionary's key.
    assert!(decode_one(b"\x09\x03\x01\x09\x03\x01\x09\x00").is_err());
    assert!(decode_one(b"\x11\x03\x00\x11\x00\x01").is_err());
    // A sibling is no circle.
    assert!(decode_one(b"\x09\x05\x01\x09\x01\x01\x09\x02").is_ok());
}

#[test]
fn externalizable_objects_are_refused_but_for_those_that_wrap_one_value() {
    assert_eq!(
        decode_one(b"\x0a\x07\x03X\x01"),
        Err(DecodeError::Externalizable {
            offset: 2,
            class_name: "X".into()
        })
    );
    for class_name in [
        "flex.messaging.io.ArrayCollection",
        "flex.messaging.io.ObjectProxy",
    ] {
        let length = u8::try_from(class_name.len() * 2 + 1).unwrap();
        let bytes = [
            b"\x0a\x07",
            &[length][..],
            class_name.as_bytes(),
            b"\x09\x03\x01\x01",
        ]
        .concat();
        golden(
            Value::Wrapped {
                class_name: class_name.into(),
                value: Box::new(array(vec![Value::Null])),
            },
            &bytes,
        );
    }
}

#[test]
fn unknown_markers_are_refused() {
    assert_eq!(
        decode_one(b"\x12").unwrap_err().to_string(),
        "expected an AMF3 type marker at offset 0, found 0x12"
    );
}

#[test]
fn nesting_stops_at_its_limit() {
    let nested = |depth: usize| {
        let mut bytes = b"\x09\x03\x01".repeat(depth);
        bytes.push(0x01);
        bytes
    };
    assert!(decode_one(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(
        decode_one(&nested(MAX_DEPTH + 1)),
        Err(DecodeError::TooDeep {
            offset: 3 * MAX_DEPTH + 1
        })
    );
    let mut value = Value::Null;
    for _ in 0..MAX_DEPTH + 10 {
        value = array(vec![value]);
    }
    assert_eq!(encode_all(&[value]), nested(MAX_DEPTH));
}

#[test]
fn references_cannot_nest_past_the_limit() {
    // Array n holds a reference to array n - 1: no array is nested in another
    // on the wire, but the expanded value is.
    let chain = |length: u8| {
        let mut bytes = vec![0x09, length * 2 + 1, 0x01, 0x09, 0x01, 0x01];
        for index in 1..length {
            bytes.extend([0x09, 0x03, 0x01, 0x09, index * 2]);
        }
        decode_one(&bytes)
    };
    assert!(chain(31).is_ok());
    assert!(matches!(chain(32), Err(DecodeError::TooDeep { .. })));
}

#[test]
fn references_cannot_multiply_values_past_the_limit() {
    // Array n holds array n - 1 twice: 2^n values of 8 bytes each.
    let mut bytes = vec![0x09, 20 * 2 + 1, 0x01, 0x09, 0x01, 0x01];
    for index in 1..20_u8 {
        bytes.extend([0x09, 0x05, 0x01, 0x09, index * 2, 0x09, index * 2]);
    }
    assert!(matches!(
        decode_one(&bytes),
        Err(DecodeError::TooMuchMemory { .. })
    ));
}

#[test]
fn references_cannot_multiply_data_past_the_limit() {
    // One MiB of text, sent 4 times in two bytes each, then 9 times: there are 9
    // MiB for all of it, as parsed and as expanded.
    let copies = |kind: &[u8], count: u8| {
        let mut bytes = vec![0x09, count * 2 + 1, 0x01];
        bytes.extend(kind);
        bytes.extend(length_field(1 << 20));
        bytes.extend(vec![b'a'; 1 << 20]);
        for _ in 1..count {
            bytes.extend(kind);
            // The only string, and the array's first entry.
            bytes.push(if kind == [0x06] { 0x00 } else { 0x02 });
        }
        decode_one(&bytes)
    };
    for kind in [[0x06], [0x0c], [0x07], [0x0b]] {
        assert!(copies(&kind, 4).is_ok(), "{kind:?}");
        assert!(
            matches!(copies(&kind, 9), Err(DecodeError::TooMuchMemory { .. })),
            "{kind:?}"
        );
    }
}

#[test]
fn the_entries_of_vectors_count() {
    // A vector of 20,000 numbers, and references to it: 4 and 8 bytes an entry,
    // and more as AMF0.
    for (kind, width) in [(0x0d, 4), (0x0e, 4), (0x0f, 8)] {
        let copies = |count: u8| {
            let mut bytes = vec![0x09, count * 2 + 1, 0x01, kind];
            bytes.extend(length_field(20_000));
            bytes.push(0);
            bytes.extend(vec![0; 20_000 * width]);
            for _ in 1..count {
                bytes.extend([kind, 0x02]);
            }
            decode_one(&bytes)
        };
        assert!(copies(1).is_ok(), "{kind}");
        assert!(
            matches!(copies(60), Err(DecodeError::TooMuchMemory { .. })),
            "{kind}"
        );
    }
}

/// An inline length of 21 bits or more, in its four bytes.
fn length_field(length: u32) -> [u8; 4] {
    let field = length << 1 | 1;
    let seven = |shift: u32| (field >> shift & 0x7f | 0x80) as u8;
    [seven(22), seven(15), seven(8), (field & 0xff) as u8]
}

#[test]
fn what_values_and_member_names_cost_stops_at_the_budget_of_the_message() {
    assert!(decode_all(&vec![0x01; 4_000]).is_ok());
    assert!(matches!(
        decode_all(&vec![0x01; 100_000]),
        Err(DecodeError::TooMuchMemory { .. })
    ));
    // A class with 2^25 - 1 members, all with an empty name.
    let mut bytes = b"\x0a\xff\xff\xff\xfb\x01".to_vec();
    bytes.extend(vec![0x01; 100_000]);
    assert!(matches!(
        decode_one(&bytes),
        Err(DecodeError::TooMuchMemory { .. })
    ));
}

#[test]
fn announced_counts_reserve_nothing() {
    for marker in [0x07, 0x09, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11] {
        let bytes = [marker, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert!(
            matches!(decode_one(&bytes), Err(DecodeError::Truncated { .. })),
            "{marker}"
        );
    }
}

#[test]
fn entries_with_an_empty_name_are_left_out_where_it_ends_the_list() {
    let value = Value::Array {
        dense: Vec::new(),
        associative: Properties::from([("", Value::Null), ("k", Value::Null)]),
    };
    assert_eq!(encode_all(&[value]), b"\x09\x01\x03k\x01\x01".as_slice());
}

fn name() -> impl Strategy<Value = String> + Clone {
    any::<String>().prop_filter("not empty", |name| !name.is_empty())
}

/// Any value, nested up to eight deep.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Undefined),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        (MIN_INTEGER..=MAX_INTEGER).prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Double),
        any::<String>().prop_map(Value::String),
        any::<String>().prop_map(Value::XmlDocument),
        any::<String>().prop_map(Value::Xml),
        any::<f64>().prop_map(|millis| Value::Date { millis }),
        any::<Vec<u8>>().prop_map(Value::ByteArray),
        any::<(bool, Vec<i32>)>().prop_map(|(fixed, items)| Value::VectorInt { fixed, items }),
        any::<(bool, Vec<u32>)>().prop_map(|(fixed, items)| Value::VectorUint { fixed, items }),
        (any::<bool>(), proptest::collection::vec(any::<f64>(), 0..9))
            .prop_map(|(fixed, items)| Value::VectorDouble { fixed, items }),
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        let items = proptest::collection::vec(inner.clone(), 0..6);
        let members = proptest::collection::vec((name(), inner.clone()), 0..6)
            .prop_map(|items| items.into_iter().collect::<Properties>());
        let class_name = any::<String>();
        prop_oneof![
            (items.clone(), members.clone())
                .prop_map(|(dense, associative)| Value::Array { dense, associative }),
            (class_name, members.clone(), proptest::option::of(members)).prop_map(
                |(class_name, sealed, dynamic)| Value::Object(Object {
                    class_name,
                    sealed,
                    dynamic,
                })
            ),
            inner.clone().prop_map(|value| Value::Wrapped {
                class_name: "flex.messaging.io.ObjectProxy".into(),
                value: Box::new(value),
            }),
            (any::<bool>(), any::<String>(), items).prop_map(|(fixed, class_name, items)| {
                Value::VectorObject {
                    fixed,
                    class_name,
                    items,
                }
            }),
            (
                any::<bool>(),
                proptest::collection::vec((inner.clone(), inner), 0..4)
            )
                .prop_map(|(weak, entries)| Value::Dictionary { weak, entries }),
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
    fn a_value_cut_short_is_an_error_not_a_value(
        value in any_value(),
        cut in any::<prop::sample::Index>(),
    ) {
        let encoded = encode_all(&[value]);
        let end = cut.index(encoded.len());
        prop_assert!(decode(&mut &encoded[..end]).is_err());
    }

    #[test]
    fn arbitrary_bytes_decode_or_fail_but_never_panic(
        bytes in proptest::collection::vec(prop_oneof![0..0x13_u8, any::<u8>()], 0..200),
    ) {
        crate::fuzz::amf3(&bytes);
    }
}
