//! The ordered name/value list that AMF objects are.

use crate::amf::DecodeError;
use crate::budget::Budget;

/// Named values in the order they came. AMF does not forbid a name to occur
/// twice: both occurrences are kept, and [`get`](Self::get) answers the last,
/// as a reader that overwrites would.
#[derive(Debug, Clone, PartialEq)]
pub struct Properties<V>(Vec<(String, V)>);

impl<V> Properties<V> {
    /// An empty list.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The last value of this name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// Appends a property, also when the name exists already.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<V>) {
        self.0.push((name.into(), value.into()));
    }

    /// As [`push`](Self::push), and `budget` pays for the list.
    pub(crate) fn push_within(
        &mut self,
        budget: &mut Budget,
        property: (String, V),
        offset: usize,
    ) -> Result<(), DecodeError> {
        budget.push(&mut self.0, property, offset)
    }

    /// Replaces the last value of this name, or appends the property when
    /// there is none. Returns the value it replaced.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<V>) -> Option<V> {
        let name = name.into();
        match self.0.iter_mut().rev().find(|(n, _)| *n == name) {
            Some((_, old)) => Some(std::mem::replace(old, value.into())),
            None => {
                self.0.push((name, value.into()));
                None
            }
        }
    }

    /// The properties in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &V)> + ExactSizeIterator {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many properties there are, repeated names included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no property.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V> Default for Properties<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> FromIterator<(String, V)> for Properties<V> {
    fn from_iter<I: IntoIterator<Item = (String, V)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<'a, V> FromIterator<(&'a str, V)> for Properties<V> {
    fn from_iter<I: IntoIterator<Item = (&'a str, V)>>(items: I) -> Self {
        items
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

impl<V, const N: usize> From<[(&str, V); N]> for Properties<V> {
    fn from(items: [(&str, V); N]) -> Self {
        items.into_iter().collect()
    }
}

impl<V> IntoIterator for Properties<V> {
    type Item = (String, V);
    type IntoIter = std::vec::IntoIter<(String, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_keep_their_order_and_the_last_one_is_read() {
        let mut properties = Properties::<u8>::from([("a", 1), ("b", 2), ("a", 3)]);
        assert_eq!(properties.get("a"), Some(&3));
        assert_eq!(properties.insert("a", 4), Some(3));
        assert_eq!(properties.insert("c", 5), None);
        let all: Vec<_> = properties.iter().map(|(n, v)| (n, *v)).collect();
        assert_eq!(all, [("a", 1), ("b", 2), ("a", 4), ("c", 5)]);
    }
}
