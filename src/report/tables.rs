//! The tables: candidates by q, event types by family.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::charts::prevalence;
use super::format::{escape, number, probability, signed, thousands};
use backtestd_core::discovery::Candidate;
use backtestd_core::pipeline::{EventQuality, POOLED, PartialSource};
use backtestd_core::tradability::BridgeResult;

/// The best candidates by q, at most `most`.
pub(super) fn candidates(
    candidates: &[Candidate],
    bridge: &BTreeMap<usize, BridgeResult>,
    most: usize,
) -> String {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| {
        let key = |at: usize| (candidates[at].q_value, candidates[at].p_any);
        let (a_key, b_key) = (key(*a), key(*b));
        a_key.0.total_cmp(&b_key.0).then(a_key.1.total_cmp(&b_key.1)).then(a.cmp(b))
    });
    let mut out = String::from(
        r#"<div class="scroll"><table><thead><tr><th>Event</th><th>Rule</th><th>Hold</th><th>Symbol</th><th>State</th><th class="n">n</th><th class="n">Days</th><th class="n">Raw bps</th><th class="n">Shrunk bps</th><th class="n">After cost</th><th class="n">t</th><th class="n">p any time</th><th class="n">q</th><th class="n">Bridge net</th><th>Stopped by</th></tr></thead><tbody>"#,
    );
    for at in order.into_iter().take(most) {
        let c = &candidates[at];
        let net = bridge.get(&at).and_then(|b| b.columns.after_cost_bps);
        let stopped = c.fail_reasons.iter().map(|r| r.gate).collect::<Vec<_>>().join(", ");
        let why = c.fail_reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let _ = write!(
            out,
            r#"<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="why one" title="{}">{}</td></tr>"#,
            if c.is_discovery { r#" class="hit""# } else { "" },
            escape(&c.event_type),
            c.direction_rule,
            escape(&c.horizon.label),
            escape(c.scope.label()),
            escape(c.state_id()),
            thousands(c.n_events),
            thousands(c.n_clusters),
            signed(c.effect_raw_bps, 1),
            signed(c.effect_shrunk_bps(), 1),
            signed(c.after_cost_expectancy_bps, 1),
            number(c.t_stat, 1),
            probability(c.p_any),
            probability(c.q_value),
            signed(net, 1),
            escape(&why),
            escape(&stopped.replace("_GATE", "").replace('_', " ").to_lowercase()),
        );
    }
    out + "</tbody></table></div>"
}

/// The lines of one verdict.
fn verdict(q: &EventQuality) -> Vec<String> {
    let symbol = if q.symbol == POOLED { "all symbols" } else { &q.symbol };
    let consequence = if q.excluded { "; left out of discovery" } else { "" };
    let mut lines: Vec<String> = q
        .findings
        .iter()
        .map(|f| format!("{}: {}{consequence}", escape(symbol), escape(&f.to_string())))
        .collect();
    if let Some(column) = &q.unavailable {
        lines.push(format!("{}: unavailable, no <code>{}</code>", escape(symbol), escape(column)));
    }
    lines
}

/// Source columns that whole days lack.
pub(super) fn partial_sources(list: &[PartialSource]) -> String {
    if list.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        r#"<h3>Sources known in part</h3><p class="note">Where a source is unknown, the event types that need it are unavailable, not quiet.</p><div class="scroll"><table><thead><tr><th>Source</th><th>Symbol</th><th>Known from</th><th>through</th><th class="n">Days without</th><th>Event types</th></tr></thead><tbody>"#,
    );
    for p in list {
        let _ = write!(
            out,
            r#"<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td><td class="n">{} of {}</td><td class="why">{}</td></tr>"#,
            p.column,
            escape(&p.symbol),
            p.known_from.as_deref().unwrap_or("never"),
            p.known_through.as_deref().unwrap_or("never"),
            p.days_without,
            p.days,
            escape(&p.events.join(", ")),
        );
    }
    out + "</tbody></table></div>"
}

/// Event types by family, pooled over the symbols.
pub(super) fn events(quality: &[EventQuality]) -> String {
    let mut pooled: Vec<&EventQuality> = quality.iter().filter(|q| q.symbol == POOLED).collect();
    pooled.sort_by(|a, b| (&a.family, &a.event_type).cmp(&(&b.family, &b.event_type)));
    let mut out = String::from(
        r#"<div class="scroll"><table><thead><tr><th>Event</th><th class="n">Onsets</th><th class="n">per 10,000</th><th>declared range</th><th></th><th>Findings</th></tr></thead><tbody>"#,
    );
    let mut family = "";
    for event in pooled {
        if event.family != family {
            family = &event.family;
            let _ = write!(out, r#"<tr class="family"><td colspan="6">{}</td></tr>"#, escape(family));
        }
        let (low, high) = event.bounds;
        let on_symbols = quality.iter().filter(|q| q.symbol != POOLED && q.event_type == event.event_type);
        let (class, findings) = match &event.unavailable {
            Some(column) => (" class=\"off\"", format!("unavailable: no <code>{}</code>", escape(column))),
            None => {
                let lines: Vec<String> = std::iter::once(event).chain(on_symbols).flat_map(verdict).collect();
                (if lines.is_empty() { "" } else { " class=\"bad\"" }, lines.join("<br>"))
            }
        };
        let chart = if event.unavailable.is_some() {
            String::new()
        } else {
            prevalence(event.per_10k, event.bounds, event.findings.is_empty())
        };
        let _ = write!(
            out,
            r#"<tr{class}><td>{}</td><td class="n">{}</td><td class="n">{}</td><td>{low} – {high}</td><td>{chart}</td><td class="why">{findings}</td></tr>"#,
            escape(&event.event_type),
            if event.unavailable.is_some() { "–".to_owned() } else { thousands(event.tally.onsets) },
            number(event.per_10k, 1),
        );
    }
    out + "</tbody></table></div>"
}
