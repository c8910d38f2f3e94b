//! Reading an outcome table from parquet: ours, or anybody's (one row per event and horizon).
//!
//! Required: `event_type`, `canonical_family`, `symbol`, `timestamp`, `direction`, `horizon`,
//! `forward_return`. Optional: `cost_bps_round_trip`, `sigma_event` (or `sigma_bar`), `entry_lag_bars`,
//! `exit_ts`, `midnight_return` (with it windows over midnight are tested), `funding_paid` (taken off the
//! return where it is known), `state.<name>` (true where the state held), and the labels `vol_regime` and
//! `carry_state`. Text may be plain or dictionary-coded, numbers of any width, timestamps of any unit
//! (integers are taken for s, ms, us or ns by their size; times without an offset are UTC), booleans may be
//! 0/1.
//!
//! Names are trimmed, and names that differ only in case are one: the one that sorts first. An event and
//! holding period is one row. What no market can say (an exit before the entry, a return below -1, a negative
//! cost) is refused with its row; what nobody can score (an infinite or unknown return, cost or sigma) is
//! read, dropped by discovery and counted.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType};

use super::outcome_error::OutcomeFileError;
use super::outcome_states::StateColumns;
use super::read_parquet;
use backtestd_core::discovery::{
    Collapsed, Known, OutcomeRow, OutcomeTable, Repeats, TableBuilder, default_exit, less_funding,
};
use backtestd_core::market::{BAR_MS, Symbol, Ts, parse_time};
use backtestd_core::outcomes::Horizon;

/// What stands in for absent optional columns.
pub struct OutcomeDefaults<'a> {
    /// Round-trip cost of a symbol, bps.
    pub cost_bps: &'a dyn Fn(&Symbol) -> f64,
    /// Bars from the deciding bar to the entry.
    pub entry_lag_bars: u32,
    /// What to do with rows that repeat another.
    pub repeats: Repeats,
}

/// A table that was read, and what was noticed.
#[derive(Debug)]
pub struct OutcomeFile {
    /// The outcomes that were read.
    pub table: OutcomeTable,
    /// Rows that repeated another.
    pub collapsed: Collapsed,
    /// How each state column was read, in words.
    pub states: Vec<String>,
}

/// Reads an outcome table.
///
/// # Errors
/// Names the file, the column and the row.
pub fn read_outcome_table(
    path: &Path,
    defaults: &OutcomeDefaults<'_>,
) -> Result<OutcomeFile, OutcomeFileError> {
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
    let mut first_row = 0;
    let read = |batch: &RecordBatch| {
        let columns = Columns::new(path, batch, first_row);
        first_row += batch.num_rows();
        columns
    };
    let batches: Vec<Columns> = file.batches.iter().map(read).collect::<Result<_, _>>()?;
    let states = StateColumns::collect(path, &file.batches)?;
    let events = Names::collect(&batches, |c| &c.event_type);
    let families = Names::collect(&batches, |c| &c.family);
    let horizons = Names::collect(&batches, |c| &c.horizon).lower();
    let known = Known { sigma: has("sigma_event") || has("sigma_bar"), mark: has("midnight_return") };
    let mut builder = TableBuilder::new(states.conditions(), known);
    let mut active = Vec::new();
    for (number, columns) in batches.iter().enumerate() {
        for row in 0..columns.rows {
            let at = Place { path, row, first_row: columns.first_row };
            states.active(&at, number, &mut active)?;
            let mut entry = columns.row(&at, &horizons, defaults)?;
            (entry.event_type, entry.family) = (events.one(entry.event_type), families.one(entry.family));
            builder
                .push(&entry, &active)
                .map_err(|why| OutcomeFileError::Row { path: path.to_owned(), why })?;
        }
    }
    let (table, collapsed) = builder
        .finish_unique(defaults.repeats)
        .map_err(|why| OutcomeFileError::Row { path: path.to_owned(), why })?;
    Ok(OutcomeFile { table, collapsed, states: states.words() })
}

/// Names that differ only in blank space around them or in case, as one.
struct Names(BTreeMap<String, String>);

impl Names {
    fn collect(batches: &[Columns], column: impl Fn(&Columns) -> &ArrayRef) -> Self {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for columns in batches {
            for name in (0..columns.rows).filter_map(|row| text_at(column(columns), row)).map(str::trim) {
                let one = names.entry(name.to_uppercase()).or_insert_with(|| name.to_owned());
                if name < one.as_str() {
                    name.clone_into(one);
                }
            }
        }
        Self(names)
    }

    /// In small letters.
    fn lower(mut self) -> Self {
        self.0.values_mut().for_each(|name| name.make_ascii_lowercase());
        self
    }

    fn one<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(&name.trim().to_uppercase()).map_or(name, String::as_str)
    }
}

/// A row of a file.
pub(super) struct Place<'a> {
    path: &'a Path,
    /// Row in the batch.
    pub(super) row: usize,
    /// Rows before the batch.
    first_row: usize,
}

impl Place<'_> {
    fn null(&self, column: &'static str) -> OutcomeFileError {
        OutcomeFileError::Null { path: self.path.to_owned(), row: self.first_row + self.row, column }
    }

    pub(super) fn bad(&self, column: &str, value: String, wanted: &'static str) -> OutcomeFileError {
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
struct Columns {
    rows: usize,
    /// Rows before the batch.
    first_row: usize,
    event_type: ArrayRef,
    family: ArrayRef,
    symbol: ArrayRef,
    horizon: ArrayRef,
    timestamp: Vec<Option<i64>>,
    direction: ArrayRef,
    forward_return: ArrayRef,
    mark: Option<ArrayRef>,
    funding: Option<ArrayRef>,
    cost: Option<ArrayRef>,
    sigma: Option<ArrayRef>,
    lag: Option<ArrayRef>,
    exit: Option<Vec<Option<i64>>>,
}

impl Columns {
    fn new(path: &Path, batch: &RecordBatch, first_row: usize) -> Result<Self, OutcomeFileError> {
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
        Ok(Self {
            rows: batch.num_rows(),
            first_row,
            event_type: text("event_type")?,
            family: text("canonical_family")?,
            symbol: text("symbol")?,
            horizon: text("horizon")?,
            timestamp: as_instants(path, "timestamp", required("timestamp")?, first_row)?,
            direction: as_plain_number(path, "direction", required("direction")?)?,
            forward_return: as_number(path, "forward_return", required("forward_return")?)?,
            mark: optional("midnight_return")?,
            funding: optional("funding_paid")?,
            cost: optional("cost_bps_round_trip")?,
            sigma: optional(if column("sigma_event").is_some() { "sigma_event" } else { "sigma_bar" })?,
            lag: optional("entry_lag_bars")?,
            exit: column("exit_ts").map(|c| as_instants(path, "exit_ts", c, first_row)).transpose()?,
        })
    }

    fn row<'a>(
        &'a self,
        at: &Place<'_>,
        horizons: &'a Names,
        defaults: &OutcomeDefaults<'_>,
    ) -> Result<OutcomeRow<'a>, OutcomeFileError> {
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
        if cost_bps < 0.0 {
            return Err(at.bad("cost_bps_round_trip", cost_bps.to_string(), "a cost in bps, 0 or more"));
        }
        let forward_return = number_at(&self.forward_return, at.row);
        if forward_return < -1.0 && forward_return.is_finite() {
            return Err(at.bad(
                "forward_return",
                forward_return.to_string(),
                "a return of a price: the unsigned fraction close[exit] / close[entry] - 1, which is -1 where everything is \
                 lost (0.01 is one per cent)",
            ));
        }
        let horizon = horizons.one(text_at(&self.horizon, at.row).ok_or_else(|| at.null("horizon"))?);
        let (entry, exit) = self.window_of(at, horizon, defaults)?;
        let optional = |column: &Option<ArrayRef>| column.as_ref().map_or(f64::NAN, |c| number_at(c, at.row));
        Ok(OutcomeRow {
            event_type: text_at(&self.event_type, at.row).ok_or_else(|| at.null("event_type"))?,
            family: text_at(&self.family, at.row).ok_or_else(|| at.null("canonical_family"))?,
            symbol: symbol_text,
            timestamp: self.timestamp_of(at)?,
            entry,
            exit,
            direction: if direction > 0.0 { 1 } else { -i8::from(direction < 0.0) },
            horizon,
            forward_return: less_funding(forward_return, optional(&self.funding)),
            mark: optional(&self.mark),
            cost_bps,
            sigma_bar: optional(&self.sigma),
        })
    }

    fn timestamp_of(&self, at: &Place<'_>) -> Result<Ts, OutcomeFileError> {
        self.timestamp[at.row].map(Ts).ok_or_else(|| at.null("timestamp"))
    }

    /// The instants of entry and exit. An `exit_ts` of exactly `timestamp + lag + horizon` names the exit bar
    /// by its open; any other is taken as the instant itself (our own tables: the close of the exit bar).
    fn window_of(
        &self,
        at: &Place<'_>,
        horizon: &str,
        defaults: &OutcomeDefaults<'_>,
    ) -> Result<(Ts, Ts), OutcomeFileError> {
        const BEFORE_ENTRY: &str = "an exit at or after the entry, which is at the close of bar timestamp + entry_lag_bars \
                                    (timestamp is the open of the deciding bar); leave exit_ts out to have it made from the \
                                    horizon";
        let timestamp = self.timestamp_of(at)?;
        let bars = Horizon::parse(horizon)
            .ok_or_else(|| {
                at.bad("horizon", horizon.to_owned(), "a multiple of 5 minutes such as 5m, 60m, 4h, 1d")
            })?
            .bars;
        let lag = match &self.lag {
            Some(lags) => whole_at(lags, at.row).unwrap_or(defaults.entry_lag_bars),
            None => defaults.entry_lag_bars,
        };
        let close = default_exit(timestamp, lag, bars);
        let entry = default_exit(timestamp, lag, 0);
        let exit = match self.exit.as_ref().and_then(|e| e[at.row]) {
            Some(given) if given < entry.0 => {
                return Err(at.bad("exit_ts", Ts(given).to_string(), BEFORE_ENTRY));
            }
            Some(given) if given + BAR_MS != close.0 => Ts(given),
            _ => close,
        };
        Ok((entry, exit))
    }
}

pub(super) const fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..))
}

pub(super) fn as_text(path: &Path, column: &str, array: &ArrayRef) -> Result<ArrayRef, OutcomeFileError> {
    if !is_text(array.data_type()) {
        return Err(wrong_type(path, column, array, "text"));
    }
    cast(array, &DataType::Utf8).map_err(|_| wrong_type(path, column, array, "text"))
}

pub(super) fn as_number(path: &Path, column: &str, array: &ArrayRef) -> Result<ArrayRef, OutcomeFileError> {
    let fits =
        array.data_type().is_numeric() || matches!(array.data_type(), DataType::Boolean | DataType::Null);
    if !fits {
        return Err(wrong_type(path, column, array, "numbers"));
    }
    cast(array, &DataType::Float64).map_err(|_| wrong_type(path, column, array, "numbers"))
}

/// Numbers that are no truth values.
fn as_plain_number(path: &Path, column: &str, array: &ArrayRef) -> Result<ArrayRef, OutcomeFileError> {
    if matches!(array.data_type(), DataType::Boolean) {
        return Err(wrong_type(path, column, array, "the numbers -1, 0 and 1"));
    }
    as_number(path, column, array)
}

/// Milliseconds since the epoch.
fn as_instants(
    path: &Path,
    column: &str,
    array: &ArrayRef,
    first_row: usize,
) -> Result<Vec<Option<i64>>, OutcomeFileError> {
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
            let read = |row: usize| {
                let instant = |v: &str| {
                    time_of(v).ok_or_else(|| OutcomeFileError::Value {
                        path: path.to_owned(),
                        row: first_row + row,
                        column: column.to_owned(),
                        value: v.to_owned(),
                        wanted: "a time such as 2026-03-01T12:00:00Z",
                    })
                };
                text_at(&text, row).map(instant).transpose()
            };
            (0..text.len()).map(read).collect()
        }
        _ => Err(fail()),
    }
}

/// A time as text; one without an offset is UTC, as a timestamp column without one is.
fn time_of(text: &str) -> Option<i64> {
    let text = text.trim();
    let utc = || parse_time(&format!("{}Z", text.replacen(' ', "T", 1)));
    parse_time(text).or_else(|_| utc()).ok().map(|t| t.0)
}

/// An integer time by its size: seconds, milliseconds, microseconds or nanoseconds (unambiguous from 1973 to
/// 5138).
const fn epoch_ms(value: i64) -> i64 {
    match value.unsigned_abs() {
        0..100_000_000_000 => value * 1000,
        100_000_000_000..100_000_000_000_000 => value,
        100_000_000_000_000..100_000_000_000_000_000 => value.div_euclid(1000),
        _ => value.div_euclid(1_000_000),
    }
}

pub(super) fn wrong_type(
    path: &Path,
    column: &str,
    array: &ArrayRef,
    wanted: &'static str,
) -> OutcomeFileError {
    OutcomeFileError::Type {
        path: path.to_owned(),
        column: column.to_owned(),
        found: array.data_type().to_string(),
        wanted,
    }
}

/// Null and NaN are NaN.
pub(super) fn number_at(array: &ArrayRef, row: usize) -> f64 {
    let array = array.as_primitive::<Float64Type>();
    if array.is_null(row) { f64::NAN } else { array.value(row) }
}

fn whole_at(array: &ArrayRef, row: usize) -> Option<u32> {
    let value = number_at(array, row);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    (0.0..=1e6).contains(&value).then_some(value as u32)
}

pub(super) fn text_at(array: &ArrayRef, row: usize) -> Option<&str> {
    let array = array.as_string::<i32>();
    array.is_valid(row).then(|| array.value(row))
}
