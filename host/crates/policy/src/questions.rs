//! The questions, in one table.
//!
//! Flows in: a request, as the question about it (`OnPublish`). Flows out: the
//! same as one of all questions ([`Question`]), which a [`Policy`](super::Policy)
//! answers with one of all answers ([`Answer`]), and that read back as the
//! question's own ([`Asks::read`]).

use std::sync::Arc;

use bytes::Bytes;

use super::{
    CallError, CallRequest, Challenge, Client, ConnectDecision, ConnectGrant, ConnectRequest,
    Credential, CredentialRequest, Fallback, ObjectDecision, ObjectRequest, OnError, PlayDecision,
    PlayGrant, PolicyError, PublishDecision, PublishGrant, Rejection, StreamRequest,
};

/// A question that has a type of answer of its own.
pub trait Asks: Into<Question> + Send {
    /// What is answered.
    type Answer: Send;
    /// The function of the interface that answers.
    const HOOK: &'static str;

    /// Takes the answer to this question out of any.
    ///
    /// # Errors
    /// [`PolicyError::Unusable`] when it is the answer to another.
    fn read(answer: Answer) -> Result<Self::Answer, PolicyError>;
}

/// A question to which there is an answer even when nobody gives one.
pub trait Decides: Asks {
    /// The answer when the plugin has waited in vain and the setting that covers the
    /// question allows; none: it does not, or nothing covers it.
    fn allowed(on_error: &OnError) -> Option<Self::Answer>;
    /// The answer in all other cases.
    fn refused(rejection: Rejection) -> Self::Answer;
}

/// Each row: the question about a request, its name among all, the function of the
/// interface, the answer. Then what stands in for a decision: the setting of
/// [`OnError`] that covers it with the answer it allows, and the answer that refuses.
macro_rules! questions {
    ($(
        $(#[$doc:meta])*
        $question:ident($request:ty) as $name:ident, $hook:literal -> $answer:ty
        $({ $(on_error.$setting:ident => $allowed:expr;)? else => $refused:expr })?
    )*) => {
        /// Any question. Requests are shared: who passes one on may keep it at no
        /// cost, and futures stay small.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Question {
            $($(#[$doc])* $name(Arc<$request>),)*
        }

        /// The answer to the [`Question`] of the same name.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Answer {
            $(#[doc = concat!("Of `", $hook, "`.")] $name($answer),)*
        }

        impl Question {
            /// The functions of the interface that answer questions, in the order of the
            /// table.
            pub const HOOKS: &[&str] = &[$($hook),*];

            /// The function of the interface that answers it.
            pub fn hook(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $hook,)*
                }
            }
        }

        impl Answer {
            /// The function of the interface whose answer it is.
            pub fn hook(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $hook,)*
                }
            }
        }

        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq)]
            pub struct $question(Arc<$request>);

            impl $question {
                /// The question about `request`.
                pub fn new(request: impl Into<Arc<$request>>) -> Self {
                    Self(request.into())
                }
            }

            impl From<$question> for Question {
                fn from(question: $question) -> Self {
                    Self::$name(question.0)
                }
            }

            impl Asks for $question {
                type Answer = $answer;
                const HOOK: &'static str = $hook;

                fn read(answer: Answer) -> Result<Self::Answer, PolicyError> {
                    match answer {
                        Answer::$name(answer) => Ok(answer),
                        other => Err(PolicyError::Unusable {
                            hook: $hook,
                            reason: format!("expected its own, found that to {}", other.hook()),
                        }),
                    }
                }
            }

            $(impl Decides for $question {
                fn allowed(_on_error: &OnError) -> Option<Self::Answer> {
                    $(if _on_error.$setting == Fallback::Allow {
                        return Some($allowed);
                    })?
                    None
                }

                fn refused(rejection: Rejection) -> Self::Answer {
                    let refuse: fn(Rejection) -> Self::Answer = $refused;
                    refuse(rejection)
                }
            })?
        )*
    };
}

questions! {
    /// Which challenge must this client pass before [`OnConnect`]? None: nobody asks
    /// it for a password.
    OnAuthenticate(ConnectRequest) as Authenticate, "on-authenticate"
        -> Result<Option<Challenge>, Rejection>
        { on_error.connect => Ok(None); else => Err }

    /// What is known of a user? None: there is no such user. Without an answer nobody
    /// passes.
    OnCredential(CredentialRequest) as Credential, "on-credential"
        -> Result<Option<Credential>, Rejection>
        { else => Err }

    /// May this client use the application?
    OnConnect(ConnectRequest) as Connect, "on-connect" -> ConnectDecision {
        on_error.connect => ConnectDecision::Accept(ConnectGrant::default());
        else => ConnectDecision::Reject
    }

    /// May this client publish, under what name, and by which rules?
    OnPublish(StreamRequest) as Publish, "on-publish" -> PublishDecision {
        on_error.publish => PublishDecision::Accept(PublishGrant::default());
        else => PublishDecision::Reject
    }

    /// May this client play, and what?
    OnPlay(StreamRequest) as Play, "on-play" -> PlayDecision {
        on_error.play => PlayDecision::Accept(PlayGrant::default());
        else => PlayDecision::Reject
    }

    /// May this client do so with a shared object?
    OnSharedObject(ObjectRequest) as SharedObject, "on-shared-object" -> ObjectDecision {
        on_error.shared_object => ObjectDecision::Allow;
        else => |_| ObjectDecision::Deny
    }

    /// What does this remote procedure call return? AMF0 values. A failure stays one.
    OnCall(CallRequest) as Call, "on-call" -> Result<Bytes, CallError>
}

impl Question {
    /// Whose question it is.
    pub fn client(&self) -> &Client {
        match self {
            Self::Authenticate(request) | Self::Connect(request) => &request.client,
            Self::Credential(request) => &request.connect.client,
            Self::Publish(request) | Self::Play(request) => &request.client,
            Self::SharedObject(request) => &request.client,
            Self::Call(request) => &request.client,
        }
    }

    /// The application's instance that it is about, if it says so.
    pub fn instance(&self) -> Option<&str> {
        let instance = match self {
            Self::Authenticate(request) | Self::Connect(request) => &request.instance,
            Self::Credential(request) => &request.connect.instance,
            Self::Publish(request) | Self::Play(request) => &request.instance,
            Self::SharedObject(request) => &request.instance,
            Self::Call(_) => &None,
        };
        instance.as_deref()
    }
}
