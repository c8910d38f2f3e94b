//! Worlds with everything that goes wrong in data, and rules that must not be.

use backtestd_core::discovery::shrink::{Child, between_variance, moment_variance, shrink};
use backtestd_core::discovery::{DiscoveryConfig, OutcomeTable, discover};
use backtestd_core::spec::gates::{CatalogueKind, NullKind};

use super::world::{Dice, Edge, config, world};

/// The whole budget, before costs: the hardest setting for the error rate.
fn gross() -> DiscoveryConfig {
    let mut config = config();
    config.gates.evidence.hypothesis = NullKind::Gross;
    config.gates.multiplicity.catalogue = CatalogueKind::Closed;
    config.gates.evidence.lower_bound_units = 0;
    config
}

/// The last symbol hardly moves, once a month a return is absurd, and one sigma in 200 is a millionth of what
/// it was.
fn spoil(mut table: OutcomeTable, seed: u64) -> OutcomeTable {
    let mut dice = Dice::new(seed);
    let quiet = table.symbols.len() as u16 - 1;
    let mut month = 0;
    for i in 0..table.len() {
        if table.symbol[i] == quiet {
            table.forward_return[i] *= 0.02;
            table.sigma_bar[i] *= 0.02;
        }
        if dice.below(200) == 0 {
            table.sigma_bar[i] *= 1e-6;
        }
        let now = table.timestamp[i] / 86_400_000 / 30;
        if now > month {
            month = now;
            table.forward_return[i] = libm::exp(20.0 * dice.uniform());
        }
    }
    table
}

fn unbounded(mut config: DiscoveryConfig) -> DiscoveryConfig {
    let influence = &mut config.gates.evidence.influence;
    (influence.max_day_score, influence.min_sigma_bar, influence.min_sigma_share) = (1e300, 1e-300, 1e-300);
    (influence.max_cost_to_move, influence.max_pool_weight, influence.max_gain_to_loss) =
        (1e300, 1e300, 1e300);
    config
}

fn is_found(table: &OutcomeTable, config: &DiscoveryConfig, event: &str, scope: &str) -> bool {
    let found = discover(table, config);
    found.candidates.iter().any(|c| {
        c.judgement.is_discovery
            && *c.measured.event_type == *event
            && c.measured.scope.label() == scope
            && c.measured.state.is_none()
    })
}

#[test]
fn spoilt_worlds_without_an_edge_publish_nothing_and_without_the_bounds_they_would() {
    let (mut false_worlds, mut without) = (0, 0);
    for seed in 0..25 {
        let table = spoil(world(5000 + seed, 150, None), seed);
        let published = |config: &DiscoveryConfig| {
            discover(&table, config).candidates.iter().any(|c| c.judgement.is_discovery)
        };
        false_worlds += usize::from(published(&gross()));
        without += usize::from(published(&unbounded(gross())));
    }
    assert!(false_worlds <= 1, "{false_worlds} of 25 spoilt worlds published something");
    assert!(without >= 10, "the harness cannot see what a print does: {without}");
}

#[test]
fn an_edge_is_found_in_a_spoilt_world_and_without_the_bounds_it_would_not_be() {
    let (mut found, mut without) = (0, 0);
    for seed in 0..8 {
        let clean = world(6000 + seed, 300, Some(Edge { event: "BETA_ONE", bps: -60.0 }));
        assert!(is_found(&clean, &config(), "BETA_ONE", "ALL"), "seed {seed}: the edge is there to be found");
        let table = spoil(clean, seed);
        found += usize::from(is_found(&table, &config(), "BETA_ONE", "ALL"));
        without += usize::from(is_found(&table, &unbounded(config()), "BETA_ONE", "ALL"));
    }
    assert!(found >= 7 && without + 3 <= found, "{found} and {without} of 8");
}

/// A symbol leaves the pool for a day because of what it did on that day: exactly what the rules of the pool
/// do not do.
#[test]
fn rules_that_look_at_the_return_they_weigh_publish_falsely() {
    let (mut honest, mut hindsight) = (0, 0);
    for seed in 0..12 {
        let table = world(7000 + seed, 150, None);
        let published = |table: &OutcomeTable| {
            discover(table, &gross()).candidates.iter().any(|c| c.judgement.is_discovery)
        };
        honest += usize::from(published(&table));
        let mut peeking = table.clone();
        for i in 0..table.len() {
            let root = libm::sqrt(f64::from(table.horizons[usize::from(table.horizon[i])].bars));
            let scaled =
                f64::from(table.direction[i]) * table.forward_return[i] / (table.sigma_bar[i] * root);
            if scaled < -0.5 {
                peeking.forward_return[i] = f64::NAN;
            }
        }
        hindsight += usize::from(published(&peeking));
    }
    assert!(honest <= 1 && hindsight == 12, "{honest} and {hindsight} of 12");
}

/// 400 families of three to twelve children: truths around a parent, errors that differ by up to a factor of
/// 30, and in half of the families one child that is known very precisely.
#[test]
fn shrunk_effects_are_nearer_to_the_truth_than_by_moments_and_than_raw() {
    let mut dice = Dice::new(77);
    let mut errors = [[0.0; 3]; 2];
    for family in 0..400 {
        let (spread, k) = (20.0 * dice.uniform(), 3 + dice.below(10));
        let has_precise = family % 2;
        let (mut children, mut truths) = (Vec::new(), Vec::new());
        for i in 0..k {
            let se = if i == 0 && has_precise == 1 { 0.06 } else { 2.0 * libm::exp(3.4 * dice.uniform()) };
            truths.push(5.0 + spread * dice.normal());
            children.push(Child { mean: truths[i as usize] + se * dice.normal(), se });
        }
        let square = |variance: Option<f64>| -> f64 {
            let error = |(child, truth): (&Child, &f64)| {
                let estimate = variance.map_or(child.mean, |v| shrink(*child, 5.0, v).mean);
                (estimate - truth) * (estimate - truth)
            };
            children.iter().zip(&truths).map(error).sum::<f64>() / k as f64
        };
        let of = [
            square(Some(between_variance(&children, 5.0))),
            square(Some(moment_variance(&children, 5.0))),
            square(None),
        ];
        errors[has_precise].iter_mut().zip(of).for_each(|(all, one)| *all += one / 200.0);
    }
    let [[ours, moments, raw], [ours_beside, moments_beside, raw_beside]] = errors.map(|e| e.map(f64::sqrt));
    // Without a precise child moments are a little better, as they shrink more.
    assert!(ours <= 1.03 * moments && ours < 0.7 * raw, "{ours} {moments} {raw}");
    assert!(
        ours_beside < 0.95 * moments_beside && ours_beside < raw_beside,
        "{ours_beside} {moments_beside}"
    );
}
