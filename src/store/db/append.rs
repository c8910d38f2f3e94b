//! Signals outside a tick: announcements that no tick produces.

use super::kv::blob;
use super::{Store, StoreError};

impl Store {
    /// Appends numbered signals in one batch, durable by the store's policy.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn append_signals(&mut self, signals: &[(u64, Vec<u8>)]) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        for (seq, json) in signals {
            batch.insert(&self.spaces.signals, seq.to_be_bytes(), blob::wrap(json));
        }
        self.write_durably(batch, "append signals")
    }
}
