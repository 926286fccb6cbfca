//! Compiled components on disk, so that a start does not compile.
//!
//! Flows in: compiled components. Flows out: the same in the next run, for the
//! same content, compiler, settings and CPU; anything else is compiled again.
//!
//! Compiled code is machine code: loading what somebody else has written would
//! run it outside the sandbox (see [`super::machine_code`]). So the folder has
//! to belong to this process's user and be closed to all others, and a file's
//! digest has to match.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::compile::ContentHash;
use super::machine_code::MachineCode;

/// Of all files together; the least recently used go first.
const MAX_BYTES: u64 = 2 << 30;
/// A larger file is not read.
const MAX_FILE: u64 = 1 << 30;
/// Bytes of the digest that each file begins with.
const DIGEST: usize = 32;
/// What a run that was killed left half-written is removed after this.
const STALE: Duration = Duration::from_secs(3600);

/// The folder of compiled components.
pub(super) struct CodeCache {
    folder: PathBuf,
    /// Compiler, settings and CPU, as a digest.
    engine: [u8; DIGEST],
    writable: bool,
    max_bytes: u64,
    /// Why the folder can't be used; said once.
    trouble: OnceLock<String>,
    written: AtomicU64,
}

/// Why a cached file was not used, or not written.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Unsafe(String),
    #[error("its content is damaged")]
    Damaged,
    #[error("it can't be loaded: {0}")]
    Refused(String),
}

impl CodeCache {
    /// The cache in `folder`, which need not exist. Unless `writable` nothing
    /// is created or changed.
    pub(super) fn new(engine: &Engine, folder: PathBuf, writable: bool) -> Self {
        let mut fingerprint = Fingerprint(Sha256::new());
        engine
            .precompile_compatibility_hash()
            .hash(&mut fingerprint);
        Self {
            folder,
            engine: fingerprint.0.finalize().into(),
            writable,
            max_bytes: MAX_BYTES,
            trouble: OnceLock::new(),
            written: AtomicU64::new(0),
        }
    }

    /// Names a component as this engine compiles it.
    fn key(&self, hash: &ContentHash) -> [u8; DIGEST] {
        let mut key = Sha256::new();
        key.update(self.engine);
        key.update(hash.bytes());
        key.finalize().into()
    }

    fn file(&self, key: &[u8; DIGEST]) -> PathBuf {
        let name: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name).with_extension("compiled")
    }

    /// Where the code of the content with this hash is kept.
    pub(super) fn place(&self, hash: &ContentHash) -> PathBuf {
        self.file(&self.key(hash))
    }

    /// Why the folder can't be used, once that has turned out.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    /// The compiled form of the content with this hash, if it is there.
    pub(super) fn load(&self, engine: &Engine, hash: &ContentHash) -> Option<Component> {
        let key = self.key(hash);
        let file = self.file(&key);
        match self.try_load(engine, &key, &file) {
            Ok(component) => Some(component),
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error @ Unusable::Unsafe(_)) => {
                self.complain(&error);
                None
            }
            Err(error) => {
                warn!(file = %file.display(), %error, "compiled code not used: compiling again");
                None
            }
        }
    }

    fn try_load(
        &self,
        engine: &Engine,
        key: &[u8; DIGEST],
        path: &Path,
    ) -> Result<Component, Unusable> {
        private(&self.folder, &fs::symlink_metadata(&self.folder)?)?;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        let metadata = file.metadata()?;
        private(path, &metadata)?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err(Unusable::Damaged);
        }
        let mut digest = [0; DIGEST];
        (&file)
            .read_exact(&mut digest)
            .map_err(|_| Unusable::Damaged)?;
        let mut code = Vec::new();
        (&file).take(MAX_FILE).read_to_end(&mut code)?;
        if digest != seal(key, &code) {
            return Err(Unusable::Damaged);
        }
        let component = MachineCode::of_cache(code)
            .load(engine)
            .map_err(|error| Unusable::Refused(super::instance::one_line(&error.to_string())))?;
        if self.writable {
            // The time of use, for `shrink`. Failing costs an early eviction.
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(component)
    }

    /// Keeps the code of the component whose content has this hash. A failure
    /// costs the next start its time, so it is only said.
    pub(super) fn store(&self, hash: &ContentHash, code: &MachineCode) {
        if !self.writable {
            return;
        }
        if let Err(error) = self.try_store(hash, code) {
            self.complain(&error);
        }
    }

    fn try_store(&self, hash: &ContentHash, code: &MachineCode) -> Result<(), Unusable> {
        let key = &self.key(hash);
        let code = code.bytes();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        private(&self.folder, &fs::symlink_metadata(&self.folder)?)?;
        let path = self.file(key);
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let fresh = path.with_extension(format!("{}-{number}.new", std::process::id()));
        let written =
            write_new(&fresh, &seal(key, code), code).and_then(|()| fs::rename(&fresh, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&fresh);
            return Err(error.into());
        }
        debug!(file = %path.display(), bytes = code.len(), "compiled code kept");
        self.shrink(&path)?;
        Ok(())
    }

    /// Removes what was not used for longest until the rest fits; never `kept`.
    fn shrink(&self, kept: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // Another server may share the folder and remove files too.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let (path, used) = (entry.path(), metadata.modified()?);
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("compiled") => files.push((used, metadata.len(), path)),
                Some("new") if used.elapsed().is_ok_and(|age| age > STALE) => {
                    let _ = fs::remove_file(path);
                }
                _ => {}
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= self.max_bytes {
                break;
            }
            if path != kept && fs::remove_file(path).is_ok() {
                total = total.saturating_sub(bytes);
            }
        }
        Ok(())
    }

    /// Says once that the folder can't be used.
    fn complain(&self, error: &Unusable) {
        if self.trouble.set(error.to_string()).is_ok() {
            warn!(
                folder = %self.folder.display(),
                %error,
                "compiled code can't be kept on disk: every start compiles"
            );
        }
    }
}

/// What a file begins with: a digest of its name and its code.
fn seal(key: &[u8; DIGEST], code: &[u8]) -> [u8; DIGEST] {
    let mut digest = Sha256::new();
    digest.update(key);
    digest.update(code);
    digest.finalize().into()
}

fn write_new(path: &Path, seal: &[u8], code: &[u8]) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(seal)?;
    file.write_all(code)?;
    // Before the rename: a power cut must not leave a name without content.
    file.sync_all()
}

/// It belongs to this process's user, and nobody else may write to it.
fn private(path: &Path, metadata: &fs::Metadata) -> Result<(), Unusable> {
    let user = rustix::process::geteuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
    if metadata.file_type().is_symlink() {
        return Err(Unusable::Unsafe(format!("{} is a link", path.display())));
    }
    if owner != user || mode & 0o077 != 0 {
        return Err(Unusable::Unsafe(format!(
            "expected {} to belong to user {user} and to be closed to others, found owner {owner}, mode {mode:o}",
            path.display()
        )));
    }
    Ok(())
}

/// Feeds a [`Hash`] to SHA-256.
struct Fingerprint(Sha256);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for: the digest is longer.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The smallest component: a header.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    struct Fixture {
        _folder: tempfile::TempDir,
        engine: Engine,
        cache: CodeCache,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = CodeCache::new(&engine, folder.path().join("state/compiled"), true);
        Fixture {
            _folder: folder,
            engine,
            cache,
        }
    }

    impl Fixture {
        fn keep(&self, content: &[u8]) -> ContentHash {
            let code = self.engine.precompile_component(EMPTY).unwrap();
            let hash = ContentHash::of(content);
            self.cache.store(&hash, &MachineCode::of_compiler(code));
            hash
        }

        fn file(&self, hash: &ContentHash) -> PathBuf {
            self.cache.file(&self.cache.key(hash))
        }

        fn has(&self, hash: &ContentHash) -> bool {
            self.cache.load(&self.engine, hash).is_some()
        }
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_kept_is_found_by_content_and_private() {
        let fixture = fixture();
        assert!(!fixture.has(&ContentHash::of(b"a")));
        let hash = fixture.keep(b"a");
        assert!(fixture.has(&hash));
        assert!(!fixture.has(&ContentHash::of(b"b")));
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode(&fixture.cache.folder), 0o700);
        assert_eq!(mode(&fixture.file(&hash)), 0o600);
        let names = fs::read_dir(&fixture.cache.folder).unwrap().count();
        assert_eq!(names, 1, "no leftovers");
    }

    #[test]
    fn damaged_files_are_not_loaded_and_are_replaced() {
        let fixture = fixture();
        let hash = fixture.keep(b"a");
        let file = fixture.file(&hash);
        let good = fs::read(&file).unwrap();
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let other = fs::read(fixture.file(&fixture.keep(b"b"))).unwrap();
        for bad in [
            &flipped[..],
            &good[..good.len() - 1],
            &good[..10],
            b"",
            &other,
        ] {
            fs::write(&file, bad).unwrap();
            assert!(!fixture.has(&hash), "{} bytes", bad.len());
        }
        fixture.keep(b"a");
        assert!(fixture.has(&hash));
    }

    #[test]
    fn what_others_could_have_written_is_not_loaded() {
        let fixture = fixture();
        let hash = fixture.keep(b"a");
        let (folder, file) = (&fixture.cache.folder, fixture.file(&hash));
        chmod(&file, 0o620);
        assert!(!fixture.has(&hash));
        chmod(&file, 0o600);
        assert!(fixture.has(&hash));
        chmod(folder, 0o770);
        assert!(!fixture.has(&hash));
        // Nor is anything written there.
        let other = fixture.keep(b"b");
        assert!(!fixture.file(&other).exists());
        chmod(folder, 0o700);
        let elsewhere = folder.with_extension("elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        assert!(!fixture.has(&hash), "a link leads anywhere");
    }

    #[test]
    fn another_engine_finds_nothing() {
        let fixture = fixture();
        let hash = fixture.keep(b"a");
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        let cache = CodeCache::new(&engine, fixture.cache.folder.clone(), true);
        assert!(cache.load(&engine, &hash).is_none());
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let mut fixture = fixture();
        let [old, used, new] = [b"1", b"2", b"3"].map(|content| fixture.keep(content));
        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        for hash in [&old, &used] {
            let file = File::options().write(true).open(fixture.file(hash));
            file.unwrap().set_modified(long_ago).unwrap();
        }
        assert!(fixture.has(&used));
        let size = fs::metadata(fixture.file(&new)).unwrap().len();
        fixture.cache.max_bytes = 3 * size;
        let last = fixture.keep(b"4");
        assert!(!fixture.file(&old).exists());
        for hash in [&used, &new, &last] {
            assert!(fixture.has(hash));
        }
    }

    #[test]
    fn a_look_changes_nothing() {
        let mut fixture = fixture();
        fixture.cache.writable = false;
        let hash = fixture.keep(b"a");
        assert!(!fixture.has(&hash) && !fixture.cache.folder.exists());
    }
}
