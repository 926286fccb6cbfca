//! What an operator reads.

use std::io::Write;
use std::sync::LazyLock;

use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

use super::*;

/// The log of this test's thread.
#[derive(Clone, Default)]
pub(super) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Captured {
    pub(super) fn start() -> (Self, DefaultGuard) {
        // As long as there is but one subscriber, tracing asks that of the thread
        // which comes to a line first whether the line is of interest: another
        // test's has none.
        static ANOTHER: LazyLock<Dispatch> =
            LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&ANOTHER);
        let captured = Self::default();
        let writer = captured.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .finish();
        (captured, tracing::subscriber::set_default(subscriber))
    }

    pub(super) fn lines(&self, with: &str) -> Vec<String> {
        let text = self.0.lock().clone();
        let text = String::from_utf8(text).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.retain(|line| line.contains(with));
        lines
    }

    /// The one line with `with`, which must also have all of `parts`.
    pub(super) fn one(&self, with: &str, parts: &[&str]) {
        let lines = self.lines(with);
        assert_eq!(lines.len(), 1, "{with}: {lines:?}");
        for part in parts {
            assert!(lines[0].contains(part), "{part} is not in {}", lines[0]);
        }
    }
}

#[tokio::test]
async fn a_reload_is_told_step_by_step() {
    let (log, _guard) = Captured::start();
    let fixture = Fixture::probe("accept").await;
    let hash = fixture.plugin.describe().hash;
    let hash = format!("hash=\"{hash}\"");
    let parts = ["INFO", "app=\"live\"", "generation=1", &hash, "probe.wasm"];
    log.one("plugin generation serving", &parts);

    fixture.replace(b"garbage");
    assert!(fixture.plugin.reload().await.is_err());
    assert_eq!(fixture.plugin.reload().await, Ok(Reload::KnownBad));
    log.one(
        "plugin reload failed; the old generation keeps serving",
        &[
            "ERROR",
            "app=\"live\"",
            "probe.wasm",
            "not a WebAssembly component",
        ],
    );

    fixture.replace(&probe(1));
    fixture.plugin.reload().await.unwrap();
    fixture.plugin.shutdown(StopReason::Shutdown).await;
    assert_eq!(log.lines("plugin generation serving").len(), 2);
    let drained = log.lines("plugin generation drained");
    assert_eq!(drained.len(), 2, "{drained:?}");
    // In whatever order they come to their end.
    for generation in ["generation=1", "generation=2"] {
        let said = |line: &&String| line.contains(generation) && line.contains("app=\"live\"");
        assert_eq!(drained.iter().filter(said).count(), 1, "{drained:?}");
    }
}

#[tokio::test]
async fn a_trial_is_no_event() {
    let (log, _guard) = Captured::start();
    let fixture = Fixture::probe("accept").await;
    let welcome = Plugin::welcome(runtime(), fixture.spec(), "127.0.0.1", "test").await;
    assert!(welcome.is_some());
    let lines = log.lines("generation=0");
    assert!(lines.is_empty(), "{lines:?}");
}

#[tokio::test]
async fn guests_write_lines_with_their_name() {
    let (log, _guard) = Captured::start();
    let fixture = Fixture::probe("accept").await;
    fixture.call("log", "hello there").await.unwrap();
    log.one("hello there", &["INFO", "app=\"live\"", "plugin=\"probe\""]);
    fixture.call("log", "one\ntwo").await.unwrap();
    log.one("one\\ntwo", &["INFO"]);
    fixture.call("print", "printed text").await.unwrap();
    log.one("printed text", &["INFO", "plugin=\"probe\""]);
    assert!(fixture.call("panic", "").await.is_err());
    log.one("asked to panic in a call", &["WARN", "plugin=\"probe\""]);
}

#[tokio::test]
async fn clients_that_fill_the_queue_of_events_again_and_again_fill_no_log() {
    let (log, _guard) = Captured::start();
    let begin = std::time::Instant::now();
    let queue = events::EventQueue::new("live".into(), 1);
    let event = || Event::Disconnected(Client::default(), SessionEnd::default());
    for _ in 0..1000 {
        assert!(queue.push(event()));
        assert!(!queue.push(event()));
        queue.next(|_, _| None).await.expect("is queued");
    }
    let lines = log.lines("event queue").len();
    let minutes = 1 + begin.elapsed().as_secs() as usize / 60;
    assert!((60..=60 * minutes).contains(&lines), "{lines}");
}

#[tokio::test]
async fn a_chatty_guest_is_cut_short_and_the_rest_counted() {
    let (log, _guard) = Captured::start();
    let limits = PluginLimits {
        log_lines_per_second: 10,
        cpu: SOON,
        ..PluginLimits::default()
    };
    let fixture = Fixture::probe_within("chatter-on-connect", limits).await;
    fixture.connect(&[]).await.unwrap();
    let lines = log.lines("chatter ").len();
    assert!((1..=200).contains(&lines), "{lines} of 1000 lines");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    fixture.call("log", "later").await.unwrap();
    assert!(!log.lines("the plugin wrote too many lines").is_empty());
}
