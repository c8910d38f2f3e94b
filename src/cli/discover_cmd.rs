//! `backtestd discover`: phase 2 alone, on anybody's outcome table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use super::dirs::SpecDir;
use backtestd_core::discovery::{Candidate, Discovery, DiscoveryConfig, PromotionTrack, discover};
use backtestd_core::spec::gates::{CatalogueKind, FamiliesFile, GatesSpec};
use backtestd_core::spec::{GlobalDefaults, ontology_hash};
use backtestd_store::lake::{OutcomeDefaults, read_outcome_table, write_discovery};
use backtestd_store::{load_yaml, read_files};

/// Tests every hypothesis of an outcome table (one row per event and horizon) and writes the candidates.
///
/// The table needs the columns event_type, canonical_family, symbol, timestamp, direction, horizon, forward_return, and
/// may have cost_bps_round_trip, sigma_bar, exit_ts and state.<name>. Thresholds come from gates.yaml. The catalogue is
/// what the table holds, declared closed: all error budget is spent on it.
///
/// Example: backtestd discover --outcomes outcomes.parquet --out ./candidates
#[derive(Debug, clap::Args)]
pub struct DiscoverArgs {
    /// Outcome table.
    #[arg(long, value_name = "FILE")]
    outcomes: PathBuf,
    /// Folder for phase2_candidates.parquet and summary.json.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
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
pub fn run(args: &DiscoverArgs) -> anyhow::Result<ExitCode> {
    let (config, defaults) = read_specs(&args.spec.spec)?;
    let cost = |symbol: &backtestd_core::market::Symbol| defaults.costs.round_trip_bps(symbol);
    let table = read_outcome_table(
        &args.outcomes,
        &OutcomeDefaults { cost_bps: &cost, entry_lag_bars: config.entry_lag_bars },
    )?;
    let discovery = discover(&table, &config);
    write_discovery(&args.out, &discovery)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&discovery.summary)?);
    } else {
        print_summary(&discovery, &args.out);
    }
    Ok(ExitCode::SUCCESS)
}

/// The three spec files that discovery alone needs, under the name of the whole tree.
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
        spec_hash: Arc::from(ontology_hash(texts)),
    };
    Ok((config, defaults))
}

fn print_summary(discovery: &Discovery, out: &Path) {
    let s = &discovery.summary;
    println!(
        "rows         {} ({} purged, {} unknown, {} undirected)",
        s.rows, s.rows_purged, s.rows_dropped, s.rows_undirected
    );
    println!("hypotheses   {} ({} with data)", s.hypotheses, s.tested);
    println!("discoveries  {} ({} on {})", s.discoveries, s.publish_with, s.publish_on);
    println!("passed       {} every gate", s.gates.get("gate_phase2_final").copied().unwrap_or(0));
    let mut best: Vec<&Candidate> = discovery
        .candidates
        .iter()
        .filter(|c| c.is_discovery || c.promotion_track != PromotionTrack::None)
        .collect();
    best.sort_by(|a, b| a.q_value.total_cmp(&b.q_value).then_with(|| a.candidate_id.cmp(&b.candidate_id)));
    for c in best.iter().take(20) {
        println!(
            "  {:<28} {:<10} {:<5} {:<24} {:<6} n {:<6} raw {:>7.2} bps  q {:.4}  {}",
            c.event_type,
            c.scope.label(),
            c.horizon.label,
            c.state_id(),
            c.direction_rule.to_string(),
            c.n_events,
            c.effect_raw_bps.unwrap_or(f64::NAN),
            c.q_value,
            if c.gate_phase2_final { "passed".to_owned() } else { first_reason(c) },
        );
    }
    println!("written      {}", out.join("phase2_candidates.parquet").display());
}

fn first_reason(c: &Candidate) -> String {
    c.fail_reasons.first().map_or_else(String::new, ToString::to_string)
}
