//! What backtestd keeps on disk: the embedded store, and the parquet lake that everybody else reads.
//!
//! [`Store`] is the raw input log, the facts computed from it, checkpoints and runs, in fjall. [`lake`]
//! writes parquet. [`load_specs`] reads a directory of spec files for the core, which never touches files
//! itself.
#![forbid(unsafe_code)]

mod db;
mod files;
pub mod lake;
mod spec_dir;

pub use db::*;
pub use spec_dir::{load_specs, load_yaml, read_files, read_source, spec_files};
