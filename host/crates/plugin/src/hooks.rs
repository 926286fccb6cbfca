//! The calls of a plugin's exports, each as what [`Instance::call`] takes.
//!
//! Flows in: a question or an event, in the policy's types. Flows out: a
//! closure that asks one instance.

use std::sync::Arc;

use livehost_policy::{
    Answer, CallError, CallRequest, CredentialRequest, Event, PolicyError, Question,
};
use wasmtime::Store;

use super::bindings::exports::livehost::app::events;
use super::bounds::usable;
use super::convert;
use super::instance::{Call, HostState, Instance};
use super::optional::{Guests, Indices};

/// Puts a question; the answer is within its bounds.
pub(super) fn question(
    question: Question,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, Result<Answer, PolicyError>> + Send {
    |i| {
        let Instance {
            store,
            policy,
            optional,
            ..
        } = i;
        // Boxed: its requests are in no future but this.
        Box::pin(async move {
            let hook = question.hook();
            let answer = match question {
                Question::Connect(request) => {
                    let decision = policy.call_on_connect(store, &sent(request)).await?;
                    convert::connect_decision(decision).map(Answer::Connect)
                }
                Question::Publish(request) => {
                    let decision = policy.call_on_publish(store, &sent(request)).await?;
                    convert::publish_decision(decision).map(Answer::Publish)
                }
                Question::Play(request) => {
                    let decision = policy.call_on_play(store, &sent(request)).await?;
                    convert::play_decision(decision).map(Answer::Play)
                }
                Question::Authenticate(request) => {
                    let Some(auth) = &optional.auth else {
                        return Ok(lacking(&Question::Authenticate(request)));
                    };
                    let word = auth.call_on_authenticate(store, &sent(request)).await?;
                    let challenge = word.map(|word| convert::challenge(&word)).transpose();
                    return Ok(challenge.map(|challenge| Answer::Authenticate(Ok(challenge))));
                }
                Question::Credential(request) => {
                    let Some(auth) = &optional.auth else {
                        return Ok(lacking(&Question::Credential(request)));
                    };
                    let CredentialRequest { connect, user } = Arc::unwrap_or_clone(request);
                    let known = auth
                        .call_on_credential(store, &sent(connect), &user)
                        .await?;
                    let known = known.map(convert::credential).transpose();
                    known.map(|known| Answer::Credential(Ok(known)))
                }
                Question::SharedObject(request) => {
                    let Some(objects) = &optional.shared_objects else {
                        return Ok(lacking(&Question::SharedObject(request)));
                    };
                    let decision = objects.call_on_shared_object(store, &sent(request)).await?;
                    Ok(Answer::SharedObject(decision.into()))
                }
                Question::Call(request) => {
                    let Some(calls) = &optional.calls else {
                        return Ok(lacking(&Question::Call(request)));
                    };
                    let CallRequest {
                        client,
                        method,
                        amf0,
                    } = Arc::unwrap_or_clone(request);
                    let who = client.into();
                    let result = calls.call_on_call(store, &who, &method, &amf0).await?;
                    Ok(Answer::Call(convert::call_result(method, result)))
                }
            };
            Ok(usable(hook, answer))
        })
    }
}

/// The request as the interface has it; copied only if somebody keeps it.
fn sent<T: Clone, W: From<T>>(request: Arc<T>) -> W {
    Arc::unwrap_or_clone(request).into()
}

/// What a component answers that does not export the interface of the question.
pub(super) fn lacking(question: &Question) -> Result<Answer, PolicyError> {
    let interface = match question {
        // It asks nobody for a password.
        Question::Authenticate(_) => return Ok(Answer::Authenticate(Ok(None))),
        // It knows no method.
        Question::Call(request) => {
            let error = CallError::Unknown(request.method.clone());
            return Ok(Answer::Call(Err(error)));
        }
        Question::Credential(_) => "auth",
        Question::SharedObject(_) => "shared-objects",
        Question::Connect(_) | Question::Publish(_) | Question::Play(_) => "policy",
    };
    let reason = format!("it does not export livehost:app/{interface}");
    Err(PolicyError::Unavailable(reason))
}

/// Whether a component with these interfaces can be asked.
pub(super) fn is_asked(question: &Question, optional: &Indices) -> bool {
    match question {
        Question::Connect(_) | Question::Publish(_) | Question::Play(_) => true,
        Question::Authenticate(_) | Question::Credential(_) => optional.auth.is_some(),
        Question::SharedObject(_) => optional.shared_objects.is_some(),
        Question::Call(_) => optional.calls.is_some(),
    }
}

/// A component with `auth` alone may ask anybody.
pub(super) fn needs_auth() -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, bool> + Send {
    |i| {
        let Instance {
            store, optional, ..
        } = i;
        Box::pin(async move {
            match &optional.auth_need {
                Some(need) => need.call_needs_auth(store).await,
                None => Ok(optional.auth.is_some()),
            }
        })
    }
}

pub(super) fn on_timer(
    key: String,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, ()> + Send {
    |i| {
        let Instance {
            store, lifecycle, ..
        } = i;
        Box::pin(async move { lifecycle.call_on_timer(store, &key).await })
    }
}

/// A component hears only of what it exports the interface for.
pub(super) fn event(event: Event) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, ()> + Send {
    |i| {
        let Instance {
            store, optional, ..
        } = i;
        let Guests { events, relays, .. } = optional;
        Box::pin(async move {
            match event {
                Event::RelayUp(relay) => {
                    let Some(relays) = relays else { return Ok(()) };
                    relays.call_on_relay_up(store, &relay.into()).await
                }
                Event::RelayFailed(relay, failure) => {
                    let Some(relays) = relays else { return Ok(()) };
                    let (relay, failure) = (relay.into(), failure.into());
                    relays.call_on_relay_failed(store, &relay, &failure).await
                }
                Event::RelayEnded(relay, reason) => {
                    let Some(relays) = relays else { return Ok(()) };
                    let relay = relay.into();
                    relays.call_on_relay_ended(store, &relay, &reason).await
                }
                event => match events {
                    Some(events) => of_media(events, store, event).await,
                    None => Ok(()),
                },
            }
        })
    }
}

/// The events of streams, players and connections.
async fn of_media(
    events: &events::Guest,
    store: &mut Store<HostState>,
    event: Event,
) -> wasmtime::Result<()> {
    match event {
        Event::Published(info) => events.call_on_published(store, &info.into()).await,
        Event::Ready(info) => events.call_on_ready(store, &info.into()).await,
        Event::Unpublished(info, end) => {
            let (info, end) = (info.into(), end.into());
            events.call_on_unpublished(store, &info, &end).await
        }
        Event::PlayEnded(request, end) => {
            let (request, end) = (request.into(), end.into());
            events.call_on_play_ended(store, &request, &end).await
        }
        Event::Disconnected(who, end) => {
            let (who, end) = (who.into(), end.into());
            events.call_on_disconnected(store, &who, &end).await
        }
        Event::Recorded(info, file, bytes, duration_ms) => {
            let (info, file) = (info.into(), file.into());
            events
                .call_on_recorded(store, &info, &file, bytes, duration_ms)
                .await
        }
        Event::RelayUp(_) | Event::RelayFailed(..) | Event::RelayEnded(..) => Ok(()),
    }
}

/// Whether a component with these interfaces takes `event`.
pub(super) fn is_heard(event: &Event, optional: &Indices) -> bool {
    match event {
        Event::RelayUp(_) | Event::RelayFailed(..) | Event::RelayEnded(..) => {
            optional.relays.is_some()
        }
        _ => optional.events.is_some(),
    }
}
