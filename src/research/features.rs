//! Features and states as monthly lake partitions, written as the run goes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::array::ArrayRef;
use rayon::prelude::*;

use super::ResearchError;
use super::request::Request;
use backtestd_core::market::{BarIndex, Symbol};
use backtestd_core::outcomes::{carry_label, vol_label};
use backtestd_core::pipeline::Facts;
use backtestd_store::lake::{
    LakeFile, Month as LakeMonth, SCHEMA_KEY, dictionary_column, f64_column, list_files, read_metadata,
    restamp_parquet, state_column, table, ts_column, verify_parquet, write_month,
};

/// Under this name a file's metadata says which specs its rows were made under.
const SPEC_HASH: &str = "ontology_spec_hash";
/// Schema name in the files' metadata.
const SCHEMA: &str = "backtestd.features_v1/1";

/// Collects rows of the open month per symbol and writes each month once it is full.
#[derive(Debug)]
pub(super) struct FeatureLake {
    root: PathBuf,
    spec_hash: String,
    features: Vec<String>,
    states: Vec<String>,
    /// First row that is kept: that of the month in which the run begins.
    first: BarIndex,
    symbols: Vec<(Symbol, bool)>,
    months: Vec<Month>,
    lake: PathBuf,
    files: Vec<LakeFile>,
}

#[derive(Debug, Clone)]
struct Month {
    key: (i16, i8),
    first: BarIndex,
    columns: Vec<Vec<f64>>,
}

impl FeatureLake {
    /// Nothing written yet.
    #[must_use]
    pub(super) fn new(request: &Request, symbols: &[Symbol]) -> Self {
        let graph = &request.spec.graph;
        Self {
            root: request.data_root.join("lake/features/perp"),
            spec_hash: request.spec.hash.clone(),
            features: graph.features.iter().map(|f| f.name.clone()).collect(),
            states: graph.states.iter().map(|f| f.name.clone()).collect(),
            first: LakeMonth::of(request.first.open()).bars().0,
            lake: request.data_root.join("lake"),
            files: Vec::new(),
            symbols: symbols.iter().map(|s| (s.clone(), request.symbols.contains(s))).collect(),
            months: Vec::new(),
        }
    }

    /// Takes the rows of a push; rows before the first month of the requested range are left out.
    ///
    /// # Errors
    /// When a finished month cannot be written.
    pub(super) fn add(&mut self, facts: &Facts) -> Result<(), ResearchError> {
        let month_of = |row: usize| (facts.first + row as i64).open().year_month();
        let mut row = (self.first - facts.first).clamp(0, facts.rows as i64) as usize;
        while row < facts.rows {
            let key = month_of(row);
            if self.months.first().is_none_or(|m| m.key != key) {
                self.flush()?;
                let columns = vec![Vec::new(); self.features.len() + self.states.len()];
                self.months =
                    vec![Month { key, first: facts.first + row as i64, columns }; self.symbols.len()];
            }
            let end = (row..facts.rows).find(|r| month_of(*r) != key).unwrap_or(facts.rows);
            for (month, out) in self.months.iter_mut().zip(&facts.output.symbols) {
                for (kept, column) in
                    month.columns.iter_mut().zip(out.features.iter().chain(out.states.iter()))
                {
                    kept.extend_from_slice(&column[row..end]);
                }
            }
            row = end;
        }
        Ok(())
    }

    /// Writes the open month. Returns every file of the run.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn finish(mut self) -> Result<Vec<LakeFile>, ResearchError> {
        self.flush()?;
        list_files(&self.lake, &self.files)?;
        Ok(self.files)
    }

    fn flush(&mut self) -> Result<(), ResearchError> {
        let months = std::mem::take(&mut self.months);
        let work: Vec<_> = months.into_iter().zip(&self.symbols).filter(|(_, (_, kept))| *kept).collect();
        let written: Vec<LakeFile> = work
            .into_par_iter()
            .map(|(month, (symbol, _))| self.write(symbol, &month))
            .collect::<Result<_, _>>()?;
        self.files.extend(written);
        Ok(())
    }

    fn write(&self, symbol: &Symbol, month: &Month) -> Result<LakeFile, ResearchError> {
        let rows = month.columns.first().map_or(0, Vec::len);
        let bars = || (0..rows as i64).map(|r| month.first + r);
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("timestamp".to_owned(), ts_column(bars().map(BarIndex::open))),
            ("available_ts".to_owned(), ts_column(bars().map(BarIndex::close))),
            ("symbol".to_owned(), dictionary_column((0..rows).map(|_| Some(symbol.as_str())))),
        ];
        let (features, states) = month.columns.split_at(self.features.len());
        for (name, values) in self.features.iter().zip(features) {
            columns.push((name.clone(), f64_column(values.iter().copied())));
            if let Some(label) = label_of(name) {
                let labels: Vec<Option<&str>> = values.iter().map(|v| label(code(*v, i8::MIN))).collect();
                columns.push((format!("{name}_label"), dictionary_column(labels)));
            }
        }
        for (name, values) in self.states.iter().zip(states) {
            columns.push((name.clone(), state_column(values.iter().map(|v| code(*v, -1)))));
        }
        let batch = table(columns)?;
        let (year, number) = month.key;
        let path = self
            .root
            .join(symbol.as_str())
            .join(format!("5m/features_v1/year={year:04}/month={number:02}/part.parquet"));
        let metadata = BTreeMap::from([
            (SCHEMA_KEY.to_owned(), SCHEMA.to_owned()),
            (SPEC_HASH.to_owned(), self.spec_hash.clone()),
        ]);
        Ok(write_month(path, &batch, &metadata)?)
    }
}

/// Leaves the files of an earlier pass with the same rows as they are, but for the name of the specs, which
/// becomes that of the request. `Some`: the first one that holds other rows by now. `are_intact` says that
/// nobody has written to them since.
pub(super) fn keep(
    request: &Request,
    files: &[LakeFile],
    are_intact: bool,
) -> Result<Option<PathBuf>, ResearchError> {
    let holds = |file: &LakeFile| {
        are_intact || verify_parquet(&file.path).is_ok_and(|content| content == file.content_sha256)
    };
    if let Some(other) = files.par_iter().find_first(|file| !holds(file)) {
        return Ok(Some(other.path.clone()));
    }
    let stamp = |file: &LakeFile| -> Result<(), ResearchError> {
        if read_metadata(&file.path)?.get(SPEC_HASH) != Some(&request.spec.hash) {
            restamp_parquet(&file.path, SPEC_HASH, &request.spec.hash)?;
        }
        Ok(())
    };
    files.par_iter().try_for_each(stamp)?;
    list_files(&request.data_root.join("lake"), files)?;
    Ok(None)
}

fn label_of(feature: &str) -> Option<fn(i8) -> Option<&'static str>> {
    match feature {
        "vol_regime" => Some(vol_label),
        "carry_state" => Some(carry_label),
        _ => None,
    }
}

fn code(value: f64, unknown: i8) -> i8 {
    if value.is_nan() { unknown } else { value as i8 }
}
