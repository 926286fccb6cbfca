//! The chunk stream and AMF0 as tests write them, apart from the crate's own.

#[allow(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../../../../tests/e2e/support/amf.rs"]
pub(crate) mod amf;
#[allow(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../../../../tests/e2e/support/chunks.rs"]
pub(crate) mod chunks;
