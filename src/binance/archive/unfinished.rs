//! Bars that were stored before they closed.
//!
//! A collector that saves the running bar leaves a record that looks like any other: prices in order, times on the
//! grid. Two things give it away together: its close is not where the next bar opens, by far more than elsewhere in the
//! file, and it has far fewer trades than its neighbours. Such bars are left out (a gap is known to be unknown, and the
//! archive's file fills it later) and reported. The verbatim archive is not searched: it has none, and a crash must
//! not be mistaken for one.

use super::Finding;
use backtestd_core::market::Bar;

/// Shorter tables say too little about what is usual.
const MIN_BARS: usize = 500;
/// A suspicious jump is at least this many times the 99th percentile of jumps,
const TIMES_P99: f64 = 20.0;
/// and at least this many bps.
const MIN_JUMP_BPS: f64 = 0.5;
/// With fewer trades than this share of the median around the bar.
const MAX_TRADE_SHARE: f64 = 0.5;
/// Bars on each side that make up the surroundings.
const AROUND: usize = 12;

/// Takes out bars that were most likely stored before they closed.
pub(super) fn leave_out(bars: Vec<Bar>, file: &str, findings: &mut Vec<Finding>) -> Vec<Bar> {
    let jumps: Vec<f64> = bars.windows(2).map(jump_bps).collect();
    let mut known: Vec<f64> = jumps.iter().copied().filter(|j| !j.is_nan()).collect();
    if known.len() < MIN_BARS {
        return bars;
    }
    known.sort_by(f64::total_cmp);
    let limit = (known[known.len() * 99 / 100] * TIMES_P99).max(MIN_JUMP_BPS);
    let suspicious = |i: usize| {
        jumps.get(i).is_some_and(|j| *j > limit)
            && bars[i].trades > 0.0
            && bars[i + 1].trades > 0.0
            && bars[i].trades < MAX_TRADE_SHARE * usual_trades(&bars, i)
    };
    let out: Vec<usize> = (0..bars.len()).filter(|i| suspicious(*i)).collect();
    let Some(first) = out.first() else { return bars };
    findings.push(Finding {
        file: file.to_owned(),
        line: None,
        what: format!(
            "{} bars were stored before they closed, it seems (few trades, and the next bar opens elsewhere), and are \
             left out; the first is {}",
            out.len(),
            bars[*first].bar
        ),
    });
    bars.iter().enumerate().filter(|(i, _)| out.binary_search(i).is_err()).map(|(_, b)| *b).collect()
}

/// From a close to the next open; NaN across a gap.
fn jump_bps(pair: &[Bar]) -> f64 {
    if pair[1].bar != pair[0].bar.next() {
        return f64::NAN;
    }
    ((pair[1].open / pair[0].close - 1.0) * 1e4).abs()
}

fn usual_trades(bars: &[Bar], at: usize) -> f64 {
    let mut around: Vec<f64> = bars[at.saturating_sub(AROUND)..(at + AROUND + 1).min(bars.len())]
        .iter()
        .map(|b| b.trades)
        .filter(|t| !t.is_nan())
        .collect();
    around.sort_by(f64::total_cmp);
    around.get(around.len() / 2).copied().unwrap_or(f64::NAN)
}
