//! The stream that publishers send: H.264-like video and AAC in FLV framing,
//! and the stamp in each message that lets a player check what arrived.
//!
//! Sizes and times are those of an encoder: 30 frames a second, a keyframe
//! every 2 s that is eight times as large as other frames, AAC at 44.1 kHz.
//! What is inside the NAL units is noise: no server looks there.

use std::{fmt, str::FromStr, time::Duration};

use anyhow::Context as _;

/// Frames from keyframe to keyframe.
const GOP: u64 = 60;
/// How many times as large as other frames a keyframe is.
const KEYFRAME_WEIGHT: u64 = 8;
/// Samples of an AAC frame, and samples a second.
const AAC_SAMPLES: u64 = 1024;
const AAC_RATE: u64 = 44_100;
/// Bits a second of the audio.
const AUDIO_BITS: u64 = 128_000;
/// Different audio bodies, sent in turn.
const AUDIO_BODIES: u64 = 8;

/// FLV and NAL unit headers before the stamp, in bytes.
const VIDEO_PREFIX: usize = 5 + 4 + 1;
const AUDIO_PREFIX: usize = 2;

/// Message types, RTMP 1.0 section 7.1.
pub(crate) const AUDIO: u8 = 8;
pub(crate) const VIDEO: u8 = 9;

/// Media time: what a stream has per second, in milliseconds.
const SECOND: u64 = 1000;

/// What a stream consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub(crate) struct Shape {
    /// Video frames a second; a group of pictures has 60.
    #[arg(long, default_value_t = 30)]
    pub(crate) fps: u32,
    /// Video alone.
    #[arg(long)]
    pub(crate) no_audio: bool,
}

impl Shape {
    /// An encoder's.
    pub(crate) const USUAL: Self = Self {
        fps: 30,
        no_audio: false,
    };
    /// Few messages, so that one load generator can carry many streams.
    pub(crate) const LEAN: Self = Self {
        fps: 10,
        no_audio: true,
    };

    fn fps(self) -> u64 {
        u64::from(self.fps.clamp(1, 1000))
    }

    /// Time of one group of pictures.
    pub(crate) fn group(self) -> Duration {
        Duration::from_micros(GOP * SECOND * SECOND / self.fps())
    }
}

/// Bits a second of a whole stream: `"2M"`, `"800k"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BitRate(pub(crate) u64);

impl FromStr for BitRate {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (digits, unit) = match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 1_000_000),
            None => (text.strip_suffix('k').unwrap_or(text), 1000),
        };
        let count: u64 = digits
            .parse()
            .ok()
            .with_context(|| format!("expected bits a second such as 2M or 800k, got {text:?}"))?;
        let bits = count.saturating_mul(unit);
        // Room for the stamps, and for messages the protocol can say.
        anyhow::ensure!(
            (300_000..=200_000_000).contains(&bits),
            "expected 300k to 200M bits a second, got {text:?}"
        );
        Ok(Self(bits))
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1_000_000 {
            0 => write!(f, "{} Mbit/s", self.0 / 1_000_000),
            _ => write!(f, "{} kbit/s", self.0 / 1000),
        }
    }
}

/// A message body but for its stamp.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) kind: u8,
    pub(crate) bytes: Vec<u8>,
    /// CRC-32 of what follows the stamp.
    pub(crate) crc: u32,
}

/// All bodies of a stream, shared by the publishers of one bit rate.
#[derive(Debug)]
pub(crate) struct Model {
    shape: Shape,
    video: Vec<Body>,
    audio: Vec<Body>,
}

/// How far a publisher is in its stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    video: u64,
    audio: u64,
}

impl Model {
    /// The bodies of one stream of this bit rate and shape.
    pub(crate) fn new(rate: BitRate, shape: Shape) -> Self {
        let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
        let audio_bits = if shape.no_audio { 0 } else { AUDIO_BITS };
        let video_bytes = rate.0.saturating_sub(audio_bits) / 8 * GOP / shape.fps();
        let frame = video_bytes / (GOP - 1 + KEYFRAME_WEIGHT);
        let video = (0..GOP)
            .map(|index| {
                let key = index == 0;
                // Frames vary by a quarter, in pairs that even out.
                let vary = frame / 16 * (index % 5);
                let len = match (key, index % 10 < 5) {
                    (true, _) => frame * KEYFRAME_WEIGHT,
                    (false, true) => frame + vary,
                    (false, false) => frame - vary,
                };
                video_body(len, key, &mut noise)
            })
            .collect();
        let audio_bytes = AUDIO_BITS * AAC_SAMPLES / AAC_RATE / 8;
        let audio_bodies = if shape.no_audio { 0 } else { AUDIO_BODIES };
        let audio = (0..audio_bodies)
            .map(|_| Body::new(AUDIO, &[0xAF, 1], audio_bytes, &mut noise))
            .collect();
        Self {
            shape,
            video,
            audio,
        }
    }

    /// Whether there is audio.
    pub(crate) fn has_audio(&self) -> bool {
        !self.audio.is_empty()
    }

    /// Time of one group of pictures.
    pub(crate) fn group(&self) -> Duration {
        self.shape.group()
    }

    /// Time of the next message since the start of the stream.
    pub(crate) fn due(&self, cursor: Cursor) -> Duration {
        self.video_time(cursor).min(self.audio_time(cursor))
    }

    fn video_time(&self, cursor: Cursor) -> Duration {
        Duration::from_micros(cursor.video.saturating_mul(SECOND * SECOND) / self.shape.fps())
    }

    fn audio_time(&self, cursor: Cursor) -> Duration {
        if !self.has_audio() {
            return Duration::MAX;
        }
        let samples = cursor.audio.saturating_mul(AAC_SAMPLES * SECOND * SECOND);
        Duration::from_micros(samples / AAC_RATE)
    }

    /// The next message and its time in milliseconds; video first where both
    /// are due.
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Option<(&Body, u32)> {
        let (video, audio) = (self.video_time(*cursor), self.audio_time(*cursor));
        let (bodies, count, time) = if video <= audio {
            (&self.video, &mut cursor.video, video)
        } else {
            (&self.audio, &mut cursor.audio, audio)
        };
        let index = *count % bodies.len() as u64;
        *count += 1;
        let millis = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Some((bodies.get(usize::try_from(index).ok()?)?, millis))
    }
}

fn video_body(len: u64, key: bool, noise: &mut Noise) -> Body {
    let (flv, nal_header) = if key { (0x17, 0x65) } else { (0x27, 0x41) };
    // AVC, NAL units, no composition offset; then one NAL unit.
    let nal_len = u32::try_from(len.saturating_sub(VIDEO_PREFIX as u64 - 1)).unwrap_or(u32::MAX);
    let [a, b, c, d] = nal_len.to_be_bytes();
    let prefix = [flv, 1, 0, 0, 0, a, b, c, d, nal_header];
    Body::new(VIDEO, &prefix, len, noise)
}

impl Body {
    fn new(kind: u8, prefix: &[u8], len: u64, noise: &mut Noise) -> Self {
        let len = usize::try_from(len)
            .unwrap_or_default()
            .max(prefix.len() + Stamp::LEN + 1);
        let mut bytes = prefix.to_vec();
        bytes.resize(prefix.len() + Stamp::LEN, 0);
        let checked_from = bytes.len();
        bytes.extend(std::iter::repeat_with(|| noise.byte()).take(len - checked_from));
        let crc = crc32fast::hash(bytes.get(checked_from..).unwrap_or_default());
        Self { kind, bytes, crc }
    }
}

/// Noise without zero bytes, so that it holds no start codes: xorshift64.
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()[3] | 1
    }
}

/// What a publisher writes into each message, behind its codec header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) stream: u32,
    /// Counts all messages of a stream, audio and video together.
    pub(crate) sequence: u64,
    /// When it was written, on this process's clock (`clock.rs`).
    pub(crate) sent_ns: u64,
    /// CRC-32 of the rest of the body.
    pub(crate) crc: u32,
    /// Length of the whole body.
    pub(crate) len: u32,
}

const MAGIC: [u8; 4] = *b"LHB1";

impl Stamp {
    pub(crate) const LEN: usize = 32;

    /// Where the stamp of a message of this type is.
    pub(crate) fn offset(kind: u8) -> Option<usize> {
        match kind {
            VIDEO => Some(VIDEO_PREFIX),
            AUDIO => Some(AUDIO_PREFIX),
            _ => None,
        }
    }

    pub(crate) fn bytes(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let fields = MAGIC
            .into_iter()
            .chain(self.stream.to_be_bytes())
            .chain(self.sequence.to_be_bytes())
            .chain(self.sent_ns.to_be_bytes())
            .chain(self.crc.to_be_bytes())
            .chain(self.len.to_be_bytes());
        for (slot, byte) in out.iter_mut().zip(fields) {
            *slot = byte;
        }
        out
    }

    /// The stamp in the first bytes of a message; `None` if it has none, as
    /// codec headers and metadata have not.
    pub(crate) fn find(kind: u8, prefix: &[u8]) -> Option<Self> {
        let rest = prefix.get(Self::offset(kind)?..)?;
        let (magic, rest) = rest.split_first_chunk::<4>()?;
        let (stream, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (sent, rest) = rest.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        let len = rest.first_chunk()?;
        (*magic == MAGIC).then(|| Self {
            stream: u32::from_be_bytes(*stream),
            sequence: u64::from_be_bytes(*sequence),
            sent_ns: u64::from_be_bytes(*sent),
            crc: u32::from_be_bytes(*crc),
            len: u32::from_be_bytes(*len),
        })
    }
}

/// Whether these are the first bytes of a keyframe (not of its codec header).
pub(crate) fn is_keyframe(kind: u8, prefix: &[u8]) -> bool {
    kind == VIDEO && matches!(prefix, [flv, 1, ..] if flv >> 4 == 1)
}

/// The AVC sequence header: 1280x720, baseline profile, level 3.1.
pub(crate) fn avc_header() -> Vec<u8> {
    const SPS: &[u8] = &[
        0x67, 0x42, 0xC0, 0x1F, 0xD9, 0x00, 0x50, 0x05, 0xBB, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00,
        0x10, 0x00, 0x00, 0x03, 0x03, 0xC0, 0xF1, 0x83, 0x24,
    ];
    const PPS: &[u8] = &[0x68, 0xCB, 0x83, 0xCB, 0x20];
    let mut body = vec![0x17, 0, 0, 0, 0, 1, 0x42, 0xC0, 0x1F, 0xFF, 0xE1];
    for (index, set) in [SPS, PPS].into_iter().enumerate() {
        if index == 1 {
            body.push(1);
        }
        body.extend(u16::try_from(set.len()).unwrap_or_default().to_be_bytes());
        body.extend(set);
    }
    body
}

/// The AAC sequence header: low complexity, 44.1 kHz, stereo.
pub(crate) fn aac_header() -> Vec<u8> {
    vec![0xAF, 0, 0x12, 0x10]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_the_bits_and_messages_it_says() {
        for bits in [2_000_000, 10_000_000, 20_000_000] {
            let model = Model::new(BitRate(bits), Shape::USUAL);
            let mut cursor = Cursor::default();
            let (mut bytes, mut messages) = (0, 0);
            while model.due(cursor) < Duration::from_secs(20) {
                let (body, _) = model.next(&mut cursor).expect("endless");
                bytes += body.bytes.len() as u64;
                messages += 1;
            }
            let rate = bytes * 8 / 20;
            assert!(rate.abs_diff(bits) < bits / 50, "{rate} for {bits}");
            assert_eq!(messages, 20 * 30 + 862);
        }
    }

    #[test]
    fn a_lean_stream_has_the_bits_in_few_messages() {
        let model = Model::new(BitRate(300_000), Shape::LEAN);
        let mut cursor = Cursor::default();
        let (mut bytes, mut messages) = (0, 0);
        while model.due(cursor) < Duration::from_secs(60) {
            let (body, _) = model.next(&mut cursor).expect("endless");
            assert_eq!(body.kind, VIDEO);
            bytes += body.bytes.len() as u64;
            messages += 1;
        }
        let rate = bytes * 8 / 60;
        assert!(rate.abs_diff(300_000) < 6000, "{rate}");
        assert_eq!(messages, 600);
    }

    #[test]
    fn a_stamp_is_found_where_it_was_written() {
        let stamp = Stamp {
            stream: 3,
            sequence: 1 << 40,
            sent_ns: 77,
            crc: 0xDEAD_BEEF,
            len: 99,
        };
        for kind in [VIDEO, AUDIO] {
            let mut body = vec![0xAF; Stamp::offset(kind).expect("media")];
            assert_eq!(Stamp::find(kind, &body), None);
            body.extend(stamp.bytes());
            assert_eq!(Stamp::find(kind, &body), Some(stamp));
        }
        assert_eq!(Stamp::find(VIDEO, &avc_header()), None);
        assert_eq!(Stamp::find(AUDIO, &aac_header()), None);
    }
}
