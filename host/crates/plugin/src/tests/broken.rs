//! Files and configurations that can't serve: each is refused with the reason.

use super::*;

async fn fault(bytes: &[u8], config: &str) -> Fault {
    fault_within(bytes, config, PluginLimits::default()).await
}

async fn fault_within(bytes: &[u8], config: &str, limits: PluginLimits) -> Fault {
    let error = match Fixture::try_load(bytes, config, limits).await {
        Ok(_) => panic!("it serves"),
        Err(error) => error,
    };
    let line = error.to_string();
    assert!(
        line.contains("application \"live\"") && line.contains("probe.wasm"),
        "names both: {line}"
    );
    assert!(!line.contains('\n'), "one line: {line}");
    error.fault
}

#[tokio::test]
async fn files_that_are_no_component() {
    for (bytes, said) in [
        (&b""[..], "the file is empty"),
        (b"#!/bin/sh\n", "begin with \"#!/b\""),
        (b"\0asm", "ends after 4 bytes"),
        (
            b"\0asm\x0d\0\x01\0garbage",
            "is not a WebAssembly component",
        ),
        (b"\0asm\x0d\0\x02\0", "0d 00 01 00"),
    ] {
        let fault = fault(bytes, "{}").await;
        assert!(matches!(fault, Fault::NotAComponent(_)), "{fault:?}");
        assert!(fault.to_string().contains(said), "{fault}");
    }
}

#[tokio::test]
async fn half_a_file_is_no_component() {
    let bytes = probe(0);
    let fault = fault(&bytes[..bytes.len() / 2], "{}").await;
    assert!(matches!(fault, Fault::NotAComponent(_)), "{fault:?}");
}

#[tokio::test]
async fn a_core_module_is_told_how_to_become_a_component() {
    let fault = fault(b"\0asm\x01\0\0\0", "{}").await;
    assert_eq!(fault, Fault::CoreModule);
    assert!(fault.to_string().contains("wasm32-wasip2"));
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let spec = PluginSpec {
        app: "live".into(),
        file: "/nonexistent/probe.wasm".into(),
        config: "{}".into(),
        limits: PluginLimits::default(),
        http: outbound::HttpSettings::default(),
    };
    let error = Plugin::check(runtime(), spec, false).await.unwrap_err();
    assert!(matches!(error.fault, Fault::Unreadable(_)));
    assert!(error.to_string().contains("/nonexistent/probe.wasm"));
}

#[tokio::test]
async fn missing_exports_are_named_with_the_world() {
    // The shortest component: its preamble.
    let empty = fault(b"\0asm\x0d\0\x01\0", "{}").await.to_string();
    assert!(
        empty.contains("livehost:app/lifecycle@0.1.0") && empty.contains("world `app`"),
        "{empty}"
    );
    let other_track = fault(&patched(probe(0), "@0.1.0", "@0.3.0"), "{}").await;
    assert!(
        other_track.to_string().contains("it exports livehost:app/"),
        "{other_track}"
    );
}

#[tokio::test]
async fn unknown_imports_are_named() {
    let bytes = patched(probe(0), "livehost:app/kv@", "livehost:app/kx@");
    let fault = fault(&bytes, "{}").await;
    assert!(matches!(fault, Fault::UnknownImport { .. }), "{fault:?}");
    assert!(fault.to_string().contains("livehost:app/kx"), "{fault}");
}

#[tokio::test]
async fn an_interface_without_its_function_is_named() {
    let bytes = patched(probe(0), "on-unpublished", "on-unpublishex");
    let fault = fault(&bytes, "{}").await;
    assert!(matches!(fault, Fault::WrongShape { .. }), "{fault:?}");
    assert!(fault.to_string().contains("on-unpublished"), "{fault}");
}

#[tokio::test]
async fn a_refused_configuration_is_quoted() {
    assert_eq!(
        fault(&probe(0), &mode("refuse-configure")).await,
        Fault::ConfigRefused("asked to refuse its configuration".into())
    );
    let Fault::ConfigRefused(text) = fault(&probe(0), r#"{"mood": "good"}"#).await else {
        panic!("taken");
    };
    assert!(text.contains("unknown field `mood`"), "{text}");
}

#[tokio::test]
async fn a_refused_start_is_quoted() {
    assert_eq!(
        fault(&probe(0), &mode("refuse-start")).await,
        Fault::StartRefused("asked to refuse to start".into())
    );
}

#[tokio::test]
async fn misbehaviour_before_serving_is_bounded() {
    let limits = PluginLimits {
        start_cpu: Duration::from_millis(40),
        start: Duration::from_millis(200),
        memory_bytes: 8 << 20,
        ..PluginLimits::default()
    };
    for (bad, hook) in [
        ("panic-on-configure", "configure"),
        ("alloc-on-configure", "configure"),
        ("loop-on-configure", "configure"),
        ("sleep-on-configure", "configure"),
        ("panic-on-start", "on-start"),
        ("loop-on-start", "on-start"),
    ] {
        let fault = fault_within(&probe(0), &mode(bad), limits.clone()).await;
        let failed_in = match fault {
            Fault::Trapped { hook, .. } | Fault::TimedOut { hook, .. } => hook,
            other => panic!("{bad}: {other}"),
        };
        assert_eq!(failed_in, hook, "{bad}");
    }
}

#[tokio::test]
async fn a_memory_limit_below_the_guests_start_is_said() {
    let limits = PluginLimits {
        memory_bytes: 1 << 16,
        ..PluginLimits::default()
    };
    let fault = fault_within(&probe(0), "{}", limits).await;
    assert!(fault.to_string().contains("65536 bytes"), "{fault}");
}
