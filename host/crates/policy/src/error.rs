//! Why there is no decision.

/// Why a decision could not be made. The gate turns it into the application's
/// `on_error` answer, as far as that covers it; the text goes to the log, never
/// to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The guest trapped: a panic, an out-of-bounds access, exhausted memory.
    #[error("the plugin trapped in {hook}: {reason}")]
    Trapped {
        /// The function of the interface that was running.
        hook: &'static str,
        /// First line of the trap.
        reason: String,
    },
    /// The guest used more time than its CPU or wall budget.
    #[error("the plugin exceeded its {budget} of {limit_ms} ms in {hook}")]
    TimedOut {
        /// The function of the interface that was running.
        hook: &'static str,
        /// "CPU budget" or "wall deadline".
        budget: &'static str,
        /// The budget, in milliseconds.
        limit_ms: u64,
        /// It was waiting for something outside, not computing.
        waiting: bool,
    },
    /// No instance became free inside the deadline, or one so late that the
    /// call met its deadline all the same.
    #[error(
        "no plugin instance was free for {hook} early enough in its {waited_ms} ms \
         (limit: {limit} instances)"
    )]
    Busy {
        /// The function of the interface that was wanted.
        hook: &'static str,
        /// How long the call waited in all, in milliseconds.
        waited_ms: u64,
        /// The pool's size.
        limit: usize,
    },
    /// The function kept failing, for everybody or for this client's address,
    /// and is not called for a while.
    #[error(
        "the plugin kept failing in {hook}, which is not called{} for another {left_ms} ms",
        if *alone { " for this address" } else { "" }
    )]
    LeftAlone {
        /// The function of the interface that was wanted.
        hook: &'static str,
        /// For so much longer, in milliseconds.
        left_ms: u64,
        /// Each of its failures was that it waited for too long.
        waiting: bool,
        /// Only this client's address has to wait.
        alone: bool,
    },
    /// It answered, but not with what can be done.
    #[error("the plugin's answer to {hook} can't be used: {reason}")]
    Unusable {
        /// The function of the interface that answered.
        hook: &'static str,
        /// What was expected, and what came.
        reason: String,
    },
    /// There is no serving generation.
    #[error("the plugin is not available: {0}")]
    Unavailable(String),
}

impl PolicyError {
    /// Whether [`Fallback::Allow`](super::Fallback::Allow) may stand in for the
    /// decision: the plugin waited for longer than it may, so what it waits for is
    /// out of reach.
    ///
    /// Everything else is something that a stranger can bring about by what he
    /// sends, or by how often: a trap, endless computing, an answer beyond its
    /// bounds, more questions at once than there are instances. None of it may
    /// let him in.
    pub fn may_be_allowed(&self) -> bool {
        match self {
            Self::TimedOut { waiting, .. } | Self::LeftAlone { waiting, .. } => *waiting,
            Self::Trapped { .. }
            | Self::Busy { .. }
            | Self::Unusable { .. }
            | Self::Unavailable(_) => false,
        }
    }
}
