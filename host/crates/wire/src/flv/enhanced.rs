//! What enhanced audio and video tags share (Enhanced RTMP v2, sections
//! "Enhanced Audio" and "Enhanced Video"): ModEx packets in front of the
//! packet type, and the layout of several tracks in one message.

use bytes::{BufMut, BytesMut};

use super::{FlvError, FourCc};
use crate::cursor::Cursor;

/// The packet type of ModEx, for audio and video alike.
pub(super) const MOD_EX: u8 = 7;
/// The ModEx type that carries nanoseconds.
const TIMESTAMP_OFFSET_NANO: u8 = 0;

/// How a multitrack message is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultitrackType {
    /// One track, with an id.
    OneTrack,
    /// Several tracks of one codec.
    ManyTracks,
    /// Several tracks, each with its codec.
    ManyTracksManyCodecs,
}

/// What follows the FourCC or multitrack header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnhancedLayout<'a> {
    /// No multitrack: the body belongs to one track, whose id is 0.
    Single,
    /// The tracks, not yet taken apart.
    Multi {
        kind: MultitrackType,
        /// The codec of all tracks, unless each has its own.
        four_cc: Option<FourCc>,
        /// The packet type of all tracks, as on the wire.
        packet_type: u8,
        bytes: &'a [u8],
        /// Where `bytes` start in the message.
        offset: usize,
    },
}

/// Skips the ModEx packets that start after `packet_type`. Returns the packet
/// type behind them and the nanoseconds to add to the timestamp, when there
/// are some.
pub(super) fn skip_mod_ex(
    cursor: &mut Cursor<'_>,
    mut packet_type: u8,
) -> Result<(u8, Option<u32>), FlvError> {
    let mut nanoseconds = None;
    while packet_type == MOD_EX {
        let mut size = usize::from(cursor.u8()?).saturating_add(1);
        if size == 256 {
            size = usize::from(cursor.u16()?).saturating_add(1);
        }
        let data = cursor.take(size)?;
        let types = cursor.u8()?;
        packet_type = types & 0x0f;
        // At least three bytes by the specification; a shorter one says
        // nothing, which is no reason to lose the frame.
        if types >> 4 == TIMESTAMP_OFFSET_NANO
            && let Ok(value) = Cursor::new(data).u24()
        {
            nanoseconds = Some(value);
        }
    }
    Ok((packet_type, nanoseconds))
}

/// Writes a ModEx packet with nanoseconds, up to the nibble of the packet type
/// behind it, which the caller knows.
pub(super) fn put_nanoseconds(nanoseconds: u32, packet_type: u8, out: &mut BytesMut) {
    let [_, high, middle, low] = nanoseconds.min(0x00ff_ffff).to_be_bytes();
    out.put_slice(&[2, high, middle, low]);
    out.put_u8(TIMESTAMP_OFFSET_NANO << 4 | packet_type & 0x0f);
}

/// Reads the multitrack header. `multitrack` is the packet type that must not
/// come again.
pub(super) fn multitrack<'a>(
    cursor: &mut Cursor<'a>,
    multitrack: u8,
) -> Result<EnhancedLayout<'a>, FlvError> {
    let offset = cursor.offset();
    let types = cursor.u8()?;
    let packet_type = types & 0x0f;
    if packet_type == multitrack {
        return Err(FlvError::NestedMultitrack { offset });
    }
    let kind = match types >> 4 {
        0 => MultitrackType::OneTrack,
        1 => MultitrackType::ManyTracks,
        2 => MultitrackType::ManyTracksManyCodecs,
        found => return Err(FlvError::UnknownMultitrackType { offset, found }),
    };
    let four_cc = match kind {
        MultitrackType::ManyTracksManyCodecs => None,
        _ => Some(FourCc(cursor.four()?)),
    };
    Ok(EnhancedLayout::Multi {
        kind,
        four_cc,
        packet_type,
        offset: cursor.offset(),
        bytes: cursor.take_rest(),
    })
}

impl<'a> EnhancedLayout<'a> {
    /// The packet type and the tracks of a multitrack message.
    pub(super) fn raw_tracks(self) -> Option<(u8, RawTracks<'a>)> {
        match self {
            Self::Single => None,
            Self::Multi {
                kind,
                four_cc,
                packet_type,
                bytes,
                offset,
            } => Some((
                packet_type,
                RawTracks {
                    cursor: Cursor::new(bytes),
                    kind,
                    four_cc,
                    start: offset,
                    first: true,
                },
            )),
        }
    }

    /// How a multitrack message is laid out.
    pub(super) fn kind(self) -> Option<MultitrackType> {
        match self {
            Self::Single => None,
            Self::Multi { kind, .. } => Some(kind),
        }
    }
}

/// One track as laid out in the message.
pub(super) struct RawTrack<'a> {
    pub(super) id: u8,
    pub(super) four_cc: FourCc,
    /// Where `data` starts in the message.
    pub(super) offset: usize,
    pub(super) data: &'a [u8],
}

/// Takes multitrack bytes apart, track by track. There is always a first
/// track: a message without one is an error.
pub(super) struct RawTracks<'a> {
    cursor: Cursor<'a>,
    kind: MultitrackType,
    four_cc: Option<FourCc>,
    start: usize,
    first: bool,
}

impl<'a> RawTracks<'a> {
    fn read(&mut self) -> Result<RawTrack<'a>, FlvError> {
        let four_cc = match self.four_cc {
            Some(four_cc) => four_cc,
            None => FourCc(self.cursor.four()?),
        };
        let id = self.cursor.u8()?;
        let size = match self.kind {
            MultitrackType::OneTrack => None,
            _ => Some(usize::try_from(self.cursor.u24()?).unwrap_or(usize::MAX)),
        };
        let offset = self.start.saturating_add(self.cursor.offset());
        let data = match size {
            Some(size) => self.cursor.take(size)?,
            None => self.cursor.take_rest(),
        };
        Ok(RawTrack {
            id,
            four_cc,
            offset,
            data,
        })
    }
}

impl<'a> Iterator for RawTracks<'a> {
    type Item = Result<RawTrack<'a>, FlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() && !self.first {
            return None;
        }
        self.first = false;
        let track = self.read().map_err(|error| match error {
            FlvError::Truncated {
                offset,
                needed,
                available,
            } => FlvError::Truncated {
                offset: offset.saturating_add(self.start),
                needed,
                available,
            },
            other => other,
        });
        if track.is_err() {
            self.cursor.take_rest();
        }
        Some(track)
    }
}

/// Writes one track: FourCC if each track has its own, id, and size unless
/// it is the only track. `head` is written before `data` and counts as data.
pub(super) fn put_track(
    kind: MultitrackType,
    four_cc: FourCc,
    id: u8,
    head: &[u8],
    data: &[u8],
    out: &mut BytesMut,
) -> Result<(), FlvError> {
    if kind == MultitrackType::ManyTracksManyCodecs {
        out.put_slice(&four_cc.0);
    }
    out.put_u8(id);
    if kind != MultitrackType::OneTrack {
        put_length(head.len().saturating_add(data.len()), out)?;
    }
    out.put_slice(head);
    out.put_slice(data);
    Ok(())
}

/// Writes the multitrack header.
pub(super) fn put_multitrack(
    kind: MultitrackType,
    packet_type: u8,
    four_cc: Option<FourCc>,
    out: &mut BytesMut,
) {
    let number = match kind {
        MultitrackType::OneTrack => 0,
        MultitrackType::ManyTracks => 1,
        MultitrackType::ManyTracksManyCodecs => 2,
    };
    out.put_u8(number << 4 | packet_type & 0x0f);
    if let Some(four_cc) = four_cc {
        out.put_slice(&four_cc.0);
    }
}

/// Writes a 24-bit length.
pub(super) fn put_length(length: usize, out: &mut BytesMut) -> Result<(), FlvError> {
    match u32::try_from(length).map(u32::to_be_bytes) {
        Ok([0, high, middle, low]) => {
            out.put_slice(&[high, middle, low]);
            Ok(())
        }
        _ => Err(FlvError::TooLong { found: length }),
    }
}
