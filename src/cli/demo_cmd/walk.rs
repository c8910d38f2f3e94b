//! The demo's walk-forward: what the daemon would have published on the way, and what came of it.

use std::path::Path;
use std::sync::Arc;

use backtestd_core::market::{DAY_MS, Market, Ts};
use backtestd_store::{Store, load_specs};
use serde::Serialize;

use crate::research::{Request, ResearchError, WalkRequest, WalkSummary, walk_forward};

/// Looks of the walk, over the later part of the history.
const LOOKS: i64 = 5;

/// A walk in a few numbers.
#[derive(Debug, Serialize)]
pub(super) struct Walked {
    looks: usize,
    step_days: u32,
    from: String,
    versions: u64,
    blueprints: u64,
    trades: u64,
    /// Mean after costs of the trades that followed the publications, bps.
    net_bps: Option<f64>,
    /// What the blueprints had claimed of them, bps.
    claimed_bps: Option<f64>,
    report: std::path::PathBuf,
}

/// Walks over the demo's store, which nobody else has open. `None`: the history is too short for a look.
///
/// # Errors
/// When the store or the specs cannot be read, or a file cannot be written.
pub(super) fn walk(state: &Path, data_root: &Path, spec: &Path) -> anyhow::Result<Option<Walked>> {
    let spec = Arc::new(load_specs(spec)?);
    let mut store = Store::open(state)?;
    let symbols = store.symbols(Market::Perp)?;
    let mut range = None;
    for symbol in &symbols {
        if let Some((from, to)) = store.range(Market::Perp, symbol)? {
            let (first, last) = range.unwrap_or((from, to));
            range = Some((first.min(from), last.max(to)));
        }
    }
    let Some((first, last)) = range else { return Ok(None) };
    let request = Request::plain(&spec, symbols, first..last.next(), data_root.to_owned());
    // Evidence from the first two thirds, then looks as far apart as fit.
    let days = (request.end.open().0 - first.open().0) / DAY_MS;
    let begin = Ts((first.open().day() + 2 * days / 3) * DAY_MS);
    let step_days = u32::try_from((days - 2 * days / 3) / LOOKS).unwrap_or(1).max(1);
    match walk_forward(&mut store, &request, WalkRequest { from: begin, step_days }, &mut |_, _, _| {}) {
        Ok(summary) => Ok(Some(Walked::of(&summary))),
        Err(ResearchError::NoLooks { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Walked {
    fn of(summary: &WalkSummary) -> Self {
        let totals = &summary.totals;
        Self {
            looks: summary.looks.len(),
            step_days: summary.step_days,
            from: summary.from.chars().take(10).collect(),
            versions: totals.versions,
            blueprints: totals.published,
            trades: totals.trades,
            net_bps: totals.net_bps,
            claimed_bps: totals.claim_net_bps,
            report: summary.report.clone(),
        }
    }

    /// One line for people.
    pub(super) fn text(&self) -> String {
        let Self { looks, step_days, from, versions, blueprints, trades, .. } = self;
        let earned = match (self.net_bps, self.claimed_bps) {
            (Some(net), Some(claimed)) => {
                format!("{trades} trades after that: {net:.1} bps after costs, {claimed:.1} claimed")
            }
            _ => "nothing traded after that".to_owned(),
        };
        format!(
            "{looks} looks every {step_days} days from {from}: {versions} versions, {blueprints} blueprints; {earned}"
        )
    }
}
