//! The calls of a plugin's exports, each as what [`Instance::call`] takes.
//!
//! Flows in: a question or an event, in the policy's types. Flows out: a
//! closure that asks one instance.

use bytes::Bytes;

use super::UNKNOWN_METHOD;
use super::bindings::exports::livehost::app::auth as wit_auth;
use super::bindings::livehost::app::types as wit;
use super::instance::{Call, Instance};
use crate::policy::{Client, ConnectRequest, Event, StreamRequest};

pub(super) fn on_connect(
    request: ConnectRequest,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, wit::ConnectDecision> + Send {
    let request = request.into();
    |i| {
        let Instance { store, policy, .. } = i;
        Box::pin(async move { policy.call_on_connect(store, &request).await })
    }
}

/// A component without `auth` asks nobody for a password.
pub(super) fn on_authenticate(
    request: ConnectRequest,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, Option<String>> + Send {
    let request = request.into();
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

/// A component without `auth` knows no users.
pub(super) fn on_credential(
    request: ConnectRequest,
    user: String,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, Option<wit_auth::Credential>> + Send {
    let request = request.into();
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
    let request = request.into();
    |i| {
        let Instance { store, policy, .. } = i;
        Box::pin(async move { policy.call_on_publish(store, &request).await })
    }
}

pub(super) fn on_play(
    request: StreamRequest,
) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, wit::PlayDecision> + Send {
    let request = request.into();
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

/// A component without `events` hears of nothing.
pub(super) fn event(event: Event) -> impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, ()> + Send {
    |i| {
        let Instance {
            store, optional, ..
        } = i;
        Box::pin(async move {
            let Some(events) = &optional.events else {
                return Ok(());
            };
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
            }
        })
    }
}

/// The function of the interface that takes `event`.
pub(super) fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Published(_) => "on-published",
        Event::Ready(_) => "on-ready",
        Event::Unpublished(..) => "on-unpublished",
        Event::PlayEnded(..) => "on-play-ended",
        Event::Disconnected(..) => "on-disconnected",
        Event::Recorded(..) => "on-recorded",
    }
}
