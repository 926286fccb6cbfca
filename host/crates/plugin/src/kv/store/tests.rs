use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000_000;

fn store(quota: usize) -> Store {
    Store::new(quota, NOW)
}

fn set(store: &mut Store, key: &str, value: &[u8]) -> Result<u64, ChangeRefused> {
    store.set(key.into(), value.to_vec(), None, NOW)
}

fn value(store: &mut Store, key: &str, now: u64) -> Option<Vec<u8>> {
    store.get(key, now).map(|record| record.value.to_vec())
}

#[test]
fn every_change_has_a_new_version() {
    let mut kv = store(1 << 20);
    let first = set(&mut kv, "a", b"1").unwrap();
    let second = set(&mut kv, "a", b"2").unwrap();
    assert!(second > first);
    kv.remove("a");
    let third = set(&mut kv, "a", b"3").unwrap();
    assert!(third > second, "a deleted key's version must not return");
    let record = kv.get("a", NOW).unwrap();
    assert_eq!((&record.value[..], record.version), (&b"3"[..], third));
}

#[test]
fn versions_of_a_run_that_was_lost_do_not_return() {
    let mut lost = store(1 << 20);
    let given_out = set(&mut lost, "a", b"1").unwrap();
    // Nothing of it reached the disk.
    let mut next = Store::restored(1 << 20, NOW + 1, 0, []);
    assert!(set(&mut next, "a", b"2").unwrap() > given_out);
    // Nor when the clock was set back, as long as the disk knows them.
    let mut back = Store::restored(1 << 20, 5, given_out, []);
    assert!(set(&mut back, "a", b"2").unwrap() > given_out);
}

#[test]
fn values_expire() {
    let mut kv = store(1 << 20);
    kv.set("a".into(), b"1".to_vec(), Some(1000), NOW).unwrap();
    assert!(kv.get("a", NOW + 999).is_some());
    assert!(kv.get("a", NOW + 1000).is_none());
    assert_eq!((kv.used, kv.expiring.len()), (0, 0));
}

#[test]
fn a_new_value_has_a_new_time_to_live() {
    let mut kv = store(1 << 20);
    kv.set("a".into(), b"1".to_vec(), Some(1000), NOW).unwrap();
    set(&mut kv, "a", b"2").unwrap();
    assert!(kv.get("a", NOW + 1000).is_some());
    assert!(kv.expiring.is_empty());
}

#[test]
fn an_endless_time_to_live_is_for_ever() {
    let mut kv = store(1 << 20);
    kv.set("a".into(), b"1".to_vec(), Some(u64::MAX), NOW)
        .unwrap();
    assert!(kv.get("a", u64::MAX).is_some());
}

#[test]
fn cas_swaps_only_the_known_version() {
    let mut kv = store(1 << 20);
    let mut cas = |value: &[u8], version| {
        kv.cas("a".into(), value.to_vec(), version, None, NOW)
            .unwrap()
    };
    assert!(!cas(b"1", 7), "absent, but a version was expected");
    assert!(cas(b"1", 0), "0 is: must not exist");
    assert!(!cas(b"2", 0));
    let version = kv.get("a", NOW).unwrap().version;
    let mut cas = |value: &[u8]| {
        kv.cas("a".into(), value.to_vec(), version, None, NOW)
            .unwrap()
    };
    assert!(cas(b"2"));
    assert!(!cas(b"3"));
}

#[test]
fn counters_count_and_keep_their_period() {
    let mut kv = store(1 << 20);
    assert_eq!(kv.incr("n".into(), 2, Some(1000), NOW), Ok(2));
    assert_eq!(kv.incr("n".into(), -5, Some(1000), NOW + 900), Ok(-3));
    assert_eq!(kv.incr("n".into(), 1, Some(1000), NOW + 1001), Ok(1));
    assert_eq!(value(&mut kv, "n", NOW + 1001), Some(b"1".to_vec()));
}

#[test]
fn counters_refuse_overflow_and_other_values() {
    let mut kv = store(1 << 20);
    kv.incr("n".into(), i64::MAX, None, NOW).unwrap();
    assert_eq!(
        kv.incr("n".into(), 1, None, NOW),
        Err(ChangeRefused::Overflow)
    );
    assert_eq!(kv.incr("n".into(), -1, None, NOW), Ok(i64::MAX - 1));
    set(&mut kv, "text", b"hello").unwrap();
    let refused = kv.incr("text".into(), 1, None, NOW);
    assert_eq!(refused, Err(ChangeRefused::NotACounter));
}

#[test]
fn the_quota_holds_and_is_freed_again() {
    let mut kv = store(3 * (OVERHEAD + 101));
    for key in ["a", "b", "c"] {
        set(&mut kv, key, &[0; 100]).unwrap();
    }
    assert_eq!(set(&mut kv, "d", b""), Err(ChangeRefused::Quota));
    // The same size again, in place of the old.
    set(&mut kv, "a", &[1; 100]).unwrap();
    kv.remove("b");
    set(&mut kv, "d", &[0; 100]).unwrap();
    assert!(kv.used <= kv.quota);
}

#[test]
fn above_a_smaller_quota_values_may_shrink_only() {
    let mut kv = store(1 << 20);
    set(&mut kv, "a", &[0; 100]).unwrap();
    kv.set_quota(10);
    assert_eq!(set(&mut kv, "a", &[0; 101]), Err(ChangeRefused::Quota));
    set(&mut kv, "a", &[0; 50]).unwrap();
}

#[test]
fn expired_entries_make_room() {
    let mut kv = store(OVERHEAD + 101);
    kv.set("a".into(), vec![0; 100], Some(10), NOW).unwrap();
    let set = kv.set("b".into(), vec![0; 100], None, NOW + 10);
    assert!(set.is_ok());
    assert_eq!(kv.entries.len(), 1);
}

#[test]
fn large_keys_and_values_are_refused() {
    let mut kv = store(usize::MAX);
    let key = "k".repeat(MAX_KEY + 1);
    assert_eq!(set(&mut kv, &key, b""), Err(ChangeRefused::TooLarge));
    let value = vec![0; MAX_VALUE + 1];
    assert_eq!(set(&mut kv, "k", &value), Err(ChangeRefused::TooLarge));
}

#[test]
fn what_the_disk_never_had_is_not_deleted_there() {
    let mut kv = store(1 << 20);
    set(&mut kv, "a", b"1").unwrap();
    kv.remove("a");
    assert!(!kv.is_dirty());
}

/// A step of a store's life beside its disk.
#[derive(Debug, Clone)]
enum Step {
    Set(u8, Option<u64>),
    Remove(u8),
    /// Begin to write, or end it well or badly.
    Begin,
    End(bool),
    Later(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8, prop::option::of(1..50_u64)).prop_map(|(k, ttl)| Step::Set(k, ttl)),
        (0..4_u8).prop_map(Step::Remove),
        Just(Step::Begin),
        any::<bool>().prop_map(Step::End),
        (1..30_u64).prop_map(Step::Later),
    ]
}

proptest! {
    /// Whatever happens between and during writes, the disk has in the end
    /// what memory has, and no more keys are remembered than there are.
    #[test]
    fn disk_follows_memory(steps in prop::collection::vec(step(), 0..60)) {
        let mut kv = store(1 << 20);
        let mut disk: HashMap<Arc<str>, Record> = HashMap::new();
        let mut under_way: Option<Changes> = None;
        let mut now = NOW;
        let mut apply = |kv: &mut Store, changes: Changes, done: bool| {
            if done {
                for (key, record) in changes.records {
                    match record {
                        Some(record) => { disk.insert(key, record); }
                        None => { disk.remove(&key); }
                    }
                }
            }
            kv.written(done);
            disk.clone()
        };
        for step in steps {
            match step {
                Step::Set(key, ttl) => {
                    kv.set(key.to_string(), vec![key], ttl, now).unwrap();
                }
                Step::Remove(key) => kv.remove(&key.to_string()),
                Step::Begin if under_way.is_none() => under_way = Some(kv.changes()),
                Step::End(done) => {
                    if let Some(changes) = under_way.take() {
                        apply(&mut kv, changes, done);
                    }
                }
                Step::Later(ms) => { now += ms; kv.sweep(now); }
                Step::Begin => {}
            }
            prop_assert!(kv.dirty.len() <= 4 && kv.expiring.len() <= kv.entries.len());
        }
        if let Some(changes) = under_way.take() {
            apply(&mut kv, changes, true);
        }
        let last = kv.changes();
        let disk = apply(&mut kv, last, true);
        let memory: HashMap<Arc<str>, Record> = kv
            .entries
            .iter()
            .map(|(key, stored)| (Arc::clone(key), stored.record.clone()))
            .collect();
        prop_assert_eq!(disk, memory);
        prop_assert!(!kv.is_dirty());
        let used: usize = kv.entries.iter().map(|(k, s)| cost(k, &s.record.value)).sum();
        prop_assert_eq!(kv.used, used);
    }
}
