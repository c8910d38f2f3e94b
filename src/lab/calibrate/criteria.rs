//! The acceptance criteria, each with its number, its bound and a verdict.

use std::collections::BTreeMap;

use libm::sqrt;
use serde::Serialize;

use super::decider::Decider;
use super::lab::{Acceptance, Lab, WorldKind};
use super::pipeline_level::PipelineTally;
use super::scores::ScoresTally;
use super::tally::{Estimate, POWER_5_TO_8, POWER_FROM_8, POWER_H1, WorldTally};
use backtestd_core::discovery::cluster::count;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Within the bound.
    Pass,
    /// Outside the bound.
    Fail,
    /// Too few cases to judge, or the world was not run.
    NotMeasured,
}

/// One acceptance criterion: a measured number and its bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Criterion {
    /// Number in the specification of the statistics, 2 to 8.
    pub number: u8,
    /// What is bounded.
    pub what: String,
    /// What was measured.
    pub measured: Estimate,
    /// `<=`, `>=`, `>` or `=`.
    pub relation: &'static str,
    /// The bound, Monte-Carlo allowance included where the criterion grants one.
    pub bound: f64,
    /// Whether the number is within the bound.
    pub verdict: Grade,
}

/// Judges every criterion that the worlds at hand can answer.
#[must_use]
pub fn judge(
    worlds: &BTreeMap<WorldKind, WorldTally>,
    scores: Option<&ScoresTally>,
    pipeline: &[PipelineTally],
    lab: &Lab,
) -> Vec<Criterion> {
    let a = &lab.acceptance;
    let mut out = Vec::new();
    any_false(&mut out, worlds, pipeline, a);
    if let Some(world) = worlds.get(&WorldKind::Struct) {
        structured(&mut out, world, a);
    }
    if let Some(errors) = worlds.get(&WorldKind::Rough).and_then(|w| w.deciders.get(&Decider::Production)) {
        let what = "rough: mean false share of what was ever published";
        out.push(at_most(3, what.into(), errors.fdr_ever, a.struct_fdp, a));
    }
    unchanged(&mut out, worlds);
    valid_p(&mut out, worlds, scores, a);
    beyond_cost(&mut out, worlds, a);
    retired(&mut out, worlds, lab);
    canaries(&mut out, worlds, a);
    out.sort_by_key(|c| c.number);
    out
}

/// Criterion 2: worlds without an edge in which anything was found.
fn any_false(
    out: &mut Vec<Criterion>,
    worlds: &BTreeMap<WorldKind, WorldTally>,
    pipeline: &[PipelineTally],
    a: &Acceptance,
) {
    for level in pipeline.iter().filter(|p| p.world == "null") {
        let bound = false_runs_bound(level.runs, a);
        for (what, any) in
            [("discovery", level.any_false_discovery), ("blueprint", level.any_false_blueprint)]
        {
            out.push(at_most(2, format!("whole pipeline, null: markets with any {what}"), any, bound, a));
        }
    }
    for (kind, what) in [
        (WorldKind::Null, "null worlds with any false publication"),
        (WorldKind::Skew, "the same with crashes"),
        (WorldKind::Drift, "the same with means that drift and average zero"),
        (WorldKind::Rare1, "the same, 1 event in 100 a disaster for who fades"),
        (WorldKind::Rare3, "the same, 3 in 100"),
        (WorldKind::Rare5, "the same, 5 in 100"),
        (WorldKind::Tails, "the same with days of t3 sizes"),
        (WorldKind::Pegged, "the same with a pegged symbol in every pool"),
        (WorldKind::Prints, "the same with an absurd print a month"),
        (WorldKind::Crash, "the same with events that crowd after crashes"),
        (WorldKind::Regimes, "the same with regimes of volatility"),
    ] {
        if let Some(errors) = worlds.get(&kind).and_then(|w| w.deciders.get(&Decider::Production)) {
            out.push(at_most(
                2,
                what.to_owned(),
                errors.any_false,
                false_runs_bound(errors.any_false.cases, a),
                a,
            ));
        }
    }
}

/// Criterion 3: what is published stays, and the daily look is the full conclusion.
fn unchanged(out: &mut Vec<Criterion>, worlds: &BTreeMap<WorldKind, WorldTally>) {
    for world in worlds.values() {
        out.push(exact(
            3,
            format!("{}: runs in which a published hypothesis was taken back", world.world),
            world.shrunk,
            world.runs,
        ));
        out.push(exact(
            3,
            format!("{}: runs in which the daily look and the full conclusion differ", world.world),
            world.disagreed,
            world.runs,
        ));
    }
}

/// Criterion 5: anytime p-values are valid.
fn valid_p(
    out: &mut Vec<Criterion>,
    worlds: &BTreeMap<WorldKind, WorldTally>,
    scores: Option<&ScoresTally>,
    a: &Acceptance,
) {
    if let Some(world) = worlds.get(&WorldKind::Null) {
        for (level, ratio) in &world.p_any_ratio {
            let bound = 1.0 + 2.0 * ratio.se.unwrap_or(0.0);
            out.push(at_most(5, format!("null: P(p_any <= {level}) / {level}, one-sided"), *ratio, bound, a));
        }
    }
    if let Some(s) = scores {
        for (side, ratios) in [("fade", &s.fade), ("follow", &s.follow)] {
            for (level, ratio) in ratios {
                let what = format!("resampled real day scores, {side} side: P(p_any <= {level}) / {level}");
                out.push(at_most(5, what, *ratio, a.scores_ratio, a));
            }
        }
    }
}

/// Criterion 6: published numbers are true after costs.
fn beyond_cost(out: &mut Vec<Criterion>, worlds: &BTreeMap<WorldKind, WorldTally>, a: &Acceptance) {
    if let Some(world) = worlds.get(&WorldKind::Subcost) {
        out.push(at_most(
            6,
            "subcost: published although the truth is below the cost".into(),
            world.published.net_false,
            a.net_false,
            a,
        ));
        let bias = world.published.claim_bias_bps;
        let size = Estimate { value: bias.value.map(f64::abs), ..bias };
        out.push(at_most(
            6,
            "subcost: size of the bias of the published estimate, bps".into(),
            size,
            a.bias_bps,
            a,
        ));
    }
}

/// Criterion 7: an edge that lives is not suspended, and one that dies is.
fn retired(out: &mut Vec<Criterion>, worlds: &BTreeMap<WorldKind, WorldTally>, lab: &Lab) {
    let a = &lab.acceptance;
    if let Some(world) = worlds.get(&WorldKind::Retire) {
        out.push(at_most(
            7,
            "retire: suspended while the edge lived".into(),
            world.retire.suspended_alive,
            a.suspended_alive,
            a,
        ));
        let what = format!("retire: suspended within {} days of death", lab.retire.horizon_days);
        out.push(at_least(7, what, world.retire.retired_dead, a.retired_dead, a));
    }
}

/// Criterion 8: deciders that are known to be wrong fail.
fn canaries(out: &mut Vec<Criterion>, worlds: &BTreeMap<WorldKind, WorldTally>, a: &Acceptance) {
    if let Some(world) = worlds.get(&WorldKind::Null) {
        for (decider, name) in
            [(Decider::IidT, "independent t and BH"), (Decider::DailyCr2, "daily CR2 and BH")]
        {
            if let Some(errors) = world.deciders.get(&decider) {
                let bound = false_runs_bound(errors.any_false.cases, a);
                out.push(criterion(
                    8,
                    format!("canary fails criterion 2: {name}"),
                    errors.any_false,
                    ">",
                    bound,
                    a,
                    |v, b| v > b,
                ));
            }
        }
    }
}

fn structured(out: &mut Vec<Criterion>, world: &WorldTally, a: &Acceptance) {
    if let Some(errors) = world.deciders.get(&Decider::Production) {
        out.push(at_most(
            3,
            "struct: mean false share of what was ever published".into(),
            errors.fdr_ever,
            a.struct_fdp,
            a,
        ));
        out.push(at_most(3, "struct: the same, alarm".into(), errors.fdr_ever, a.struct_fdp_alarm, a));
    }
    for (class, bound) in
        [(POWER_5_TO_8, a.power_5_to_8), (POWER_FROM_8, a.power_from_8), (POWER_H1, a.power_h1)]
    {
        if let Some(power) = world.power.iter().find(|p| p.class == class) {
            out.push(at_least(4, format!("struct: share found, {class}"), power.found, bound, a));
        }
    }
}

/// The share of runs with a false publication that a procedure at its level stays below, two standard errors
/// allowed.
fn false_runs_bound(runs: usize, a: &Acceptance) -> f64 {
    let p = a.null_false_runs;
    p + 2.0 * sqrt(p * (1.0 - p) / count(runs.max(1)))
}

fn at_most(number: u8, what: String, measured: Estimate, bound: f64, a: &Acceptance) -> Criterion {
    criterion(number, what, measured, "<=", bound, a, |v, b| v <= b)
}

fn at_least(number: u8, what: String, measured: Estimate, bound: f64, a: &Acceptance) -> Criterion {
    criterion(number, what, measured, ">=", bound, a, |v, b| v >= b)
}

fn criterion(
    number: u8,
    what: String,
    measured: Estimate,
    relation: &'static str,
    bound: f64,
    a: &Acceptance,
    holds: impl Fn(f64, f64) -> bool,
) -> Criterion {
    let verdict = match measured.value {
        Some(value) if measured.cases >= a.min_cases => {
            if holds(value, bound) {
                Grade::Pass
            } else {
                Grade::Fail
            }
        }
        _ => Grade::NotMeasured,
    };
    Criterion { number, what, measured, relation, bound, verdict }
}

/// Something that must never happen, in however few runs.
fn exact(number: u8, what: String, happened: usize, runs: usize) -> Criterion {
    let measured = Estimate { value: Some(count(happened)), se: None, cases: runs };
    let verdict = if happened == 0 { Grade::Pass } else { Grade::Fail };
    Criterion { number, what, measured, relation: "=", bound: 0.0, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_judged_only_with_enough_cases() {
        let a = Lab::default().acceptance;
        let estimate = |value, cases| Estimate { value: Some(value), se: None, cases };
        assert_eq!(at_most(2, String::new(), estimate(0.2, 40), 0.1, &a).verdict, Grade::Fail);
        assert_eq!(at_most(2, String::new(), estimate(0.1, 40), 0.1, &a).verdict, Grade::Pass);
        assert_eq!(at_most(2, String::new(), estimate(0.2, 5), 0.1, &a).verdict, Grade::NotMeasured);
        assert_eq!(at_least(4, String::new(), Estimate::default(), 0.1, &a).verdict, Grade::NotMeasured);
        assert_eq!(exact(3, String::new(), 1, 1).verdict, Grade::Fail);
    }

    #[test]
    fn the_allowance_of_a_hundred_runs_is_two_standard_errors() {
        let a = Lab::default().acceptance;
        assert!((false_runs_bound(100, &a) - 0.093_588_989_4).abs() < 1e-9);
    }
}
