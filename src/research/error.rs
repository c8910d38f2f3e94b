//! Why a run could not be carried out.

use std::path::PathBuf;

use crate::blueprints::PublishError;
use crate::lake::LakeError;
use crate::market::Symbol;
use crate::pipeline::PipelineError;
use crate::store::StoreError;

/// A run that did not happen. Nothing half-written is left behind: files appear whole or not at all.
#[derive(Debug, thiserror::Error)]
pub enum ResearchError {
    /// A requested symbol has no bars.
    #[error("the store has no perp bars of {symbol}; import or backfill it first (`backtestd import --help`)")]
    NoBars {
        /// The symbol.
        symbol: Symbol,
    },
    /// Nothing lies between start and end.
    #[error("the store has no bars between {start} and {end}; it holds {first} to {last}")]
    EmptyRange {
        /// Requested start.
        start: String,
        /// Requested end (exclusive).
        end: String,
        /// First bar of the store.
        first: String,
        /// Last bar of the store.
        last: String,
    },
    /// The run's name is taken by a run over other inputs.
    #[error(
        "{}: run '{run_id}' exists and was made from other inputs ({what} differs); choose another --run_id",
        path.display()
    )]
    RunExists {
        /// Its manifest.
        path: PathBuf,
        /// Its name.
        run_id: String,
        /// What differs.
        what: String,
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
    /// The version could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}
