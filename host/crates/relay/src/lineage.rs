//! Which streams a relayed stream has been on its way, so that none is relayed
//! to where it comes from.
//!
//! A relay says in its `connect` which streams it passes on, as marks that mean
//! nothing to others: a hash of this process's own secret and the stream's
//! name. A server that finds its own mark refuses. Servers that don't know the
//! property ignore it, so a way around through one of them is only bounded by
//! the duplicate rule.

use std::fmt;

use livehost_wire::amf0::{Properties, Value};
use sha2::{Digest, Sha256};

use livehost_hub::StreamKey;

/// The property of `connect` that carries the marks.
const PROPERTY: &str = "relayedStreams";
/// Relays in a row; more are taken for a loop.
const MAX_MARKS: usize = 16;
/// Bytes of a mark, written in hexadecimal.
const MARK: usize = 8;

/// The marks of the streams that a connection passes on, nearest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lineage(Vec<String>);

/// The stream would come back to where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Loop {
    /// It has been here before.
    #[error("a loop of relays: this stream is relayed to itself")]
    Closed,
    /// Nobody relays so often.
    #[error("relayed more than {MAX_MARKS} times, which is taken for a loop")]
    TooLong,
}

impl Lineage {
    /// What the properties of a `connect` say.
    pub fn read(properties: &Properties) -> Self {
        let marks = properties.get(PROPERTY).and_then(Value::as_str);
        let marks = marks.unwrap_or_default().split(' ');
        let marks = marks.filter(|mark| mark.len() == 2 * MARK).take(MAX_MARKS);
        Self(marks.map(str::to_owned).collect())
    }

    /// The connection passes nothing on.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says it in the properties of a `connect`.
    pub(super) fn write(&self, properties: &mut Properties) {
        if !self.0.is_empty() {
            properties.push(PROPERTY, Value::from(self.0.join(" ").as_str()));
        }
    }
}

/// This process, as its marks tell it from others.
pub(super) struct Identity([u8; 32]);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    pub(super) fn new() -> Self {
        let mut secret = [0; 32];
        // Without randomness loops are bounded by the duplicate rule alone.
        let _ = getrandom::fill(&mut secret);
        Self(secret)
    }

    fn mark(&self, key: &StreamKey) -> String {
        let mut hash = Sha256::new();
        hash.update(self.0);
        for part in [
            &key.app,
            key.instance.as_ref().unwrap_or(&"".into()),
            &key.name,
        ] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let bytes = hash.finalize();
        let bytes = bytes.iter().take(MARK);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// `before` with the stream `key` added in front.
    ///
    /// # Errors
    /// [`Loop`] when the stream is there already, or there are too many.
    pub(super) fn extend(&self, before: &Lineage, key: &StreamKey) -> Result<Lineage, Loop> {
        let mark = self.mark(key);
        if before.0.contains(&mark) {
            return Err(Loop::Closed);
        }
        if before.0.len() >= MAX_MARKS {
            return Err(Loop::TooLong);
        }
        let marks = std::iter::once(mark).chain(before.0.iter().cloned());
        Ok(Lineage(marks.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> StreamKey {
        StreamKey {
            app: "live".into(),
            instance: None,
            name: name.into(),
        }
    }

    fn carried(lineage: &Lineage) -> Lineage {
        let mut properties = Properties::new();
        lineage.write(&mut properties);
        Lineage::read(&properties)
    }

    #[test]
    fn a_stream_that_comes_back_is_known_even_through_another_server() {
        let (here, there) = (Identity::new(), Identity::new());
        let first = here.extend(&Lineage::default(), &key("cam")).unwrap();
        let second = there.extend(&carried(&first), &key("cam")).unwrap();
        assert_eq!(
            here.extend(&carried(&second), &key("cam")),
            Err(Loop::Closed)
        );
        assert!(here.extend(&carried(&second), &key("copy")).is_ok());
    }

    #[test]
    fn a_chain_without_end_is_a_loop() {
        let mut lineage = Lineage::default();
        for _ in 0..MAX_MARKS {
            lineage = Identity::new().extend(&lineage, &key("cam")).unwrap();
        }
        let next = Identity::new().extend(&carried(&lineage), &key("cam"));
        assert_eq!(next, Err(Loop::TooLong));
    }

    #[test]
    fn what_others_write_there_is_bounded() {
        let text = "0123456789abcdef ".repeat(1000);
        let properties = Properties::from([(PROPERTY, Value::from(text.as_str()))]);
        assert_eq!(Lineage::read(&properties).0.len(), MAX_MARKS);
        let properties = Properties::from([(PROPERTY, Value::from("x y"))]);
        assert_eq!(Lineage::read(&properties), Lineage::default());
    }
}
