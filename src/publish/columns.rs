//! Columns of `phase2_candidates` beside those of discovery: what the evidence and the trades of a candidate
//! cost, part by part.

use std::collections::BTreeSet;

use backtestd_core::conclude::Conclusions;
use backtestd_core::outcomes::CostParts;
use backtestd_core::tradability::BridgeResult;
use backtestd_store::lake::NumberColumn;

/// A number of the bridge's result; NaN undefined.
type OfBridge = fn(&BridgeResult) -> f64;

/// Mean after cost and funding with the lower (0) or the higher (1) thresholds.
fn shifted(result: &BridgeResult, at: usize) -> f64 {
    let of = result.robustness.thresholds.as_ref().and_then(|both| both.get(at));
    of.and_then(|shifted| shifted.after_cost_bps).unwrap_or(f64::NAN)
}

/// The columns, one number a candidate. `cost_*` add up to `cost_bps`; `bridge_cost_*` and
/// `bridge_funding_bps` to what lies between `bridge_gross_bps` and `bridge_after_cost_bps`.
pub(super) fn columns_beside(conclusions: &Conclusions) -> Vec<NumberColumn> {
    let rows = 0..conclusions.discovery.candidates.len();
    let of_evidence = |at: usize| conclusions.costs.get(at).copied().flatten();
    let of_bridge = |at: usize| conclusions.bridge.get(&at);
    let mut out = Vec::new();
    for (part, name) in CostParts::NAMES.into_iter().enumerate() {
        let value = |at| of_evidence(at).map_or(f64::NAN, |costs| costs.values()[part]);
        out.push(NumberColumn { name: format!("cost_{name}"), values: rows.clone().map(value).collect() });
    }
    for (part, name) in CostParts::NAMES.into_iter().enumerate() {
        let value = |at| of_bridge(at).and_then(|b| b.costs).map_or(f64::NAN, |costs| costs.values()[part]);
        out.push(NumberColumn {
            name: format!("bridge_cost_{name}"),
            values: rows.clone().map(value).collect(),
        });
    }
    let numbers: [(&str, OfBridge); 10] = [
        ("bridge_cost_bps", |b| b.summary.cost_bps.unwrap_or(f64::NAN)),
        ("bridge_funding_bps", |b| b.summary.funding_bps.unwrap_or(f64::NAN)),
        ("bridge_capacity", |b| b.robustness.capacity.unwrap_or(f64::NAN)),
        ("bridge_worst_month_bps", |b| b.robustness.worst_month.as_ref().map_or(f64::NAN, |(_, bps)| *bps)),
        ("bridge_top_symbol_share", |b| b.robustness.top_symbol_share.unwrap_or(f64::NAN)),
        ("bridge_top_day_share", |b| b.robustness.top_day_share.unwrap_or(f64::NAN)),
        ("bridge_daily_turnover", |b| b.robustness.daily_turnover.unwrap_or(f64::NAN)),
        ("bridge_lower_thresholds_bps", |b| shifted(b, 0)),
        ("bridge_higher_thresholds_bps", |b| shifted(b, 1)),
        ("bridge_threshold_share", |b| {
            b.robustness.threshold_share(b.columns.after_cost_bps).unwrap_or(f64::NAN)
        }),
    ];
    for (name, f) in numbers {
        let values = rows.clone().map(|at| of_bridge(at).map_or(f64::NAN, f)).collect();
        out.push(NumberColumn { name: name.to_owned(), values });
    }
    // Later entries, by the bars that the specs name.
    let delays: BTreeSet<u32> =
        conclusions.bridge.values().flat_map(|b| b.delayed.iter().flatten()).map(|d| d.bars).collect();
    for bars in delays {
        let value = |at: usize| {
            let delayed = of_bridge(at).and_then(|b| b.delayed.as_ref());
            delayed.and_then(|d| d.iter().find(|d| d.bars == bars)?.after_cost_bps).unwrap_or(f64::NAN)
        };
        let name = format!("bridge_delayed_{bars}_bps");
        out.push(NumberColumn { name, values: rows.clone().map(value).collect() });
    }
    out
}
