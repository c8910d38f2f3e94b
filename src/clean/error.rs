//! What can go wrong in the joiner.

use crate::market::BarIndex;

/// An error of the joiner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinerError {
    /// A stretch that does not continue the last one.
    #[error("the joiner is at {expected}, but was given rows from {found}")]
    NotNext {
        /// The next bar.
        expected: BarIndex,
        /// First bar of the rejected block.
        found: BarIndex,
    },
    /// A block or a policy for another number of symbols.
    #[error("the joiner has {expected} symbols, but was given a block or a policy for {found}")]
    Symbols {
        /// Symbols of the joiner.
        expected: usize,
        /// Symbols of the block or the policy.
        found: usize,
    },
    /// Bytes that are not a checkpoint of this joiner.
    #[error("not a checkpoint of this joiner: {0}")]
    Checkpoint(&'static str),
}
