//! What the bridge's trades paid, and what their result rests on: a row for each candidate that it traded.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::document::{heads, number_heads, numbers, table, texts};
use super::format::{number, signed, thousands};
use backtestd_core::discovery::Candidate;
use backtestd_core::tradability::BridgeResult;

/// The table with its heading; nothing where the bridge traded nothing.
pub(super) fn rests(candidates: &[Candidate], bridge: &BTreeMap<usize, BridgeResult>, most: usize) -> Markup {
    let traded: Vec<(&Candidate, &BridgeResult)> = bridge
        .iter()
        .filter_map(|(at, result)| Some((candidates.get(*at)?, result)))
        .filter(|(_, result)| result.columns.trades > 0)
        .take(most)
        .collect();
    if traded.is_empty() {
        return html! {};
    }
    let heads = html! {
        (heads(&["Event", "Hold", "Symbol", "State"]))
        (number_heads(&[
            "Trades", "Fees", "Spread", "Slippage", "Impact", "Funding", "Net bps", "Worst month", "Best symbol %",
            "Best day %", "Turnover a day", "Capacity", "Lower thresholds", "Higher",
        ]))
    };
    let rows = html! { @for (candidate, result) in traded { (row(candidate, result)) } };
    html! {
        h2 { "What results rest on" }
        p.note {
            "Each candidate that the bridge traded. What a round trip paid on average, bps; then what its net result rests on: "
            "the sum of the worst month (bps of one unit a trade), the shares of the best symbol and day, notional over equity "
            "traded on an average day, the order whose impact would eat what is left, and the net result where the event was "
            "detected again with other thresholds."
        }
        (table(heads, rows))
    }
}

fn row(c: &Candidate, result: &BridgeResult) -> Markup {
    let robust = &result.robustness;
    let part = |f: fn(&backtestd_core::outcomes::CostParts) -> f64| number(result.costs.as_ref().map(f), 1);
    let percent = |share: Option<f64>| number(share.map(|s| 100.0 * s), 0);
    let shifted = |at: usize| {
        signed(robust.thresholds.as_ref().and_then(|both| both.get(at)).and_then(|s| s.after_cost_bps), 1)
    };
    html! {
        tr class=[result.columns.tradable.then_some("hit")] {
            td { (c.measured.event_type) " " (c.measured.direction_rule) }
            (texts([&*c.measured.horizon.label, c.measured.scope.label(), c.state_id()]))
            (numbers([
                thousands(result.columns.trades),
                part(|costs| costs.fee_bps),
                part(|costs| costs.spread_bps),
                part(|costs| costs.slippage_bps),
                part(|costs| costs.impact_bps),
                number(result.summary.funding_bps, 1),
                signed(result.columns.after_cost_bps, 1),
                signed(robust.worst_month.as_ref().map(|(_, bps)| *bps), 0),
                percent(robust.top_symbol_share),
                percent(robust.top_day_share),
                number(robust.daily_turnover, 2),
                robust.capacity.map_or_else(|| "–".to_owned(), |order| thousands(order as u64)),
                shifted(0),
                shifted(1),
            ]))
        }
    }
}
