//! Which files to read, and what is known about each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{ImportArgs, ImportSummary};
use backtestd_binance::archive::{FileKind, FileSpec, Finding, NameFacts, facts_of_members, from_path};
use backtestd_core::market::{Instrument, Market};

/// A file to read.
pub(super) struct Wanted {
    pub path: PathBuf,
    pub spec: FileSpec,
    /// Found in a folder, with a name that says nothing: it may be no input at all.
    pub is_nameless: bool,
}

/// What is to be done with a file.
enum Decision {
    Read(FileSpec),
    /// No input, or not what was asked for.
    Pass(String),
    /// It is what was asked for, but something has to be said first.
    Ask(String),
}

/// The files to read, sorted. What a folder holds beside them is passed over; a file that was given by name
/// is refused.
pub(super) fn wanted(args: &ImportArgs, summary: &mut ImportSummary) -> anyhow::Result<Vec<Wanted>> {
    let mut out = Vec::new();
    let mut search = Search::default();
    for root in &args.paths {
        if !root.exists() {
            bail!("{} does not exist", root.display());
        }
        let is_named = root.is_file();
        for path in search.files(root, summary)? {
            let says = facts(&path, root);
            if let (true, Some(flag)) = (is_named, contradicted(args, &says)) {
                bail!(
                    "{}: the name contradicts --{flag}; leave the flag out or rename the file",
                    path.display()
                );
            }
            match decide(args, &says) {
                Decision::Read(spec) => {
                    if spec.market_is_assumed {
                        summary.findings.push(Finding {
                            file: path.display().to_string(),
                            line: None,
                            what: "nothing says the market: taken for perp (else give --market spot)"
                                .to_owned(),
                        });
                    }
                    let is_nameless = !is_named && says.kind.is_none() && says.instrument.is_none();
                    out.push(Wanted { path, spec, is_nameless });
                }
                Decision::Pass(reason) if !is_named => summary.pass(path, reason),
                Decision::Pass(reason) | Decision::Ask(reason) => {
                    let reason = format!("{}: {reason}", path.display());
                    summary.refused.push((path, reason));
                }
            }
        }
    }
    // One order, whatever the order in which they were named.
    out.sort_by(|a: &Wanted, b| a.path.cmp(&b.path));
    Ok(out)
}

/// What the path says, and where it is silent the names inside an archive. Folders above the working folder
/// count too.
fn facts(path: &Path, root: &Path) -> NameFacts {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut says = from_path(&absolute(path), &absolute(root));
    let is_zip = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"));
    if is_zip && says.kind.is_none() && says.foreign.is_none() {
        let member = facts_of_members(path).into_iter().find(|facts| facts.kind.is_some());
        says.kind = member.and_then(|facts| facts.kind);
    }
    says
}

/// The flag of which the file itself says another thing.
fn contradicted(args: &ImportArgs, says: &NameFacts) -> Option<&'static str> {
    let market = says.market.as_ref().filter(|fact| fact.is_own).map(|fact| fact.value);
    let symbol = says.instrument.as_ref().filter(|fact| fact.is_own).map(|fact| &fact.value.symbol);
    let kind = says.kind.filter(|_| says.kind_is_named);
    [
        (args.market.is_some() && market.is_some() && market != args.market, "market"),
        (args.kind.is_some() && kind.is_some() && kind != args.kind, "kind"),
        (args.symbol.is_some() && symbol.is_some() && symbol != args.symbol.as_ref(), "symbol"),
    ]
    .into_iter()
    .find_map(|(clash, flag)| clash.then_some(flag))
}

fn decide(args: &ImportArgs, says: &NameFacts) -> Decision {
    if let Some(foreign) = &says.foreign {
        return Decision::Pass(foreign.clone());
    }
    let outweighed = args.symbol.is_some() && says.instrument.as_ref().is_some_and(|fact| !fact.is_own);
    let instrument = says.instrument.as_ref().filter(|_| !outweighed).map(|fact| &fact.value);
    if let Some(problem) = instrument.and_then(Instrument::problem) {
        let name = instrument.map(ToString::to_string).unwrap_or_default();
        return Decision::Pass(format!("{name} is {problem}; only perpetuals and spot are stored"));
    }
    if let Some(flag) = contradicted(args, says) {
        return Decision::Pass(format!("the path contradicts --{flag}"));
    }
    // Only captures of liquidations can be vouched for.
    let vouched = args.continuous.then_some(FileKind::Liquidations);
    let Some(kind) = args.kind.or(says.kind).or(vouched) else {
        return Decision::Pass("cannot tell what it holds from its name; give --kind".to_owned());
    };
    let market = args.market.or(says.market.as_ref().map(|fact| fact.value));
    let is_klines = kind == FileKind::Klines;
    if !is_klines && market == Some(Market::Spot) {
        return Decision::Pass(format!("{} of spot are not stored", kind.name()));
    }
    if is_klines && market.is_none() && args.kind.is_none() {
        return Decision::Ask("cannot tell the market from its path; give --market perp or spot".to_owned());
    }
    Decision::Read(FileSpec {
        kind,
        market: market.unwrap_or(Market::Perp),
        market_is_assumed: is_klines && market.is_none(),
        kind_is_given: args.kind.is_some(),
        symbol: args.symbol.clone().or_else(|| instrument.map(|i| i.symbol.clone())),
        only: args.symbol.clone(),
        interval_ms: says.interval_ms,
        continuous: args.continuous,
    })
}

/// A walk through folders that comes by each of them and each file once, whatever links there are.
#[derive(Default)]
struct Search {
    seen: BTreeSet<PathBuf>,
}

impl Search {
    fn files(&mut self, root: &Path, summary: &mut ImportSummary) -> anyhow::Result<Vec<PathBuf>> {
        let mut out = Vec::new();
        if root.is_file() {
            out.push(root.to_owned());
        } else {
            self.walk(root, &mut out, summary)?;
        }
        out.retain(|path| self.is_new(path));
        out.sort();
        Ok(out)
    }

    fn is_new(&mut self, path: &Path) -> bool {
        self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }

    fn walk(
        &mut self,
        folder: &Path,
        out: &mut Vec<PathBuf>,
        summary: &mut ImportSummary,
    ) -> anyhow::Result<()> {
        if !self.is_new(folder) {
            return Ok(());
        }
        let reading = || format!("reading {}", folder.display());
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder).with_context(reading)? {
            entries.push(entry.with_context(reading)?.path());
        }
        entries.sort();
        for path in entries {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_lowercase();
            // What systems leave beside files, and the checksums that are read with them.
            if name.starts_with('.') || name == "__macosx" || name.ends_with(".checksum") {
                continue;
            }
            if path.is_dir() {
                self.walk(&path, out, summary)?;
            } else if is_table(&name) {
                out.push(path);
            } else if path.is_file() {
                summary.pass(path, "no zip, csv, gz, parquet, feather or arrow file".to_owned());
            }
        }
        Ok(())
    }
}

/// By the end of a name in lower case.
fn is_table(name: &str) -> bool {
    const ENDINGS: [&str; 8] = [".zip", ".csv", ".gz", ".parquet", ".pq", ".feather", ".arrow", ".ipc"];
    ENDINGS.iter().any(|ending| name.ends_with(ending)) && !name.ends_with(".tar.gz")
}
