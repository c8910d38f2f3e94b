//! The tables: candidates by q, event types by family.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::charts::prevalence;
use super::document::{heads, number_heads, numbers, table, texts};
use super::format::{number, probability, signed, thousands};
use backtestd_core::discovery::Candidate;
use backtestd_core::pipeline::{EventQuality, POOLED, PartialSource};
use backtestd_core::tradability::BridgeResult;

/// The best candidates by q, at most `most`.
pub(super) fn candidates(
    candidates: &[Candidate],
    bridge: &BTreeMap<usize, BridgeResult>,
    most: usize,
) -> Markup {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| {
        let key = |at: usize| (candidates[at].q_value, candidates[at].p_any);
        let (a_key, b_key) = (key(*a), key(*b));
        a_key.0.total_cmp(&b_key.0).then(a_key.1.total_cmp(&b_key.1)).then(a.cmp(b))
    });
    let heads = html! {
        (heads(&["Event", "Rule", "Hold", "Symbol", "State"]))
        (number_heads(&["n", "Days", "Raw bps", "Shrunk bps", "After cost", "t", "p any time", "q", "Bridge net"]))
        th { "Stopped by" }
    };
    let rows = html! {
        @for at in order.into_iter().take(most) {
            (candidate(&candidates[at], bridge.get(&at).and_then(|b| b.columns.after_cost_bps)))
        }
    };
    table(heads, rows)
}

fn candidate(c: &Candidate, bridge_net_bps: Option<f64>) -> Markup {
    let stopped = c.fail_reasons.iter().map(|r| r.gate).collect::<Vec<_>>().join(", ");
    let why = c.fail_reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    html! {
        tr class=[c.is_discovery.then_some("hit")] {
            td { (c.event_type) }
            td { (c.direction_rule) }
            (texts([&*c.horizon.label, c.scope.label(), c.state_id()]))
            (numbers([
                thousands(c.n_events),
                thousands(c.n_clusters),
                signed(c.effect_raw_bps, 1),
                signed(c.effect_shrunk_bps(), 1),
                signed(c.after_cost_expectancy_bps, 1),
                number(c.t_stat, 1),
                probability(c.p_any),
                probability(c.q_value),
                signed(bridge_net_bps, 1),
            ]))
            td.why.one title=(why) { (stopped.replace("_GATE", "").replace('_', " ").to_lowercase()) }
        }
    }
}

/// Source columns that whole days lack.
pub(super) fn partial_sources(list: &[PartialSource]) -> Markup {
    if list.is_empty() {
        return Markup::default();
    }
    let heads = html! {
        (heads(&["Source", "Symbol", "Known from", "through"])) th.n { "Days without" } th { "Event types" }
    };
    let rows = html! {
        @for p in list {
            tr {
                td { code { (p.column) } }
                td { (p.symbol) }
                td { (p.known_from.as_deref().unwrap_or("never")) }
                td { (p.known_through.as_deref().unwrap_or("never")) }
                td.n { (p.days_without) " of " (p.days) }
                td.why { (p.events.join(", ")) }
            }
        }
    };
    html! {
        h3 { "Sources known in part" }
        p.note { "Where a source is unknown, the event types that need it are unavailable, not quiet." }
        (table(heads, rows))
    }
}

/// Event types by family, pooled over the symbols.
pub(super) fn events(quality: &[EventQuality]) -> Markup {
    let mut pooled: Vec<&EventQuality> = quality.iter().filter(|q| q.symbol == POOLED).collect();
    pooled.sort_by(|a, b| (&a.family, &a.event_type).cmp(&(&b.family, &b.event_type)));
    let heads = html! {
        th { "Event" } (number_heads(&["Onsets", "per 10,000"])) (heads(&["declared range", "", "Findings"]))
    };
    let rows = html! {
        @for family in pooled.chunk_by(|a, b| a.family == b.family) {
            tr.family { td colspan="6" { (family[0].family) } }
            @for event in family { (event_type(event, quality)) }
        }
    };
    table(heads, rows)
}

/// An event type with what was found about it on all symbols, and then on each.
fn event_type(event: &EventQuality, quality: &[EventQuality]) -> Markup {
    let on_symbols = quality.iter().filter(|q| q.symbol != POOLED && q.event_type == event.event_type);
    let lines: Vec<Markup> = std::iter::once(event).chain(on_symbols).flat_map(findings).collect();
    let class = match &event.unavailable {
        Some(_) => Some("off"),
        None => (!lines.is_empty()).then_some("bad"),
    };
    let (low, high) = event.bounds;
    html! {
        tr class=[class] {
            td { (event.event_type) }
            td.n { @if event.unavailable.is_some() { "–" } @else { (thousands(event.tally.onsets)) } }
            td.n { (number(event.per_10k, 1)) }
            td { (low) " – " (high) }
            @if let Some(column) = &event.unavailable {
                td {}
                td.why { "unavailable: no " code { (column) } }
            } @else {
                td { (prevalence(event.per_10k, event.bounds, event.findings.is_empty())) }
                td.why { @for (i, line) in lines.iter().enumerate() { @if i > 0 { br; } (line) } }
            }
        }
    }
}

/// What was found about an event type on one symbol or on all, a line each.
fn findings(q: &EventQuality) -> Vec<Markup> {
    let symbol = if q.symbol == POOLED { "all symbols" } else { &q.symbol };
    let mut lines: Vec<Markup> = q
        .findings
        .iter()
        .map(|f| html! { (symbol) ": " (f) @if q.excluded { "; left out of discovery" } })
        .collect();
    if let Some(column) = &q.unavailable {
        lines.push(html! { (symbol) ": unavailable, no " code { (column) } });
    }
    lines
}
