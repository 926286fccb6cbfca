//! What `wasmtime::component::bindgen!` makes of `wit/0.1`.
//!
//! The world is `app-all`, for the types; a component is never required to
//! export all of it: the optional interfaces are looked up one by one
//! ([`super::optional`]).
//!
//! `wit/0.1` may only grow by optional interfaces and functions that guests
//! import. For anything else a track `wit/0.2` comes beside it:
//!
//! 1. This becomes one module per track, each a `bindgen!` of its folder. Both
//!    link into the one `Linker`, since names carry the version.
//! 2. [`super::compile`] asks the component which `livehost:app/lifecycle@` it
//!    exports and keeps that track's indices; `Compiled` and `Instance` become an
//!    enum of the tracks' exports.
//! 3. [`super::convert`] has the conversions of the newest track; an adapter per
//!    old track maps its records to the same types of the policy: what it does
//!    not have gets the default that the old host had.
//! 4. [`super::imports`] implements both traits on the same stores and services.
//! 5. `host/tests/guests/compat-0.1` stays: it is built against its own copy of
//!    the track as released, and its test says that it still decides.

#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unsafe_code
)]

wasmtime::component::bindgen!({
    path: "../../../wit/0.1",
    world: "app-all",
    imports: {
        // Suspends the calling instance while the request is on its way.
        "livehost:app/http-client.send": async,
    },
    exports: { default: async },
});
