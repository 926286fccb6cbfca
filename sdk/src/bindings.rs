//! What wit-bindgen makes of `wit/0.1`, world `app`.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wit_bindgen::generate!({
    path: "../wit/0.1",
    world: "app",
    pub_export_macro: true,
    export_macro_name: "export_bindings",
    default_bindings_module: "livehost_sdk::bindings",
    runtime_path: "::livehost_sdk::__private::wit_bindgen::rt",
    additional_derives: [Clone, PartialEq],
    additional_type_attributes: {
        "livehost:app/types@0.1.0/connect-grant": [#[derive(Default)]],
        "livehost:app/types@0.1.0/publish-grant": [#[derive(Default)]],
        "livehost:app/types@0.1.0/play-grant": [#[derive(Default)]],
        "livehost:app/types@0.1.0/duplicate-rule": [#[derive(Default)]],
    },
    additional_member_attributes: {
        "livehost:app/types@0.1.0/duplicate-rule.reject": [#[default]],
    },
});
