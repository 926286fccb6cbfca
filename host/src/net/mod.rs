//! Sockets: listening, accepting, limits on connections.

mod acceptor;
mod admission;

pub use acceptor::{Acceptor, BindError, Door};
pub use admission::{Admission, AdmissionLimits};
