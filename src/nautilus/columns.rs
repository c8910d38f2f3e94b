//! Columns as NautilusTrader stores them.

#[expect(clippy::disallowed_types, reason = "Arrow's schema metadata is one; it is written sorted")]
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, FixedSizeBinaryArray, RecordBatch, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Schema};

use super::catalog::ExportError;
use super::fixed::to_fixed;
use super::layout::Layout;
use backtestd_core::market::{Symbol, Ts};

/// Columns of a table, under their names.
pub(super) struct Columns<'a> {
    symbol: &'a Symbol,
    layout: Layout,
    series: String,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl<'a> Columns<'a> {
    pub(super) const fn of(symbol: &'a Symbol, layout: Layout, series: String) -> Self {
        Self { symbol, layout, series, fields: Vec::new(), arrays: Vec::new() }
    }

    /// Numbers with a fixed number of decimals. `at` are the times, for messages.
    pub(super) fn fixed(
        &mut self,
        name: &str,
        digits: u32,
        at: &[i64],
        values: impl Iterator<Item = f64>,
    ) -> Result<(), ExportError> {
        let numbers: Vec<i128> = values
            .zip(at)
            .map(|(value, ns)| {
                to_fixed(value, digits).map_err(|source| ExportError::Number {
                    symbol: self.symbol.clone(),
                    at: Ts(ns.div_euclid(1_000_000)),
                    source,
                })
            })
            .collect::<Result<_, _>>()?;
        let array: ArrayRef = match self.layout {
            Layout::V1 => {
                let bytes = numbers.into_iter().map(i128::to_le_bytes);
                Arc::new(FixedSizeBinaryArray::try_from_iter(bytes).map_err(|source| self.table(source))?)
            }
            Layout::V2 => {
                Arc::new(Decimal128Array::from_iter_values(numbers).with_data_type(self.layout.number()))
            }
        };
        self.push(Field::new(name, self.layout.number(), false), array);
        Ok(())
    }

    /// Instants, ns; `None` where there is none.
    pub(super) fn times(&mut self, name: &str, is_nullable: bool, times: impl Iterator<Item = Option<i64>>) {
        let array: ArrayRef = match self.layout {
            Layout::V1 => Arc::new(UInt64Array::from_iter(times.map(|at| at.map(i64::unsigned_abs)))),
            Layout::V2 => Arc::new(TimestampNanosecondArray::from_iter(times).with_timezone("UTC")),
        };
        self.push(Field::new(name, self.layout.time(), is_nullable), array);
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
            self.times(name, false, times.iter().copied().map(Some));
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
