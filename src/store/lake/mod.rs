//! The lake: parquet files that DuckDB, Polars and pandas read without us (CONTRACTS of the lake: README).
//!
//! Files are zstd-compressed, sorted by their writer, with statistics and row groups of at most 128k rows. A
//! file is written beside its place and renamed, so a reader sees the old file or the new one. The same rows
//! give the same bytes: nothing in a file depends on the clock, the host or how the rows were batched. Its
//! metadata carries a SHA-256 of the content, which [`verify_parquet`] recomputes.

mod atomic;
mod candidates;
mod clean;
mod columns;
mod error;
mod hash;
mod manifest;
mod month;
mod outcome_error;
mod outcome_states;
mod outcome_table;
mod parquet;
mod raw;
mod union;

pub use crate::files::sync_folder;
pub use atomic::{write_atomically, write_bytes, write_synced};
pub use candidates::{NumberColumn, write_discovery, write_phase2_reports};
pub use clean::export_clean;
pub use columns::{
    bool_column, dictionary_column, f64_column, i64_column, list_column, state_column, string_column, table,
    ts_column, ts_column_opt,
};
pub use error::LakeError;
pub use hash::content_sha256;
pub use manifest::{FileList, ListedFile, file_list_path, list_files, read_file_list};
pub use month::{LakeFile, Month, write_month};
pub use outcome_error::OutcomeFileError;
pub use outcome_table::{OutcomeDefaults, OutcomeFile, read_outcome_table};
pub use parquet::{
    ParquetTable, SCHEMA_KEY, Written, metadata_hashes, parquet_bytes, read_metadata, read_parquet,
    restamp_parquet, stated_content_sha256, verify_parquet, write_parquet,
};
pub use raw::export_raw;
pub use union::in_order_of_time;
