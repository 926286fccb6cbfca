//! The database in a real folder: what returns, and what is told when it can't.

use std::os::unix::fs::PermissionsExt;

use super::*;

const QUOTA: usize = 1 << 20;

fn open(folder: &Path) -> Disk {
    Disk::open(folder).expect("the database opens")
}

fn set(kv: &Kv, key: &str, value: &str, ttl_ms: Option<u64>) -> u64 {
    kv.with(|store, now| store.set(key.into(), value.to_owned(), ttl_ms, now))
        .expect("it is set")
}

fn get(kv: &Kv, key: &str) -> Option<(String, u64)> {
    kv.with(|store, now| {
        let record = store.get(key, now)?;
        let value = String::from_utf8(record.value.to_vec()).unwrap();
        Some((value, record.version))
    })
}

#[test]
fn state_returns_with_its_versions_for_each_application() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path());
    let (a, b) = (
        disk.store(StorePurpose::Plugin, "a", QUOTA).unwrap(),
        disk.store(StorePurpose::Plugin, "ab", QUOTA).unwrap(),
    );
    let one = set(&a, "key", "1", None);
    let two = set(&b, "key", "2", None);
    let gone = set(&a, "gone", "3", None);
    a.with(|store, _| store.remove("gone"));
    drop(disk);

    let disk = open(folder.path());
    let a = disk.store(StorePurpose::Plugin, "a", QUOTA).unwrap();
    let b = disk.store(StorePurpose::Plugin, "ab", QUOTA).unwrap();
    assert_eq!(get(&a, "key"), Some(("1".into(), one)));
    assert_eq!(get(&b, "key"), Some(("2".into(), two)));
    assert_eq!(get(&a, "gone"), None);
    assert!(set(&a, "gone", "4", None) > gone);
}

#[test]
fn stores_for_two_purposes_know_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let both = |disk: &Disk| {
        [StorePurpose::Plugin, StorePurpose::SharedObjects]
            .map(|p| disk.store(p, "a", QUOTA).unwrap())
    };
    let disk = open(folder.path());
    let [plugin, objects] = both(&disk);
    set(&plugin, "key", "1", None);
    set(&objects, "key", "2", None);
    disk.shared.commit().unwrap();
    plugin.with(|store, _| store.remove("key"));
    drop(disk);
    let [plugin, objects] = both(&open(folder.path()));
    assert_eq!(get(&plugin, "key"), None);
    assert_eq!(get(&objects, "key").unwrap().0, "2");
}

#[test]
fn nothing_is_created_before_the_first_change() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("deep/state");
    let disk = open(&state);
    let kv = disk.store(StorePurpose::Plugin, "a", QUOTA).unwrap();
    assert_eq!(get(&kv, "key"), None);
    assert!(!state.exists());
    set(&kv, "key", "1", None);
    drop(disk);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join(FILE)), 0o600);
}

#[test]
fn what_has_expired_leaves_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path());
    let kv = disk.store(StorePurpose::Plugin, "a", QUOTA).unwrap();
    set(&kv, "short", "1", Some(1));
    set(&kv, "long", "2", Some(3_600_000));
    disk.shared.commit().unwrap();
    while get(&kv, "short").is_some() {
        thread::yield_now();
    }
    disk.shared.commit().unwrap();
    let database = disk.shared.database.lock();
    let (_, records) = read(
        database.as_ref().unwrap(),
        &(StorePurpose::Plugin, "a".into()),
    )
    .unwrap();
    let keys: Vec<&str> = records.iter().map(|(key, _)| &**key).collect();
    assert_eq!(keys, ["long"]);
}

#[test]
fn a_damaged_file_is_told_in_one_line_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let disk = open(folder.path());
    let kv = disk.store(StorePurpose::Plugin, "a", QUOTA).unwrap();
    for n in 0..200 {
        set(&kv, &format!("key{n}"), &"value".repeat(20), None);
    }
    drop(disk);
    let good = std::fs::read(&file).unwrap();
    let mut flipped = good.clone();
    let at = good
        .windows(20)
        .position(|window| window == b"valuevaluevaluevalue")
        .expect("a value is in the file");
    flipped[at] ^= 1;
    for bad in [
        b"not a database at all".to_vec(),
        good[..good.len() / 2].to_vec(),
        flipped,
        vec![0xff; 100_000],
    ] {
        std::fs::write(&file, &bad).unwrap();
        let Err(error) = Disk::open(folder.path()) else {
            panic!("opened: {:?}", &bad[..20]);
        };
        let error = error.to_string();
        assert!(
            error.contains("kv.redb") && error.contains("damaged") && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn one_wrong_byte_anywhere_is_no_panic_and_no_wrong_value() {
    const KEYS: u32 = 300;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let disk = open(folder.path());
    let kv = disk.store(StorePurpose::Plugin, "a", QUOTA).unwrap();
    for n in 0..KEYS {
        set(&kv, &format!("key{n}"), &n.to_string().repeat(20), None);
    }
    drop(disk);
    let good = std::fs::read(&file).unwrap();
    let mut refused = 0;
    // Densely in the header, then all over the file.
    let all_over = (0..good.len()).step_by(good.len() / 200);
    for at in (0..512).step_by(4).chain(all_over) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&file, &bad).unwrap();
        let kv =
            Disk::open(folder.path()).and_then(|disk| disk.store(StorePurpose::Plugin, "a", QUOTA));
        let Ok(kv) = kv else {
            refused += 1;
            continue;
        };
        // Unused, or mended from what redb keeps twice.
        for n in 0..KEYS {
            let value = get(&kv, &format!("key{n}")).map(|(value, _)| value);
            assert_eq!(value, Some(n.to_string().repeat(20)), "byte {at}");
        }
    }
    assert!(refused > 0, "some bytes matter");
}

#[test]
fn one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path());
    set(
        &disk.store(StorePurpose::Plugin, "a", QUOTA).unwrap(),
        "key",
        "1",
        None,
    );
    disk.shared.commit().unwrap();
    let Err(error) = Disk::open(folder.path()) else {
        panic!("opened twice");
    };
    assert!(error.to_string().contains("another process"), "{error}");
}

#[tokio::test]
async fn what_can_not_be_written_stays_and_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    // A file where the folder should be: not even root can write there.
    std::fs::write(&state, "").unwrap();
    let disk = Disk::open(&state);
    // The database can't be looked for below a file.
    assert!(disk.is_err());
    std::fs::remove_file(&state).unwrap();
    let disk = open(&state);
    let kv = disk.store(StorePurpose::Plugin, "a", QUOTA).unwrap();
    std::fs::write(&state, "").unwrap();
    set(&kv, "key", "1", None);
    let error = kv.save().await.unwrap_err();
    assert!(error.contains("can't be created"), "{error}");
    assert_eq!(get(&kv, "key").unwrap().0, "1");
    std::fs::remove_file(&state).unwrap();
    kv.save().await.unwrap();
    drop(disk);
    let kv = open(&state)
        .store(StorePurpose::Plugin, "a", QUOTA)
        .unwrap();
    assert_eq!(get(&kv, "key").unwrap().0, "1");
}

#[test]
fn a_store_that_is_used_again_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path());
    let kv = disk.store(StorePurpose::Plugin, "a", QUOTA).unwrap();
    set(&kv, "key", "1", None);
    // Its application is removed and added before anything is written.
    drop(kv);
    let kv = disk.store(StorePurpose::Plugin, "a", QUOTA).unwrap();
    assert!(get(&kv, "key").is_some());
    drop(kv);
    disk.shared.commit().unwrap();
    assert!(disk.shared.stores.lock().is_empty(), "nobody needs it");
}
