//! Events, flags and outcomes as Arrow tables with the contract's columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int8Array, Int32Array, RecordBatch};
use serde_json::{Map, Value};

use backtestd_core::market::{BarIndex, Symbol, Ts};
use backtestd_core::outcomes::{CostParts, Event, Measured, Outcome, carry_label, vol_label};
use backtestd_store::lake::{LakeError, bool_column, f64_column, string_column, table, ts_column_opt};

/// An event with what is known about it besides the detection itself.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// The detection itself.
    pub event: Event,
    /// First row on which its episode was no longer open; `None` while it is open.
    pub exit: Option<BarIndex>,
    /// Wall clock at which a live daemon knew; `None` in batch.
    pub arrival: Option<Ts>,
    /// 0 for the first version; rises when late data changed it.
    pub revision: i32,
}

/// Table of detections (`events.parquet`), in the order given.
///
/// # Errors
/// Only if the columns disagree in length, which the construction excludes.
pub fn events_table(
    run_id: &str,
    spec_hash: &dyn Fn(&str) -> String,
    rows: &[EventRow],
) -> Result<RecordBatch, LakeError> {
    let text = |f: &dyn Fn(&EventRow) -> String| strings(rows.iter().map(|r| Some(f(r))));
    table(named([
        ("run_id", text(&|_| run_id.to_owned())),
        ("event_type", text(&|r| r.event.event_type.to_string())),
        ("canonical_family", text(&|r| r.event.family.to_string())),
        ("symbol", text(&|r| r.event.symbol.to_string())),
        ("event_id", text(&|r| r.event.id())),
        ("timestamp", ts_column_opt(rows.iter().map(|r| Some(r.event.bar.open())))),
        ("enter_ts", ts_column_opt(rows.iter().map(|r| Some(r.event.bar.open())))),
        ("detected_ts", ts_column_opt(rows.iter().map(|r| Some(r.event.detected())))),
        ("signal_ts", ts_column_opt(rows.iter().map(|r| Some(r.event.bar.next().open())))),
        ("exit_ts", ts_column_opt(rows.iter().map(|r| r.exit.map(BarIndex::open)))),
        ("direction", Arc::new(Int8Array::from_iter_values(rows.iter().map(|r| r.event.direction)))),
        ("severity", f64_column(rows.iter().map(|r| r.event.severity))),
        ("arrival_ts", ts_column_opt(rows.iter().map(|r| r.arrival))),
        ("revision", Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.revision)))),
        ("spec_hash", text(&|r| spec_hash(&r.event.event_type))),
        ("features_at_event", text(&|r| features_json(&r.event))),
    ]))
}

/// The columns of `event_flags.parquet` for one event type: `<base>_event`, `<base>_signal`, `<base>_active`,
/// where the base is the lower-case type without a trailing `_event`.
#[must_use]
pub fn flag_names(event_type: &str) -> [String; 3] {
    let lower = event_type.to_lowercase();
    let base = lower.strip_suffix("_event").unwrap_or(&lower);
    [format!("{base}_event"), format!("{base}_signal"), format!("{base}_active")]
}

/// Flags of one symbol over `[first, first + rows)`: on the deciding bar, on the first bar at or after
/// detection, and over the episode.
///
/// # Errors
/// Only if the columns disagree in length, which the construction excludes.
pub fn flags_table(
    symbol: &Symbol,
    first: BarIndex,
    rows: usize,
    event_types: &[String],
    events: &[EventRow],
) -> Result<RecordBatch, LakeError> {
    let bars = || (0..rows as i64).map(|r| first + r);
    let mut columns = vec![
        ("timestamp".to_owned(), ts_column_opt(bars().map(|b| Some(b.open())))),
        ("symbol".to_owned(), strings((0..rows).map(|_| Some(symbol.to_string())))),
    ];
    for event_type in event_types {
        let mut flags = [vec![false; rows], vec![false; rows], vec![false; rows]];
        let of_type = |r: &&EventRow| r.event.symbol == *symbol && *r.event.event_type == **event_type;
        for row in events.iter().filter(of_type) {
            let onset = row.event.bar - first;
            let exit = row.exit.map_or(rows as i64, |bar| bar - first);
            set(&mut flags[0], onset, onset + 1);
            set(&mut flags[1], onset + 1, onset + 2);
            set(&mut flags[2], onset, exit);
        }
        for (name, flag) in flag_names(event_type).into_iter().zip(flags) {
            columns.push((name, bool_column(flag.into_iter().map(Some))));
        }
    }
    table(columns)
}

/// Matured outcomes (`outcomes.parquet`), one row per event and horizon. States are one nullable bool column
/// each, named `state.<id>`; `vol_regime` and `carry_state` are labels. `measured` says what else the rows'
/// windows show; it may be empty only where `rows` is.
///
/// # Errors
/// Only if the columns disagree in length, which the construction excludes.
pub fn outcomes_table(
    states: &[String],
    rows: &[Outcome],
    measured: &[Measured],
) -> Result<RecordBatch, LakeError> {
    let text = |f: &dyn Fn(&Outcome) -> String| strings(rows.iter().map(|r| Some(f(r))));
    let int = |f: &dyn Fn(&Outcome) -> i32| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(rows.iter().map(f)))
    };
    let mut columns = vec![
        ("event_id".to_owned(), text(&|r| r.event.id())),
        ("event_type".to_owned(), text(&|r| r.event.event_type.to_string())),
        ("canonical_family".to_owned(), text(&|r| r.event.family.to_string())),
        ("symbol".to_owned(), text(&|r| r.event.symbol.to_string())),
        ("timestamp".to_owned(), ts_column_opt(rows.iter().map(|r| Some(r.event.bar.open())))),
        ("entry_ts".to_owned(), ts_column_opt(rows.iter().map(|r| Some(r.entry())))),
        ("exit_ts".to_owned(), ts_column_opt(rows.iter().map(|r| Some(r.exit())))),
        ("horizon".to_owned(), text(&|r| r.horizon.label.to_string())),
        ("horizon_bars".to_owned(), int(&|r| r.horizon.bars as i32)),
        ("entry_lag_bars".to_owned(), int(&|r| r.entry_lag_bars as i32)),
        (
            "direction".to_owned(),
            Arc::new(Int8Array::from_iter_values(rows.iter().map(|r| r.event.direction))) as ArrayRef,
        ),
        ("forward_return".to_owned(), f64_column(rows.iter().map(|r| r.forward_return))),
        ("midnight_return".to_owned(), f64_column(rows.iter().map(|r| r.midnight_return))),
        ("mfe_bps".to_owned(), f64_column(rows.iter().map(|r| r.mfe_bps))),
        ("mae_bps".to_owned(), f64_column(rows.iter().map(|r| r.mae_bps))),
        ("funding_paid".to_owned(), f64_column(rows.iter().map(|r| r.funding_paid))),
        ("cost_bps_round_trip".to_owned(), f64_column(rows.iter().map(|r| r.cost_bps_round_trip))),
        ("sigma_bar".to_owned(), f64_column(rows.iter().map(|r| r.event.sigma_bar))),
        ("sigma_event".to_owned(), f64_column(rows.iter().map(|r| r.event.sigma_event))),
        ("matured_ts".to_owned(), ts_column_opt(rows.iter().map(|r| Some(r.matured())))),
        ("vol_regime".to_owned(), string_column(rows.iter().map(|r| vol_label(r.event.vol_regime)))),
        ("carry_state".to_owned(), string_column(rows.iter().map(|r| carry_label(r.event.carry_state)))),
    ];
    for (ix, state) in states.iter().enumerate() {
        let known = rows.iter().map(|r| match r.event.states.get(ix) {
            Some(1) => Some(true),
            Some(0) => Some(false),
            _ => None,
        });
        columns.push((format!("state.{state}"), bool_column(known)));
    }
    for (name, f) in [
        ("relative_return", (|m| m.relative_return) as fn(&Measured) -> f64),
        ("hedge_ratio", |m| m.hedge_ratio),
        ("variance_ratio", |m| m.variance_ratio),
    ] {
        columns.push((name.to_owned(), f64_column(measured.iter().map(f))));
    }
    for (at, name) in CostParts::NAMES.into_iter().enumerate() {
        columns.push((format!("cost_{name}"), f64_column(rows.iter().map(|r| r.costs.values()[at]))));
    }
    table(columns)
}

fn features_json(event: &Event) -> String {
    let number = |v: f64| serde_json::Number::from_f64(v).map_or(Value::Null, Value::Number);
    let map: Map<String, Value> =
        event.features.iter().map(|(name, v)| (name.to_string(), number(*v))).collect();
    Value::Object(map).to_string()
}

fn set(flags: &mut [bool], from: i64, to: i64) {
    let clamp = |x: i64| x.clamp(0, flags.len() as i64) as usize;
    let (from, to) = (clamp(from), clamp(to));
    if from < to {
        flags[from..to].fill(true);
    }
}

fn named<const N: usize>(columns: [(&str, ArrayRef); N]) -> Vec<(String, ArrayRef)> {
    columns.into_iter().map(|(name, array)| (name.to_owned(), array)).collect()
}

fn strings(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    string_column(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_columns_drop_a_doubled_event_suffix() {
        assert_eq!(flag_names("VOL_SHOCK"), ["vol_shock_event", "vol_shock_signal", "vol_shock_active"]);
        assert_eq!(
            flag_names("ABSORPTION_EVENT"),
            ["absorption_event", "absorption_signal", "absorption_active"]
        );
    }
}
