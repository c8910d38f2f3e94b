//! The store reads back, and its files are what they were when it was closed.

use std::path::Path;

use super::Area;
use backtestd_core::market::{Kind, Ts};
use backtestd_store::{LostRange, Store, StoreError, check_seal, examine};

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
    lost(&mut area, &store.lost_ranges()?);
    let records: u64 = decoded.records.values().sum();
    let kinds = decoded.records.values().filter(|n| **n > 0).count();
    area.checked = format!("{records} records of {kinds} kinds decoded, {} series", store.series()?.len());
    let held = store.quarantine()?.iter().filter(|record| record.released.is_none()).count();
    let quarantined = (held > 0).then(|| {
        format!("{held} records cannot be true and are in quarantine (`backtestd quarantine list`)")
    });
    let notes: Vec<String> = quarantined.into_iter().chain(conflicts_note(store)?).collect();
    area.note = (!notes.is_empty()).then(|| notes.join("; "));
    Ok(area)
}

/// What the ledger of conflicts holds: no damage, but worth knowing.
fn conflicts_note(store: &Store) -> Result<Option<String>, StoreError> {
    let found = store.conflicts()?;
    let records = found.listed.len() as u64 + found.unlisted.iter().map(|u| u.records).sum::<u64>();
    Ok((records > 0).then(|| {
        format!("{records} records of which two deliveries said different things: `backtestd conflicts` lists them")
    }))
}

/// Holds the files of a closed store against its seal; the findings name each that changed. `None`: there is
/// no seal (the process that had the store was killed), so that only what the engine itself checks can be
/// checked.
///
/// # Errors
/// When a file cannot be read.
pub fn check_files(dir: &Path) -> Result<Option<Area>, StoreError> {
    let Some(broken) = check_seal(dir)? else { return Ok(None) };
    let mut area = Area::new("files");
    area.checked = "every file of the store is what it was when it was closed".to_owned();
    for file in broken {
        let subject = dir.join(&file.file).display().to_string();
        area.find(subject, "content", file.expected, file.found);
    }
    if area.count() > 0 {
        area.checked = "the store's files against the seal of its last closing".to_owned();
        area.note = Some(format!(
            "what to do: move {} away, import the lake (`backtestd import DATA/lake/raw`) or the archive files into a new \
             store, and fetch what is lost with `backtestd backfill`",
            dir.display()
        ));
    }
    Ok(Some(area))
}

/// What can still be read of a store whose files are damaged, from a copy.
///
/// # Errors
/// When no copy can be made.
pub fn check_damaged(dir: &Path, progress: &mut dyn FnMut(u64)) -> Area {
    let mut area = Area::new("store");
    let scratch = dir.join(format!(".examined-{}", std::process::id()));
    match examine(dir, &scratch, progress) {
        Ok((decoded, ranges)) => {
            for d in decoded.damages {
                area.find(format!("{} {}", d.keyspace, d.key), d.field, d.expected, d.found);
            }
            lost(&mut area, &ranges);
            let records: u64 = decoded.records.values().sum();
            area.checked = format!("{records} records of a copy can be read");
            if ranges.is_empty() {
                area.note = Some(
                    "every record that the copy knows of can be read; what was written last may be missing, if a journal \
                     (.jnl) is among the files"
                        .to_owned(),
                );
            }
        }
        Err(error) => {
            area.find(dir.display().to_string(), "store", "one that opens", error);
            area.checked = "no record can be read".to_owned();
        }
    }
    area
}

/// Stretches that are to be fetched again, with the command that does it.
fn lost(area: &mut Area, ranges: &[LostRange]) {
    for range in ranges {
        let series = &range.series;
        let (first, last) = (date(range.from), date(Ts(range.to.0 - 1)));
        let again = match series.kind {
            Kind::Liquidations | Kind::Quotes => "no archive has it".to_owned(),
            _ => format!("`backtestd backfill --symbols {} --start {first} --end {last}`", series.symbol),
        };
        area.find(
            format!("{} {} {}", series.kind.name(), series.market, series.symbol),
            format!("records of {first} to {last}"),
            "readable",
            format!("damaged; in a new store: {again}"),
        );
    }
}

fn date(at: Ts) -> String {
    at.to_string().chars().take(10).collect()
}
