//! Parquet tables, read through the same checks as text: each row becomes a line of comma-separated text, floats in
//! their shortest form (which parses back to the same bits), instants as milliseconds, unknown as nothing. Lines in
//! messages are then rows, counting the header.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::ArchiveError;

/// Rows turned into text at once.
const BATCH_ROWS: usize = 8192;

/// A table as text with a header, made batch by batch as it is read.
pub(super) struct CsvText<'a> {
    names: Vec<String>,
    batches: ParquetRecordBatchReader,
    text: String,
    taken: usize,
    rows: u64,
    total: u64,
    progress: &'a mut dyn FnMut(f64),
}

impl<'a> CsvText<'a> {
    /// Opens a file; `progress` hears the share of its rows that was read.
    pub(super) fn open(path: &Path, progress: &'a mut dyn FnMut(f64)) -> Result<Self, ArchiveError> {
        let fail = |e: &dyn std::fmt::Display| ArchiveError::Container {
            file: path.to_owned(),
            detail: e.to_string(),
        };
        let file = File::open(path).map_err(|source| ArchiveError::Io { file: path.to_owned(), source })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|e| fail(&format!("not a parquet file: {e}")))?;
        let names: Vec<String> = builder.schema().fields().iter().map(|f| f.name().clone()).collect();
        let total = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
        let mut text = names.join(",");
        text.push('\n');
        let batches = builder.with_batch_size(BATCH_ROWS).build().map_err(|e| fail(&e))?;
        Ok(Self { names, batches, text, taken: 0, rows: 0, total, progress })
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
        (self.progress)(self.rows as f64 / self.total as f64);
        Ok(true)
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
}

impl Cells {
    fn of(array: &ArrayRef) -> Result<Self, arrow::error::ArrowError> {
        Ok(match array.data_type() {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
                let ms = cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
                Self::Instant(ms)
            }
            DataType::Float64 | DataType::Float32 | DataType::Float16 => {
                Self::Number(cast(array, &DataType::Float64)?)
            }
            t if t.is_integer() => Self::Whole(cast(array, &DataType::Int64)?),
            _ => Self::Text(cast(array, &DataType::Utf8)?),
        })
    }

    fn write(&self, row: usize, out: &mut String) {
        let (Self::Number(array) | Self::Whole(array) | Self::Instant(array) | Self::Text(array)) = self;
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
                let text = a.as_string::<i32>().value(row);
                if text.contains([',', '"', '\n', '\r']) {
                    write!(out, "\"{}\"", text.replace('"', "\"\""))
                } else {
                    out.push_str(text);
                    Ok(())
                }
            }
        };
    }
}
