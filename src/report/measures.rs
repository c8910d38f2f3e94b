//! The panel of what no single leg can trade.

use std::fmt::Write as _;

use super::format::{escape, number, probability, signed, thousands};
use backtestd_core::conclude::{MeasureCount, statistic_words};
use backtestd_core::discovery::MeasuredTest;

/// The table of a statistic shows at most this many.
const SHOWN: usize = 15;

/// A table per statistic; nothing where nothing was tested.
pub(super) fn measures(tests: &[MeasuredTest], counts: &[MeasureCount]) -> String {
    if tests.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        r#"<h2>Beside discovery</h2><p class="note">What no single leg can trade: relative prices are held with a hedge leg, variance is information for sizing and stops. Tested each for itself, by the same rules; never published. The column of verbs names the side that the data favour.</p>"#,
    );
    for same in tests.chunk_by(|a, b| a.statistic == b.statistic) {
        let statistic = same[0].statistic;
        let found = same.iter().filter(|t| t.is_found).count() as u64;
        let trials = counts.iter().find(|count| count.statistic == statistic).map_or(0, |count| count.trials);
        let mut order: Vec<&MeasuredTest> = same.iter().collect();
        let t = |test: &MeasuredTest| test.t_stat.unwrap_or(0.0);
        order.sort_by(|a, b| {
            let by_evidence = a.q_value.total_cmp(&b.q_value).then(a.p_any.total_cmp(&b.p_any));
            by_evidence.then(t(b).total_cmp(&t(a)))
        });
        // A ratio has no unit and costs nothing.
        let (unit, is_ratio) = if same[0].unit() == "1" { ("", true) } else { (" bps", false) };
        let cost = if is_ratio { "" } else { r#"<th class="n">Cost bps</th>"# };
        let _ = write!(
            out,
            r#"<h3>Tests of {}</h3><p class="note">{} found among {} ({} trials ever); the first {} by q.</p><div class="scroll"><table><thead><tr><th>Event</th><th>Verb</th><th>Hold</th><th>Symbol</th><th>State</th><th class="n">n</th><th class="n">Days</th><th class="n">Mean{unit}</th>{cost}<th class="n">First half</th><th class="n">Second half</th><th class="n">t</th><th class="n">p any time</th><th class="n">q</th></tr></thead><tbody>"#,
            statistic_words(statistic),
            thousands(found),
            thousands(same.len() as u64),
            thousands(trials),
            order.len().min(SHOWN),
        );
        for t in order.into_iter().take(SHOWN) {
            let decimals = if is_ratio { 3 } else { 1 };
            let cost = if is_ratio {
                String::new()
            } else {
                format!(r#"<td class="n">{}</td>"#, number(t.cost, decimals))
            };
            let _ = write!(
                out,
                r#"<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td>{cost}<td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td></tr>"#,
                if t.is_found { r#" class="hit""# } else { "" },
                escape(&t.event_type),
                escape(&t.template_verb),
                escape(&t.horizon),
                escape(&t.symbol),
                escape(&t.state_id),
                thousands(t.n_events),
                thousands(t.n_clusters),
                signed(t.effect, decimals),
                signed(t.first_half, decimals),
                signed(t.second_half, decimals),
                number(t.t_stat, 1),
                probability(t.p_any),
                probability(t.q_value),
            );
        }
        out.push_str("</tbody></table></div>");
    }
    out
}
