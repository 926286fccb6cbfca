//! Tools for authors of plugins: templates, builds, what is in a component, cases.
//!
//! Flows in: components, sources, cases. Flows out: text for a terminal. A
//! server needs nothing of this; plugins are run by `livehost-plugin`, as in a
//! server.

pub mod build;
mod cases;
mod follow;
mod inspect;
mod new;
mod stage;
mod test;

pub use build::build;
pub use inspect::inspect;
pub use new::{TemplateLanguage, new};
pub use test::{Options, test};
