//! What became of the planted edges, and which of them could have been found in the time that was simulated.

use std::path::Path;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::Float64Type;
use serde::Serialize;

use backtestd_core::blueprints::Blueprint;
use backtestd_core::discovery::DirectionRule;
use backtestd_core::outcomes::Horizon;
use backtestd_lab::sim::{PlantedEdge, Side};
use backtestd_store::lake::read_parquet;

/// A planted edge and what became of it.
#[derive(Debug, Serialize)]
pub(super) struct EdgeResult {
    /// Its name in the scenario.
    id: String,
    /// What was planted.
    what: String,
    /// Expected return of a trade before costs, bps.
    gross_bps: f64,
    /// The same after the round trip of the specs, bps.
    net_bps: f64,
    /// Ids of the blueprints that trade it.
    pub(super) blueprints: Vec<String>,
    /// Of one that was missed: the days that its pooled hypothesis would take at the pace so far; absent
    /// where it shows nothing.
    days_to_go: Option<f64>,
}

impl EdgeResult {
    /// What a run made of an edge. `reports` is the run's folder below `reports/phase2`.
    pub(super) fn of(edge: &PlantedEdge, active: &[&Blueprint], cost_bps: f64, reports: &Path) -> Self {
        let blueprints: Vec<String> =
            active.iter().filter(|b| trades(b, edge)).map(|b| b.id.clone()).collect();
        let side = match edge.side {
            Side::Fade => "fade",
            Side::Follow => "follow",
        };
        Self {
            id: edge.id.clone(),
            what: format!("{side} {} over {} bars", edge.event_type, edge.horizon_bars),
            gross_bps: edge.drift_bps,
            net_bps: edge.drift_bps - cost_bps,
            days_to_go: days_to_go(edge, reports).filter(|_| blueprints.is_empty()),
            blueprints,
        }
    }

    /// One line of the summary.
    pub(super) fn text(&self) -> String {
        let Self { id, what, gross_bps, net_bps, blueprints, days_to_go } = self;
        let edge = format!("{id}: {what}, {gross_bps} bps, {net_bps} after costs");
        match days_to_go {
            _ if !blueprints.is_empty() => format!("found   {edge}"),
            Some(days) => {
                format!("missed  {edge}; not findable in this time: {days:.0} days more at the pace so far")
            }
            None => format!("missed  {edge}; not findable in this time: too few events, or no evidence yet"),
        }
    }
}

/// Same side, on the event it was planted for or on one that shares its bars by construction.
pub(super) fn trades(blueprint: &Blueprint, edge: &PlantedEdge) -> bool {
    let rule = match edge.side {
        Side::Fade => DirectionRule::Fade,
        Side::Follow => DirectionRule::Follow,
    };
    edge.touches(&blueprint.event_type) && blueprint.direction_rule == rule
}

/// `days_to_decision` of the edge's own event over all symbols, without a condition.
fn days_to_go(edge: &PlantedEdge, reports: &Path) -> Option<f64> {
    let table = read_parquet(&reports.join(&edge.event_type).join("phase2_candidates.parquet")).ok()?;
    let find = |batch: &RecordBatch| {
        let [horizon, state, symbol] =
            ["horizon", "state_id", "symbol"].map(|name| batch.column_by_name(name));
        let (horizon, state, symbol) =
            (horizon?.as_string::<i32>(), state?.as_string::<i32>(), symbol?.as_string::<i32>());
        let days = batch.column_by_name("days_to_decision")?.as_primitive::<Float64Type>();
        let is_its = |row: &usize| {
            let bars = Horizon::parse(horizon.value(*row)).map(|h| h.bars);
            bars == Some(edge.horizon_bars) && state.value(*row).is_empty() && symbol.value(*row) == "ALL"
        };
        let row = (0..batch.num_rows()).find(is_its)?;
        (!days.is_null(row)).then(|| days.value(row))
    };
    table.batches.iter().find_map(find)
}
