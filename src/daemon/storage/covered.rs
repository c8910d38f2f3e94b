//! Which part of a series has been asked for already: a mark beside the raw log.
//!
//! ```text
//! key    covered/<kind>/<market>/<symbol>
//! value  from i64 LE | to i64 LE      bar numbers or milliseconds, by kind; [from, to)
//! ```
//! A slot inside that has no bar is the exchange's own hole: it is not asked for again at every start.

use super::StorageError;
use super::job::{Covered, Stretch};
use crate::market::BarIndex;
use crate::store::{Kind, SeriesKey, Store};

/// Slots looked at in one read.
const SCAN_SLOTS: i64 = 8192;
/// Imported instants that begin this close to the wanted start count as reaching it.
const START_TOLERANCE_MS: i64 = 8 * 3_600_000;

fn key(series: &SeriesKey) -> String {
    format!("covered/{}/{}/{}", series.kind.name(), series.market, series.symbol)
}

fn read(store: &Store, series: &SeriesKey) -> Result<Option<Stretch>, StorageError> {
    let key = key(series);
    let Some(bytes) = store.meta(&key)? else { return Ok(None) };
    let (Some(from), Some(to)) = (word(&bytes, 0), word(&bytes, 8)) else {
        return Err(StorageError::Record { key, detail: format!("{} bytes instead of 16", bytes.len()) });
    };
    Ok(Some(Stretch { from, to }))
}

fn word(bytes: &[u8], at: usize) -> Option<i64> {
    bytes.get(at..at + 8)?.try_into().ok().map(i64::from_le_bytes)
}

/// Remembers that a stretch was asked for. It must touch what is remembered, or replaces it.
pub(super) fn extend(store: &mut Store, covered: &Covered) -> Result<(), StorageError> {
    let new = covered.stretch;
    let merged = match read(store, &covered.series)? {
        Some(old) if new.from <= old.to && old.from <= new.to => {
            Stretch { from: old.from.min(new.from), to: old.to.max(new.to) }
        }
        _ => new,
    };
    let mut bytes = merged.from.to_le_bytes().to_vec();
    bytes.extend(merged.to.to_le_bytes());
    store.put_meta(&key(&covered.series), &bytes)?;
    Ok(())
}

/// The next stretch before `end` that is neither stored nor remembered, `at_most` long.
pub(super) fn next_missing(
    store: &mut Store,
    series: &SeriesKey,
    first: BarIndex,
    end: i64,
    at_most: i64,
) -> Result<Option<Stretch>, StorageError> {
    let start = if series.kind.is_bar_like() { first.0 } else { first.open().0 + 1 };
    let known = read(store, series)?.filter(|s| s.from <= start);
    let from = match known {
        Some(stretch) => stretch.to.max(start),
        None => imported_to(store, series, start)?.unwrap_or(start),
    };
    if !series.kind.is_bar_like() {
        return Ok((from < end).then(|| Stretch { from, to: end.min(from + at_most) }));
    }
    let Some(hole) = first_hole(store, series, BarIndex(from), BarIndex(end))? else {
        if from < end {
            extend(store, &Covered { series: series.clone(), stretch: Stretch { from: start, to: end } })?;
        }
        return Ok(None);
    };
    if hole.0 > start {
        // Everything before the hole is there.
        let stretch = Stretch { from: start, to: hole.0 };
        extend(store, &Covered { series: series.clone(), stretch })?;
    }
    let mut to = end.min(hole.0 + at_most);
    if series.kind != Kind::Bars {
        // What a stream recorded live is not asked for again: the archive's values are another measurement.
        let present = slots(store, series, hole, BarIndex(to))?;
        to = present.first().map_or(to, |bar| bar.0);
    }
    Ok(Some(Stretch { from: hole.0, to }))
}

/// Instants that were imported from the start on: the end of them.
fn imported_to(store: &Store, series: &SeriesKey, start: i64) -> Result<Option<i64>, StorageError> {
    let found = store.summary(series)?;
    Ok(found
        .filter(|s| !series.kind.is_bar_like() && s.first <= start + START_TOLERANCE_MS && s.last >= start)
        .map(|s| s.last + 1))
}

/// The slots of `[from, to)` that have a record.
fn slots(
    store: &Store,
    series: &SeriesKey,
    from: BarIndex,
    to: BarIndex,
) -> Result<Vec<BarIndex>, StorageError> {
    if series.kind == Kind::Bars {
        let bars = store.bars(series.market, &series.symbol, from, to)?;
        return Ok(bars.into_iter().map(|bar| bar.bar).collect());
    }
    let rows = usize::try_from(to - from).unwrap_or(0);
    let raw = store.raw(std::slice::from_ref(&series.symbol), from, rows)?;
    Ok(raw.symbols.into_iter().flat_map(|s| s.mark).map(|mark| mark.bar).collect())
}

/// The first slot of `[from, end)` without a bar.
fn first_hole(
    store: &Store,
    series: &SeriesKey,
    from: BarIndex,
    end: BarIndex,
) -> Result<Option<BarIndex>, StorageError> {
    let mut next = from;
    while next < end {
        let to = end.min(next + SCAN_SLOTS);
        for bar in slots(store, series, next, to)? {
            if bar != next {
                return Ok(Some(next));
            }
            next = next.next();
        }
        if next < to {
            return Ok(Some(next));
        }
    }
    Ok(None)
}
