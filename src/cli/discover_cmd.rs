//! `backtestd discover`: phase 2 alone, on anybody's outcome table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::dirs::SpecDir;
use backtestd_core::discovery::{Candidate, Discovery, DiscoveryConfig, PromotionTrack, Repeats, discover};
use backtestd_core::spec::gates::{CatalogueKind, FamiliesFile, GatesSpec};
use backtestd_core::spec::{GlobalDefaults, ontology_hash};
use backtestd_store::lake::{OutcomeDefaults, read_outcome_table, write_discovery};
use backtestd_store::{load_yaml, read_files};

/// Tests every hypothesis of an outcome table (one row per event and horizon) and writes the candidates.
///
/// The table needs the columns event_type, canonical_family, symbol, timestamp, direction, horizon,
/// forward_return, and may have cost_bps_round_trip, sigma_event (or sigma_bar), entry_lag_bars, exit_ts,
/// midnight_return, funding_paid and state.<name>. An event and holding period is one row. A window with
/// midnight inside is tested where midnight_return says what it had brought by then, and only counted
/// otherwise; funding_paid is taken off the return where it is known. Thresholds come from gates.yaml. The
/// catalogue is what the table holds, declared closed: all error budget is spent on it.
///
/// Example: backtestd discover --outcomes outcomes.parquet --out ./candidates
#[derive(Debug, clap::Args)]
pub(super) struct DiscoverArgs {
    /// Outcome table in parquet format.
    #[arg(long, value_name = "FILE")]
    outcomes: PathBuf,
    /// Folder for phase2_candidates.parquet and summary.json.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Collapse rows of one event and holding period into one, and say how many. Rows that contradict each
    /// other count as one whose return nobody knows. Without it such a table is refused.
    #[arg(long)]
    deduplicate: bool,
    #[command(flatten)]
    spec: SpecDir,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the specs or the table cannot be read, or the output cannot be written.
pub(super) fn run(args: &DiscoverArgs) -> anyhow::Result<ExitCode> {
    let (config, defaults) = read_specs(&args.spec.spec)?;
    let cost = |symbol: &backtestd_core::market::Symbol| defaults.costs.round_trip_bps(symbol);
    let repeats = if args.deduplicate { Repeats::Collapse } else { Repeats::Refuse };
    let file = read_outcome_table(
        &args.outcomes,
        &OutcomeDefaults { cost_bps: &cost, entry_lag_bars: config.entry_lag_bars, repeats },
    )?;
    let mut discovery = discover(&file.table, &config);
    discovery.summary.rows_repeated = file.collapsed.repeated as u64;
    discovery.summary.rows_contradicting = file.collapsed.contradicting as u64;
    write_discovery(&args.out, &discovery)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&discovery.summary)?);
    } else {
        print_rows(&discovery, &file.states);
        print_summary(&discovery, &args.out);
    }
    Ok(ExitCode::SUCCESS)
}

/// The three spec files that discovery alone needs. What it makes is named by the hash of the whole tree.
fn read_specs(dir: &Path) -> anyhow::Result<(DiscoveryConfig, GlobalDefaults)> {
    let advice = || {
        format!("cannot use the specs in {}; point --spec or BACKTESTD_SPEC at a spec tree", dir.display())
    };
    let mut gates: GatesSpec = load_yaml(&dir.join("gates.yaml")).with_context(advice)?;
    gates.validate()?;
    // A table that is looked at once has no later cohorts to save budget for.
    gates.multiplicity.catalogue = CatalogueKind::Closed;
    let families: FamiliesFile = load_yaml(&dir.join("multiplicity/families.yaml")).with_context(advice)?;
    let defaults: GlobalDefaults = load_yaml(&dir.join("global_defaults.yaml")).with_context(advice)?;
    let files = read_files(dir).with_context(advice)?;
    let texts = files.iter().map(|(path, file)| (path.as_str(), &*file.text));
    let config = DiscoveryConfig {
        excluded: Vec::new(),
        lacking: Vec::new(),
        gates,
        families,
        catalogue: None,
        closed_through: None,
        entry_lag_bars: defaults.entry_lag_bars.get(),
        spec_hash: ontology_hash(texts).into(),
    };
    Ok((config, defaults))
}

/// Reasons for tests that were not made, before the rest is only counted.
const SHOWN: usize = 8;

/// What was read, and what was bounded or left out.
fn print_rows(discovery: &Discovery, states: &[String]) {
    let s = &discovery.summary;
    println!("specs        {}", s.ontology_spec_hash);
    println!(
        "rows         {} ({} purged, {} carried over midnight, {} that cannot be scored, {} undirected)",
        s.rows, s.rows_purged, s.rows_marked, s.rows_dropped, s.rows_undirected
    );
    if s.rows_repeated > 0 {
        println!(
            "repeated     {} rows collapsed, {} of the events contradicted themselves and count as unknown",
            s.rows_repeated, s.rows_contradicting
        );
    }
    states.iter().for_each(|line| println!("state        {line}"));
    if s.rows_floored > 0 {
        println!("bounded      {} rows whose sigma_bar counts as more than it is", s.rows_floored);
    }
    for left_out in &s.left_out_of_pool {
        println!(
            "pool         without {} over {}: {} rows; its round trip costs more than it usually moves",
            left_out.symbol, left_out.horizon, left_out.rows
        );
    }
    let capped: Vec<&Candidate> =
        discovery.candidates.iter().filter(|c| c.measured.influence.capped_days > 0).collect();
    if let Some(most) = capped.iter().max_by_key(|c| c.measured.influence.capped_days) {
        println!(
            "bounded      day scores of {} hypotheses count as less than they are, most often ({} days) of {} on {} over {}",
            capped.len(),
            most.measured.influence.capped_days,
            most.measured.event_type,
            most.measured.scope.label(),
            most.measured.horizon.label
        );
    }
    for untested in s.untested.iter().take(SHOWN) {
        println!("not tested   {} {}: {}", untested.event_type, untested.what, untested.reason);
    }
    if s.untested.len() > SHOWN {
        println!("not tested   {} more, see summary.json", s.untested.len() - SHOWN);
    }
}

fn print_summary(discovery: &Discovery, out: &Path) {
    let s = &discovery.summary;
    println!(
        "hypotheses   {} ({} with data, {} of them with enough events and days to be accepted)",
        s.hypotheses, s.tested, s.admitted
    );
    println!("discoveries  {} ({} on {})", s.discoveries, s.publish_with, s.publish_on);
    println!("passed       {} every gate", s.gates.get("gate_phase2_final").copied().unwrap_or(0));
    let mut best: Vec<&Candidate> = discovery
        .candidates
        .iter()
        .filter(|c| c.judgement.is_discovery || c.judgement.promotion_track != PromotionTrack::None)
        .collect();
    best.sort_by(|a, b| {
        a.measured
            .q_value
            .total_cmp(&b.measured.q_value)
            .then_with(|| a.measured.candidate_id.cmp(&b.measured.candidate_id))
    });
    for c in best.iter().take(20) {
        println!(
            "  {:<28} {:<10} {:<5} {:<24} {:<6} n {:<6} raw {:>7.2} bps  q {:.4}  {}",
            c.measured.event_type,
            c.measured.scope.label(),
            c.measured.horizon.label,
            c.state_id(),
            c.measured.direction_rule.to_string(),
            c.measured.n_events,
            c.measured.effect_raw_bps.unwrap_or(f64::NAN),
            c.measured.q_value,
            if c.judgement.gate_phase2_final { "passed".to_owned() } else { first_reason(c) },
        );
        if c.measured.influence.top_day_share.is_some_and(|share| share >= 1.0) {
            println!("    its evidence rests on one day: without it the sum of its scores is no gain");
        }
    }
    println!("written      {}", out.join("phase2_candidates.parquet").display());
}

fn first_reason(c: &Candidate) -> String {
    c.judgement.fail_reasons.first().map_or_else(String::new, ToString::to_string)
}
