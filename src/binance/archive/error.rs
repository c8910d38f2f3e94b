//! What can be wrong with a file.

use std::path::PathBuf;

/// An error while reading a file: nothing of that file is imported.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be opened or read.
    #[error("{}: {source}", file.display())]
    Io {
        /// Path of the file that cannot be opened or read.
        file: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The container (zip, gzip, parquet) is damaged or not what it claims to be.
    #[error("{}: {detail}", file.display())]
    Container {
        /// Path of the damaged file.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A row has another number of fields than the first one.
    #[error("{}:{line}: {found} fields where {expected} belong; repair or cut the file and import it again", file.display())]
    Width {
        /// Path of the file with the uneven row.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Fields that belong there.
        expected: usize,
        /// Fields found in the row.
        found: usize,
    },
    /// A column that the kind needs is not there.
    #[error("{}: no column '{column}' (found: {found}); is this really a {kind} file?", file.display())]
    Column {
        /// Path of the file without the column.
        file: PathBuf,
        /// Column that is missing.
        column: &'static str,
        /// Columns that the file has.
        found: String,
        /// What was read.
        kind: &'static str,
    },
    /// A value that is not what its column holds.
    #[error("{}:{line}: {field} is '{value}': {problem}", file.display())]
    Value {
        /// Path of the file with the unusable value.
        file: PathBuf,
        /// Line, from 1; for parquet the row, from 1.
        line: u64,
        /// Column that the value belongs to.
        field: &'static str,
        /// The text found.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The checksum beside the file is another one.
    #[error("{}: its SHA-256 is {found}, but {} says {expected}; fetch the file again", file.display(), sum.display())]
    Checksum {
        /// The file that was read.
        file: PathBuf,
        /// The file with the checksum.
        sum: PathBuf,
        /// What it says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// What the file holds cannot be told from its name.
    #[error("{}: cannot tell the {what} from the name; give {flag}", file.display())]
    Unnamed {
        /// Path of the file whose name says too little.
        file: PathBuf,
        /// What is missing.
        what: &'static str,
        /// The flag that says it.
        flag: &'static str,
    },
    /// Bars of a width that does not divide five minutes.
    #[error("{}: bars of {interval} cannot be made into 5-minute bars; import 5m, 1m or 1s klines", file.display())]
    Interval {
        /// Path of the file with bars of the wrong width.
        file: PathBuf,
        /// The width found.
        interval: String,
    },
}
