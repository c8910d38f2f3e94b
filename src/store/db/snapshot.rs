//! A copy of an open store: what it held at one instant, written elsewhere while it goes on.

use std::fmt;
use std::path::Path;

use fjall::{Keyspace, Readable, Snapshot};

use super::error::During;
use super::kv::trial;
use super::raw::corrupt;
use super::{Fsync, Store, StoreError};
use backtestd_core::discovery::Trial;
use backtestd_core::market::hex;

/// What a store held at an instant. Taking it costs nothing; as long as it lives, what it sees is kept.
pub struct Frozen {
    at: Snapshot,
    spaces: Vec<(String, Keyspace)>,
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen").field("keyspaces", &self.spaces.len()).finish_non_exhaustive()
    }
}

impl Store {
    /// What the store holds now.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn freeze(&self) -> Result<Frozen, StoreError> {
        let at = self.db.snapshot();
        let spaces = self.spaces.all().into_iter().map(|(name, space)| (name.to_owned(), space.clone()));
        Ok(Frozen { at, spaces: spaces.collect() })
    }
}

impl Frozen {
    /// Writes it as a store of its own into an empty directory.
    ///
    /// # Errors
    /// When the engine fails, or the directory has a store already.
    pub fn write_to(self, dir: &Path) -> Result<(), StoreError> {
        const ACTION: &str = "copy the store";
        let copy = Store::open_with(dir, Fsync::Never)?;
        for ((name, from), (to_name, to)) in self.spaces.iter().zip(copy.spaces.all()) {
            debug_assert_eq!(name, to_name, "both list their keyspaces in one order");
            let mut rows = self.at.iter(from).peekable();
            if rows.peek().is_none() {
                continue;
            }
            let mut ingestion = to.start_ingestion().during(ACTION)?;
            for row in rows {
                let (key, value) = row.into_inner().during(ACTION)?;
                ingestion.write(key, value).during(ACTION)?;
            }
            ingestion.finish().during(ACTION)?;
        }
        copy.sync()
    }
}

/// A trial as text, for a process that keeps the ledger of another one's store.
#[must_use]
pub fn trial_to_text(trial: &Trial) -> String {
    format!("{} {}", hex(&trial.key.0), hex(&trial::encode(trial)))
}

/// The inverse of [`trial_to_text`].
///
/// # Errors
/// When the text is no trial.
pub fn trial_from_text(text: &str) -> Result<Trial, StoreError> {
    let bytes = |text: &str| -> Option<Vec<u8>> {
        let pairs = text.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    let parts = text.split_once(' ').and_then(|(key, value)| Some((bytes(key)?, bytes(value)?)));
    let found = parts.and_then(|(key, value)| trial::decode(&key, &value));
    found.ok_or_else(|| corrupt("trials", text.as_bytes(), "not a trial"))
}
