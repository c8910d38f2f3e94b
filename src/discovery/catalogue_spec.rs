//! What a catalogue is made of: taken from the compiled specs, or from an outcome table alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::definition::Definitions;
use super::table::OutcomeTable;
use crate::market::Symbol;
use crate::outcomes::Horizon;
use crate::spec::{CompiledSpec, EventMeta, Lexicon, TestStatistic};

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
    /// Event type.
    pub event_type: Arc<str>,
    /// Canonical family.
    pub family: Arc<str>,
    /// Holding periods.
    pub horizons: Vec<Horizon>,
    /// Label of the follow side.
    pub follow: SideLabel,
    /// Label of the fade side.
    pub fade: SideLabel,
}

/// Which events a state may condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateScope {
    /// Any event.
    Any,
    /// Events of one family.
    Family(Arc<str>),
    /// One event type.
    Event(Arc<str>),
}

/// A state as a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRule {
    /// State id.
    pub id: Arc<str>,
    /// What it may condition.
    pub scope: StateScope,
    /// Fewest events of a unit with this state.
    pub min_events: u32,
}

/// A hypothesis that is asked for and that an outcome table of own-leg returns cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Untested {
    /// Event type.
    pub event_type: Arc<str>,
    /// Template verb, horizon or condition.
    pub what: String,
    /// Why it is not tested.
    pub reason: String,
}

/// What a catalogue is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogueSpec {
    /// Event types.
    pub events: Vec<EventEntry>,
    /// Symbols.
    pub symbols: Vec<Symbol>,
    /// States.
    pub states: Vec<StateRule>,
    /// Regime labels that condition every event: column and value.
    pub regimes: Vec<(String, String)>,
    /// Bars from the deciding bar to the entry.
    pub entry_lag_bars: u32,
    /// What is asked for and not tested.
    pub untested: Vec<Untested>,
    /// What the units are, beyond their names.
    pub definitions: Definitions,
}

impl CatalogueSpec {
    /// Everything the specs ask for, on these symbols, whether or not it will have data.
    #[must_use]
    pub fn from_spec(spec: &CompiledSpec, symbols: &[Symbol]) -> Self {
        let mut untested = Vec::new();
        let events = spec.events.iter().filter_map(|e| entry(e, &spec.lexicon, &mut untested)).collect();
        let conditioning = &spec.defaults.conditioning;
        let states = spec
            .states
            .iter()
            .filter(|_| conditioning.states)
            .map(|state| StateRule {
                id: state.id.as_str().into(),
                scope: if state.family_wide {
                    StateScope::Family(state.family.as_str().into())
                } else {
                    StateScope::Event(state.source_event.as_str().into())
                },
                min_events: state.min_events,
            })
            .collect();
        let regimes = conditioning
            .regimes
            .iter()
            .flat_map(|(column, values)| values.keys().map(move |value| (column.clone(), value.clone())))
            .collect();
        let entry_lag_bars = spec.defaults.entry_lag_bars.get();
        let definitions = Definitions::of(spec, symbols);
        Self { events, symbols: symbols.to_vec(), states, regimes, entry_lag_bars, untested, definitions }
    }

    /// What an outcome table by itself can test: its events with the horizons they occur with, its symbols, and its
    /// conditions, each on every event. Events without any direction have no side to take and are listed as untested.
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
        let states = table
            .conditions
            .iter()
            .map(|c| StateRule { id: Arc::clone(&c.id), scope: StateScope::Any, min_events: 0 })
            .collect();
        Self {
            events,
            symbols: table.symbols.clone(),
            states,
            regimes: Vec::new(),
            entry_lag_bars,
            untested,
            definitions: Definitions::default(),
        }
    }
}

/// An event of the specs; `None` when none of its templates takes a side on its own return. Templates that need more
/// than an own-leg return are listed, not imitated.
fn entry(meta: &EventMeta, lexicon: &Lexicon, untested: &mut Vec<Untested>) -> Option<EventEntry> {
    let (mut follow, mut fade): (Vec<Arc<str>>, Vec<Arc<str>>) = (Vec::new(), Vec::new());
    for verb in &meta.templates {
        let reason = match lexicon.test(verb).map(|(_, test)| (test.statistic, test.side)) {
            Some((TestStatistic::OwnReturn, side)) => {
                (if side > 0 { &mut follow } else { &mut fade }).push(verb.as_str().into());
                continue;
            }
            Some((TestStatistic::RelativeReturn, _)) => "needs the hedge leg's return beside the event's own",
            Some((TestStatistic::VarianceRatio, _)) => "measures variance, which one leg cannot trade",
            Some((TestStatistic::ExcursionQuantile, _)) => "measures the tail of the excursion, not a return",
            // Filters are the conditions; overlays judge other strategies.
            None => continue,
        };
        untested.push(Untested {
            event_type: meta.event_type.as_str().into(),
            what: verb.clone(),
            reason: reason.to_owned(),
        });
    }
    if follow.is_empty() && fade.is_empty() {
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
        follow: side_label(follow, STANDARD_FOLLOW),
        fade: side_label(fade, STANDARD_FADE),
    })
}

/// The event's own verbs of a side; where it names none, the standard one: both signs are tested either way.
fn side_label(mut verbs: Vec<Arc<str>>, standard: &str) -> SideLabel {
    if verbs.is_empty() {
        verbs.push(standard.into());
    }
    let verb = verbs.remove(0);
    SideLabel { verb, aliases: verbs.into() }
}
