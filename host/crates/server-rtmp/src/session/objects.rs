//! Shared objects: a client's messages to its application's objects, and what
//! it is told of them.
//!
//! Messages are acted on one after the other: the next is read when the one
//! before was decided and there is room for the answer.

use std::sync::Arc;

use bytes::Bytes;
use livehost_app::application::Application;
use livehost_app::shared_objects::{self, Member, Ruling};
use livehost_policy::{Client, Gate, ObjectDecision, ObjectOperation, ObjectRequest};
use livehost_rtmp::message::Message;
use livehost_rtmp::shared_object::{Event, SharedObjectMessage};
use livehost_telemetry::limited;
use livehost_wire::amf0;
use tokio::time::Instant;
use tracing::debug;

use super::answers::Settled;
use super::client::RtmpSession;
use super::end::EndReason;
use super::text::MAX_NAME;

impl RtmpSession {
    pub(super) fn ask_shared_object(&mut self, message: &Message) {
        let Some(application) = self.application.clone() else {
            return self.machine.finish_shared_object();
        };
        let member = self.member.get_or_insert_with(|| {
            Box::new(Member::new(
                application.objects().clone(),
                self.instance.clone(),
                self.client.conn,
                self.wake.clone(),
            ))
        });
        let mailbox = Arc::clone(member.mailbox());
        let is_asked = application.gate().decides_shared_objects();
        let ruling = member.default_ruling();
        // The values of what is denied are nobody's business.
        let read = match (is_asked, &ruling) {
            (false, Ruling::Deny) => SharedObjectMessage::decode_names(message),
            _ => SharedObjectMessage::decode(message),
        };
        let message = match read {
            Ok(message) => message,
            Err(error) => {
                self.end = Some(EndReason::Protocol(error.into()));
                return;
            }
        };
        let can_be = shared_objects::is_name(&message.name);
        if is_asked && can_be {
            let asking = Asking {
                client: self.client.clone(),
                application,
                instance: self.instance.as_deref().map(str::to_owned),
            };
            return self.await_result(async move {
                let rulings = asking.rulings(&message).await;
                mailbox.room().await;
                Settled::SharedObject { message, rulings }
            });
        }
        // What can't be an object is refused by itself.
        let ruling = if is_asked { Ruling::Allow } else { ruling };
        let rulings = vec![ruling; message.events.len()];
        if mailbox.has_room() {
            return self.shared_object_decided(&message, &rulings);
        }
        self.await_result(async move {
            mailbox.room().await;
            Settled::SharedObject { message, rulings }
        });
    }

    pub(super) fn shared_object_decided(
        &mut self,
        message: &SharedObjectMessage,
        rulings: &[Ruling],
    ) {
        if let Some(member) = &mut self.member {
            let was_idle = member.is_idle();
            member.act(message, rulings);
            if member.is_idle() != was_idle {
                self.idle_since = Instant::now();
            }
        }
        self.tell_of_objects();
        self.machine.finish_shared_object();
    }

    /// Moves what waits for the client to its way out, as far as there is room.
    pub(super) fn tell_of_objects(&mut self) {
        let Some(member) = &self.member else {
            return;
        };
        while self.out.lock().has_room() {
            let Some(body) = member.take() else {
                return;
            };
            self.machine.send_shared_object(body);
            while let Some(bytes) = self.machine.poll_bytes() {
                self.out.push(bytes);
            }
        }
    }
}

/// Who asks the policy.
struct Asking {
    client: Client,
    application: Arc<Application>,
    instance: Option<String>,
}

impl Asking {
    /// A ruling on each event, asked for one after the other.
    async fn rulings(&self, message: &SharedObjectMessage) -> Vec<Ruling> {
        let requests = message.events.iter().map(|event| {
            Some(ObjectRequest {
                client: self.client.clone(),
                app: self.application.name().to_string(),
                instance: self.instance.clone(),
                name: message.name.clone(),
                persistent: message.persistent,
                operation: operation(event)?,
            })
        });
        let decisions = self.application.gate().shared_object(requests).await;
        let decisions = message.events.iter().zip(decisions);
        decisions
            .map(|(event, decision)| {
                let ruling = match decision {
                    ObjectDecision::Allow => Ruling::Allow,
                    ObjectDecision::Deny => Ruling::Deny,
                    ObjectDecision::Rewrite(amf0) => Ruling::Rewrite(amf0),
                };
                let ruling = checked(self.application.gate(), event, ruling);
                if ruling == Ruling::Deny {
                    let object = &message.name;
                    debug!(object, "an event of a shared object is denied");
                }
                ruling
            })
            .collect()
    }
}

/// What there is to decide about an event, if anything.
fn operation(event: &Event) -> Option<ObjectOperation> {
    Some(match event {
        // No object has such a property: refused by itself.
        Event::RequestChange(name, _) | Event::RequestRemove(name) if name.len() > MAX_NAME => {
            return None;
        }
        Event::Use => ObjectOperation::Connect,
        Event::RequestChange(name, value) => ObjectOperation::Set(name.clone(), value.clone()),
        Event::RequestRemove(name) => ObjectOperation::Remove(name.clone()),
        Event::Clear => ObjectOperation::Clear,
        Event::SendMessage(values) => ObjectOperation::Send(values.clone()),
        _ => return None,
    })
}

/// A plugin's mistake is not passed on to clients.
fn checked(gate: &Gate, event: &Event, ruling: Ruling) -> Ruling {
    if fits(event, &ruling) {
        return ruling;
    }
    limited!(
        WARN,
        gate.admits_failure(),
        "the plugin's rewrite of a shared object's event can't be used: it is denied"
    );
    Ruling::Deny
}

/// Whether the ruling can be one on this event.
fn fits(event: &Event, ruling: &Ruling) -> bool {
    let Ruling::Rewrite(amf0) = ruling else {
        return true;
    };
    match event {
        Event::RequestChange(..) => is_values(amf0, 1),
        Event::SendMessage(_) => is_values(amf0, usize::MAX),
        _ => false,
    }
}

/// One AMF0 value, or up to so many.
fn is_values(amf0: &Bytes, most: usize) -> bool {
    amf0::decode_all(amf0).is_ok_and(|values| (1..=most).contains(&values.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_about_a_name_that_no_property_has() {
        let event = |length: usize| Event::RequestRemove("n".repeat(length));
        assert!(operation(&event(MAX_NAME)).is_some());
        assert!(operation(&event(MAX_NAME + 1)).is_none());
        let set = Event::RequestChange("n".repeat(MAX_NAME + 1), Bytes::new());
        assert!(operation(&set).is_none());
    }

    #[test]
    fn a_rewrite_must_be_what_the_event_has() {
        let value = |values: &[amf0::Value]| amf0::encode_all(values);
        let one = value(&["x".into()]);
        let two = value(&["x".into(), 1.0.into()]);
        let set = Event::RequestChange("x".into(), one.clone());
        let send = Event::SendMessage(one.clone());
        let rewritten = |event: &Event, amf0: &Bytes| fits(event, &Ruling::Rewrite(amf0.clone()));
        assert!(rewritten(&set, &one) && rewritten(&send, &one) && rewritten(&send, &two));
        for (event, amf0) in [
            (&set, two),
            (&set, Bytes::new()),
            (&send, Bytes::new()),
            (&set, Bytes::from_static(b"\x02\x00\x09short")),
            (&Event::Clear, one),
        ] {
            assert!(!rewritten(event, &amf0), "{event:?} {amf0:?}");
        }
        assert!(fits(&Event::Use, &Ruling::Allow));
    }
}
