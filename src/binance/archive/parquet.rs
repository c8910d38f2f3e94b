//! Parquet tables, read through the same checks as text: each row becomes a line of comma-separated text, floats in
//! their shortest form (which parses back to the same bits), instants as milliseconds, unknown as nothing. Lines in
//! messages are then rows, counting the header.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::ArchiveError;

/// The whole table as text with a header.
pub(super) fn to_csv(path: &Path) -> Result<String, ArchiveError> {
    let fail =
        |e: &dyn std::fmt::Display| ArchiveError::Container { file: path.to_owned(), detail: e.to_string() };
    let file = File::open(path).map_err(|source| ArchiveError::Io { file: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|e| fail(&format!("not a parquet file: {e}")))?;
    let names: Vec<String> = builder.schema().fields().iter().map(|f| f.name().clone()).collect();
    let mut out = names.join(",");
    out.push('\n');
    for batch in builder.with_batch_size(8192).build().map_err(|e| fail(&e))? {
        let batch = batch.map_err(|e| fail(&e))?;
        let columns = batch
            .columns()
            .iter()
            .zip(&names)
            .map(|(array, name)| Cells::of(array).map_err(|e| fail(&format!("column '{name}': {e}"))))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            for (i, column) in columns.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                column.write(row, &mut out);
            }
            out.push('\n');
        }
    }
    Ok(out)
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
