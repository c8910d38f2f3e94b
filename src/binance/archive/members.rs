//! Archives with members: which of them are tables, and what their own names say.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use super::name::from_path;
use super::{ArchiveError, FileSpec, NameFacts};
use backtestd_core::market::{Ts, parse_time};

/// The tables inside, by index and name; what other systems leave beside them (`__MACOSX/._x.csv`) is none.
pub(super) fn tables<R: Read + Seek>(
    path: &Path,
    zip: &mut zip::ZipArchive<R>,
) -> Result<Vec<(usize, String)>, ArchiveError> {
    let container = |detail: String| ArchiveError::Container { file: path.to_owned(), detail };
    let mut out = Vec::new();
    let mut others = Vec::new();
    for ix in 0..zip.len() {
        let entry = zip.by_index(ix).map_err(|e| container(format!("entry {ix}: {e}")))?;
        let name = entry.name().map_err(|e| container(format!("entry {ix}: {e}")))?.into_owned();
        let own = name.rsplit('/').next().unwrap_or_default();
        if entry.is_dir() || own.starts_with('.') || name.split('/').any(|part| part == "__MACOSX") {
            continue;
        }
        if own.to_lowercase().ends_with(".csv") {
            out.push((ix, name));
        } else {
            others.push(name);
        }
    }
    if out.is_empty() {
        let found = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
        return Err(container(format!("no .csv inside (found: {found})")));
    }
    Ok(out)
}

/// When a member was made; a date of before the archive began means that the zip does not say.
pub(super) fn made<R: Read>(entry: &zip::read::ZipFile<'_, R>) -> Option<Ts> {
    const FIRST_YEAR: u16 = 2017;
    let at = entry.last_modified().filter(|at| at.year() >= FIRST_YEAR)?;
    let (year, month, day) = (at.year(), at.month(), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    parse_time(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")).ok()
}

/// What the names of the tables inside say, for an archive whose own name is silent; empty when it is none.
#[must_use]
pub fn facts_of_members(path: &Path) -> Vec<NameFacts> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    let Ok(mut zip) = zip::ZipArchive::new(BufReader::new(file)) else { return Vec::new() };
    let names = tables(path, &mut zip).unwrap_or_default();
    names.iter().map(|(_, name)| from_path(Path::new(name), Path::new(""))).collect()
}

/// How a member is read, or why it is passed over. Its own name outweighs that of the archive, and no flag.
pub(super) fn spec_of(name: &str, archive: &FileSpec) -> Result<FileSpec, String> {
    let says = from_path(Path::new(name), Path::new(""));
    let mut spec = archive.clone();
    if let Some(foreign) = says.foreign {
        return Err(foreign);
    }
    if says.kind_is_named
        && let Some(kind) = says.kind.filter(|kind| *kind != archive.kind)
    {
        if archive.kind_is_given {
            return Err(format!("of the kind {}, not {}", kind.name(), archive.kind.name()));
        }
        spec.kind = kind;
    }
    if let Some(market) = says.market.filter(|fact| fact.is_own && fact.value != archive.market) {
        if !archive.market_is_assumed {
            return Err(format!("of the {} market, not {}", market.value, archive.market));
        }
        spec.market = market.value;
    }
    spec.interval_ms = says.interval_ms.or(archive.interval_ms);
    if let Some(instrument) = says.instrument.map(|fact| fact.value) {
        if let Some(problem) = instrument.problem() {
            return Err(format!("{instrument}: {problem}"));
        }
        if instrument.market.is_some_and(|market| market != spec.market) {
            return Err(format!("{instrument}: not of the {} market", spec.market));
        }
        if let Some(only) = archive.only.as_ref().filter(|only| **only != instrument.symbol) {
            return Err(format!("{instrument}: not the --symbol {only}"));
        }
        spec.symbol = Some(instrument.symbol);
    }
    Ok(spec)
}
