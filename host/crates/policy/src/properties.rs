//! Where the properties of persistent shared objects are kept.

use std::fmt::Debug;

use bytes::Bytes;

/// Keeps keys and values for an application; never waits for a disk.
pub trait PropertyStore: Debug + Send + Sync + 'static {
    /// Everything that is kept.
    fn load(&self) -> Vec<(String, Bytes)>;
    /// False when there is no room, or the key is too long: nothing changes.
    fn put(&self, key: String, value: &Bytes) -> bool;
    /// The key is gone.
    fn remove(&self, key: &str);
    /// Another quota from now on, in bytes. What is there stays.
    fn set_quota(&self, bytes: usize);
}
