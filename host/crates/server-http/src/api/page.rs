//! Lists, page by page.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// Entries of a page at most.
const MAX: usize = 1000;
/// Entries of a page when nobody says how many.
const DEFAULT: usize = 100;

/// Some entries of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// In a fixed order.
    pub items: Vec<T>,
    /// What to ask for `after`; null at the end of the list.
    #[schema(required = true)]
    pub next: Option<String>,
}

/// How many entries a page shall have.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(DEFAULT),
        Some(limit) if (1..=MAX).contains(&limit) => Ok(limit),
        Some(limit) => Err(Problem::bad_request(format!(
            "limit: expected 1 to {MAX}; found {limit}"
        ))),
    }
}

impl<T> Page<T> {
    /// What was `found`, each with its name; `more` may follow.
    pub(super) fn new<F>(
        found: Vec<F>,
        more: bool,
        name: impl Fn(&F) -> String,
        entry: impl FnMut(F) -> T,
    ) -> Self {
        let next = found.last().filter(|_| more).map(name);
        Self {
            items: found.into_iter().map(entry).collect(),
            next,
        }
    }
}
