//! Tracks of one stream (Enhanced RTMP v2, "Multitrack Streaming"): which a
//! packet has, which configurations replace which, and whose keyframes begin a
//! group of pictures.

use crate::classify::Scope;

/// A set of track ids, 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tracks([u64; 4]);

impl Tracks {
    /// The default track alone: what a body without track ids carries.
    pub const DEFAULT: Self = Self([1, 0, 0, 0]);

    /// Adds a track.
    pub fn insert(&mut self, id: u8) {
        if let Some(word) = self.0.get_mut(usize::from(id >> 6)) {
            *word |= 1 << (id & 63);
        }
    }

    /// Whether the track is one of them.
    #[inline]
    pub fn contains(self, id: u8) -> bool {
        let word = self.0.get(usize::from(id >> 6)).copied();
        word.unwrap_or_default() & (1 << (id & 63)) != 0
    }

    /// The lowest id.
    #[inline]
    pub fn lowest(self) -> Option<u8> {
        (0..=u8::MAX).find(|id| self.contains(*id))
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whether all of them are in the other set.
    pub fn is_subset_of(self, other: Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .all(|(own, other)| own & !other == 0)
    }

    /// Whether any of them is in the other set.
    pub fn intersects(self, other: Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .any(|(own, other)| own & other != 0)
    }

    fn unite(&mut self, other: Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own |= other;
        }
    }
}

impl FromIterator<u8> for Tracks {
    fn from_iter<I: IntoIterator<Item = u8>>(ids: I) -> Self {
        let mut tracks = Self::default();
        ids.into_iter().for_each(|id| tracks.insert(id));
        tracks
    }
}

/// What the configurations seen so far are for, gone through from the newest
/// back.
#[derive(Debug, Default)]
pub struct Covered(Vec<Scope>);

impl Covered {
    /// Adds an older configuration, of which some tracks are `configured`.
    /// False if newer ones replace all of it.
    pub fn add(&mut self, scope: Scope, configured: Tracks) -> bool {
        match self.0.iter_mut().find(|known| known.is_like(scope)) {
            None => {
                self.0.push(Scope {
                    tracks: configured,
                    ..scope
                });
                true
            }
            Some(known) => {
                let adds = !scope.tracks.is_subset_of(known.tracks);
                known.tracks.unite(configured);
                adds
            }
        }
    }
}

/// The video track whose keyframes begin the groups of pictures.
///
/// It is the first that sends a keyframe: the other tracks' keyframes of the
/// same moment then lie behind it and in the group. The default track, 0,
/// takes over when its keyframes come at other times, and another track does
/// when this one has fallen silent.
#[derive(Debug, Default)]
pub struct MainTrack {
    id: Option<u8>,
    /// The time of its last keyframe, on the publisher's clock.
    keyframe_at: i64,
    /// A track that has sent a keyframe since this one's last frame.
    successor: Option<u8>,
}

impl MainTrack {
    /// Coded video of `tracks`, with its time on the publisher's clock. True if
    /// a group of pictures begins with it.
    pub fn starts_group(&mut self, tracks: Tracks, keyframe: bool, dts: i64) -> bool {
        let is_main = self.id.is_some_and(|id| tracks.contains(id));
        if is_main {
            self.successor = None;
        }
        if !keyframe {
            return false;
        }
        let lowest = tracks.lowest().unwrap_or_default();
        let takes_over = match self.id {
            None => true,
            Some(_) if is_main => true,
            Some(_) if lowest == 0 && dts != self.keyframe_at => true,
            Some(_) => self.successor == Some(lowest),
        };
        if !takes_over {
            self.successor.get_or_insert(lowest);
            return false;
        }
        if !is_main {
            self.id = Some(lowest);
        }
        self.keyframe_at = dts;
        self.successor = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn tracks(ids: &[u8]) -> Tracks {
        ids.iter().copied().collect()
    }

    fn scope(ids: &[u8]) -> Scope {
        Scope {
            kind: Kind::Video,
            is_supplement: false,
            tracks: tracks(ids),
        }
    }

    #[test]
    fn a_set_holds_every_id() {
        for id in 0..=u8::MAX {
            let set = tracks(&[id, 255]);
            assert!(set.contains(id) && set.contains(255));
            assert_eq!(set.lowest(), Some(id));
            assert_eq!((0..=u8::MAX).filter(|id| set.contains(*id)).count(), {
                1 + usize::from(id < 255)
            });
        }
        assert_eq!(tracks(&[0]), Tracks::DEFAULT);
        assert_eq!(Tracks::default().lowest(), None);
    }

    #[test]
    fn a_configuration_is_needed_while_newer_ones_do_not_cover_all_its_tracks() {
        let mut covered = Covered::default();
        let mut add = |scope: Scope| covered.add(scope, scope.tracks);
        assert!(add(scope(&[1])));
        assert!(!add(scope(&[1])));
        assert!(add(scope(&[0, 1])));
        assert!(!add(scope(&[0])));
        let supplement = Scope {
            is_supplement: true,
            ..scope(&[0])
        };
        assert!(add(supplement));
        let audio = Scope {
            kind: Kind::Audio,
            ..scope(&[0])
        };
        assert!(add(audio));
    }

    #[test]
    fn a_configuration_of_nothing_replaces_nothing() {
        let mut covered = Covered::default();
        assert!(covered.add(scope(&[0, 1]), tracks(&[1])));
        assert!(covered.add(scope(&[0]), tracks(&[0])));
        assert!(!covered.add(scope(&[0, 1]), tracks(&[0, 1])));
    }

    #[test]
    fn groups_begin_with_the_first_track_that_sends_a_keyframe() {
        let mut main = MainTrack::default();
        assert!(!main.starts_group(tracks(&[1]), false, 0));
        assert!(main.starts_group(tracks(&[1]), true, 0));
        assert!(!main.starts_group(tracks(&[0]), true, 0), "the same moment");
        assert!(!main.starts_group(tracks(&[2]), true, 0));
        assert!(!main.starts_group(tracks(&[1]), false, 33));
        assert!(main.starts_group(tracks(&[2, 1]), true, 2_000));
        assert!(!main.starts_group(tracks(&[0]), true, 2_000));
    }

    #[test]
    fn the_default_track_with_keyframes_of_its_own_becomes_the_main_one() {
        let mut main = MainTrack::default();
        assert!(main.starts_group(tracks(&[1]), true, 0));
        assert!(main.starts_group(tracks(&[0]), true, 500));
        assert!(!main.starts_group(tracks(&[1]), true, 1_000));
        assert!(main.starts_group(tracks(&[0]), true, 1_500));
    }

    #[test]
    fn a_main_track_that_fell_silent_is_succeeded() {
        let mut main = MainTrack::default();
        assert!(main.starts_group(tracks(&[0]), true, 0));
        assert!(!main.starts_group(tracks(&[3]), true, 10));
        assert!(!main.starts_group(tracks(&[0]), false, 33));
        assert!(!main.starts_group(tracks(&[3]), true, 1_010), "0 was there");
        assert!(!main.starts_group(tracks(&[4]), true, 1_011));
        assert!(main.starts_group(tracks(&[3]), true, 2_010));
        assert!(main.starts_group(tracks(&[3]), true, 3_010));
    }
}
