//! What the interface promises, sentence by sentence: docs/conformance.md has
//! the table, [`table`] holds it to the interface and to the tests.

mod examples;
mod grants;
mod missing;
mod questions;
mod table;
mod values;
