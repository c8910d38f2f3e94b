//! Columns of `phase2_candidates` beside those of discovery: what the evidence and the trades of a candidate cost, part by part.

use backtestd_core::conclude::Conclusions;
use backtestd_core::outcomes::CostParts;
use backtestd_core::tradability::BridgeResult;
use backtestd_store::lake::NumberColumn;

/// A number of the bridge's result; NaN undefined.
type OfBridge = fn(&BridgeResult) -> f64;

/// The columns, one number a candidate. `cost_*` add up to `cost_bps`; `bridge_cost_*` and `bridge_funding_bps` to what lies
/// between `bridge_gross_bps` and `bridge_after_cost_bps`.
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
    let numbers: [(&str, OfBridge); 2] = [
        ("bridge_cost_bps", |b| b.summary.cost_bps.unwrap_or(f64::NAN)),
        ("bridge_funding_bps", |b| b.summary.funding_bps.unwrap_or(f64::NAN)),
    ];
    for (name, f) in numbers {
        let values = rows.clone().map(|at| of_bridge(at).map_or(f64::NAN, f)).collect();
        out.push(NumberColumn { name: name.to_owned(), values });
    }
    out
}
