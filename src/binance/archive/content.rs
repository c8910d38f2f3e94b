//! Opening files: zip, gzip, plain csv, parquet; and handing their tables to the reader of their kind.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::{
    ArchiveError, FileContent, FileKind, FileSpec, Input, funding, klines, liquidations, mark, metrics,
    no_symbol, parquet, unfinished,
};
use crate::store::{RawPut, Records};

/// Reads a file whole.
///
/// # Errors
/// With file, line, field and value where the content does not fit.
pub fn read_file(path: &Path, spec: &FileSpec) -> Result<FileContent, ArchiveError> {
    let io = |source| ArchiveError::Io { file: path.to_owned(), source };
    let container = |detail: String| ArchiveError::Container { file: path.to_owned(), detail };
    let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?);
    let mut out = FileContent::default();
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "zip" => {
            let mut zip =
                zip::ZipArchive::new(file).map_err(|e| container(format!("not a zip file: {e}")))?;
            let mut tables = 0;
            for i in 0..zip.len() {
                let entry = zip.by_index(i).map_err(|e| container(format!("entry {i}: {e}")))?;
                let name = entry.name().map_err(|e| container(format!("entry {i}: {e}")))?;
                if entry.is_dir() || !name.ends_with(".csv") {
                    continue;
                }
                tables += 1;
                read_table(path, Box::new(entry), spec, &mut out)?;
            }
            if tables == 0 {
                return Err(container("no .csv inside".to_owned()));
            }
        }
        "gz" => read_table(path, Box::new(flate2::read::MultiGzDecoder::new(file)), spec, &mut out)?,
        "parquet" => {
            let text = parquet::to_csv(path)?;
            read_table(path, Box::new(text.as_bytes()), spec, &mut out)?;
        }
        _ => read_table(path, Box::new(file), spec, &mut out)?,
    }
    Ok(out)
}

fn read_table(
    file: &Path,
    input: Input<'_>,
    spec: &FileSpec,
    out: &mut FileContent,
) -> Result<(), ArchiveError> {
    let symbol = spec.symbol.as_ref();
    let findings = &mut out.findings;
    match spec.kind {
        FileKind::Klines => {
            let symbol = symbol.ok_or_else(|| no_symbol(file))?.clone();
            let mut bars = klines::read(file, input, spec.interval_ms, true, findings)?;
            if !is_archive(file) {
                bars = unfinished::leave_out(bars, &file.display().to_string(), findings);
            }
            out.puts.push(RawPut { symbol, records: Records::Bars(spec.market, bars) });
        }
        FileKind::Funding => {
            for (symbol, prints) in funding::read(file, input, symbol)? {
                out.puts.push(RawPut { symbol, records: Records::Funding(prints) });
            }
        }
        FileKind::Metrics => {
            for (symbol, snapshots) in metrics::read(file, input, symbol, labels(file), findings)? {
                out.puts.push(RawPut { symbol, records: Records::OpenInterest(snapshots) });
            }
        }
        FileKind::MarkKlines | FileKind::IndexKlines | FileKind::PremiumKlines => {
            let symbol = symbol.ok_or_else(|| no_symbol(file))?.clone();
            let bars = mark::read(file, input, spec.kind, spec.interval_ms, findings)?;
            out.puts.push(RawPut { symbol, records: Records::Mark(bars) });
        }
        FileKind::Liquidations => {
            for (symbol, bars) in liquidations::read(file, input, symbol, spec.continuous, findings)? {
                out.puts.push(RawPut { symbol, records: Records::Liquidations(bars) });
            }
        }
    }
    Ok(())
}

/// The archive's own files are zips.
fn is_archive(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "zip")
}

/// Parquet tables come from a lake, where a label was made an instant already.
fn labels(file: &Path) -> metrics::Labels {
    if file.extension().is_some_and(|e| e == "parquet") {
        metrics::Labels::Instants
    } else {
        metrics::Labels::Archive
    }
}
