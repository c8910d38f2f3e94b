//! The page: what it says and in which order.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::blueprint_cards::cards;
use super::bounded::bounded;
use super::calibration_chart::{Line, calibration};
use super::charts::{Dot, Histogram, funnel, histogram, scatter, twin_name};
use super::event_study::studies;
use super::format::{escape, number, thousands};
use super::lives::lives;
use super::measures::measures;
use super::tables;
use backtestd_core::blueprints::Blueprint;
use backtestd_core::conclude::Stage;
use backtestd_core::conclude::{MeasureCount, Placebo};
use backtestd_core::discovery::{Candidate, MeasuredTest};
use backtestd_core::pipeline::QualityReport;
use backtestd_core::tradability::BridgeResult;

/// The table of candidates shows at most this many.
const CANDIDATES_SHOWN: usize = 40;
/// The style of every page.
pub(super) const STYLE: &str = include_str!("style.css");

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
    /// The version in force, each line with what the days since its publication say.
    pub published: &'a [Blueprint],
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

/// Everything up to the content.
pub(super) fn open_page(title: &str, style: &str) -> String {
    let mut out = String::with_capacity(256 * 1024);
    let _ = write!(
        out,
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>{}</title><style>{style}</style></head><body><main>"#,
        escape(title)
    );
    out
}

/// The page as HTML.
#[must_use]
pub fn render(input: &ReportInput<'_>) -> String {
    let mut out = open_page(&format!("Research run {}", input.run_id), STYLE);
    head(&mut out, input);
    blueprints(&mut out, input);
    out.push_str(&lives(input.published));
    funnel_section(&mut out, input);
    evidence(&mut out, input);
    event_studies(&mut out, input);
    candidates(&mut out, input);
    out.push_str(&measures(input.measures, input.measure_counts));
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
        r#"<h2>Where hypotheses stopped</h2><p class="note">Each stage counts what passed it and all stages before. Logarithmic lengths.</p>"#,
    );
    if let Some(placebo) = input.placebo {
        let _ = write!(
            out,
            r#"<p class="legend"><b class="key bar"></b>this run <b class="key twin0"></b>events moved to other days, mean of {0} draws <b class="key twin1"></b>days with random signs, mean of {0} draws</p>"#,
            placebo.draws
        );
    }
    let _ = write!(out, r#"<div class="panel">{}</div>"#, funnel(input.funnel, input.placebo));
    out.push_str(&bounded(input.candidates));
    if let Some(placebo) = input.placebo {
        twin_table(out, placebo);
    }
}

/// The funnel of the run and of its placebo as numbers.
fn twin_table(out: &mut String, placebo: &Placebo) {
    out.push_str(r#"<div class="scroll"><table><thead><tr><th>Stage</th><th class="n">This run</th>"#);
    for twin in &placebo.nulls {
        let _ = write!(
            out,
            r#"<th class="n">{}: mean</th><th class="n">most</th><th class="n">draws with any</th>"#,
            twin_name(twin)
        );
    }
    out.push_str("</tr></thead><tbody>");
    for (i, stage) in placebo.real.iter().enumerate() {
        let _ = write!(
            out,
            r#"<tr><td class="one">{}</td><td class="n">{}</td>"#,
            stage.name,
            thousands(stage.count)
        );
        for twin in &placebo.nulls {
            let (mean, most) = twin.stage(i);
            let _ = write!(
                out,
                r#"<td class="n">{}</td><td class="n">{}</td><td class="n">{} of {}</td>"#,
                if mean < 100.0 { number(Some(mean), 2) } else { thousands(mean as u64) },
                thousands(most),
                twin.draws_reaching(i),
                placebo.draws
            );
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}

fn evidence(out: &mut String, input: &ReportInput<'_>) {
    // A test that is undefined (too few days) has p = 1 exactly and says nothing about calibration.
    let defined = input.candidates.iter().filter(|c| c.p_value < 1.0);
    let mut p_values: Vec<f64> = defined.map(|c| c.p_value).collect();
    p_values.sort_by(f64::total_cmp);
    let mut p_any: Vec<f64> = input.candidates.iter().map(|c| c.p_any).collect();
    p_any.sort_by(f64::total_cmp);
    let log_e: Vec<f64> = input.candidates.iter().map(|c| libm::log10(c.e_pair.max(1e-300))).collect();
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
    let tests = p_values.len() as u64;
    let p_chart = histogram(&Histogram {
        values: &p_values,
        range: (0.0, 1.0),
        ticks: &[(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")],
        expected: Some(tests as f64 / 20.0),
        mark: None,
        axis: "p (one look)",
        log_counts: false,
    });
    let e_chart = histogram(&Histogram {
        values: &log_e,
        range: (-3.0, 5.0),
        ticks: &[(-2.0, "0.01"), (0.0, "1"), (2.0, "100"), (4.0, "10,000")],
        expected: None,
        mark: Some(0.0),
        axis: "e of the pair, today (logarithmic, both ways)",
        log_counts: true,
    });
    let mut lines = vec![Line { class: "real", p: &p_values }, Line { class: "any", p: &p_any }];
    let mut legend = String::from(
        r#"<b class="key real"></b>one look <b class="key any"></b>any time, which is what decides"#,
    );
    for (k, twin) in input.placebo.iter().flat_map(|p| &p.nulls).enumerate() {
        lines.push(Line { class: if k == 0 { "twin0" } else { "twin1" }, p: &twin.p_values });
        let _ = write!(legend, r#" <b class="key twin{k}"></b>one look, {}"#, twin_name(twin));
    }
    let _ = write!(
        out,
        r#"<h2>Evidence</h2><p class="note">The day-clustered t looks once and decides nothing; what decides is the anytime p, which stays valid although discovery looks every day. Tests share events, so neither curve needs to be smooth.</p><div class="pair"><div class="panel"><h3>Day-clustered p-values</h3><p class="legend"><i></i>what chance alone gives ({} tests)</p>{p_chart}</div><div class="panel"><h3>Calibration</h3><p class="legend"><i></i>chance alone · {legend}</p>{}</div><div class="panel"><h3>e-values</h3><p class="legend"><i></i>no evidence; under the null the mean is at most 1</p>{e_chart}</div><div class="panel"><h3>Effects, raw and shrunk</h3><p class="legend"><i></i>no shrinkage · green: discoveries</p>{}</div></div>"#,
        thousands(tests),
        calibration(&lines),
        scatter(&dots)
    );
}

fn event_studies(out: &mut String, input: &ReportInput<'_>) {
    let studies = studies(input.candidates);
    if studies.is_empty() {
        return;
    }
    let _ = write!(
        out,
        r#"<h2>After the event</h2><p class="note">Mean return in the event's direction from the entry to each holding time, in bps, over all symbols and states; the band is 90 %, by UTC days. A rule may follow or fade. Dashed: the round trip, where it is in sight. Each chart has its own scale.</p><div class="panel">{studies}</div>"#
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
