//! Whole discoveries over simulated worlds.

use std::collections::BTreeMap;

use backtestd_core::discovery::multiplicity::bh_reject;
use backtestd_core::discovery::special::t_sf;
use backtestd_core::discovery::{
    Candidate, DirectionRule, Discovery, EVENT_QUALITY_GATE, Exclusion, Known, OutcomeTable, PromotionTrack,
    TableBuilder, conclude_book, discover,
};
use backtestd_core::spec::gates::{CatalogueKind, EvidenceKind, NullKind};

use super::world::{Edge, FIRST_DAY, config, world};

const NULL_WORLDS: u64 = 30;

/// The null is tested gross and with the whole budget: the hardest setting for the error rate.
fn strict_null() -> backtestd_core::discovery::DiscoveryConfig {
    let mut config = config();
    config.gates.evidence.hypothesis = NullKind::Gross;
    config.gates.multiplicity.catalogue = CatalogueKind::Closed;
    config.gates.evidence.lower_bound_units = 0;
    config
}

#[test]
fn worlds_without_an_edge_publish_nothing_and_an_iid_test_would() {
    let config = strict_null();
    let (mut false_worlds, mut canary_worlds) = (0, 0);
    for seed in 0..NULL_WORLDS {
        let table = world(1000 + seed, 150, None);
        // p_any never rises, so what the last day publishes is everything that any day published.
        let discovery = discover(&table, &config);
        false_worlds += u64::from(discovery.candidates.iter().any(|c| c.judgement.is_discovery));
        canary_worlds += u64::from(iid_t_and_bh(&table) > 0);
    }
    assert!(false_worlds <= 2, "{false_worlds} of {NULL_WORLDS} null worlds published something");
    assert!(canary_worlds > NULL_WORLDS / 2, "the harness cannot see inflation: {canary_worlds}");
}

#[test]
fn a_planted_edge_is_found_on_its_side_and_nothing_else_is() {
    for seed in 0..6 {
        let table = world(2000 + seed, 240, Some(Edge { event: "BETA_ONE", bps: -55.0 }));
        let discovery = discover(&table, &config());
        let passed: Vec<&Candidate> =
            discovery.candidates.iter().filter(|c| c.judgement.gate_phase2_final).collect();
        assert!(!passed.is_empty(), "seed {seed}: {:?}", discovery.summary);
        for c in &passed {
            assert_eq!(&*c.measured.event_type, "BETA_ONE", "seed {seed}");
            assert_eq!(c.measured.direction_rule, DirectionRule::Fade);
            assert_eq!(c.judgement.promotion_track, PromotionTrack::Standard);
            assert!(c.judgement.fail_reasons.is_empty());
            assert!(
                c.measured.anytime_lower_bps.unwrap() > 0.0
                    && c.measured.anytime_lower_bps < c.measured.effect_raw_bps
            );
            assert!(
                c.measured.lfsr.unwrap() < 0.05
                    && c.measured.p_any <= c.measured.p_any_gross.max(c.measured.p_any)
            );
        }
        let wrong = discovery
            .candidates
            .iter()
            .filter(|c| c.judgement.is_discovery && &*c.measured.event_type != "BETA_ONE")
            .count();
        assert_eq!(wrong, 0, "seed {seed}");
    }
}

#[test]
fn an_excluded_event_keeps_its_place_in_the_catalogue_with_p_1_and_its_number_among_the_untested() {
    let table = world(2000, 240, Some(Edge { event: "BETA_ONE", bps: -55.0 }));
    let free = discover(&table, &config());
    let mut config = config();
    config.excluded = vec![Exclusion {
        event_type: "BETA_ONE".into(),
        scope: "ALL".to_owned(),
        metric: "onsets_per_10k",
        value: 612.0,
        relation: "<=",
        threshold: 500.0,
        text: "612.00 onsets per 10k bars, wanted <= 500".to_owned(),
    }];
    let bound = discover(&table, &config);
    assert_eq!(bound.summary.hypotheses, free.summary.hypotheses, "nobody pays less");
    assert_eq!(bound.summary.catalogue_hash, free.summary.catalogue_hash);
    let is_out = |c: &&Candidate| &*c.measured.event_type == "BETA_ONE" && c.measured.scope.label() == "ALL";
    assert!(
        free.candidates.iter().filter(is_out).any(|c| c.judgement.gate_phase2_final),
        "the edge is there to be found"
    );
    for c in bound.candidates.iter().filter(is_out) {
        assert_eq!((c.measured.q_value, c.measured.q_value_global, c.measured.q_value_ebh), (1.0, 1.0, 1.0));
        assert!(!c.judgement.is_discovery && c.judgement.promotion_track == PromotionTrack::None);
        let first = &c.judgement.fail_reasons[0];
        assert_eq!((first.gate, first.value, first.threshold), (EVENT_QUALITY_GATE, Some(612.0), 500.0));
    }
    let others = |d: &Discovery| -> Vec<(String, f64)> {
        let kept = d.candidates.iter().filter(|c| !is_out(c));
        kept.map(|c| (c.measured.candidate_id.clone(), c.measured.q_value)).collect()
    };
    for ((id, with), (_, without)) in others(&bound).iter().zip(others(&free)) {
        assert!(*with >= without, "{id}: q fell from {without} to {with} because another was left out");
    }
    let line = bound.summary.untested.iter().find(|u| &*u.event_type == "BETA_ONE").unwrap();
    assert_eq!(
        (line.what.as_str(), line.reason.as_str()),
        ("ALL", "gate_e1: 612.00 onsets per 10k bars, wanted <= 500")
    );
}

#[test]
fn an_edge_below_the_cost_is_not_published() {
    // 9 bps gross against 12 bps of cost: real, and worthless.
    let table = world(3000, 400, Some(Edge { event: "BETA_ONE", bps: 9.0 }));
    let discovery = discover(&table, &config());
    assert!(discovery.candidates.iter().all(|c| !c.judgement.gate_phase2_final));
}

#[test]
fn advancing_day_by_day_is_one_batch_bit_for_bit() {
    let config = config();
    let table = world(7, 120, Some(Edge { event: "BETA_ONE", bps: -25.0 }));
    let catalogue = config.catalogue(&table);
    let last = FIRST_DAY + 119;
    let mut batch = config.open_book(&catalogue);
    batch.advance(&table, &catalogue, last);
    let mut daily = config.open_book(&catalogue);
    let mut published: Vec<String> = Vec::new();
    for day in FIRST_DAY..=last {
        // What a daemon has on that evening: no later row exists yet.
        daily.advance(&through(&table, day), &catalogue, day);
        daily.advance(&through(&table, day), &catalogue, day);
        if (day - FIRST_DAY) % 20 == 0 {
            let now: Vec<String> = conclude_book(&catalogue, &daily, &config)
                .candidates
                .into_iter()
                .filter(|c| c.judgement.is_discovery)
                .map(|c| c.measured.candidate_id)
                .collect();
            assert!(published.iter().all(|id| now.contains(id)), "a discovery was taken back");
            published = now;
        }
    }
    assert_eq!(batch, daily);
    assert_eq!(conclude_book(&catalogue, &batch, &config), conclude_book(&catalogue, &daily, &config));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let config = config();
    let table = world(8, 60, None);
    let one =
        rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| discover(&table, &config));
    let three =
        rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(|| discover(&table, &config));
    assert_eq!(one, three);
}

#[test]
fn purged_unknown_and_undirected_rows_are_counted_and_left_out() {
    let config = config();
    let mut table = world(9, 60, None);
    let clean = discover(&table, &config).summary;
    assert!(clean.rows_purged > 0, "some windows cross midnight");
    assert_eq!(clean.rows_used + clean.rows_purged, table.len() as u64);
    let used: Vec<usize> = (0..table.len())
        .filter(|&i| (table.exit[i] - 1) / 86_400_000 == table.timestamp[i] / 86_400_000)
        .collect();
    table.forward_return[used[0]] = f64::NAN;
    table.sigma_bar[used[1]] = 0.0;
    table.direction[used[2]] = 0;
    let summary = discover(&table, &config).summary;
    assert_eq!((summary.rows_dropped, summary.rows_undirected), (2, 1));
    assert_eq!(summary.rows_used, clean.rows_used - 3);
}

#[test]
fn a_row_that_nobody_can_score_is_dropped_and_counted_and_its_units_go_on_without_it() {
    let config = config();
    let table = world(10, 60, None);
    let row = (0..table.len()).find(|&i| table.event[i] == 0).unwrap();
    let unknown = |value: f64| {
        let mut table = table.clone();
        table.forward_return[row] = value;
        discover(&table, &config)
    };
    let (clean, without) = (discover(&table, &config), unknown(f64::NAN));
    for absurd in [f64::INFINITY, f64::NEG_INFINITY, 1e200] {
        assert_eq!(unknown(absurd), without, "{absurd}");
    }
    let mut costly = table.clone();
    costly.cost[row] = f64::INFINITY;
    assert_eq!(discover(&costly, &config), without);
    assert_eq!((without.summary.rows_dropped, without.summary.quarantined), (1, 0));
    assert_eq!(without.summary.rows_used, clean.summary.rows_used - 1);
    assert!(without.candidates.iter().all(|c| c.measured.effect_raw_bps.is_some_and(f64::is_finite)));
    assert!(without.candidates.iter().any(|c| c.measured.n_dropped == 1));
}

#[test]
fn one_symbol_makes_one_unit_not_two() {
    let table = world(11, 30, None);
    let mut builder = TableBuilder::new(table.conditions.clone(), Known { sigma: true, mark: false });
    for i in (0..table.len()).filter(|&i| table.symbol[i] == 0) {
        let row = row_of(&table, i);
        builder.push(&row, &[]).unwrap();
    }
    let discovery = discover(&builder.finish(), &config());
    assert!(discovery.candidates.iter().all(|c| c.measured.scope.label() != "ALL"));
}

#[test]
fn the_one_look_evidence_agrees_with_the_anytime_evidence_on_a_strong_edge() {
    let mut config = config();
    config.gates.evidence.publish_on = EvidenceKind::Cr2T;
    let table = world(2000, 240, Some(Edge { event: "BETA_ONE", bps: -55.0 }));
    let discovery = discover(&table, &config);
    let passed: BTreeMap<&str, usize> = discovery
        .candidates
        .iter()
        .filter(|c| c.judgement.gate_phase2_final)
        .fold(BTreeMap::new(), |mut m, c| {
            *m.entry(c.measured.event_type.as_ref()).or_default() += 1;
            m
        });
    assert_eq!(passed.keys().copied().collect::<Vec<_>>(), ["BETA_ONE"]);
}

/// The canary: every outcome an independent observation, ordinary t, BH over the unconditional units.
fn iid_t_and_bh(table: &OutcomeTable) -> usize {
    let mut sums: BTreeMap<(u16, u16), (f64, f64, f64)> = BTreeMap::new();
    for i in 0..table.len() {
        let s = f64::from(table.direction[i]) * table.forward_return[i];
        let e = sums.entry((table.event[i], table.horizon[i])).or_default();
        e.0 += 1.0;
        e.1 += s;
        e.2 += s * s;
    }
    let p: Vec<f64> = sums
        .values()
        .map(|(n, s, q)| {
            let mean = s / n;
            let sd = ((q - n * mean * mean) / (n - 1.0)).sqrt();
            2.0 * t_sf((mean / (sd / n.sqrt())).abs(), n - 1.0)
        })
        .collect();
    bh_reject(&p, p.len(), 0.05).0
}

fn row_of(table: &OutcomeTable, i: usize) -> backtestd_core::discovery::OutcomeRow<'_> {
    backtestd_core::discovery::OutcomeRow {
        event_type: &table.event_types[usize::from(table.event[i])],
        family: &table.families[usize::from(table.event[i])],
        symbol: table.symbols[usize::from(table.symbol[i])].as_str(),
        timestamp: backtestd_core::market::Ts(table.timestamp[i]),
        entry: backtestd_core::market::Ts(table.exit[i]),
        exit: backtestd_core::market::Ts(table.exit[i]),
        direction: table.direction[i],
        horizon: &table.horizons[usize::from(table.horizon[i])].label,
        forward_return: table.forward_return[i],
        mark: f64::NAN,
        cost_bps: table.cost[i] * 1e4,
        sigma_bar: table.sigma_bar[i],
    }
}

/// The table as it was on the evening of a day.
fn through(table: &OutcomeTable, day: i64) -> OutcomeTable {
    let rows = table.timestamp.iter().take_while(|t| **t < (day + 1) * 86_400_000).count();
    let mut cut = table.clone();
    cut.event.truncate(rows);
    cut.symbol.truncate(rows);
    cut.horizon.truncate(rows);
    cut.timestamp.truncate(rows);
    cut.exit.truncate(rows);
    cut.direction.truncate(rows);
    cut.forward_return.truncate(rows);
    cut.cost.truncate(rows);
    cut.sigma_bar.truncate(rows);
    cut.active.truncate(rows * table.words());
    cut
}
