//! The page: what it says and in which order.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::blueprint_cards::cards;
use super::charts::{Dot, Stage, funnel, histogram, scatter};
use super::format::{escape, thousands};
use super::tables;
use crate::blueprints::Blueprint;
use crate::bridge::BridgeResult;
use crate::discovery::Candidate;
use crate::pipeline::QualityReport;

/// The table of candidates shows at most this many.
const CANDIDATES_SHOWN: usize = 40;
const STYLE: &str = include_str!("style.css");

/// Bars of one symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolFacts {
    /// Name.
    pub symbol: String,
    /// Bars with data.
    pub bars: u64,
    /// Missing bars.
    pub gaps: u64,
}

/// What a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// The run.
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
    /// Where the candidates stopped, in words.
    pub reasons: &'a [String],
}

/// The page as HTML.
#[must_use]
pub fn render(input: &ReportInput<'_>) -> String {
    let mut out = String::with_capacity(256 * 1024);
    let _ = write!(
        out,
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>Research run {}</title><style>{STYLE}</style></head><body><main>"#,
        escape(input.run_id)
    );
    head(&mut out, input);
    blueprints(&mut out, input);
    funnel_section(&mut out, input);
    evidence(&mut out, input);
    candidates(&mut out, input);
    events(&mut out, input);
    let _ = writeln!(
        out,
        "<footer>backtestd {}. Effects are basis points per trade in the traded direction; all times UTC. What is tested is what is published.</footer></main></body></html>",
        escape(input.code_version)
    );
    out
}

fn head(out: &mut String, input: &ReportInput<'_>) {
    let n = input.blueprints.len();
    let verdict = match n {
        0 => format!("No blueprint: none of {} hypotheses passed every gate", thousands(input.hypotheses)),
        1 => format!("One blueprint out of {} hypotheses", thousands(input.hypotheses)),
        n => format!("{n} blueprints out of {} hypotheses", thousands(input.hypotheses)),
    };
    let bars: u64 = input.symbols.iter().map(|s| s.bars).sum();
    let discoveries = input.candidates.iter().filter(|c| c.is_discovery).count() as u64;
    let _ = write!(
        out,
        r#"<p class="kicker">Research run {} · {} to {}</p><h1>{verdict}</h1><div class="facts">"#,
        escape(input.run_id),
        escape(input.start),
        escape(input.end)
    );
    for (count, name) in [
        (bars, "bars of 5 minutes"),
        (input.events, "events"),
        (input.outcomes, "outcomes"),
        (input.hypotheses, "hypotheses"),
        (discoveries, "discoveries"),
        (n as u64, if n == 1 { "blueprint" } else { "blueprints" }),
    ] {
        let _ = write!(out, "<div><b>{}</b><span>{name}</span></div>", thousands(count));
    }
    out.push_str("</div><dl class=\"meta\">");
    let symbols: Vec<String> = input
        .symbols
        .iter()
        .map(|s| {
            let gaps = if s.gaps == 0 { String::new() } else { format!(", {} gaps", thousands(s.gaps)) };
            format!("{} ({} bars{gaps})", s.symbol, thousands(s.bars))
        })
        .collect();
    for (name, value) in [
        ("Symbols", symbols.join(" · ")),
        ("Published as", input.version.unwrap_or("not published").to_owned()),
        ("Specs", input.ontology_spec_hash.to_owned()),
        ("Program", input.code_version.to_owned()),
    ] {
        let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", escape(&value));
    }
    out.push_str("</dl>");
}

fn blueprints(out: &mut String, input: &ReportInput<'_>) {
    out.push_str("<h2>Blueprints</h2>");
    if input.blueprints.is_empty() {
        out.push_str(r#"<p class="note">Nothing to trade is a valid result. Why:</p>"#);
    } else {
        out.push_str(
            r#"<p class="note">Each rule exactly as it was tested and simulated. The bar is the interval of the shrunk effect; it should lie beyond the cost.</p>"#,
        );
        out.push_str(&cards(input.blueprints));
    }
    out.push_str(r#"<ul class="reasons note">"#);
    for reason in input.reasons {
        let _ = write!(out, "<li>{}</li>", escape(reason));
    }
    out.push_str("</ul>");
}

fn funnel_section(out: &mut String, input: &ReportInput<'_>) {
    out.push_str(
        r#"<h2>Where hypotheses stopped</h2><p class="note">Each stage counts what passed it and all stages before. Logarithmic lengths.</p><div class="panel">"#,
    );
    out.push_str(&funnel(&stages(input)));
    out.push_str("</div>");
}

type Test = fn(&Candidate) -> bool;

fn stages(input: &ReportInput<'_>) -> Vec<Stage> {
    let mut out = vec![
        Stage { name: "Hypotheses", what: "units of the catalogue", count: input.hypotheses },
        Stage { name: "With data", what: "at least one matured event", count: input.candidates.len() as u64 },
    ];
    let tests: [(&'static str, &'static str, Test); 7] = [
        ("Discoveries", "q within the limit, over the whole catalogue", |c| c.is_discovery),
        ("Sample size", "enough events and days", |c| c.gate_sample_size),
        ("Sign certain", "local false sign rate within the limit", |c| c.gate_lfsr),
        ("Pays its cost", "shrunk effect beyond the round trip", |c| c.gate_economic),
        ("Pays stressed cost", "the same at the stressed cost", |c| c.gate_economic_conservative),
        ("Both halves agree", "first and second half have the traded sign", |c| c.gate_stability),
        ("All gates", "state information too", |c| c.gate_phase2_final),
    ];
    let mut left: Vec<(usize, &Candidate)> = input.candidates.iter().enumerate().collect();
    for (name, what, test) in tests {
        left.retain(|(_, c)| test(c));
        out.push(Stage { name, what, count: left.len() as u64 });
    }
    left.retain(|(at, _)| input.bridge.get(at).is_some_and(|b| b.columns.tradable));
    out.push(Stage { name: "Tradable", what: "passed the bridge", count: left.len() as u64 });
    out.push(Stage { name: "Blueprints", what: "compiled", count: input.blueprints.len() as u64 });
    out
}

fn evidence(out: &mut String, input: &ReportInput<'_>) {
    let defined: Vec<&Candidate> = input.candidates.iter().filter(|c| c.t_stat.is_some()).collect();
    let p_values: Vec<f64> = defined.iter().map(|c| c.p_value).collect();
    let dots: Vec<Dot> = input
        .candidates
        .iter()
        .filter_map(|c| {
            let (raw, shrunk) = c.effect_raw_bps.zip(c.effect_shrunk_bps())?;
            let name =
                format!("{} {} {} {}", c.event_type, c.direction_rule, c.horizon.label, c.scope.label());
            (raw.is_finite() && shrunk.is_finite()).then(|| Dot {
                raw,
                shrunk,
                is_discovery: c.is_discovery,
                name: escape(&name),
            })
        })
        .collect();
    let _ = write!(
        out,
        r#"<h2>Evidence</h2><div class="pair"><div class="panel"><h3>Day-clustered p-values</h3><p class="legend"><i></i>what chance alone gives ({} tests)</p>{}</div><div class="panel"><h3>Effects, raw and shrunk</h3><p class="legend"><i></i>no shrinkage · green: discoveries</p>{}</div></div>"#,
        thousands(p_values.len() as u64),
        histogram(&p_values),
        scatter(&dots)
    );
}

fn candidates(out: &mut String, input: &ReportInput<'_>) {
    let shown = input.candidates.len().min(CANDIDATES_SHOWN);
    let _ = write!(
        out,
        r#"<h2>Candidates</h2><p class="note">The best {shown} of {} by q; a discovery needs q ≤ {}. Point at the last column for the numbers behind it.</p>"#,
        thousands(input.candidates.len() as u64),
        input.max_q_value
    );
    out.push_str(&tables::candidates(input.candidates, input.bridge, CANDIDATES_SHOWN));
}

fn events(out: &mut String, input: &ReportInput<'_>) {
    out.push_str(
        r#"<h2>Events</h2><p class="note">Onsets over all symbols; the dot is the rate per 10,000 known bars, the band the range that the spec declares (0.1 to 1,000, logarithmic).</p>"#,
    );
    out.push_str(&tables::events(&input.quality.events));
    out.push_str(&tables::partial_sources(&input.quality.partial_sources));
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
