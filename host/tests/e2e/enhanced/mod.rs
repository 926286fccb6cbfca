//! Enhanced RTMP v2: what FFmpeg can send goes through unchanged to its
//! players; what no encoder here can send is scripted, byte by byte. Which test
//! covers what is in `docs/enhanced-rtmp.md`.

mod connect;
mod ffmpeg;
mod scripted;

use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);
