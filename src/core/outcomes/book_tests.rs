use proptest::prelude::*;

use super::*;
use crate::market::{FundingPrint, RawSymbol};

fn event(bar: i64, direction: i8) -> Event {
    Event {
        event_type: "E".into(),
        family: "F".into(),
        symbol: Symbol::new("BTCUSDT").unwrap(),
        bar: BarIndex(bar),
        direction,
        severity: 1.0,
        states: Arc::from([]),
        vol_regime: -1,
        carry_state: i8::MIN,
        sigma_bar: f64::NAN,
        sigma_event: f64::NAN,
        features: Vec::new(),
    }
}

fn config(horizons: &[&str], entry_price: EntryPrice) -> BookConfig {
    let horizons = horizons.iter().map(|h| Horizon::parse(h).unwrap()).collect();
    BookConfig {
        entry_lag_bars: NonZeroU32::MIN,
        entry_price,
        horizons: BTreeMap::from([("E".into(), horizons)]),
        symbols: vec![(Symbol::new("BTCUSDT").unwrap(), RoundTripCost::constant(12.0))],
    }
}

/// Bars from closes; high/low are 1 above/below the close, open is the previous close.
fn blocks(closes: &[f64], funding: &[(i64, f64)], chunk: usize) -> Vec<(RawBlock, TickBlock)> {
    let mut out = Vec::new();
    for (n, part) in closes.chunks(chunk).enumerate() {
        let first = BarIndex((n * chunk) as i64);
        let mut columns = SymbolColumns::new();
        let previous = |i: usize| if n * chunk + i == 0 { part[i] } else { closes[n * chunk + i - 1] };
        columns.set(Source::Open, (0..part.len()).map(previous).collect());
        columns.set(Source::High, part.iter().map(|c| c + 1.0).collect());
        columns.set(Source::Low, part.iter().map(|c| c - 1.0).collect());
        columns.set(Source::Close, part.to_vec());
        if !funding.is_empty() {
            columns.set(Source::FundingRate, vec![f64::NAN; part.len()]);
        }
        let end = (first + part.len() as i64).open();
        let prints = funding
            .iter()
            .map(|&(bar, rate)| FundingPrint::regular(BarIndex(bar).open(), rate, 8.0))
            .filter(|p| p.ts > first.open() && p.ts <= end)
            .collect();
        let raw = RawBlock {
            first,
            rows: part.len(),
            symbols: vec![RawSymbol { funding: prints, ..RawSymbol::default() }],
        };
        out.push((raw, TickBlock { first, rows: part.len(), symbols: vec![columns] }));
    }
    out
}

fn run(book: &mut OutcomeBook, blocks: &[(RawBlock, TickBlock)], events: &[Event]) -> Vec<Outcome> {
    let mut out = Vec::new();
    for (raw, block) in blocks {
        let end = block.first + block.rows as i64;
        let here: Vec<Event> =
            events.iter().filter(|e| e.bar >= block.first && e.bar < end).cloned().collect();
        out.extend(book.push(raw, block, &here));
    }
    out
}

#[test]
fn the_return_runs_from_the_close_after_the_lag_to_the_close_after_the_horizon() {
    let closes = [100.0, 101.0, 102.0, 103.0, 104.0, 99.0, 107.0];
    let mut book = OutcomeBook::new(config(&["15m"], EntryPrice::Close));
    let out = run(&mut book, &blocks(&closes, &[], 7), &[event(1, -1)]);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].forward_return, 99.0 / 102.0 - 1.0);
    assert_eq!(out[0].entry(), BarIndex(2).close());
    assert_eq!(out[0].exit(), BarIndex(5).close());
    // A short: favourable is down. Lowest low of bars 3..=5 is 98, highest high 105.
    assert_eq!(out[0].mfe_bps, -((98.0 / 102.0 - 1.0) * BPS));
    assert_eq!(out[0].mae_bps, -((105.0 / 102.0 - 1.0) * BPS));
    assert!(out[0].funding_paid.is_nan(), "funding that is not collected is unknown, not zero");
}

#[test]
fn the_open_convention_enters_and_exits_at_opens() {
    let closes = [100.0, 101.0, 102.0, 103.0, 104.0];
    let mut book = OutcomeBook::new(config(&["10m"], EntryPrice::Open));
    let out = run(&mut book, &blocks(&closes, &[], 5), &[event(1, 1)]);
    // open of bar 2 is close of bar 1; open of bar 4 is close of bar 3
    assert_eq!(out[0].forward_return, 103.0 / 101.0 - 1.0);
    assert_eq!(out[0].entry(), BarIndex(2).open());
}

#[test]
fn a_window_over_midnight_is_marked_at_the_last_close_before_it_as_soon_as_that_is_known() {
    // The bars around the midnight after the first day; no trade in the last one before it.
    let day = crate::market::BARS_PER_DAY;
    let mut closes: Vec<f64> = (0..day + 8).map(|bar| 100.0 + bar as f64).collect();
    closes[day as usize - 1] = f64::NAN;
    let events = [event(day - 8, 1), event(day - 4, 1), event(day - 2, 1), event(day - 1, 1)];
    let at = |bar: i64| 100.0 + bar as f64;
    let mut book = OutcomeBook::new(config(&["20m"], EntryPrice::Close));
    let parts = blocks(&closes[..day as usize], &[], 48);
    assert_eq!(run(&mut book, &parts, &events).len(), 1, "the second ends before midnight");
    let marked = book.marked();
    assert_eq!(marked.len(), 1, "entered on a bar that is known: the others are not, or not yet");
    assert!(marked[0].forward_return.is_nan());
    assert_eq!(marked[0].midnight_return, at(day - 2) / at(day - 3) - 1.0);

    let mut whole = OutcomeBook::new(config(&["20m"], EntryPrice::Close));
    let out = run(&mut whole, &blocks(&closes, &[], 48), &events);
    let of = |bar: i64| out.iter().find(|o| o.event.bar.0 == bar).unwrap();
    assert_eq!(of(day - 4).midnight_return, marked[0].midnight_return);
    assert!(of(day - 8).midnight_return.is_nan(), "no midnight inside");
    assert!(of(day - 2).midnight_return.is_nan(), "entered on a gap");
    assert!(of(day - 1).midnight_return.is_nan() && of(day - 1).midnight().is_none(), "entered after it");
}

#[test]
fn a_gap_at_entry_or_exit_leaves_the_outcome_unknown_but_booked() {
    let closes = [100.0, 101.0, f64::NAN, 103.0, 104.0, 105.0];
    let mut book = OutcomeBook::new(config(&["10m"], EntryPrice::Close));
    let out = run(&mut book, &blocks(&closes, &[], 6), &[event(0, 1), event(1, 1), event(2, 1)]);
    assert_eq!(out.len(), 3);
    assert_eq!(out[0].forward_return, 103.0 / 101.0 - 1.0, "a gap inside the window is skipped");
    assert!(out[1].forward_return.is_nan() && out[1].mfe_bps.is_nan(), "gap at entry");
    assert!(!out[2].forward_return.is_nan());
}

#[test]
fn funding_counts_strictly_inside_the_holding_window() {
    let closes: Vec<f64> = (0..10).map(|i| 100.0 + f64::from(i)).collect();
    let mut book = OutcomeBook::new(config(&["15m"], EntryPrice::Close));
    // entry at the open instant of bar 3, exit at that of bar 6
    let prints = [(3, 1.0), (4, 0.25), (5, 0.5), (6, 2.0)];
    let out = run(&mut book, &blocks(&closes, &prints, 10), &[event(1, 1)]);
    assert_eq!(out[0].funding_paid, 0.75);
}

#[test]
fn a_settlement_that_is_handed_over_twice_counts_once() {
    let closes: Vec<f64> = (0..10).map(|i| 100.0 + f64::from(i)).collect();
    let mut book = OutcomeBook::new(config(&["15m"], EntryPrice::Close));
    let mut parts = blocks(&closes, &[(4, 0.25), (5, 0.5)], 1);
    for n in 1..parts.len() {
        let before = parts[n - 1].0.symbols[0].funding.clone();
        parts[n].0.symbols[0].funding.splice(0..0, before);
    }
    let out = run(&mut book, &parts, &[event(1, 1)]);
    assert_eq!(out[0].funding_paid, 0.75);
}

#[test]
fn a_special_settlement_is_paid_beside_the_regular_one() {
    let closes: Vec<f64> = (0..10).map(|i| 100.0 + f64::from(i)).collect();
    let mut book = OutcomeBook::new(config(&["15m"], EntryPrice::Close));
    let mut parts = blocks(&closes, &[(4, 0.25)], 10);
    let funding = &mut parts[0].0.symbols[0].funding;
    funding[0].special_rate = 0.5;
    funding.push(FundingPrint::special(BarIndex(5).open(), 1.0));
    assert_eq!(run(&mut book, &parts, &[event(1, 1)])[0].funding_paid, 1.75);
}

proptest! {
    #[test]
    fn chunking_and_restarting_change_nothing(
        closes in proptest::collection::vec(prop_oneof![5 => 50.0..150.0f64, 1 => Just(f64::NAN)], 20..80),
        bars in proptest::collection::btree_set(0i64..80, 0..20),
        chunk in 1usize..20,
    ) {
        let events: Vec<Event> = bars.iter().filter(|b| (**b as usize) < closes.len()).map(|b| event(*b, 1)).collect();
        let funding = [(7, 0.1), (13, -0.2), (40, 0.3)];
        let config = config(&["5m", "15m", "60m"], EntryPrice::Close);
        let whole = run(&mut OutcomeBook::new(config.clone()), &blocks(&closes, &funding, 80), &events);

        let mut book = OutcomeBook::new(config.clone());
        let mut parts = Vec::new();
        for part in blocks(&closes, &funding, chunk) {
            parts.extend(run(&mut book, std::slice::from_ref(&part), &events));
            book = OutcomeBook::restore(config.clone(), &book.save().unwrap()).unwrap();
        }
        prop_assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
        prop_assert_eq!(whole.len() + book.open_count(), events.len() * 3);
    }
}
