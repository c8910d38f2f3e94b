//! Whoever writes a month writes it whole: rows of the file that is there stay where the new rows have none.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow::compute::{cast, concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Schema, TimestampNanosecondType};

use super::{LakeError, ParquetTable, dictionary_column};

const TIMESTAMP: &str = "timestamp";

/// The rows of `new`, and those of `old` at times that `new` does not have, in order of time. Columns are
/// those of `new`.
pub(super) fn with_rows_of(
    path: &Path,
    old: &ParquetTable,
    new: &RecordBatch,
) -> Result<RecordBatch, LakeError> {
    let fail = |e: &dyn std::fmt::Display| LakeError::format(path, e);
    let old = concat_batches(&old.schema, &old.batches).map_err(|e| fail(&e))?;
    let (Some(before), Some(times)) = (times(&old), times(new)) else { return Ok(new.clone()) };
    let known: BTreeSet<i64> = times.iter().copied().collect();
    let kept: Vec<bool> = before.iter().map(|time| !known.contains(time)).collect();
    if !kept.contains(&true) {
        return Ok(new.clone());
    }
    let old = filter_record_batch(&old, &BooleanArray::from(kept)).map_err(|e| fail(&e))?;
    // Dictionaries are joined as the text that they stand for.
    let plain = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, value) => (**value).clone(),
        other => other.clone(),
    };
    let fields: Vec<_> = new
        .schema()
        .fields()
        .iter()
        .map(|f| Arc::new(f.as_ref().clone().with_data_type(plain(f.data_type())).with_nullable(true)))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let as_plain = |batch: &RecordBatch| -> Result<RecordBatch, LakeError> {
        let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(column) => cast(column, field.data_type()).map_err(|e| fail(&e)),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|e| fail(&e))
    };
    let both = concat_batches(&schema, &[as_plain(&old)?, as_plain(new)?]).map_err(|e| fail(&e))?;
    let mut order: Vec<(i64, u64)> = self::times(&both).unwrap_or_default().into_iter().zip(0..).collect();
    order.sort_unstable();
    let order: UInt64Array = order.into_iter().map(|(_, row)| Some(row)).collect();
    let sorted = take_record_batch(&both, &order).map_err(|e| fail(&e))?;
    let wanted = new.schema();
    let columns = wanted.fields().iter().zip(sorted.columns()).map(|(field, column)| {
        match (field.data_type(), column.as_any().downcast_ref::<StringArray>()) {
            (DataType::Dictionary(..), Some(text)) => dictionary_column(text.iter()),
            _ => Arc::clone(column),
        }
    });
    RecordBatch::try_new(Arc::clone(&wanted), columns.collect()).map_err(|e| fail(&e))
}

/// The rows of all batches in order of their `timestamp`, those of one time in the order in which they are.
///
/// # Errors
/// When the batches are not of one table, the one for `path`.
pub fn in_order_of_time(path: &Path, batches: &[RecordBatch]) -> Result<Option<RecordBatch>, LakeError> {
    let fail = |e: &dyn std::fmt::Display| LakeError::format(path, e);
    let Some(first) = batches.first() else { return Ok(None) };
    let rows = concat_batches(&first.schema(), batches).map_err(|e| fail(&e))?;
    let Some(times) = times(&rows).filter(|times| !times.is_sorted()) else { return Ok(Some(rows)) };
    let mut order: Vec<(i64, u64)> = times.into_iter().zip(0..).collect();
    order.sort_unstable();
    let order: UInt64Array = order.into_iter().map(|(_, row)| Some(row)).collect();
    take_record_batch(&rows, &order).map(Some).map_err(|e| fail(&e))
}

fn times(batch: &RecordBatch) -> Option<Vec<i64>> {
    let column = batch.column_by_name(TIMESTAMP)?;
    let times = column.as_primitive_opt::<TimestampNanosecondType>()?;
    (times.null_count() == 0).then(|| times.values().to_vec())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::lake::{content_sha256, f64_column, table, ts_column};
    use backtestd_core::market::Ts;

    fn rows(range: std::ops::Range<i64>, value: f64, extra: bool) -> RecordBatch {
        let mut columns = vec![
            (TIMESTAMP.to_owned(), ts_column(range.clone().map(|i| Ts(i * 300_000)))),
            ("source".to_owned(), dictionary_column(range.clone().map(|i| (i % 2 == 0).then_some("rest")))),
            ("x".to_owned(), f64_column(range.clone().map(|i| if i == 3 { f64::NAN } else { value }))),
        ];
        if extra {
            columns.push(("y".to_owned(), f64_column(range.map(|i| i as f64))));
        }
        table(columns).unwrap()
    }

    fn joined(old: RecordBatch, new: &RecordBatch) -> RecordBatch {
        let old = ParquetTable { schema: old.schema(), batches: vec![old], metadata: BTreeMap::new() };
        with_rows_of(Path::new("x"), &old, new).unwrap()
    }

    #[test]
    fn a_narrower_table_takes_the_other_rows_over_and_a_wider_one_nothing() {
        let (wide, narrow) = (rows(0..9, 1.0, true), rows(4..6, 1.0, true));
        let hash = |batch: &RecordBatch| content_sha256(std::slice::from_ref(batch)).unwrap();
        assert_eq!(hash(&joined(wide.clone(), &narrow)), hash(&wide));
        assert_eq!(hash(&joined(narrow, &wide)), hash(&wide));
    }

    #[test]
    fn new_rows_stand_before_old_ones_and_columns_that_were_not_there_are_unknown() {
        let out = joined(rows(0..4, 1.0, false), &rows(2..6, 2.0, true));
        let column = |name: &str| -> Vec<Option<f64>> {
            out.column_by_name(name).unwrap().as_primitive::<arrow::datatypes::Float64Type>().iter().collect()
        };
        assert_eq!(column("x"), [Some(1.0), Some(1.0), Some(2.0), None, Some(2.0), Some(2.0)]);
        assert_eq!(column("y")[..3], [None, None, Some(2.0)]);
    }
}
