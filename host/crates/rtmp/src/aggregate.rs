//! Aggregate messages, RTMP 1.0 section 7.1.6.
