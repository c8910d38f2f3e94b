//! What was announced against what is found now: `verify --live`.
//!
//! The facts are a function of the raw log. So an event that reads otherwise than it was announced, is gone,
//! or was never announced has one reason: records that came or changed after the tick that announced it. The
//! ledgers of the series have an entry for each of those; a difference without one is a finding.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::feed::ledger;
use super::storage::{StorageError, read_entries};
use super::stream_log::{EntryKind, StreamEntry};
use crate::verify::Area;
use backtestd_core::market::{BarIndex, SeriesKey, Symbol, Ts};
use backtestd_core::outcomes::Event;
use backtestd_store::{Store, StoreError};

/// Entries read at once.
const PAGE: usize = 4096;

/// A difference between what was announced and what is found now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Id of the event.
    pub event_id: String,
    /// What differs: `gone`, `not announced`, or a field with both values.
    pub what: String,
    /// The entry of a ledger that explains it; none is a finding.
    pub entry: Option<String>,
}

/// What the comparison came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveAudit {
    /// Counts, and differences without an entry.
    pub area: Area,
    /// Every difference, those with an entry too.
    pub differences: Vec<Difference>,
}

/// An announcement that stands.
struct Announced {
    data: Value,
    arrival: Ts,
}

/// A repair of any series, ready to explain.
struct Entry {
    series: SeriesKey,
    first_row: BarIndex,
    when: Ts,
    words: String,
}

/// Compares every announcement that the store still has with the registry.
///
/// # Errors
/// When the store cannot be read.
pub fn check_live(store: &Store) -> Result<LiveAudit, StorageError> {
    let mut area = Area::new("live");
    let mut differences = Vec::new();
    let from =
        store.meta("signals/from")?.and_then(|b| Some(i64::from_le_bytes(b.get(..8)?.try_into().ok()?)));
    let (Some(from), Some(committed)) = (from.map(BarIndex), store.committed()?) else {
        area.note = Some("nothing was ever announced from this store".to_owned());
        return Ok(LiveAudit { area, differences });
    };
    let (announced, first_kept) = announcements(store)?;
    let from = first_kept.map_or(from, |kept| from.max(kept));
    let entries = entries(store)?;
    let events = store.events(from, committed.next())?;
    let mut compared = 0_u64;
    let found: BTreeMap<String, &Event> = events.iter().map(|event| (event.id(), event)).collect();
    for (id, told) in announced.iter().filter(|(_, told)| bar_of(&told.data).is_some_and(|bar| bar >= from)) {
        compared += 1;
        let what = match found.get(id) {
            Some(event) => changed_fields(&told.data, event),
            None => Some("gone".to_owned()),
        };
        if let (Some(what), Some(bar)) = (what, bar_of(&told.data)) {
            let entry = explain(&entries, symbol_of(&told.data).as_ref(), bar, told.arrival);
            differences.push(Difference { event_id: id.clone(), what, entry });
        }
    }
    for (id, event) in found.iter().filter(|(id, _)| !announced.contains_key(*id)) {
        let entry = explain(&entries, Some(&event.symbol), event.bar, event.detected());
        differences.push(Difference { event_id: id.clone(), what: "not announced".to_owned(), entry });
    }
    for difference in differences.iter().filter(|difference| difference.entry.is_none()) {
        let Difference { event_id, what, .. } = difference;
        area.find(event_id.clone(), what.clone(), "an entry in a ledger that explains it", "none");
    }
    area.checked = format!(
        "{compared} announced events since {from} against the registry: {} differ, {} of them with an entry",
        differences.len(),
        differences.iter().filter(|difference| difference.entry.is_some()).count()
    );
    Ok(LiveAudit { area, differences })
}

/// What was announced and not retracted, by id; and the bar from which on all of it is kept.
fn announcements(store: &Store) -> Result<(BTreeMap<String, Announced>, Option<BarIndex>), StorageError> {
    let mut standing = BTreeMap::new();
    let first = store.first_signal()?.unwrap_or(1);
    let (mut next, mut first_kept) = (first, None);
    loop {
        let page = read_entries(store, next, PAGE)?;
        let Some(last) = page.last() else { return Ok((standing, first_kept)) };
        next = last.seq + 1;
        for StreamEntry { kind, data, .. } in page {
            let arrival = Ts(data["arrival_ns"].as_i64().unwrap_or(0).div_euclid(1_000_000));
            if first > 1 && first_kept.is_none() {
                // Older announcements have been dropped: what they were about is not compared.
                first_kept = Some(arrival.bar().next());
            }
            let Some(id) = data["event_id"].as_str().map(str::to_owned) else { continue };
            match kind {
                EntryKind::Signal => drop(standing.insert(id, Announced { data: (*data).clone(), arrival })),
                EntryKind::Retraction => drop(standing.remove(&id)),
                EntryKind::BlueprintVersion => {}
            }
        }
    }
}

fn bar_of(data: &Value) -> Option<BarIndex> {
    Some(Ts(data["timestamp_ns"].as_i64()?.div_euclid(1_000_000)).bar())
}

fn symbol_of(data: &Value) -> Option<Symbol> {
    Symbol::new(data["symbol"].as_str()?).ok()
}

/// The first field of an announcement that the registry tells otherwise, with both values.
fn changed_fields(told: &Value, event: &Event) -> Option<String> {
    let number = |field: &str| told[field].as_f64();
    let known = |x: f64| Some(x).filter(|x| x.is_finite());
    let pairs = [
        ("direction", number("direction"), Some(f64::from(event.direction))),
        ("severity", number("severity"), known(event.severity)),
        ("sigma_bar", number("sigma_bar"), known(event.sigma_bar)),
    ];
    let shown = |x: Option<f64>| x.map_or("unknown".to_owned(), |x| x.to_string());
    let bits = |x: Option<f64>| x.map(|x| (x + 0.0).to_bits());
    let differs = |(_, a, b): &&(&str, Option<f64>, Option<f64>)| bits(*a) != bits(*b);
    pairs
        .iter()
        .find(differs)
        .map(|(field, told, now)| format!("{field}: announced {}, now {}", shown(*told), shown(*now)))
}

/// Every repair of every series, and every record that was put in quarantine.
fn entries(store: &Store) -> Result<Vec<Entry>, StoreError> {
    let mut all = Vec::new();
    for (series, _) in store.series()? {
        for repair in ledger::load(store, &series)?.repairs() {
            let kind = series.kind;
            let words = format!(
                "{} {} {}: {} {} by {} at {}",
                series.symbol,
                series.market,
                kind.name(),
                repair.records,
                repair.change.name(),
                repair.how,
                repair.when
            );
            let first_row =
                if kind.is_bar_like() { BarIndex(repair.at.from) } else { Ts(repair.at.from - 1).bar() };
            all.push(Entry { series: series.clone(), first_row, when: repair.when, words });
        }
    }
    for held in store.quarantine()? {
        let words = format!("quarantine {}: {}", held.id(), held.reason);
        let (series, first_row) = (held.series.clone(), held.first_row());
        all.push(Entry { series, first_row, when: Ts(i64::MAX), words });
    }
    Ok(all)
}

/// The nearest entry that can have changed a row after it was told: one of the symbol itself, or else of
/// another one.
fn explain(entries: &[Entry], symbol: Option<&Symbol>, bar: BarIndex, told: Ts) -> Option<String> {
    let can = |entry: &&Entry| entry.first_row <= bar && entry.when >= told;
    let is_own = |entry: &Entry| symbol == Some(&entry.series.symbol);
    entries
        .iter()
        .filter(can)
        .max_by_key(|entry| (is_own(entry), entry.first_row))
        .map(|entry| entry.words.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::{Kind, Market};

    fn entry(symbol: &str, row: i64, when: i64) -> Entry {
        let series =
            SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol: Symbol::new(symbol).unwrap() };
        Entry { series, first_row: BarIndex(row), when: Ts(when), words: format!("{symbol} {row}") }
    }

    #[test]
    fn only_what_changed_before_the_event_and_after_it_was_told_explains_it() {
        let entries =
            [entry("AUSDT", 5, 100), entry("AUSDT", 8, 100), entry("BUSDT", 9, 100), entry("AUSDT", 11, 100)];
        let a = Symbol::new("AUSDT").unwrap();
        assert_eq!(explain(&entries, Some(&a), BarIndex(10), Ts(50)).as_deref(), Some("AUSDT 8"));
        assert_eq!(explain(&entries, Some(&a), BarIndex(10), Ts(101)), None, "told after the repair");
        assert_eq!(explain(&entries[2..], Some(&a), BarIndex(10), Ts(50)).as_deref(), Some("BUSDT 9"));
        assert_eq!(explain(&entries, Some(&a), BarIndex(4), Ts(50)), None, "repairs behind it");
    }
}
