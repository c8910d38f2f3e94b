//! The blueprints, each as a card: the rule as a sentence, its evidence, its terms.

use std::fmt::Write as _;

use super::charts::interval;
use super::format::{escape, number, probability, signed, thousands};
use backtestd_core::blueprints::Blueprint;
use backtestd_core::discovery::DirectionRule;

/// All cards.
pub(super) fn cards(blueprints: &[Blueprint]) -> String {
    let mut out = String::from(r#"<div class="cards">"#);
    for blueprint in blueprints {
        card(&mut out, blueprint);
    }
    out + "</div>"
}

fn card(out: &mut String, b: &Blueprint) {
    let symbols: Vec<&str> = b.symbol_scope.symbols.iter().map(|s| s.as_str()).collect();
    let verb = match b.direction_rule {
        DirectionRule::Follow => "Trade with",
        DirectionRule::Fade => "Trade against",
    };
    let condition = match b.entry.conditions.join(" and ") {
        all if all.is_empty() => String::new(),
        all => format!(" while <code>{}</code>", escape(&all)),
    };
    let _ = write!(
        out,
        r#"<article class="card"><p class="id">{} · {}</p><h3>{verb} {} <span>on {}</span></h3><p>Enter {} bar{} after the deciding bar{}, hold {}.</p>"#,
        escape(&b.id),
        escape(&b.template_verb),
        escape(&b.event_type),
        escape(&symbols.join(", ")),
        b.entry.entry_lag_bars,
        if b.entry.entry_lag_bars == 1 { "" } else { "s" },
        condition,
        escape(&b.exit.horizon),
    );
    let e = &b.evidence;
    if let (Some(low), Some(point), Some(high)) = (e.ci_low_bps, e.effect_shrunk_bps, e.ci_high_bps) {
        out.push_str(&interval(low, point, high, b.costs.round_trip_bps));
    }
    let bridge = e.bridge;
    let rows = [
        ("Raw / shrunk", format!("{} / {} bps", signed(e.effect_raw_bps, 1), signed(e.effect_shrunk_bps, 1))),
        (
            "After cost / stressed",
            format!(
                "{} / {} bps",
                signed(e.after_cost_expectancy_bps, 1),
                signed(e.stressed_after_cost_expectancy_bps, 1)
            ),
        ),
        (
            "As traded",
            bridge.map_or_else(
                || "–".to_owned(),
                |t| format!("{} bps net, {} trades", signed(t.after_cost_bps, 1), thousands(t.trades)),
            ),
        ),
        (
            "Hit rate",
            bridge.map_or_else(
                || "–".to_owned(),
                |t| format!("{} %", number(t.hit_rate.map(|h| h * 100.0), 0)),
            ),
        ),
        ("Events / days", format!("{} / {}", thousands(e.n_events), thousands(e.n_clusters))),
        (
            "q / p at any time",
            format!(
                "{} / {}",
                probability(e.q_value.unwrap_or(f64::NAN)),
                probability(e.p_any.unwrap_or(f64::NAN))
            ),
        ),
        ("Wrong sign", probability(e.lfsr.unwrap_or(f64::NAN))),
        ("Raw by half", format!("{} / {} bps", signed(e.first_half_bps, 1), signed(e.second_half_bps, 1))),
        (
            "Round trip",
            format!(
                "{} bps{}",
                number(Some(b.costs.round_trip_bps), 1),
                if b.costs.funding_included { " + funding" } else { ", funding unknown" }
            ),
        ),
    ];
    out.push_str("<dl>");
    for (name, value) in rows {
        let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", escape(&value));
    }
    out.push_str("</dl></article>");
}
