//! Columns from plain vectors. Unknown numbers (NaN) become null.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int8Array, Int64Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder, TimestampNanosecondArray,
};
use arrow::datatypes::{Field, Int32Type, Schema};

use super::LakeError;
use backtestd_core::market::Ts;

/// Numbers; NaN is null.
#[must_use]
pub fn f64_column(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(values.into_iter().map(|v| (!v.is_nan()).then_some(v)).collect::<Float64Array>())
}

/// A column of 64-bit integers; `None` becomes null.
#[must_use]
pub fn i64_column(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int64Array>())
}

/// States: 1, 0, and anything else (-1) null.
#[must_use]
pub fn state_column(values: impl IntoIterator<Item = i8>) -> ArrayRef {
    Arc::new(values.into_iter().map(|v| (v == 0 || v == 1).then_some(v)).collect::<Int8Array>())
}

/// A column of booleans; `None` becomes null.
#[must_use]
pub fn bool_column(values: impl IntoIterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<BooleanArray>())
}

/// A column of instants, ns UTC.
#[must_use]
pub fn ts_column(values: impl IntoIterator<Item = Ts>) -> ArrayRef {
    ts_column_opt(values.into_iter().map(Some))
}

/// Instants, some unknown.
#[must_use]
pub fn ts_column_opt(values: impl IntoIterator<Item = Option<Ts>>) -> ArrayRef {
    let values: TimestampNanosecondArray = values.into_iter().map(|t| t.map(Ts::nanos)).collect();
    Arc::new(values.with_timezone("UTC"))
}

/// A column of text; `None` becomes null.
#[must_use]
pub fn string_column<S: AsRef<str>>(values: impl IntoIterator<Item = Option<S>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

/// Text with few distinct values, dictionary-encoded.
#[must_use]
pub fn dictionary_column<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>())
}

/// Lists of text.
#[must_use]
pub fn list_column<S: AsRef<str>>(rows: impl IntoIterator<Item = Vec<S>>) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in rows {
        for item in row {
            builder.values().append_value(item);
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

/// Puts columns together; every column is nullable and named in order.
///
/// # Errors
/// When the columns differ in length.
pub fn table(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch, LakeError> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|e| LakeError::format(std::path::Path::new("table"), e))
}
