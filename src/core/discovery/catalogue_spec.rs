//! What a catalogue is made of: taken from the compiled specs, or from an outcome table alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::condition::{Condition, label_condition, state_condition, written_condition};
use super::definition::Definitions;
use super::table::OutcomeTable;
use crate::market::Symbol;
use crate::outcomes::Horizon;
use crate::spec::{CompiledSpec, EventMeta, FilterKind, FilterVerb, Lexicon, TestStatistic};

/// Label of the follow side where no template names it.
const STANDARD_FOLLOW: &str = "continuation";
/// Label of the fade side where no template names it.
const STANDARD_FADE: &str = "mean_reversion";

/// An event's label for one side of the test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideLabel {
    /// The verb shown.
    pub verb: Arc<str>,
    /// Other verbs of the same test.
    pub aliases: Arc<[Arc<str>]>,
}

/// An event type to test.
#[derive(Clone, Debug, PartialEq)]
pub struct EventEntry {
    /// Event type to be tested.
    pub event_type: Arc<str>,
    /// Canonical family of the event type.
    pub family: Arc<str>,
    /// Holding periods that the event is tested over.
    pub horizons: Vec<Horizon>,
    /// Label of the follow side.
    pub follow: SideLabel,
    /// Label of the fade side.
    pub fade: SideLabel,
}

/// Which events a condition may be put on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionScope {
    /// Events of every type.
    Any,
    /// Events of one family.
    Family(Arc<str>),
    /// One event type.
    Event(Arc<str>),
}

impl ConditionScope {
    /// Whether the event is one of them.
    #[must_use]
    pub fn holds(&self, event_type: &str, family: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Family(name) => **name == *family,
            Self::Event(name) => **name == *event_type,
        }
    }
}

/// A condition, once, with everything that asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionRule {
    /// The condition on the event's states or regimes.
    pub condition: Condition,
    /// The events that it is put on: those of any of these.
    pub scopes: Vec<ConditionScope>,
    /// Fewest events of a unit with this condition.
    pub min_events: u32,
}

/// A filter verb of an event, and the conditions that it is tested as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestedFilter {
    /// Event type that the verb belongs to.
    pub event_type: Arc<str>,
    /// The filter verb, as the lexicon names it.
    pub verb: String,
    /// Ids of the conditions.
    pub conditions: Vec<Arc<str>>,
}

/// A hypothesis that is asked for and that an outcome table of own-leg returns cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Untested {
    /// Event type that the hypothesis is about.
    pub event_type: Arc<str>,
    /// Template verb, horizon or condition.
    pub what: String,
    /// Why it is not tested.
    pub reason: String,
}

/// What a catalogue is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogueSpec {
    /// What its tests measure.
    pub statistic: TestStatistic,
    /// Event types to test, with their horizons.
    pub events: Vec<EventEntry>,
    /// Symbols whose events are tested.
    pub symbols: Vec<Symbol>,
    /// Conditions, each id once.
    pub conditions: Vec<ConditionRule>,
    /// Bars from the deciding bar to the entry.
    pub entry_lag_bars: u32,
    /// Filter verbs that are tested.
    pub filters: Vec<TestedFilter>,
    /// What is asked for and not tested.
    pub untested: Vec<Untested>,
    /// What the units are, beyond their names.
    pub definitions: Definitions,
}

impl CatalogueSpec {
    /// Everything the specs ask for, on these symbols, whether or not it will have data.
    #[must_use]
    pub fn from_spec(spec: &CompiledSpec, symbols: &[Symbol]) -> Self {
        Self::of(spec, symbols, TestStatistic::OwnReturn)
    }

    /// The tests of one statistic that the specs ask for. Those of another are listed as untested.
    #[must_use]
    pub fn of(spec: &CompiledSpec, symbols: &[Symbol], statistic: TestStatistic) -> Self {
        let mut untested = Vec::new();
        let events = entries(spec, statistic, &mut untested);
        let (conditions, filters) = conditions(spec, &events, &mut untested);
        let mut definitions = Definitions::of(spec, symbols, statistic);
        conditions.iter().for_each(|rule| definitions.define(&rule.condition));
        Self {
            statistic,
            events,
            symbols: symbols.to_vec(),
            conditions,
            entry_lag_bars: spec.defaults.entry_lag_bars.get(),
            filters,
            untested,
            definitions,
        }
    }

    /// The conditions of [`CatalogueSpec::from_spec`]: what a table of outcomes under these specs must say of
    /// its events.
    #[must_use]
    pub fn conditions_of(spec: &CompiledSpec) -> Vec<Condition> {
        let mut untested = Vec::new();
        let events = entries(spec, TestStatistic::OwnReturn, &mut untested);
        conditions(spec, &events, &mut untested).0.into_iter().map(|rule| rule.condition).collect()
    }

    /// What an outcome table by itself can test: its events with the horizons they occur with, its symbols,
    /// and its conditions, each on every event. Events without any direction have no side to take and are
    /// listed as untested.
    #[must_use]
    pub fn from_table(table: &OutcomeTable, entry_lag_bars: u32) -> Self {
        let mut horizons = BTreeSet::new();
        let mut directed = vec![false; table.event_types.len()];
        for ((event, horizon), direction) in table.event.iter().zip(&table.horizon).zip(&table.direction) {
            horizons.insert((*event, *horizon));
            directed[usize::from(*event)] |= *direction != 0;
        }
        let (mut events, mut untested) = (Vec::new(), Vec::new());
        for (((event_type, family), code), directed) in
            table.event_types.iter().zip(&table.families).zip(0u16..).zip(directed)
        {
            if directed {
                events.push(EventEntry {
                    event_type: Arc::clone(event_type),
                    family: Arc::clone(family),
                    horizons: horizons
                        .range((code, 0)..=(code, u16::MAX))
                        .map(|(_, h)| table.horizons[usize::from(*h)].clone())
                        .collect(),
                    follow: side_label(Vec::new(), STANDARD_FOLLOW),
                    fade: side_label(Vec::new(), STANDARD_FADE),
                });
            } else {
                untested.push(Untested {
                    event_type: Arc::clone(event_type),
                    what: "fade_follow".to_owned(),
                    reason: "every event has direction 0: there is no side to take".to_owned(),
                });
            }
        }
        let any = |c: &Condition| ConditionRule {
            condition: c.clone(),
            scopes: vec![ConditionScope::Any],
            min_events: 0,
        };
        Self {
            statistic: TestStatistic::OwnReturn,
            events,
            symbols: table.symbols.clone(),
            conditions: table.conditions.iter().map(any).collect(),
            entry_lag_bars,
            filters: Vec::new(),
            untested,
            definitions: Definitions::default(),
        }
    }
}

/// The events with a template of this statistic.
fn entries(spec: &CompiledSpec, statistic: TestStatistic, untested: &mut Vec<Untested>) -> Vec<EventEntry> {
    spec.events.iter().filter_map(|e| entry(e, &spec.lexicon, statistic, untested)).collect()
}

/// An event of the specs; `None` when none of its templates tests this statistic.
fn entry(
    meta: &EventMeta,
    lexicon: &Lexicon,
    statistic: TestStatistic,
    untested: &mut Vec<Untested>,
) -> Option<EventEntry> {
    if meta.draft {
        untested.push(Untested {
            event_type: meta.event_type.as_str().into(),
            what: "draft".to_owned(),
            reason: "is a draft: take `draft: true` out of its file to have it tested".to_owned(),
        });
        return None;
    }
    let (mut follow, mut fade): (Vec<Arc<str>>, Vec<Arc<str>>) = (Vec::new(), Vec::new());
    for verb in &meta.templates {
        let reason = match lexicon.test(verb).map(|(_, test)| (test.statistic, test.side)) {
            Some((tested, side)) if tested == statistic => {
                (if side > 0 { &mut follow } else { &mut fade }).push(verb.as_str().into());
                continue;
            }
            Some((other, _)) => tested_elsewhere(other),
            None => match lexicon.filters.get(verb).map(|filter| filter.kind) {
                // Conditions are put on what the event tests: see `conditions`.
                Some(FilterKind::Condition) => continue,
                Some(FilterKind::Execution) => {
                    "is a rule of execution on an edge that is found, not a hypothesis; the simulation of the bridge has none"
                }
                Some(FilterKind::Overlay) => {
                    "is judged by what it does to the risk of other strategies, which the event's own outcomes do not show"
                }
                None => "is no verb of the lexicon",
            },
        };
        untested.push(Untested {
            event_type: meta.event_type.as_str().into(),
            what: verb.clone(),
            reason: reason.to_owned(),
        });
    }
    if follow.is_empty() && fade.is_empty() {
        let filters = meta.templates.iter().filter(|verb| is_condition(lexicon, verb));
        untested.extend(filters.map(|verb| Untested {
            event_type: meta.event_type.as_str().into(),
            what: verb.clone(),
            reason: "no template takes a side on the event's own return that it could condition".to_owned(),
        }));
        untested.push(Untested {
            event_type: meta.event_type.as_str().into(),
            what: "fade_follow".to_owned(),
            reason: "no template takes a side on the event's own return".to_owned(),
        });
        return None;
    }
    Some(EventEntry {
        event_type: meta.event_type.as_str().into(),
        family: meta.family.as_str().into(),
        horizons: meta.horizons.clone(),
        follow: side_label(follow, standard_verb(lexicon, statistic, 1)),
        fade: side_label(fade, standard_verb(lexicon, statistic, -1)),
    })
}

/// Why a template of this statistic is not among the hypotheses of another.
const fn tested_elsewhere(statistic: TestStatistic) -> &'static str {
    match statistic {
        TestStatistic::OwnReturn => "is a return of one leg: a hypothesis of discovery proper",
        TestStatistic::RelativeReturn => {
            "needs two legs, which no blueprint has: measured and tested beside discovery by `research`"
        }
        TestStatistic::VarianceRatio => {
            "is about variance, which one leg cannot trade: measured and tested beside discovery by `research`"
        }
        TestStatistic::ExcursionQuantile => "measures the tail of the excursion, not a return",
    }
}

/// Label of a side where the event names none.
fn standard_verb(lexicon: &Lexicon, statistic: TestStatistic, side: i8) -> &str {
    match (statistic, side) {
        (TestStatistic::OwnReturn, 1..) => STANDARD_FOLLOW,
        (TestStatistic::OwnReturn, _) => STANDARD_FADE,
        _ => {
            let verb =
                lexicon.tests.iter().find(|(_, test)| test.statistic == statistic && test.side == side);
            verb.map_or("", |(name, _)| name)
        }
    }
}

fn is_condition(lexicon: &Lexicon, verb: &str) -> bool {
    lexicon.filters.get(verb).is_some_and(|filter| filter.kind == FilterKind::Condition)
}

/// Every condition once: the regimes, on every event; the states, on the events of their scope; the filter
/// verbs, on the events that list them. A filter that says what is there already adds events to it, not a
/// second condition.
fn conditions(
    spec: &CompiledSpec,
    events: &[EventEntry],
    untested: &mut Vec<Untested>,
) -> (Vec<ConditionRule>, Vec<TestedFilter>) {
    let conditioning = &spec.defaults.conditioning;
    let mut rules = Rules::default();
    for (column, values) in &conditioning.regimes {
        for value in values.keys() {
            rules.admit(label_condition(column, value), ConditionScope::Any, 0);
        }
    }
    for state in spec.states.iter().filter(|_| conditioning.states) {
        let scope = if state.family_wide {
            ConditionScope::Family(state.family.as_str().into())
        } else {
            ConditionScope::Event(state.source_event.as_str().into())
        };
        rules.admit(state_condition(&state.id.as_str().into()), scope, state.min_events);
    }
    let mut filters = Vec::new();
    for event in events {
        let templates = spec.event(&event.event_type).map_or(&[][..], |meta| &meta.templates);
        for verb in templates.iter().filter(|verb| is_condition(&spec.lexicon, verb)) {
            let Some(filter) = spec.lexicon.filters.get(verb) else { continue };
            if let Some(feature) = &filter.agrees_with {
                untested.push(Untested {
                    event_type: Arc::clone(&event.event_type),
                    what: verb.clone(),
                    reason: format!(
                        "needs the sign of {feature} to agree with the side of the trade: what holds for one side only is no \
                         condition of a two-sided test"
                    ),
                });
                continue;
            }
            let asked = asked_by(filter, spec);
            filters.push(TestedFilter {
                event_type: Arc::clone(&event.event_type),
                verb: verb.clone(),
                conditions: asked.iter().map(|(condition, _)| Arc::clone(&condition.id)).collect(),
            });
            for (condition, min_events) in asked {
                rules.admit(condition, ConditionScope::Event(Arc::clone(&event.event_type)), min_events);
            }
        }
    }
    (rules.list, filters)
}

/// The conditions that a filter is: each value of its regimes, and its states together. Fewest events as the
/// most demanding of the states wants.
fn asked_by(filter: &FilterVerb, spec: &CompiledSpec) -> Vec<(Condition, u32)> {
    let regimes = &spec.defaults.conditioning.regimes;
    let values = filter.regimes.iter().flat_map(|column| {
        let values = regimes.get(column).into_iter().flat_map(|values| values.keys());
        values.map(move |value| (label_condition(column, value), 0))
    });
    let parts: Vec<Condition> = filter.states.iter().map(|text| written_condition(text)).collect();
    let min_events =
        |c: &Condition| c.series().filter_map(|s| Some(spec.state(s)?.min_events)).max().unwrap_or(0);
    let states = Condition::all(parts).map(|c| (c.clone(), min_events(&c)));
    values.chain(states).collect()
}

/// Conditions by id, in the order in which they were asked for first.
#[derive(Default)]
struct Rules {
    list: Vec<ConditionRule>,
}

impl Rules {
    fn admit(&mut self, condition: Condition, scope: ConditionScope, min_events: u32) {
        match self.list.iter_mut().find(|rule| rule.condition.id == condition.id) {
            Some(rule) => rule.scopes.push(scope),
            None => self.list.push(ConditionRule { condition, scopes: vec![scope], min_events }),
        }
    }
}

/// The event's own verbs of a side; where it names none, the standard one: both signs are tested either way.
fn side_label(mut verbs: Vec<Arc<str>>, standard: &str) -> SideLabel {
    if verbs.is_empty() {
        verbs.push(standard.into());
    }
    let verb = verbs.remove(0);
    SideLabel { verb, aliases: verbs.into() }
}
