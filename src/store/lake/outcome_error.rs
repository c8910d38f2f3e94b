//! What is wrong with somebody's outcome table: the file, the column, the row, and what to do.

use std::path::PathBuf;

use backtestd_core::discovery::TableError;

use super::LakeError;

/// An outcome table that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeFileError {
    /// Not a readable parquet file.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A required column is absent.
    #[error("{}: column '{column}' is missing; it has {present}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// What is there.
        present: String,
    },
    /// A column of the wrong type.
    #[error("{}: column '{column}' is {found}, but must hold {wanted}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// What would be accepted.
        wanted: &'static str,
    },
    /// A required value is null.
    #[error("{}: row {row}, column {column}: the value is null", path.display())]
    Null {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: usize,
        /// The column.
        column: &'static str,
    },
    /// A value that cannot be used.
    #[error("{}: row {row}, column {column}: '{value}' is not {wanted}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: usize,
        /// The column.
        column: String,
        /// What was given.
        value: String,
        /// What would be accepted.
        wanted: &'static str,
    },
    /// Two columns of one state.
    #[error("{}: columns '{first}' and '{second}' are the same state; keep one of them", path.display())]
    SameState {
        /// The file.
        path: PathBuf,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A row that contradicts the table.
    #[error("{}: {why}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: TableError,
    },
}
