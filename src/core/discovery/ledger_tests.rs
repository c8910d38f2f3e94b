//! The ledger against small catalogues.

use super::*;
use crate::discovery::catalogue_spec::{CatalogueSpec, EventEntry, SideLabel};
use crate::discovery::definition::Definitions;
use crate::market::Symbol;
use crate::outcomes::Horizon;
use crate::spec::TestStatistic;
use crate::spec::gates::FamiliesFile;

fn families() -> FamiliesFile {
    serde_saphyr::from_str(include_str!("../../../spec/multiplicity/families.yaml")).unwrap()
}

/// One symbol, one horizon, one event a name; the definition of an event is what follows the colon.
fn catalogue(events: &[&str]) -> Catalogue {
    let label = |verb: &str| SideLabel { verb: verb.into(), aliases: [].into() };
    let (mut entries, mut definitions) = (Vec::new(), Definitions::default());
    for event in events {
        let (name, definition) = event.split_once(':').unwrap();
        definitions.events.insert(name.into(), definition.to_owned());
        entries.push(EventEntry {
            event_type: name.into(),
            family: "F".into(),
            horizons: vec![Horizon::parse("15m").unwrap()],
            follow: label("continuation"),
            fade: label("mean_reversion"),
        });
    }
    let spec = CatalogueSpec {
        statistic: TestStatistic::OwnReturn,
        events: entries,
        symbols: vec![Symbol::new("BTCUSDT").unwrap()],
        conditions: Vec::new(),
        entry_lag_bars: 1,
        filters: Vec::new(),
        untested: Vec::new(),
        definitions,
    };
    Catalogue::new(&spec, &families())
}

fn look(ledger: &mut TrialLedger, events: &[&str], day: i64) -> Accounting {
    let catalogue = catalogue(events);
    let new = ledger.admit(&catalogue, CatalogueKind::Open, day).unwrap();
    ledger.extend(new, CatalogueKind::Open);
    ledger.account(&catalogue)
}

fn cohorts(accounting: &Accounting) -> Vec<(u32, usize, usize)> {
    accounting.cohorts.iter().map(|c| (c.cohort, c.units, c.in_catalogue)).collect()
}

#[test]
fn looking_twice_adds_nothing() {
    let mut ledger = TrialLedger::default();
    let first = look(&mut ledger, &["A:1", "B:1"], 100);
    let again = look(&mut ledger, &["B:1", "A:1"], 200);
    assert_eq!(first, again);
    assert_eq!(cohorts(&again), [(1, 2, 2)]);
    assert_eq!(again.cohorts[0].first_look, Some(100));
}

#[test]
fn a_changed_definition_is_a_new_unit_and_the_old_one_stays_counted() {
    let mut ledger = TrialLedger::default();
    look(&mut ledger, &["A:1", "B:1"], 100);
    let changed = look(&mut ledger, &["A:2", "B:1"], 101);
    assert_eq!(cohorts(&changed), [(1, 2, 1), (2, 1, 1)]);
    assert_eq!(changed.total, 3);
    // Back to what it was: the same unit again, in its old cohort, and nothing is forgotten.
    let back = look(&mut ledger, &["A:1", "B:1"], 102);
    assert_eq!(cohorts(&back), [(1, 2, 2), (2, 1, 0)]);
    assert_eq!(back.total, 3);
    let grown = look(&mut ledger, &["A:1", "B:1", "C:1"], 103);
    assert_eq!(cohorts(&grown), [(1, 2, 2), (2, 1, 0), (3, 1, 1)]);
}

#[test]
fn a_later_cohort_never_moves_the_threshold_of_an_earlier_one() {
    let mut ledger = TrialLedger::default();
    let before = look(&mut ledger, &["A:1", "B:1"], 100);
    let after = look(&mut ledger, &["A:1", "B:1", "C:1", "D:1", "E:1"], 101);
    let share = |a: &Accounting, cohort| a.weight(cohort) / count(a.total);
    assert!((share(&before, 1) - share(&after, 1)).abs() < 1e-15);
    assert!((share(&after, 1) - cohort_budget(1) / 2.0).abs() < 1e-15);
    assert!((share(&after, 2) - cohort_budget(2) / 3.0).abs() < 1e-15);
    // The weights average to less than one: what all later cohorts may still spend is kept back.
    let spent: f64 = after.cohorts.iter().map(|c| after.weight(c.cohort) * count(c.units)).sum();
    assert!(spent < count(after.total));
}

#[test]
fn a_closed_catalogue_spends_everything_and_may_not_grow() {
    let mut ledger = TrialLedger::default();
    let first = catalogue(&["A:1"]);
    let new = ledger.admit(&first, CatalogueKind::Closed, 100).unwrap();
    ledger.extend(new, CatalogueKind::Closed);
    assert!((ledger.account(&first).weight(1) - 1.0).abs() < 1e-15);
    let grown = catalogue(&["A:1", "B:1"]);
    let error = ledger.admit(&grown, CatalogueKind::Open, 101).unwrap_err();
    assert_eq!(error, LedgerError::Closed { new: 1, units: 2, first: "B 15m BTCUSDT ".to_owned() });
    assert!(ledger.admit(&first, CatalogueKind::Open, 102).unwrap().is_empty(), "the same may go on");

    let mut open = TrialLedger::default();
    look(&mut open, &["A:1"], 100);
    look(&mut open, &["B:1"], 101);
    let error = open.admit(&first, CatalogueKind::Closed, 102).unwrap_err();
    assert_eq!(error, LedgerError::TooLate { cohorts: 2 });
}

#[test]
fn a_unit_that_nobody_admitted_has_no_weight() {
    let mut ledger = TrialLedger::default();
    look(&mut ledger, &["A:1"], 100);
    let unseen = catalogue(&["A:1", "B:1"]);
    let accounting = ledger.account(&unseen);
    assert_eq!(accounting.weight(accounting.cohort_of[1][0]), 0.0);
}

#[test]
fn units_that_are_gone_still_fill_their_group() {
    let mut ledger = TrialLedger::default();
    look(&mut ledger, &["A:1", "B:1"], 100);
    let left = look(&mut ledger, &["A:1"], 101);
    assert_eq!(left.groups.len(), 2, "one group an event type, the empty one included");
    assert_eq!(left.groups.iter().map(|g| g.units).sum::<usize>(), 2);
}
