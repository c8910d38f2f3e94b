//! Which parts of a series have been asked for already: a mark beside the raw log.
//!
//! ```text
//! key    covered/<kind>/<market>/<symbol>
//! value  from i64 LE | to i64 LE, once for each stretch      bar numbers or milliseconds, by kind; [from, to)
//! ```
//! Stretches are ascending and do not touch. A slot inside that has no bar is the exchange's own hole: it is not asked
//! for again.

use backtestd_core::market::{BAR_MS, BarIndex};
use backtestd_core::market::{Kind, SeriesKey};
use backtestd_store::{Store, StoreError};

/// Slots looked at in one read.
const SCAN_SLOTS: i64 = 8192;
/// Imported instants that begin this close to the wanted start count as reaching it.
const START_TOLERANCE_MS: i64 = 8 * 3_600_000;

/// A part of a series: bar numbers or milliseconds, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// First bar number or ms of the stretch.
    pub from: i64,
    /// End of the stretch, exclusive.
    pub to: i64,
}

/// A stretch that has been asked for, whatever came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The series that was asked for.
    pub series: SeriesKey,
    /// The part of it that was asked for.
    pub stretch: Stretch,
}

fn key(series: &SeriesKey) -> String {
    format!("covered/{}/{}/{}", series.kind.name(), series.market, series.symbol)
}

/// What was asked for, ascending.
///
/// # Errors
/// When the engine fails. Bytes of another layout count as nothing: the worst is to ask again.
pub fn asked(store: &Store, series: &SeriesKey) -> Result<Vec<Stretch>, StoreError> {
    let Some(bytes) = store.meta(&key(series))? else { return Ok(Vec::new()) };
    let (words, _) = bytes.as_chunks::<8>();
    let (pairs, _) = words.as_chunks::<2>();
    Ok(pairs
        .iter()
        .map(|[from, to]| Stretch { from: i64::from_le_bytes(*from), to: i64::from_le_bytes(*to) })
        .collect())
}

/// The mark after a stretch has been asked for: its name and value in the store.
///
/// # Errors
/// When the engine fails.
pub fn extended(store: &Store, covered: &Covered) -> Result<(String, Vec<u8>), StoreError> {
    let mut all = asked(store, &covered.series)?;
    all.push(covered.stretch);
    all.sort_by_key(|s| s.from);
    let mut merged: Vec<Stretch> = Vec::new();
    for stretch in all.into_iter().filter(|s| s.from < s.to) {
        match merged.last_mut() {
            Some(last) if stretch.from <= last.to => last.to = last.to.max(stretch.to),
            _ => merged.push(stretch),
        }
    }
    let bytes = merged.iter().flat_map(|s| [s.from.to_le_bytes(), s.to.to_le_bytes()]).flatten().collect();
    Ok((key(&covered.series), bytes))
}

/// Remembers that a stretch was asked for.
///
/// # Errors
/// When the engine fails.
pub fn extend(store: &mut Store, covered: &Covered) -> Result<(), StoreError> {
    let (name, value) = extended(store, covered)?;
    store.put_meta(&name, &value)
}

/// The next stretch of a daemon's history before `end` that is neither stored nor remembered, `at_most` long. Instants
/// that were imported from the start on count as asked for up to their end. Those of the `lead_in_rows` before `first` are
/// wanted too: they hold on the first rows.
///
/// # Errors
/// When the engine fails.
pub fn next_missing(
    store: &mut Store,
    series: &SeriesKey,
    first: BarIndex,
    lead_in_rows: usize,
    end: i64,
    at_most: i64,
) -> Result<Option<Stretch>, StoreError> {
    let start = if series.kind.is_bar_like() { first.0 } else { first.open().0 + 1 };
    let is_known = asked(store, series)?.iter().any(|s| s.from <= start && start < s.to);
    if !is_known && let Some(to) = imported_to(store, series, start)? {
        extend(
            store,
            &Covered { series: series.clone(), stretch: Stretch { from: start, to: to.min(end) } },
        )?;
    }
    let lead_in = if series.kind.is_bar_like() { 0 } else { lead_in_rows as i64 * BAR_MS };
    next_unasked(store, series, Stretch { from: start - lead_in, to: end }, at_most)
}

/// The next part of `wanted` that is neither stored nor remembered, `at_most` long.
///
/// # Errors
/// When the engine fails.
pub fn next_unasked(
    store: &mut Store,
    series: &SeriesKey,
    wanted: Stretch,
    at_most: i64,
) -> Result<Option<Stretch>, StoreError> {
    let mut from = wanted.from;
    loop {
        let all = asked(store, series)?;
        if let Some(inside) = all.iter().find(|s| s.from <= from && from < s.to) {
            from = inside.to;
        }
        if from >= wanted.to {
            return Ok(None);
        }
        let next_known = all.iter().map(|s| s.from).find(|known| *known > from).unwrap_or(i64::MAX);
        let to = wanted.to.min(next_known);
        if !series.kind.is_bar_like() {
            return Ok(Some(Stretch { from, to: to.min(from + at_most) }));
        }
        let hole = first_hole(store, series, BarIndex(from), BarIndex(to))?;
        let present_to = hole.map_or(to, |bar| bar.0);
        if present_to > from {
            // Everything before the hole is there.
            let stretch = Stretch { from, to: present_to };
            extend(store, &Covered { series: series.clone(), stretch })?;
        }
        let Some(hole) = hole else {
            from = to;
            continue;
        };
        let mut to = to.min(hole.0 + at_most);
        if series.kind != Kind::Bars {
            // What a stream recorded live is not asked for again: the archive's values are another measurement.
            let present = slots(store, series, hole, BarIndex(to))?;
            to = present.first().map_or(to, |bar| bar.0);
        }
        return Ok(Some(Stretch { from: hole.0, to }));
    }
}

/// Instants that were imported from the start on: the end of them.
fn imported_to(store: &Store, series: &SeriesKey, start: i64) -> Result<Option<i64>, StoreError> {
    let found = store.summary(series)?;
    Ok(found
        .filter(|s| !series.kind.is_bar_like() && s.first <= start + START_TOLERANCE_MS && s.last >= start)
        .map(|s| s.last + 1))
}

/// The slots of `[from, to)` that have a record, of a bar-like series.
///
/// # Errors
/// When the engine fails.
pub fn slots(
    store: &Store,
    series: &SeriesKey,
    from: BarIndex,
    to: BarIndex,
) -> Result<Vec<BarIndex>, StoreError> {
    if series.kind == Kind::Bars {
        let bars = store.bars(series.market, &series.symbol, from, to)?;
        return Ok(bars.into_iter().map(|bar| bar.bar).collect());
    }
    Ok(store.series_rows(series, from.0, to.0)?.times.into_iter().map(BarIndex).collect())
}

/// The first slot of `[from, end)` without a bar.
fn first_hole(
    store: &Store,
    series: &SeriesKey,
    from: BarIndex,
    end: BarIndex,
) -> Result<Option<BarIndex>, StoreError> {
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
