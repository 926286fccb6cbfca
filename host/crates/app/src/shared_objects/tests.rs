//! Several clients and the objects of an application.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use livehost_policy::PropertyStore;
use livehost_rtmp::shared_object::{Event, SharedObjectMessage};
use livehost_wire::amf0::{self, Value};
use parking_lot::Mutex;

use super::*;

/// A keep whose contents a test sees.
#[derive(Debug, Default)]
struct Memory(Mutex<BTreeMap<String, Bytes>>);

impl PropertyStore for Memory {
    fn load(&self) -> Vec<(String, Bytes)> {
        self.0.lock().clone().into_iter().collect()
    }

    fn put(&self, key: String, value: &Bytes) -> bool {
        self.0.lock().insert(key, value.clone());
        true
    }

    fn remove(&self, key: &str) {
        self.0.lock().remove(key);
    }

    fn set_quota(&self, _: usize) {}
}

fn open(settings: ObjectSettings) -> Arc<Objects> {
    Objects::new(settings, Arc::new(Forget))
}

fn allowing() -> ObjectSettings {
    ObjectSettings {
        access: Access::Allow,
        ..ObjectSettings::default()
    }
}

fn member(objects: &Arc<Objects>, instance: Option<&str>, client: u64) -> Member {
    let instance = instance.map(Into::into);
    Member::new(objects.clone(), instance, client, Arc::default())
}

fn act(member: &mut Member, name: &str, persistent: bool, event: Event) -> Vec<String> {
    let message = SharedObjectMessage {
        name: name.into(),
        version: 0,
        persistent,
        events: vec![event],
    };
    let rulings = vec![member.default_ruling(); message.events.len()];
    member.act(&message, &rulings);
    heard(member)
}

/// What waits for the client, in words.
fn heard(member: &Member) -> Vec<String> {
    let mut heard = Vec::new();
    while let Some(body) = member.take() {
        let message = livehost_rtmp::shared_object::message(body, false);
        let message = SharedObjectMessage::decode(&message).unwrap();
        heard.extend(message.events.iter().map(|event| {
            match event {
                Event::UseSuccess => "joined".into(),
                Event::Clear => "clear".into(),
                Event::Success(name) => format!("{name} done"),
                Event::Remove(name) => format!("{name} gone"),
                Event::Status { code, .. } => code.clone(),
                Event::Change(pairs) => pairs
                    .iter()
                    .map(|(name, value)| {
                        let mut value = &value[..];
                        let number = amf0::decode(&mut value).unwrap().as_f64().unwrap();
                        format!("{name}={number}")
                    })
                    .collect(),
                other => format!("{other:?}"),
            }
        }));
    }
    heard
}

fn set(name: &str, value: f64) -> Event {
    let value = amf0::encode_all(&[Value::Number(value)]);
    Event::RequestChange(name.into(), value)
}

#[test]
fn clients_of_an_object_hear_of_each_other_and_nobody_else_does() {
    let objects = open(allowing());
    let mut ann = member(&objects, None, 1);
    let mut bob = member(&objects, None, 2);
    let mut elsewhere = member(&objects, Some("room"), 3);
    let mut persistent = member(&objects, None, 4);
    for (client, kept) in [
        (&mut ann, false),
        (&mut bob, false),
        (&mut elsewhere, false),
        (&mut persistent, true),
    ] {
        assert_eq!(act(client, "so", kept, Event::Use), ["joined", "clear"]);
    }
    assert_eq!(act(&mut ann, "so", false, set("x", 1.0)), ["x done"]);
    assert_eq!(heard(&bob), ["x=1"]);
    assert_eq!(heard(&elsewhere), [""; 0]);
    assert_eq!(heard(&persistent), [""; 0]);
    drop(ann);
    assert_eq!(act(&mut bob, "so", false, set("x", 2.0)), ["x done"]);
    assert_eq!(objects.len(), 3);
}

#[test]
fn an_object_that_nobody_needs_is_gone() {
    let objects = open(allowing());
    let mut ann = member(&objects, None, 1);
    act(&mut ann, "so", false, Event::Use);
    act(&mut ann, "so", false, set("x", 1.0));
    assert!(!ann.is_idle());
    act(&mut ann, "so", false, Event::Release);
    assert!(ann.is_idle());
    assert_eq!(objects.len(), 0);
    assert_eq!(
        act(&mut ann, "so", false, Event::Use),
        ["joined", "clear"],
        "another of this name begins without properties"
    );
    drop(ann);
    assert_eq!(objects.len(), 0);
}

#[test]
fn persistent_objects_are_there_again_each_in_its_instance() {
    let keep = Arc::new(Memory::default());
    let objects = Objects::new(allowing(), keep.clone());
    let mut ann = member(&objects, None, 1);
    let mut bob = member(&objects, Some("a/b"), 2);
    for (client, value) in [(&mut ann, 1.0), (&mut bob, 2.0)] {
        act(client, "so", true, Event::Use);
        act(client, "so", true, set("x", value));
        act(client, "so", true, set("y", 5.0));
        act(client, "so", true, Event::RequestRemove("y".into()));
    }
    drop((ann, bob, objects));
    let objects = Objects::new(allowing(), keep.clone());
    let mut ann = member(&objects, None, 1);
    let mut bob = member(&objects, Some("a/b"), 2);
    let state = act(&mut ann, "so", true, Event::Use);
    assert_eq!(state, ["joined", "clear", "x=1"]);
    let state = act(&mut bob, "so", true, Event::Use);
    assert_eq!(state, ["joined", "clear", "x=2"]);
    act(&mut bob, "so", true, Event::Clear);
    drop(bob);
    assert_eq!(objects.len(), 1);
    assert_eq!(keep.load().len(), 1);
}

#[test]
fn nothing_is_allowed_by_default() {
    let objects = open(ObjectSettings::default());
    let mut ann = member(&objects, None, 1);
    let denied = act(&mut ann, "so", false, Event::Use);
    assert_eq!(denied, ["SharedObject.NoReadAccess"]);
    let denied = act(&mut ann, "so", false, set("x", 1.0));
    assert_eq!(denied, ["SharedObject.NoWriteAccess"]);
    // A client closes what it was refused, and is not told once more.
    assert_eq!(act(&mut ann, "so", false, Event::Release), [""; 0]);
    assert_eq!(objects.len(), 0);
}

#[test]
fn objects_and_names_have_limits() {
    let objects = open(ObjectSettings {
        objects: 2,
        per_connection: 1,
        ..allowing()
    });
    let mut clients: Vec<_> = (0..3).map(|n| member(&objects, None, n)).collect();
    let failed = ["SharedObject.ObjectCreationFailed"];
    let joined = ["joined", "clear"];
    assert_eq!(act(&mut clients[0], "a", false, Event::Use), joined);
    assert_eq!(act(&mut clients[0], "b", false, Event::Use), failed);
    assert_eq!(act(&mut clients[1], "b", false, Event::Use), joined);
    assert_eq!(act(&mut clients[2], "c", false, Event::Use), failed);
    for name in ["", "a\0b", &"n".repeat(256)] {
        assert_eq!(act(&mut clients[2], name, true, Event::Use), failed);
    }
    assert_eq!(act(&mut clients[2], "a", false, Event::Use), joined);
}

#[test]
fn who_does_not_read_gets_the_state_and_keeps_nobody_waiting() {
    let settings = ObjectSettings {
        queue: 64 * 1024,
        ..allowing()
    };
    let objects = open(settings);
    let mut ann = member(&objects, None, 1);
    let mut bob = member(&objects, None, 2);
    act(&mut ann, "so", false, Event::Use);
    act(&mut bob, "so", false, Event::Use);
    for n in 0..10_000 {
        let answer = act(&mut ann, "so", false, set("x", f64::from(n)));
        assert_eq!(answer, ["x done"]);
    }
    assert_eq!(heard(&bob), ["clear", "x=9999"]);
    act(&mut ann, "so", false, set("x", 1.0));
    assert_eq!(heard(&bob), ["x=1"]);
}
