//! What becomes of bars that look as if they had been stored before they closed.

use std::collections::BTreeSet;

use backtestd_binance::archive::{Certainty, FileContent, Finding, Suspect};
use backtestd_core::clean::doubt::{Doubt, DoubtRule};
use backtestd_core::market::{Bar, BarIndex, Kind, Records, SeriesKey};
use backtestd_store::{Origin, Store, StoreError};

/// Returns the bars that look as if they had been stored too early, to be set aside when everything is
/// stored. One that would take the place of another bar is left out: what is stored is never worse. One that
/// says what is stored is no suspect.
pub(super) fn decide(
    store: &Store,
    content: &mut FileContent,
    label: &str,
) -> Result<Vec<Suspect>, StoreError> {
    let suspects = std::mem::take(&mut content.suspects);
    let unfinished: Vec<&Suspect> =
        suspects.iter().filter(|s| s.certainty == Certainty::Unfinished).collect();
    if let Some(first) = unfinished.first() {
        content.findings.push(Finding {
            file: label.to_owned(),
            line: None,
            what: format!(
                "{} bars were stored before they closed, it seems (few trades, and the next bar opens elsewhere), and are \
                 kept in quarantine; the first is {}",
                unfinished.len(),
                first.bar
            ),
        });
    }
    let (mut worse, mut agreed) = (BTreeSet::new(), BTreeSet::new());
    for suspect in &suspects {
        let stored = store.bars(suspect.market, &suspect.symbol, suspect.bar, suspect.bar.next())?;
        let Some(stored) = stored.first() else { continue };
        let name = (&suspect.symbol, suspect.market, suspect.bar);
        let agrees = told(content, suspect).is_some_and(|bar| agree(bar, stored));
        if agrees {
            agreed.insert(name)
        } else {
            worse.insert(name)
        };
    }
    for put in &mut content.puts {
        if let Records::Bars(market, bars) = &mut put.records {
            bars.retain(|bar| !worse.contains(&(&put.symbol, *market, bar.bar)));
        }
    }
    let is_open = |s: &&Suspect| {
        let name = (&s.symbol, s.market, s.bar);
        !worse.contains(&name) && !agreed.contains(&name)
    };
    Ok(suspects.iter().filter(is_open).cloned().collect())
}

/// What a file says of the bar of a suspect.
fn told<'c>(content: &'c FileContent, suspect: &Suspect) -> Option<&'c Bar> {
    content.puts.iter().filter(|put| put.symbol == suspect.symbol).find_map(|put| match &put.records {
        Records::Bars(market, bars) if *market == suspect.market => {
            bars.iter().find(|bar| bar.bar == suspect.bar)
        }
        _ => None,
    })
}

/// Whether two recordings of a bar say the same wherever both say something: then neither was made before it
/// closed.
fn agree(one: &Bar, other: &Bar) -> bool {
    one.values().iter().zip(other.values()).all(|(a, b)| a.is_nan() || b.is_nan() || *a == b)
}

/// Quarantines suspects, and takes those out again, of this import and of earlier ones, that another series
/// of the store shows as the last bar before a halt. Returns those of this import that stay in doubt.
pub(super) fn set_aside(store: &mut Store, suspects: Vec<Suspect>) -> Result<Vec<Suspect>, StoreError> {
    let mut doubts = Vec::new();
    for s in &suspects {
        let series = SeriesKey { kind: Kind::Bars, market: s.market, symbol: s.symbol.clone() };
        let rule = match s.certainty {
            Certainty::Unfinished => DoubtRule::Unfinished,
            Certainty::InDoubt => DoubtRule::PerhapsUnfinished,
        };
        doubts.push((series, s.bar.0, Doubt { rule, reason: s.reason.clone() }));
    }
    store.set_aside(&doubts)?;
    let perhaps = DoubtRule::PerhapsUnfinished.name();
    let others: Vec<SeriesKey> =
        store.series()?.into_iter().map(|(key, _)| key).filter(|key| key.kind == Kind::Bars).collect();
    let mut halts = Vec::new();
    for record in store.quarantine()?.into_iter().filter(|r| r.rule == perhaps && r.released.is_none()) {
        for other in others.iter().filter(|other| **other != record.series) {
            if shows_halt(store, other, BarIndex(record.time))? {
                halts.push((record.series.clone(), record.time));
                break;
            }
        }
    }
    store.acquit(&halts)?;
    // The same rows may have come in several files.
    let mut seen = BTreeSet::new();
    let stays = |s: &Suspect| {
        s.certainty == Certainty::InDoubt
            && !halts
                .iter()
                .any(|(key, time)| key.symbol == s.symbol && key.market == s.market && *time == s.bar.0)
    };
    Ok(suspects
        .into_iter()
        .filter(|s| stays(s) && seen.insert((s.symbol.clone(), s.market, s.bar)))
        .collect())
}

/// Bars on each side that say how many trades are usual.
const AROUND: i64 = 12;
/// A halt leaves less than this share of the usual trades,
const HALT_SHARE: f64 = 0.25;
/// of at least so many.
const MIN_TRADES: f64 = 50.0;

/// Whether a series shows a halt at a bar. Only what the exchange itself published counts: a collector that
/// was restarted cuts the bars of all its symbols at once.
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
