use std::collections::BTreeMap;

use super::*;
use backtestd_lab::calibrate::{DeciderTally, RetireTally, WorldKind};

fn estimate(value: f64) -> Estimate {
    Estimate { value: Some(value), se: Some(0.01), cases: 1200 }
}

fn criterion(number: u8, relation: &'static str, verdict: Grade) -> Criterion {
    Criterion {
        number,
        what: "false <1>".to_owned(),
        measured: estimate(0.04),
        relation,
        bound: 0.05,
        verdict,
    }
}

fn world() -> WorldTally {
    let decider = DeciderTally {
        any_false: estimate(0.04),
        false_per_run: estimate(0.05),
        fdr_ever: estimate(0.03),
        fdr_final: estimate(0.02),
        fdr_random: Estimate::default(),
        published_per_run: estimate(3.5),
    };
    let set = PublishedTally {
        per_run: estimate(2.0),
        gross_false: estimate(0.01),
        net_false: estimate(0.02),
        raw_bias_bps: estimate(4.0),
        claim_bias_bps: estimate(-1.5),
        later_bias_bps: Estimate { se: None, ..estimate(0.0) },
    };
    WorldTally {
        world: WorldKind::Struct,
        runs: 8,
        rows: 1000.0,
        shrunk: 0,
        disagreed: 0,
        deciders: [Decider::Production, Decider::IidT, Decider::DailyCr2].map(|d| (d, decider)).into(),
        procedures: BTreeMap::from([("closed_bh", estimate(2.0)), ("global", estimate(1.5))]),
        published: set,
        gated: PublishedTally { gross_false: Estimate::default(), ..set },
        power: vec![
            PowerClass { class: "strength & 3 to 5".to_owned(), found: estimate(0.5) },
            PowerClass { class: "never simulated".to_owned(), found: Estimate::default() },
        ],
        p_any_ratio: Vec::new(),
        retire: RetireTally {
            suspended_alive: Estimate::default(),
            retired_dead: Estimate::default(),
            median_days: None,
            median_active_days: None,
        },
    }
}

fn summary() -> CalibrationSummary {
    let pipeline = PipelineTally {
        world: "planted",
        runs: 8,
        days: 180,
        symbols: 6,
        events: 43_210.0,
        outcomes: 100_000.0,
        hypotheses: 6216,
        any_false_discovery: estimate(0.0),
        any_false_blueprint: estimate(0.0),
        discoveries: (estimate(12.0), estimate(0.25)),
        blueprints: (estimate(3.0), estimate(0.0)),
        edges_found: BTreeMap::from([("VOL_SHOCK fade".to_owned(), 7)]),
    };
    let levels = vec![(0.05, estimate(0.9)), (0.01, estimate(0.8))];
    CalibrationSummary {
        schema: "backtestd.calibration/1",
        level: "tables",
        seed: 1,
        days: 730,
        code_version: "0.1.0",
        worlds: vec![world()],
        pipeline: vec![pipeline],
        scores: Some(ScoresTally {
            series: 40,
            draws: 2000,
            days: 365,
            median_skewness: -0.4,
            fade: levels.clone(),
            follow: levels,
        }),
        criteria: vec![
            criterion(2, "<=", Grade::Pass),
            criterion(3, ">", Grade::Fail),
            criterion(4, ">=", Grade::NotMeasured),
        ],
    }
}

#[test]
fn the_headline_counts_what_does_not_hold_among_what_could_be_judged() {
    let mut summary = summary();
    assert!(calibration_page(&summary).contains("<h1>1 of 2 criteria do not hold</h1>"));
    summary.criteria.remove(1);
    assert!(calibration_page(&summary).contains("<h1>All 1 criteria that could be judged hold</h1>"));
    summary.criteria.clear();
    let page = calibration_page(&summary);
    assert!(page.contains("<h1>Nothing could be judged: too few cases</h1>") && !page.contains("Acceptance"));
}

#[test]
fn a_criterion_stands_with_its_bound_its_error_and_its_verdict() {
    let page = calibration_page(&summary());
    let row = page.split("<tr class=\"bad\">").nth(1).unwrap().split("</tr>").next().unwrap();
    assert_eq!(
        row,
        "<td>3</td><td>false &lt;1&gt;</td><td class=\"n\">0.040 <small>± 0.010</small></td>\
         <td class=\"n\">&gt; 0.050</td><td class=\"n\">1,200</td><td class=\"why\">does not hold</td>"
    );
}

#[test]
fn what_has_no_cases_is_not_drawn() {
    let page = calibration_page(&summary());
    assert!(page.contains(">strength &amp; 3 to 5</text>") && !page.contains("never simulated"));
    assert!(page.contains("<td>rejected</td>") && !page.contains("and every gate"));
}
