//! What `wasmtime::component::bindgen!` makes of `wit/0.1`.
//!
//! The world is `app-all`, for the types; a component is never required to
//! export all of it: the optional interfaces are looked up one by one
//! ([`super::optional`]).

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
