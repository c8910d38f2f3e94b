//! What becomes of bars that look as if they had been stored before they closed.

use std::collections::BTreeSet;

use backtestd_binance::archive::{Certainty, FileContent, Finding, Suspect};
use backtestd_core::market::{BarIndex, Market, Symbol};
use backtestd_core::market::{Kind, Records, SeriesKey};
use backtestd_store::{Origin, Store, StoreError};

/// Takes out the bars that were certainly stored too early (a gap is known to be unknown, and a better file fills it) and
/// returns those in doubt, which stay. The one place where suspects are decided on.
pub(super) fn decide(content: &mut FileContent, label: &str) -> Vec<Suspect> {
    let (unfinished, in_doubt): (Vec<_>, Vec<_>) =
        std::mem::take(&mut content.suspects).into_iter().partition(|s| s.certainty == Certainty::Unfinished);
    let Some(first) = unfinished.first() else { return in_doubt };
    content.findings.push(Finding {
        file: label.to_owned(),
        line: None,
        what: format!(
            "{} bars were stored before they closed, it seems (few trades, and the next bar opens elsewhere), and are \
             left out; the first is {}",
            unfinished.len(),
            first.bar
        ),
    });
    let out: BTreeSet<(&Symbol, Market, BarIndex)> =
        unfinished.iter().map(|s| (&s.symbol, s.market, s.bar)).collect();
    for put in &mut content.puts {
        if let Records::Bars(market, bars) = &mut put.records {
            bars.retain(|bar| !out.contains(&(&put.symbol, *market, bar.bar)));
        }
    }
    in_doubt
}

/// Bars on each side that say how many trades are usual.
const AROUND: i64 = 12;
/// A halt leaves less than this share of the usual trades,
const HALT_SHARE: f64 = 0.25;
/// of at least so many.
const MIN_TRADES: f64 = 50.0;

/// Drops the doubts about bars that another series of the store shows as the last one before a halt. Only what the
/// exchange itself published counts: a collector that was restarted cuts the bars of all its symbols at once.
pub(super) fn clear(store: &Store, in_doubt: &mut Vec<Suspect>) -> Result<(), StoreError> {
    // The same rows may have come in several files.
    let mut seen = BTreeSet::new();
    in_doubt.retain(|s| seen.insert((s.symbol.clone(), s.market, s.bar)));
    if in_doubt.is_empty() {
        return Ok(());
    }
    let series: Vec<SeriesKey> =
        store.series()?.into_iter().map(|(key, _)| key).filter(|key| key.kind == Kind::Bars).collect();
    let mut left = Vec::new();
    for suspect in std::mem::take(in_doubt) {
        let mut is_halt = false;
        for other in series.iter().filter(|s| (&s.symbol, s.market) != (&suspect.symbol, suspect.market)) {
            is_halt = is_halt || shows_halt(store, other, suspect.bar)?;
        }
        if !is_halt {
            left.push(suspect);
        }
    }
    *in_doubt = left;
    Ok(())
}

fn shows_halt(store: &Store, series: &SeriesKey, bar: BarIndex) -> Result<bool, StoreError> {
    const TRADES: usize = 6;
    let rows = store.series_rows(series, bar.0 - AROUND, bar.0 + AROUND + 1)?;
    let trades = &rows.columns[TRADES];
    let Some(at) = rows.times.iter().position(|time| *time == bar.0) else { return Ok(false) };
    let mut around: Vec<f64> =
        (0..trades.len()).filter(|i| *i != at).map(|i| trades[i]).filter(|t| !t.is_nan()).collect();
    around.sort_by(f64::total_cmp);
    let usual = around.get(around.len() / 2).copied().unwrap_or(f64::NAN);
    Ok(rows.origins[at] != Origin::Table && usual >= MIN_TRADES && trades[at] < HALT_SHARE * usual)
}
