//! What is wrong with `costs`: values that no trade pays, and instants out of order.

use std::collections::BTreeMap;

use super::costs::{CostModel, FeeChange, FeeMarket, Fill};
use crate::market::{Ts, parse_time};

/// A value that cannot be: its place below the file, what is wrong, and what to do.
pub(super) struct Finding {
    pub place: String,
    pub message: String,
    pub help: &'static str,
}

/// Every finding, in the order of the file.
pub(super) fn findings(costs: &CostModel) -> Vec<Finding> {
    let mut out = Vec::new();
    amounts(costs, &mut out);
    parts(costs, &mut out);
    schedule(costs, &mut out);
    out
}

/// Amounts that a trade pays.
fn amounts(costs: &CostModel, out: &mut Vec<Finding>) {
    let mut own = vec![
        ("costs.fee_bps_per_side".to_owned(), Some(costs.fee_bps_per_side)),
        ("costs.slippage_bps_per_side".to_owned(), Some(costs.slippage_bps_per_side)),
        ("costs.spread.half_bps".to_owned(), costs.spread.map(|s| s.half_bps)),
        ("costs.impact.coefficient".to_owned(), costs.impact.map(|i| i.coefficient)),
        ("costs.impact.order_notional".to_owned(), costs.impact.map(|i| i.order_notional)),
        ("costs.impact.fallback_bps".to_owned(), costs.impact.map(|i| i.fallback_bps)),
        ("costs.spot.fee_bps_per_side".to_owned(), costs.spot.map(|s| s.fee_bps_per_side)),
        ("costs.spot.slippage_bps_per_side".to_owned(), costs.spot.map(|s| s.slippage_bps_per_side)),
        ("costs.spot.borrow_bps_per_day".to_owned(), costs.spot.map(|s| s.borrow_bps_per_day)),
    ];
    for (symbol, of) in &costs.symbols {
        let place = |key: &str| format!("costs.symbols.{symbol}.{key}");
        own.push((place("fee_bps_per_side"), of.fee_bps_per_side));
        own.push((place("slippage_bps_per_side"), of.slippage_bps_per_side));
        own.push((place("half_spread_bps"), of.half_spread_bps));
    }
    for (place, value) in own {
        let value = value.unwrap_or(0.0);
        if !(value >= 0.0 && value.is_finite()) {
            let message = format!("'{place}' is {value}, but a cost is at least 0");
            let help = "a cost is what a trade pays, in bps of notional: 4.0 for 0.04 %";
            out.push(Finding { place, message, help });
        }
    }
}

/// Parts that do not make a whole.
fn parts(costs: &CostModel, out: &mut Vec<Finding>) {
    if let Some(spread) = costs.spread.filter(|s| s.half_bps > costs.slippage_bps_per_side) {
        let whole = costs.slippage_bps_per_side;
        let message = format!("costs.spread.half_bps is {} of a slippage of {whole}", spread.half_bps);
        let help = "the half spread is a part of slippage_bps_per_side: at most as large";
        out.push(Finding { place: "costs.spread.half_bps".to_owned(), message, help });
    }
    for (symbol, of) in &costs.symbols {
        let whole = costs.slippage_bps(symbol);
        if let Some(half) = of.half_spread_bps.filter(|half| *half > whole) {
            let place = format!("costs.symbols.{symbol}.half_spread_bps");
            let message = format!("'{place}' is {half} of a slippage of {whole}");
            let help = "the half spread is a part of slippage_bps_per_side: at most as large";
            out.push(Finding { place, message, help });
        }
    }
    let days = [
        ("costs.spread.days", costs.spread.map(|s| s.days)),
        ("costs.spread.min_bars", costs.spread.map(|s| s.min_bars)),
        ("costs.impact.days", costs.impact.map(|i| i.days)),
        ("costs.impact.min_bars", costs.impact.map(|i| i.min_bars)),
    ];
    for (place, given) in days {
        let most = if place.ends_with("days") { 400 } else { 288 };
        if given.is_some_and(|n| !(1..=most).contains(&n)) {
            let message = format!("'{place}' is {}", given.unwrap_or(0));
            let help = "days from 1 to 400, and bars of a day from 1 to 288";
            out.push(Finding { place: place.to_owned(), message, help });
        }
    }
    if costs.impact.is_some_and(|i| i.coefficient == 0.0) {
        let message = "'costs.impact.coefficient' is 0: no order would move anything".to_owned();
        let help = "above 0; to charge no impact write `order_notional: 0.0`";
        out.push(Finding { place: "costs.impact.coefficient".to_owned(), message, help });
    }
    let makes = [("entry", costs.fills.entry), ("exit", costs.fills.exit)];
    for (side, _) in makes.into_iter().filter(|(_, fill)| *fill == Fill::Maker) {
        if costs.maker_fee_bps_per_side.is_none() {
            let message = format!("'costs.fills.{side}' is maker, but nobody says what a maker pays");
            let help = "write `maker_fee_bps_per_side`: the schedule says it from its first entry on only";
            out.push(Finding { place: format!("costs.fills.{side}"), message, help });
        }
    }
    if costs.maker_fee_bps_per_side.is_some_and(|fee| !fee.is_finite()) {
        let message = "'costs.maker_fee_bps_per_side' is no number".to_owned();
        let help = "bps of notional a side; below 0 a maker is paid";
        out.push(Finding { place: "costs.maker_fee_bps_per_side".to_owned(), message, help });
    }
}

/// The dated table.
fn schedule(costs: &CostModel, out: &mut Vec<Finding>) {
    let mut last: BTreeMap<(FeeMarket, Option<&str>), Ts> = BTreeMap::new();
    for (at, change) in costs.fee_schedule.iter().enumerate() {
        let place = format!("costs.fee_schedule[{at}].from");
        let of = (change.market, change.tier.as_deref());
        match parse_time(&change.from) {
            Err(error) => {
                let help = "a quoted date or RFC 3339 instant in UTC";
                out.push(Finding { place, message: format!("fee_schedule: {error}"), help });
            }
            Ok(from) if last.get(&of).is_some_and(|last| from <= *last) => {
                let message = "fee_schedule: entries stand in order of time".to_owned();
                out.push(Finding { place, message, help: "move the entry up to where its time belongs" });
            }
            Ok(from) => {
                last.insert(of, from);
            }
        }
        fees(&format!("costs.fee_schedule[{at}]"), change, out);
    }
    let is_known = |tier: &String| costs.fee_schedule.iter().any(|c| c.tier.as_ref() == Some(tier));
    if let Some(tier) = costs.tier.as_ref().filter(|tier| !is_known(tier)) {
        let message = format!("'costs.tier' is '{tier}', but no entry of the fee_schedule names it");
        let help = "name the tier as the entries do, or write `tier: null`";
        out.push(Finding { place: "costs.tier".to_owned(), message, help });
    }
    let untiered = |c: &&FeeChange| c.tier.is_none() || c.tier == costs.tier;
    let ours: Vec<&FeeChange> = costs.fee_schedule.iter().filter(untiered).collect();
    for market in [FeeMarket::Perp, FeeMarket::Spot] {
        let of_market = ours.iter().filter(|c| c.market == market);
        let instants: Vec<Ts> = of_market.filter_map(|c| parse_time(&c.from).ok()).collect();
        if instants.windows(2).any(|pair| pair[1] < pair[0]) {
            let message =
                "fee_schedule: the entries that this tier follows stand in order of time".to_owned();
            let help = "entries without a tier hold for every tier: place them among those of the tier by their time";
            out.push(Finding { place: "costs.fee_schedule".to_owned(), message, help });
        }
    }
}

fn fees(entry: &str, change: &FeeChange, out: &mut Vec<Finding>) {
    for (key, value) in [("taker_bps", change.taker_bps), ("maker_bps", change.maker_bps)] {
        // A maker may be paid.
        if !value.is_finite() || (key == "taker_bps" && value < 0.0) {
            let help = "bps of notional a side: a number, for the taker at least 0";
            let message = format!("fee_schedule: '{key}' is {value}");
            out.push(Finding { place: format!("{entry}.{key}"), message, help });
        }
    }
}
