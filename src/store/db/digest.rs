//! A digest of what the store holds: equal for two stores that know the same, however they came to know it.
//!
//! Covered: raw values (not where they came from), events, ends, outcomes, feature rows, the committed bar.
//! Left out: arrival times, the audit trail, trials, the evidence book, signals, checkpoints, runs, meta.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::error::During;
use super::kv::series;
use super::raw::corrupt;
use super::{Store, StoreError};
use backtestd_core::market::Kind;
use backtestd_core::market::hex;

impl Store {
    /// SHA-256 of the canonical content of each keyspace, by its name, and under `committed` the last bar.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn digest(&self) -> Result<BTreeMap<&'static str, String>, StoreError> {
        let mut out = BTreeMap::new();
        for kind in Kind::ALL.iter().copied() {
            out.insert(kind.name(), hash(&self.spaces.raw[kind.index()], kind.name(), Some(kind))?);
        }
        for (name, space) in [
            ("events", &self.spaces.events),
            ("episode_ends", &self.spaces.episode_ends),
            ("outcomes", &self.spaces.outcomes),
        ] {
            out.insert(name, hash(space, name, None)?);
        }
        out.insert("committed", self.committed()?.map_or_else(String::new, |bar| bar.to_string()));
        Ok(out)
    }
}

/// Of a raw series only the values count, not what they came with.
fn hash(space: &fjall::Keyspace, name: &'static str, raw: Option<Kind>) -> Result<String, StoreError> {
    let mut hash = Sha256::new();
    for pair in space.iter() {
        let (key, value) = pair.into_inner().during("read for the digest")?;
        hash.update((key.len() as u64).to_le_bytes());
        hash.update(&key);
        match raw {
            Some(kind) => {
                hash.update(series::column_bytes(kind, &value).map_err(|d| corrupt(name, &key, &d))?);
            }
            None => hash.update(&value),
        }
    }
    Ok(hex(&hash.finalize()))
}
