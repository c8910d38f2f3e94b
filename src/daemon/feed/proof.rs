//! The ledgers hold what they say: no slot that they call complete lacks its record.

use super::{Stretch, ledger};
use crate::verify::Area;
use backtestd_core::market::{Kind, SeriesKey};
use backtestd_store::{Store, StoreError};

/// Slots looked at in one read.
const SCAN_SLOTS: i64 = 8192;

/// Holds the ledger of every series of bars and marks against its records.
///
/// # Errors
/// When the store fails.
pub fn check_gaps(store: &Store) -> Result<Area, StoreError> {
    let mut area = Area::new("gaps");
    let (mut series_seen, mut slots, mut holes) = (0_u64, 0_u64, 0_u64);
    for (series, _) in store.series()? {
        let ledger = ledger::load(store, &series)?;
        if ledger.settled().is_empty() {
            continue;
        }
        series_seen += 1;
        holes += ledger.holes().iter().map(|hole| (hole.at.to - hole.at.from).unsigned_abs()).sum::<u64>();
        for hole in ledger.holes() {
            let is_inside = ledger.settled().iter().any(|s| s.common(hole.at) == Some(hole.at));
            if !is_inside {
                let at = series.kind.instant(hole.at.from);
                area.find(
                    name(&series),
                    format!("hole at {at}"),
                    "inside of what was answered for",
                    "outside",
                );
            }
        }
        // Half a mark is stored and its other half a hole: only bars have a record for every slot that is
        // complete.
        if series.kind == Kind::Bars {
            for settled in ledger.settled() {
                slots += (settled.to - settled.from).unsigned_abs();
                check_stretch(store, &series, *settled, &|slot| ledger.is_hole(slot), &mut area)?;
            }
        }
    }
    area.checked = format!("{slots} slots of {series_seen} series are complete or known holes ({holes})");
    Ok(area)
}

fn check_stretch(
    store: &Store,
    series: &SeriesKey,
    settled: Stretch,
    is_hole: &dyn Fn(i64) -> bool,
    area: &mut Area,
) -> Result<(), StoreError> {
    let mut from = settled.from;
    while from < settled.to {
        let to = settled.to.min(from + SCAN_SLOTS);
        let present = store.series_rows(series, from, to)?.times;
        let mut next = from;
        for slot in present.into_iter().chain([to]) {
            for missing in (next..slot).filter(|slot| !is_hole(*slot)) {
                let at = series.kind.instant(missing);
                area.find(name(series), format!("slot {at}"), "a record, as the ledger says", "none");
            }
            next = slot + 1;
        }
        from = to;
    }
    Ok(())
}

fn name(series: &SeriesKey) -> String {
    format!("{} {} {}", series.symbol, series.market, series.kind.name())
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Told;
    use super::*;
    use crate::daemon::feed::ledger::{Ledger, mark};
    use backtestd_core::market::{Bar, BarIndex, Market, Symbol, Ts};
    use backtestd_store::{Delivery, Origin};

    #[test]
    fn a_slot_that_the_ledger_calls_complete_has_its_bar() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let series = SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol: symbol.clone() };
        let bars: Vec<Bar> = [10, 11, 14].map(|n| Bar::from_values(BarIndex(n), [1.0; 9])).to_vec();
        let delivery = Delivery::new(Origin::Rest, "test");
        store.put_bars(Market::Perp, &symbol, &bars, delivery).unwrap();
        let mut ledger = Ledger::default();
        let at = |from, to| Stretch { from, to };
        ledger.settle(at(10, 15), &[at(12, 13)], Told { answers: 2, now: Ts(0), patience_s: &[] });
        let (key, value) = mark(&series, &ledger);
        store.put_meta(&key, &value).unwrap();
        let area = check_gaps(&store).unwrap();
        assert_eq!(area.count(), 1, "{area:?}");
        assert!(area.findings[0].field.contains(&BarIndex(13).open().to_string()), "{area:?}");
        assert_eq!(area.checked, "5 slots of 1 series are complete or known holes (1)");
    }
}
