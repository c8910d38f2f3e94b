//! The changed part of a graph, run over the raw log.

use std::sync::Arc;

use super::ChangePlan;
use crate::clean::Joiner;
use crate::graph::{Engine, SymbolOutput};
use crate::market::{BarIndex, RawBlock};
use crate::outcomes::{EpisodeEnd, Event};
use crate::outcomes::{Outcome, OutcomeBook};
use crate::pipeline::assemble::{Assembler, RecordFeatures, state_code};
use crate::pipeline::door::Stretch;
use crate::pipeline::{Pipeline, PipelineConfig, PipelineError, QualityCounter};

/// Runs what a change needs over history, beside the pipeline that is in force.
#[derive(Clone, Debug)]
pub struct Rebuild {
    plan: Arc<ChangePlan>,
    symbols: Vec<crate::market::Symbol>,
    joiner: Joiner,
    engine: Engine,
    book: OutcomeBook,
    assembler: Arc<Assembler>,
    quality: QualityCounter,
    /// Per event of the part: its position in the new specs, if it is detected again.
    places: Vec<Option<usize>>,
    /// Per new state: its column in the part's output.
    state_columns: Vec<Option<usize>>,
}

/// What a stretch of rows comes to under the new spec, where it differs from what is stored.
#[derive(Clone, Debug, Default)]
pub struct Rebuilt {
    /// Events that are new, moved or rewritten.
    pub events: Vec<Event>,
    /// Ends of episodes of events that are new.
    pub ends: Vec<EpisodeEnd>,
    /// Outcomes that are booked again.
    pub outcomes: Vec<Outcome>,
}

/// A row of the part's output.
pub(super) struct Row<'a> {
    output: &'a SymbolOutput,
    row: usize,
    state_columns: &'a [Option<usize>],
    features: RecordFeatures,
}

impl Row<'_> {
    /// Of a new state, by its index: 1, 0, -1 = unknown.
    pub(super) fn state(&self, ix: usize) -> i8 {
        state_code(self.state_columns[ix].map_or(f64::NAN, |column| self.output.states[column][self.row]))
    }

    /// Puts the record features that do not stay into a record.
    pub(super) fn put_record_features(&self, stay: [bool; 4], record: &mut Event) {
        let new = self.features.of(self.output, self.row);
        let [vol_regime, carry_state, sigma_bar, sigma_event] = stay;
        if !vol_regime {
            record.vol_regime = new.vol_regime;
        }
        if !carry_state {
            record.carry_state = new.carry_state;
        }
        if !sigma_bar {
            record.sigma_bar = new.sigma_bar;
        }
        if !sigma_event {
            record.sigma_event = new.sigma_event;
        }
    }
}

impl Rebuild {
    /// Before the first row of the history; `None` if the plan needs none. `new` is the config that the plan
    /// leads to.
    ///
    /// # Errors
    /// When the specs' rules for sources or calendars cannot be used.
    pub fn new(
        plan: &Arc<ChangePlan>,
        new: &PipelineConfig,
        first: BarIndex,
    ) -> Result<Option<Self>, PipelineError> {
        let Some(part) = plan.part.clone() else { return Ok(None) };
        let names: Vec<&String> = part.states.iter().map(|s| &s.name).collect();
        let column = |state: &crate::graph::Output| names.iter().position(|name| **name == state.name);
        let place =
            |name: &String| plan.order.get(name).copied().filter(|_| plan.detected_again.contains(name));
        Ok(Some(Self {
            plan: Arc::clone(plan),
            symbols: new.symbols.clone(),
            joiner: Joiner::new(&new.symbols, new.clean_policy()?, first)?,
            book: OutcomeBook::new(new.book()),
            assembler: Arc::new(Assembler::new(&part, &new.symbols)),
            quality: QualityCounter::new(&new.symbols, &new.spec, first),
            places: part.events.iter().map(|e| place(&e.event_type)).collect(),
            state_columns: new.spec.graph.states.iter().map(column).collect(),
            engine: Engine::new(part, &new.symbols, first, new.engine),
        }))
    }

    /// The row that the next push must start with.
    #[must_use]
    pub const fn next_bar(&self) -> BarIndex {
        self.engine.next_bar()
    }

    /// As [`crate::pipeline::Pipeline::lead_in_rows`] says.
    #[must_use]
    pub fn lead_in_rows(&self) -> usize {
        self.joiner.lead_in_rows()
    }

    /// See [`crate::pipeline::Pipeline::prime`].
    ///
    /// # Errors
    /// When the block does not end at [`Rebuild::next_bar`].
    pub fn prime(&mut self, history: &RawBlock) -> Result<(), PipelineError> {
        Ok(self.joiner.prime(history)?)
    }

    /// Takes the next rows of the raw log, and the events that are stored for them.
    ///
    /// # Errors
    /// When the block does not start at [`Rebuild::next_bar`].
    pub fn push(&mut self, raw: &RawBlock, stored: &[Event]) -> Result<Rebuilt, PipelineError> {
        if raw.first != self.next_bar() {
            return Err(PipelineError::OutOfOrder { expected: self.next_bar(), got: raw.first });
        }
        let stretch = Stretch::of(raw);
        stretch.assert_records(stored, &[]);
        let columns = self.joiner.push(raw)?;
        stretch.assert_columns(&columns, self.symbols.len());
        let output = self.engine.push(&columns)?;
        let plan = Arc::clone(&self.plan);
        let (mut detected, mut ends) = self.assembler.assemble(&output);
        // The part also holds detectors that others read; what they detect is stored already.
        detected.retain(|e| plan.detected_again.contains(&*e.event_type));
        ends.retain(|e| plan.detected_again.contains(&*e.event_type));
        let mut kept = Vec::with_capacity(stored.len());
        let mut rebuilt = Rebuilt { events: detected.clone(), ends, outcomes: Vec::new() };
        for event in stored {
            let symbol = self.symbols.iter().position(|s| *s == event.symbol);
            let row = symbol.map(|symbol| Row {
                output: &output.symbols[symbol],
                row: (event.bar - raw.first) as usize,
                state_columns: &self.state_columns,
                features: self.assembler.record_features(),
            });
            let heirs = plan.rewrite(event, row.as_ref());
            if plan.rewrites {
                rebuilt.events.extend(heirs.iter().cloned());
            } else {
                rebuilt.events.extend(heirs.iter().filter(|h| h.event_type != event.event_type).cloned());
            }
            kept.extend(heirs);
        }
        detected.extend(kept);
        let place = |e: &Event| {
            (e.bar, self.symbols.iter().position(|s| *s == e.symbol), plan.order.get(&*e.event_type).copied())
        };
        detected.sort_by_cached_key(place);
        stretch.assert_records(&detected, &rebuilt.ends);
        rebuilt.outcomes = self.book.push(raw, &columns, &detected);
        stretch.assert_outcomes(&rebuilt.outcomes);
        self.quality.observe_part(&output, |ix| self.places[ix], &rebuilt.outcomes);
        rebuilt.outcomes.retain(|o| plan.booked_again.contains(&*o.event.event_type));
        Ok(rebuilt)
    }
}

impl Pipeline {
    /// The pipeline under the new spec, standing where this one stands; `new` is the config that the plan
    /// leads to, and `rebuild` has seen the same rows.
    ///
    /// # Errors
    /// When the two do not stand at the same row, or the plan does not fit.
    pub fn changed(
        &self,
        plan: &Arc<ChangePlan>,
        new: &PipelineConfig,
        rebuild: Option<&Rebuild>,
    ) -> Result<Self, PipelineError> {
        let graph = Arc::clone(&new.spec.graph);
        let donors: Vec<&Engine> = [&self.engine].into_iter().chain(rebuild.map(|r| &r.engine)).collect();
        let engine = Engine::compose(graph, &donors, new.engine)?;
        let place = |e: &Event| plan.order.get(&*e.event_type).copied();
        let (joiner, book) = match rebuild {
            Some(rebuild) => (rebuild.joiner.clone(), rebuild.book.clone()),
            None => (self.joiner.clone(), self.book.rewritten(new.book(), |e| plan.rewrite(e, None), place)),
        };
        let assembler = Assembler::new(&new.spec.graph, &new.symbols);
        let donor = |event: usize| plan.donors[event];
        let quality = self.quality.under(&new.spec, donor, rebuild.map(|r| &r.quality));
        Ok(Self { config: new.clone(), joiner, engine, book, assembler, quality })
    }
}
