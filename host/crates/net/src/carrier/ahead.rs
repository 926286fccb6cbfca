//! Writing through a layer that transforms bytes before the socket has room
//! for them.
//!
//! What was transformed can't be taken back, so it has to go out, and whoever
//! writes has to know that something waits. A carrier reports what it took by
//! a number of bytes, so the last byte is withheld from that number: it is
//! offered again, in front of what follows, and by then was sent already.

use std::io::{self, IoSlice};

/// Slices transformed together.
const MAX_SLICES: usize = 64;

/// A layer and what is below it.
pub trait Seal {
    /// Sends what was transformed; `WouldBlock` when some is left.
    fn flush(&mut self) -> io::Result<()>;

    /// Transforms some of these bytes, as many as there is room for.
    fn seal(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// What was taken beyond what was reported.
#[derive(Debug, Default)]
pub struct Ahead {
    withheld: bool,
}

impl Ahead {
    /// Like [`Carrier::try_write`](crate::carrier::Carrier::try_write).
    pub fn write(&mut self, layer: &mut impl Seal, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        layer.flush()?;
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut taken = usize::from(std::mem::take(&mut self.withheld)).min(offered);
        while taken < offered {
            let mut rest = [IoSlice::new(&[]); MAX_SLICES];
            let count = behind(slices, taken, &mut rest);
            let fresh = layer.seal(rest.get(..count).unwrap_or_default())?;
            if fresh == 0 {
                return Ok(taken);
            }
            taken = taken.saturating_add(fresh);
            match layer.flush() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Of a single byte none can be withheld: it goes out in
                    // front of the next.
                    self.withheld = taken > 1;
                    return Ok(taken.saturating_sub(usize::from(self.withheld)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }
}

/// Fills `rest` with what is behind the first `skip` bytes; returns of how
/// many slices that is.
fn behind<'s>(slices: &'s [IoSlice<'_>], mut skip: usize, rest: &mut [IoSlice<'s>]) -> usize {
    let mut count = 0_usize;
    for slice in slices {
        let skipped = skip.min(slice.len());
        skip = skip.saturating_sub(skipped);
        if skipped == slice.len() {
            continue;
        }
        let Some(free) = rest.get_mut(count) else {
            break;
        };
        *free = IoSlice::new(slice.get(skipped..).unwrap_or_default());
        count = count.saturating_add(1);
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sends as many bytes as `room` has, after so many blocked tries.
    #[derive(Default)]
    struct Layer {
        waiting: Vec<u8>,
        sent: Vec<u8>,
        room: usize,
        most: usize,
    }

    impl Seal for Layer {
        fn flush(&mut self) -> io::Result<()> {
            let count = self.waiting.len().min(self.room);
            self.room -= count;
            self.sent.extend(self.waiting.drain(..count));
            match self.waiting.is_empty() {
                true => Ok(()),
                false => Err(io::ErrorKind::WouldBlock.into()),
            }
        }

        fn seal(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
            let before = self.waiting.len();
            self.waiting.extend(bytes.take(self.most));
            Ok(self.waiting.len() - before)
        }
    }

    proptest! {
        /// All but a single byte, which nobody writes alone.
        #[test]
        fn what_is_reported_was_sent_but_for_one_byte(
            total in 2_usize..400,
            most in 2_usize..50,
            cuts in proptest::collection::vec(0_usize..60, 1..20),
            rooms in proptest::collection::vec(1_usize..60, 1..20),
        ) {
            let bytes: Vec<u8> = (0..total).map(|i| i as u8).collect();
            let mut layer = Layer { most, ..Layer::default() };
            let mut ahead = Ahead::default();
            let (mut at, mut turn) = (0, 0);
            while at < total {
                layer.room += rooms[turn % rooms.len()];
                let rest = &bytes[at..];
                let (first, second) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
                turn += 1;
                match ahead.write(&mut layer, &[first, second].map(IoSlice::new)) {
                    Ok(count) => {
                        at += count;
                        let waits = !layer.waiting.is_empty();
                        prop_assert!(at < total || !waits || count == 1, "nobody knows of it");
                    }
                    Err(error) => prop_assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            layer.room = usize::MAX;
            layer.flush().unwrap();
            prop_assert_eq!(layer.sent, bytes);
        }
    }
}
