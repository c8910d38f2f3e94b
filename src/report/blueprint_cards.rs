//! The blueprints, each as a card: the rule as a sentence, its evidence, its terms.

use maud::{Markup, html};

use super::charts::interval;
use super::format::{number, probability, signed, thousands};
use backtestd_core::blueprints::Blueprint;
use backtestd_core::discovery::DirectionRule;

/// A card for every blueprint.
pub(super) fn cards(blueprints: &[Blueprint]) -> Markup {
    html! {
        div.cards { @for blueprint in blueprints { (card(blueprint)) } }
    }
}

fn card(b: &Blueprint) -> Markup {
    let symbols: Vec<&str> = b.symbol_scope.symbols.iter().map(|s| s.as_str()).collect();
    let verb = match b.direction_rule {
        DirectionRule::Follow => "Trade with",
        DirectionRule::Fade => "Trade against",
    };
    let lag = b.entry.entry_lag_bars;
    let e = &b.evidence;
    html! {
        article.card {
            p.id { (b.id) " · " (b.template_verb) }
            h3 { (verb) " " (b.event_type) " " span { "on " (symbols.join(", ")) } }
            p {
                "Enter " (lag) @if lag == 1 { " bar" } @else { " bars" } " after the deciding bar"
                @if !b.entry.conditions.is_empty() { " while " code { (b.entry.conditions.join(" and ")) } }
                ", hold " (b.exit.horizon) "."
            }
            @if let Some([low, point, high]) = e.stated() {
                (interval(low, point, high, b.costs.round_trip_bps))
            }
            dl {
                @for (name, value) in facts(b) { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// The evidence and the terms in lines.
fn facts(b: &Blueprint) -> [(&'static str, String); 10] {
    let e = &b.evidence;
    let probabilities = |q: Option<f64>| probability(q.unwrap_or(f64::NAN));
    let pair = |a: Option<f64>, b: Option<f64>| format!("{} / {} bps", signed(a, 1), signed(b, 1));
    let (traded, hits) = e.bridge.map_or_else(
        || ("–".to_owned(), "–".to_owned()),
        |t| {
            let traded = format!("{} bps net, {} trades", signed(t.after_cost_bps, 1), thousands(t.trades));
            (traded, format!("{} %", number(t.hit_rate.map(|h| h * 100.0), 0)))
        },
    );
    let funding = if b.costs.funding_included { " + funding" } else { ", funding unknown" };
    [
        ("Raw / shrunk", pair(e.effect_raw_bps, e.effect_shrunk_bps)),
        ("After cost / stressed", pair(e.after_cost_expectancy_bps, e.stressed_after_cost_expectancy_bps)),
        ("As traded", traded),
        ("Hit rate", hits),
        ("Events / days", format!("{} / {}", thousands(e.n_events), thousands(e.n_clusters))),
        ("q / p at any time", format!("{} / {}", probabilities(e.q_value), probabilities(e.p_any))),
        ("Wrong sign", probabilities(e.lfsr)),
        ("Raw by half", pair(e.first_half_bps, e.second_half_bps)),
        ("Round trip", format!("{} bps{funding}", number(Some(b.costs.round_trip_bps), 1))),
        ("Paid on average", paid(b)),
    ]
}

/// What the bridge's trades paid, part by part.
fn paid(b: &Blueprint) -> String {
    let Some(costs) = b.evidence.bridge.and_then(|bridge| bridge.costs) else { return "–".to_owned() };
    let part = |bps: f64| number(Some(bps), 1);
    format!(
        "fees {}, spread {} (measured on {} %), slippage {}, impact {}, borrowing {}, funding {} bps",
        part(costs.fee_bps),
        part(costs.spread_bps),
        number(Some(100.0 * costs.spread_measured), 0),
        part(costs.slippage_bps),
        part(costs.impact_bps),
        part(costs.borrow_bps),
        number(costs.funding_bps, 1),
    )
}
