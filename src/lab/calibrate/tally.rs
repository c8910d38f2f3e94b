//! Many runs of one kind of world in numbers, each with its Monte-Carlo standard error.

use std::collections::BTreeMap;

use libm::sqrt;
use serde::Serialize;

use super::decider::{Decider, Errors};
use super::lab::{Lab, WorldKind};
use super::run::{Publication, RunResult, TrueUnit};
use backtestd_core::discovery::cluster::count;

/// An estimate with its standard error; both `None` without cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// The estimated value.
    pub value: Option<f64>,
    /// One Monte-Carlo standard error; `None` with fewer than two independent parts.
    pub se: Option<f64>,
    /// Cases it rests on.
    pub cases: usize,
}

impl Estimate {
    /// Mean of independent numbers.
    #[must_use]
    pub fn mean(values: &[f64]) -> Self {
        let pairs: Vec<(f64, f64)> = values.iter().map(|v| (*v, 1.0)).collect();
        Self { cases: values.len(), ..Self::ratio(&pairs) }
    }

    /// `sum a / sum b` over runs, with the error that clusters by run.
    #[must_use]
    pub fn ratio(runs: &[(f64, f64)]) -> Self {
        let (top, bottom) = runs.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        if bottom <= 0.0 {
            return Self::default();
        }
        let value = top / bottom;
        let n = count(runs.len());
        let square: f64 = runs.iter().map(|(x, y)| (x - value * y) * (x - value * y)).sum();
        let se = (n >= 2.0).then(|| sqrt(n / (n - 1.0) * square) / bottom);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        Self { value: Some(value), se, cases: bottom as usize }
    }
}

/// One decider over all runs of a world.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DeciderTally {
    /// Share of runs in which anything false was ever published.
    pub any_false: Estimate,
    /// False publications per run.
    pub false_per_run: Estimate,
    /// Mean false share of what was ever published (runs without any count as 0).
    pub fdr_ever: Estimate,
    /// The same at the last look.
    pub fdr_final: Estimate,
    /// The same at a random look.
    pub fdr_random: Estimate,
    /// Publications per run.
    pub published_per_run: Estimate,
}

/// One set of publications: all of them, or those that passed every gate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PublishedTally {
    /// Mean number of publications per run.
    pub per_run: Estimate,
    /// Share whose truth is not above 0.
    pub gross_false: Estimate,
    /// Share whose truth is not above the cost.
    pub net_false: Estimate,
    /// Raw mean on the day of publication less truth, bps.
    pub raw_bias_bps: Estimate,
    /// Published estimate less truth, bps.
    pub claim_bias_bps: Estimate,
    /// Mean after publication less truth, bps.
    pub later_bias_bps: Estimate,
}

/// What the monitor did, over the publications whose edge ended after they were published.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RetireTally {
    /// Share suspended while the edge lived.
    pub suspended_alive: Estimate,
    /// Share of the rest that was suspended within the horizon after death.
    pub retired_dead: Estimate,
    /// Median days from death to suspension.
    pub median_days: Option<usize>,
    /// The same in active days.
    pub median_active_days: Option<usize>,
}

/// Power in one class of true hypotheses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PowerClass {
    /// Name of the class of true hypotheses.
    pub class: String,
    /// Share of the class that was found.
    pub found: Estimate,
}

/// All runs of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorldTally {
    /// Kind of world that was simulated.
    pub world: WorldKind,
    /// Number of runs.
    pub runs: usize,
    /// Mean outcomes per run.
    pub rows: f64,
    /// Runs in which multiplicity took something back.
    pub shrunk: usize,
    /// Runs in which the daily look and the full conclusion disagreed.
    pub disagreed: usize,
    /// Error rates by deciding procedure.
    pub deciders: BTreeMap<Decider, DeciderTally>,
    /// What each multiplicity procedure finds on the last evening, mean over the runs.
    pub procedures: BTreeMap<&'static str, Estimate>,
    /// Everything that was rejected.
    pub published: PublishedTally,
    /// Only what passed every gate on the day of its rejection.
    pub gated: PublishedTally,
    /// Power by class of true hypotheses.
    pub power: Vec<PowerClass>,
    /// `P(p_any <= a) / a` of null hypotheses, one-sided, by acceptance level.
    pub p_any_ratio: Vec<(f64, Estimate)>,
    /// What the monitor did after publication.
    pub retire: RetireTally,
}

/// Whether a true hypothesis belongs to a class.
type Member = Box<dyn Fn(&TrueUnit) -> bool>;

/// Name and members of every power class.
fn classes(lab: &Lab) -> Vec<(String, Member)> {
    let least = lab.acceptance.power_min_days as usize;
    let strength = move |from: f64, to: f64, dense: bool| -> Member {
        Box::new(move |t: &TrueUnit| t.strength >= from && t.strength < to && (!dense || t.days >= least))
    };
    let size = |bars: u32, from: f64, to: f64, n: [f64; 2]| -> Member {
        Box::new(move |t: &TrueUnit| {
            t.horizon_bars == bars && t.mu_bps >= from && t.mu_bps < to && t.n >= n[0] && t.n < n[1]
        })
    };
    vec![
        (POWER_5_TO_8.to_owned(), strength(5.0, 8.0, true)),
        (POWER_FROM_8.to_owned(), strength(8.0, f64::INFINITY, false)),
        (POWER_H1.to_owned(), size(1, 5.0, 7.5, [300.0, 1000.0])),
        ("strength 3 to 4".to_owned(), strength(3.0, 4.0, false)),
        ("strength 4 to 5".to_owned(), strength(4.0, 5.0, false)),
        ("strength 5 to 6".to_owned(), strength(5.0, 6.0, false)),
        ("strength 6 to 8".to_owned(), strength(6.0, 8.0, false)),
        ("1 bar, 7.5 to 10 bps, n 300 to 1000".to_owned(), size(1, 7.5, 10.0, [300.0, 1000.0])),
        ("3 bars, 7.5 to 10 bps, n 300 to 1000".to_owned(), size(3, 7.5, 10.0, [300.0, 1000.0])),
        ("12 bars, 3 to 7.5 bps, n above 1000".to_owned(), size(12, 3.0, 7.5, [1000.0, f64::INFINITY])),
        ("all with an effect of at least 3 bps".to_owned(), Box::new(|t| t.mu_bps >= 3.0)),
        (
            "strength 3 to 5, pooled without a condition".to_owned(),
            Box::new(|t| t.is_wide && t.strength >= 3.0 && t.strength < 5.0),
        ),
        (
            "strength 3 to 5, one symbol or a condition".to_owned(),
            Box::new(|t| !t.is_wide && t.strength >= 3.0 && t.strength < 5.0),
        ),
    ]
}

pub(super) const POWER_5_TO_8: &str = "strength 5 to 8, at least 150 days";
pub(super) const POWER_FROM_8: &str = "strength from 8";
pub(super) const POWER_H1: &str = "1 bar, 5 to 7.5 bps, n 300 to 1000";

/// Adds up the runs of one kind.
#[must_use]
pub fn tally(world: WorldKind, runs: &[RunResult], lab: &Lab) -> WorldTally {
    let mut deciders = BTreeMap::new();
    for decider in [Decider::Production, Decider::IidT, Decider::DailyCr2] {
        let errors: Vec<&Errors> = runs.iter().filter_map(|r| r.errors.get(&decider)).collect();
        if !errors.is_empty() {
            deciders.insert(decider, decider_tally(&errors));
        }
    }
    let power = classes(lab)
        .into_iter()
        .map(|(class, member)| {
            let by_run: Vec<(f64, f64)> = runs
                .iter()
                .map(|r| {
                    let members = r.truths.iter().filter(|t| member(t));
                    (count(members.clone().filter(|t| t.found).count()), count(members.count()))
                })
                .collect();
            PowerClass { class, found: Estimate::ratio(&by_run) }
        })
        .collect();
    let p_any_ratio = lab
        .acceptance
        .p_any_levels
        .iter()
        .enumerate()
        .map(|(at, level)| {
            let by_run: Vec<(f64, f64)> =
                runs.iter().map(|r| (count(r.p_any.1[at]) / level, count(r.p_any.0))).collect();
            (*level, Estimate::ratio(&by_run))
        })
        .collect();
    WorldTally {
        world,
        runs: runs.len(),
        rows: runs.iter().map(|r| count(r.rows)).sum::<f64>() / count(runs.len().max(1)),
        shrunk: runs.iter().filter(|r| !r.nested).count(),
        disagreed: runs.iter().filter(|r| !r.agrees).count(),
        deciders,
        procedures: procedures(runs),
        published: published(runs, lab.cost_bps(world), &|_| true),
        gated: published(runs, lab.cost_bps(world), &|p| p.passed_gates),
        power,
        p_any_ratio,
        retire: retire(runs, lab),
    }
}

fn procedures(runs: &[RunResult]) -> BTreeMap<&'static str, Estimate> {
    let names = runs.first().map(|r| r.procedures.keys().copied()).into_iter().flatten();
    let found =
        |name| runs.iter().map(|r| count(r.procedures.get(name).copied().unwrap_or(0))).collect::<Vec<f64>>();
    names.map(|name| (name, Estimate::mean(&found(name)))).collect()
}

fn decider_tally(errors: &[&Errors]) -> DeciderTally {
    let mean =
        |f: &dyn Fn(&Errors) -> f64| Estimate::mean(&errors.iter().map(|e| f(e)).collect::<Vec<f64>>());
    DeciderTally {
        any_false: mean(&|e| f64::from(u8::from(e.ever.1 > 0))),
        false_per_run: mean(&|e| count(e.ever.1)),
        fdr_ever: mean(&Errors::ever_fdp),
        fdr_final: mean(&Errors::final_fdp),
        fdr_random: mean(&Errors::random_fdp),
        published_per_run: mean(&|e| count(e.ever.0)),
    }
}

fn published(runs: &[RunResult], cost_bps: f64, keep: &dyn Fn(&Publication) -> bool) -> PublishedTally {
    let ratio = |f: &dyn Fn(&Publication) -> Option<f64>| {
        let by_run: Vec<(f64, f64)> = runs
            .iter()
            .map(|r| {
                r.publications
                    .iter()
                    .filter(|p| keep(p))
                    .filter_map(f)
                    .fold((0.0, 0.0), |(a, b), x| (a + x, b + 1.0))
            })
            .collect();
        Estimate::ratio(&by_run)
    };
    let flag = |is: bool| Some(f64::from(u8::from(is)));
    let per_run: Vec<f64> =
        runs.iter().map(|r| count(r.publications.iter().filter(|p| keep(p)).count())).collect();
    PublishedTally {
        per_run: Estimate::mean(&per_run),
        gross_false: ratio(&|p| flag(p.truth_bps <= 0.0)),
        net_false: ratio(&|p| flag(p.truth_bps <= cost_bps)),
        raw_bias_bps: ratio(&|p| Some(p.raw_bps - p.truth_bps).filter(|x| x.is_finite())),
        claim_bias_bps: ratio(&|p| p.claim_bps.map(|c| c - p.truth_bps)),
        later_bias_bps: ratio(&|p| p.later_bps.map(|c| c - p.truth_bps)),
    }
}

fn retire(runs: &[RunResult], lab: &Lab) -> RetireTally {
    let horizon = usize::try_from(lab.retire.horizon_days).unwrap_or(0);
    let (mut alive, mut dead) = (Vec::new(), Vec::new());
    let (mut delays, mut active) = (Vec::new(), Vec::new());
    for run in runs {
        let (mut a, mut d) = ((0.0, 0.0), (0.0, 0.0));
        for publication in &run.publications {
            let w = &publication.watched;
            let Some(died) = w.died.filter(|died| *died > publication.day) else { continue };
            a.1 += 1.0;
            if w.suspended.is_some_and(|s| s < died) {
                a.0 += 1.0;
                continue;
            }
            d.1 += 1.0;
            if let Some(delay) = w.suspended.map(|s| s - died).filter(|delay| *delay <= horizon) {
                d.0 += 1.0;
                delays.push(delay);
                active.push(w.active_days);
            }
        }
        alive.push(a);
        dead.push(d);
    }
    RetireTally {
        suspended_alive: Estimate::ratio(&alive),
        retired_dead: Estimate::ratio(&dead),
        median_days: median(delays),
        median_active_days: median(active),
    }
}

fn median(mut values: Vec<usize>) -> Option<usize> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_mean_is_the_usual_one() {
        let e = Estimate::mean(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(e.value, Some(2.5));
        // sd 1.2909944, over 2
        assert!((e.se.unwrap() - 0.645_497_2).abs() < 1e-6);
        assert_eq!(e.cases, 4);
    }

    #[test]
    fn a_ratio_weighs_runs_by_their_cases_and_clusters_its_error_by_run() {
        let e = Estimate::ratio(&[(1.0, 10.0), (3.0, 10.0)]);
        assert_eq!((e.value, e.cases), (Some(0.2), 20));
        assert!((e.se.unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(Estimate::ratio(&[(0.0, 0.0)]), Estimate::default());
    }
}
