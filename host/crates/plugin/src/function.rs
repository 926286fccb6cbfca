//! The functions of the interface that are called while a plugin serves, each
//! judged by itself: one that keeps failing takes no other with it, and none
//! vouches for another.

use std::time::Duration;

use livehost_policy::{
    Asks, Event, OnAuthenticate, OnCall, OnConnect, OnCredential, OnPlay, OnPublish,
    OnSharedObject, Question,
};

use super::breaker::Breaker;

macro_rules! functions {
    ($($variant:ident, $field:ident, $name:expr;)*) => {
        /// A function that decides, answers or is told.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum Function {
            $($variant,)*
        }

        impl Function {
            /// Its name in the interface.
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        /// A breaker for each function.
        pub(super) struct Breakers {
            $($field: Breaker,)*
        }

        impl Breakers {
            /// Judges `generation`, all by the same limits.
            pub(super) fn new(generation: u64, failures: usize, window: Duration) -> Self {
                Self {
                    $($field: Breaker::new(generation, failures, window),)*
                }
            }

            pub(super) fn of(&self, function: Function) -> &Breaker {
                match function {
                    $(Function::$variant => &self.$field,)*
                }
            }

            fn all(&self) -> impl Iterator<Item = &Breaker> {
                [$(&self.$field,)*].into_iter()
            }
        }
    };
}

functions! {
    Authenticate, authenticate, OnAuthenticate::HOOK;
    Credential, credential, OnCredential::HOOK;
    Connect, connect, OnConnect::HOOK;
    Publish, publish, OnPublish::HOOK;
    Play, play, OnPlay::HOOK;
    SharedObject, shared_object, OnSharedObject::HOOK;
    Call, call, OnCall::HOOK;
    Timer, timer, "on-timer";
    Published, published, "on-published";
    Ready, ready, "on-ready";
    Unpublished, unpublished, "on-unpublished";
    PlayEnded, play_ended, "on-play-ended";
    Disconnected, disconnected, "on-disconnected";
    Recorded, recorded, "on-recorded";
    RelayUp, relay_up, "on-relay-up";
    RelayFailed, relay_failed, "on-relay-failed";
    RelayEnded, relay_ended, "on-relay-ended";
}

impl Function {
    /// The one that answers `question`.
    pub(super) fn of(question: &Question) -> Self {
        match question {
            Question::Authenticate(_) => Self::Authenticate,
            Question::Credential(_) => Self::Credential,
            Question::Connect(_) => Self::Connect,
            Question::Publish(_) => Self::Publish,
            Question::Play(_) => Self::Play,
            Question::SharedObject(_) => Self::SharedObject,
            Question::Call(_) => Self::Call,
        }
    }

    /// The one that is told of `event`.
    pub(super) fn told(event: &Event) -> Self {
        match event {
            Event::Published(_) => Self::Published,
            Event::Ready(_) => Self::Ready,
            Event::Unpublished(..) => Self::Unpublished,
            Event::PlayEnded(..) => Self::PlayEnded,
            Event::Disconnected(..) => Self::Disconnected,
            Event::Recorded(..) => Self::Recorded,
            Event::RelayUp(_) => Self::RelayUp,
            Event::RelayFailed(..) => Self::RelayFailed,
            Event::RelayEnded(..) => Self::RelayEnded,
        }
    }
}

impl Breakers {
    /// Another generation serves, perhaps with other limits.
    pub(super) fn reset(&self, generation: u64, failures: usize, window: Duration) {
        for breaker in self.all() {
            breaker.reset(generation, failures, window);
        }
    }

    /// How many functions are left alone.
    pub(super) fn open(&self) -> usize {
        self.all().filter(|breaker| breaker.is_open()).count()
    }
}
