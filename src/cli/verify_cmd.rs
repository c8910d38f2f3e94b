//! `backtestd verify`: proof that what is on disk is what it claims to be.

use backtestd_store::load_specs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::borrowed::ReadableStore;
use super::dirs::{DataRoot, SpecDir, StateDir};
use super::{FINDINGS, Progress, misuse};
use crate::daemon::feed::check_gaps;
use crate::daemon::{Difference, check_live};
use crate::verify::{
    Area, FactsRange, check_blueprints, check_damaged, check_facts, check_files, check_lake, check_lake_rows,
    check_store, parquet_files,
};
use backtestd_binance::clock::SystemClock;
use backtestd_core::clock::Clock;
use backtestd_core::market::{BARS_PER_DAY, Ts, parse_date};
use backtestd_store::Store;

/// Findings printed for one area; all of them with --json.
const SHOWN: usize = 20;
/// Days of facts that --quick recomputes.
const QUICK_DAYS: i64 = 7;

/// Prove the store, the lake and the blueprints: every file of the store is what it was when it was closed,
/// and every record decodes; events, episode ends and outcomes are what the raw log and the specs give when
/// they are computed anew in other chunks; every parquet file holds what its metadata says, none is lost, and
/// the raw and cleaned months have the rows and the gaps of the store; every version matches its manifest,
/// and `current` is one of them. Conflicts are counted. Nothing is repaired: what is lost is named with the
/// command that fetches it again. Exit code 0: all good, 3: something was found, 1: it could not be looked at
/// (there is no store, say). While a daemon has the store, a snapshot of it is looked at.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  backtestd verify\n  backtestd verify --quick --json\n  backtestd verify --live\n  \
                        backtestd verify --start 2026-02-01 --end 2026-02-28"
)]
pub struct VerifyCmd {
    /// Recompute only the last 7 days of facts, and check only the content of lake files.
    #[arg(long)]
    quick: bool,
    /// Compare facts from this day (UTC) on, YYYY-MM-DD; computation begins at the newest checkpoint before
    /// it.
    #[arg(long, value_parser = parse_date, conflicts_with = "quick")]
    start: Option<Ts>,
    /// Compare facts to the end of this day (UTC).
    #[arg(long, value_parser = parse_date)]
    end: Option<Ts>,
    /// Compare what was announced live with what the registry has now; every difference needs an entry in a
    /// ledger.
    #[arg(long)]
    live: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataRoot,
    #[command(flatten)]
    spec: SpecDir,
}

/// Runs it.
///
/// # Errors
/// When the store is in use or cannot be read, or the specs do not load.
pub fn run(cmd: &VerifyCmd) -> anyhow::Result<ExitCode> {
    misuse::check_days(cmd.start, cmd.end, SystemClock.now())?;
    let state = &cmd.state.state;
    anyhow::ensure!(
        state.join("db").is_dir(),
        "no store in {}; name its directory with --state or $BACKTESTD_STATE",
        state.display()
    );
    let (mut areas, mut differences) = (Vec::new(), Vec::new());
    let files = check_files(state)?;
    let is_damaged = files.as_ref().is_some_and(|area| area.count() > 0);
    areas.extend(files);
    let store = if is_damaged { None } else { Some(ReadableStore::open(state)?) };
    match &store {
        Some(store) => {
            areas.push(with_progress("store", cmd.json, |progress| {
                check_store(store, &mut |records| progress.set(records))
            })?);
            areas.push(check_gaps(store)?);
            areas.push(facts(cmd, store)?);
            if cmd.live {
                let audit = check_live(store)?;
                areas.push(audit.area);
                differences = audit.differences;
            }
        }
        None => {
            areas.push(with_progress("store", cmd.json, |progress| {
                anyhow::Ok(check_damaged(state, &mut |records| progress.set(records)))
            })?);
        }
    }
    areas.extend(lake(cmd, store.as_deref())?);
    areas.push(check_blueprints(&cmd.data.data_root));
    let found: u64 = areas.iter().map(Area::count).sum();
    if cmd.json {
        let differences = cmd.live.then_some(&differences);
        let sound = found == 0;
        println!("{}", json!({ "sound": sound, "findings": found, "areas": areas, "live": differences }));
    } else {
        print!("{}{}", differences_text(&differences), text(&areas, found));
    }
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

/// What differs from what was announced and why, the first of them.
fn differences_text(differences: &[Difference]) -> String {
    let mut text = String::new();
    for Difference { event_id, what, entry } in differences.iter().take(SHOWN) {
        let why = entry.as_deref().unwrap_or("no entry explains it");
        text.push_str(&format!("{event_id}: {what} ({why})\n"));
    }
    if differences.len() > SHOWN {
        text.push_str(&format!("and {} more (--json has all)\n", differences.len() - SHOWN));
    }
    text
}

fn facts(cmd: &VerifyCmd, store: &Store) -> anyhow::Result<Area> {
    let spec = Arc::new(load_specs(&cmd.spec.spec)?);
    let mut range =
        FactsRange { from: cmd.start.map(Ts::bar), end: cmd.end.map(|day| day.bar() + BARS_PER_DAY) };
    if cmd.quick {
        range.from = store.committed()?.map(|bar| bar - QUICK_DAYS * BARS_PER_DAY);
    }
    with_progress("facts", cmd.json, |progress| {
        check_facts(store, &spec, range, &mut |done, total| {
            progress.set_total(total);
            progress.set(done);
        })
    })
}

fn lake(cmd: &VerifyCmd, store: Option<&Store>) -> anyhow::Result<Vec<Area>> {
    let files = parquet_files(&cmd.data.data_root)?;
    let total = files.iter().map(|f| f.metadata().map_or(0, |m| m.len())).sum();
    let mut progress = Progress::bytes("lake", total, cmd.json);
    let area = check_lake(&files, cmd.quick, &mut |file: &Path, bytes| {
        progress.item(&file.display().to_string());
        progress.advance(bytes);
    });
    progress.finish(&area.checked);
    let root = cmd.data.data_root.join("lake");
    let of_lake: Vec<PathBuf> = files.into_iter().filter(|file| file.starts_with(&root)).collect();
    let rows = with_progress("lake_rows", cmd.json, |progress| {
        progress.set_total(of_lake.len() as u64);
        check_lake_rows(store, &root, &of_lake, &mut |_| progress.advance(1))
    })?;
    Ok(vec![area, rows])
}

/// Runs one check under a progress bar.
fn with_progress<E: Into<anyhow::Error>>(
    name: &str,
    quiet: bool,
    check: impl FnOnce(&mut Progress) -> Result<Area, E>,
) -> anyhow::Result<Area> {
    let mut progress = Progress::new(name, 0, quiet);
    let area = check(&mut progress).map_err(Into::into)?;
    progress.finish(&area.checked);
    Ok(area)
}

fn text(areas: &[Area], found: u64) -> String {
    let mut out = String::new();
    for area in areas {
        let verdict = match area.count() {
            0 if area.checked.is_empty() => "skipped".to_owned(),
            0 => "sound".to_owned(),
            1 => "1 finding".to_owned(),
            n => format!("{n} findings"),
        };
        out.push_str(format!("{:<11} {verdict:<12} {}", area.area, area.checked).trim_end());
        out.push('\n');
        if let Some(note) = &area.note {
            out.push_str(&format!("  note: {note}\n"));
        }
        for finding in area.findings.iter().take(SHOWN) {
            out.push_str(&format!("  {finding}\n"));
        }
        if area.count() > SHOWN as u64 {
            out.push_str(&format!("  and {} more (--json lists them)\n", area.count() - SHOWN as u64));
        }
    }
    let verdict = match found {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        n => format!("{n} findings"),
    };
    out.push_str(&format!("{verdict}\n"));
    out
}
