use super::*;
use crate::outcomes::Horizon;
use crate::outcomes::{CostParts, Event};

const ROWS: usize = 200;
const FIRST: BarIndex = BarIndex(5_000_000);
const KEEP: usize = 16;

fn name(s: &str) -> Symbol {
    Symbol::new(s).unwrap()
}

/// A column that wanders without pattern, around `level`.
fn wander(seed: u64, level: f64) -> Vec<f64> {
    let mut state = seed;
    let mut x = level;
    (0..ROWS)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            x *= 1.0 + ((state >> 33) as f64 / f64::from(u32::MAX) - 0.25) * 0.01;
            x
        })
        .collect()
}

struct World {
    symbols: Vec<Symbol>,
    columns: Vec<SymbolColumns>,
    betas: Vec<Vec<f64>>,
}

fn world() -> World {
    let symbols = vec![name("BTCUSDT"), name("SOLUSDT")];
    let columns = (0..2u64).map(|s| {
        let mut c = SymbolColumns::new();
        let sources = [Source::Open, Source::Close, Source::SpotOpen, Source::SpotClose, Source::Index];
        for (i, source) in sources.into_iter().enumerate() {
            c.set(source, wander(7 + 10 * s + i as u64, 100.0 * (s + 1) as f64));
        }
        c
    });
    World { symbols, columns: columns.collect(), betas: vec![wander(91, 1.0), wander(92, 1.5)] }
}

fn book(world: &World, price: EntryPrice, chunk: usize, through: usize) -> LegBook {
    let mut book = LegBook::new(&world.symbols, price, KEEP, 1);
    let mut at = 0;
    while at < through {
        let n = chunk.min(through - at);
        let cut: Vec<SymbolColumns> = world
            .columns
            .iter()
            .map(|c| {
                let mut out = SymbolColumns::new();
                for source in Source::ALL {
                    if let Some(column) = c.get(*source) {
                        out.set(*source, column[at..at + n].to_vec());
                    }
                }
                out
            })
            .collect();
        let rows = cut.iter().zip(&world.betas).map(|(c, beta)| (c, vec![&beta[at..at + n]]));
        book.push(FIRST + at as i64, n, rows);
        at += n;
    }
    book
}

fn outcome(symbol: &Symbol, row: i64, bars: u32, price: EntryPrice) -> Outcome {
    Outcome {
        event: Arc::new(Event {
            event_type: "COPULA_PAIRS_TRADING".into(),
            family: "STATISTICAL_DISLOCATION".into(),
            symbol: symbol.clone(),
            bar: FIRST + row,
            direction: 1,
            severity: 1.0,
            states: Arc::from([]),
            vol_regime: -1,
            carry_state: i8::MIN,
            sigma_bar: 0.002,
            sigma_event: 0.002,
            features: Vec::new(),
        }),
        horizon: Horizon { label: "60m".into(), bars },
        entry_lag_bars: 1,
        entry_price: price,
        forward_return: f64::NAN,
        midnight_return: f64::NAN,
        mfe_bps: f64::NAN,
        mae_bps: f64::NAN,
        funding_paid: f64::NAN,
        cost_bps_round_trip: 12.0,
        costs: CostParts::whole(12.0),
    }
}

fn price_of(hedge: Leg, ratio: Option<&str>) -> RelativePrice {
    RelativePrice { own: Leg::Perp, hedge, ratio: ratio.map(Into::into) }
}

#[test]
fn a_window_is_measured_as_its_formulas_say_however_the_rows_came() {
    let w = world();
    let (row, bars) = (150usize, 12u32);
    let [entry, exit] = [row + 1, row + 1 + bars as usize];
    let change = |column: &[f64], shift: usize| column[exit - shift] / column[entry - shift] - 1.0;
    let col = |s: usize, source| w.columns[s].get(source).unwrap();
    for price in [EntryPrice::Close, EntryPrice::Open] {
        let ([perp, spot], shift) = match price {
            EntryPrice::Close => ([Source::Close, Source::SpotClose], 0),
            // At an open the newest index is the one of the close before.
            EntryPrice::Open => ([Source::Open, Source::SpotOpen], 1),
        };
        let own = change(col(1, perp), 0);
        let beta = w.betas[1][row - 1];
        let cases = [
            (price_of(Leg::Spot, None), own - change(col(1, spot), 0)),
            (price_of(Leg::Index, None), own - change(col(1, Source::Index), shift)),
            (price_of(Leg::Leader, Some("beta")), own - beta * change(col(0, perp), 0)),
            (
                RelativePrice { own: Leg::Spot, ..price_of(Leg::Index, None) },
                change(col(1, spot), 0) - change(col(1, Source::Index), shift),
            ),
        ];
        let squares: f64 =
            col(1, perp)[entry..=exit].windows(2).map(|p| libm::log(p[1] / p[0]).powi(2)).sum();
        let expected_variance = squares / (12.0 * 0.002 * 0.002) - 1.0;
        for chunk in [1, 7, 64, ROWS] {
            // Nothing is known of the rows after the exit.
            for through in [exit + 1, if chunk == ROWS { ROWS } else { exit + 1 }] {
                let book = book(&w, price, chunk, through);
                let o = outcome(&w.symbols[1], row as i64, bars, price);
                for (relative, expected) in &cases {
                    let ratio = relative.ratio.is_some().then_some(0);
                    let got = book.measure(&o, Some((relative, ratio)), &w.symbols[0]);
                    assert!((got.relative_return - expected).abs() < 1e-15, "{price:?} {relative:?} {chunk}");
                    assert!((got.variance_ratio - expected_variance).abs() < 1e-12, "{price:?} {chunk}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_known_where_it_is_needed_is_not_measured() {
    let (row, bars) = (150usize, 12u32);
    let gap = |symbol: usize, source: Source, at: usize| {
        let mut w = world();
        let mut column = w.columns[symbol].get(source).unwrap().to_vec();
        column[at] = f64::NAN;
        w.columns[symbol].set(source, column);
        let o = outcome(&w.symbols[1], row as i64, bars, EntryPrice::Close);
        let price = price_of(Leg::Spot, None);
        book(&w, EntryPrice::Close, 50, ROWS).measure(&o, Some((&price, None)), &w.symbols[0])
    };
    let inside = gap(1, Source::Close, row + 5);
    assert!(inside.variance_ratio.is_nan() && inside.relative_return.is_finite(), "a gap on the way");
    let at_exit = gap(1, Source::SpotClose, row + 13);
    assert!(
        at_exit.relative_return.is_nan() && at_exit.variance_ratio.is_finite(),
        "no hedge price at the exit"
    );
    let elsewhere = gap(0, Source::Close, row + 13);
    assert!(elsewhere.relative_return.is_finite() && elsewhere.variance_ratio.is_finite());
}

#[test]
fn the_book_keeps_no_more_than_it_was_told_to() {
    let w = world();
    let book = book(&w, EntryPrice::Close, 1, ROWS);
    assert!(book.symbols.iter().all(|(_, rows)| rows.perp.len() <= KEEP + 1));
}

#[test]
fn an_event_without_a_relative_price_has_its_variance_measured_only() {
    let w = world();
    let o = outcome(&w.symbols[0], 100, 12, EntryPrice::Close);
    let got = book(&w, EntryPrice::Close, ROWS, ROWS).measure(&o, None, &w.symbols[1]);
    assert!(got.relative_return.is_nan() && got.hedge_ratio.is_nan() && got.variance_ratio.is_finite());
}
