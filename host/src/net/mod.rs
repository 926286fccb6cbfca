//! Sockets: listening, accepting, limits on connections.

mod acceptor;
mod admission;
mod proxy;

pub use acceptor::{Acceptor, BindError, Binding, Door};
pub use admission::{Admission, AdmissionLimits, Permit, Refused};
