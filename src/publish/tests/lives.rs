//! What ends a publication, and what does not.

use super::*;
use backtestd_core::discovery::DirectionRule;

fn verdict(weakened: Option<Status>) -> Standing {
    Standing {
        direction_rule: DirectionRule::Fade,
        compiled_as: None,
        weakened,
        why: "ECONOMIC_GATE: x -1 is not >= 0.1".to_owned(),
    }
}

fn monitored(suspended_on: Option<&str>, retired_on: Option<&str>) -> Life {
    Life::Monitored(Monitoring {
        since: "2026-03-01".to_owned(),
        closed_through: "2026-05-01".to_owned(),
        active_days: 40,
        n_events: 90,
        mean_bps: Some(1.0),
        after_cost_bps: Some(-11.0),
        claim_gross_bps: 16.9,
        floor_bps: 12.0,
        e_value: 0.2,
        e_sup: 1.1,
        confirmed_on: None,
        detector: 250.0,
        detector_max: 260.5,
        suspended_on: suspended_on.map(str::to_owned),
        retired_on: retired_on.map(str::to_owned),
    })
}

#[test]
fn a_publication_stands_although_it_would_not_be_made_today() {
    let root = tempfile::tempdir().unwrap();
    let blueprint = published(12);
    publish_version(root.path(), std::slice::from_ref(&blueprint), &context(1)).unwrap();
    let mut weak = context(2);
    weak.verdicts = Standings::from([(blueprint.lineage.candidate_id.clone(), verdict(None))]);
    assert!(!publish_version(root.path(), &[], &weak).unwrap().changed, "no gate and no q takes it back");
    // Where the spec asks for it, it is watched for as long as that holds.
    weak.verdicts = Standings::from([(blueprint.lineage.candidate_id.clone(), verdict(Some(Status::Watch)))]);
    let second = publish_version(root.path(), &[], &weak).unwrap();
    assert_eq!(second.blueprints[0].status, Status::Watch);
    assert_eq!(second.manifest.changed[0].why, "ECONOMIC_GATE: x -1 is not >= 0.1");
    assert!(!publish_version(root.path(), &[], &weak).unwrap().changed);
    let third = publish_version(root.path(), std::slice::from_ref(&blueprint), &context(3)).unwrap();
    assert_eq!(third.blueprints[0].status, Status::Active);
}

#[test]
fn monitoring_suspends_then_retires_and_what_it_retired_does_not_return_under_its_definition() {
    let root = tempfile::tempdir().unwrap();
    let blueprint = published(12);
    let publish = |compiled: &[Blueprint], at: i64, life: Option<Life>| {
        let mut context = context(at);
        context.lives = life.into_iter().map(|life| (blueprint.id.clone(), life)).collect();
        publish_version(root.path(), compiled, &context).unwrap()
    };
    let same = std::slice::from_ref(&blueprint);
    publish(same, 1, None);
    let second = publish(same, 2, Some(monitored(Some("2026-04-20"), None)));
    assert_eq!(second.blueprints[0].status, Status::Watch, "although it passes every gate");
    assert_eq!(
        second.manifest.changed[0].why,
        "monitoring: suspended on 2026-04-20: the detector of a mean below 12 bps reached 260.5 over 40 active days since \
         2026-03-01"
    );
    assert_eq!(second.blueprints[0].publication, blueprint.publication, "what stood then stands");
    let third = publish(same, 3, Some(monitored(Some("2026-04-20"), Some("2026-05-01"))));
    assert!(third.manifest.retired[0].why.starts_with("monitoring: retired on 2026-05-01"));
    let fourth = publish(same, 4, None);
    assert!(fourth.blueprints.is_empty());
    let again = publish(same, 5, None);
    assert!(!again.changed && again.blueprints.is_empty());
    // The same names under another definition are another trial.
    let mut other = blueprint.clone();
    other.publication.as_mut().unwrap().definition_hash = "definition of another trial".to_owned();
    let fifth = publish(&[other], 6, None);
    assert_eq!(fifth.blueprints[0].status, Status::Active);
    assert_eq!(fifth.manifest.added.len(), 1);
}

#[test]
fn a_hypothesis_is_published_on_one_side_only() {
    let root = tempfile::tempdir().unwrap();
    let blueprint = published(12);
    publish_version(root.path(), std::slice::from_ref(&blueprint), &context(1)).unwrap();
    let mut turned = blueprint.clone();
    turned.direction_rule = DirectionRule::Follow;
    turned.id = turned.identity();
    let mut second = context(2);
    second.verdicts = Standings::from([(
        blueprint.lineage.candidate_id,
        Standing { compiled_as: Some(turned.id.clone()), ..verdict(None) },
    )]);
    let after = publish_version(root.path(), &[turned, published(24)], &second).unwrap();
    let sides: Vec<_> = after.blueprints.iter().map(|b| (b.exit.time_stop_bars, b.direction_rule)).collect();
    assert!(sides.contains(&(12, DirectionRule::Fade)) && !sides.contains(&(12, DirectionRule::Follow)));
    assert!(after.manifest.reasons.iter().any(|r| r.contains("only monitoring ends that")));
}

#[test]
fn a_changed_definition_ends_the_old_publication() {
    let root = tempfile::tempdir().unwrap();
    let blueprint = published(12);
    publish_version(root.path(), std::slice::from_ref(&blueprint), &context(1)).unwrap();
    let mut second = context(2);
    second.lives = Lives::from([(blueprint.id, Life::Gone("the definition has changed".to_owned()))]);
    let after = publish_version(root.path(), &[], &second).unwrap();
    assert_eq!(after.manifest.retired[0].why, "the definition has changed");
}
