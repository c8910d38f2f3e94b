//! Why a run could not be carried out.

use crate::blueprints::{CompileError, PublishError};
use crate::bridge::SampleError;
use crate::discovery::{LedgerError, TableError};
use crate::lake::LakeError;
use crate::market::Symbol;
use crate::pipeline::PipelineError;
use crate::store::StoreError;

/// A run that did not happen. Nothing half-written is left behind: files appear whole or not at all.
#[derive(Debug, thiserror::Error)]
pub enum ResearchError {
    /// A requested symbol has no bars.
    #[error(
        "the store has no perp bars of {symbol}; import or backfill it first (`backtestd import --help`)"
    )]
    NoBars {
        /// The symbol.
        symbol: Symbol,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pipeline refused.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A file of the lake could not be written.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Outcomes that contradict each other.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A candidate's sample cannot be built.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The catalogue may not be looked at.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Candidates of other specs.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The version could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}
