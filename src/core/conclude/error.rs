//! Why nothing can be concluded.

use crate::blueprints::CompileError;
use crate::discovery::TableError;
use crate::tradability::SampleError;

/// A decision that could not be made, because its inputs contradict each other.
#[derive(Debug, thiserror::Error)]
pub enum ConcludeError {
    /// Outcomes that contradict each other.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A candidate's sample cannot be built.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// Candidates of other specs.
    #[error(transparent)]
    Compile(#[from] CompileError),
}
