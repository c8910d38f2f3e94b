//! What can go wrong with files of the lake.

use std::path::PathBuf;

/// An error while writing or reading a lake file.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Arrow or parquet failed.
    #[error("{}: {detail}", path.display())]
    Format {
        /// Path of the file that failed.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A column type that content hashes do not cover.
    #[error(
        "column '{column}' has type {data_type}, which no lake file uses; write it as one of the types in lake/hash.rs"
    )]
    Type {
        /// Name of the column.
        column: String,
        /// Arrow type of the column.
        data_type: String,
    },
    /// The content is not what the file says it is.
    #[error("{}: content sha256 is {found}, its metadata says {expected}; write the file again", path.display())]
    Altered {
        /// Path of the file that was altered.
        path: PathBuf,
        /// Hash in the metadata.
        expected: String,
        /// Hash of the content.
        found: String,
    },
    /// The store failed under an export.
    #[error(transparent)]
    Store(#[from] crate::StoreError),
}

impl LakeError {
    pub(super) fn format(path: &std::path::Path, detail: impl ToString) -> Self {
        Self::Format { path: path.to_owned(), detail: detail.to_string() }
    }
}
