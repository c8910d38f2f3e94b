//! The spec in force and its successors. A tree that does not compile changes nothing but the status.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::event::{Done, Handled, ReloadReplies};
use super::{MainLoop, Spec, answer};
use crate::daemon::shared::{Refusal, Reloaded};
use crate::daemon::status::Phase;
use crate::daemon::storage::Job;
use crate::spec::CompiledSpec;

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
}

impl Specs {
    pub(super) const fn new(current: Spec) -> Self {
        Self { current, reading: false, again: None, ready: None }
    }

    pub(super) const fn has_ready(&self) -> bool {
        self.ready.is_some()
    }
}

impl MainLoop {
    /// Reads the tree again, beside the running spec.
    pub(super) fn on_reload(&mut self, reply: Option<oneshot::Sender<Result<Reloaded, Refusal>>>) -> Handled {
        let replies: ReloadReplies = reply.into_iter().collect();
        if self.specs.reading {
            self.specs.again.get_or_insert_default().extend(replies);
            return Handled::Noted;
        }
        self.specs.reading = true;
        let dir = self.config.spec.clone();
        self.tasks.spawn(async move {
            let read = tokio::task::spawn_blocking(move || CompiledSpec::load(&dir));
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
            let handled = self.on_reload(None);
            self.specs.again = Some(waiting.into_iter().chain(replies).collect());
            return handled;
        }
        match result {
            Err(text) => {
                tracing::error!(error = %text, "the spec tree is not valid; the spec in force stays");
                self.shared.update(|s| s.spec.error = Some(text.clone()));
                for reply in replies {
                    answer(reply, Err(Refusal::Invalid(text.clone())));
                }
                self.service.ready();
                Handled::Refused
            }
            Ok(spec) if spec.hash == self.specs.current.hash => {
                self.shared.update(|s| s.spec.error = None);
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

    /// At a tick boundary: the new spec takes over, and history is replayed under it.
    pub(super) fn install_spec(&mut self) -> Handled {
        let Some((spec, replies)) = self.specs.ready.take() else { return Handled::Idle };
        tracing::info!(from = %self.specs.current.hash, to = %spec.hash, "installing a new spec");
        self.closing = None;
        self.advancing = true;
        self.set_phase(Phase::Backfilling, "replaying history under the new spec");
        let installed = Arc::clone(&spec);
        self.submit(
            |reply| Job::InstallSpec { spec, reply },
            move |result| Done::SpecInstalled { result, spec: installed, replies },
        );
        Handled::Started("install spec")
    }

    pub(super) fn on_spec_installed(&mut self, spec: &Spec, replies: ReloadReplies) -> Handled {
        self.advancing = false;
        self.specs.current = Arc::clone(spec);
        let now = self.shared.clock.now();
        self.shared.update(|s| {
            s.spec.hash.clone_from(&spec.hash);
            s.spec.loaded_at = Some(now);
            s.spec.error = None;
        });
        for reply in replies {
            answer(reply, Ok(Reloaded { hash: spec.hash.clone(), changed: true }));
        }
        self.service.ready();
        self.runs.want_after_catch_up("spec change");
        self.catch_up();
        Handled::Started("catch up")
    }
}
