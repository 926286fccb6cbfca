//! The messages byte for byte, and an object with its clients.

use bytes::Bytes;
use livehost_wire::amf0::Value;

use super::object::{Limits, NoShelf, PropertyShelf, Ruling, SharedObject};
use super::*;

fn amf(value: Value) -> Bytes {
    livehost_wire::amf0::encode_all(&[value])
}

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
        vec![Event::RequestChange("x".into(), amf(Value::Number(1.0)))],
    );
    let amf0 = [&head[..], event].concat();
    assert_eq!(expected.to_message().payload, amf0);
    let amf3 = super::message(expected.encode(), true);
    assert_eq!(amf3.type_id, type_id::SHARED_OBJECT_AMF3);
    assert_eq!(amf3.payload, [&[0], &amf0[..]].concat());
    assert_eq!(SharedObjectMessage::decode(&amf3), Ok(expected));
}

#[test]
fn every_event_round_trips() {
    let events = vec![
        Event::Use,
        Event::Release,
        Event::RequestChange("a".into(), amf("b".into())),
        Event::Change(vec![
            ("a".into(), amf(Value::Null)),
            ("b".into(), amf(Value::Boolean(true))),
        ]),
        Event::Success("a".into()),
        Event::SendMessage(
            [amf("handler".into()), amf(Value::Number(1.0))]
                .concat()
                .into(),
        ),
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
        vec![Event::RequestChange("x".into(), amf(Value::Number(1.0)))],
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
    let many = message(true, vec![Event::Clear; 1025]);
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

#[test]
fn values_in_amf3_become_amf0() {
    // x = 1 as an AMF3 integer.
    let body = b"\0\0\x02so\0\0\0\0\0\0\0\0\0\0\0\0\x03\0\0\0\x06\0\x01x\x11\x04\x01";
    let flex = Message {
        type_id: type_id::SHARED_OBJECT_AMF3,
        payload: Bytes::from_static(body),
        ..message(false, vec![]).to_message()
    };
    let one = Event::RequestChange("x".into(), amf(Value::Number(1.0)));
    assert_eq!(
        SharedObjectMessage::decode(&flex),
        Ok(message(false, vec![one]))
    );
}

/// `x` is an array of references to one text of `length` bytes.
fn references(length: usize, count: usize) -> Vec<u8> {
    let u29 = |n: usize| {
        [
            (n >> 14 | 0x80) as u8,
            (n >> 7 | 0x80) as u8,
            (n & 0x7f) as u8,
        ]
    };
    let mut value = [b"\0\x01x\x11\x09", &u29(count << 1 | 1)[..], b"\x01\x06"].concat();
    value.extend(u29(length << 1 | 1));
    value.extend(vec![b'a'; length]);
    value.extend(b"\x06\0".repeat(count - 1));
    value
}

fn message_of(events: &[(u8, &[u8])]) -> Message {
    let mut payload = message(false, vec![]).encode().to_vec();
    for (kind, data) in events {
        payload.push(*kind);
        payload.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        payload.extend_from_slice(data);
    }
    super::message(payload.into(), false)
}

#[test]
fn all_values_of_a_message_share_its_budget() {
    // One of them is a megabyte.
    let value = references(5_800, 180);
    let decoded = |events: &[(u8, &[u8])]| SharedObjectMessage::decode(&message_of(events));
    let small = references(5_800, 20);
    assert!(decoded(&[(3, &small)]).is_ok());
    let over = |result: Result<_, _>| {
        let Err(SharedObjectError::Amf(DecodeError::TooMuchMemory { limit, .. })) = result else {
            panic!("another answer");
        };
        limit
    };
    assert!(over(decoded(&[(3, &value)])) < 1_200_000);
    assert!(over(decoded(&[(3, &small[..]); 20])) < 3_000_000);
    // The values of one event count together as well.
    assert!(over(decoded(&[(4, &small.repeat(20))])) < 3_000_000);
    // So do the names, and what is empty.
    assert!(over(decoded(&[(4, &b"\0\0\x05".repeat(200_000))])) < 6_000_000);
}

#[test]
fn who_denies_need_not_look_at_values() {
    let events: [(u8, &[u8]); 5] = [
        (1, b""),
        (3, b"\0\x01xno AMF"),
        (4, b"\0\x01xno AMF"),
        (6, b"no AMF"),
        (10, b"\0\x01y"),
    ];
    let denied = message_of(&events);
    assert!(SharedObjectMessage::decode(&denied).is_err());
    let names = SharedObjectMessage::decode_names(&denied).unwrap();
    let empty = Bytes::new;
    assert_eq!(
        names.events,
        [
            Event::Use,
            Event::RequestChange("x".into(), empty()),
            Event::Change(vec![]),
            Event::SendMessage(empty()),
            Event::RequestRemove("y".into())
        ]
    );
    assert!(SharedObjectMessage::decode_names(&message_of(&[(3, b"\0\x09x")])).is_err());
}

/// What the client and the others were told.
fn ruled(
    object: &mut SharedObject,
    client: u64,
    events: Vec<Event>,
    rulings: &[Ruling],
) -> (Vec<Event>, Vec<Event>) {
    let message = message(object.is_persistent(), events);
    let told = object.handle(client, &message, rulings, &mut NoShelf);
    let events = |message: Option<SharedObjectMessage>| message.map_or(vec![], |m| m.events);
    (events(told.own), events(told.others))
}

fn told(object: &mut SharedObject, client: u64, event: Event) -> (Vec<Event>, Vec<Event>) {
    ruled(object, client, vec![event], &[Ruling::Allow])
}

fn change(name: &str, value: f64) -> Event {
    Event::Change(vec![(name.into(), amf(Value::Number(value)))])
}

fn request(name: &str, value: f64) -> Event {
    Event::RequestChange(name.into(), amf(Value::Number(value)))
}

fn refused(code: &str) -> Event {
    Event::Status {
        code: code.into(),
        level: "error".into(),
    }
}

const READ: &str = "SharedObject.NoReadAccess";
const WRITE: &str = "SharedObject.NoWriteAccess";

fn object() -> SharedObject {
    SharedObject::new("so", false, Limits::default())
}

#[test]
fn a_change_reaches_the_others_and_is_confirmed() {
    let mut so = object();
    let joined = vec![Event::UseSuccess, Event::Clear];
    assert_eq!(told(&mut so, 1, Event::Use), (joined, vec![]));
    told(&mut so, 2, Event::Use);
    assert_eq!(
        told(&mut so, 1, request("x", 7.0)),
        (vec![Event::Success("x".into())], vec![change("x", 7.0)])
    );
    // Who comes later gets what there is.
    assert_eq!(
        told(&mut so, 3, Event::Use),
        (
            vec![Event::UseSuccess, Event::Clear, change("x", 7.0)],
            vec![]
        )
    );
    let remove = || Event::RequestRemove("x".into());
    let gone = vec![Event::Remove("x".into())];
    assert_eq!(told(&mut so, 3, remove()), (gone.clone(), gone));
    assert_eq!(told(&mut so, 3, remove()), (vec![], vec![]));
    assert_eq!(so.clients().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_message_reaches_everybody_and_changes_nothing() {
    let mut so = object();
    told(&mut so, 1, Event::Use);
    let send = Event::SendMessage(amf("hello".into()));
    assert_eq!(
        told(&mut so, 1, send.clone()),
        (vec![send.clone()], vec![send])
    );
    assert_eq!(so.properties().count(), 0);
}

#[test]
fn clear_reaches_everybody() {
    let mut so = object();
    told(&mut so, 1, Event::Use);
    told(&mut so, 1, request("x", 1.0));
    let clear = vec![Event::Clear];
    assert_eq!(told(&mut so, 1, Event::Clear), (clear.clone(), clear));
    assert_eq!(so.properties().count(), 0);
}

#[test]
fn the_events_of_a_message_are_one_answer_in_their_order() {
    let mut so = object();
    let events = vec![Event::Use, request("x", 1.0), request("x", 2.0), Event::Use];
    let (own, others) = ruled(&mut so, 1, events, &vec![Ruling::Allow; 4]);
    let x = || Event::Success("x".into());
    // The state once, however often it is asked for.
    assert_eq!(own, [Event::UseSuccess, Event::Clear, x(), x()]);
    assert_eq!(others, [change("x", 1.0), change("x", 2.0)]);
}

#[test]
fn who_left_or_never_came_neither_hears_nor_writes() {
    let mut so = object();
    told(&mut so, 1, Event::Use);
    told(&mut so, 2, Event::Use);
    assert_eq!(told(&mut so, 2, Event::Release), (vec![], vec![]));
    so.leave(9);
    told(&mut so, 1, request("x", 1.0));
    for stranger in [2, 3] {
        let answer = (vec![refused(WRITE)], vec![]);
        assert_eq!(told(&mut so, stranger, request("x", 2.0)), answer);
        assert_eq!(told(&mut so, stranger, Event::Clear), answer);
        assert!(!so.has(stranger));
    }
    assert_eq!(
        so.properties().next(),
        Some(("x", &amf(Value::Number(1.0))))
    );
    so.leave(1);
    assert!(so.is_over());
}

#[test]
fn what_is_denied_is_told_with_what_is_so() {
    let mut so = object();
    let deny = [Ruling::Deny];
    let (own, _) = ruled(&mut so, 1, vec![Event::Use], &deny);
    assert_eq!(own, [refused(READ)]);
    assert!(!so.has(1));
    told(&mut so, 1, Event::Use);
    told(&mut so, 1, request("x", 1.0));
    let mut denied = |event: Event| ruled(&mut so, 1, vec![event], &deny);
    let truth = |event| (vec![refused(WRITE), event], vec![]);
    assert_eq!(denied(request("x", 2.0)), truth(change("x", 1.0)));
    assert_eq!(denied(request("y", 2.0)), truth(Event::Remove("y".into())));
    assert_eq!(
        denied(Event::RequestRemove("x".into())),
        truth(change("x", 1.0))
    );
    let all = vec![refused(WRITE), Event::Clear, change("x", 1.0)];
    assert_eq!(denied(Event::Clear), (all, vec![]));
    let send = Event::SendMessage(amf("hello".into()));
    assert_eq!(denied(send), (vec![refused(WRITE)], vec![]));
    // What nobody ruled on is denied.
    assert_eq!(
        ruled(&mut so, 1, vec![request("x", 3.0)], &[]),
        truth(change("x", 1.0))
    );
}

#[test]
fn a_rewritten_value_is_told_to_its_author_too() {
    let mut so = object();
    told(&mut so, 1, Event::Use);
    let mut rewritten = |event, value: &Bytes| {
        let ruling = [Ruling::Rewrite(value.clone())];
        ruled(&mut so, 1, vec![event], &ruling)
    };
    let nine = amf(Value::Number(9.0));
    let told = vec![change("x", 9.0)];
    assert_eq!(rewritten(request("x", 1.0), &nine), (told.clone(), told));
    let said = vec![Event::SendMessage(nine.clone())];
    assert_eq!(
        rewritten(Event::SendMessage(amf("bad word".into())), &nine),
        (said.clone(), said)
    );
    let long = Bytes::from(vec![5; Limits::default().bytes + 1]);
    let (own, others) = rewritten(request("x", 1.0), &long);
    assert_eq!(own, [refused(WRITE), change("x", 9.0)]);
    assert_eq!(others, []);
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
    assert_eq!(told(&mut so, 3, Event::Use).0, [refused(READ)]);
    let mut is_refused = |event| told(&mut so, 1, event).0.contains(&refused(WRITE));
    assert!(!is_refused(request("x", 1.0)));
    assert!(!is_refused(request("y", 1.0)));
    assert!(is_refused(request("z", 1.0)));
    // A property that is there may change.
    assert!(!is_refused(request("x", 2.0)));
    let long = || amf(Value::from("v".repeat(65).as_str()));
    assert!(is_refused(Event::RequestChange("x".into(), long())));
    assert!(is_refused(Event::SendMessage(long())));
    assert!(!is_refused(Event::RequestRemove("y".into())));
    assert!(!is_refused(request("z", 1.0)));
    let mut wide = object();
    told(&mut wide, 1, Event::Use);
    let (own, _) = told(&mut wide, 1, request(&"n".repeat(256), 1.0));
    assert!(own.contains(&refused(WRITE)));
}

/// Takes so many properties.
#[derive(Default)]
struct Small {
    room: usize,
    kept: Vec<(String, Bytes)>,
}

impl PropertyShelf for Small {
    fn put(&mut self, property: &str, value: &Bytes) -> bool {
        let fits = self.kept.len() < self.room;
        if fits {
            self.kept.push((property.into(), value.clone()));
        }
        fits
    }

    fn remove(&mut self, property: &str) {
        self.kept.retain(|(name, _)| name != property);
    }
}

#[test]
fn a_persistent_object_outlives_its_clients_and_is_what_its_shelf_has() {
    let mut shelf = Small {
        room: 2,
        ..Small::default()
    };
    let mut so = SharedObject::new("so", true, Limits::default());
    let mut act = |so: &mut SharedObject, event| {
        let told = so.handle(1, &message(true, vec![event]), &[Ruling::Allow], &mut shelf);
        told.own.map_or(vec![], |message| message.events)
    };
    act(&mut so, Event::Use);
    act(&mut so, request("x", 1.0));
    act(&mut so, request("y", 2.0));
    // Beyond the shelf's room nothing is promised.
    let answer = act(&mut so, request("z", 3.0));
    assert_eq!(answer, [refused(WRITE), Event::Remove("z".into())]);
    act(&mut so, Event::RequestRemove("x".into()));
    so.leave(1);
    assert!(!so.is_over(), "it has a property");
    let mut again = SharedObject::new("so", true, Limits::default());
    for (name, value) in shelf.kept.clone() {
        again.restore(name, value);
    }
    assert_eq!(again.snapshot().events, [Event::Clear, change("y", 2.0)]);
    let clear = message(true, vec![Event::Use, Event::Clear, Event::Release]);
    again.handle(1, &clear, &vec![Ruling::Allow; 3], &mut shelf);
    assert!(again.is_over() && shelf.kept.is_empty());
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
