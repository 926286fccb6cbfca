//! A line in the log for every order, done or refused.

use tracing::{info, warn};

use crate::access::Operator;
use crate::problem::Problem;

/// Says that `operator` gave this order, and what came of it.
pub(super) fn audit<T>(
    operator: &Operator,
    order: &'static str,
    target: &str,
    outcome: Result<T, Problem>,
) -> Result<T, Problem> {
    let operator = operator.name.as_str();
    match &outcome {
        Ok(_) => info!(operator, order, target, "order carried out"),
        Err(problem) => {
            let reason = problem.detail.as_str();
            warn!(operator, order, target, reason, "order refused");
        }
    }
    outcome
}
