//! What a decision costs; run by hand:
//! `cargo test --release -p livehost --lib plugin::tests::measure -- --ignored --nocapture`

use std::time::Instant;

use super::*;

async fn measure(name: &str, config: &str, callers: usize) {
    const CALLS: usize = 50_000;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guest.wasm");
    std::fs::write(&file, guest(name)).unwrap();
    let spec = PluginSpec {
        app: "live".into(),
        file,
        config: config.into(),
        limits: Limits::default(),
        http: outbound::Settings::default(),
    };
    let loading = Instant::now();
    let media = Arc::new(Recorder::default());
    let plugin = Plugin::load(runtime(), spec, media.services())
        .await
        .unwrap();
    let loaded = loading.elapsed();
    let each = CALLS / callers;
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let plugin = Arc::clone(&plugin);
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(each);
                for _ in 0..each {
                    let request = stream("cam1", &[("key", "k1")]);
                    let started = Instant::now();
                    plugin.on_publish(request).await.unwrap();
                    times.push(started.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{name}, {callers} callers: loaded in {loaded:?}; on-publish p50 {:?}, p99 {:?}, p99.9 {:?}",
        at(0.5),
        at(0.99),
        at(0.999)
    );
}

#[ignore = "a measurement"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_publish() {
    for callers in [1, 16] {
        measure("allow-all", "{}", callers).await;
        measure("static-keys", r#"{"publish": {"keys": ["k1"]}}"#, callers).await;
    }
}
