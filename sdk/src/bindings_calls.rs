//! What wit-bindgen makes of `wit/0.1`, world `app-calls`: the exports that a
//! policy which answers calls adds to those of `bindings`.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wit_bindgen::generate!({
    path: "../wit/0.1",
    world: "app-calls",
    pub_export_macro: true,
    export_macro_name: "export_calls_bindings",
    default_bindings_module: "livehost_sdk::bindings_calls",
    runtime_path: "::livehost_sdk::__private::wit_bindgen::rt",
    with: { "livehost:app/types@0.1.0": crate::bindings::livehost::app::types },
    additional_derives: [Clone, PartialEq],
});
