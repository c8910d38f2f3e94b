//! The panel of what no single leg can trade.

use maud::{Markup, html};

use super::document::{heads, number_heads, numbers, table, texts};
use super::format::{number, probability, signed, thousands};
use backtestd_core::conclude::{MeasureCount, statistic_words};
use backtestd_core::discovery::MeasuredTest;

/// The table of a statistic shows at most this many.
const SHOWN: usize = 15;

/// A table per statistic; nothing where nothing was tested.
pub(super) fn measures(tests: &[MeasuredTest], counts: &[MeasureCount]) -> Markup {
    if tests.is_empty() {
        return Markup::default();
    }
    html! {
        h2 { "Beside discovery" }
        p.note {
            "What no single leg can trade: relative prices are held with a hedge leg, variance is information for "
            "sizing and stops. Tested each for itself, by the same rules; never published. The column of verbs names "
            "the side that the data favour."
        }
        @for same in tests.chunk_by(|a, b| a.statistic == b.statistic) { (tests_of_one(same, counts)) }
    }
}

/// The tests of one statistic, the strongest first.
fn tests_of_one(same: &[MeasuredTest], counts: &[MeasureCount]) -> Markup {
    let statistic = same[0].statistic;
    let found = same.iter().filter(|t| t.is_found).count() as u64;
    let trials = counts.iter().find(|count| count.statistic == statistic).map_or(0, |count| count.trials);
    let mut order: Vec<&MeasuredTest> = same.iter().collect();
    let t = |test: &MeasuredTest| test.t_stat.unwrap_or(0.0);
    order.sort_by(|a, b| {
        let by_evidence = a.q_value.total_cmp(&b.q_value).then(a.p_any.total_cmp(&b.p_any));
        by_evidence.then(t(b).total_cmp(&t(a)))
    });
    order.truncate(SHOWN);
    // A ratio has no unit and costs nothing.
    let is_ratio = same[0].unit() == "1";
    let heads = html! {
        (heads(&["Event", "Verb", "Hold", "Symbol", "State"]))
        (number_heads(&["n", "Days"]))
        (number_heads(if is_ratio { &["Mean"] } else { &["Mean bps", "Cost bps"] }))
        (number_heads(&["First half", "Second half", "t", "p any time", "q"]))
    };
    html! {
        h3 { "Tests of " (statistic_words(statistic)) }
        p.note {
            (thousands(found)) " found among " (thousands(same.len() as u64)) " (" (thousands(trials))
            " trials ever); the first " (order.len()) " by q."
        }
        (table(heads, html! { @for test in order { (row(test, is_ratio)) } }))
    }
}

fn row(t: &MeasuredTest, is_ratio: bool) -> Markup {
    let decimals = if is_ratio { 3 } else { 1 };
    html! {
        tr class=[t.is_found.then_some("hit")] {
            (texts([&*t.event_type, &*t.template_verb, &*t.horizon, &t.symbol, &t.state_id]))
            (numbers([thousands(t.n_events), thousands(t.n_clusters), signed(t.effect, decimals)]))
            @if !is_ratio { td.n { (number(t.cost, decimals)) } }
            (numbers([
                signed(t.first_half, decimals),
                signed(t.second_half, decimals),
                number(t.t_stat, 1),
                probability(t.p_any),
                probability(t.q_value),
            ]))
        }
    }
}
