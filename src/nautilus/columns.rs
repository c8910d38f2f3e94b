//! Columns as NautilusTrader stores them.

#[expect(clippy::disallowed_types, reason = "Arrow's schema metadata is one; it is written sorted")]
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};

use super::catalog::ExportError;
use super::fixed::to_fixed;
use backtestd_core::market::{Symbol, Ts};

const WIDTH: i32 = 16;

/// Columns of a table, under their names.
pub(super) struct Columns<'a> {
    symbol: &'a Symbol,
    series: String,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl<'a> Columns<'a> {
    pub(super) const fn of(symbol: &'a Symbol, series: String) -> Self {
        Self { symbol, series, fields: Vec::new(), arrays: Vec::new() }
    }

    /// Numbers with a fixed number of decimals. `at` are the times, for messages.
    pub(super) fn fixed(
        &mut self,
        name: &str,
        digits: u32,
        at: &[i64],
        values: impl Iterator<Item = f64>,
    ) -> Result<(), ExportError> {
        let bytes: Vec<[u8; 16]> = values
            .zip(at)
            .map(|(value, ns)| {
                to_fixed(value, digits).map(i128::to_le_bytes).map_err(|source| ExportError::Number {
                    symbol: self.symbol.clone(),
                    at: Ts(ns.div_euclid(1_000_000)),
                    source,
                })
            })
            .collect::<Result<_, _>>()?;
        let array =
            FixedSizeBinaryArray::try_from_iter(bytes.into_iter()).map_err(|source| self.table(source))?;
        self.push(Field::new(name, DataType::FixedSizeBinary(WIDTH), false), Arc::new(array));
        Ok(())
    }

    pub(super) fn push(&mut self, field: Field, array: ArrayRef) {
        self.fields.push(field);
        self.arrays.push(array);
    }

    /// `ts_event` and `ts_init`, both the same, and the table.
    pub(super) fn at(
        mut self,
        times: &[i64],
        metadata: &[(&str, String)],
    ) -> Result<RecordBatch, ExportError> {
        for name in ["ts_event", "ts_init"] {
            let times = UInt64Array::from_iter_values(times.iter().map(|ns| ns.unsigned_abs()));
            self.push(Field::new(name, DataType::UInt64, false), Arc::new(times));
        }
        let metadata: Metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let schema = Schema::new_with_metadata(std::mem::take(&mut self.fields), metadata);
        let arrays = std::mem::take(&mut self.arrays);
        RecordBatch::try_new(Arc::new(schema), arrays).map_err(|source| self.table(source))
    }

    fn table(&self, source: arrow::error::ArrowError) -> ExportError {
        ExportError::Table { series: self.series.clone(), source }
    }
}

#[expect(clippy::disallowed_types, reason = "Arrow's schema metadata is one; it is written sorted")]
type Metadata = HashMap<String, String>;
