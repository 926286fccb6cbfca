//! The calls of a plugin's exports, each as what [`Instance::call`] takes.
//!
//! Flows in: a question or an event, in the policy's types. Flows out: a
//! closure that asks one instance. Requests are boxed: each layer that a closure
//! passes on its way would have room for one.

use bytes::Bytes;
use livehost_policy::{Client, ConnectRequest, Event, ObjectRequest, StreamRequest};
use wasmtime::Store;

use super::UNKNOWN_METHOD;
use super::bindings::exports::livehost::app::{
    auth as wit_auth, events, shared_objects as wit_objects,
};
use super::bindings::livehost::app::types as wit;
use super::function::Function;
use super::instance::{Call, Instance, State};
use super::optional::{Guests, Indices};

pub(super) fn on_connect(
    request: ConnectRequest,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, wit::ConnectDecision> + Send {
    let request = Box::new(request.into());
    |i| {
        let Instance { store, policy, .. } = i;
        Box::pin(async move { policy.call_on_connect(store, &request).await })
    }
}

/// A component without `auth` asks nobody for a password.
pub(super) fn on_authenticate(
    request: ConnectRequest,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, Option<String>> + Send {
    let request = Box::new(request.into());
    |i| {
        let Instance {
            store, optional, ..
        } = i;
        Box::pin(async move {
            match &optional.auth {
                Some(auth) => auth.call_on_authenticate(store, &request).await,
                None => Ok(None),
            }
        })
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

/// A component without `auth` knows no users.
pub(super) fn on_credential(
    request: ConnectRequest,
    user: String,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, Option<wit_auth::Credential>> + Send {
    let request = Box::new(request.into());
    |i| {
        let Instance {
            store, optional, ..
        } = i;
        Box::pin(async move {
            match &optional.auth {
                Some(auth) => auth.call_on_credential(store, &request, &user).await,
                None => Ok(None),
            }
        })
    }
}

pub(super) fn on_publish(
    request: StreamRequest,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, wit::PublishDecision> + Send {
    let request = Box::new(request.into());
    |i| {
        let Instance { store, policy, .. } = i;
        Box::pin(async move { policy.call_on_publish(store, &request).await })
    }
}

pub(super) fn on_play(
    request: StreamRequest,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, wit::PlayDecision> + Send {
    let request = Box::new(request.into());
    |i| {
        let Instance { store, policy, .. } = i;
        Box::pin(async move { policy.call_on_play(store, &request).await })
    }
}

/// A component without `calls` knows no method.
pub(super) fn on_call(
    who: Client,
    method: String,
    amf0: Bytes,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, Result<Vec<u8>, String>> + Send {
    let who = who.into();
    |i| {
        let Instance {
            store, optional, ..
        } = i;
        Box::pin(async move {
            match &optional.calls {
                Some(calls) => calls.call_on_call(store, &who, &method, &amf0).await,
                None => Ok(Err(UNKNOWN_METHOD.into())),
            }
        })
    }
}

/// A component without `shared-objects` allows nothing: it was asked by mistake.
pub(super) fn on_shared_object(
    request: ObjectRequest,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, wit_objects::ObjectDecision> + Send {
    let request = Box::new(request.into());
    |i| {
        let Instance {
            store, optional, ..
        } = i;
        Box::pin(async move {
            match &optional.shared_objects {
                Some(objects) => objects.call_on_shared_object(store, &request).await,
                None => Ok(wit_objects::ObjectDecision::Deny),
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
    store: &mut Store<State>,
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

/// The function of the interface that takes `event`.
pub(super) fn function_of(event: &Event) -> Function {
    match event {
        Event::Published(_) => Function::Published,
        Event::Ready(_) => Function::Ready,
        Event::Unpublished(..) => Function::Unpublished,
        Event::PlayEnded(..) => Function::PlayEnded,
        Event::Disconnected(..) => Function::Disconnected,
        Event::Recorded(..) => Function::Recorded,
        Event::RelayUp(_) => Function::RelayUp,
        Event::RelayFailed(..) => Function::RelayFailed,
        Event::RelayEnded(..) => Function::RelayEnded,
    }
}
