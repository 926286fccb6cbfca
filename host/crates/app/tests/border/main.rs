//! The border of `app`, shown by a second protocol: everything that a publish and a
//! play can meet, with nothing of RTMP's sessions.

mod claims;
mod log;
mod play;
mod protocol;
mod publish;
mod script;
