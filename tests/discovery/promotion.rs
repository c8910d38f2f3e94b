//! The test part of a history is a test of what discovery finds in the days before it.

use std::collections::BTreeMap;

use backtestd_core::blueprints::RunFacts;
use backtestd_core::conclude::{Conclusions, Look, conclude_like, discovery_config};
use backtestd_core::discovery::{Accounting, OutcomeTable, PromotionTrack};
use backtestd_core::market::{BARS_PER_DAY, BarIndex, DAY_MS, Draws, Symbol, Ts};
use backtestd_core::outcomes::Outcome;
use backtestd_core::spec::CompiledSpec;
use backtestd_core::tradability::PromotionRow;
use backtestd_store::load_specs;

use super::conditions;
use crate::common::spec_dir;

const FIRST_DAY: i64 = 20_000;
const DAYS: i64 = 300;

/// A fall that is bought, with a normal return of 60 bps gross and a spread of 90.
fn outcome(spec: &CompiledSpec, day: i64, bar: i64) -> Outcome {
    let at = (FIRST_DAY + day) * BARS_PER_DAY + bar;
    let forward_return = 0.006 + 0.009 * Draws::numbered(7, at).normal();
    Outcome { forward_return, ..conditions::outcome(spec, BarIndex(at), &[]) }
}

/// Days on which something happens: before the test part one in `step`, then all of them.
fn concluded(spec: &CompiledSpec, step: i64) -> Conclusions {
    let test_begin = DAYS * 8 / 10;
    let outcomes: Vec<Outcome> = (0..DAYS)
        .filter(|day| *day >= test_begin || day % step == 0)
        .flat_map(|day| [40, 120, 200].map(|bar| outcome(spec, day, bar)))
        .collect();
    let end = Ts((FIRST_DAY + DAYS) * DAY_MS);
    let config = discovery_config(spec, &[Symbol::new("BTCUSDT").unwrap()], end);
    let catalogue = config.catalogue(&OutcomeTable::default());
    let accounting = Accounting::alone(&catalogue, &spec.gates.multiplicity);
    let book = config.open_book(&catalogue);
    let look =
        Look { catalogue: &catalogue, book: &book, accounting: &accounting, excluded: &[], lacking: &[] };
    let facts = RunFacts {
        run_id: "promotion".to_owned(),
        code_version: "test".to_owned(),
        data_watermark: end,
        discovery_start: Ts(FIRST_DAY * DAY_MS),
        discovery_end: end,
    };
    conclude_like(&look, spec, &config, &outcomes, &facts, &mut BTreeMap::new()).unwrap()
}

fn row(conclusions: &Conclusions) -> &PromotionRow {
    let found = conclusions.discovery.candidates.iter().find(|c| c.judgement.is_discovery).unwrap();
    let id = &found.measured.candidate_id;
    conclusions.promotion.candidates.iter().find(|row| row.candidate_id == *id).unwrap()
}

#[test]
fn what_needs_the_days_of_the_test_part_was_not_found_before_it() {
    let mut spec = load_specs(&spec_dir()).unwrap();
    let (steady, late) = (concluded(&spec, 1), concluded(&spec, 12));
    assert!(row(&steady).found_before_test);
    // Twenty days of few, and with the sixty of the test part enough.
    assert!(!row(&late).found_before_test, "{:?}", row(&late));
    for conclusions in [&steady, &late] {
        assert!(row(conclusions).test.trades > 100 && row(conclusions).test.net_bps > Some(30.0));
        assert!(!conclusions.compiled.blueprints.is_empty(), "not asked for");
    }

    spec.strategies.promotion.required = true;
    let (steady, late) = (concluded(&spec, 1), concluded(&spec, 12));
    assert!(!steady.compiled.blueprints.is_empty());
    assert!(late.compiled.blueprints.is_empty());
    let refused = late.discovery.candidates.iter().find(|c| c.judgement.is_discovery).unwrap();
    assert_eq!(refused.judgement.promotion_track, PromotionTrack::None);
    let why = refused.judgement.fail_reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(why, ["PROMOTION_SELECTION_GATE: promotion_found_before_test 0 is not >= 1"]);
}
