//! The spec in force and its successors. A tree that does not compile changes nothing but the status.

use backtestd_store::load_specs;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::input::{Done, Handled, ReloadReplies};
use super::{MainLoop, Spec, answer};
use crate::daemon::config::OnSpecChange;
use crate::daemon::shared::{Query, Refusal, Reloaded};
use crate::daemon::status::{ChangeState, WaitingSpec};
use crate::daemon::storage::{Install, Job, Step};

/// The spec in force, and what is on its way to replace it.
#[derive(Debug)]
pub(super) struct Specs {
    pub(super) current: Spec,
    /// The tree is being read.
    reading: bool,
    /// It changed again meanwhile; who waits for the next reading.
    again: Option<ReloadReplies>,
    /// Compiled, waiting for a tick boundary.
    ready: Option<(Spec, ReloadReplies)>,
    /// Being recomputed beside the current one.
    changing: Option<(Spec, ReloadReplies)>,
    /// A step of it is under way. There is never more than one.
    stepping: bool,
    /// When a replay of everything began.
    replay_began: Option<Instant>,
}

impl Specs {
    pub(super) const fn new(current: Spec) -> Self {
        Self {
            current,
            reading: false,
            again: None,
            ready: None,
            changing: None,
            stepping: false,
            replay_began: None,
        }
    }

    /// Whether another spec is on its way.
    pub(super) const fn is_changing(&self) -> bool {
        self.ready.is_some() || self.changing.is_some()
    }

    pub(super) const fn has_ready(&self) -> bool {
        self.ready.is_some()
    }
}

/// Cause of degradation.
const TROUBLE: &str = "spec";

impl MainLoop {
    /// Reads the tree again, beside the running spec.
    pub(super) fn on_reload(&mut self, reply: Option<oneshot::Sender<Result<Reloaded, Refusal>>>) -> Handled {
        let replies: ReloadReplies = reply.into_iter().collect();
        if self.specs.reading {
            self.specs.again.get_or_insert_default().extend(replies);
            return Handled::Noted;
        }
        self.read_spec(replies)
    }

    /// The tree on disk is another one: it takes over, or it is read, held against the trial ledger, and
    /// waits for a reload.
    pub(super) fn on_tree_changed(&mut self) -> Handled {
        if self.config.spec_watch == OnSpecChange::Install {
            return self.on_reload(None);
        }
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            let dir = shared.config.spec.clone();
            let read = tokio::task::spawn_blocking(move || load_specs(&dir)).await;
            let result = match read {
                Ok(Ok(spec)) => {
                    let (hash, spec) = (spec.hash.clone(), Arc::new(spec));
                    let opening = shared.query(|reply| Query::Opening(spec, reply)).await;
                    opening.map(|trials| WaitingSpec { hash, trials }).map_err(|error| error.to_string())
                }
                Ok(Err(errors)) => Err(errors.to_string()),
                Err(error) => Err(format!("reading the spec failed: {error}")),
            };
            Done::SpecRehearsed(result)
        });
        Handled::Started("rehearse spec")
    }

    pub(super) fn on_spec_rehearsed(&mut self, result: Result<WaitingSpec, String>) -> Handled {
        match result {
            Ok(waiting) => {
                let is_other = waiting.hash != self.specs.current.hash;
                if is_other {
                    tracing::info!(hash = %waiting.hash, trials = waiting.trials.new, "a changed spec tree waits for a reload");
                }
                self.trouble(TROUBLE, None);
                self.shared.update(|s| {
                    (s.spec.error, s.spec.waiting) = (None, is_other.then_some(waiting));
                });
                Handled::Noted
            }
            Err(text) => {
                tracing::error!(error = %text, "the spec tree is not valid; the spec in force stays");
                let first = text.lines().next().unwrap_or_default().to_owned();
                self.shared.update(|s| (s.spec.error, s.spec.waiting) = (Some(text), None));
                self.trouble(TROUBLE, Some(format!("the spec tree on disk is refused: {first}")));
                Handled::Refused
            }
        }
    }

    fn read_spec(&mut self, replies: ReloadReplies) -> Handled {
        self.specs.reading = true;
        let dir = self.config.spec.clone();
        self.tasks.spawn(async move {
            let read = tokio::task::spawn_blocking(move || load_specs(&dir));
            let result = match read.await {
                Ok(Ok(spec)) => Ok(Arc::new(spec)),
                Ok(Err(errors)) => Err(errors.to_string()),
                Err(error) => Err(format!("reading the spec failed: {error}")),
            };
            Done::SpecRead { result, replies }
        });
        Handled::Started("read spec")
    }

    pub(super) fn on_spec_read(&mut self, result: Result<Spec, String>, replies: ReloadReplies) -> Handled {
        self.specs.reading = false;
        if let Some(waiting) = self.specs.again.take() {
            // Whatever was read is old already.
            return self.read_spec(waiting.into_iter().chain(replies).collect());
        }
        if result.is_ok() {
            self.trouble(TROUBLE, None);
        }
        match result {
            Err(text) => {
                tracing::error!(error = %text, "the spec tree is not valid; the spec in force stays");
                self.shared.update(|s| s.spec.error = Some(text.clone()));
                let first = text.lines().next().unwrap_or_default();
                self.trouble(TROUBLE, Some(format!("the spec tree on disk is refused: {first}")));
                for reply in replies {
                    answer(reply, Err(Refusal::Invalid(text.clone())));
                }
                self.service.ready();
                Handled::Refused
            }
            Ok(spec) if self.specs.changing.as_ref().is_some_and(|(to, _)| to.hash == spec.hash) => {
                self.shared.update(|s| s.spec.error = None);
                if let Some((_, waiting)) = &mut self.specs.changing {
                    waiting.extend(replies);
                }
                Handled::Noted
            }
            Ok(spec) if spec.hash == self.specs.current.hash && self.specs.changing.is_none() => {
                self.shared.update(|s| (s.spec.error, s.spec.waiting) = (None, None));
                for reply in replies {
                    answer(reply, Ok(Reloaded { hash: spec.hash.clone(), changed: false }));
                }
                self.service.ready();
                Handled::Noted
            }
            Ok(spec) => {
                self.specs.ready = Some((spec, replies));
                if self.advancing { Handled::Noted } else { self.install_spec() }
            }
        }
    }

    /// At a tick boundary: the new spec takes over, or what it changes begins to be computed beside the
    /// current one.
    pub(super) fn install_spec(&mut self) -> Handled {
        let Some((spec, mut replies)) = self.specs.ready.take() else { return Handled::Idle };
        tracing::info!(from = %self.specs.current.hash, to = %spec.hash, "installing a new spec");
        // Whoever waits for a change that never came into force hears of this one.
        replies.extend(self.specs.changing.take().into_iter().flat_map(|(_, waiting)| waiting));
        self.advancing = true;
        self.specs.replay_began = Some(Instant::now());
        let installed = Arc::clone(&spec);
        self.submit(
            |reply| Job::InstallSpec { spec, reply },
            move |result| Done::SpecInstalled { result, spec: installed, replies },
        );
        Handled::Started("install spec")
    }

    pub(super) fn on_spec_installed(
        &mut self,
        install: &Install,
        spec: Spec,
        replies: ReloadReplies,
    ) -> Handled {
        self.advancing = false;
        self.sieve.set_rules(&spec.sources);
        self.book.set_absent_after(spec.sources.live.absent_after_bars);
        self.trades.set_waiting(spec.sources.live.trades_within_bars);
        match install {
            Install::Unchanged => {
                self.shared.update(|s| s.spec.error = None);
                for reply in replies {
                    answer(reply, Ok(Reloaded { hash: spec.hash.clone(), changed: false }));
                }
                self.service.ready();
                self.on_tick_timer()
            }
            Install::Rebuilding => {
                self.shared.update(|s| s.spec.error = None);
                self.specs.changing = Some((spec, replies));
                // The old spec serves on; how far the new one is, is in the status.
                self.service.ready();
                self.next_change_step();
                self.on_tick_timer()
            }
            Install::InForce => self.in_force(&spec, replies),
            Install::Replaying => {
                self.closing = None;
                self.put_in_force(&spec, replies);
                self.catch_up();
                Handled::Started("catch up")
            }
        }
    }

    fn next_change_step(&mut self) {
        if !self.specs.stepping {
            self.specs.stepping = true;
            self.submit(|reply| Job::ChangeStep { reply }, Done::ChangeStepped);
        }
    }

    pub(super) fn on_change_stepped(&mut self, step: Step) -> Handled {
        self.specs.stepping = false;
        match step {
            Step::More => {
                self.next_change_step();
                Handled::Noted
            }
            Step::InForce(spec) => {
                let replies = match self.specs.changing.take() {
                    Some((to, replies)) if to.hash == spec.hash => replies,
                    // Another one is on its way already.
                    other => {
                        self.specs.changing = other;
                        Vec::new()
                    }
                };
                self.in_force(&spec, replies)
            }
            Step::Idle => {
                // The change that was being stepped is gone; a newer one may need steps.
                if self.specs.changing.is_some() {
                    self.next_change_step();
                }
                Handled::Noted
            }
        }
    }

    /// Every fact is the new spec's: discovery follows.
    fn in_force(&mut self, spec: &Spec, replies: ReloadReplies) -> Handled {
        self.put_in_force(spec, replies);
        if !self.repair_due {
            self.start_wanted_run();
        }
        self.on_tick_timer()
    }

    fn put_in_force(&mut self, spec: &Spec, replies: ReloadReplies) {
        self.specs.current = Arc::clone(spec);
        let now = self.shared.clock.now();
        self.shared.update(|s| {
            s.spec.hash.clone_from(&spec.hash);
            s.spec.loaded_at = Some(now);
            (s.spec.error, s.spec.waiting) = (None, None);
        });
        for reply in replies {
            answer(reply, Ok(Reloaded { hash: spec.hash.clone(), changed: true }));
        }
        self.service.ready();
        self.join_again();
        self.runs.want_after_catch_up("spec change");
    }

    /// History is computed: a replay under a new spec, if there was one, has ended.
    pub(super) fn end_replay(&mut self) {
        let took = self.specs.replay_began.take().map(|began| began.elapsed().as_millis());
        let now = self.shared.clock.now();
        self.shared.update(|s| {
            if let Some(change) = s.spec.change.as_mut().filter(|c| c.state == ChangeState::Replaying) {
                change.state = ChangeState::InForce;
                change.in_force_at = Some(now);
                change.duration_ms = took.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX));
                change.rows_done = change.rows_total;
            }
        });
    }
}
