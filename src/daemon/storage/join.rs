//! Symbols that join: a second pipeline, which has them, catches up with history beside the one that is in
//! force, and takes over between two ticks, in one atomic batch.
//!
//! Of a symbol that nobody has heard of before its join there are no records, so that every fact of the
//! others is what it was, bit for bit: only the state is another one. Where the log does have records of it
//! (an import), all facts are taken from the second pipeline, and events that differ are told as after a spec
//! change.
//!
//! **Invariant:** the pipeline that has taken over stands as one that has run with all symbols from the first
//! row on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::StorageError;
use super::facts::{Facts, SIGNATURE, new_pipeline, pipeline_config, signature};
use super::worker::Worker;
use crate::daemon::feed::Follow;
use crate::daemon::shared::Shared;
use backtestd_core::market::{BarIndex, Symbol};
use backtestd_core::outcomes::{EpisodeEnd, Event, Outcome};
use backtestd_core::pipeline::Pipeline;
use backtestd_store::{CheckpointLadder, Replacement, Store};

/// Most rows of history a step.
const STEP_ROWS: usize = 512;
/// A step that takes longer is followed by a smaller one: ticks and questions wait for it.
const STEP_MS: u128 = 200;
/// The last rows are run in the step that takes over, so that what is repaired just behind the newest tick
/// does not begin it all again.
const LAST_ROWS: i64 = 64;

/// What a step came to.
#[derive(Clone, Debug)]
pub enum JoinStep {
    /// More are needed; so many rows of history are done, of so many.
    More(u64, u64),
    /// This is what is followed from now on.
    Follows(Arc<Follow>),
    /// Nobody is joining: something else has come between. Ask again for it.
    Idle,
}

/// A join under way.
#[derive(Debug)]
pub(super) struct Joining {
    follow: Arc<Follow>,
    pipeline: Pipeline,
    /// Facts of the second pipeline, where they may be others than the stored ones.
    found: Option<Found>,
    /// Checkpoints of the second pipeline at the bars of those of the first that it has passed.
    checkpoints: VecDeque<(BarIndex, Vec<u8>)>,
    step_rows: usize,
}

#[derive(Debug, Default)]
struct Found {
    events: Vec<Event>,
    ends: Vec<EpisodeEnd>,
    outcomes: Vec<Outcome>,
}

impl Joining {
    /// Whether it has read a row.
    pub(super) fn has_passed(&self, bar: BarIndex) -> bool {
        bar < self.pipeline.next_bar()
    }

    /// Begins anew: rows that it has read are no longer what the raw log gives.
    pub(super) fn restart(&mut self, store: &Store, first: BarIndex) -> Result<(), StorageError> {
        self.pipeline = new_pipeline(store, self.pipeline.config().clone(), first)?;
        self.found = self.found.is_some().then(Found::default);
        self.checkpoints.clear();
        Ok(())
    }
}

impl Worker {
    /// Follows something else from now on, or begins to: symbols that the pipeline does not have need a
    /// second one. Each of `new` is known from the bar after the open one on.
    pub(super) fn follow(&mut self, follow: Follow, new: &[Symbol]) -> Result<JoinStep, StorageError> {
        let mut follow = follow;
        for (symbol, collected) in follow.symbols.iter().zip(&mut follow.collected) {
            match self.follow.symbols.iter().position(|known| known == symbol) {
                Some(at) => collected.clone_from(&self.follow.collected[at]),
                None => collected.extend(self.store.coverage(symbol)?),
            }
        }
        let is_known = |symbol: &Symbol| self.follow.symbols.contains(symbol);
        if follow.symbols.iter().all(is_known) {
            follow.since.extend(new.iter().map(|symbol| (symbol.clone(), self.facts.next() + 1)));
            self.follow = Arc::new(follow);
            return Ok(JoinStep::Follows(Arc::clone(&self.follow)));
        }
        if self.facts.committed().is_none() {
            return Ok(JoinStep::Idle);
        }
        let mut has_records = false;
        for symbol in new.iter().filter(|symbol| !is_known(symbol)) {
            has_records |= !self.store.coverage(symbol)?.is_empty();
        }
        let config = pipeline_config(&self.facts.spec, &follow, &self.shared);
        self.facts.joining = Some(Joining {
            pipeline: new_pipeline(&self.store, config, self.facts.first)?,
            follow: Arc::new(follow),
            found: has_records.then(Found::default),
            checkpoints: VecDeque::new(),
            step_rows: STEP_ROWS,
        });
        self.join_step(new)
    }

    /// The next step of a join under way.
    pub(super) fn join_step(&mut self, new: &[Symbol]) -> Result<JoinStep, StorageError> {
        if let Some(more) = self.facts.join_rows(&mut self.store)? {
            return Ok(more);
        }
        let Some(joining) = self.facts.joining.take() else { return Ok(JoinStep::Idle) };
        let mut follow = Follow::clone(&joining.follow);
        follow.since.extend(new.iter().map(|symbol| (symbol.clone(), self.facts.next() + 1)));
        self.facts.take_in(&mut self.store, &self.shared, joining)?;
        self.follow = Arc::new(follow);
        self.forget_evidence();
        Ok(JoinStep::Follows(Arc::clone(&self.follow)))
    }
}

impl Facts {
    /// Runs a part of history through the second pipeline; none: it stands where the first one does, or there
    /// is none.
    fn join_rows(&mut self, store: &mut Store) -> Result<Option<JoinStep>, StorageError> {
        let Some(mut joining) = self.joining.take() else { return Ok(None) };
        let began = Instant::now();
        if joining.pipeline.next_bar() > self.next() {
            // What was committed has been taken back.
            joining.restart(store, self.first)?;
        }
        let last = self.dirty.map_or(self.next(), |dirty| dirty.min(self.next())) - LAST_ROWS;
        let is_last = joining.pipeline.next_bar() >= last;
        if is_last {
            self.rewind_if_dirty(store)?;
        }
        let end = if is_last { self.next() } else { last };
        while joining.pipeline.next_bar() < end {
            self.run_joining(store, &mut joining, end)?;
            if !is_last {
                break;
            }
        }
        let took = began.elapsed().as_millis();
        joining.step_rows = match took {
            _ if took > STEP_MS => (joining.step_rows / 2).max(1),
            _ if took < STEP_MS / 3 => (joining.step_rows * 2).min(STEP_ROWS),
            _ => joining.step_rows,
        };
        let rows = |to: BarIndex| (to - self.first).unsigned_abs();
        let more = JoinStep::More(rows(joining.pipeline.next_bar()), rows(self.next()));
        self.joining = Some(joining);
        Ok((!is_last).then_some(more))
    }

    /// Rows before `end`, up to where the first pipeline has its next checkpoint.
    fn run_joining(&self, store: &Store, joining: &mut Joining, end: BarIndex) -> Result<(), StorageError> {
        let first = joining.pipeline.next_bar();
        let checkpoint = store.checkpoints()?.into_iter().find(|bar| *bar >= first && *bar < end);
        let end = checkpoint.map_or(end, BarIndex::next).min(first + joining.step_rows as i64);
        let symbols = &joining.pipeline.config().symbols;
        let raw = self.raw_of(store, symbols, first, (end - first).unsigned_abs() as usize)?;
        let facts = joining.pipeline.push(&raw)?;
        if let Some(found) = &mut joining.found {
            found.events.extend(facts.events);
            found.ends.extend(facts.ends);
            found.outcomes.extend(facts.outcomes);
        }
        if let Some(bar) = checkpoint.filter(|bar| bar.next() == end) {
            joining.checkpoints.push_back((bar, joining.pipeline.checkpoint()?));
            while joining.checkpoints.len() > CheckpointLadder::default().latest {
                joining.checkpoints.pop_front();
            }
        }
        Ok(())
    }

    /// The second pipeline takes over where the first one stands.
    fn take_in(&mut self, store: &mut Store, shared: &Shared, joining: Joining) -> Result<(), StorageError> {
        let Joining { follow, pipeline, found, mut checkpoints, .. } = joining;
        let through = self.next() - 1;
        checkpoints.retain(|(bar, _)| *bar < through);
        checkpoints.push_back((through, pipeline.checkpoint()?));
        let signature = signature(&self.spec, &follow, self.first);
        let is_found = found.is_some();
        let found = found.unwrap_or_default();
        let every_type = || {
            if is_found {
                self.spec.events.iter().map(|e| e.event_type.clone()).collect()
            } else {
                Default::default()
            }
        };
        if is_found && self.signals.have_begun() {
            self.signals.begin_anew(store, self.pipeline.next_bar())?;
        }
        store.replace(&Replacement {
            drop_events: every_type(),
            drop_outcomes: every_type(),
            events: &found.events,
            ends: &found.ends,
            outcomes: &found.outcomes,
            checkpoints: checkpoints.make_contiguous(),
            meta: &[(SIGNATURE, &signature)],
        })?;
        self.pipeline = pipeline;
        self.last_checkpoint = Some(through);
        if is_found {
            let now = shared.clock.now();
            self.signals.retract(store, shared, self.pipeline.next_bar(), now)?;
        }
        self.show_quality(shared);
        Ok(())
    }
}
