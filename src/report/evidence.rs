//! What all tests say together: sizes of p and e against chance, and what shrinkage took from the effects.

use maud::{Markup, html};

use super::calibration_chart::{Line, calibration};
use super::charts::{Dot, Histogram, histogram, scatter, twin_name};
use super::format::thousands;
use backtestd_core::conclude::Placebo;
use backtestd_core::discovery::Candidate;

/// The four charts of the evidence.
pub(super) fn evidence(candidates: &[Candidate], placebo: Option<&Placebo>) -> Markup {
    // A test that is undefined (too few days) has p = 1 exactly and says nothing about calibration.
    let p_values = ascending(candidates.iter().map(|c| c.p_value).filter(|p| *p < 1.0));
    let p_any = ascending(candidates.iter().map(|c| c.p_any));
    let tests = p_values.len() as u64;
    html! {
        h2 { "Evidence" }
        p.note {
            "The day-clustered t looks once and decides nothing; what decides is the anytime p, which stays valid "
            "although discovery looks every day. Tests share events, so neither curve needs to be smooth."
        }
        div.pair {
            div.panel {
                h3 { "Day-clustered p-values" }
                p.legend { i {} "what chance alone gives (" (thousands(tests)) " tests)" }
                (p_histogram(&p_values))
            }
            div.panel { h3 { "Calibration" } (calibration_lines(&p_values, &p_any, placebo)) }
            div.panel {
                h3 { "e-values" }
                p.legend { i {} "no evidence; under the null the mean is at most 1" }
                (e_histogram(candidates))
            }
            div.panel {
                h3 { "Effects, raw and shrunk" }
                p.legend { i {} "no shrinkage · green: discoveries" }
                (scatter(&dots(candidates)))
            }
        }
    }
}

fn ascending(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn p_histogram(p_values: &[f64]) -> Markup {
    histogram(&Histogram {
        values: p_values,
        range: (0.0, 1.0),
        ticks: &[(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")],
        expected: Some(p_values.len() as f64 / 20.0),
        mark: None,
        axis: "p (one look)",
        log_counts: false,
    })
}

fn e_histogram(candidates: &[Candidate]) -> Markup {
    let log_e: Vec<f64> = candidates.iter().map(|c| libm::log10(c.e_pair.max(1e-300))).collect();
    histogram(&Histogram {
        values: &log_e,
        range: (-3.0, 5.0),
        ticks: &[(-2.0, "0.01"), (0.0, "1"), (2.0, "100"), (4.0, "10,000")],
        expected: None,
        mark: Some(0.0),
        axis: "e of the pair, today (logarithmic, both ways)",
        log_counts: true,
    })
}

/// The lines of the run and of its null twins, with their names.
fn calibration_lines(p_values: &[f64], p_any: &[f64], placebo: Option<&Placebo>) -> Markup {
    let nulls = placebo.iter().flat_map(|p| &p.nulls).enumerate();
    let twins: Vec<_> = nulls.map(|(k, twin)| (twin, if k == 0 { "twin0" } else { "twin1" })).collect();
    let mut lines = vec![Line { class: "real", p: p_values }, Line { class: "any", p: p_any }];
    lines.extend(twins.iter().map(|(twin, class)| Line { class, p: &twin.p_values }));
    html! {
        p.legend {
            i {} "chance alone · " b.key.real {} "one look " b.key.any {} "any time, which is what decides"
            @for (twin, class) in &twins { " " b.key.(class) {} "one look, " (twin_name(twin)) }
        }
        (calibration(&lines))
    }
}

fn dots(candidates: &[Candidate]) -> Vec<Dot> {
    let dot = |c: &Candidate| {
        let (raw, shrunk) = c.effect_raw_bps.zip(c.effect_shrunk_bps())?;
        let name = format!("{} {} {} {}", c.event_type, c.direction_rule, c.horizon.label, c.scope.label());
        (raw.is_finite() && shrunk.is_finite()).then_some(Dot {
            raw,
            shrunk,
            is_discovery: c.is_discovery,
            name,
        })
    };
    candidates.iter().filter_map(dot).collect()
}
