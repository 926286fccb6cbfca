//! A reader of FLV files: H.264, AAC, MP3 and the codecs of Flash Player as the Video File Format
//! Specification 10.1, annex E, has them, and every codec of Enhanced RTMP v2.
//! A file in, its packets out.

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
    /// What Enhanced RTMP adds to it: colour information, channel order.
    Supplement,
    /// Coded media.
    Frame,
    /// The end of a sequence: carries nothing, players drop or make it at will.
    End,
    /// Metadata.
    Script,
}

pub(crate) type FourCc = [u8; 4];

/// Sorenson H.263 and Nellymoser, which have no FourCC in the specification.
pub(crate) const SORENSON: FourCc = *b"flv1";
pub(crate) const NELLYMOSER: FourCc = *b"nell";

/// Whether a decoder of this codec needs a configuration record. Frames of the
/// others say all of it themselves.
pub(crate) fn needs_header(codec: FourCc) -> bool {
    !matches!(&codec, b"ac-3" | b"ec-3" | b".mp3") && ![SORENSON, NELLYMOSER].contains(&codec)
}

/// One audio, video or script packet.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    /// [`AUDIO`], [`VIDEO`] or [`SCRIPT`].
    pub(crate) kind: u8,
    pub(crate) role: Role,
    pub(crate) keyframe: bool,
    /// Its FourCC, of a legacy codec as well; zeros for script data.
    pub(crate) codec: FourCc,
    /// 0 without a multitrack header; the first of several.
    pub(crate) track: u8,
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
        let head = match (kind, payload) {
            (VIDEO, [first, rest @ ..]) if first & 0x80 != 0 => {
                Head::enhanced(kind, first >> 4 & 7, first & 0x0f, rest)
            }
            (AUDIO, [first, rest @ ..]) if first >> 4 == 9 => {
                Head::enhanced(kind, 0, first & 0x0f, rest)
            }
            _ => Head::legacy(kind, payload),
        };
        let Some(head) = head else {
            panic!("type {kind} at {dts} ms is of no known codec: {payload:02x?}");
        };
        let body = payload.len() - head.body.min(payload.len());
        Self {
            kind,
            role: head.role,
            keyframe: head.keyframe && head.role == Role::Frame,
            codec: head.codec,
            track: head.track,
            dts,
            cts: head.cts,
            hash: Sha256::digest(payload).into(),
            essence: Sha256::digest(payload.get(body..).unwrap_or_default()).into(),
            len: payload.len(),
        }
    }
}

/// What is before the media.
struct Head {
    role: Role,
    keyframe: bool,
    codec: FourCc,
    track: u8,
    cts: i32,
    /// Bytes behind it.
    body: usize,
}

impl Head {
    fn legacy(kind: u8, payload: &[u8]) -> Option<Self> {
        let (role, keyframe, codec, cts, body) = match (kind, payload) {
            (VIDEO, [first, packet, a, b, c, body @ ..]) if first & 0x0f == 7 => {
                let role = match packet {
                    0 => Role::Header,
                    1 => Role::Frame,
                    _ => Role::End,
                };
                let cts = i32::from_be_bytes([*a, *b, *c, 0]) >> 8;
                (role, first >> 4 == 1, *b"avc1", cts, body)
            }
            (AUDIO, [first, 0, body @ ..]) if first >> 4 == 10 => {
                (Role::Header, false, *b"mp4a", 0, body)
            }
            (AUDIO, [first, _, body @ ..]) if first >> 4 == 10 => {
                (Role::Frame, false, *b"mp4a", 0, body)
            }
            (VIDEO, [first, body @ ..]) if first & 0x0f == 2 => {
                (Role::Frame, first >> 4 == 1, SORENSON, 0, body)
            }
            (AUDIO, [first, body @ ..]) if first >> 4 == 2 => {
                (Role::Frame, false, *b".mp3", 0, body)
            }
            (AUDIO, [first, body @ ..]) if matches!(first >> 4, 4..=6) => {
                (Role::Frame, false, NELLYMOSER, 0, body)
            }
            (SCRIPT, body) => (Role::Script, false, [0; 4], 0, body),
            _ => return None,
        };
        Some(Self {
            role,
            keyframe,
            codec,
            track: 0,
            cts,
            body: body.len(),
        })
    }

    /// Behind the first byte of ExVideoTagHeader or ExAudioTagHeader.
    fn enhanced(kind: u8, frame_type: u8, mut packet: u8, mut rest: &[u8]) -> Option<Self> {
        let multitrack = if kind == VIDEO { 6 } else { 5 };
        while packet == 7 {
            // ModEx: its data, and the next packet type.
            let (size, behind) = rest.split_first()?;
            let (data, behind) = behind.split_at_checked(usize::from(*size) + 1)?;
            assert!(data.len() < 256, "ModEx data of 256 bytes and more");
            packet = behind.first()? & 0x0f;
            rest = behind.get(1..)?;
        }
        // Bytes of the first track's id and size.
        let mut of_track = 0;
        if packet == multitrack {
            let types = rest.first()?;
            packet = types & 0x0f;
            of_track = if types >> 4 == 0 { 1 } else { 4 };
            rest = rest.get(1..)?;
        }
        let (codec, behind) = rest.split_first_chunk::<4>()?;
        let track = behind.first().filter(|_| of_track > 0).copied();
        rest = behind.get(of_track..)?;
        let role = match (kind, packet) {
            (_, 0) | (VIDEO, 5) => Role::Header,
            (_, 1) | (VIDEO, 3) => Role::Frame,
            (_, 4) => Role::Supplement,
            _ => Role::End,
        };
        let timed = kind == VIDEO && packet == 1 && matches!(codec, b"avc1" | b"hvc1" | b"vvc1");
        let mut cts = 0;
        if timed {
            let ([a, b, c], behind) = rest.split_first_chunk::<3>()?;
            cts = i32::from_be_bytes([*a, *b, *c, 0]) >> 8;
            rest = behind;
        }
        Some(Self {
            role,
            keyframe: frame_type == 1,
            codec: *codec,
            track: track.unwrap_or_default(),
            cts,
            body: rest.len(),
        })
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

/// Writes a file of these tags.
pub(crate) fn write(file: &Path, tags: &[Tag]) {
    // Version 1, audio and video; no tag before the first.
    let mut bytes = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    for tag in tags {
        let size = u32::try_from(tag.payload.len()).expect("a small tag");
        let [_, size @ ..] = size.to_be_bytes();
        let [high, time @ ..] = tag.dts.to_be_bytes();
        let start = bytes.len();
        bytes.push(tag.kind);
        bytes.extend(size);
        bytes.extend(time);
        bytes.extend([high, 0, 0, 0]);
        bytes.extend(&tag.payload);
        let whole = u32::try_from(bytes.len() - start).expect("a small tag");
        bytes.extend(whole.to_be_bytes());
    }
    fs::write(file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
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
