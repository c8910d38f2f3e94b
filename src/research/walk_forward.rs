//! `research --walk-forward`: history lived through as the daemon would have, with the versions that it would
//! have published and the record of what came after them, in a directory of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ResearchError;
use super::collect::Collected;
use super::driver::enter;
use super::markets::StoreMarkets;
use super::request::Request;
use super::stages::Stages;
use super::summary::StageTime;
use super::walk_tables::write_tables;
use crate::publish::{Publication, PublishError, publish_conclusions};
use crate::report::{WalkPage, walk_page};
use backtestd_core::blueprints::Change;
use backtestd_core::conclude::ConcludeError;
use backtestd_core::discovery::Accounting;
use backtestd_core::market::{BarIndex, DAY_MS, Symbol, Ts};
use backtestd_core::outcomes::Event;
use backtestd_core::portfolio::Filters;
use backtestd_core::tradability::{BridgeError, Market, Markets};
use backtestd_core::walkforward::{Past, PointInTime, Record, Step, WalkTotals, Walker, look_days};
use backtestd_store::Store;
use backtestd_store::lake::write_bytes;

/// How history is lived through.
#[derive(Clone, Copy, Debug)]
pub struct WalkRequest {
    /// The first look is at the midnight that begins this day.
    pub from: Ts,
    /// Days from one look to the next.
    pub step_days: u32,
}

/// One look of the past.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LookRow {
    /// The midnight that closed the last day of the evidence, RFC 3339.
    pub closed_through: String,
    /// The instant of the publication, RFC 3339.
    pub published_at: String,
    /// Id of the run.
    pub run_id: String,
    /// Hypotheses with data by then.
    pub tested: u64,
    /// Discoveries by then.
    pub discoveries: u64,
    /// The version in force after it.
    pub version: String,
    /// Whether the look made it.
    pub is_new: bool,
    /// Blueprints that may open positions.
    pub active: u64,
    /// Blueprints that monitoring has suspended.
    pub watch: u64,
    /// Blueprints that it listed for the first time.
    pub added: Vec<String>,
    /// Blueprints that it listed for the last time, with the reason.
    pub retired: Vec<Change>,
}

/// What came of a walk: `walk_forward.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WalkSummary {
    /// Layout of the file, always `backtestd.walk_forward/1`.
    pub schema: &'static str,
    /// Name of the walk, and of its directory.
    pub run_id: String,
    /// Hash of the specs.
    pub ontology_spec_hash: String,
    /// Version and commit of the program.
    pub code_version: String,
    /// First bar of the evidence, RFC 3339.
    pub start: String,
    /// First look, RFC 3339.
    pub from: String,
    /// End of the history, RFC 3339.
    pub end: String,
    /// Days from one look to the next.
    pub step_days: u32,
    /// Trials of the ledger, these hypotheses among them.
    pub trials: u64,
    /// Look by look.
    pub looks: Vec<LookRow>,
    /// The record, all together.
    pub totals: WalkTotals,
    /// Result of the account under the caps of the specs, share of the starting equity; null without trades.
    pub total_return: Option<f64>,
    /// Its deepest fall.
    pub max_drawdown: Option<f64>,
    /// Directory of the walk.
    pub dir: PathBuf,
    /// The HTML report.
    pub report: PathBuf,
    /// Stages of the pass over the log, each computed or taken from an earlier walk: no part of the file,
    /// which is the same either way.
    #[serde(skip)]
    pub stages: Vec<StageTime>,
}

/// Below the walk's directory: versions as any consumer reads them.
const BLUEPRINTS: &str = "blueprints";

/// Lives through the history of `request` and writes `reports/walk_forward/<run_id>/`. Twice over the same
/// store, specs and binary gives the same bytes.
///
/// # Errors
/// When there is nothing to look at, the store or a file fails, or the catalogue may not be looked at.
pub fn walk_forward(
    store: &mut Store,
    request: &Request,
    walk: WalkRequest,
    progress: &mut dyn FnMut(&'static str, u64, u64),
) -> Result<WalkSummary, ResearchError> {
    let looks = look_days(walk.from, walk.step_days, request.end);
    let first_day = request.first.open().day();
    if looks.first().is_none_or(|day| *day < first_day) {
        let (start, end) = (request.first.open(), request.end.open());
        return Err(ResearchError::NoLooks { from: walk.from, start, end });
    }
    let accounting = enter(store, request, looks[looks.len() - 1])?.accounting;
    let trials = accounting.total as u64;
    let midnight = |day: i64| Ts((day + 1) * DAY_MS).bar();
    let marks: Vec<BarIndex> = looks.iter().map(|day| midnight(*day)).collect();
    let mut stages = Stages::of(request);
    let (collected, _) =
        stages.pipeline(store, &marks, &mut |done, total| progress("features and events", done, total))?;
    let run_id = name_of(request, walk, &collected, &accounting);
    stages.name(&run_id);
    let mut markets = markets_of(store, request)?;
    let dir = request.data_root.join("reports/walk_forward");
    let scratch = dir.join(format!(".new-{run_id}"));
    clear(&scratch)?;

    let mut walker = Walker::new(
        &request.spec,
        &request.symbols,
        &collected.outcomes,
        request.first,
        |_| accounting,
        crate::CODE_VERSION,
    )?;
    let (mut rows, mut points) = (Vec::new(), Vec::new());
    for (at, (day, quality)) in looks.iter().zip(&collected.quality_at).enumerate() {
        let step = walker.look(*day, quality, &mut markets)?;
        let published = publish_conclusions(
            &scratch,
            &request.spec,
            &step.facts,
            &step.conclusions,
            walker.evidence(),
            (&scratch, &|| step.published_at),
        )?;
        rows.push(row(&step, &published));
        if published.changed {
            let (version, blueprints) = (published.version, published.blueprints);
            points.push(PointInTime { version, published_at: step.published_at, blueprints });
        }
        progress("looks", at as u64 + 1, looks.len() as u64);
    }
    let record = record_of(request, &collected, &markets, &points)?;
    let kept = dir.join(&run_id);
    let account = record.account.as_ref();
    let summary = WalkSummary {
        schema: "backtestd.walk_forward/1",
        ontology_spec_hash: request.spec.hash.clone(),
        code_version: crate::CODE_VERSION.to_owned(),
        start: request.first.open().rfc3339(),
        from: walk.from.rfc3339(),
        end: request.end.open().rfc3339(),
        step_days: walk.step_days,
        trials,
        looks: rows,
        totals: record.totals.clone(),
        total_return: account.map(|a| a.end_equity / a.start_equity - 1.0),
        max_drawdown: account.map(|a| a.max_drawdown),
        report: kept.join("report.html"),
        dir: kept,
        stages: stages.times(),
        run_id,
    };
    write(&scratch, &summary, &record)?;
    replace(&scratch, &summary.dir)?;
    Ok(summary)
}

/// Name of a walk: `<research name>-wf7d-from-20250401`.
fn name_of(request: &Request, walk: WalkRequest, collected: &Collected, accounting: &Accounting) -> String {
    let research = request.run_id(&[accounting], &[], &collected.log.data);
    let from = walk.from.compact();
    let from = from.split('T').next().unwrap_or_default();
    format!("{research}-wf{}d-from-{from}", walk.step_days)
}

/// Bars and settlements of every symbol, read once for all looks.
fn markets_of(store: &Store, request: &Request) -> Result<BTreeMap<Symbol, Market>, ResearchError> {
    let mut out = BTreeMap::new();
    for symbol in &request.symbols {
        let market = StoreMarkets::of(store).market(symbol, request.first, request.end);
        let market = market.map_err(|error| ConcludeError::from(BridgeError::from(error)))?;
        out.extend(market.map(|m| (symbol.clone(), m)));
    }
    Ok(out)
}

fn record_of(
    request: &Request,
    collected: &Collected,
    markets: &BTreeMap<Symbol, Market>,
    points: &[PointInTime],
) -> Result<Record, ResearchError> {
    let spec = &request.spec;
    let states: Vec<&str> = spec.graph.states.iter().map(|s| s.name.as_str()).collect();
    let events: Vec<Event> = collected.events.iter().map(|r| r.event.clone()).collect();
    let costs = &spec.defaults.costs;
    let booked: BTreeMap<(&Symbol, Ts), f64> = collected
        .outcomes
        .iter()
        .map(|o| ((&o.event.symbol, o.event.detected()), o.cost_bps_round_trip))
        .collect();
    let past = Past {
        events: &events,
        outcomes: &collected.outcomes,
        states: &states,
        markets,
        cost_bps: &|symbol, at| {
            booked.get(&(symbol, at)).copied().unwrap_or_else(|| costs.round_trips(symbol).at(at))
        },
    };
    let portfolio = &spec.strategies.portfolio;
    let account = (portfolio, &Filters::of(spec));
    Ok(Record::of(points, &past, spec.gates.shrinkage.interval_level, account))
}

fn row(step: &Step, published: &Publication) -> LookRow {
    let discovery = &step.conclusions.discovery;
    let changes = |list: &[Change]| if published.changed { list.to_vec() } else { Vec::new() };
    LookRow {
        closed_through: step.facts.data_watermark.rfc3339(),
        published_at: step.published_at.rfc3339(),
        run_id: step.facts.run_id.clone(),
        tested: discovery.candidates.len() as u64,
        discoveries: discovery.summary.discoveries as u64,
        version: published.version.clone(),
        is_new: published.changed,
        active: published.manifest.counts.active,
        watch: published.manifest.counts.watch,
        added: changes(&published.manifest.added).into_iter().map(|c| c.id).collect(),
        retired: changes(&published.manifest.retired),
    }
}

fn write(scratch: &Path, summary: &WalkSummary, record: &Record) -> Result<(), ResearchError> {
    write_tables(scratch, summary, record)?;
    let page = walk_page(&WalkPage {
        run_id: &summary.run_id,
        start: &summary.start,
        from: &summary.from,
        end: &summary.end,
        step_days: summary.step_days,
        looks: summary.looks.len() as u64,
        ontology_spec_hash: &summary.ontology_spec_hash,
        code_version: &summary.code_version,
        record,
    });
    write_bytes(&scratch.join("report.html"), page.as_bytes())?;
    let text = serde_json::to_vec_pretty(summary).unwrap_or_default();
    write_bytes(&scratch.join("walk_forward.json"), &text)?;
    Ok(())
}

/// Takes what an earlier walk that was cut short left behind away.
fn clear(path: &Path) -> Result<(), ResearchError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(PublishError::Io { path: path.to_owned(), source }.into())
        }
        _ => Ok(()),
    }
}

/// The finished walk takes its name; the same walk of before makes room.
fn replace(scratch: &Path, kept: &Path) -> Result<(), ResearchError> {
    clear(kept)?;
    fs::rename(scratch, kept).map_err(|source| PublishError::Io { path: kept.to_owned(), source })?;
    Ok(())
}

impl WalkSummary {
    /// What the command prints.
    #[must_use]
    pub fn text(&self) -> String {
        let totals = &self.totals;
        let number = |x: Option<f64>, scale: f64| x.map_or("–".to_owned(), |x| format!("{:.1}", scale * x));
        let mut out = format!(
            "looks        {} from {} on, every {} days, over a history from {} to {}\n\
             versions     {} with {} blueprints, {} of them not active any more at the end\n\
             trades       {} by default: {} bps after costs (claimed {}), standard error {}\n\
             hit rate     {} % (claimed {} %)\n\
             intervals    {} of {} blueprints inside what they stated (level {:.0} %)\n\
             account      {} %, deepest fall {} %\n",
            self.looks.len(),
            self.from,
            self.step_days,
            self.start,
            self.end,
            totals.versions,
            totals.published,
            totals.ended,
            totals.trades,
            number(totals.net_bps, 1.0),
            number(totals.claim_net_bps, 1.0),
            number(totals.net_se_bps, 1.0),
            number(totals.hit_rate, 100.0),
            number(totals.claim_hit_rate, 100.0),
            totals.inside,
            totals.judged,
            100.0 * totals.interval_level,
            number(self.total_return, 100.0),
            number(self.max_drawdown, 100.0),
        );
        for look in self.looks.iter().filter(|l| !l.added.is_empty() || !l.retired.is_empty()) {
            out.push_str(&format!("  {} {}:", look.published_at, look.version));
            look.added.iter().for_each(|id| out.push_str(&format!(" +{id}")));
            look.retired.iter().for_each(|change| out.push_str(&format!(" -{} ({})", change.id, change.why)));
            out.push('\n');
        }
        for stage in self.stages.iter().filter(|stage| stage.is_cached) {
            out.push_str(&format!("{:<12} {} ({})\n", stage.stage, stage.how(), stage.why));
        }
        out.push_str(&format!(
            "versions in  {}\nreport       {}\n",
            self.dir.join(BLUEPRINTS).display(),
            self.report.display()
        ));
        out
    }
}
