//! What the matrix is of: clients, transports, pairs of codecs, directions.

use std::{fmt, process::Command};

use crate::support::{Tool, clients};

/// Every client of the table, in its order.
pub(super) const CLIENTS: [Tool; 8] = [
    Tool::Obs,
    Tool::Ffmpeg9,
    Tool::Ffmpeg5,
    Tool::Gstreamer,
    Tool::GstreamerLibrtmp,
    Tool::Rtmpdump,
    Tool::Vlc,
    Tool::Mpv,
];

/// What a client says its version is.
pub(super) fn version(tool: Tool) -> String {
    let (mut command, argument, before) = match tool {
        Tool::Obs => (tool.command(), "--version", "OBS Studio - "),
        Tool::Ffmpeg5 | Tool::Ffmpeg9 => (tool.command(), "-version", "ffmpeg version "),
        Tool::Rtmpdump => (tool.command(), "--help", "RTMPDump "),
        Tool::Gstreamer | Tool::GstreamerLibrtmp => {
            (Command::new("gst-inspect-1.0"), "--version", "GStreamer ")
        }
        Tool::Vlc => (tool.command(), "--version", "VLC version "),
        Tool::Mpv => (tool.command(), "--version", "mpv "),
    };
    let output = command.arg(argument).output();
    let output = output.unwrap_or_else(|error| panic!("{tool}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let version = text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix(before)?;
        rest.split_whitespace().next().map(str::to_owned)
    });
    version.unwrap_or_else(|| panic!("{tool} has no version: {text}"))
}

/// How RTMP reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Rtmp,
    Rtmps,
    Rtmpt,
    Rtmpts,
    Rtmpe,
    Rtmpte,
}

impl Transport {
    pub(super) const ALL: [Self; 6] = [
        Self::Rtmp,
        Self::Rtmps,
        Self::Rtmpt,
        Self::Rtmpts,
        Self::Rtmpe,
        Self::Rtmpte,
    ];

    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
            Self::Rtmpt => "rtmpt",
            Self::Rtmpts => "rtmpts",
            Self::Rtmpe => "rtmpe",
            Self::Rtmpte => "rtmpte",
        }
    }

    pub(super) fn chain(self) -> &'static str {
        match self {
            Self::Rtmp => "[Tcp, Rtmp]",
            Self::Rtmps => "[Tcp, Tls, Rtmp]",
            Self::Rtmpt => "[Tcp, Http, Rtmp]",
            Self::Rtmpts => "[Tcp, Tls, Http, Rtmp]",
            Self::Rtmpe => "[Tcp, Rtmpe]",
            Self::Rtmpte => "[Tcp, Http, Rtmpe]",
        }
    }

    /// Whether what waits for a client's next request may be lost at its end.
    pub(super) fn is_tunnel(self) -> bool {
        self.chain().contains("Http")
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheme().to_uppercase())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Publish,
    Play,
}

impl Direction {
    pub(super) const BOTH: [Self; 2] = [Self::Publish, Self::Play];

    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Publish => "publishes",
            Self::Play => "plays",
        }
    }
}

/// A picture and a sound, one of them beside what every client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Codecs {
    pub(super) name: &'static str,
    pub(super) video: Codec,
    pub(super) audio: Codec,
}

/// One codec, by the names that programs have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Codec {
    /// As the tests' FLV reader calls it.
    pub(super) fourcc: [u8; 4],
    /// As FFmpeg calls it.
    pub(super) name: &'static str,
    /// FFmpeg's encoder, also as mpv has it.
    pub(super) encoder: &'static str,
    /// What FFmpeg 9 is told of it when the film is made.
    pub(super) options: &'static [&'static str],
    /// GStreamer's parser.
    pub(super) parser: &'static str,
}

const fn codec(
    fourcc: [u8; 4],
    name: &'static str,
    encoder: &'static str,
    options: &'static [&'static str],
    parser: &'static str,
) -> Codec {
    Codec {
        fourcc,
        name,
        encoder,
        options,
        parser,
    }
}

/// No B-frames: GStreamer gets no decoding times from Matroska.
const H264: Codec = codec(
    *b"avc1",
    "h264",
    "libx264",
    &["-preset", "veryfast", "-bf", "0"],
    "h264parse",
);
const H265: Codec = codec(
    *b"hvc1",
    "hevc",
    "libx265",
    &[
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=none:bframes=0",
    ],
    "h265parse",
);
const AV1: Codec = codec(*b"av01", "av1", "libsvtav1", &["-preset", "12"], "av1parse");
const REALTIME: &[&str] = &["-deadline", "realtime", "-cpu-used", "8"];
const VP9: Codec = codec(*b"vp09", "vp9", "libvpx-vp9", REALTIME, "vp9parse");
const VP8: Codec = codec(*b"vp08", "vp8", "libvpx", REALTIME, "identity");
const SORENSON: Codec = codec(*b"flv1", "flv1", "flv", &[], "identity");
const AAC: Codec = codec(*b"mp4a", "aac", "aac", &[], "aacparse");
const MP3: Codec = codec(
    *b".mp3",
    "mp3",
    "libmp3lame",
    &["-ar", "44100"],
    "mpegaudioparse",
);
const OPUS: Codec = codec(*b"Opus", "opus", "libopus", &[], "opusparse");
const AC3: Codec = codec(*b"ac-3", "ac3", "ac3", &[], "ac3parse");
const EAC3: Codec = codec(*b"ec-3", "eac3", "eac3", &[], "ac3parse");
const FLAC: Codec = codec(*b"fLaC", "flac", "flac", &[], "flacparse");
const NELLYMOSER: Codec = codec(
    *b"nell",
    "nellymoser",
    "nellymoser",
    &["-ar", "22050"],
    "identity",
);

impl Codecs {
    pub(super) const ALL: [Self; 11] = [
        pair("H.264, AAC", H264, AAC),
        pair("H.264, MP3", H264, MP3),
        pair("Sorenson H.263, Nellymoser", SORENSON, NELLYMOSER),
        pair("H.265, AAC", H265, AAC),
        pair("AV1, AAC", AV1, AAC),
        pair("VP9, AAC", VP9, AAC),
        pair("VP8, AAC", VP8, AAC),
        pair("H.264, Opus", H264, OPUS),
        pair("H.264, AC-3", H264, AC3),
        pair("H.264, E-AC-3", H264, EAC3),
        pair("H.264, FLAC", H264, FLAC),
    ];

    /// What every client knows.
    pub(super) fn common() -> Self {
        let [first, ..] = Self::ALL;
        first
    }

    /// Whether clients from before Enhanced RTMP can know both.
    pub(super) fn is_legacy(self) -> bool {
        matches!(&self.video.fourcc, b"avc1" | b"flv1")
            && matches!(&self.audio.fourcc, b"mp4a" | b".mp3" | b"nell")
    }

    /// A word for names of files and streams.
    pub(super) fn word(self) -> String {
        let kept = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        self.name.to_lowercase().chars().map(kept).collect()
    }
}

const fn pair(name: &'static str, video: Codec, audio: Codec) -> Codecs {
    Codecs { name, video, audio }
}

/// The clients of the table that are here.
pub(super) fn present() -> Vec<Tool> {
    clients::present(&CLIENTS)
}
