//! A reader of FLV files, just enough for H.264 and AAC (Video File Format
//! Specification 10.1, annex E). A file in, its packets out.

use std::{fmt, fs, path::Path};

use sha2::{Digest as _, Sha256};

/// The FLV tag types, which are RTMP's message types too.
pub(crate) const AUDIO: u8 = 8;
pub(crate) const VIDEO: u8 = 9;
pub(crate) const SCRIPT: u8 = 18;

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Codec configuration.
    Header,
    /// Coded media.
    Frame,
    /// AVC end of sequence: carries nothing, players drop or make it at will.
    End,
    /// Metadata.
    Script,
}

/// One audio, video or script packet.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    /// [`AUDIO`], [`VIDEO`] or [`SCRIPT`].
    pub(crate) kind: u8,
    pub(crate) role: Role,
    pub(crate) keyframe: bool,
    /// Decoding time, milliseconds.
    pub(crate) dts: u32,
    /// Composition time offset, milliseconds; 0 for audio.
    pub(crate) cts: i32,
    /// SHA-256 of the whole payload.
    pub(crate) hash: [u8; 32],
    /// SHA-256 of the coded data behind the FLV header bytes: what is left
    /// when a multiplexer chose other composition times.
    pub(crate) essence: [u8; 32],
    pub(crate) len: usize,
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            AUDIO => "audio",
            VIDEO => "video",
            _ => "script",
        };
        let [a, b, c, ..] = self.hash;
        write!(
            f,
            "{kind} {:?} dts {} cts {} {} bytes {a:02x}{b:02x}{c:02x}{}",
            self.role,
            self.dts,
            self.cts,
            self.len,
            if self.keyframe { " key" } else { "" }
        )
    }
}

impl Packet {
    /// Describes a message or tag of type `kind`.
    pub(crate) fn new(kind: u8, dts: u32, payload: &[u8]) -> Self {
        let (role, keyframe, cts, header) = match (kind, payload) {
            (VIDEO, [first, kind, a, b, c, ..]) if first & 0x0f == 7 => {
                let role = match kind {
                    0 => Role::Header,
                    1 => Role::Frame,
                    _ => Role::End,
                };
                let cts = i32::from_be_bytes([*a, *b, *c, 0]) >> 8;
                (role, first >> 4 == 1 && role == Role::Frame, cts, 5)
            }
            (AUDIO, [first, 0, ..]) if first >> 4 == 10 => (Role::Header, false, 0, 2),
            (AUDIO, [first, ..]) if first >> 4 == 10 => (Role::Frame, false, 0, 2),
            (SCRIPT, _) => (Role::Script, false, 0, 0),
            _ => panic!("type {kind} at {dts} ms is neither H.264 nor AAC: {payload:02x?}"),
        };
        Self {
            kind,
            role,
            keyframe,
            dts,
            cts,
            hash: Sha256::digest(payload).into(),
            essence: Sha256::digest(payload.get(header..).unwrap_or_default()).into(),
            len: payload.len(),
        }
    }
}

/// A tag with its payload, for sending.
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    pub(crate) kind: u8,
    pub(crate) dts: u32,
    pub(crate) payload: Vec<u8>,
}

impl Tag {
    pub(crate) fn packet(&self) -> Packet {
        Packet::new(self.kind, self.dts, &self.payload)
    }

    pub(crate) fn packet_role(&self) -> Role {
        self.packet().role
    }
}

/// The whole tags of a file; an unfinished one at its end is left out, since a
/// recording player may have been killed.
pub(crate) fn tags(file: &Path) -> Vec<Tag> {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut tags = Vec::new();
    if bytes.is_empty() {
        return tags;
    }
    assert_eq!(
        bytes.get(..3),
        Some(&b"FLV"[..]),
        "{} is FLV",
        file.display()
    );
    // 9 bytes of header and the previous tag's size, which is 0.
    let mut rest = bytes.get(13..).unwrap_or_default();
    while let [kind, s2, s1, s0, t2, t1, t0, t3, _, _, _, body @ ..] = rest {
        let size = u32::from_be_bytes([0, *s2, *s1, *s0]) as usize;
        let Some(payload) = body.get(..size) else {
            break;
        };
        tags.push(Tag {
            kind: *kind & 0x1f,
            dts: u32::from_be_bytes([*t3, *t2, *t1, *t0]),
            payload: payload.to_vec(),
        });
        rest = body.get(size + 4..).unwrap_or_default();
    }
    tags
}

/// The packets of a file.
pub(crate) fn packets(file: &Path) -> Vec<Packet> {
    // Some recorders write a tag of no bytes where a message was empty.
    tags(file)
        .iter()
        .filter(|tag| !tag.payload.is_empty())
        .map(Tag::packet)
        .collect()
}
