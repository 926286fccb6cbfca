//! Values that the host fills in. They are open sets: a later host may have more.

/// Codecs, as [`StreamInfo::video`](crate::StreamInfo) and `audio` have them.
///
/// ```
/// use livehost_sdk::{StreamInfo, codec, testing};
/// let stream = StreamInfo { video: Some("avc".into()), ..testing::stream("cam1") };
/// assert_eq!(stream.video.as_deref(), Some(codec::AVC));
/// ```
pub mod codec {
    macro_rules! codecs {
        ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
            $($(#[$doc])* pub const $name: &str = $value;)*
        };
    }

    codecs! {
        /// H.264.
        AVC = "avc";
        /// H.265.
        HEVC = "hevc";
        /// H.266.
        VVC = "vvc";
        /// AV1.
        AV1 = "av1";
        /// VP8.
        VP8 = "vp8";
        /// VP9.
        VP9 = "vp9";
        /// Sorenson H.263.
        H263 = "h263";
        /// Screen video.
        SCREEN = "screen";
        /// Screen video 2.
        SCREEN_2 = "screen2";
        /// On2 VP6.
        VP6 = "vp6";
        /// On2 VP6 with an alpha channel.
        VP6_ALPHA = "vp6a";
        /// AAC.
        AAC = "aac";
        /// MP3.
        MP3 = "mp3";
        /// Opus.
        OPUS = "opus";
        /// FLAC.
        FLAC = "flac";
        /// AC-3.
        AC3 = "ac3";
        /// E-AC-3.
        EAC3 = "eac3";
        /// Speex.
        SPEEX = "speex";
        /// PCM.
        PCM = "pcm";
        /// G.711 A-law.
        PCMA = "pcma";
        /// G.711 mu-law.
        PCMU = "pcmu";
        /// ADPCM.
        ADPCM = "adpcm";
        /// Nellymoser.
        NELLYMOSER = "nellymoser";
        /// "Device-specific sound".
        DEVICE = "device";
        /// None of these, of audio or video.
        UNKNOWN = "unknown";
    }
}

/// Why a publish, a playback or a connection ended: the
/// [`reason`](crate::SessionEnd) of its end.
///
/// ```
/// use livehost_sdk::{reason, testing};
/// let end = testing::ended("kicked");
/// assert_eq!(end.reason, reason::KICKED);
/// ```
pub mod reason {
    macro_rules! reasons {
        ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
            $($(#[$doc])* pub const $name: &str = $value;)*
        };
    }

    reasons! {
        /// The client unpublished the stream.
        UNPUBLISH = "unpublish";
        /// The client closed the stream.
        CLOSE_STREAM = "close-stream";
        /// The client deleted the stream.
        DELETE_STREAM = "delete-stream";
        /// The player plays another stream instead.
        PLAY_ANOTHER = "play-another";
        /// The client closed its connection.
        EOF = "eof";
        /// The client reset its connection.
        RESET = "reset";
        /// The connection failed.
        LOST = "lost";
        /// The client broke the protocol.
        PROTOCOL_ERROR = "protocol-error";
        /// Nothing came, or nobody published, for too long.
        TIMEOUT = "timeout";
        /// The client took nothing.
        STALLED = "stalled";
        /// The player was behind for too long.
        TOO_SLOW = "too-slow";
        /// The publisher sent more than its `max-kbps`.
        TOO_FAST = "too-fast";
        /// Its `max-seconds` are over.
        LIMIT = "limit";
        /// By [`control::disconnect`](crate::control::disconnect) or
        /// [`control::stop_stream`](crate::control::stop_stream).
        KICKED = "kicked";
        /// Another publisher took the name.
        REPLACED = "replaced";
        /// The client was not let in.
        REFUSED = "refused";
        /// The server stops.
        SHUTDOWN = "shutdown";
        /// The stream could not be pulled.
        PULL_FAILED = "pull-failed";
        /// A pull is not wanted any more.
        STOPPED = "stopped";
        /// A pull had no players any more.
        UNWATCHED = "unwatched";
        /// None of these.
        ABORTED = "aborted";
    }
}
