//! Counters by name: declared once, added to where something happens, read
//! for the log and for operators.
//!
//! A relaxed increment costs a frame or a decision nothing worth measuring.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that goes up; for what is alive, also down.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self) {
        self.add_many(1);
    }

    pub fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub fn subtract(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Declares counters once: as fields, and by name.
#[macro_export]
macro_rules! counters {
    (
        $(#[doc = $about:literal])+
        $visibility:vis struct $type:ident {
            $($(#[doc = $doc:literal])+ $name:ident,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Default)]
        $visibility struct $type {
            $($(#[doc = $doc])+ pub $name: $crate::counters::Counter,)+
        }

        impl $type {
            fn by_name(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)+]
            }
        }
    };
}

/// Counters at one moment, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    /// The counter of this name, 0 for one that does not exist.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or(0, |(_, count)| *count)
    }

    /// All counters with their names, always in the same order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().copied()
    }
}

impl From<Vec<(&'static str, u64)>> for Counts {
    fn from(counts: Vec<(&'static str, u64)>) -> Self {
        Self(counts)
    }
}

impl Extend<(&'static str, u64)> for Counts {
    fn extend<T: IntoIterator<Item = (&'static str, u64)>>(&mut self, more: T) {
        self.0.extend(more);
    }
}

impl Counts {
    /// For a field of a log line.
    pub fn field(&self) -> &(dyn std::error::Error + 'static) {
        self
    }
}

/// No error: it is the only type of value that a log line takes as it is, so that
/// JSON has each number as one.
impl std::error::Error for Counts {}

/// Those that are not zero: `connects_accepted=3 traps=1`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for (name, count) in self.iter().filter(|(_, count)| *count > 0) {
            write!(f, "{space}{name}={count}")?;
            space = " ";
        }
        Ok(())
    }
}
