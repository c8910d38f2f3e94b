//! Why a run could not be carried out.

use crate::publish::{PublishError, RunFilesError};
use backtestd_core::conclude::ConcludeError;
use backtestd_core::discovery::{LedgerError, TableError};
use backtestd_core::market::{Symbol, Ts};
use backtestd_core::pipeline::PipelineError;
use backtestd_store::StoreError;
use backtestd_store::lake::LakeError;

/// A run that did not happen. Nothing half-written is left behind: files appear whole or not at all.
#[derive(Debug, thiserror::Error)]
pub enum ResearchError {
    /// A requested symbol has no bars.
    #[error(
        "the store has no perp bars of {symbol}; import or backfill it first (`backtestd import --help`)"
    )]
    NoBars {
        /// Symbol that was requested.
        symbol: Symbol,
    },
    /// A walk without a look.
    #[error(
        "--from {from}: there is no look to take; the first midnight must have a closed day of the history before it, which \
         goes from {start} to {end}"
    )]
    NoLooks {
        /// First look that was asked for.
        from: Ts,
        /// Where the history begins.
        start: Ts,
        /// Where it ends.
        end: Ts,
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
    /// Nothing can be concluded.
    #[error(transparent)]
    Conclude(#[from] ConcludeError),
    /// Outcomes that contradict each other.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The catalogue may not be looked at.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file of the run could not be written, or the version not published.
    #[error(transparent)]
    RunFiles(#[from] RunFilesError),
    /// The version could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}
