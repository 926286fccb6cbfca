//! Why a cell is not a yes. What can be tried is tried, and its reason counts
//! only if the client said these words.

use super::{
    axes::{Codecs, Direction, Transport},
    cell::Failed,
};
use crate::support::Tool;

/// What a client has no way to do at all.
pub(super) fn never(tool: Tool, direction: Direction, codecs: Codecs) -> Option<&'static str> {
    match (tool, direction) {
        (Tool::Rtmpdump, Direction::Publish) => Some("rtmpdump only plays."),
        (Tool::Obs, Direction::Play) => Some(
            "OBS publishes; what its Media Source, which has ffmpeg 5.1's library, plays is not tried.",
        ),
        (Tool::Obs, Direction::Publish) if codecs != Codecs::common() => {
            Some("OBS before 29.1 streams H.264 and AAC over RTMP, nothing else.")
        }
        _ => None,
    }
}

/// A known reason, and words of which the client must have said one.
struct Reason {
    tools: &'static [Tool],
    of: fn(Direction, Transport, Codecs) -> bool,
    words: &'static [&'static str],
    text: &'static str,
}

/// With the library of ffmpeg 5.1.
const LIBAVFORMAT_59: &[Tool] = &[Tool::Ffmpeg5, Tool::Vlc, Tool::Mpv];
const GSTREAMER: &[Tool] = &[Tool::Gstreamer, Tool::GstreamerLibrtmp];

fn is_rtmpe(_: Direction, transport: Transport, _: Codecs) -> bool {
    matches!(transport, Transport::Rtmpe | Transport::Rtmpte)
}

fn is_enhanced(_: Direction, _: Transport, codecs: Codecs) -> bool {
    !codecs.is_legacy()
}

const REASONS: &[Reason] = &[
    Reason {
        tools: LIBAVFORMAT_59,
        of: is_rtmpe,
        words: &[
            "Protocol not found",
            "could not open",
            "Failed to open rtmp",
        ],
        text: "Debian builds FFmpeg 5.1 without RTMPE (\"Protocol not found\"); \
               VLC and mpv use its libavformat.",
    },
    Reason {
        tools: LIBAVFORMAT_59,
        of: is_enhanced,
        words: &[
            "not compatible with flv",
            "is not implemented. Update your FFmpeg version",
            "could not identify codec",
            "cannot add this stream",
            "buffer deadlock prevented",
            "Unable to seek to the next packet",
        ],
        text: "FFmpeg 5.1 is from before Enhanced RTMP (\"Video codec hevc not compatible with flv\", \
               \"Video codec (0) is not implemented\"); VLC and mpv use its libavformat.",
    },
    Reason {
        tools: &[Tool::Ffmpeg9],
        of: |_, transport, _| transport == Transport::Rtmpts,
        words: &["Cannot read RTMP handshake response"],
        text: "FFmpeg 9 can't send its second request inside TLS: it takes its own connection for one \
               without (\"Cannot read RTMP handshake response\").",
    },
    Reason {
        tools: &[Tool::Ffmpeg9],
        of: |_, _, codecs| codecs.video.fourcc == *b"vp08",
        words: &[
            "Video codec vp8 not compatible with flv",
            "is not implemented. Update your FFmpeg version",
        ],
        text: "FFmpeg 9 has VP8 not among the codecs of Enhanced RTMP (\"Video codec vp8 not compatible \
               with flv\").",
    },
    Reason {
        tools: GSTREAMER,
        of: |direction, _, codecs| direction == Direction::Publish && !codecs.is_legacy(),
        words: &["could not link", "Delayed linking failed"],
        text: "GStreamer's flvmux is from before Enhanced RTMP (\"could not link h265parse0 to m\").",
    },
    Reason {
        tools: &[Tool::Gstreamer],
        of: |_, transport, _| !matches!(transport, Transport::Rtmp | Transport::Rtmps),
        words: &["Host is not set"],
        text: "rtmp2sink and rtmp2src know rtmp:// and rtmps:// (\"Failed to connect: Host is not set\").",
    },
    Reason {
        tools: &[Tool::Obs],
        of: is_rtmpe,
        words: &["encrypted RTMP is not supported"],
        text: "OBS has no RTMPE (\"encrypted RTMP is not supported\").",
    },
    Reason {
        tools: &[Tool::Obs],
        of: |_, transport, _| transport.is_tunnel(),
        words: &["dropped frames due to insufficient bandwidth/connection stalls"],
        text: "OBS takes the HTTP answer to its first media for a message of RTMP and asks for it with \
               POST /idle ever after (\"dropped frames due to insufficient bandwidth/connection \
               stalls\").",
    },
];

/// The reason for a failure, as the table gives it.
pub(super) fn explain(
    tool: Tool,
    direction: Direction,
    transport: Transport,
    codecs: Codecs,
    failed: &Failed,
) -> Option<&'static str> {
    let reason = REASONS.iter().find(|reason| {
        reason.tools.contains(&tool)
            && (reason.of)(direction, transport, codecs)
            && reason.words.iter().any(|words| failed.said.contains(words))
    })?;
    Some(reason.text)
}
