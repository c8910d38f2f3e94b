//! `backtestd import`: archive files into the store.

mod doubts;
mod files;
mod lots;
mod print;
mod settle;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::Progress;
use super::dirs::judge_from;
use backtestd_binance::archive::{ArchiveError, FileKind, Finding, Suspect, Told, origin_of, read_file};
use backtestd_binance::clock::SystemClock;
use backtestd_core::clock::Clock;
use backtestd_core::market::SeriesKey;
use backtestd_core::market::{Instrument, Market, Symbol};
use backtestd_store::{Delivery, Lot, MergeReport, Quarantined, Store};

pub use lots::PreferArg;

/// Reads archive files (zip, csv, csv.gz, parquet, feather) into the store. Folders are searched; what a flag
/// does not say is taken from the file's own name, or from the folders of the archive and the lake. Importing
/// the same files again changes nothing. Large files (a day of quotes is gigabytes) are summed up as they
/// stream by.
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
    /// Symbol, for files that do not name it. Files, members and rows of other symbols are passed over.
    #[arg(long, value_parser = parse_symbol)]
    pub symbol: Option<Symbol>,
    /// Liquidation captures: vouch that the recorder was connected from the first to the last order of each
    /// file.
    #[arg(long)]
    pub continuous: bool,
    /// Which value stands where a file and the store disagree. `better` never lets a table overwrite the
    /// stream, or either of them the archive or REST; `new` and `stored` decide for this import. `backtestd
    /// conflicts` lists what was decided.
    #[arg(long, value_enum, default_value_t)]
    pub prefer: PreferArg,
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

fn parse_symbol(text: &str) -> Result<Symbol, String> {
    let found = Instrument::parse(text).ok_or_else(|| format!("'{text}' is not a symbol (as in BTCUSDT)"))?;
    match found.problem() {
        Some(problem) => Err(format!("{found} is {problem}; only perpetuals and spot are stored")),
        None => Ok(found.symbol),
    }
}

/// What an import came to.
#[derive(Debug, Default)]
pub struct ImportSummary {
    /// Files read and stored.
    pub files: usize,
    /// How many files were passed over.
    pub passed_over: usize,
    /// Each of them with the reason.
    pub passed: Vec<(PathBuf, String)>,
    /// Bars that may have been stored before they closed, or stand before a halt. They are stored, in
    /// quarantine.
    pub in_doubt: Vec<Suspect>,
    /// Records that went into quarantine.
    pub quarantined: Vec<Quarantined>,
    /// Whether there are rules by which records are judged.
    pub is_judged: bool,
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
    fn pass(&mut self, file: PathBuf, reason: String) {
        self.passed_over += 1;
        self.passed.push((file, reason));
    }

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
pub fn run(args: &ImportArgs, state: &Path, spec: &Path) -> anyhow::Result<()> {
    let mut store = Store::open(state)?;
    judge_from(&mut store, spec, SystemClock.now())?;
    let summary = import(&mut store, args, !args.json)?;
    if args.json {
        println!("{}", print::to_json(&summary));
    } else {
        print::text(&summary);
    }
    match summary.refused.as_slice() {
        [] => match summary.passed.first() {
            Some((file, reason)) if summary.files == 0 => {
                bail!("nothing was imported; passed over was first {}: {reason}", file.display())
            }
            _ => Ok(()),
        },
        [(_, reason)] => bail!("1 file was refused and nothing of it was stored: {reason}"),
        [(_, reason), ..] => bail!(
            "{} files were refused and nothing of them was stored, the first: {reason}",
            summary.refused.len()
        ),
    }
}

/// What is in quarantine, by id.
fn held(store: &Store) -> anyhow::Result<BTreeMap<String, Quarantined>> {
    let all = store.quarantine()?.into_iter();
    Ok(all.filter(|record| record.released.is_none()).map(|record| (record.id(), record)).collect())
}

/// Imports without printing; a file is stored whole or not at all.
///
/// # Errors
/// When a path does not exist or the store fails. A file that does not fit is not an error but listed as
/// refused.
pub fn import(store: &mut Store, args: &ImportArgs, progress: bool) -> anyhow::Result<ImportSummary> {
    let mut summary = ImportSummary { is_judged: store.has_rules(), ..ImportSummary::default() };
    let held_before = held(store)?;
    let mut suspects = Vec::new();
    let files = files::wanted(args, &mut summary)?;
    let sizes: Vec<u64> = files.iter().map(|f| f.path.metadata().map_or(0, |m| m.len())).collect();
    let mut bar = Progress::bytes("import", sizes.iter().sum(), !progress);
    let mut before = 0;
    for (file, size) in files.into_iter().zip(sizes) {
        let label = file.path.display().to_string();
        bar.item(&label);
        let read =
            read_file(&file.path, &file.spec, &mut |share| bar.set(before + (share * size as f64) as u64));
        before += size;
        bar.set(before);
        let mut content = match read {
            Ok(content) => content,
            Err(error @ ArchiveError::Column { .. }) if file.is_nameless => {
                summary.pass(file.path, error.to_string());
                continue;
            }
            Err(error) => {
                summary.refused.push((file.path, error.to_string()));
                continue;
            }
        };
        let storing = || format!("storing {label}");
        suspects.extend(doubts::decide(store, &mut content, &label).with_context(storing)?);
        let settled = settle::settle(store, &mut content, &label).with_context(storing)?;
        let told = Told { origin: origin_of(&file.path), made: content.provenance.made };
        let sources = lots::by_source(settled.puts, content.provenance, told);
        let noted = Some(SystemClock.now());
        let delivery = |told: &Told| Delivery {
            made: told.made,
            prefer: args.prefer.into(),
            noted,
            ..Delivery::new(told.origin, &label)
        };
        let lots: Vec<Lot<'_>> = sources
            .iter()
            .map(|(told, puts)| Lot { puts, delivery: delivery(told), completes: Some(&settled.completed) })
            .collect();
        for (series, report) in store.put_history(&lots, &settled.kept).with_context(storing)? {
            summary.series.entry(series).or_default().add(report);
        }
        summary.findings.extend(content.findings);
        summary.files += 1;
    }
    summary.in_doubt = doubts::set_aside(store, suspects)?;
    summary.quarantined =
        held(store)?.into_iter().filter(|(id, _)| !held_before.contains_key(id)).map(|(_, q)| q).collect();
    store.sync()?;
    summary.peak_memory_mib = crate::research::peak_memory_mib();
    bar.finish(&format!("{} files", summary.files));
    Ok(summary)
}
