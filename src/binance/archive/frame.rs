//! Parquet and Arrow (feather) tables, read through the same checks as text: each row becomes a line of
//! comma-separated text, floats in their shortest form (which parses back to the same bits), instants as
//! milliseconds, unknown as nothing. Lines in messages are then rows, counting the header.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema, TimeUnit, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::ArchiveError;

/// Rows turned into text at once.
const BATCH_ROWS: usize = 8192;

/// What both formats come as.
type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

/// A table as text with a header, made batch by batch as it is read.
pub(super) struct CsvText<'a> {
    names: Vec<String>,
    batches: Batches,
    text: String,
    taken: usize,
    rows: u64,
    total: u64,
    progress: &'a mut dyn FnMut(f64),
}

impl<'a> CsvText<'a> {
    /// Opens a parquet file; `progress` hears the share of its rows that was read.
    pub(super) fn parquet(path: &Path, progress: &'a mut dyn FnMut(f64)) -> Result<Self, ArchiveError> {
        let file = File::open(path).map_err(|source| ArchiveError::Io { file: path.to_owned(), source })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|e| damaged(path, format!("not a parquet file: {e}")))?;
        let schema = Arc::clone(builder.schema());
        let total = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let batches =
            builder.with_batch_size(BATCH_ROWS).build().map_err(|e| damaged(path, e.to_string()))?;
        Ok(Self::new(&schema, Box::new(batches), total, progress))
    }

    /// Opens an Arrow file (feather, version 2).
    pub(super) fn arrow(path: &Path, progress: &'a mut dyn FnMut(f64)) -> Result<Self, ArchiveError> {
        let file = File::open(path).map_err(|source| ArchiveError::Io { file: path.to_owned(), source })?;
        let batches = FileReader::try_new_buffered(file, None)
            .map_err(|e| damaged(path, format!("not an Arrow file: {e}")))?;
        let schema = batches.schema();
        Ok(Self::new(&schema, Box::new(batches), 0, progress))
    }

    fn new(schema: &Schema, batches: Batches, total: u64, progress: &'a mut dyn FnMut(f64)) -> Self {
        let names: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let mut text = String::new();
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            push_text(name, &mut text);
        }
        text.push('\n');
        Self { names, batches, text, taken: 0, rows: 0, total: total.max(1), progress }
    }

    /// Writes the next batch into the text; false at the end.
    fn refill(&mut self) -> Result<bool, String> {
        self.text.clear();
        self.taken = 0;
        let Some(batch) = self.batches.next() else { return Ok(false) };
        let batch = batch.map_err(|e| e.to_string())?;
        let columns = batch
            .columns()
            .iter()
            .zip(&self.names)
            .map(|(array, name)| Cells::of(array).map_err(|e| format!("column '{name}': {e}")))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            for (i, column) in columns.iter().enumerate() {
                if i > 0 {
                    self.text.push(',');
                }
                column.write(row, &mut self.text);
            }
            self.text.push('\n');
        }
        self.rows += batch.num_rows() as u64;
        (self.progress)((self.rows as f64 / self.total as f64).min(1.0));
        Ok(true)
    }
}

fn damaged(path: &Path, detail: String) -> ArchiveError {
    ArchiveError::Container { file: path.to_owned(), detail }
}

/// A cell of text, in quotes where it needs them.
fn push_text(text: &str, out: &mut String) {
    if text.contains([',', '"', '\n', '\r']) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

impl Read for CsvText<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.taken == self.text.len() {
            if !self.refill().map_err(std::io::Error::other)? {
                return Ok(0);
            }
        }
        let rest = &self.text.as_bytes()[self.taken..];
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.taken += n;
        Ok(n)
    }
}

/// A column by what its cells print as.
enum Cells {
    Number(ArrayRef),
    Whole(ArrayRef),
    Instant(ArrayRef),
    Text(ArrayRef),
    /// Lists and structs are no cells of a table: empty.
    Nested,
}

impl Cells {
    fn of(array: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
                let ms = cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
                Self::Instant(ms)
            }
            DataType::Float64 | DataType::Float32 | DataType::Float16 => {
                Self::Number(cast(array, &DataType::Float64)?)
            }
            t if t.is_integer() => Self::Whole(cast(array, &DataType::Int64)?),
            t if t.is_nested() => Self::Nested,
            _ => Self::Text(cast(array, &DataType::Utf8)?),
        })
    }

    fn write(&self, row: usize, out: &mut String) {
        let (Self::Number(array) | Self::Whole(array) | Self::Instant(array) | Self::Text(array)) = self
        else {
            return;
        };
        if array.is_null(row) {
            return;
        }
        // Writing to a string does not fail.
        let _ = match self {
            Self::Number(a) => match a.as_primitive::<Float64Type>().value(row) {
                v if v.is_nan() => Ok(()),
                v => write!(out, "{v}"),
            },
            Self::Whole(a) => write!(out, "{}", a.as_primitive::<Int64Type>().value(row)),
            Self::Instant(a) => write!(out, "{}", a.as_primitive::<TimestampMillisecondType>().value(row)),
            Self::Text(a) => {
                push_text(a.as_string::<i32>().value(row), out);
                Ok(())
            }
            Self::Nested => Ok(()),
        };
    }
}
