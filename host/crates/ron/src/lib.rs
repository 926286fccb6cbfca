//! RON files that people write, read into typed fields.
//!
//! Flows in: the text of a file. Flows out: its values, each within its range; every
//! problem with its place, for a terminal as it is, for a log without the file's
//! texts; and the list of the fields that were asked for, from which documentation
//! is made.

pub mod json;
mod mask;
pub mod node;
pub mod reader;
mod report;
pub mod syntax;
pub mod units;

pub use reader::FieldDoc;
pub use report::{FieldNames, Problem, ProblemReport};
