//! Shared objects: a client's messages to its application's objects, and what
//! it is told of them.
//!
//! Messages are acted on one after the other: the next is read when the one
//! before was decided and there is room for the answer.

use std::sync::Arc;
use std::time::Instant;

use livehost_rtmp::shared_object::SharedObjectMessage;

use super::answers::Answer;
use super::client::ClientSession;
use crate::shared_objects::{Member, Ruling};

impl ClientSession {
    pub(super) fn ask_shared_object(&mut self, message: SharedObjectMessage) {
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
        let rulings = member.default_rulings(&message);
        if member.mailbox().has_room() {
            return self.shared_object_decided(&message, &rulings);
        }
        let mailbox = Arc::clone(member.mailbox());
        self.decide(async move {
            mailbox.room().await;
            Answer::SharedObject { message, rulings }
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
                self.deadlines_changed = true;
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
