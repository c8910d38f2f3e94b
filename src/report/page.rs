//! The page: what it says and in which order.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::blueprint_cards::cards;
use super::bounded::bounded;
use super::charts::{funnel, twin_name};
use super::document::{document, number_heads, table};
use super::event_study::studies;
use super::evidence::evidence;
use super::format::{number, thousands};
use super::lives::lives;
use super::measures::measures;
use super::portfolio::portfolio;
use super::rests::rests;
use super::tables;
use backtestd_core::blueprints::Blueprint;
use backtestd_core::conclude::{MeasureCount, Placebo, Portfolio, Stage};
use backtestd_core::discovery::{Candidate, MeasuredTest};
use backtestd_core::pipeline::QualityReport;
use backtestd_core::tradability::BridgeResult;

/// The table of candidates shows at most this many.
const CANDIDATES_SHOWN: usize = 40;

/// Bars of one symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolFacts {
    /// Name of the symbol.
    pub symbol: String,
    /// Bars with data.
    pub bars: u64,
    /// Slots of the 5-minute grid without a bar.
    pub gaps: u64,
    /// Records that are not taken for true.
    pub quarantined: u64,
}

/// What a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// Id of the run.
    pub run_id: &'a str,
    /// First bar, as text.
    pub start: &'a str,
    /// End of the data, as text.
    pub end: &'a str,
    /// Hash of the specs.
    pub ontology_spec_hash: &'a str,
    /// Version and commit of the program.
    pub code_version: &'a str,
    /// The version in force after the run, if it published.
    pub version: Option<&'a str>,
    /// Symbols with their bars.
    pub symbols: &'a [SymbolFacts],
    /// Detections in all.
    pub events: u64,
    /// Outcomes with a known return.
    pub outcomes: u64,
    /// Hypotheses in the catalogue.
    pub hypotheses: u64,
    /// The q that a discovery must reach.
    pub max_q_value: f64,
    /// Health of each event type, pooled rows (`ALL`) are shown.
    pub quality: &'a QualityReport,
    /// Candidates after the bridge.
    pub candidates: &'a [Candidate],
    /// The bridge's results by candidate index.
    pub bridge: &'a BTreeMap<usize, BridgeResult>,
    /// What was compiled.
    pub blueprints: &'a [Blueprint],
    /// The version in force, each line with what the days since its publication say.
    pub published: &'a [Blueprint],
    /// What one account earns that trades them together.
    pub portfolio: Option<&'a Portfolio>,
    /// Where the candidates stopped, in words.
    pub reasons: &'a [String],
    /// Where hypotheses stopped.
    pub funnel: &'a [Stage],
    /// Null twins of the run.
    pub placebo: Option<&'a Placebo>,
    /// Tests beside discovery, of what no single leg can trade.
    pub measures: &'a [MeasuredTest],
    /// How many of them there are by statistic.
    pub measure_counts: &'a [MeasureCount],
}

/// The page as HTML.
#[must_use]
pub fn render(input: &ReportInput<'_>) -> String {
    let content = html! {
        (head(input))
        (blueprints(input))
        (portfolio(input.portfolio))
        (lives(input.published))
        (funnel_section(input))
        (evidence(input.candidates, input.placebo))
        (event_studies(input))
        (candidates(input))
        (measures(input.measures, input.measure_counts))
        (events(input))
        footer {
            "backtestd " (input.code_version) ". Effects are basis points per trade in the traded direction; "
            "all times UTC. What is tested is what is published."
        }
    };
    document(&format!("Research run {}", input.run_id), content)
}

fn head(input: &ReportInput<'_>) -> Markup {
    let n = input.blueprints.len();
    let verdict = match n {
        0 => format!("No blueprint: none of {} hypotheses passed every gate", thousands(input.hypotheses)),
        1 => format!("One blueprint out of {} hypotheses", thousands(input.hypotheses)),
        n => format!("{n} blueprints out of {} hypotheses", thousands(input.hypotheses)),
    };
    let bars: u64 = input.symbols.iter().map(|s| s.bars).sum();
    let discoveries = input.candidates.iter().filter(|c| c.judgement.is_discovery).count() as u64;
    let counts = [
        (bars, "bars of 5 minutes"),
        (input.events, "events"),
        (input.outcomes, "outcomes"),
        (input.hypotheses, "hypotheses"),
        (discoveries, "discoveries"),
        (n as u64, if n == 1 { "blueprint" } else { "blueprints" }),
    ];
    let symbol = |s: &SymbolFacts| {
        let gaps = if s.gaps == 0 { String::new() } else { format!(", {} gaps", thousands(s.gaps)) };
        let held = match s.quarantined {
            0 => String::new(),
            n => format!(", {} records in quarantine", thousands(n)),
        };
        format!("{} ({} bars{gaps}{held})", s.symbol, thousands(s.bars))
    };
    let symbols = input.symbols.iter().map(symbol).collect::<Vec<String>>().join(" · ");
    let terms = [
        ("Symbols", symbols.as_str()),
        ("Published as", input.version.unwrap_or("not published")),
        ("Specs", input.ontology_spec_hash),
        ("Program", input.code_version),
    ];
    html! {
        p.kicker { "Research run " (input.run_id) " · " (input.start) " to " (input.end) }
        h1 { (verdict) }
        div.facts {
            @for (count, name) in counts { div { b { (thousands(count)) } span { (name) } } }
        }
        dl.meta {
            @for (name, value) in terms { dt { (name) } dd { (value) } }
        }
    }
}

fn blueprints(input: &ReportInput<'_>) -> Markup {
    html! {
        h2 { "Blueprints" }
        @if input.blueprints.is_empty() {
            p.note { "Nothing to trade is a valid result. Why:" }
        } @else {
            p.note {
                "Each rule exactly as it was tested and simulated. The bar is the interval of the shrunk effect; "
                "it should lie beyond the cost."
            }
            (cards(input.blueprints))
        }
        ul.reasons.note { @for reason in input.reasons { li { (reason) } } }
    }
}

fn funnel_section(input: &ReportInput<'_>) -> Markup {
    html! {
        h2 { "Where hypotheses stopped" }
        p.note { "Each stage counts what passed it and all stages before. Logarithmic lengths." }
        @if let Some(placebo) = input.placebo {
            p.legend {
                b.key.bar {} "this run "
                b.key.twin0 {} "events moved to other days, mean of " (placebo.draws) " draws "
                b.key.twin1 {} "days with random signs, mean of " (placebo.draws) " draws"
            }
        }
        div.panel { (funnel(input.funnel, input.placebo)) }
        (bounded(input.candidates))
        @if let Some(placebo) = input.placebo { (twin_table(placebo)) }
    }
}

/// The funnel of the run and of its placebo as numbers.
fn twin_table(placebo: &Placebo) -> Markup {
    let heads = html! {
        th { "Stage" }
        th.n { "This run" }
        @for twin in &placebo.nulls {
            th.n { (twin_name(twin)) ": mean" }
            (number_heads(&["most", "draws with any"]))
        }
    };
    let rows = html! {
        @for (i, stage) in placebo.real.iter().enumerate() {
            tr {
                td.one { (stage.name) }
                td.n { (thousands(stage.count)) }
                @for twin in &placebo.nulls {
                    @let (mean, most) = twin.stage(i);
                    td.n { @if mean < 100.0 { (number(Some(mean), 2)) } @else { (thousands(mean as u64)) } }
                    td.n { (thousands(most)) }
                    td.n { (twin.draws_reaching(i)) " of " (placebo.draws) }
                }
            }
        }
    };
    table(heads, rows)
}

fn event_studies(input: &ReportInput<'_>) -> Markup {
    let Some(studies) = studies(input.candidates) else { return Markup::default() };
    html! {
        h2 { "After the event" }
        p.note {
            "Mean return in the event's direction from the entry to each holding time, in bps, over all symbols and "
            "states; the band is 90 %, by UTC days. A rule may follow or fade. Dashed: the round trip, where it is in "
            "sight. Each chart has its own scale."
        }
        div.panel { (studies) }
    }
}

fn candidates(input: &ReportInput<'_>) -> Markup {
    let all = input.candidates.len();
    html! {
        h2 { "Candidates" }
        p.note {
            "The best " (all.min(CANDIDATES_SHOWN)) " of " (thousands(all as u64)) " by q; a discovery needs q ≤ "
            (input.max_q_value) ". Point at the last column for the numbers behind it."
        }
        (tables::candidates(input.candidates, input.bridge, CANDIDATES_SHOWN))
        (rests(input.candidates, input.bridge, CANDIDATES_SHOWN))
    }
}

fn events(input: &ReportInput<'_>) -> Markup {
    html! {
        h2 { "Events" }
        p.note {
            "Onsets over all symbols; the dot is the rate per 10,000 known bars, the band the range that the spec "
            "declares (0.1 to 1,000, logarithmic)."
        }
        (tables::events(&input.quality.events))
        (tables::partial_sources(&input.quality.partial_sources))
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
