//! A run's own blueprints: `reports/strategy_blueprints/<run_id>/{blueprints.jsonl, blueprint_summary.json}`,
//! written once. They do not depend on what is published: no version, revision 1.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::directory::BLUEPRINTS_FILE;
use super::version::{PublishError, file_entry, io_error, jsonl};
use backtestd_core::blueprints::FileEntry;
use backtestd_core::blueprints::canonical_json;
use backtestd_core::blueprints::{Compiled, RunFacts};
use backtestd_core::discovery::{Candidate, Check};
use backtestd_core::market::Side;
use backtestd_core::outcomes::{CostParts, EntryPrice, event_id};
use backtestd_core::spec::gates::MonitoringSpec;
use backtestd_core::tradability::{BridgeResult, ExitReason, Trade};
use backtestd_store::lake::{sync_folder, write_synced};

/// Name of the summary's file.
const SUMMARY_FILE: &str = "blueprint_summary.json";
/// The value of its `schema`.
const SUMMARY_SCHEMA: &str = "backtestd.blueprint_summary/1";

#[derive(Serialize)]
struct Summary<'a> {
    schema: &'a str,
    run_id: &'a str,
    code_version: &'a str,
    ontology_spec_hash: &'a str,
    data_watermark: String,
    discovery_start: String,
    discovery_end: String,
    files: BTreeMap<&'a str, FileEntry>,
    hypotheses: usize,
    hypotheses_with_data: usize,
    discoveries: usize,
    blueprints: usize,
    reasons: &'a [String],
    bridge: Vec<BridgeLine<'a>>,
    monitoring: &'a MonitoringSpec,
}

/// What the bridge found about one candidate, whether it became a blueprint or not.
#[derive(Serialize)]
struct BridgeLine<'a> {
    candidate_id: &'a str,
    event_type: &'a str,
    horizon: &'a str,
    state_id: &'a str,
    symbol: &'a str,
    direction_rule: String,
    blueprint_id: Option<&'a str>,
    tradable: bool,
    trades: u64,
    cooled_down: u64,
    dropped: u64,
    gross_bps: Option<f64>,
    cost_bps: Option<f64>,
    cost_parts_bps: Option<BTreeMap<&'a str, f64>>,
    funding_bps: Option<f64>,
    after_cost_bps: Option<f64>,
    worst_bps: Option<f64>,
    hit_rate: Option<f64>,
    max_drawdown_bps: Option<f64>,
    sized_total_bps: Option<f64>,
    sized_max_drawdown_bps: Option<f64>,
    after_cost_bps_by_cost_multiple: BTreeMap<String, Option<f64>>,
    after_cost_bps_by_delay_bars: Option<BTreeMap<String, Option<f64>>>,
    after_cost_bps_halves: [Option<f64>; 2],
    after_cost_bps_by_symbol: BTreeMap<&'a str, f64>,
    capacity: Option<f64>,
    worst_month: Option<&'a str>,
    worst_month_bps: Option<f64>,
    top_symbol_share: Option<f64>,
    top_day_share: Option<f64>,
    daily_turnover: Option<f64>,
    after_cost_bps_by_threshold_factor: Option<BTreeMap<String, Option<f64>>>,
    threshold_share: Option<f64>,
    gates: Vec<Check>,
    fail_reasons: Vec<String>,
    checks: Vec<Check>,
    examples: BTreeMap<&'static str, ExampleTrade<'a>>,
}

/// One trade of the bridge, by name: the first and the last one, the best and the worst after costs.
#[derive(Serialize)]
struct ExampleTrade<'a> {
    event_id: String,
    symbol: &'a str,
    side: &'static str,
    detected_at: String,
    entered_at: String,
    left_at: String,
    exit: &'static str,
    gross_bps: f64,
    cost_bps: f64,
    funding_bps: Option<f64>,
    net_bps: f64,
    scale: f64,
}

/// Writes the run's folder under `reports` and returns it, with what will end its publications by the specs.
/// `hypotheses` are the units of the catalogue, `candidates` those of them with data. Writing the same
/// content again changes nothing.
///
/// # Errors
/// When a file cannot be written, or the run is there already with other content (a run is immutable).
pub fn write_run(
    reports: &Path,
    (ontology_spec_hash, monitoring): (&str, &MonitoringSpec),
    run: &RunFacts,
    hypotheses: usize,
    candidates: &[Candidate],
    bridge: &BTreeMap<usize, BridgeResult>,
    compiled: &Compiled,
) -> Result<PathBuf, PublishError> {
    let lines = jsonl(&compiled.blueprints);
    let summary = Summary {
        schema: SUMMARY_SCHEMA,
        run_id: &run.run_id,
        code_version: &run.code_version,
        ontology_spec_hash,
        data_watermark: run.data_watermark.rfc3339(),
        discovery_start: run.discovery_start.rfc3339(),
        discovery_end: run.discovery_end.rfc3339(),
        files: BTreeMap::from([(BLUEPRINTS_FILE, file_entry(&lines, compiled.blueprints.len()))]),
        hypotheses,
        hypotheses_with_data: candidates.len(),
        discoveries: candidates.iter().filter(|c| c.judgement.is_discovery).count(),
        blueprints: compiled.blueprints.len(),
        reasons: &compiled.reasons,
        bridge: bridge
            .iter()
            .filter_map(|(at, result)| Some(bridge_line(candidates.get(*at)?, result, compiled)))
            .collect(),
        monitoring,
    };
    let summary = canonical_json(&summary) + "\n";

    let parent = reports.join("strategy_blueprints");
    let folder = parent.join(&run.run_id);
    let files = [(BLUEPRINTS_FILE, &lines), (SUMMARY_FILE, &summary)];
    if folder.exists() {
        for (name, text) in files {
            let path = folder.join(name);
            let before = fs::read_to_string(&path).map_err(|e| io_error(&path, e))?;
            if before != **text {
                let what =
                    "this run has been written with other content; a run is immutable, use another run id";
                return Err(io_error(&path, io::Error::other(what)));
            }
        }
        return Ok(folder);
    }
    let unfinished = parent.join(format!(".new-{}", run.run_id));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(|e| io_error(&unfinished, e))?;
    }
    fs::create_dir_all(&unfinished).map_err(|e| io_error(&unfinished, e))?;
    for (name, text) in files {
        let path = unfinished.join(name);
        write_synced(&path, text.as_bytes()).map_err(|e| io_error(&path, e))?;
    }
    sync_folder(&unfinished).map_err(|e| io_error(&unfinished, e))?;
    fs::rename(&unfinished, &folder).map_err(|e| io_error(&folder, e))?;
    sync_folder(&parent).map_err(|e| io_error(&parent, e))?;
    Ok(folder)
}

fn bridge_line<'a>(
    candidate: &'a Candidate,
    result: &'a BridgeResult,
    compiled: &'a Compiled,
) -> BridgeLine<'a> {
    let (delayed, robust) = (result.delayed.as_ref(), &result.robustness);
    BridgeLine {
        candidate_id: &candidate.measured.candidate_id,
        event_type: &candidate.measured.event_type,
        horizon: &candidate.measured.horizon.label,
        state_id: candidate.state_id(),
        symbol: candidate.measured.scope.label(),
        direction_rule: candidate.measured.direction_rule.to_string(),
        blueprint_id: compiled
            .verdicts
            .get(&candidate.measured.candidate_id)
            .and_then(|v| v.compiled_as.as_deref()),
        tradable: result.columns.tradable,
        trades: result.columns.trades,
        cooled_down: result.cooled_down,
        dropped: result.dropped,
        gross_bps: result.summary.gross_bps,
        cost_bps: result.summary.cost_bps,
        cost_parts_bps: result.costs.map(|costs| CostParts::NAMES.into_iter().zip(costs.values()).collect()),
        funding_bps: result.summary.funding_bps,
        after_cost_bps: result.summary.net_bps,
        worst_bps: result.summary.worst_bps,
        hit_rate: result.summary.hit_rate,
        max_drawdown_bps: result.summary.max_drawdown_bps,
        sized_total_bps: result.summary.sized_total_bps,
        sized_max_drawdown_bps: result.summary.sized_max_drawdown_bps,
        after_cost_bps_by_cost_multiple: result
            .at_cost_multiples
            .iter()
            .map(|(multiple, net)| (format!("x{multiple}"), *net))
            .collect(),
        after_cost_bps_by_delay_bars: delayed
            .map(|delays| delays.iter().map(|d| (format!("+{}", d.bars), d.after_cost_bps)).collect()),
        after_cost_bps_halves: result.halves_bps,
        after_cost_bps_by_symbol: result
            .symbols
            .iter()
            .map(|s| (s.symbol.as_str(), s.after_cost_bps))
            .collect(),
        capacity: robust.capacity,
        worst_month: robust.worst_month.as_ref().map(|(month, _)| month.as_str()),
        worst_month_bps: robust.worst_month.as_ref().map(|(_, bps)| *bps),
        top_symbol_share: robust.top_symbol_share,
        top_day_share: robust.top_day_share,
        daily_turnover: robust.daily_turnover,
        after_cost_bps_by_threshold_factor: robust
            .thresholds
            .as_ref()
            .map(|both| both.iter().map(|s| (format!("x{}", s.factor), s.after_cost_bps)).collect()),
        threshold_share: robust.threshold_share(result.columns.after_cost_bps),
        gates: result.gates.clone(),
        fail_reasons: result.fail_reasons.iter().map(ToString::to_string).collect(),
        checks: candidate.judgement.checks.clone(),
        examples: examples(&candidate.measured.event_type, result),
    }
}

/// The trades that tell most; none where the bridge made none.
fn examples<'a>(event_type: &str, result: &'a BridgeResult) -> BTreeMap<&'static str, ExampleTrade<'a>> {
    let in_time = |t: &&Trade| (t.event_bar, t.symbol.clone());
    let by_net = |a: &&Trade, b: &&Trade| a.net_bps(1.0).total_cmp(&b.net_bps(1.0));
    let trades = || result.trades.iter();
    let named = [
        ("first", trades().min_by_key(in_time)),
        ("last", trades().max_by_key(in_time)),
        ("best", trades().max_by(by_net)),
        ("worst", trades().min_by(by_net)),
    ];
    let price = result.rule.price;
    let example = |t: &'a Trade| ExampleTrade {
        event_id: event_id(event_type, &t.symbol, t.event_bar),
        symbol: t.symbol.as_str(),
        side: if t.side == Side::Long { "long" } else { "short" },
        detected_at: t.event_bar.close().rfc3339(),
        entered_at: t.entry.rfc3339(),
        left_at: match price {
            EntryPrice::Close => t.exit_bar.close().rfc3339(),
            EntryPrice::Open => t.exit_bar.open().rfc3339(),
        },
        exit: match t.reason {
            ExitReason::Time => "time",
            ExitReason::Stop => "stop",
            ExitReason::Target => "target",
        },
        gross_bps: t.gross_bps,
        cost_bps: t.cost_bps,
        funding_bps: (!t.funding_bps.is_nan()).then_some(t.funding_bps),
        net_bps: t.net_bps(1.0),
        scale: t.scale,
    };
    named.into_iter().filter_map(|(name, trade)| Some((name, example(trade?)))).collect()
}
