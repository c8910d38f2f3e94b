//! Reading an outcome table from parquet: ours, or anybody's (one row per event and horizon).
//!
//! Required: `event_type`, `canonical_family`, `symbol`, `timestamp`, `direction`, `horizon`, `forward_return`. Optional:
//! `cost_bps_round_trip`, `sigma_bar`, `entry_lag_bars`, `exit_ts`, `state.<name>` (true where the state held), and the
//! labels `vol_regime` and `carry_state`. Text may be plain or dictionary-coded, numbers of any width, timestamps of any
//! unit (integers are taken for s, ms, us or ns by their size), booleans may be 0/1.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType};

use super::{LakeError, read_parquet};
use backtestd_core::discovery::{
    Condition, OutcomeRow, OutcomeTable, TableBuilder, TableError, default_exit, label_condition,
    state_condition,
};
use backtestd_core::market::{BAR_MS, Symbol, Ts, parse_time};
use backtestd_core::outcomes::Horizon;

/// Label columns that condition outcomes beside `state.<name>`.
const LABELS: [&str; 2] = ["vol_regime", "carry_state"];

/// What stands in for absent optional columns.
pub struct OutcomeDefaults<'a> {
    /// Round-trip cost of a symbol, bps.
    pub cost_bps: &'a dyn Fn(&Symbol) -> f64,
    /// Bars from the deciding bar to the entry.
    pub entry_lag_bars: u32,
}

/// An outcome table that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeFileError {
    /// Not a readable parquet file.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A required column is absent.
    #[error("{}: column '{column}' is missing; it has {present}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// What is there.
        present: String,
    },
    /// A column of the wrong type.
    #[error("{}: column '{column}' is {found}, but must hold {wanted}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// What would be accepted.
        wanted: &'static str,
    },
    /// A required value is null.
    #[error("{}: row {row}, column {column}: the value is null", path.display())]
    Null {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: usize,
        /// The column.
        column: &'static str,
    },
    /// A value that cannot be used.
    #[error("{}: row {row}, column {column}: '{value}' is not {wanted}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: usize,
        /// The column.
        column: String,
        /// What was given.
        value: String,
        /// What would be accepted.
        wanted: &'static str,
    },
    /// A row that contradicts the table.
    #[error("{}: {source}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TableError,
    },
}

/// Reads an outcome table.
///
/// # Errors
/// Names the file, the column and the row.
pub fn read_outcome_table(
    path: &Path,
    defaults: &OutcomeDefaults<'_>,
) -> Result<OutcomeTable, OutcomeFileError> {
    let file = read_parquet(path)?;
    let names: Vec<&str> = file.schema.fields().iter().map(|f| f.name().as_str()).collect();
    let has = |column: &str| names.contains(&column);
    for column in
        ["event_type", "canonical_family", "symbol", "timestamp", "direction", "horizon", "forward_return"]
    {
        if !has(column) {
            return Err(OutcomeFileError::Missing {
                path: path.to_owned(),
                column,
                present: names.join(", "),
            });
        }
    }
    let batches: Vec<Columns<'_>> =
        file.batches.iter().map(|b| Columns::new(path, b)).collect::<Result<_, _>>()?;
    let conditions = ConditionCodes::collect(&batches);
    let mut builder = TableBuilder::new(conditions.list, has("sigma_bar"));
    let mut first_row = 0;
    let mut active = Vec::new();
    for columns in &batches {
        for row in 0..columns.rows {
            let at = Place { path, row, first_row };
            conditions.codes.active(columns, row, &mut active);
            let exit = columns.exit_of(&at, defaults)?;
            let entry = columns.row(&at, exit, defaults)?;
            builder
                .push(&entry, &active)
                .map_err(|source| OutcomeFileError::Row { path: path.to_owned(), source })?;
        }
        first_row += columns.rows;
    }
    Ok(builder.finish())
}

struct Place<'a> {
    path: &'a Path,
    /// Row in the batch.
    row: usize,
    /// Rows before the batch.
    first_row: usize,
}

impl Place<'_> {
    fn null(&self, column: &'static str) -> OutcomeFileError {
        OutcomeFileError::Null { path: self.path.to_owned(), row: self.first_row + self.row, column }
    }

    fn bad(&self, column: &str, value: String, wanted: &'static str) -> OutcomeFileError {
        OutcomeFileError::Value {
            path: self.path.to_owned(),
            row: self.first_row + self.row,
            column: column.to_owned(),
            value,
            wanted,
        }
    }
}

/// One batch's columns in the types that rows need.
struct Columns<'a> {
    rows: usize,
    event_type: ArrayRef,
    family: ArrayRef,
    symbol: ArrayRef,
    horizon: ArrayRef,
    timestamp: Vec<Option<i64>>,
    direction: ArrayRef,
    forward_return: ArrayRef,
    cost: Option<ArrayRef>,
    sigma: Option<ArrayRef>,
    lag: Option<ArrayRef>,
    exit: Option<Vec<Option<i64>>>,
    /// Boolean states by name.
    states: Vec<(&'a str, ArrayRef)>,
    /// Label columns by name.
    labels: Vec<(&'a str, ArrayRef)>,
}

impl<'a> Columns<'a> {
    fn new(path: &Path, batch: &'a RecordBatch) -> Result<Self, OutcomeFileError> {
        let column = |name: &str| batch.column_by_name(name);
        let required = |name: &'static str| {
            column(name).ok_or_else(|| OutcomeFileError::Missing {
                path: path.to_owned(),
                column: name,
                present: String::new(),
            })
        };
        let text = |name: &'static str| as_text(path, name, required(name)?);
        let optional = |name: &'static str| column(name).map(|c| as_number(path, name, c)).transpose();
        let mut states = Vec::new();
        let mut labels = Vec::new();
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let name = field.name().as_str();
            let state = name.strip_prefix("state.");
            let is_label = LABELS.contains(&name);
            match state.or(is_label.then_some(name)) {
                Some(short) if is_text(array.data_type()) => {
                    labels.push((short, as_text(path, name, array)?));
                }
                Some(short) if !is_label => states.push((short, as_number(path, name, array)?)),
                _ => {}
            }
        }
        Ok(Self {
            rows: batch.num_rows(),
            event_type: text("event_type")?,
            family: text("canonical_family")?,
            symbol: text("symbol")?,
            horizon: text("horizon")?,
            timestamp: as_instants(path, "timestamp", required("timestamp")?)?,
            direction: as_number(path, "direction", required("direction")?)?,
            forward_return: as_number(path, "forward_return", required("forward_return")?)?,
            cost: optional("cost_bps_round_trip")?,
            sigma: optional("sigma_bar")?,
            lag: optional("entry_lag_bars")?,
            exit: column("exit_ts").map(|c| as_instants(path, "exit_ts", c)).transpose()?,
            states,
            labels,
        })
    }

    fn row(
        &self,
        at: &Place<'_>,
        exit: Ts,
        defaults: &OutcomeDefaults<'_>,
    ) -> Result<OutcomeRow<'_>, OutcomeFileError> {
        let symbol_text = text_at(&self.symbol, at.row).ok_or_else(|| at.null("symbol"))?;
        let direction = number_at(&self.direction, at.row);
        if direction.is_nan() {
            return Err(at.null("direction"));
        }
        if direction != 0.0 && direction.abs() != 1.0 {
            return Err(at.bad("direction", direction.to_string(), "-1, 0 or 1"));
        }
        let cost_bps = match &self.cost {
            Some(cost) => number_at(cost, at.row),
            None => Symbol::new(symbol_text).map_or(f64::NAN, |s| (defaults.cost_bps)(&s)),
        };
        Ok(OutcomeRow {
            event_type: text_at(&self.event_type, at.row).ok_or_else(|| at.null("event_type"))?,
            family: text_at(&self.family, at.row).ok_or_else(|| at.null("canonical_family"))?,
            symbol: symbol_text,
            timestamp: self.timestamp_of(at)?,
            exit,
            direction: if direction > 0.0 { 1 } else { -i8::from(direction < 0.0) },
            horizon: text_at(&self.horizon, at.row).ok_or_else(|| at.null("horizon"))?,
            forward_return: number_at(&self.forward_return, at.row),
            cost_bps,
            sigma_bar: self.sigma.as_ref().map_or(f64::NAN, |s| number_at(s, at.row)),
        })
    }

    fn timestamp_of(&self, at: &Place<'_>) -> Result<Ts, OutcomeFileError> {
        self.timestamp[at.row].map(Ts).ok_or_else(|| at.null("timestamp"))
    }

    /// The instant of the exit. An `exit_ts` of exactly `timestamp + lag + horizon` names the exit bar by its open; any
    /// other is taken as the instant itself (our own tables: the close of the exit bar).
    fn exit_of(&self, at: &Place<'_>, defaults: &OutcomeDefaults<'_>) -> Result<Ts, OutcomeFileError> {
        let timestamp = self.timestamp_of(at)?;
        let label = text_at(&self.horizon, at.row).ok_or_else(|| at.null("horizon"))?;
        let bars = Horizon::parse(label)
            .ok_or_else(|| {
                at.bad("horizon", label.to_owned(), "a multiple of 5 minutes such as 5m, 60m, 4h, 1d")
            })?
            .bars;
        let lag = match &self.lag {
            Some(lags) => whole_at(lags, at.row).unwrap_or(defaults.entry_lag_bars),
            None => defaults.entry_lag_bars,
        };
        let close = default_exit(timestamp, lag, bars);
        Ok(match self.exit.as_ref().and_then(|e| e[at.row]) {
            Some(given) if given + BAR_MS != close.0 => Ts(given),
            _ => close,
        })
    }
}

/// The conditions of a file and the bits of its label values.
struct ConditionCodes {
    list: Vec<Condition>,
    codes: Codes,
}

#[derive(Default)]
struct Codes {
    states: BTreeMap<String, usize>,
    labels: BTreeMap<(String, String), usize>,
}

impl ConditionCodes {
    fn collect(batches: &[Columns<'_>]) -> Self {
        let mut codes = Codes::default();
        for columns in batches {
            for (name, _) in &columns.states {
                codes.states.insert((*name).to_owned(), 0);
            }
            for (name, values) in &columns.labels {
                for value in
                    (0..columns.rows).filter_map(|row| text_at(values, row)).filter(|v| !v.is_empty())
                {
                    codes.labels.entry(((*name).to_owned(), value.to_owned())).or_insert(0);
                }
            }
        }
        let mut list = Vec::new();
        for ((column, value), code) in &mut codes.labels {
            *code = list.len();
            list.push(label_condition(column, value));
        }
        for (name, code) in &mut codes.states {
            *code = list.len();
            list.push(state_condition(&name.as_str().into()));
        }
        Self { list, codes }
    }
}

impl Codes {
    fn active(&self, columns: &Columns<'_>, row: usize, out: &mut Vec<usize>) {
        out.clear();
        for (name, values) in &columns.labels {
            if let Some(value) = text_at(values, row) {
                out.extend(self.labels.get(&((*name).to_owned(), value.to_owned())));
            }
        }
        let held = columns.states.iter().filter(|(_, values)| number_at(values, row) > 0.0);
        out.extend(held.filter_map(|(name, _)| self.states.get(*name)));
    }
}

const fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..))
}

fn as_text(path: &Path, column: &str, array: &ArrayRef) -> Result<ArrayRef, OutcomeFileError> {
    if !is_text(array.data_type()) {
        return Err(wrong_type(path, column, array, "text"));
    }
    cast(array, &DataType::Utf8).map_err(|_| wrong_type(path, column, array, "text"))
}

fn as_number(path: &Path, column: &str, array: &ArrayRef) -> Result<ArrayRef, OutcomeFileError> {
    let fits =
        array.data_type().is_numeric() || matches!(array.data_type(), DataType::Boolean | DataType::Null);
    if !fits {
        return Err(wrong_type(path, column, array, "numbers"));
    }
    cast(array, &DataType::Float64).map_err(|_| wrong_type(path, column, array, "numbers"))
}

/// Milliseconds since the epoch.
fn as_instants(path: &Path, column: &str, array: &ArrayRef) -> Result<Vec<Option<i64>>, OutcomeFileError> {
    const WANTED: &str = "timestamps, dates, integers since the epoch, or RFC 3339 text";
    let fail = || wrong_type(path, column, array, WANTED);
    match array.data_type() {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            let cast = cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None)).map_err(|_| fail())?;
            Ok(cast.as_primitive::<TimestampMillisecondType>().iter().collect())
        }
        t if t.is_integer() => {
            let cast = cast(array, &DataType::Int64).map_err(|_| fail())?;
            Ok(cast.as_primitive::<Int64Type>().iter().map(|v| v.map(epoch_ms)).collect())
        }
        t if is_text(t) => {
            let text = as_text(path, column, array)?;
            (0..text.len())
                .map(|row| {
                    text_at(&text, row).map(|v| parse_time(v).map(|t| t.0).map_err(|_| fail())).transpose()
                })
                .collect()
        }
        _ => Err(fail()),
    }
}

/// An integer time by its size: seconds, milliseconds, microseconds or nanoseconds (unambiguous from 1973 to 5138).
const fn epoch_ms(value: i64) -> i64 {
    match value.unsigned_abs() {
        0..100_000_000_000 => value * 1000,
        100_000_000_000..100_000_000_000_000 => value,
        100_000_000_000_000..100_000_000_000_000_000 => value.div_euclid(1000),
        _ => value.div_euclid(1_000_000),
    }
}

fn wrong_type(path: &Path, column: &str, array: &ArrayRef, wanted: &'static str) -> OutcomeFileError {
    OutcomeFileError::Type {
        path: path.to_owned(),
        column: column.to_owned(),
        found: array.data_type().to_string(),
        wanted,
    }
}

/// Null and NaN are NaN.
fn number_at(array: &ArrayRef, row: usize) -> f64 {
    let array = array.as_primitive::<Float64Type>();
    if array.is_null(row) { f64::NAN } else { array.value(row) }
}

fn whole_at(array: &ArrayRef, row: usize) -> Option<u32> {
    let value = number_at(array, row);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    (0.0..=1e6).contains(&value).then_some(value as u32)
}

fn text_at(array: &ArrayRef, row: usize) -> Option<&str> {
    let array = array.as_string::<i32>();
    array.is_valid(row).then(|| array.value(row))
}
