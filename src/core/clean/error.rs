//! What can go wrong in the joiner.

use crate::market::BarIndex;

/// An error of the joiner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CleanError {
    /// A stretch that does not continue the last one.
    #[error("the joiner is at {expected}, but was given rows from {found}")]
    NotNext {
        /// The next bar.
        expected: BarIndex,
        /// First bar of the rejected block.
        found: BarIndex,
    },
    /// A block for another number of symbols.
    #[error("the joiner has {expected} symbols, but was given a block of {found}")]
    Symbols {
        /// Symbols of the joiner.
        expected: usize,
        /// Symbols of the block.
        found: usize,
    },
    /// Bytes that are not a checkpoint of this joiner.
    #[error("not a checkpoint of this joiner: {0}")]
    Checkpoint(&'static str),
    /// A rule of `spec/sources.yaml` that its columns cannot follow.
    #[error("sources.yaml, column '{column}': {problem}")]
    Rule {
        /// Source column that the rule is about.
        column: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// A calendar that cannot be used.
    #[error("calendar: {0}")]
    Calendar(String),
}
