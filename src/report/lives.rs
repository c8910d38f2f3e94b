//! What became of published blueprints since: a row each.

use maud::{Markup, html};

use super::document::{heads, number_heads, numbers, table};
use super::format::{number, signed, thousands};
use backtestd_core::blueprints::Blueprint;

/// The lines of the version in force that have been published; empty where there are none.
pub(super) fn lives(published: &[Blueprint]) -> Markup {
    if published.iter().all(|b| b.publication.is_none()) {
        return Markup::default();
    }
    let heads = html! {
        (heads(&["Blueprint", "Rule", "Since"]))
        (number_heads(&["Active days", "Events", "Mean after cost", "Claim", "Floor", "E", "Detector, most"]))
        th { "Status" }
    };
    let rows = html! {
        @for blueprint in published {
            @if let Some(publication) = &blueprint.publication { (row(blueprint, &publication.closed_through)) }
        }
    };
    html! {
        h2 { "After publication" }
        p.note {
            "Closed days that the publishing evidence had not seen. The claim is the published estimate before costs. "
            "E is a fresh test after costs: a large one confirms the rule live. The detector watches for a mean below "
            "the floor; it suspends, then retires, and both are final for this definition."
        }
        (table(heads, rows))
    }
}

fn row(b: &Blueprint, closed_through: &str) -> Markup {
    let days = b.monitoring.as_ref();
    let marks = [
        ("live-confirmed", days.and_then(|m| m.confirmed_on.as_deref())),
        ("suspended", days.and_then(|m| m.suspended_on.as_deref())),
        ("retired", days.and_then(|m| m.retired_on.as_deref())),
    ];
    html! {
        tr {
            td.one { (b.id) }
            td {
                (b.direction_rule) " " (b.event_type) " " (b.exit.horizon)
                @if !b.entry.conditions.is_empty() { " when " code { (b.entry.conditions.join(" and ")) } }
            }
            @if let Some(m) = days {
                td.one { (m.since) }
                (numbers([
                    thousands(m.active_days),
                    thousands(m.n_events),
                    signed(m.after_cost_bps, 1),
                    signed(Some(m.claim_gross_bps), 1),
                    signed(Some(m.floor_bps), 1),
                    number(Some(m.e_value), 2),
                    number(Some(m.detector_max), 1),
                ]))
            } @else {
                td.one colspan="8" { "published on evidence through " (closed_through) ", nothing closed since" }
            }
            td.one {
                (b.status.as_str())
                @for (mark, on) in marks {
                    @if let Some(on) = on { ", " (mark) " " (on) }
                }
            }
        }
    }
}
