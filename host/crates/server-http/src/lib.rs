//! HTTP for operators: what the server does, and orders to it.
//!
//! Flows in: accepted sockets, and what [`Site`] knows of the server. Flows out:
//! answers of the services that an acceptor names ([`Service`]): the API
//! (`api/`), metrics, health. The same API is at a socket in the file system
//! ([`ControlSocket`]), whose file's owner may do everything.
//!
//! A request passes, in this order: the limits of its connection
//! (`connection.rs`), the checks against pages of other sites (`guard.rs`), who
//! asks and may (`access.rs`), its handler. Whatever is refused is a
//! [`Problem`](problem::Problem).

pub mod access;
pub mod api;
mod connection;
mod guard;
mod health;
mod metrics;
pub mod operations;
pub mod problem;
mod process;
mod routes;
mod server;
mod site;
mod socket;

pub use access::{AccessSettings, Scope, Token};
pub use operations::Operations;
pub use routes::Service;
pub use server::{HttpChain, HttpServer};
pub use site::{MAX_FEEDS, Site};
pub use socket::{ControlSocket, SocketError};
