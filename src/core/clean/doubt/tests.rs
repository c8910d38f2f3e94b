use std::collections::BTreeMap;

use super::{Doubt, DoubtRule, Judge, reach};
use crate::market::{Bar, BarIndex, Columns, Draws, Kind, MarkBar, OpenInterest, Record, Ts};
use crate::spec::{Plausibility, SourcesSpec, parse_yaml};

/// The shipped rules.
fn rules() -> Plausibility {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/sources.yaml"));
    let file = crate::spec::SourceFile { path: "sources.yaml".into(), text: text.into() };
    parse_yaml::<SourcesSpec>(&file).unwrap().plausibility
}

/// A market that opens where it closed, 0.1 % up and down by turns.
fn market(count: i64) -> Vec<Bar> {
    let price = |i: i64| 100.0 + 0.1 * (i % 7) as f64;
    (0..count)
        .map(|i| {
            let (open, close) = (price(i), price(i + 1));
            let average = f64::midpoint(open, close);
            Bar {
                bar: BarIndex(i),
                open,
                close,
                high: open.max(close) + 0.1,
                low: open.min(close) - 0.1,
                volume: 10.0,
                quote_volume: 10.0 * average,
                trades: 50.0,
                taker_buy_volume: 5.0,
                taker_buy_quote: 5.0 * average,
            }
        })
        .collect()
}

fn rows(bars: &[Bar]) -> Vec<(i64, Columns)> {
    bars.iter().map(|bar| (bar.time(), bar.columns())).collect()
}

fn judge(bars: &[Bar]) -> BTreeMap<i64, Doubt> {
    Judge { rules: &rules(), now: None }.series(Kind::Bars, &rows(bars), i64::MIN..i64::MAX)
}

fn found(bars: &[Bar]) -> Vec<(i64, DoubtRule)> {
    judge(bars).into_iter().map(|(time, doubt)| (time, doubt.rule)).collect()
}

/// The market with a change at bar 20.
fn with(change: impl Fn(&mut Bar)) -> Vec<Bar> {
    let mut bars = market(40);
    change(&mut bars[20]);
    bars
}

#[test]
fn a_price_that_leaves_both_neighbours_and_returns_is_doubted_alone() {
    use DoubtRule::{AveragePrice, LeavesAndReturns as Leaves};
    let close = |factor: f64| {
        with(|bar| {
            bar.close *= factor;
            bar.low = bar.low.min(bar.close);
            bar.high = bar.high.max(bar.close);
        })
    };
    for factor in [0.0001, 0.001, 0.1, 0.5, 0.8, 1.25, 2.0, 10.0, 1000.0] {
        assert_eq!(found(&close(factor)), [(20, Leaves)], "a close times {factor}");
    }
    let open = with(|bar| {
        bar.open *= 0.5;
        bar.low = bar.open;
    });
    assert_eq!(found(&open), [(20, Leaves)]);
    let wick = with(|bar| bar.low = 1.0);
    assert_eq!(found(&wick), [(20, Leaves)]);
    let whole = with(|bar| {
        for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
            *price *= 3.0;
        }
    });
    assert_eq!(found(&whole), [(20, AveragePrice)]);
    let whole = with(|bar| {
        *bar = Bar { open: 300.0, high: 301.0, low: 299.0, close: 300.0, quote_volume: f64::NAN, ..*bar }
    });
    assert_eq!(found(&whole), [(20, Leaves)]);
}

#[test]
fn a_run_of_prints_is_doubted_as_a_whole_up_to_the_longest() {
    for run in 1..=4 {
        let mut bars = market(40);
        for bar in &mut bars[20..20 + run] {
            *bar = Bar { open: 1.0, high: 1.0, low: 1.0, close: 1.0, quote_volume: f64::NAN, ..*bar };
        }
        // The first print of a run may have begun in order.
        bars[20].open = bars[19].close;
        let expected = if run <= 3 { run } else { 0 };
        assert_eq!(judge(&bars).len(), expected, "{run} bars");
    }
}

/// A market whose prices go by the closes given, and which opens where it closed.
fn path(closes: &[f64]) -> Vec<Bar> {
    let mut bars = market(closes.len() as i64);
    let mut open = closes[0];
    for (bar, close) in bars.iter_mut().zip(closes) {
        (bar.open, bar.close) = (open, *close);
        (bar.high, bar.low) = (open.max(*close), open.min(*close));
        (bar.quote_volume, bar.taker_buy_quote) = (f64::NAN, f64::NAN);
        open = *close;
    }
    bars
}

#[test]
fn crashes_recoveries_listings_and_steps_are_true() {
    let crash = path(&[100.0, 99.0, 40.0, 25.0, 70.0, 95.0, 96.0]);
    assert_eq!(found(&crash), []);
    let down_and_up = path(&[100.0, 99.0, 30.0, 98.0, 99.0]);
    assert_eq!(found(&down_and_up), []);
    let mut deep = path(&[100.0, 99.0, 90.0, 91.0]);
    deep[2].low = 12.0;
    assert_eq!(found(&deep), [], "a wick to an eighth, as in October 2025");
    let listing = path(&[1.0, 2.5, 8.0, 6.0, 9.0]);
    assert_eq!(found(&listing), []);
    // After a halt it opens elsewhere and stays there.
    let mut step = path(&[100.0, 100.0, 60.0, 61.0, 60.0]);
    step[2].open = 60.0;
    step[2].high = 60.0;
    assert_eq!(found(&step), []);
}

#[test]
fn the_last_bar_is_held_back_only_where_it_leaves_by_far() {
    let ends = |factor: f64| {
        let mut bars = market(21);
        bars[20].close *= factor;
        bars[20].low = bars[20].low.min(bars[20].close);
        bars[20].high = bars[20].high.max(bars[20].close);
        bars
    };
    assert_eq!(found(&ends(0.5)), [], "the next bar will tell");
    assert_eq!(found(&ends(0.2)), [(20, DoubtRule::Unconfirmed)]);
    assert_eq!(found(&ends(5.0)), [(20, DoubtRule::Unconfirmed)]);
    // The next bar opens where it closed: it was true.
    let mut bars = ends(0.2);
    let close = bars[20].close;
    bars.push(Bar {
        bar: BarIndex(21),
        open: close,
        high: close,
        low: close,
        close,
        quote_volume: f64::NAN,
        ..bars[20]
    });
    assert_eq!(found(&bars), []);
    // A print is no witness against the bar after it, which is the last.
    let mut bars = market(22);
    (bars[20].close, bars[20].low) = (1.0, 1.0);
    assert_eq!(found(&bars), [(20, DoubtRule::LeavesAndReturns)]);
    // Nor against the bar before it, which is the first.
    let mut bars = market(4);
    bars[1] = Bar { open: 1.0, high: 1.0, low: 1.0, close: 1.0, quote_volume: f64::NAN, ..bars[1] };
    assert_eq!(found(&bars), [(1, DoubtRule::LeavesAndReturns)]);
    // The first bar has no bar before it.
    let mut bars = market(5);
    bars[0] = Bar { open: 1.0, high: 1.0, low: 1.0, close: 1.0, quote_volume: f64::NAN, ..bars[0] };
    assert_eq!(found(&bars), [(0, DoubtRule::Unconfirmed)]);
}

#[test]
fn a_closing_bar_is_judged_by_the_one_before_it() {
    let rules = rules();
    let judge = Judge { rules: &rules, now: Some(BarIndex(20).close()) };
    let bars = market(40);
    assert_eq!(judge.closing(&bars[19], Some(&bars[18])), None);
    assert_eq!(judge.closing(&bars[19], None), None);
    let print = Bar { close: 0.01, low: 0.01, ..bars[19] };
    assert_eq!(judge.closing(&print, Some(&bars[18])).unwrap().rule, DoubtRule::Unconfirmed);
    let ahead = Bar { bar: BarIndex(30), ..bars[30] };
    assert_eq!(judge.closing(&ahead, Some(&bars[18])).unwrap().rule, DoubtRule::BeyondNow);
    assert_eq!(Judge { now: None, ..judge }.closing(&ahead, None), None);
}

#[test]
fn bounds_takers_averages_and_spikes_are_asked_of_every_bar() {
    use DoubtRule as R;
    type Case = (R, fn(&mut Bar));
    let cases: [Case; 7] = [
        (R::Bounds, |bar| bar.close = 0.0),
        (R::Bounds, |bar| bar.high = 1e8),
        (R::Bounds, |bar| bar.trades = 1e9),
        (R::TakerVolume, |bar| bar.taker_buy_volume = 10.1),
        (R::TakerVolume, |bar| bar.taker_buy_quote = bar.quote_volume * 1.01),
        (R::AveragePrice, |bar| bar.volume = 10_000.0),
        (R::Spike, |bar| (bar.volume, bar.quote_volume, bar.taker_buy_quote) = (1e6, f64::NAN, f64::NAN)),
    ];
    for (rule, change) in cases {
        assert_eq!(found(&with(change)), [(20, rule)]);
    }
    let unknown = with(|bar| {
        *bar = Bar { volume: f64::NAN, quote_volume: f64::NAN, trades: f64::NAN, ..*bar };
        bar.taker_buy_volume = f64::NAN;
        bar.taker_buy_quote = f64::NAN;
    });
    assert_eq!(found(&unknown), [], "what is unknown says nothing");
    let halt = with(|bar| {
        *bar = Bar {
            volume: 0.0,
            quote_volume: 0.0,
            trades: 0.0,
            taker_buy_volume: 0.0,
            taker_buy_quote: 0.0,
            ..*bar
        };
    });
    assert_eq!(found(&halt), [], "a halt has true zeros");
}

#[test]
fn marks_and_open_interest_that_leave_and_return_are_doubted() {
    let rules = rules();
    let judge = Judge { rules: &rules, now: None };
    let mark = |i: i64| MarkBar {
        bar: BarIndex(i),
        mark: if i == 5 { 10.0 } else { 100.0 },
        index: 100.0,
        premium: 0.0,
        predicted_rate: 0.0001,
    };
    let marks: Vec<_> = (0..10).map(|i| (i, mark(i).columns())).collect();
    let found = judge.series(Kind::Mark, &marks, i64::MIN..i64::MAX);
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [5]);
    let snapshot = |i: i64| OpenInterest {
        ts: Ts(i * 300_000),
        contracts: if i == 5 { 1e6 } else { 1e4 },
        value: f64::NAN,
    };
    let snapshots: Vec<_> = (0..10).map(|i| (i * 300_000, snapshot(i).columns())).collect();
    let found = judge.series(Kind::OpenInterest, &snapshots, i64::MIN..i64::MAX);
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [1_500_000]);
    let mut print = Bar { ..market(1)[0] };
    assert_eq!(judge.band(&print, 100.0, (0.95, 1.05)), None);
    print.close = 115.0;
    assert_eq!(judge.band(&print, 100.0, (0.95, 1.05)).unwrap().rule, DoubtRule::PriceBand);
    assert_eq!(judge.band(&print, f64::NAN, (0.95, 1.05)), None);
}

/// What a keeper of verdicts relies on: it looks at a stretch and what lies within reach of it, never at
/// everything.
#[test]
fn a_verdict_depends_on_nothing_beyond_its_reach() {
    let rules = rules();
    let judge = Judge { rules: &rules, now: None };
    let mut draws = Draws::numbered(7, 1);
    let mut bars = market(600);
    bars.retain(|_| draws.uniform() > 0.1);
    for bar in &mut bars {
        if draws.uniform() < 0.2 {
            let factor = if draws.uniform() < 0.5 { 0.01 } else { 50.0 };
            bar.close *= factor;
            if draws.uniform() < 0.5 {
                bar.open *= factor;
            }
            (bar.high, bar.low) = (bar.high.max(bar.close), bar.low.min(bar.close));
            bar.quote_volume = f64::NAN;
        }
        if draws.uniform() < 0.05 {
            bar.volume *= 1e6;
            bar.quote_volume = f64::NAN;
        }
    }
    let all = rows(&bars);
    let whole = judge.series(Kind::Bars, &all, i64::MIN..i64::MAX);
    assert!(whole.len() > 50, "{}", whole.len());
    let far = reach(&rules, Kind::Bars);
    for start in 0..600 {
        let wanted = start..start + 3;
        let near: Vec<_> =
            all.iter().copied().filter(|(t, _)| *t >= wanted.start - far && *t < wanted.end + far).collect();
        let expected: BTreeMap<_, _> = whole.range(wanted.clone()).map(|(t, d)| (*t, d.clone())).collect();
        assert_eq!(judge.series(Kind::Bars, &near, wanted), expected, "at {start}");
    }
}

#[test]
fn every_rule_is_found_by_its_name() {
    for rule in DoubtRule::ALL {
        assert_eq!(DoubtRule::from_name(rule.name()), Some(rule));
    }
    assert_eq!(DoubtRule::from_name("none"), None);
}
