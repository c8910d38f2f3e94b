//! Why nothing can be concluded.

use crate::blueprints::CompileError;
use crate::discovery::TableError;
use crate::tradability::BridgeError;

/// A decision that could not be made, because its inputs contradict each other.
#[derive(Debug, thiserror::Error)]
pub enum ConcludeError {
    /// Outcomes that contradict each other.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Candidates cannot be traded.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// Candidates of other specs.
    #[error(transparent)]
    Compile(#[from] CompileError),
}
