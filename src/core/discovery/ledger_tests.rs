//! The ledger against small catalogues.

use super::*;
use crate::discovery::begun::ByUnit;
use crate::discovery::catalogue_spec::{CatalogueSpec, EventEntry, SideLabel};
use crate::discovery::definition::Definitions;
use crate::market::Symbol;
use crate::outcomes::Horizon;
use crate::spec::TestStatistic;
use crate::spec::gates::{BudgetSpec, FamiliesFile, Procedure};

fn families() -> FamiliesFile {
    serde_saphyr::from_str(include_str!("../../../spec/multiplicity/families.yaml")).unwrap()
}

fn procedure(catalogue: CatalogueKind) -> ProcedureSpec {
    let budget = BudgetSpec { pooled_unconditional: 0.5, by_order: 0.5 };
    ProcedureSpec { publish_with: Procedure::Global, catalogue, budget }
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
    let new = ledger.admit(&catalogue, &procedure(CatalogueKind::Open), day).unwrap();
    ledger.extend(new, CatalogueKind::Open);
    ledger.account(&catalogue)
}

/// Shares where all trials have begun, on the same day.
fn together(accounting: &Accounting) -> ByUnit<f64> {
    let begun: ByUnit<Option<i64>> =
        accounting.queue_of.iter().map(|units| vec![Some(1); units.len()]).collect();
    accounting.shares(&begun)
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
    assert_eq!(together(&before)[0][0].to_bits(), together(&after)[0][0].to_bits());
    assert!((together(&after)[0][0] - cohort_budget(1) / 2.0).abs() < 1e-15);
    assert!((together(&after)[4][0] - cohort_budget(2) / 3.0).abs() < 1e-15);
    // The shares add up to less than one: what all later cohorts may still spend is kept back.
    let spent: f64 = together(&after).iter().flatten().sum();
    assert!((spent - cohort_budget(1) - cohort_budget(2)).abs() < 1e-12);
}

#[test]
fn a_closed_catalogue_spends_everything_and_may_not_grow() {
    let mut ledger = TrialLedger::default();
    let first = catalogue(&["A:1"]);
    let new = ledger.admit(&first, &procedure(CatalogueKind::Closed), 100).unwrap();
    ledger.extend(new, CatalogueKind::Closed);
    assert!((together(&ledger.account(&first))[0][0] - 1.0).abs() < 1e-15);
    let grown = catalogue(&["A:1", "B:1"]);
    let error = ledger.admit(&grown, &procedure(CatalogueKind::Open), 101).unwrap_err();
    assert_eq!(error, LedgerError::Closed { new: 1, units: 2, first: "B 15m BTCUSDT ".to_owned() });
    assert!(
        ledger.admit(&first, &procedure(CatalogueKind::Open), 102).unwrap().is_empty(),
        "the same may go on"
    );

    let mut open = TrialLedger::default();
    look(&mut open, &["A:1"], 100);
    look(&mut open, &["B:1"], 101);
    let error = open.admit(&first, &procedure(CatalogueKind::Closed), 102).unwrap_err();
    assert_eq!(error, LedgerError::TooLate { cohorts: 2 });
}

#[test]
fn a_unit_that_nobody_admitted_has_no_weight() {
    let mut ledger = TrialLedger::default();
    look(&mut ledger, &["A:1"], 100);
    let unseen = catalogue(&["A:1", "B:1"]);
    let accounting = ledger.account(&unseen);
    assert_eq!(together(&accounting)[1], [0.0]);
}

#[test]
fn units_that_are_gone_still_fill_their_group() {
    let mut ledger = TrialLedger::default();
    look(&mut ledger, &["A:1", "B:1"], 100);
    let left = look(&mut ledger, &["A:1"], 101);
    assert_eq!(left.groups.len(), 2, "one group an event type, the empty one included");
    assert_eq!(left.groups.iter().map(|g| g.units).sum::<usize>(), 2);
}

/// Two symbols and their pool.
fn pooled(events: &[&str]) -> Catalogue {
    let of_one = catalogue(events);
    let entry = |block: &crate::discovery::catalogue::Block| EventEntry {
        event_type: block.event_type.clone(),
        family: block.family.clone(),
        horizons: vec![block.horizon.clone()],
        follow: block.follow.clone(),
        fade: block.fade.clone(),
    };
    let spec = CatalogueSpec {
        statistic: TestStatistic::OwnReturn,
        events: of_one.blocks.iter().map(entry).collect(),
        symbols: ["BTCUSDT", "SOLUSDT"].map(|name| Symbol::new(name).unwrap()).to_vec(),
        conditions: Vec::new(),
        entry_lag_bars: 1,
        filters: Vec::new(),
        untested: Vec::new(),
        definitions: of_one.definitions,
    };
    Catalogue::new(&spec, &families())
}

#[test]
fn half_of_the_budget_is_set_apart_for_pools_and_a_shape_that_changes_shapes_later_cohorts_only() {
    let mut ledger = TrialLedger::default();
    let (first, grown) = (pooled(&["A:1", "B:1"]), pooled(&["A:1", "B:1", "C:1"]));
    ledger.extend(ledger.admit(&first, &procedure(CatalogueKind::Open), 100).unwrap(), CatalogueKind::Open);
    let before = ledger.account(&first);
    let gamma = cohort_budget(1);
    for shares in &together(&before) {
        let expected = [gamma / 8.0, gamma / 8.0, gamma / 4.0];
        assert!(shares.iter().zip(expected).all(|(share, e)| (share - e).abs() < 1e-15), "{shares:?}");
    }
    let even = BudgetSpec { pooled_unconditional: 0.0, by_order: 0.0 };
    let even = ProcedureSpec { budget: even, ..procedure(CatalogueKind::Open) };
    ledger.extend(ledger.admit(&grown, &even, 200).unwrap(), CatalogueKind::Open);
    let after = ledger.account(&grown);
    assert_eq!(together(&before)[..], together(&after)[..2]);
    let share = cohort_budget(2) / 3.0;
    assert!(together(&after)[2].iter().all(|s| (s - share).abs() < 1e-15), "{:?}", together(&after));
    // Alone, a catalogue has the shares of a first cohort.
    let alone = Accounting::alone(&first, &procedure(CatalogueKind::Open));
    assert_eq!(together(&alone), together(&before));
}

#[test]
fn what_a_change_would_open_is_told_before_anybody_looks() {
    let mut ledger = TrialLedger::default();
    look(&mut ledger, &["A:1", "B:1", "C:1"], 100);
    let before = ledger.clone();
    let opening = ledger.opening(&catalogue(&["A:1", "B:2", "D:1"]), &procedure(CatalogueKind::Open));
    assert_eq!(ledger, before);
    assert_eq!((opening.hypotheses, opening.known, opening.new, opening.left_behind), (3, 1, 2, 2));
    assert_eq!((opening.cohort, opening.refusal.is_none()), (Some(2), true));
    assert!((opening.budget - cohort_budget(2)).abs() < 1e-15);
    assert_eq!(
        opening.to_string(),
        "2 new trials in cohort 2 with 0.152 of the error budget (3 hypotheses, 1 looked at before); 2 trials are left \
         behind and stay counted\n  B                                    1\n  D                                    1"
    );
    let same = ledger.opening(&catalogue(&["A:1", "B:1", "C:1"]), &procedure(CatalogueKind::Open));
    assert_eq!((same.new, same.cohort, same.budget.to_bits()), (0, None, 0.0f64.to_bits()));
    look(&mut ledger, &["D:1"], 101);
    let late = ledger.opening(&catalogue(&["A:1"]), &procedure(CatalogueKind::Closed));
    assert!(late.to_string().starts_with("refused: gates.yaml: multiplicity.catalogue is closed"), "{late}");
}
