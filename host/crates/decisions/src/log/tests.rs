use std::fs;
use std::sync::mpsc;

use async_trait::async_trait;
use livehost_policy::{
    Answer, Client, Event, OnPlay, OnPublish, PlayDecision, PublishDecision, Question, Rejection,
    Reply, StreamRequest,
};

use super::*;
use crate::writer::{LineSink, QUEUE};

/// Lets everybody play and nobody publish.
struct PlayOnly;

#[async_trait]
impl Policy for PlayOnly {
    async fn ask(&self, question: Question) -> Reply {
        match question {
            Question::Publish(_) => {
                Answer::Publish(PublishDecision::Reject(Rejection::new("no"))).into()
            }
            _ => Answer::Play(PlayDecision::Accept(Default::default())).into(),
        }
    }
    fn decides_shared_objects(&self) -> bool {
        false
    }
    fn notify(&self, _: Event) {}
}

fn stream(name: &str) -> StreamRequest {
    StreamRequest {
        client: Client {
            conn: 7,
            ..Client::default()
        },
        app: "live".into(),
        instance: None,
        name: name.into(),
        raw_name: name.into(),
        query: Vec::new(),
        mode: "live".into(),
        start_seconds: None,
        extra: Vec::new(),
    }
}

fn settings(ring: usize) -> DecisionSettings {
    DecisionSettings {
        ring,
        ..DecisionSettings::default()
    }
}

/// A log in this folder, and a policy around which it is.
fn started(folder: &Path, settings: DecisionSettings) -> (Arc<DecisionLog>, Arc<dyn Policy>) {
    let log = DecisionLog::new();
    log.set(settings, folder);
    let policy = log.around("live", Arc::new(PlayOnly));
    (log, policy)
}

async fn play(policy: &Arc<dyn Policy>, name: &str) {
    policy.ask(OnPlay::new(stream(name)).into()).await;
}

async fn publish(policy: &Arc<dyn Policy>, name: &str) {
    policy.ask(OnPublish::new(stream(name)).into()).await;
}

fn ids(records: &[Arc<DecisionRecord>]) -> Vec<u64> {
    records.iter().map(|record| record.id).collect()
}

/// Of what comes without waiting.
async fn next_ids(feed: &mut DecisionFeed) -> Vec<Result<u64, u64>> {
    let all_there = async {
        let mut ids = Vec::new();
        loop {
            tokio::select! {
                biased;
                item = feed.next() => match item {
                    Some(FeedItem::Decision(record)) => ids.push(Ok(record.id)),
                    Some(FeedItem::Lost(lost)) => ids.push(Err(lost)),
                    None => return ids,
                },
                () = std::future::ready(()) => return ids,
            }
        }
    };
    // Tokio would have it wait after a hundred, for others' sake.
    tokio::task::unconstrained(all_there).await
}

#[tokio::test]
async fn the_ring_has_the_newest_and_is_read_page_by_page() {
    let (log, policy) = started(Path::new(""), settings(3));
    for name in ["a", "b", "c", "d"] {
        play(&policy, name).await;
    }
    let any = DecisionFilter::default();
    let recent = |before, limit| ids(&log.recent(&any, before, limit));
    assert_eq!(recent(None, 10), [4, 3, 2]);
    assert_eq!(recent(None, 2), [4, 3]);
    assert_eq!(recent(Some(3), 2), [2]);
    assert_eq!(recent(Some(1), 2), [0; 0]);
    // Smaller, none, and one again.
    log.set(settings(2), Path::new(""));
    assert_eq!(recent(None, 10), [4, 3]);
    log.set(settings(0), Path::new(""));
    play(&policy, "e").await;
    log.set(settings(2), Path::new(""));
    play(&policy, "f").await;
    assert_eq!(recent(None, 10), [5], "none was made for nobody");
}

#[tokio::test]
async fn filters_say_what_is_wanted() {
    let (log, policy) = started(Path::new(""), settings(10));
    play(&policy, "a").await;
    publish(&policy, "b").await;
    play(&policy, "b").await;
    let any = DecisionFilter::default;
    let some = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (any(), vec![3, 2, 1]),
        (
            DecisionFilter {
                app: some("live"),
                ..any()
            },
            vec![3, 2, 1],
        ),
        (
            DecisionFilter {
                app: some("vod"),
                ..any()
            },
            vec![],
        ),
        (
            DecisionFilter {
                hook: some("on-play"),
                ..any()
            },
            vec![3, 1],
        ),
        (
            DecisionFilter {
                outcome: Some(DecisionOutcome::Rejected),
                ..any()
            },
            vec![2],
        ),
        (
            DecisionFilter {
                conn: Some(7),
                ..any()
            },
            vec![3, 2, 1],
        ),
        (
            DecisionFilter {
                conn: Some(8),
                ..any()
            },
            vec![],
        ),
        (
            DecisionFilter {
                stream: some("b"),
                ..any()
            },
            vec![3, 2],
        ),
        (
            DecisionFilter {
                stream: some("b"),
                hook: some("on-play"),
                ..any()
            },
            vec![3],
        ),
    ] {
        let found = ids(&log.recent(&filter, None, 10));
        assert_eq!(found, expected, "{filter:?}");
        let mut feed = log.subscribe(filter.clone(), Some(0));
        let found: Vec<_> = next_ids(&mut feed).await.into_iter().flatten().collect();
        assert!(found.iter().eq(expected.iter().rev()), "{filter:?}");
    }
}

#[tokio::test]
async fn a_feed_goes_on_where_its_reader_was() {
    let (log, policy) = started(Path::new(""), settings(3));
    let mut from_now = log.subscribe(DecisionFilter::default(), None);
    for name in ["a", "b", "c", "d", "e"] {
        play(&policy, name).await;
    }
    let resumed = [
        (4, vec![Ok(5)]),
        (2, vec![Ok(3), Ok(4), Ok(5)]),
        // The ring has them no more.
        (1, vec![Err(1), Ok(3), Ok(4), Ok(5)]),
        (5, vec![]),
        // Of a process before.
        (99, vec![Err(2), Ok(3), Ok(4), Ok(5)]),
    ];
    let resumed = resumed.map(|(after, expected)| {
        let feed = log.subscribe(DecisionFilter::default(), Some(after));
        (after, feed, expected)
    });
    play(&policy, "f").await;
    for (after, mut feed, mut expected) in resumed {
        expected.push(Ok(6));
        assert_eq!(next_ids(&mut feed).await, expected, "{after}");
    }
    let all: Vec<_> = (1..=6).map(Ok).collect();
    assert_eq!(next_ids(&mut from_now).await, all);
}

#[tokio::test]
async fn a_slow_reader_learns_how_much_it_lost() {
    let (log, policy) = started(Path::new(""), settings(0));
    play(&policy, "nobody wants it").await;
    let mut feed = log.subscribe(DecisionFilter::default(), None);
    for _ in 0..FEED + 5 {
        play(&policy, "a").await;
    }
    let found = next_ids(&mut feed).await;
    assert_eq!(found.first(), Some(&Err(5)));
    assert_eq!(found.get(1), Some(&Ok(6)));
    assert_eq!(found.len(), FEED + 1);
    // With the end of the log it ends, after what there was.
    play(&policy, "b").await;
    log.close().await;
    assert!(matches!(feed.next().await, Some(FeedItem::Decision(_))));
    assert_eq!(feed.next().await, None);
    play(&policy, "c").await;
    let mut late = log.subscribe(DecisionFilter::default(), None);
    assert_eq!(late.next().await, None);
    assert_eq!(log.counts().get("recorded"), (FEED + 6) as u64);
}

#[tokio::test]
async fn of_those_that_have_their_way_a_sample_is_recorded() {
    let (log, policy) = started(
        Path::new(""),
        DecisionSettings {
            sample: 4,
            ..settings(100)
        },
    );
    for _ in 0..10 {
        play(&policy, "a").await;
        publish(&policy, "a").await;
    }
    let records = log.recent(&DecisionFilter::default(), None, 100);
    let with = |outcome| {
        let records = records.iter().filter(|record| record.outcome == outcome);
        records.map(|record| record.sample).collect::<Vec<_>>()
    };
    assert_eq!(with(DecisionOutcome::Accepted), [Some(4); 3]);
    assert_eq!(with(DecisionOutcome::Rejected), [None; 10]);
    let ids = ids(&records);
    assert!(ids.into_iter().rev().eq(1..=13), "none is lost");
    assert_eq!(log.counts().get("left_out"), 7);
}

#[tokio::test]
async fn other_questions_are_left_alone() {
    let (log, policy) = started(
        Path::new(""),
        DecisionSettings {
            hooks: vec!["on-publish"],
            ..settings(100)
        },
    );
    play(&policy, "a").await;
    publish(&policy, "a").await;
    let records = log.recent(&DecisionFilter::default(), None, 100);
    let hooks: Vec<_> = records.iter().map(|record| record.hook).collect();
    assert_eq!(hooks, ["on-publish"]);
}

fn to_file(file: &str) -> DecisionSettings {
    DecisionSettings {
        file: file.into(),
        ..settings(0)
    }
}

/// The ids of the lines in a file.
fn written(file: &Path) -> Vec<u64> {
    let text = fs::read_to_string(file).unwrap();
    let id = |line| -> u64 {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["id"].as_u64().unwrap()
    };
    text.lines().map(id).collect()
}

#[tokio::test]
async fn files_have_each_record_once_and_in_order_whatever_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (log, policy) = started(folder.path(), to_file("a/decisions.jsonl"));
    for _ in 0..300 {
        play(&policy, "a").await;
    }
    // Full files are kept from now on.
    let full = DecisionSettings {
        file_size: 64 << 10,
        files: 100,
        ..to_file("a/decisions.jsonl")
    };
    log.set(full.clone(), folder.path());
    for _ in 0..700 {
        publish(&policy, "a").await;
    }
    log.set(to_file("b.jsonl"), folder.path());
    play(&policy, "a").await;
    log.set(settings(0), folder.path());
    play(&policy, "nobody wants it").await;
    log.set(full, folder.path());
    play(&policy, "a").await;
    log.close().await;
    play(&policy, "a").await;
    let name = |number: usize| folder.path().join(format!("a/decisions.jsonl.{number}"));
    let full: Vec<_> = (1..).map(name).take_while(|file| file.exists()).collect();
    assert!(full.len() >= 2, "{full:?}");
    let small = |file: &PathBuf| fs::metadata(file).unwrap().len() <= 64 << 10;
    assert!(full.iter().all(small));
    let mut found: Vec<u64> = full.iter().rev().flat_map(|file| written(file)).collect();
    found.extend(written(&folder.path().join("a/decisions.jsonl")));
    assert!(found.into_iter().eq((1..=1000).chain([1002])));
    assert_eq!(written(&folder.path().join("b.jsonl")), [1001]);
    assert_eq!(log.counts().get("lost"), 0);
}

/// Says that it was called, and waits to be let on.
struct Stalled {
    called: mpsc::Sender<usize>,
    go_on: mpsc::Receiver<()>,
}

impl LineSink for Stalled {
    fn write_lines(&mut self, lines: &[u8]) {
        let lines = lines.iter().filter(|byte| **byte == b'\n').count();
        self.called.send(lines).unwrap();
        // Until there is nobody to wait for.
        let _ = self.go_on.recv();
    }
}

#[tokio::test]
async fn a_file_that_stalls_loses_lines_and_holds_up_no_decision() {
    let (log, policy) = started(Path::new(""), settings(1));
    let (called, calls) = mpsc::channel();
    let (go, go_on) = mpsc::channel();
    let writer = Writer::start(Stalled { called, go_on }, None, log.lost.clone());
    log.state.lock().writer = Some(writer);
    play(&policy, "a").await;
    let first = loop {
        match calls.try_recv() {
            Ok(lines) => break lines,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(first, 1);
    for _ in 0..QUEUE + 10 {
        play(&policy, "a").await;
    }
    assert_eq!(log.counts().get("lost"), 10);
    assert_eq!(log.counts().get("recorded"), (QUEUE + 11) as u64);
    drop(go);
    log.close().await;
    let rest: usize = calls.try_iter().sum();
    assert_eq!(rest, QUEUE);
}
