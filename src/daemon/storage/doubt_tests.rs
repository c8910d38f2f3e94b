//! A print that cannot be true is unknown live as in batch: at once where the bar alone gives it away, by a
//! rewind where the next one does; and what was held back wrongly comes back the same way.

use std::sync::Arc;

use backtestd_store::load_specs;

use super::change_tests::{Bench, at, common};
use backtestd_core::market::{Bar, BarIndex, Market, RawBlock, RawPut, Records};
use backtestd_store::{Delivery, Origin};

const ROWS: i64 = 3200;
/// From here on bars come one at a time.
const LIVE: i64 = 2880;
/// The close is halved: the next bar tells.
const HALVED: i64 = 2900;
/// A close of a hundredth is held back as it comes.
const HUNDREDTH: i64 = 2960;
/// Everything falls to a third, in order: held back until the next bar says that it was true.
const CRASH: i64 = 3020;

fn scaled(bar: &mut Bar, factor: f64) {
    for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
        *price *= factor;
    }
    bar.quote_volume *= factor;
    bar.taker_buy_quote *= factor;
}

/// The market with the crash, and with the prints where `has_prints`, else without those bars.
fn history(has_prints: bool) -> RawBlock {
    let mut raw = common::market(11, 2, ROWS as usize);
    let bars = &mut raw.symbols[0].perp;
    for bar in bars.iter_mut().filter(|bar| bar.bar >= at(CRASH)) {
        let open = bar.open;
        scaled(bar, 0.3);
        if bar.bar == at(CRASH) {
            (bar.open, bar.high) = (open, bar.high.max(open));
            (bar.quote_volume, bar.taker_buy_quote) = (f64::NAN, f64::NAN);
        }
    }
    for (row, factor) in [(HALVED, 0.5), (HUNDREDTH, 0.01)] {
        if has_prints {
            let bar = bars.iter_mut().find(|bar| bar.bar == at(row)).unwrap();
            bar.close *= factor;
            bar.low = bar.low.min(bar.close);
        } else {
            bars.retain(|bar| bar.bar != at(row));
        }
    }
    raw
}

fn spec() -> Arc<backtestd_core::spec::CompiledSpec> {
    Arc::new(load_specs(&common::spec_dir()).unwrap_or_else(|e| panic!("{e}")))
}

/// The records of the rows `[from, to)`.
fn slice(raw: &RawBlock, from: i64, to: i64) -> RawBlock {
    common::slice(raw, from as usize, to as usize)
}

#[test]
fn prints_and_crashes_end_in_the_same_facts_live_and_in_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut batch = Bench::open(&dir.path().join("batch"), spec());
    batch.put(&history(false));
    batch.advance(at(ROWS), 512);
    let held = batch.store.quarantine().unwrap();
    assert!(held.is_empty(), "the market without the prints is true: {held:?}");

    let market = history(true);
    let mut live = Bench::open(&dir.path().join("live"), spec());
    live.put(&slice(&market, 0, LIVE));
    live.advance(at(LIVE), 512);
    let mut rewinds = Vec::new();
    for row in LIVE..ROWS {
        if let Some(to) = live.deliver(&slice(&market, row, row + 1)) {
            rewinds.push((row, to));
        }
        live.advance(at(row + 1), 1);
    }
    assert_eq!(rewinds, [(HALVED + 1, at(HALVED)), (CRASH + 1, at(CRASH))]);
    let held: Vec<BarIndex> = live.store.quarantine().unwrap().iter().map(|q| BarIndex(q.time)).collect();
    assert_eq!(held, [at(HALVED), at(HUNDREDTH)]);

    let (first, end) = (common::START, at(ROWS));
    let facts = |bench: &Bench| {
        // As text: an unknown value differs from itself.
        let (events, ends) = (bench.store.events(first, end), bench.store.episode_ends(first, end));
        format!("{:?} {:?}", events.unwrap(), ends.unwrap())
    };
    assert_eq!(facts(&live), facts(&batch));
    let outcomes = |bench: &Bench| format!("{:?}", bench.store.outcomes(first, end).unwrap());
    assert_eq!(outcomes(&live), outcomes(&batch));
    let state = |bench: &Bench| bench.facts.pipeline.checkpoint().unwrap();
    assert_eq!(state(&live), state(&batch));
}

#[test]
fn a_release_brings_the_bar_back_into_the_facts() {
    let dir = tempfile::tempdir().unwrap();
    let market = slice(&history(true), 0, HUNDREDTH + 20);
    let end = at(HUNDREDTH + 20);
    let mut bench = Bench::open(&dir.path().join("state"), spec());
    bench.put(&market);
    bench.advance(end, 512);
    let before = bench.store.events(common::START, end).unwrap();
    let ids: Vec<String> = bench.store.quarantine().unwrap().iter().map(|q| q.id()).collect();
    let now = end.open();
    backtestd_store::release_by_id(&mut bench.store, &ids, "for the test", now).unwrap().unwrap();
    assert_eq!(bench.store.facts_dirty().unwrap(), Some(at(HALVED)));
    bench.facts.note_dirty(&mut bench.store, at(HALVED)).unwrap();
    assert_eq!(bench.facts.rewind_if_dirty(&mut bench.store).unwrap(), Some(at(HALVED)));
    bench.advance(end, 512);
    assert_ne!(bench.store.events(common::START, end).unwrap(), before, "half the price is a shock");
    // The same records once more: they stay released.
    let puts = [RawPut {
        symbol: common::symbols(2)[0].clone(),
        records: Records::Bars(Market::Perp, market.symbols[0].perp.clone()),
    }];
    bench.store.put(&puts, Delivery::new(Origin::Rest, "again")).unwrap();
    assert!(bench.store.quarantine().unwrap().iter().all(|q| q.released.is_some()));
}
