//! `backtestd import`: archive files into the store.

mod settle;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::Progress;
use backtestd_binance::archive::{FileKind, FileSpec, Finding, from_path, read_file};
use backtestd_core::market::SeriesKey;
use backtestd_core::market::{Market, Symbol};
use backtestd_store::{Delivery, MergeReport, Origin, Store};

/// How many findings are printed; the rest is only counted.
const SHOWN: usize = 20;

/// Reads archive files (zip, csv, csv.gz, parquet) into the store. Folders are searched; what a flag does not say is
/// taken from the name. Importing the same files again changes nothing. Large files (a day of quotes is gigabytes) are
/// summed up as they stream by.
#[derive(Args, Debug, Clone)]
#[command(
    after_help = "Examples:\n  backtestd import --market perp --kind klines archive/futures/um/monthly/klines\n  \
                        backtestd import --kind book_ticker archive/futures/um/daily/bookTicker\n  \
                        backtestd import --kind liquidations --continuous capture.csv"
)]
pub struct ImportArgs {
    /// Market of the files: perp or spot. In folders, files whose path names the other one are passed over.
    #[arg(long, value_parser = parse_market)]
    pub market: Option<Market>,
    /// Kind of the files. In folders, files whose path names another one are passed over.
    #[arg(long, value_enum)]
    pub kind: Option<FileKind>,
    /// Symbol, for files that do not name it. In folders, files of other symbols are passed over.
    #[arg(long)]
    pub symbol: Option<Symbol>,
    /// Liquidation captures: vouch that the recorder was connected from the first to the last order of each file.
    #[arg(long)]
    pub continuous: bool,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
    /// Files or folders.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

fn parse_market(text: &str) -> Result<Market, String> {
    match text {
        "perp" => Ok(Market::Perp),
        "spot" => Ok(Market::Spot),
        _ => Err("expected perp or spot".to_owned()),
    }
}

/// What an import came to.
#[derive(Debug, Default)]
pub struct ImportSummary {
    /// Files read and stored.
    pub files: usize,
    /// Files passed over because their path names something else than a flag.
    pub passed_over: usize,
    /// What was merged, by series.
    pub series: BTreeMap<SeriesKey, MergeReport>,
    /// Repairs and omissions.
    pub findings: Vec<Finding>,
    /// Files that were refused, with the reason; nothing of them is stored.
    pub refused: Vec<(PathBuf, String)>,
    /// Largest resident set of this process so far, MiB (Linux).
    pub peak_memory_mib: Option<u64>,
}

impl ImportSummary {
    /// All series together.
    #[must_use]
    pub fn total(&self) -> MergeReport {
        let mut total = MergeReport::default();
        for report in self.series.values() {
            total.add(report.clone());
        }
        total
    }
}

/// Runs the command. Refused files make it fail, after the others were imported.
///
/// # Errors
/// When the store cannot be opened or written, a path does not exist, or a file was refused.
pub fn run(args: &ImportArgs, state: &Path) -> anyhow::Result<()> {
    let mut store = Store::open(state)?;
    let summary = import(&mut store, args, !args.json)?;
    if args.json {
        println!("{}", to_json(&summary));
    } else {
        print_summary(&summary);
    }
    match summary.refused.as_slice() {
        [] => Ok(()),
        [(_, reason)] => bail!("1 file was refused and nothing of it was stored: {reason}"),
        [(_, reason), ..] => bail!(
            "{} files were refused and nothing of them was stored, the first: {reason}",
            summary.refused.len()
        ),
    }
}

/// Imports without printing; a file is stored whole or not at all.
///
/// # Errors
/// When a path does not exist or the store fails. A file that does not fit is not an error but listed as refused.
pub fn import(store: &mut Store, args: &ImportArgs, progress: bool) -> anyhow::Result<ImportSummary> {
    let mut summary = ImportSummary::default();
    let files = wanted_files(args, &mut summary)?;
    let sizes: Vec<u64> = files.iter().map(|(f, _)| f.metadata().map_or(0, |m| m.len())).collect();
    let mut bar = Progress::bytes("import", sizes.iter().sum(), !progress);
    let mut before = 0;
    for ((file, spec), size) in files.into_iter().zip(sizes) {
        let label = file.display().to_string();
        bar.item(&label);
        let read = read_file(&file, &spec, &mut |share| bar.set(before + (share * size as f64) as u64));
        before += size;
        bar.set(before);
        let mut content = match read {
            Ok(content) => content,
            Err(error) => {
                summary.refused.push((file, error.to_string()));
                continue;
            }
        };
        let origin = if label.ends_with(".zip") { Origin::Archive } else { Origin::Table };
        let storing = || format!("storing {label}");
        let settled = settle::settle(store, &mut content).with_context(storing)?;
        let reports = store
            .put_history(&settled.puts, Delivery { origin, label: &label }, &settled.kept)
            .with_context(storing)?;
        for (series, mut report) in reports {
            settled.explain(&series, &mut report);
            summary.series.entry(series).or_default().add(report);
        }
        summary.findings.extend(content.findings);
        summary.files += 1;
    }
    store.sync()?;
    summary.peak_memory_mib = crate::research::peak_memory_mib();
    bar.finish(&format!("{} files", summary.files));
    Ok(summary)
}

/// The files to read, sorted, with what is known about each.
fn wanted_files(args: &ImportArgs, summary: &mut ImportSummary) -> anyhow::Result<Vec<(PathBuf, FileSpec)>> {
    let mut out = Vec::new();
    for path in &args.paths {
        if !path.exists() {
            bail!("{} does not exist", path.display());
        }
        let mut files = Vec::new();
        collect(path, &mut files)?;
        files.sort();
        let named_itself = path.is_file();
        for file in files {
            let says = from_path(&file);
            let clash = [
                (args.market.is_some() && says.market.is_some() && says.market != args.market, "market"),
                (args.kind.is_some() && says.kind.is_some() && says.kind != args.kind, "kind"),
                (args.symbol.is_some() && says.symbol.is_some() && says.symbol != args.symbol, "symbol"),
            ];
            if let Some((_, flag)) = clash.iter().find(|(clash, _)| *clash) {
                if named_itself {
                    bail!(
                        "{}: the name contradicts --{flag}; leave the flag out or rename the file",
                        file.display()
                    );
                }
                summary.passed_over += 1;
                continue;
            }
            let kind = args.kind.or(says.kind);
            let Some(kind) = kind else {
                bail!("{}: cannot tell what it holds from its name; give --kind", file.display());
            };
            let market = args.market.or(says.market);
            if market.is_none() && kind == FileKind::Klines {
                bail!("{}: cannot tell the market from its path; give --market perp or spot", file.display());
            }
            out.push((
                file,
                FileSpec {
                    kind,
                    market: market.unwrap_or(Market::Perp),
                    symbol: args.symbol.clone().or(says.symbol),
                    interval_ms: says.interval_ms,
                    continuous: args.continuous,
                },
            ));
        }
    }
    Ok(out)
}

fn collect(path: &Path, out: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        out.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).with_context(|| format!("reading {}", path.display()))? {
        let path = entry?.path();
        let readable = path
            .extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| matches!(e, "zip" | "csv" | "gz" | "parquet"));
        if path.is_dir() || readable {
            collect(&path, out)?;
        }
    }
    Ok(())
}

/// Findings for people: counts of the same kind in several files as one line.
fn notes(findings: &[Finding]) -> Vec<String> {
    let mut counts: BTreeMap<&str, (u64, Vec<&Finding>)> = BTreeMap::new();
    let mut out = Vec::new();
    for finding in findings {
        let counted = finding.what.split_once(' ').and_then(|(n, kind)| Some((n.parse::<u64>().ok()?, kind)));
        match counted.filter(|_| finding.line.is_none()) {
            Some((n, kind)) => {
                let (sum, files) = counts.entry(kind).or_default();
                *sum += n;
                files.push(finding);
            }
            None => out.push(finding.to_string()),
        }
    }
    for (kind, (sum, files)) in counts {
        out.push(match files.as_slice() {
            [one] => one.to_string(),
            [first, ..] => format!("{sum} {kind} ({} files, the first {})", files.len(), first.file),
            [] => continue,
        });
    }
    out
}

fn series_name(key: &SeriesKey) -> String {
    format!("{} {} {}", key.market, key.symbol, key.kind.name())
}

fn print_summary(summary: &ImportSummary) {
    for (key, r) in &summary.series {
        println!(
            "{:<32} {:>9} new {:>9} known {:>7} filled {:>6} changed",
            series_name(key),
            r.inserted,
            r.unchanged,
            r.filled,
            r.conflicts
        );
    }
    for conflict in summary.total().listed {
        println!("changed: {conflict}");
    }
    let notes = notes(&summary.findings);
    for note in notes.iter().take(SHOWN) {
        println!("note: {note}");
    }
    if notes.len() > SHOWN {
        println!("note: and {} more notes (all of them with --json)", notes.len() - SHOWN);
    }
    for (_, reason) in &summary.refused {
        println!("refused: {reason}");
    }
    print!("{} files read", summary.files);
    if summary.passed_over > 0 {
        print!(", {} passed over because their path contradicts a flag", summary.passed_over);
    }
    println!(", {} refused", summary.refused.len());
}

fn to_json(summary: &ImportSummary) -> String {
    let series: Vec<_> = summary
        .series
        .iter()
        .map(|(key, r)| {
            serde_json::json!({
                "market": key.market.to_string(), "symbol": key.symbol.as_str(), "kind": key.kind.name(),
                "inserted": r.inserted, "unchanged": r.unchanged, "filled": r.filled, "conflicts": r.conflicts,
                "contradictions": r.contradictions,
                "listed": r.listed.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    serde_json::json!({
        "files": summary.files,
        "passed_over": summary.passed_over,
        "refused": summary.refused.iter().map(|(_, reason)| reason).collect::<Vec<_>>(),
        "findings": summary.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "series": series,
        "peak_memory_mib": summary.peak_memory_mib,
    })
    .to_string()
}
