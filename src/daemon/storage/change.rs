//! A spec change: the changed part of the graph catches up with history beside the pipeline that is in force,
//! then the new pipeline takes over between two ticks, in one atomic batch.
//!
//! Until that batch the store holds the facts, the checkpoints and the signature of the old spec; a process
//! that dies before it starts over from there. After it, everything is the new spec's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::StorageError;
use super::facts::{Facts, SIGNATURE, judge_by, pipeline_config, signature};
use crate::daemon::feed::Follow;
use crate::daemon::shared::Shared;
use crate::daemon::status::{ChangeState, ChangeStatus};
use backtestd_core::market::BarIndex;
use backtestd_core::outcomes::Outcome;
use backtestd_core::outcomes::{EpisodeEnd, Event};
use backtestd_core::pipeline::{Change, ChangePlan, Pipeline, PipelineConfig, Rebuild};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::{CheckpointLadder, Replacement, Store};

/// Most rows of history a step.
const STEP_ROWS: usize = 512;
/// A step that takes longer is followed by a smaller one: ticks and questions wait for it.
const STEP_MS: u128 = 200;
/// The last rows are run in the step that takes over, so that what is repaired just behind the newest tick
/// does not begin it all again.
const LAST_ROWS: i64 = 64;

/// What an installation came to.
#[derive(Clone, Debug)]
pub enum Install {
    /// The spec was in force already.
    Unchanged,
    /// It is in force; no history was needed.
    InForce,
    /// Steps are needed; until the last one the old spec is in force.
    Rebuilding,
    /// It is in force, and the facts are gone: replay the history.
    Replaying,
}

/// What a step came to.
#[derive(Clone, Debug)]
pub enum Step {
    /// More are needed.
    More,
    /// The new spec is in force.
    InForce(Arc<CompiledSpec>),
    /// There is nothing to do.
    Idle,
}

/// A change under way.
#[derive(Debug)]
pub(super) struct Changing {
    plan: Arc<ChangePlan>,
    config: PipelineConfig,
    rebuild: Option<Rebuild>,
    found: Found,
    /// Checkpoints of the new pipeline, behind those of the old one that it has passed.
    checkpoints: VecDeque<(BarIndex, Vec<u8>)>,
    step_rows: usize,
    started: Instant,
}

/// Facts that the new spec adds or rewrites.
#[derive(Debug, Default)]
struct Found {
    events: Vec<Event>,
    ends: Vec<EpisodeEnd>,
    outcomes: Vec<Outcome>,
}

impl Changing {
    /// Whether it has read a row.
    pub(super) fn has_passed(&self, bar: BarIndex) -> bool {
        self.rebuild.as_ref().is_some_and(|r| bar < r.next_bar())
    }

    /// Begins anew: rows that it has read are no longer what the raw log gives.
    pub(super) fn restart(
        &mut self,
        store: &Store,
        first: BarIndex,
        shared: &Shared,
    ) -> Result<(), StorageError> {
        self.rebuild = new_rebuild(store, &self.plan, &self.config, first)?;
        self.found = Found::default();
        self.checkpoints.clear();
        shared.update(|s| {
            if let Some(change) = &mut s.spec.change {
                change.restarts += 1;
                change.rows_done = 0;
            }
        });
        Ok(())
    }

    fn keep_checkpoint(&mut self, old: &Pipeline) -> Result<(), StorageError> {
        let new = old.changed(&self.plan, &self.config, self.rebuild.as_ref())?;
        self.checkpoints.push_back((new.next_bar() - 1, new.checkpoint()?));
        while self.checkpoints.len() > CheckpointLadder::default().latest {
            self.checkpoints.pop_front();
        }
        Ok(())
    }
}

/// The changed part before the first row, holding what was known by then.
fn new_rebuild(
    store: &Store,
    plan: &Arc<ChangePlan>,
    config: &PipelineConfig,
    first: BarIndex,
) -> Result<Option<Rebuild>, StorageError> {
    let Some(mut rebuild) = Rebuild::new(plan, config, first)? else { return Ok(None) };
    rebuild.prime(&store.lead_in(&config.symbols, first, rebuild.lead_in_rows())?)?;
    Ok(Some(rebuild))
}

impl Facts {
    /// Puts another spec in force, or begins to.
    pub(super) fn install(
        &mut self,
        store: &mut Store,
        shared: &Shared,
        follow: &Follow,
        spec: Arc<CompiledSpec>,
    ) -> Result<Install, StorageError> {
        self.changing = None;
        if spec.hash == self.spec.hash {
            shared.update(|s| s.spec.change = None);
            return Ok(Install::Unchanged);
        }
        self.joining = None;
        if let Some(bar) = judge_by(store, shared, &spec)?.filter(|bar| *bar < self.next()) {
            self.note_dirty(store, bar)?;
        }
        let config = pipeline_config(&spec, follow, shared);
        let change = Change::between(self.pipeline.config(), &config)?;
        let status = ChangeStatus {
            state: ChangeState::Recomputing,
            from: self.spec.hash.clone(),
            to: spec.hash.clone(),
            why_everything: None,
            what: change.summary().clone(),
            rows_done: 0,
            rows_total: (self.next() - self.first).unsigned_abs(),
            restarts: 0,
            began_at: shared.clock.now(),
            in_force_at: None,
            duration_ms: None,
            replaced: None,
        };
        let plan = match change {
            Change::Part(plan) if self.committed().is_some() => plan,
            Change::Part(_) => {
                let why = "no history has been computed yet";
                return self.replay(
                    store,
                    shared,
                    follow,
                    spec,
                    ChangeStatus { why_everything: Some(why), ..status },
                );
            }
            Change::Everything { why, .. } => {
                return self.replay(
                    store,
                    shared,
                    follow,
                    spec,
                    ChangeStatus { why_everything: Some(why), ..status },
                );
            }
        };
        let needs_history = plan.needs_history();
        let rows_total = if needs_history { status.rows_total } else { 0 };
        shared.update(|s| s.spec.change = Some(ChangeStatus { rows_total, ..status }));
        let mut changing = Changing {
            rebuild: new_rebuild(store, &plan, &config, self.first)?,
            plan,
            config,
            found: Found::default(),
            checkpoints: VecDeque::new(),
            step_rows: STEP_ROWS,
            started: Instant::now(),
        };
        if needs_history {
            self.changing = Some(changing);
            return Ok(Install::Rebuilding);
        }
        let news_from = self.next();
        self.rewind_if_dirty(store)?;
        let latest = CheckpointLadder::default().latest;
        for bar in store.checkpoints()?.into_iter().rev().take(latest).rev() {
            self.pass_checkpoint(store, &mut changing, bar)?;
        }
        self.take_over(store, shared, follow, changing, news_from)?;
        Ok(Install::InForce)
    }

    /// The next step of a change under way.
    pub(super) fn step(
        &mut self,
        store: &mut Store,
        shared: &Shared,
        follow: &Follow,
    ) -> Result<Step, StorageError> {
        let Some(mut changing) = self.changing.take() else { return Ok(Step::Idle) };
        let began = Instant::now();
        let next =
            |changing: &Changing| changing.rebuild.as_ref().map_or(BarIndex(i64::MAX), Rebuild::next_bar);
        // Events from the first dirty row on are about to be detected again.
        let last = self.dirty.map_or(self.next(), |dirty| dirty.min(self.next())) - LAST_ROWS;
        if next(&changing) < last {
            self.run_rows(store, &mut changing, last)?;
            let took = began.elapsed().as_millis();
            changing.step_rows = match took {
                _ if took > STEP_MS => (changing.step_rows / 2).max(1),
                _ if took < STEP_MS / 3 => (changing.step_rows * 2).min(STEP_ROWS),
                _ => changing.step_rows,
            };
            self.show_progress(shared, &changing);
            self.changing = Some(changing);
            return Ok(Step::More);
        }
        let news_from = self.next();
        self.rewind_if_dirty(store)?;
        while next(&changing) < self.next() {
            let end = self.next();
            self.run_rows(store, &mut changing, end)?;
        }
        let spec = Arc::clone(&changing.config.spec);
        self.take_over(store, shared, follow, changing, news_from)?;
        Ok(Step::InForce(spec))
    }

    /// Runs rows before `end`, up to where the old pipeline has its next checkpoint.
    fn run_rows(&self, store: &Store, changing: &mut Changing, end: BarIndex) -> Result<(), StorageError> {
        let Some(rebuild) = &mut changing.rebuild else { return Ok(()) };
        let first = rebuild.next_bar();
        let checkpoint = store.checkpoints()?.into_iter().find(|bar| *bar >= first && *bar < end);
        let end = checkpoint.map_or(end, BarIndex::next).min(first + changing.step_rows as i64);
        let raw = self.raw(store, first, (end - first).unsigned_abs() as usize)?;
        let rebuilt = rebuild.push(&raw, &store.events(first, end)?)?;
        changing.found.events.extend(rebuilt.events);
        changing.found.ends.extend(rebuilt.ends);
        changing.found.outcomes.extend(rebuilt.outcomes);
        if let Some(bar) = checkpoint.filter(|bar| bar.next() == end) {
            self.pass_checkpoint(store, changing, bar)?;
        }
        Ok(())
    }

    /// Makes the new spec's checkpoint from the old one's, so that a repair just behind the newest tick need
    /// not replay everything.
    fn pass_checkpoint(
        &self,
        store: &Store,
        changing: &mut Changing,
        bar: BarIndex,
    ) -> Result<(), StorageError> {
        let Some((_, bytes)) = store.latest_checkpoint(bar)?.filter(|(at, _)| *at == bar) else {
            return Ok(());
        };
        match Pipeline::restore(self.pipeline.config().clone(), &bytes) {
            Ok(old) => changing.keep_checkpoint(&old),
            Err(error) => {
                tracing::warn!(%error, %bar, "a checkpoint cannot be carried over");
                Ok(())
            }
        }
    }

    /// The new pipeline takes over where the old one stands. Events before `news_from` are not news.
    fn take_over(
        &mut self,
        store: &mut Store,
        shared: &Shared,
        follow: &Follow,
        mut changing: Changing,
        news_from: BarIndex,
    ) -> Result<(), StorageError> {
        let through = self.next() - 1;
        let pipeline = self.pipeline.changed(&changing.plan, &changing.config, changing.rebuild.as_ref())?;
        changing.checkpoints.retain(|(bar, _)| *bar < through);
        changing.checkpoints.push_back((through, pipeline.checkpoint()?));
        let mut found = std::mem::take(&mut changing.found);
        self.carry_over(store, &changing, &mut found)?;
        if self.signals.have_begun() {
            self.signals.begin_anew(store, news_from)?;
        }
        let spec = Arc::clone(&changing.config.spec);
        let signature = signature(&spec, follow, self.first);
        let replaced = store.replace(&Replacement {
            drop_events: changing.plan.dropped_events().clone(),
            drop_outcomes: changing.plan.dropped_outcomes().clone(),
            events: &found.events,
            ends: &found.ends,
            outcomes: &found.outcomes,
            checkpoints: changing.checkpoints.make_contiguous(),
            meta: &[(SIGNATURE, &signature)],
        })?;
        let duration_ms = u64::try_from(changing.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(hash = %spec.hash, duration_ms, ?replaced, "the new spec is in force");
        self.stand_under(spec, pipeline);
        self.last_checkpoint = Some(through);
        self.show_quality(shared);
        let now = shared.clock.now();
        self.signals.retract(store, shared, self.pipeline.next_bar(), now)?;
        shared.update(|s| {
            if let Some(change) = &mut s.spec.change {
                change.state = ChangeState::InForce;
                change.in_force_at = Some(now);
                change.duration_ms = Some(duration_ms);
                change.rows_done = change.rows_total;
                change.replaced = Some(replaced.into());
            }
        });
        Ok(())
    }

    /// Stored facts that only move to another name, or that are rewritten without history.
    fn carry_over(&self, store: &Store, changing: &Changing, found: &mut Found) -> Result<(), StorageError> {
        let plan = &changing.plan;
        let (first, end) = (self.first, self.next());
        let is_light = changing.rebuild.is_none();
        if is_light && !plan.leaves_events_alone() {
            let stored = store.events(first, end)?;
            found.events.extend(stored.iter().flat_map(|event| plan.rewritten(event)));
        }
        if plan.moves().next().is_none() {
            return Ok(());
        }
        for end in store.episode_ends(first, end)? {
            let heirs = plan.moves().filter(|(from, _)| *from == &*end.event_type);
            found.ends.extend(heirs.map(|(_, to)| EpisodeEnd { event_type: Arc::clone(to), ..end.clone() }));
        }
        if is_light {
            for outcome in store.outcomes(first, end)? {
                let heirs = plan.rewritten(&outcome.event).into_iter();
                let moved = heirs.filter(|heir| heir.event_type != outcome.event.event_type);
                found.outcomes.extend(moved.map(|heir| Outcome { event: Arc::new(heir), ..outcome.clone() }));
            }
        }
        Ok(())
    }

    /// The old way, for changes that touch every fact: the facts go, the raw log stays.
    fn replay(
        &mut self,
        store: &mut Store,
        shared: &Shared,
        follow: &Follow,
        spec: Arc<CompiledSpec>,
        mut status: ChangeStatus,
    ) -> Result<Install, StorageError> {
        self.drop_for(store, shared, follow, spec)?;
        status.state = ChangeState::Replaying;
        status.what.nodes_recomputed = status.what.nodes;
        status.what.nodes_kept = 0;
        shared.update(|s| s.spec.change = Some(status));
        Ok(Install::Replaying)
    }

    fn show_progress(&self, shared: &Shared, changing: &Changing) {
        let Some(rebuild) = &changing.rebuild else { return };
        let (done, total) = (rebuild.next_bar() - self.first, self.next() - self.first);
        shared.update(|s| {
            if let Some(change) = &mut s.spec.change {
                change.rows_done = done.unsigned_abs();
                change.rows_total = total.unsigned_abs();
            }
        });
    }
}
