//! Opening files: zip, gzip, plain csv, parquet, Arrow; and handing their tables to the reader of their kind.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::{
    ArchiveError, FileContent, FileKind, FileSpec, Finding, book_depth, book_ticker, checksum, frame,
    funding, klines, lake, liquidations, mark, members, metrics, unfinished,
};
use backtestd_core::market::{Kind, RawPut, Records};

/// Bytes between two reports of progress.
const REPORT_EVERY: u64 = 1 << 20;
const BUFFER: usize = 1 << 16;

/// A source of bytes without a type, buffered so that its first line can be looked at.
type Input<'a> = Box<dyn BufRead + 'a>;

/// What a file is by its first bytes, else by the end of its name.
enum Container {
    Zip,
    Gzip,
    Parquet,
    Arrow,
    Text,
}

impl Container {
    fn of(path: &Path, file: &mut File) -> std::io::Result<Self> {
        use std::io::Seek;
        let mut start = [0; 6];
        let mut known = 0;
        while known < start.len() {
            match file.read(&mut start[known..])? {
                0 => break,
                n => known += n,
            }
        }
        file.rewind()?;
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        Ok(match (&start[..known], ending.as_str()) {
            ([b'P', b'K', 3 | 5, ..], _) | (_, "zip") => Self::Zip,
            ([0x1f, 0x8b, ..], _) | (_, "gz") => Self::Gzip,
            ([b'P', b'A', b'R', b'1', ..], _) | (_, "parquet" | "pq") => Self::Parquet,
            (b"ARROW1", _) | (_, "feather" | "arrow" | "ipc") => Self::Arrow,
            _ => Self::Text,
        })
    }
}

/// Reads a file whole. `progress` hears the share of it that was read, 0 to 1.
///
/// # Errors
/// With file, line, field and value where the content does not fit, or when the file is not the one of which
/// the checksum beside it speaks.
pub fn read_file(
    path: &Path,
    spec: &FileSpec,
    progress: &mut dyn FnMut(f64),
) -> Result<FileContent, ArchiveError> {
    let io = |source| ArchiveError::Io { file: path.to_owned(), source };
    checksum::check(path)?;
    let mut file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let mut out = FileContent::default();
    match Container::of(path, &mut file).map_err(io)? {
        Container::Zip => read_zip(path, file, spec, progress, &mut out)?,
        Container::Gzip => {
            let file = BufReader::with_capacity(BUFFER, Watched::new(file, bytes, progress));
            read_table(path, buffered(flate2::read::MultiGzDecoder::new(file)), spec, &mut out)?;
        }
        Container::Parquet => {
            read_table(path, buffered(frame::CsvText::parquet(path, progress)?), spec, &mut out)?;
        }
        Container::Arrow => {
            read_table(path, buffered(frame::CsvText::arrow(path, progress)?), spec, &mut out)?;
        }
        Container::Text => read_table(path, buffered(Watched::new(file, bytes, progress)), spec, &mut out)?,
    }
    if out.is_empty() {
        let what = "no rows: nothing to import".to_owned();
        out.findings.push(Finding { file: path.display().to_string(), line: None, what });
    }
    Ok(out)
}

/// Every table inside, each by what its own name says.
fn read_zip(
    path: &Path,
    file: File,
    spec: &FileSpec,
    progress: &mut dyn FnMut(f64),
    out: &mut FileContent,
) -> Result<(), ArchiveError> {
    let container = |detail: String| ArchiveError::Container { file: path.to_owned(), detail };
    let file = BufReader::with_capacity(BUFFER, file);
    let mut zip = zip::ZipArchive::new(file).map_err(|e| container(format!("not a zip file: {e}")))?;
    let tables = members::tables(path, &mut zip)?;
    let is_one = tables.len() == 1;
    for (ix, name) in tables {
        let label = if is_one { path.to_owned() } else { path.join(&name) };
        let spec = match members::spec_of(&name, spec) {
            Ok(spec) => spec,
            Err(reason) => {
                let what = format!("passed over: {reason}");
                out.findings.push(Finding { file: path.join(&name).display().to_string(), line: None, what });
                continue;
            }
        };
        let entry = zip.by_index(ix).map_err(|e| container(format!("entry {name}: {e}")))?;
        out.provenance.made = out.provenance.made.max(members::made(&entry));
        let size = entry.size();
        read_table(&label, buffered(Watched::new(entry, size, progress)), &spec, out)?;
    }
    Ok(())
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
    let header: Vec<String> = line.split(|b| *b == b',').map(super::table::squeeze).collect();
    Ok(lake::kind_of(kind, &header))
}

fn read_table(
    file: &Path,
    mut input: Input<'_>,
    spec: &FileSpec,
    out: &mut FileContent,
) -> Result<(), ArchiveError> {
    let findings = &mut out.findings;
    if let Some(kind) = lake_kind(file, &mut input, spec.kind)? {
        for (symbol, (records, told)) in lake::read(file, input, kind, spec, findings)? {
            let put = RawPut { symbol, records };
            if !told.is_empty() {
                out.provenance.told.push((put.series(), told));
            }
            out.puts.push(put);
        }
        return Ok(());
    }
    let mut put = |symbol, records| out.puts.push(RawPut { symbol, records });
    match spec.kind {
        FileKind::Klines => {
            let table = klines::read(file, input, spec, findings)?;
            for (symbol, rows) in table.by_symbol {
                out.suspects.extend(unfinished::search(&symbol, spec.market, &rows.bars));
                out.parts.extend(rows.parts.into_iter().map(|p| (symbol.clone(), spec.market, p)));
                put(symbol, Records::Bars(spec.market, rows.bars));
            }
        }
        FileKind::Funding => {
            for (symbol, prints) in funding::read(file, input, spec, findings)? {
                put(symbol, Records::Funding(prints));
            }
        }
        FileKind::Metrics => {
            for (symbol, records) in metrics::read(file, input, spec, findings)? {
                put(symbol, records);
            }
        }
        FileKind::MarkKlines | FileKind::IndexKlines | FileKind::PremiumKlines | FileKind::MarkIndex => {
            for (symbol, bars) in mark::read(file, input, spec, findings)? {
                put(symbol, Records::Mark(bars));
            }
        }
        FileKind::Liquidations => {
            for (symbol, (bars, orders)) in liquidations::read(file, input, spec, findings)? {
                out.orders.extend(orders.into_iter().map(|o| (symbol.clone(), o)));
                put(symbol, Records::Liquidations(bars));
            }
        }
        FileKind::BookTicker => {
            for (symbol, quotes) in book_ticker::read(file, input, spec, findings)? {
                put(symbol, Records::Quotes(quotes.bars));
                out.edges.extend(quotes.edges);
            }
        }
        FileKind::Lake => {
            let detail = "not a table of the lake: timestamp, symbol and the columns of one kind of record";
            return Err(ArchiveError::Container { file: file.to_owned(), detail: detail.to_owned() });
        }
        FileKind::BookDepth => {
            for (symbol, snapshots) in book_depth::read(file, input, spec, findings)? {
                put(symbol, Records::Depth(snapshots));
            }
        }
    }
    Ok(())
}
