//! Proofs about what is on disk: the store reads back, its facts are what the raw log and the specs give, the
//! lake's files hold what their metadata says, and every published version is whole.
//!
//! A check never repairs; what it finds is a [`Finding`] that names the place, the field and both values.

mod blueprints;
mod conflicts;
mod facts;
mod lake;
mod lake_rows;
mod store;

use std::fmt;

use serde::Serialize;

pub use blueprints::check_blueprints;
pub use conflicts::{ConflictQuery, conflicts_json};
pub use facts::{FactsError, FactsRange, check_facts};
pub use lake::{check_lake, parquet_files};
pub use lake_rows::check_lake_rows;
pub use store::{check_damaged, check_files, check_store};

/// Most findings of one area that are listed; the rest is counted.
pub const LISTED: usize = 1000;

/// Something that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// File, or keyspace and key, or event id.
    pub subject: String,
    /// Field of it.
    pub field: String,
    /// What belongs there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, field, expected, found } = self;
        write!(f, "{subject}: {field}: expected {expected}, found {found}")
    }
}

/// What one area came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Area {
    /// `files`, `store`, `gaps`, `facts`, `live`, `lake`, `lake_rows` or `blueprints`.
    pub area: &'static str,
    /// What was looked at, in words.
    pub checked: String,
    /// Why it was not looked at, or only in part.
    pub note: Option<String>,
    /// The findings, at most [`LISTED`].
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub unlisted: u64,
}

impl Area {
    pub(crate) fn new(area: &'static str) -> Self {
        Self { area, checked: String::new(), note: None, findings: Vec::new(), unlisted: 0 }
    }

    pub(crate) fn find(
        &mut self,
        subject: impl Into<String>,
        field: impl Into<String>,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) {
        if self.findings.len() >= LISTED {
            self.unlisted += 1;
            return;
        }
        self.findings.push(Finding {
            subject: subject.into(),
            field: field.into(),
            expected: expected.to_string(),
            found: found.to_string(),
        });
    }

    /// An area that was not looked at.
    #[must_use]
    pub fn skipped(area: &'static str, note: String) -> Self {
        Self { note: Some(note), ..Self::new(area) }
    }

    /// All findings, listed or not.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.findings.len() as u64 + self.unlisted
    }
}
