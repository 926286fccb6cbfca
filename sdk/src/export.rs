//! From the component's exports to [`App`]'s methods.

use std::marker::PhantomData;

use crate::bindings::exports::livehost::app::{lifecycle, policy};
use crate::bindings_calls::exports::livehost::app::calls;
use crate::bindings_events::exports::livehost::app::events;
use crate::{
    App, Client, ConnectDecision, ConnectRequest, Handoff, PlayDecision, PublishDecision,
    Recording, SessionEnd, StartReason, StopReason, StreamInfo, StreamRequest,
};

/// Where [`export!`](crate::export) keeps the one [`App`] of an instance.
#[doc(hidden)]
pub trait Hosted: 'static {
    /// The policy.
    type App: App;
    /// Keeps it; false when there is one already.
    fn set(app: Self::App) -> bool;
    /// Runs `f` with it, or with none before `configure`.
    fn with<R>(f: impl FnOnce(Option<&Self::App>) -> R) -> R;
}

/// Implements the component's exports by calling `H::App`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Exports<H>(PhantomData<H>);

pub(crate) fn with<H: Hosted, R>(f: impl FnOnce(&H::App) -> R) -> R {
    H::with(|app| f(app.expect("the host calls configure before any other function")))
}

impl<H: Hosted> lifecycle::Guest for Exports<H> {
    fn configure(config: String) -> Result<(), String> {
        if H::set(H::App::configure(&config)?) {
            Ok(())
        } else {
            Err("this instance is configured already".into())
        }
    }

    fn on_start(reason: StartReason, from_old: Option<Handoff>) -> Result<(), String> {
        with::<H, _>(|app| app.on_start(reason, from_old))
    }

    fn snapshot() -> Option<Handoff> {
        with::<H, _>(|app| app.snapshot())
    }

    fn on_stop(reason: StopReason) {
        with::<H, _>(|app| app.on_stop(reason));
    }

    fn on_timer(key: String) {
        with::<H, _>(|app| app.on_timer(&key));
    }
}

impl<H: Hosted> policy::Guest for Exports<H> {
    fn on_connect(req: ConnectRequest) -> ConnectDecision {
        with::<H, _>(|app| app.on_connect(&req))
    }

    fn on_publish(req: StreamRequest) -> PublishDecision {
        with::<H, _>(|app| app.on_publish(&req))
    }

    fn on_play(req: StreamRequest) -> PlayDecision {
        with::<H, _>(|app| app.on_play(&req))
    }
}

impl<H: Hosted> events::Guest for Exports<H> {
    fn on_published(info: StreamInfo) {
        with::<H, _>(|app| app.on_published(&info));
    }

    fn on_ready(info: StreamInfo) {
        with::<H, _>(|app| app.on_ready(&info));
    }

    fn on_unpublished(info: StreamInfo, end: SessionEnd) {
        with::<H, _>(|app| app.on_unpublished(&info, &end));
    }

    fn on_play_ended(req: StreamRequest, end: SessionEnd) {
        with::<H, _>(|app| app.on_play_ended(&req, &end));
    }

    fn on_disconnected(who: Client, end: SessionEnd) {
        with::<H, _>(|app| app.on_disconnected(&who, &end));
    }

    fn on_recorded(info: StreamInfo, file: Recording, bytes: u64, duration_ms: u64) {
        with::<H, _>(|app| app.on_recorded(&info, &file, bytes, duration_ms));
    }
}

impl<H: Hosted> calls::Guest for Exports<H> {
    fn on_call(who: Client, method: String, amf0: Vec<u8>) -> Result<Vec<u8>, String> {
        with::<H, _>(|app| app.on_call(&who, &method, &amf0))
    }
}

/// Makes a type that implements [`App`] the policy of this component. Use it
/// once, at the top level of a `cdylib` crate. Behind the type are the optional
/// interfaces that need a trait of their own: `auth` for
/// [`Authenticate`](crate::Authenticate), `relays` for [`Relays`](crate::Relays),
/// `shared_objects` for [`ShareObjects`](crate::ShareObjects).
///
/// ```
/// # use livehost_sdk::*;
/// # struct Members;
/// # impl App for Members {
/// #     fn configure(_: &str) -> Result<Self, String> { Ok(Members) }
/// # }
/// # impl Authenticate for Members {
/// #     fn on_authenticate(&self, _: &ConnectRequest) -> Option<Challenge> { None }
/// #     fn on_credential(&self, _: &ConnectRequest, _: &str) -> Option<Credential> { None }
/// # }
/// # impl Relays for Members {}
/// livehost_sdk::export!(Members, auth, relays);
/// # fn main() {}
/// ```
///
/// A policy that decides, and neither hears of what has happened nor answers
/// calls, says `only`. It spares the server some calls for each client, which
/// [`App`]'s own methods would answer with nothing:
///
/// ```
/// # use livehost_sdk::*;
/// # struct Members;
/// # impl App for Members {
/// #     fn configure(_: &str) -> Result<Self, String> { Ok(Members) }
/// # }
/// livehost_sdk::export!(only Members);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    // One for each optional interface.
    (@events $component:ident) => {
        $crate::__private::export_events_bindings!($component with_types_in $crate::bindings_events);
    };
    (@calls $component:ident) => {
        $crate::__private::export_calls_bindings!($component with_types_in $crate::bindings_calls);
    };
    (@auth $component:ident) => {
        $crate::__private::export_auth_bindings!($component with_types_in $crate::bindings_auth);
    };
    (@relays $component:ident) => {
        $crate::__private::export_relays_bindings!(
            $component with_types_in $crate::bindings_relays
        );
    };
    (@shared_objects $component:ident) => {
        $crate::__private::export_shared_objects_bindings!(
            $component with_types_in $crate::bindings_shared_objects
        );
    };
    (@$other:ident $component:ident) => {
        ::std::compile_error!(::std::concat!(
            "expected an optional interface of livehost_sdk::export!, found ",
            ::std::stringify!($other),
        ));
    };
    ($app:ty $(, $optional:ident)* $(,)?) => {
        $crate::export!(only $app, events, calls $(, $optional)*);
    };
    (only $app:ty $(, $optional:ident)* $(,)?) => {
        const _: () = {
            ::std::thread_local! {
                static APP: ::std::cell::OnceCell<$app> = const { ::std::cell::OnceCell::new() };
            }

            struct Slot;

            impl $crate::__private::Hosted for Slot {
                type App = $app;

                fn set(app: $app) -> bool {
                    APP.with(|slot| slot.set(app).is_ok())
                }

                fn with<R>(f: impl FnOnce(Option<&$app>) -> R) -> R {
                    APP.with(|slot| f(slot.get()))
                }
            }

            type Component = $crate::__private::Exports<Slot>;
            $crate::__private::export_bindings!(Component with_types_in $crate::bindings);
            $($crate::export!(@$optional Component);)*
        };
    };
}
