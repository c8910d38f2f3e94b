//! What the demo came to, held against what was planted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::edges::{EdgeResult, trades};
use super::{number, text};
use crate::publish::{PORTFOLIO_FILE, read_current};
use backtestd_core::blueprints::{Blueprint, Status};
use backtestd_core::market::{BarIndex, Market};
use backtestd_lab::sim::Scenario;
use backtestd_store::Store;

/// What the demo came to.
#[derive(Debug, Serialize)]
pub(super) struct Score {
    perp_bars: u64,
    spot_bars: u64,
    symbols: usize,
    ticks_live: u64,
    late_bars: u64,
    rewinds: u64,
    signals: u64,
    /// Per family: detections and event types seen.
    events: BTreeMap<String, (u64, usize)>,
    outcomes: u64,
    hypotheses: u64,
    discoveries: u64,
    version: String,
    run_id: String,
    blueprints: Vec<String>,
    /// Blueprints of the version for which another one trades.
    members: u64,
    /// One account that trades the version, in a line; absent without trades.
    portfolio: Option<String>,
    edges: Vec<EdgeResult>,
    /// Blueprints on events where nothing was planted.
    false_blueprints: Vec<String>,
    directory: PathBuf,
    report: Option<PathBuf>,
    seconds: f64,
    #[serde(skip)]
    state: PathBuf,
    #[serde(skip)]
    data_root: PathBuf,
}

impl Score {
    pub(super) fn read(
        scenario: &Scenario,
        state: &Path,
        data_root: &Path,
        run: &Value,
        status: &Value,
        (cost_bps, elapsed): (f64, Duration),
    ) -> anyhow::Result<Self> {
        let directory = data_root.join("blueprints");
        let version = read_current(&directory)?
            .with_context(|| format!("nothing was published in {}", directory.display()))?;
        let active: Vec<&Blueprint> =
            version.blueprints.iter().filter(|b| b.status == Status::Active).collect();
        let run_id = text(run, "/run_id").to_owned();
        let reports = data_root.join("reports/phase2").join(&run_id);
        let edges: Vec<EdgeResult> =
            scenario.edges.iter().map(|edge| EdgeResult::of(edge, &active, cost_bps, &reports)).collect();
        let false_blueprints = active
            .iter()
            .filter(|b| !scenario.edges.iter().any(|edge| trades(b, edge)))
            .map(|b| describe(b))
            .collect();

        let store = Store::open(state)?;
        let mut bars = BTreeMap::from([(Market::Perp, 0), (Market::Spot, 0)]);
        for (key, summary) in store.series()? {
            if key.kind == backtestd_core::market::Kind::Bars {
                *bars.entry(key.market).or_default() += summary.records;
            }
        }
        let everything = (BarIndex(0), BarIndex(i64::from(u32::MAX)));
        let mut types: BTreeMap<(String, String), u64> = BTreeMap::new();
        for event in store.events(everything.0, everything.1)? {
            *types.entry((event.family.to_string(), event.event_type.to_string())).or_default() += 1;
        }
        let mut events: BTreeMap<String, (u64, usize)> = BTreeMap::new();
        for ((family, _), count) in types {
            let entry = events.entry(family).or_default();
            entry.0 += count;
            entry.1 += 1;
        }
        let report = data_root.join("reports/research").join(&run_id).join("report.html");
        Ok(Self {
            perp_bars: bars.get(&Market::Perp).copied().unwrap_or(0),
            spot_bars: bars.get(&Market::Spot).copied().unwrap_or(0),
            symbols: scenario.symbols.len(),
            ticks_live: number(status, "/live/ticks"),
            late_bars: number(status, "/live/late_bars"),
            rewinds: number(status, "/live/rewinds"),
            signals: number(status, "/last_signal_seq"),
            events,
            outcomes: store.outcomes(everything.0, everything.1)?.len() as u64,
            hypotheses: number(run, "/hypotheses"),
            discoveries: number(run, "/discoveries"),
            version: version.manifest.version.clone(),
            run_id,
            blueprints: active.iter().map(|b| describe(b)).collect(),
            members: active.iter().filter(|b| b.is_member()).count() as u64,
            portfolio: portfolio(data_root, text(run, "/run_id")),
            edges,
            false_blueprints,
            directory,
            report: report.exists().then_some(report),
            seconds: elapsed.as_secs_f64(),
            state: state.to_owned(),
            data_root: data_root.to_owned(),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\nWhat happened in {:.0} s", self.seconds);
        let _ = writeln!(
            out,
            "  bars         {} perp and {} spot bars of {} symbols; {} ticks live, {} late bars, {} rewinds",
            self.perp_bars, self.spot_bars, self.symbols, self.ticks_live, self.late_bars, self.rewinds
        );
        let total: u64 = self.events.values().map(|(n, _)| n).sum();
        let _ = writeln!(
            out,
            "  events       {total}, each detected once; {} sent live as signals",
            self.signals
        );
        for (family, (count, types)) in &self.events {
            let _ = writeln!(out, "    {family:<26} {count:>7}  of {types} types");
        }
        let _ = writeln!(out, "  outcomes     {} booked after their holding time", self.outcomes);
        let _ = writeln!(out, "  hypotheses   {} tested, as two-sided pairs", self.hypotheses);
        let _ = writeln!(out, "  discoveries  {} after false-discovery control", self.discoveries);
        let _ = writeln!(
            out,
            "  blueprints   {} in version {}, {} of them members of another's overlap group",
            self.blueprints.len(),
            self.version,
            self.members
        );
        for line in &self.blueprints {
            let _ = writeln!(out, "    {line}");
        }
        if let Some(line) = &self.portfolio {
            let _ = writeln!(out, "  one account  {line}");
        }
        let found = self.edges.iter().filter(|e| !e.blueprints.is_empty()).count();
        let _ = writeln!(
            out,
            "  planted      {} edges: {found} found, {} missed; {} false blueprints",
            self.edges.len(),
            self.edges.len() - found,
            self.false_blueprints.len()
        );
        for edge in &self.edges {
            let _ = writeln!(out, "    {}", edge.text());
        }
        for line in &self.false_blueprints {
            let _ = writeln!(out, "    false   {line}");
        }
        let _ = writeln!(out, "\nBlueprints are in {}/current/blueprints.jsonl", self.directory.display());
        if let Some(report) = &self.report {
            let _ = writeln!(out, "The report is {}", report.display());
        }
        let exe = std::env::args().next().unwrap_or_else(|| "backtestd".to_owned());
        let _ = writeln!(out, "\nTry next");
        let _ = writeln!(out, "  {exe} watch {} --once", self.directory.display());
        // The demo's own copy of the specs: with --keep-running it may have been edited.
        let spec = self.state.join("spec");
        let _ = writeln!(out, "  {exe} spec explain VOL_SPIKE --spec {}", spec.display());
        let _ = writeln!(
            out,
            "  {exe} research --state {} --data-root {} --spec {}",
            self.state.display(),
            self.data_root.display(),
            spec.display()
        );
        out
    }
}

fn describe(blueprint: &Blueprint) -> String {
    let symbols = &blueprint.symbol_scope.symbols;
    let scope = match symbols.as_slice() {
        [symbol] => symbol.to_string(),
        all => format!("{} symbols pooled", all.len()),
    };
    let when = match blueprint.entry.conditions.as_slice() {
        [] => String::new(),
        conditions => format!(" when {}", conditions.join(" and ")),
    };
    format!(
        "{} {} {} for {} on {scope}{when}",
        blueprint.id, blueprint.direction_rule, blueprint.event_type, blueprint.exit.horizon
    )
}

/// What the run says of one account that trades its blueprints.
fn portfolio(data_root: &Path, run_id: &str) -> Option<String> {
    let path = data_root.join("reports/strategy_blueprints").join(run_id).join(PORTFOLIO_FILE);
    let read: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let of = |pointer: &str| read.pointer(pointer).and_then(Value::as_f64);
    let (start, end) = (of("/account/start_equity")?, of("/account/end_equity")?);
    Some(format!(
        "{:+.1} % over {} trades, deepest fall {:.1} %, at most {:.2} x equity open ({:.2} if every nested blueprint traded)",
        100.0 * (end / start - 1.0),
        number(&read, "/account/totals/trades"),
        100.0 * of("/account/max_drawdown")?,
        of("/account/peak_gross")?,
        of("/peak_gross_with_members")?,
    ))
}
