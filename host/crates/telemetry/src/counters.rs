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
            fn by_name(&self) -> Vec<$crate::counters::Count> {
                vec![$($crate::counters::Count {
                    name: stringify!($name),
                    help: concat!($($doc),+).trim_ascii(),
                    value: self.$name.get(),
                },)+]
            }
        }
    };
}

/// A counter at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// In lower case, words joined by `_`.
    pub name: &'static str,
    /// What is counted, in a sentence.
    pub help: &'static str,
    /// How many.
    pub value: u64,
}

/// Counters at one moment, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(Vec<Count>);

impl Counts {
    /// The counter of this name, 0 for one that does not exist.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let found = self.0.iter().find(|count| count.name == name);
        found.map_or(0, |count| count.value)
    }

    /// All counters with their names, always in the same order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|count| (count.name, count.value))
    }

    /// The same, with what is counted.
    pub fn described(&self) -> impl Iterator<Item = Count> + '_ {
        self.0.iter().copied()
    }
}

impl From<Vec<Count>> for Counts {
    fn from(counts: Vec<Count>) -> Self {
        Self(counts)
    }
}

impl FromIterator<(&'static str, &'static str, u64)> for Counts {
    fn from_iter<T: IntoIterator<Item = (&'static str, &'static str, u64)>>(counts: T) -> Self {
        let counts = counts.into_iter();
        let described = counts.map(|(name, help, value)| Count { name, help, value });
        Self(described.collect())
    }
}

impl Extend<Count> for Counts {
    fn extend<T: IntoIterator<Item = Count>>(&mut self, more: T) {
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
