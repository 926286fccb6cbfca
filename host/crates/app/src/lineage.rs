//! Which streams a relayed stream has been on its way, so that none is relayed
//! to where it comes from.
//!
//! A relay says, as its protocol can, which streams it passes on: by marks that
//! mean nothing to others, each a hash of this process's own secret and the
//! stream's name. A server that finds its own mark refuses. Servers that don't
//! know marks ignore them, so a way around through one of them is only bounded
//! by the duplicate rule.

use std::fmt;

use livehost_hub::StreamKey;
use sha2::{Digest, Sha256};

/// What carries the marks, where a protocol has names for what is said: in RTMP a
/// property of `connect`.
pub const PROPERTY: &str = "relayedStreams";
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
    /// What a relay says: its marks, with spaces between them. Others are left out,
    /// and so are too many.
    pub fn parse(text: &str) -> Self {
        let marks = text.split(' ').filter(|mark| mark.len() == 2 * MARK);
        let marks = marks.take(MAX_MARKS);
        Self(marks.map(str::to_owned).collect())
    }

    /// The connection passes nothing on.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Lineage {
    /// As [`Lineage::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// This process, as its marks tell it from others.
pub struct Identity([u8; 32]);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Default for Identity {
    fn default() -> Self {
        let mut secret = [0; 32];
        // Without randomness loops are bounded by the duplicate rule alone.
        let _ = getrandom::fill(&mut secret);
        Self(secret)
    }
}

impl Identity {
    /// Whether a stream that has come through `lineage` may be published or played
    /// as `key`.
    ///
    /// # Errors
    /// [`Loop`], when it comes from there.
    pub fn check(&self, lineage: &Lineage, key: &StreamKey) -> Result<(), Loop> {
        if lineage.is_empty() {
            return Ok(());
        }
        self.extend(lineage, key).map(|_| ())
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
    pub fn extend(&self, before: &Lineage, key: &StreamKey) -> Result<Lineage, Loop> {
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
        Lineage::parse(&lineage.to_string())
    }

    #[test]
    fn a_stream_that_comes_back_is_known_even_through_another_server() {
        let (here, there) = (Identity::default(), Identity::default());
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
            lineage = Identity::default().extend(&lineage, &key("cam")).unwrap();
        }
        let next = Identity::default().extend(&carried(&lineage), &key("cam"));
        assert_eq!(next, Err(Loop::TooLong));
    }

    #[test]
    fn what_others_write_there_is_bounded() {
        let text = "0123456789abcdef ".repeat(1000);
        assert_eq!(Lineage::parse(&text).0.len(), MAX_MARKS);
        assert_eq!(Lineage::parse("x y"), Lineage::default());
    }
}
