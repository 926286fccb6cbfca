//! Sans-IO RTMP.
