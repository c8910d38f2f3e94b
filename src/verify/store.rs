//! The store reads back.

use super::Area;
use backtestd_store::{Store, StoreError};

/// Decodes every record. `progress` hears the number of records read.
///
/// # Errors
/// When the store cannot be read at all.
pub fn check_store(store: &Store, progress: &mut dyn FnMut(u64)) -> Result<Area, StoreError> {
    let mut area = Area::new("store");
    let decoded = store.verify(progress)?;
    for d in decoded.damages {
        area.find(format!("{} {}", d.keyspace, d.key), d.field, d.expected, d.found);
    }
    let records: u64 = decoded.records.values().sum();
    let kinds = decoded.records.values().filter(|n| **n > 0).count();
    area.checked = format!("{records} records of {kinds} kinds decoded, {} series", store.series()?.len());
    let held = store.quarantine()?.iter().filter(|record| record.released.is_none()).count();
    area.note = (held > 0).then(|| {
        format!("{held} records cannot be true and are in quarantine (`backtestd quarantine list`)")
    });
    Ok(area)
}
