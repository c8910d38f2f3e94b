//! Opening files: zip, gzip, plain csv, parquet; and handing their tables to the reader of their kind.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::{
    ArchiveError, FileContent, FileKind, FileSpec, book_depth, book_ticker, funding, klines, lake,
    liquidations, mark, metrics, no_symbol, parquet, unfinished,
};
use backtestd_core::market::{Kind, RawPut, Records};

/// Bytes between two reports of progress.
const REPORT_EVERY: u64 = 1 << 20;
const BUFFER: usize = 1 << 16;

/// A source of bytes without a type, buffered so that its first line can be looked at.
type Input<'a> = Box<dyn BufRead + 'a>;

/// Reads a file whole. `progress` hears the share of it that was read, 0 to 1.
///
/// # Errors
/// With file, line, field and value where the content does not fit.
pub fn read_file(
    path: &Path,
    spec: &FileSpec,
    progress: &mut dyn FnMut(f64),
) -> Result<FileContent, ArchiveError> {
    let io = |source| ArchiveError::Io { file: path.to_owned(), source };
    let container = |detail: String| ArchiveError::Container { file: path.to_owned(), detail };
    let file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let mut out = FileContent::default();
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "zip" => {
            let file = BufReader::with_capacity(BUFFER, file);
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
                let size = entry.size();
                read_table(path, buffered(Watched::new(entry, size, progress)), spec, &mut out)?;
            }
            if tables == 0 {
                return Err(container("no .csv inside".to_owned()));
            }
        }
        "gz" => {
            let file = BufReader::with_capacity(BUFFER, Watched::new(file, bytes, progress));
            read_table(path, buffered(flate2::read::MultiGzDecoder::new(file)), spec, &mut out)?;
        }
        "parquet" => read_table(path, buffered(parquet::CsvText::open(path, progress)?), spec, &mut out)?,
        _ => read_table(path, buffered(Watched::new(file, bytes, progress)), spec, &mut out)?,
    }
    Ok(out)
}

fn buffered<'a>(input: impl Read + 'a) -> Input<'a> {
    Box::new(BufReader::with_capacity(BUFFER, input))
}

/// Reports how much of a known length has gone by.
struct Watched<'a, R> {
    inner: R,
    read: u64,
    total: u64,
    reported: u64,
    progress: &'a mut dyn FnMut(f64),
}

impl<'a, R> Watched<'a, R> {
    fn new(inner: R, total: u64, progress: &'a mut dyn FnMut(f64)) -> Self {
        Self { inner, read: 0, total: total.max(1), reported: 0, progress }
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read += n as u64;
        if self.read - self.reported >= REPORT_EVERY {
            self.reported = self.read;
            (self.progress)((self.read as f64 / self.total as f64).min(1.0));
        }
        Ok(n)
    }
}

/// The kind of one of the lake's own tables, by its columns; `None` for any other.
fn lake_kind(file: &Path, input: &mut Input<'_>, kind: FileKind) -> Result<Option<Kind>, ArchiveError> {
    let start = input
        .fill_buf()
        .map_err(|e| ArchiveError::Container { file: file.to_owned(), detail: e.to_string() })?;
    let line = start.split(|b| *b == b'\n').next().unwrap_or_default();
    let header: Vec<String> = line.split(|b| *b == b',').map(super::table::normal_name).collect();
    Ok(lake::kind_of(kind, &header))
}

fn read_table(
    file: &Path,
    mut input: Input<'_>,
    spec: &FileSpec,
    out: &mut FileContent,
) -> Result<(), ArchiveError> {
    let symbol = spec.symbol.as_ref();
    let named = || symbol.cloned().ok_or_else(|| no_symbol(file));
    if let Some(kind) = lake_kind(file, &mut input, spec.kind)? {
        for (symbol, records) in lake::read(file, input, kind, symbol)? {
            out.puts.push(RawPut { symbol, records });
        }
        return Ok(());
    }
    let findings = &mut out.findings;
    match spec.kind {
        FileKind::Klines => {
            let symbol = named()?;
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
            out.puts.extend(metrics::read(file, input, symbol, labels(file), findings)?);
        }
        FileKind::MarkKlines | FileKind::IndexKlines | FileKind::PremiumKlines | FileKind::MarkIndex => {
            let bars = mark::read(file, input, spec.kind, spec.interval_ms, findings)?;
            out.puts.push(RawPut { symbol: named()?, records: Records::Mark(bars) });
        }
        FileKind::Liquidations => {
            for (symbol, bars) in liquidations::read(file, input, symbol, spec.continuous, findings)? {
                out.puts.push(RawPut { symbol, records: Records::Liquidations(bars) });
            }
        }
        FileKind::BookTicker => {
            let symbol = named()?;
            let quotes = book_ticker::read(file, input, &symbol, findings)?;
            out.puts.push(RawPut { symbol, records: Records::Quotes(quotes.bars) });
            out.edges.extend(quotes.edges);
        }
        FileKind::Lake => {
            let detail = "not a table of the lake: timestamp, symbol and the columns of one kind of record";
            return Err(ArchiveError::Container { file: file.to_owned(), detail: detail.to_owned() });
        }
        FileKind::BookDepth => {
            let symbol = named()?;
            let snapshots = book_depth::read(file, input, findings)?;
            out.puts.push(RawPut { symbol, records: Records::Depth(snapshots) });
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
