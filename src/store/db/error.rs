//! What can go wrong in the store.

use std::path::PathBuf;

use backtestd_core::market::BarIndex;

/// An error of the store. Messages name the directory, keyspace or key and say what to do next.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the state directory open.
    #[error(
        "the state directory {} is in use by {}; stop that process or choose another directory with $BACKTESTD_STATE",
        dir.display(), holder(*pid)
    )]
    Locked {
        /// The state directory.
        dir: PathBuf,
        /// Process id written in the lock file, if it could be read.
        pid: Option<u32>,
    },
    /// The database was written with another layout.
    #[error(
        "the store in {} has schema version {found}, this program reads {expected}; use the program version that wrote \
         it, or move the directory away and import again",
        dir.display()
    )]
    Schema {
        /// The state directory.
        dir: PathBuf,
        /// Schema version found on disk.
        found: u32,
        /// Version this program writes.
        expected: u32,
    },
    /// Files that are not what they were when the store was closed.
    #[error(
        "the store in {} is damaged: not what they were when it was closed are {files}; nothing was opened or changed. \
         `backtestd verify` says what can still be read (if an earlier version of this program has used the store since, \
         delete its SEAL)",
        dir.display()
    )]
    Rotten {
        /// The state directory.
        dir: PathBuf,
        /// The files, below the state directory.
        files: String,
    },
    /// Stored bytes that do not decode.
    #[error(
        "the store is damaged: keyspace '{keyspace}', key {key}: {detail}; restore the directory from a copy"
    )]
    Corrupt {
        /// Keyspace of the damaged record.
        keyspace: &'static str,
        /// Key of the record, in hexadecimal.
        key: String,
        /// What does not fit.
        detail: String,
    },
    /// The storage engine failed.
    #[error("the store could not {action}: {source}")]
    Engine {
        /// What was being done.
        action: &'static str,
        /// The engine's error.
        source: Box<fjall::Error>,
    },
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A tick was committed twice or out of order.
    #[error(
        "tick {through} was handed over for commit, but the store is already at {committed}; rewind first"
    )]
    NotForward {
        /// Last committed bar.
        committed: BarIndex,
        /// Bar of the rejected commit.
        through: BarIndex,
    },
    /// A record that the layout cannot hold.
    #[error("{what} cannot be stored: {detail}")]
    Unstorable {
        /// Kind of record that cannot be stored.
        what: String,
        /// Why it cannot be stored.
        detail: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// Attaches what was being done to an engine error.
pub(super) trait During<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, fjall::Error> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Engine { action, source: Box::new(source) })
    }
}
