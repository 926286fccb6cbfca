//! Writing through a layer that transforms bytes before the socket has room
//! for them.
//!
//! What was transformed can't be taken back, so it counts as taken and waits in
//! the layer: [`Carrier::pending`](super::Carrier::pending) says so to whoever
//! writes.

use std::io::{self, IoSlice};

/// Slices transformed together.
const MAX_SLICES: usize = 64;

/// A layer and what is below it.
pub trait Encrypt {
    /// Sends what was transformed; `WouldBlock` when some is left.
    fn flush(&mut self) -> io::Result<()>;

    /// Transforms some of these bytes, as many as there is room for.
    fn seal(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// [`Carrier::try_write`](super::Carrier::try_write) of such a layer: what waits
/// goes first, and of `slices` nothing is taken before it is gone.
pub fn write(layer: &mut impl Encrypt, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    layer.flush()?;
    let offered: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut taken = 0_usize;
    while taken < offered {
        let mut rest = [IoSlice::new(&[]); MAX_SLICES];
        let count = behind(slices, taken, &mut rest);
        let fresh = layer.seal(rest.get(..count).unwrap_or_default())?;
        taken = taken.saturating_add(fresh);
        match layer.flush() {
            Ok(()) if fresh > 0 => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => break,
        }
    }
    Ok(taken)
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

    impl Encrypt for Layer {
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
        #[test]
        fn what_is_taken_was_sent_or_is_pending_and_comes_first(
            total in 1_usize..400,
            most in 1_usize..50,
            cuts in proptest::collection::vec(0_usize..60, 1..20),
            rooms in proptest::collection::vec(1_usize..60, 1..20),
        ) {
            let bytes: Vec<u8> = (0..total).map(|i| i as u8).collect();
            let mut layer = Layer { most, ..Layer::default() };
            let (mut at, mut turn) = (0, 0);
            while at < total || !layer.waiting.is_empty() {
                layer.room += rooms[turn % rooms.len()];
                let rest = &bytes[at..];
                let (first, second) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
                turn += 1;
                match write(&mut layer, &[first, second].map(IoSlice::new)) {
                    Ok(count) => at += count,
                    Err(error) => prop_assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
                prop_assert_eq!(layer.sent.len() + layer.waiting.len(), at);
            }
            prop_assert_eq!(layer.sent, bytes);
        }
    }
}
