//! Filter verbs are conditions of hypotheses, or it is said why not.

use backtestd_store::load_specs;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtestd_core::blueprints::RunFacts;
use backtestd_core::conclude::{Look, conclude_like, discovery_config, outcome_table};
use backtestd_core::discovery::{
    Candidate, Catalogue, CatalogueSpec, ConditionTest, Definitions, Lacking, OutcomeTable, TrialKey,
    TrialLedger, UnitPlace, conclude_book, state_condition,
};
use backtestd_core::market::{BarIndex, DAY_MS, Symbol, Ts};
use backtestd_core::outcomes::Event;
use backtestd_core::outcomes::{CostParts, EntryPrice, Horizon, Outcome};
use backtestd_core::spec::gates::CatalogueKind;
use backtestd_core::spec::{CompiledSpec, FilterKind};

use crate::common::spec_dir;

const FIRST: BarIndex = BarIndex(5_000_000);

fn shipped() -> CompiledSpec {
    load_specs(&spec_dir()).unwrap()
}

fn symbols() -> Vec<Symbol> {
    ["BTCUSDT", "ETHUSDT"].map(|s| Symbol::new(s).unwrap()).to_vec()
}

fn catalogue(spec: &CompiledSpec) -> Catalogue {
    Catalogue::new(&CatalogueSpec::from_spec(spec, &symbols()), &spec.multiplicity.families)
}

fn conditions_on(catalogue: &Catalogue, event: &str) -> BTreeSet<String> {
    let blocks = catalogue.blocks.iter().filter(|b| *b.event_type == *event);
    blocks
        .flat_map(|b| b.conditions.iter().map(|c| catalogue.conditions[*c].condition.id.to_string()))
        .collect()
}

#[test]
fn every_verb_of_every_shipped_event_is_tested_or_listed_with_a_reason() {
    let spec = shipped();
    let catalogue = catalogue(&spec);
    for event in &spec.events {
        let admitted = conditions_on(&catalogue, &event.event_type);
        let block = catalogue.blocks.iter().find(|b| *b.event_type == *event.event_type);
        for verb in &event.templates {
            let sides = block.into_iter().flat_map(|b| [&b.follow, &b.fade]);
            let is_side =
                sides.into_iter().any(|s| *s.verb == **verb || s.aliases.iter().any(|a| **a == **verb));
            let filter =
                catalogue.filters.iter().find(|f| *f.event_type == *event.event_type && f.verb == *verb);
            let is_condition = filter.is_some_and(|f| {
                !f.conditions.is_empty() && f.conditions.iter().all(|id| admitted.contains(&**id))
            });
            let listed = catalogue
                .untested
                .iter()
                .any(|u| *u.event_type == *event.event_type && u.what == *verb && !u.reason.is_empty());
            let ways = [is_side, is_condition, listed];
            assert_eq!(ways.iter().filter(|w| **w).count(), 1, "{} {verb}: {ways:?}", event.event_type);
            let kind = spec.lexicon.filters.get(verb).map(|f| f.kind);
            assert!(!is_condition || kind == Some(FilterKind::Condition), "{} {verb}", event.event_type);
        }
    }
}

#[test]
fn the_filter_verbs_of_the_shipped_specs_are_these_conditions() {
    let catalogue = catalogue(&shipped());
    let asked = |event: &str, verb: &str| -> Vec<String> {
        let found = catalogue.filters.iter().find(|f| *f.event_type == *event && f.verb == verb).unwrap();
        found.conditions.iter().map(ToString::to_string).collect()
    };
    let liquid = "not_LOW_LIQUIDITY_STATE_and_not_SPREAD_ELEVATED_STATE";
    assert_eq!(asked("LIQUIDITY_SHOCK", "only_if_liquidity"), [liquid]);
    assert_eq!(
        asked("SESSION_OPEN_EVENT", "only_if_no_news_window"),
        ["not_POST_NEWS_AFTERSHOCK_STATE_and_not_PRE_NEWS_STATE"]
    );
    assert_eq!(asked("FUNDING_PERSISTENCE_TRIGGER", "only_if_oi"), ["CROWDING_STATE"]);
    assert_eq!(
        asked("OI_SPIKE_POSITIVE", "only_if_funding"),
        [
            "carry_state_funding_neg",
            "carry_state_funding_pos",
            "carry_state_neutral",
            "FUNDING_PERSISTENCE_STATE"
        ]
    );
    assert_eq!(
        asked("BETA_SPIKE_EVENT", "only_if_regime"),
        ["vol_regime_high", "vol_regime_low", "vol_regime_mid"]
    );
    let rule = catalogue.conditions.iter().find(|c| *c.condition.id == *liquid).unwrap();
    assert_eq!(&*rule.condition.expression, "not LOW_LIQUIDITY_STATE and not SPREAD_ELEVATED_STATE");
    assert!(!conditions_on(&catalogue, "VOL_SHOCK").contains(liquid), "only where an event lists it");
    assert!(!conditions_on(&catalogue, "FUNDING_FLIP").contains("CROWDING_STATE"));
}

#[test]
fn no_series_is_tested_under_two_names() {
    let catalogue = catalogue(&shipped());
    let ids: BTreeSet<&str> = catalogue.conditions.iter().map(|c| &*c.condition.id).collect();
    assert_eq!(ids.len(), catalogue.conditions.len());
    // The texts say what a unit is and not what it is called: with the name left out they still differ.
    let mut seen = BTreeSet::new();
    for place in catalogue.places() {
        let text = catalogue.definition(place);
        let nameless: Vec<&str> = text
            .lines()
            .map(|l| if l.starts_with("condition") { l.rsplit(' ').next().unwrap() } else { l })
            .collect();
        assert!(seen.insert(nameless.join("\n")), "{text}");
    }
    assert_eq!(seen.len(), catalogue.units);
}

#[test]
fn a_filter_that_an_event_gives_up_leaves_the_other_trials_in_their_cohort() {
    let spec = shipped();
    let full = catalogue(&spec);
    let mut without = spec.clone();
    let event = without.events.iter_mut().find(|e| e.event_type == "DEPTH_COLLAPSE").unwrap();
    event.templates.retain(|t| t != "only_if_liquidity");
    let small = catalogue(&without);
    let horizons = spec.event("DEPTH_COLLAPSE").unwrap().horizons.len();
    assert_eq!(full.units - small.units, horizons * full.scopes());
    assert_ne!(full.hash, small.hash);

    let mut ledger = TrialLedger::default();
    ledger.extend(ledger.admit(&small, &spec.gates.multiplicity, 10).unwrap(), CatalogueKind::Open);
    let new = ledger.admit(&full, &spec.gates.multiplicity, 20).unwrap();
    assert_eq!(new.len(), horizons * full.scopes());
    assert!(new.iter().all(|t| t.cohort == 2 && t.event_type == "DEPTH_COLLAPSE"));
    assert!(full.places().any(|p| new[0].key == TrialKey::of(&full.definition(p))));
}

#[test]
fn a_negated_state_is_another_trial_than_the_state_and_changes_with_it() {
    let spec = shipped();
    let of = |spec: &CompiledSpec, id: &str| {
        let made: Definitions = CatalogueSpec::from_spec(spec, &symbols()).definitions;
        made.conditions[id].clone()
    };
    let id = "not_POST_NEWS_AFTERSHOCK_STATE_and_not_PRE_NEWS_STATE";
    assert_ne!(of(&spec, id), of(&spec, "PRE_NEWS_STATE"));
    let mut other = spec.clone();
    let filter = other.lexicon.filters.get_mut("only_if_no_news_window").unwrap();
    filter.states.reverse();
    assert_eq!(of(&spec, id), of(&other, id), "the order of the parts says nothing");
}

#[test]
fn a_condition_that_must_agree_with_the_trade_is_listed_and_not_tested_on_both_sides() {
    let mut spec = shipped();
    let event = spec.events.iter_mut().find(|e| e.event_type == "VOL_SHOCK").unwrap();
    event.templates.push("only_if_trend".to_owned());
    let catalogue = catalogue(&spec);
    let listed = catalogue.untested.iter().find(|u| u.what == "only_if_trend").unwrap();
    assert!(listed.reason.contains("sign of trend_z"), "{}", listed.reason);
    assert!(!conditions_on(&catalogue, "VOL_SHOCK").contains("TRENDING_STATE"));
}

/// A fall of BTCUSDT that rises by 1 % and a little more within a quarter of an hour, with states that are
/// known.
pub(super) fn outcome(spec: &CompiledSpec, bar: BarIndex, known: &[(&str, i8)]) -> Outcome {
    let state = |id: &str| known.iter().find(|(s, _)| *s == id).map_or(-1, |(_, code)| *code);
    Outcome {
        event: Arc::new(Event {
            event_type: "LIQUIDITY_SHOCK".into(),
            family: "LIQUIDITY_DISLOCATION".into(),
            symbol: symbols()[0].clone(),
            bar,
            direction: 1,
            severity: 1.0,
            states: spec.states.iter().map(|s| state(&s.id)).collect(),
            vol_regime: -1,
            carry_state: i8::MIN,
            sigma_bar: 0.001,
            sigma_event: 0.001,
            features: Vec::new(),
        }),
        horizon: Horizon::parse("15m").unwrap(),
        entry_lag_bars: 1,
        entry_price: EntryPrice::Close,
        // What never varies is no sample.
        forward_return: 0.01 + 0.0005 * ((bar - FIRST) / 288 % 5) as f64,
        midnight_return: f64::NAN,
        mfe_bps: 100.0,
        mae_bps: 0.0,
        funding_paid: 0.0,
        cost_bps_round_trip: 12.0,
        costs: CostParts::whole(12.0),
    }
}

#[test]
fn an_event_with_an_unknown_state_is_neither_in_the_condition_nor_in_its_negation() {
    let spec = shipped();
    let (low, wide) = ("LOW_LIQUIDITY_STATE", "SPREAD_ELEVATED_STATE");
    let known = [
        vec![(low, 0), (wide, 0)],
        vec![(low, 0)],
        vec![(low, 0), (wide, 1)],
        vec![(low, 1), (wide, 0)],
        vec![],
    ];
    let outcomes: Vec<Outcome> = (0i64..).zip(&known).map(|(i, k)| outcome(&spec, FIRST + i, k)).collect();
    let table = outcome_table(&spec, &outcomes).unwrap();
    let bit = |id: &str| table.conditions.iter().position(|c| *c.id == *id).unwrap();
    let rows = |bit: usize| (0..table.len()).filter(|row| table.is_active(*row, bit)).collect::<Vec<_>>();
    assert_eq!(rows(bit("not_LOW_LIQUIDITY_STATE_and_not_SPREAD_ELEVATED_STATE")), [0]);
    assert_eq!(rows(bit(low)), [3]);
    assert_eq!(rows(bit(wide)), [2]);
    // What the table says is what a consumer of the events sees.
    let states: Vec<&str> = spec.states.iter().map(|s| &*s.id).collect();
    for (at, condition) in table.conditions.iter().enumerate() {
        let test = ConditionTest::resolve(&[&condition.expression], &states).unwrap();
        let seen: Vec<usize> = (0..outcomes.len()).filter(|i| test.holds(&outcomes[*i].event)).collect();
        assert_eq!(rows(at), seen, "{}", condition.id);
    }
}

#[test]
fn a_condition_whose_source_was_never_known_is_listed_as_unavailable() {
    let spec = shipped();
    let mut config = discovery_config(&spec, &symbols(), Ts(0));
    config.lacking = vec![Lacking {
        series: "LOW_LIQUIDITY_STATE".to_owned(),
        column: "bid_depth_usd".to_owned(),
        symbols: vec!["BTCUSDT".to_owned(), "ETHUSDT".to_owned()],
    }];
    let catalogue = config.catalogue(&OutcomeTable::default());
    let book = config.open_book(&catalogue);
    let untested = conclude_book(&catalogue, &book, &config).summary.untested;
    let of = |event: &str, what: &str| {
        untested.iter().filter(|u| *u.event_type == *event && u.what == what).count()
    };
    assert_eq!(of("DEPTH_COLLAPSE", "not_LOW_LIQUIDITY_STATE_and_not_SPREAD_ELEVATED_STATE"), 1);
    let state = state_condition(&"LOW_LIQUIDITY_STATE".into());
    assert_eq!(of("LIQUIDITY_VACUUM", &state.id), 1);
    assert!(untested.iter().any(|u| u.reason
        == "unavailable on BTCUSDT, ETHUSDT: LOW_LIQUIDITY_STATE needs bid_depth_usd, which was never known there"));
}

#[test]
fn other_outcomes_are_judged_with_the_cohorts_of_the_run() {
    let spec = shipped();
    let config = discovery_config(&spec, &symbols(), Ts(0));
    let full = config.catalogue(&OutcomeTable::default());
    let mut before = spec.clone();
    let event = before.events.iter_mut().find(|e| e.event_type == "LIQUIDITY_SHOCK").unwrap();
    event.templates.retain(|t| t != "only_if_liquidity");
    let mut ledger = TrialLedger::default();
    for catalogue in [&catalogue(&before), &full] {
        let new = ledger.admit(catalogue, &spec.gates.multiplicity, 10).unwrap();
        ledger.extend(new, CatalogueKind::Open);
    }
    let accounting = ledger.account(&full);
    let known = [("LOW_LIQUIDITY_STATE", 0), ("SPREAD_ELEVATED_STATE", 0)];
    let outcomes: Vec<Outcome> = (0..200i64).map(|i| outcome(&spec, FIRST + 288 * i, &known)).collect();
    let end = outcomes.last().unwrap().event.bar.open().day() + 2;
    let facts = RunFacts {
        run_id: "twin".to_owned(),
        code_version: "test".to_owned(),
        data_watermark: Ts(end * DAY_MS),
        discovery_start: Ts(0),
        discovery_end: Ts(end * DAY_MS),
    };
    let empty = config.open_book(&full);
    let look = Look { catalogue: &full, book: &empty, accounting: &accounting, excluded: &[], lacking: &[] };
    let twin =
        conclude_like(&look, &spec, &config, &outcomes, &facts, &mut BTreeMap::new()).unwrap().discovery;
    assert_eq!((twin.summary.cohorts.len(), twin.summary.trials), (2, full.units));
    let of = |state: &str| {
        twin.candidates.iter().find(|c| c.state_id() == state && c.measured.scope.label() == "ALL").unwrap()
    };
    let filtered = of("not_LOW_LIQUIDITY_STATE_and_not_SPREAD_ELEVATED_STATE");
    assert_eq!((of("").measured.cohort, filtered.measured.cohort), (1, 2));
    // The same outcomes, two budgets: the small second cohort has more of its budget for each of its trials.
    let units = |block: usize| vec![None; full.block_units(block)];
    let nobody = accounting.shares(&(0..full.blocks.len()).map(units).collect::<Vec<_>>());
    let share = |c: &Candidate| {
        let is_its = |place: &UnitPlace| {
            let block = &full.blocks[place.block];
            block.event_type == c.measured.event_type
                && block.horizon == c.measured.horizon
                && full.condition(*place).map_or("", |rule| &rule.condition.id) == c.state_id()
                && full.scope(*place).label() == "ALL"
        };
        let place = full.places().find(is_its).unwrap();
        nobody[place.block][full.local(place.block, place.scope, place.condition)]
    };
    let ratio = filtered.measured.p_threshold.unwrap() / of("").measured.p_threshold.unwrap();
    assert!((ratio / (share(filtered) / share(of(""))) - 1.0).abs() < 1e-12, "{ratio}");
    // The same rows: one hypothesis with several names. The pool is its one symbol, and that is what is
    // found.
    let single = twin.candidates.iter().find(|c| c.judgement.is_discovery).unwrap();
    assert_eq!((single.measured.scope.label(), single.state_id()), ("BTCUSDT", ""));
    assert_eq!(filtered.measured.influence.same_series_as.as_ref(), Some(&of("").measured.candidate_id));
    assert_eq!(of("").measured.influence.same_series_as.as_ref(), Some(&single.measured.candidate_id));
    assert!(
        !filtered.judgement.is_discovery
            && (filtered.measured.p_any, filtered.measured.effect_raw_bps)
                == (of("").measured.p_any, of("").measured.effect_raw_bps)
    );
}
