//! What became of published blueprints since: a row each.

use std::fmt::Write as _;

use super::format::{escape, number, signed, thousands};
use backtestd_core::blueprints::Blueprint;

/// The lines of the version in force that have been published; empty where there are none.
pub(super) fn lives(published: &[Blueprint]) -> String {
    let mut out = String::new();
    for blueprint in published {
        let Some(publication) = &blueprint.publication else { continue };
        row(&mut out, blueprint, &publication.closed_through);
    }
    if out.is_empty() {
        return out;
    }
    format!(
        r#"<h2>After publication</h2><p class="note">Closed days that the publishing evidence had not seen. The claim is the published estimate before costs. E is a fresh test after costs: a large one confirms the rule live. The detector watches for a mean below the floor; it suspends, then retires, and both are final for this definition.</p><div class="scroll"><table><thead><tr><th>Blueprint</th><th>Rule</th><th>Since</th><th class="n">Active days</th><th class="n">Events</th><th class="n">Mean after cost</th><th class="n">Claim</th><th class="n">Floor</th><th class="n">E</th><th class="n">Detector, most</th><th>Status</th></tr></thead><tbody>{out}</tbody></table></div>"#
    )
}

fn row(out: &mut String, b: &Blueprint, closed_through: &str) {
    let rule = format!("{} {} {}", b.direction_rule, b.event_type, b.exit.horizon);
    let _ = write!(out, r#"<tr><td class="one">{}</td><td>{}"#, escape(&b.id), escape(&rule));
    if !b.entry.conditions.is_empty() {
        let _ = write!(out, " when <code>{}</code>", escape(&b.entry.conditions.join(" and ")));
    }
    out.push_str("</td>");
    match &b.monitoring {
        Some(m) => {
            let _ = write!(
                out,
                r#"<td class="one">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td>"#,
                escape(&m.since),
                thousands(m.active_days),
                thousands(m.n_events),
                signed(m.after_cost_bps, 1),
                signed(Some(m.claim_gross_bps), 1),
                signed(Some(m.floor_bps), 1),
                number(Some(m.e_value), 2),
                number(Some(m.detector_max), 1),
            );
        }
        None => {
            let _ = write!(
                out,
                r#"<td class="one" colspan="8">published on evidence through {}, nothing closed since</td>"#,
                escape(closed_through)
            );
        }
    }
    let (status, days) = (b.status.as_str(), b.monitoring.as_ref());
    let marks = [
        ("live-confirmed", days.and_then(|m| m.confirmed_on.as_deref())),
        ("suspended", days.and_then(|m| m.suspended_on.as_deref())),
        ("retired", days.and_then(|m| m.retired_on.as_deref())),
    ];
    let _ = write!(out, r#"<td class="one">{status}"#);
    for (mark, on) in marks.into_iter().filter_map(|(mark, on)| Some((mark, on?))) {
        let _ = write!(out, ", {mark} {}", escape(on));
    }
    out.push_str("</td></tr>");
}
