//! The page of a calibration: verdicts first, then what every decider did in every world, then power.

use maud::{Markup, html};

use super::document::{document, heads, number_heads, numbers, table};
use super::format::{number, px, signed, thousands};
use backtestd_lab::calibrate::{
    CalibrationSummary, Criterion, Decider, Estimate, Grade, PipelineTally, PowerClass, PublishedTally,
    ScoresTally, WorldTally,
};

/// The page as HTML.
#[must_use]
pub fn calibration_page(summary: &CalibrationSummary) -> String {
    let failed = summary.failures();
    let judged = summary.criteria.iter().filter(|c| c.verdict != Grade::NotMeasured).count();
    let headline = match (judged, failed) {
        (0, _) => "Nothing could be judged: too few cases".to_owned(),
        (n, 0) => format!("All {n} criteria that could be judged hold"),
        (n, f) => format!("{f} of {n} criteria do not hold"),
    };
    let content = html! {
        p.kicker {
            "Calibration, level " (summary.level) " · seed " (summary.seed) " · " (summary.days) " days"
        }
        h1 { (headline) }
        p.note {
            "Worlds whose truth is known, lived through day by day with the code that production runs; publication "
            "counts at every look. ± is one Monte-Carlo standard error, runs being the independent parts."
        }
        @if !summary.criteria.is_empty() { (criteria(&summary.criteria)) }
        @if !summary.worlds.is_empty() { (errors(&summary.worlds)) }
        @for world in &summary.worlds { (power(world)) }
        (estimates(&summary.worlds))
        @if !summary.pipeline.is_empty() { (pipeline(&summary.pipeline)) }
        @if let Some(scores) = &summary.scores { (real_scores(scores)) }
        footer { "backtestd " (summary.code_version) }
    };
    document("Calibration", content)
}

/// A value as text, with its standard error where there is one.
fn beside_error(value: String, e: &Estimate, decimals: usize) -> Markup {
    html! { (value) @if e.se.is_some() { " " small { "± " (number(e.se, decimals)) } } }
}

fn with_error(e: &Estimate, decimals: usize) -> Markup {
    beside_error(number(e.value, decimals), e, decimals)
}

fn criteria(criteria: &[Criterion]) -> Markup {
    let heads = html! {
        (heads(&["No.", "What"])) (number_heads(&["Measured", "Bound", "Cases"])) th { "Grade" }
    };
    html! {
        h2 { "Acceptance" }
        (table(heads, html! { @for c in criteria { (criterion(c)) } }))
    }
}

fn criterion(c: &Criterion) -> Markup {
    let (class, verdict) = match c.verdict {
        Grade::Pass => ("hit", "holds"),
        Grade::Fail => ("bad", "does not hold"),
        Grade::NotMeasured => ("off", "too few cases"),
    };
    let relation = match c.relation {
        "<=" => "≤",
        ">=" => "≥",
        other => other,
    };
    html! {
        tr class=(class) {
            td { (c.number) }
            td { (c.what) }
            td.n { (with_error(&c.measured, 3)) }
            td.n { (relation) " " (number(Some(c.bound), 3)) }
            td.n { (thousands(c.measured.cases as u64)) }
            td.why { (verdict) }
        }
    }
}

fn errors(worlds: &[WorldTally]) -> Markup {
    let columns = [
        "Runs",
        "Published a run",
        "False a run",
        "Runs with any false",
        "FDR ever",
        "FDR last look",
        "FDR random look",
    ];
    let rows = html! {
        @for world in worlds {
            @for (decider, d) in &world.deciders {
                @let (class, name) = match decider {
                    Decider::Production => (Some("hit"), "production"),
                    Decider::IidT => (None, "canary: independent t, BH"),
                    Decider::DailyCr2 => (None, "canary: daily CR2, BH"),
                };
                tr class=[class] {
                    td { (world.world) }
                    td { (name) }
                    td.n { (world.runs) }
                    (numbers([
                        with_error(&d.published_per_run, 1),
                        with_error(&d.false_per_run, 2),
                        with_error(&d.any_false, 3),
                        with_error(&d.fdr_ever, 3),
                        with_error(&d.fdr_final, 3),
                        with_error(&d.fdr_random, 3),
                    ]))
                }
            }
        }
    };
    html! {
        h2 { "Errors by world" }
        p.note {
            "The canaries are tests that are wrong on purpose: if they look fine, this experiment sees nothing."
        }
        (table(html! { (heads(&["World", "Decider"])) (number_heads(&columns)) }, rows))
        (procedures(worlds))
    }
}

/// What each multiplicity procedure finds on the last evening of a world.
fn procedures(worlds: &[WorldTally]) -> Markup {
    let Some(first) = worlds.iter().find(|w| !w.procedures.is_empty()) else { return html! {} };
    let names: Vec<&str> = first.procedures.keys().copied().collect();
    let rows = html! {
        @for world in worlds.iter().filter(|w| !w.procedures.is_empty()) {
            tr {
                td { (world.world) }
                @for found in world.procedures.values() { td.n { (with_error(found, 2)) } }
            }
        }
    };
    html! {
        h2 { "Found on the last evening" }
        p.note { "Hypotheses a run, by multiplicity procedure. One of them publishes; the others are there to compare." }
        (table(html! { (heads(&["World"])) (number_heads(&names)) }, rows))
    }
}

fn power(world: &WorldTally) -> Markup {
    let classes: Vec<&PowerClass> = world.power.iter().filter(|c| c.found.cases > 0).collect();
    if classes.is_empty() {
        return Markup::default();
    }
    html! {
        h2 { "Power in " code { (world.world) } }
        p.note {
            "Share of true hypotheses that were published at any look. Strength is |mean| √n / sd of one event."
        }
        div.panel {
            svg.chart viewBox={ "0 0 760 " (classes.len() * 30 + 8) } role="img" aria-label="Power by class" {
                @for (i, class) in classes.iter().enumerate() {
                    @let y = i * 30;
                    @let found = px(class.found.value.unwrap_or(0.0) * 380.0);
                    text x="268" y=(y + 19) class="label" text-anchor="end" { (class.class) }
                    rect x="280" y=(y + 5) width="380" height="18" rx="3" class="rail" {}
                    rect x="280" y=(y + 5) width=(found) height="18" rx="3" class="bar last" {}
                    text x="670" y=(y + 19) class="value" {
                        (number(class.found.value, 2))
                        tspan class="tick" { " of " (thousands(class.found.cases as u64)) }
                    }
                }
            }
        }
    }
}

fn estimates(worlds: &[WorldTally]) -> Markup {
    let rows: Vec<(&WorldTally, &str, &PublishedTally)> = worlds
        .iter()
        .flat_map(|w| [(w, "rejected", &w.published), (w, "and every gate", &w.gated)])
        .filter(|(_, _, set)| set.gross_false.cases > 0)
        .collect();
    if rows.is_empty() {
        return Markup::default();
    }
    let bias = |e: &Estimate| beside_error(signed(e.value, 2), e, 2);
    let columns = ["A run", "Gross false", "Net false", "Raw mean", "Published", "Afterwards"];
    let rows = html! {
        @for (world, name, set) in rows {
            tr {
                td { (world.world) }
                td { (name) }
                (numbers([
                    with_error(&set.per_run, 1),
                    with_error(&set.gross_false, 3),
                    with_error(&set.net_false, 3),
                    bias(&set.raw_bias_bps),
                    bias(&set.claim_bias_bps),
                    bias(&set.later_bias_bps),
                ]))
            }
        }
    };
    html! {
        h2 { "Honesty of published numbers" }
        p.note {
            "On the day of first publication, in bps against the truth. The mean afterwards is what a trader would "
            "have met."
        }
        (table(html! { (heads(&["World", "Set"])) (number_heads(&columns)) }, rows))
    }
}

fn pipeline(tallies: &[PipelineTally]) -> Markup {
    let columns = ["Runs", "Events", "Hypotheses", "Discoveries a run", "False", "Blueprints a run", "False"];
    let rows = html! {
        @for p in tallies {
            @let found: Vec<String> = p.edges_found.iter().map(|(id, n)| format!("{id} {n}/{}", p.runs)).collect();
            tr {
                td { (p.world) }
                td.n { (p.runs) }
                (numbers([number(Some(p.events), 0), thousands(p.hypotheses as u64)]))
                (numbers([
                    with_error(&p.discoveries.0, 2),
                    with_error(&p.discoveries.1, 2),
                    with_error(&p.blueprints.0, 2),
                    with_error(&p.blueprints.1, 2),
                ]))
                td { (found.join(", ")) }
            }
        }
    };
    let heads = html! { th { "Market" } (number_heads(&columns)) th { "Planted edges found" } };
    html! {
        h2 { "The whole pipeline" }
        (table(heads, rows))
    }
}

fn real_scores(scores: &ScoresTally) -> Markup {
    let heads = html! {
        th { "Side" }
        @for (level, _) in &scores.fade { th.n { "a = " (level) } }
    };
    let rows = html! {
        @for (side, ratios) in [("fade", &scores.fade), ("follow", &scores.follow)] {
            tr {
                td { (side) }
                @for (_, ratio) in ratios { td.n { (with_error(ratio, 3)) } }
            }
        }
    };
    html! {
        h2 { "Real day scores, drawn anew" }
        p.note {
            (scores.series) " series, " (thousands(scores.draws as u64)) " draws of " (scores.days)
            " days each, mean zero by construction; median skewness " (number(Some(scores.median_skewness), 2))
            ". Numbers are P(p ≤ a) / a: 1 is exact, below 1 is careful."
        }
        (table(heads, rows))
    }
}

#[cfg(test)]
#[path = "calibration_page_tests.rs"]
mod tests;
