//! A catalog on disk: which files there are, and which are missing.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fixed::FixedError;
use super::instruments::Precision;
use super::layout::Layout;
use backtestd_core::market::{Symbol, Ts, hex};
use backtestd_store::lake::{LakeError, write_atomically, write_bytes};

/// Folder of what NautilusTrader does not read.
const OWN: &str = "backtestd";
/// The record of what was written.
const RECORD: &str = "catalog.json";
/// The value of its `schema`.
const SCHEMA: &str = "backtestd.nautilus_catalog/1";

/// An export that failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A number that cannot be stored.
    #[error("{symbol} {at}: {source}")]
    Number {
        /// Symbol that the number is of.
        symbol: Symbol,
        /// Time of its row.
        at: Ts,
        /// What is wrong.
        source: FixedError,
    },
    /// A file that cannot be written.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Columns that do not fit together.
    #[error("a table of {series} cannot be made: {source}")]
    Table {
        /// Folder of the series.
        series: String,
        /// What Arrow says.
        source: arrow::error::ArrowError,
    },
    /// A folder that cannot be listed, or a record that cannot be read.
    #[error("{}: {detail}", path.display())]
    Read {
        /// Path of the folder or file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Two files that both claim a stretch.
    #[error(
        "{}: {first} and {second} cover a common stretch of time, so that its rows are read twice; remove the folder and \
         export again",
        folder.display()
    )]
    Overlap {
        /// Folder of the series.
        folder: PathBuf,
        /// Name of one file.
        first: String,
        /// Name of the other.
        second: String,
    },
    /// A catalog of another layout.
    #[error(
        "{}: this catalog has the layout {found}, and {wanted} was asked for; export into another folder. Nothing was written",
        path.display()
    )]
    Layout {
        /// Path of the record of what was written.
        path: PathBuf,
        /// Layout of the catalog.
        found: Layout,
        /// Layout that was asked for.
        wanted: Layout,
    },
    /// A file of someone else.
    #[error(
        "{}: holds other rows than the store for its stretch, and was not written by `backtestd export nautilus`; remove it \
         or export into another folder",
        path.display()
    )]
    Foreign {
        /// Path of the file.
        path: PathBuf,
    },
}

/// What became of one series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeriesExport {
    /// Folder of the series, relative to the catalog.
    pub folder: String,
    /// Rows of the store that the files hold now.
    pub rows: usize,
    /// Rows of them in files that were added.
    pub added: usize,
    /// Rows of them in files that were written anew.
    pub rewritten: usize,
    /// Rows left out because a value is unknown.
    pub skipped: usize,
    /// Files of the series.
    pub files: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct FileRecord {
    rows: usize,
    sha256: String,
}

/// What was written, and with which precision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    schema: String,
    /// Catalogs of before have the first one.
    #[serde(default)]
    layout: Layout,
    #[serde(default)]
    files: BTreeMap<String, FileRecord>,
    #[serde(default)]
    precisions: BTreeMap<String, Precision>,
}

/// A catalog that is written to.
#[derive(Debug)]
pub struct Catalog {
    root: PathBuf,
    record: Record,
}

/// A file of a series: the times that its name says.
struct Existing {
    name: String,
    first: i64,
    last: i64,
}

impl Catalog {
    /// Opens a catalog, or begins one of a layout.
    ///
    /// # Errors
    /// When the record of what was written cannot be read, or says that the catalog has another layout.
    pub fn open(root: &Path, layout: Layout) -> Result<Self, ExportError> {
        let path = root.join(OWN).join(RECORD);
        let fail = |detail: String| ExportError::Read { path: path.clone(), detail };
        let record = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Record>(&bytes).map_err(|e| fail(e.to_string()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Record::default(),
            Err(e) => return Err(fail(e.to_string())),
        };
        if !record.schema.is_empty() && record.schema != SCHEMA {
            return Err(fail(format!("schema is {}, this program writes {SCHEMA}", record.schema)));
        }
        if !record.schema.is_empty() && record.layout != layout {
            return Err(ExportError::Layout { path, found: record.layout, wanted: layout });
        }
        Ok(Self { root: root.to_owned(), record: Record { schema: SCHEMA.to_owned(), layout, ..record } })
    }

    /// The layout that its files have.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.record.layout
    }

    /// Folder of what NautilusTrader does not read.
    #[must_use]
    pub fn own(&self) -> PathBuf {
        self.root.join(OWN)
    }

    /// The precision of an instrument for its whole history: never less than it was.
    #[must_use]
    pub fn fix_precision(&mut self, instrument: &str, needed: Precision) -> Precision {
        let fixed = self.record.precisions.entry(instrument.to_owned()).or_insert(needed);
        *fixed = fixed.widest(needed);
        *fixed
    }

    /// Brings the files of a series to what the store has: `times` (ns, ascending) are those of every row,
    /// and `batch` makes the table of a range of them.
    ///
    /// # Errors
    /// When files overlap or are someone else's, or one cannot be written.
    pub fn write_series(
        &mut self,
        folder: &str,
        times: &[i64],
        batch: &dyn Fn(Range<usize>) -> Result<RecordBatch, ExportError>,
    ) -> Result<SeriesExport, ExportError> {
        let existing = self.existing(folder)?;
        let mut export = SeriesExport { folder: folder.to_owned(), rows: times.len(), ..Default::default() };
        let mut from = 0;
        let mut new = Vec::new();
        for file in &existing {
            let begin = times.partition_point(|t| *t < file.first);
            let end = times.partition_point(|t| *t <= file.last);
            new.push(from..begin);
            from = end;
            if begin < end {
                let changed = self.refresh(folder, &file.name, (end - begin, &batch(begin..end)?))?;
                export.rewritten += if changed { end - begin } else { 0 };
            }
        }
        new.push(from..times.len());
        for range in new.into_iter().filter(|range| !range.is_empty()) {
            let name = format!("{}_{}.parquet", stamp(times[range.start]), stamp(times[range.end - 1]));
            export.added += range.len();
            self.write_file(folder, &name, (range.len(), &batch(range)?))?;
        }
        export.files = self.existing(folder)?.len();
        Ok(export)
    }

    /// Writes a file anew if it does not hold these rows.
    fn refresh(
        &mut self,
        folder: &str,
        name: &str,
        (rows, batch): (usize, &RecordBatch),
    ) -> Result<bool, ExportError> {
        let relative = format!("{folder}/{name}");
        let sha256 = content_hash(batch);
        match self.record.files.get(&relative) {
            Some(known) if known.sha256 == sha256 => return Ok(false),
            Some(_) => {}
            None => return Err(ExportError::Foreign { path: self.root.join(relative) }),
        }
        self.write_file(folder, name, (rows, batch))?;
        Ok(true)
    }

    fn write_file(
        &mut self,
        folder: &str,
        name: &str,
        (rows, batch): (usize, &RecordBatch),
    ) -> Result<(), ExportError> {
        let relative = format!("{folder}/{name}");
        let path = self.root.join(&relative);
        let fail =
            |e: &dyn std::fmt::Display| LakeError::Format { path: path.clone(), detail: e.to_string() };
        // The record goes first: what a crash leaves is known as ours, and its hash says that it is not
        // finished.
        self.record.files.insert(relative, FileRecord { rows, sha256: content_hash(batch) });
        self.save()?;
        write_atomically(&path, |out| {
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            let mut writer =
                ArrowWriter::try_new(&mut *out, batch.schema(), Some(properties)).map_err(|e| fail(&e))?;
            writer.write(batch).map_err(|e| fail(&e))?;
            writer.close().map_err(|e| fail(&e))
        })?;
        Ok(())
    }

    /// Writes the record of what was written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<(), ExportError> {
        let path = self.own().join(RECORD);
        let text = serde_json::to_string_pretty(&self.record).unwrap_or_default() + "\n";
        Ok(write_bytes(&path, text.as_bytes()).map(|_| ())?)
    }

    /// The files of a series in time order, which must not overlap.
    fn existing(&self, folder: &str) -> Result<Vec<Existing>, ExportError> {
        let path = self.root.join(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(ExportError::Read { path, detail: e.to_string() }),
        };
        let mut files: Vec<Existing> =
            entries.filter_map(|e| interval(&e.ok()?.file_name().into_string().ok()?)).collect();
        files.sort_by_key(|f| (f.first, f.last));
        match files.windows(2).find(|pair| pair[1].first <= pair[0].last) {
            None => Ok(files),
            Some(pair) => Err(ExportError::Overlap {
                folder: path,
                first: pair[0].name.clone(),
                second: pair[1].name.clone(),
            }),
        }
    }
}

/// SHA-256 over the bytes of every column, and the metadata.
fn content_hash(batch: &RecordBatch) -> String {
    let mut hash = Sha256::new();
    let schema = batch.schema();
    let mut metadata: Vec<_> = schema.metadata().iter().collect();
    metadata.sort();
    for (key, value) in metadata {
        hash.update(format!("{key}={value};"));
    }
    for column in batch.columns() {
        let data = column.to_data();
        for buffer in data.buffers() {
            hash.update((buffer.len() as u64).to_le_bytes());
            hash.update(buffer.as_slice());
        }
        if let Some(nulls) = data.nulls() {
            (0..nulls.len()).for_each(|at| hash.update([u8::from(nulls.is_valid(at))]));
        }
    }
    hex(&hash.finalize())
}

/// The time as file names carry it, `2020-01-01T00-05-00-000000000Z`
fn stamp(ns: i64) -> String {
    let ts = Ts(ns.div_euclid(1_000_000));
    let text = ts.rfc3339();
    let whole = text.trim_end_matches('Z').split('.').next().unwrap_or_default();
    format!("{}-{:09}Z", whole.replace(':', "-"), ns.rem_euclid(1_000_000_000))
}

/// What a file's name says; `None` for other files.
fn interval(name: &str) -> Option<Existing> {
    let (first, last) = name.strip_suffix(".parquet")?.split_once('_')?;
    Some(Existing { name: name.to_owned(), first: nanos(first)?, last: nanos(last)? })
}

/// The inverse of [`stamp`].
fn nanos(stamp: &str) -> Option<i64> {
    let (date, time) = stamp.strip_suffix('Z')?.split_once('T')?;
    let parts: Vec<&str> = time.split('-').collect();
    let [hour, minute, second, fraction] = parts[..] else { return None };
    let ts = backtestd_core::market::parse_time(&format!("{date}T{hour}:{minute}:{second}Z")).ok()?;
    Some(ts.nanos() + fraction.parse::<i64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_times_that_it_was_made_of() {
        for ns in [0, 1_577_837_100_000_000_000, 1_577_837_100_123_456_789] {
            assert_eq!(nanos(&stamp(ns)), Some(ns), "{}", stamp(ns));
        }
        assert_eq!(stamp(1_577_837_100_000_000_000), "2020-01-01T00-05-00-000000000Z");
        assert!(interval("2020-01-01T00-05-00-000000000Z_2020-01-01T00-15-00-000000000Z.parquet").is_some());
        assert!(interval("part.parquet").is_none());
    }
}
