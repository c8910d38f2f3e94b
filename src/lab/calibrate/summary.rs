//! A whole calibration in numbers: what is printed, written as JSON and drawn as a page.

use std::fmt::Write as _;

use serde::Serialize;

use super::criteria::{Criterion, Grade};
use super::decider::Decider;
use super::pipeline_level::PipelineTally;
use super::scores::ScoresTally;
use super::tally::{Estimate, WorldTally};

/// A calibration: `calibration.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibrationSummary {
    /// Layout of the file, always `backtestd.calibration/1`.
    pub schema: &'static str,
    /// What was simulated or read.
    pub level: &'static str,
    /// Seed of the study.
    pub seed: u64,
    /// Days of a world.
    pub days: usize,
    /// Version and commit of the program.
    pub code_version: &'static str,
    /// Worlds of outcome tables.
    pub worlds: Vec<WorldTally>,
    /// Worlds of bars through the whole pipeline.
    pub pipeline: Vec<PipelineTally>,
    /// Real day scores, resampled.
    pub scores: Option<ScoresTally>,
    /// The acceptance criteria, each with its verdict.
    pub criteria: Vec<Criterion>,
}

impl CalibrationSummary {
    /// Criteria that do not hold.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.criteria.iter().filter(|c| c.verdict == Grade::Fail).count()
    }

    /// The text for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for world in &self.worlds {
            world_text(&mut out, world);
        }
        for pipeline in &self.pipeline {
            out.push_str(&pipeline.text());
        }
        if let Some(scores) = &self.scores {
            let _ = writeln!(
                out,
                "scores       {} real series x {} draws of {} days, median skewness {:.2}",
                scores.series, scores.draws, scores.days, scores.median_skewness
            );
            for (side, ratios) in [("fade", &scores.fade), ("follow", &scores.follow)] {
                for (level, ratio) in ratios {
                    let _ = writeln!(out, "  {side:<8} P(p <= {level}) / {level}: {}", with_error(ratio, 3));
                }
            }
        }
        if !self.criteria.is_empty() {
            let _ = writeln!(out, "\nacceptance");
        }
        for c in &self.criteria {
            let verdict = match c.verdict {
                Grade::Pass => "pass",
                Grade::Fail => "FAIL",
                Grade::NotMeasured => "–",
            };
            let _ = writeln!(
                out,
                "  {verdict:<5}{} {:<78} {:>18} {} {:.3}  ({} cases)",
                c.number,
                c.what,
                with_error(&c.measured, 3),
                c.relation,
                c.bound,
                c.measured.cases
            );
        }
        out
    }
}

/// `0.014 ± 0.006`.
fn with_error(e: &Estimate, decimals: usize) -> String {
    match (e.value, e.se) {
        (Some(v), Some(se)) => format!("{v:.decimals$} ± {se:.decimals$}"),
        (Some(v), None) => format!("{v:.decimals$}"),
        (None, _) => "–".to_owned(),
    }
}

fn world_text(out: &mut String, w: &WorldTally) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{:<12} {} runs of {:.0} outcomes", w.world, w.runs, w.rows);
    for (decider, d) in &w.deciders {
        let name = match decider {
            Decider::Production => "production",
            Decider::IidT => "canary: independent t",
            Decider::DailyCr2 => "canary: daily CR2",
        };
        let _ = writeln!(
            out,
            "  {name:<22} published {}, false {} a run; any false {}; FDR ever {}, last {}, random look {}",
            with_error(&d.published_per_run, 1),
            with_error(&d.false_per_run, 2),
            with_error(&d.any_false, 3),
            with_error(&d.fdr_ever, 3),
            with_error(&d.fdr_final, 3),
            with_error(&d.fdr_random, 3)
        );
    }
    let found = w.procedures.iter().map(|(name, found)| format!("{name} {}", with_error(found, 2)));
    let found: Vec<String> = found.collect();
    if !found.is_empty() {
        let _ = writeln!(out, "  found on the last day  {}", found.join(", "));
    }
    for (level, ratio) in w.p_any_ratio.iter().filter(|(_, r)| r.cases > 0) {
        let _ = writeln!(out, "  null p at any time     P(p <= {level}) / {level}: {}", with_error(ratio, 3));
    }
    for class in w.power.iter().filter(|c| c.found.cases > 0) {
        let _ = writeln!(
            out,
            "  power                  {:<40} {}  ({} cases)",
            class.class,
            with_error(&class.found, 3),
            class.found.cases
        );
    }
    for (name, set) in [("rejected", &w.published), ("and every gate", &w.gated)] {
        if set.gross_false.cases == 0 {
            continue;
        }
        let _ = writeln!(
            out,
            "  {name:<22} {} a run; gross false {}, net false {}; less truth, bps: raw {}, published {}, afterwards {}",
            with_error(&set.per_run, 1),
            with_error(&set.gross_false, 3),
            with_error(&set.net_false, 3),
            with_error(&set.raw_bias_bps, 2),
            with_error(&set.claim_bias_bps, 2),
            with_error(&set.later_bias_bps, 2)
        );
    }
    if w.retire.suspended_alive.cases > 0 {
        let days = |d: Option<usize>| d.map_or_else(|| "–".to_owned(), |d| d.to_string());
        let _ = writeln!(
            out,
            "  retirement             suspended alive {}, found dead in time {}, median delay {} days, {} active",
            with_error(&w.retire.suspended_alive, 3),
            with_error(&w.retire.retired_dead, 3),
            days(w.retire.median_days),
            days(w.retire.median_active_days)
        );
    }
}
