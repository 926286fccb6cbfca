//! The messages byte for byte, and an object with its clients.

use bytes::Bytes;
use livehost_wire::amf0::Value;

use super::object::{Limits, SharedObject};
use super::*;

fn message(persistent: bool, events: Vec<Event>) -> SharedObjectMessage {
    SharedObjectMessage {
        name: "so".into(),
        version: 0,
        persistent,
        events,
    }
}

#[test]
fn golden_use() {
    let bytes = b"\0\x02so\0\0\0\0\0\0\0\x02\0\0\0\0\x01\0\0\0\0";
    let connect = message(true, vec![Event::Use]);
    assert_eq!(connect.to_message().payload, &bytes[..]);
    assert_eq!(
        SharedObjectMessage::decode(&connect.to_message()),
        Ok(connect)
    );
}

#[test]
fn golden_request_change_in_both_formats() {
    // x = 1.
    let event = b"\x03\0\0\0\x0c\0\x01x\0\x3f\xf0\0\0\0\0\0\0";
    let head = b"\0\x02so\0\0\0\0\0\0\0\0\0\0\0\0";
    let expected = message(
        false,
        vec![Event::RequestChange("x".into(), Value::Number(1.0))],
    );
    let amf0 = [&head[..], event].concat();
    assert_eq!(expected.to_message().payload, amf0);
    let amf3 = Message {
        type_id: type_id::SHARED_OBJECT_AMF3,
        payload: [&[0], &amf0[..]].concat().into(),
        ..expected.to_message()
    };
    assert_eq!(SharedObjectMessage::decode(&amf3), Ok(expected));
}

#[test]
fn every_event_round_trips() {
    let events = vec![
        Event::Use,
        Event::Release,
        Event::RequestChange("a".into(), Value::from("b")),
        Event::Change(vec![
            ("a".into(), Value::Null),
            ("b".into(), Value::Boolean(true)),
        ]),
        Event::Success("a".into()),
        Event::SendMessage(vec![Value::from("handler"), Value::Number(1.0)]),
        status(),
        Event::Clear,
        Event::Remove("a".into()),
        Event::RequestRemove("a".into()),
        Event::UseSuccess,
        Event::Unknown(77),
    ];
    let all = message(true, events);
    assert_eq!(SharedObjectMessage::decode(&all.to_message()), Ok(all));
}

fn status() -> Event {
    Event::Status {
        code: "SharedObject.NoReadAccess".into(),
        level: "error".into(),
    }
}

#[test]
fn what_is_cut_short_or_too_much_is_an_error() {
    let whole = message(
        true,
        vec![Event::RequestChange("x".into(), Value::Number(1.0))],
    );
    let whole = whole.to_message();
    // The head alone is a message without events.
    for len in (0..16).chain(17..whole.payload.len()) {
        let cut = Message {
            payload: whole.payload.slice(..len),
            ..whole.clone()
        };
        assert!(SharedObjectMessage::decode(&cut).is_err(), "{len} bytes");
    }
    let many = message(true, vec![Event::Clear; 257]);
    assert_eq!(
        SharedObjectMessage::decode(&many.to_message()),
        Err(SharedObjectError::TooManyEvents)
    );
    let video = Message {
        type_id: 9,
        payload: Bytes::new(),
        ..whole
    };
    assert_eq!(
        SharedObjectMessage::decode(&video),
        Err(SharedObjectError::MessageType(9))
    );
}

/// What was told, as client and events.
fn told(object: &mut SharedObject, client: u64, event: Event) -> Vec<(u64, Vec<Event>)> {
    let message = message(object.is_persistent(), vec![event]);
    let told = object.handle(client, &message);
    told.into_iter()
        .map(|told| (told.client, told.message.events))
        .collect()
}

fn change(name: &str, value: f64) -> Event {
    Event::Change(vec![(name.into(), Value::Number(value))])
}

fn request(name: &str, value: f64) -> Event {
    Event::RequestChange(name.into(), Value::Number(value))
}

fn object() -> SharedObject {
    SharedObject::new("so", false, Limits::default())
}

#[test]
fn a_change_reaches_the_others_and_is_confirmed() {
    let mut so = object();
    assert_eq!(
        told(&mut so, 1, Event::Use),
        [(1, vec![Event::UseSuccess, Event::Clear])]
    );
    told(&mut so, 2, Event::Use);
    assert_eq!(
        told(&mut so, 1, request("x", 7.0)),
        [
            (2, vec![change("x", 7.0)]),
            (1, vec![Event::Success("x".into())])
        ]
    );
    // Who comes later gets what there is.
    assert_eq!(
        told(&mut so, 3, Event::Use),
        [(3, vec![Event::UseSuccess, Event::Clear, change("x", 7.0)])]
    );
    assert_eq!(
        told(&mut so, 3, Event::RequestRemove("x".into())),
        [1, 2, 3].map(|client| (client, vec![Event::Remove("x".into())]))
    );
    assert_eq!(told(&mut so, 3, Event::RequestRemove("x".into())), []);
}

#[test]
fn a_message_reaches_everybody_and_changes_nothing() {
    let mut so = object();
    told(&mut so, 1, Event::Use);
    told(&mut so, 2, Event::Use);
    let send = Event::SendMessage(vec![Value::from("hello")]);
    assert_eq!(
        told(&mut so, 1, send.clone()),
        [(1, vec![send.clone()]), (2, vec![send])]
    );
    assert_eq!(so.properties().count(), 0);
}

#[test]
fn clear_reaches_everybody() {
    let mut so = object();
    told(&mut so, 1, Event::Use);
    told(&mut so, 1, request("x", 1.0));
    assert_eq!(told(&mut so, 1, Event::Clear), [(1, vec![Event::Clear])]);
    assert_eq!(so.properties().count(), 0);
}

#[test]
fn who_left_or_never_came_neither_hears_nor_writes() {
    let mut so = object();
    told(&mut so, 1, Event::Use);
    told(&mut so, 2, Event::Use);
    assert_eq!(told(&mut so, 2, Event::Release), []);
    so.leave(9);
    assert_eq!(told(&mut so, 1, request("x", 1.0)).len(), 1);
    for stranger in [2, 3] {
        let answer = told(&mut so, stranger, request("x", 2.0));
        let [(to, events)] = &answer[..] else {
            panic!("{answer:?}");
        };
        assert_eq!(*to, stranger);
        assert!(
            matches!(&events[..], [Event::Status { code, .. }] if code == "SharedObject.NoWriteAccess")
        );
    }
    assert_eq!(so.properties().next(), Some(("x", &Value::Number(1.0))));
    so.leave(1);
    assert!(so.is_unused());
}

#[test]
fn persistence_must_agree() {
    let mut so = SharedObject::new("so", true, Limits::default())
        .with([("x".to_owned(), Value::Number(1.0))]);
    let answer = so.handle(1, &message(false, vec![Event::Use]));
    assert!(
        matches!(&answer[0].message.events[..], [Event::Status { code, .. }] if code == "SharedObject.BadPersistence")
    );
    assert!(so.is_unused());
    assert_eq!(told(&mut so, 1, Event::Use)[0].1.len(), 3);
}

#[test]
fn everything_a_client_can_grow_is_bounded() {
    let limits = Limits {
        clients: 2,
        properties: 2,
        bytes: 64,
    };
    let mut so = SharedObject::new("so", false, limits);
    told(&mut so, 1, Event::Use);
    told(&mut so, 2, Event::Use);
    let refused = |answer: &[(u64, Vec<Event>)]| matches!(answer, [(_, events)] if matches!(events[..], [Event::Status { .. }]));
    assert!(refused(&told(&mut so, 3, Event::Use)));
    told(&mut so, 1, request("x", 1.0));
    told(&mut so, 1, request("y", 1.0));
    assert!(refused(&told(&mut so, 1, request("z", 1.0))));
    // A property that is there may change.
    assert!(!refused(&told(&mut so, 1, request("x", 2.0))));
    let long = Event::RequestChange("x".into(), Value::from("v".repeat(65).as_str()));
    assert!(refused(&told(&mut so, 1, long)));
    told(&mut so, 1, Event::RequestRemove("y".into()));
    assert!(!refused(&told(&mut so, 1, request("z", 1.0))));
}

mod arbitrary {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_a_message_or_an_error(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            for type_id in [type_id::SHARED_OBJECT_AMF0, type_id::SHARED_OBJECT_AMF3] {
                let message = Message {
                    chunk_stream_id: 3,
                    timestamp: 0,
                    type_id,
                    message_stream_id: 0,
                    payload: Bytes::from(payload.clone()),
                };
                let _ = SharedObjectMessage::decode(&message);
            }
        }
    }
}
