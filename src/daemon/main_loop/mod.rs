//! The main loop: one closed [`Input`] enum, one `next_event`, one `handle_event`; all state in one struct.
//!
//! The loop waits for nothing but its next event. What takes time runs as a task of `tasks` and comes back as
//! [`Input::Done`]; what blocks runs on the storage thread or on a blocking thread, reached through such a
//! task. A task that panics ends the daemon.
//!
//! ```text
//! starting ─► backfilling ─► live ◄─► degraded
//!                  ▲            │  (too far behind, or another spec: catch up again)
//!                  └────────────┘
//! ```

mod archive;
mod closing;
mod hosts;
mod input;
mod journal;
mod listing;
mod marks;
mod opinion;
mod repair;
mod runs;
mod specs;
mod start;
mod stream_state;
mod ticks;
mod time;
mod universe;
mod voices;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::config::Config;
use super::feed::Follow;
use super::live::{Aggregates, LiveSieve, TickBook};
use super::refused::RefusedFrames;
use super::shared::{Control, Shared};
use super::status::Phase;
use super::storage::{Ended, Job, Reply, Storage, StorageError};
use super::systemd::ServiceManager;
use backtestd_binance::aggregate::TradeAggregator;
use backtestd_binance::{Rest, Stamped, WsControl};
use backtestd_core::market::BarIndex;
use backtestd_core::spec::CompiledSpec;

use closing::Closing;
pub use hosts::{exchange_clock, rest_config, ws_hosts};
pub(super) use input::Signal;
use input::{Done, Handled, Input};
use runs::Runs;
use specs::Specs;
pub use start::{Daemon, DaemonError, Stopper};
use stream_state::StreamStates;

/// How far behind the clock the pipeline may be and still count as live, bars.
const LIVE_LAG_BARS: i64 = 2;

/// The main loop's state.
#[derive(Debug)]
struct MainLoop {
    shared: Arc<Shared>,
    config: Arc<Config>,
    storage: Storage,
    rest: Rest,
    follow: Arc<Follow>,
    service: ServiceManager,
    phase: Phase,
    /// Why live is only degraded, by cause.
    troubles: BTreeMap<&'static str, String>,
    book: TickBook,
    aggregates: Aggregates,
    /// Bars of trades beside the klines, where they are collected.
    trades: TradeAggregator,
    journal: journal::JournalTimer,
    streams: StreamStates,
    control: WsControl,
    sieve: Arc<LiveSieve>,
    refused: RefusedFrames,
    closing: Option<Closing>,
    /// End of the history that the last catch-up fetched.
    fetched_to: BarIndex,
    /// An advance job is under way; there is never more than one.
    advancing: bool,
    /// A put changed committed history.
    repair_due: bool,
    rounds: repair::Rounds,
    archive: archive::ArchiveAudit,
    time: time::Timekeeper,
    /// Who is followed, where a rule says it.
    universe: Option<universe::Universe>,
    /// The exchange has said which of the followed symbols it lists.
    is_listing_known: bool,
    runs: Runs,
    specs: Specs,
    tasks: JoinSet<Done>,
    /// Jobs for the storage thread, in the order in which they were decided: a bar is put before its tick
    /// advances.
    outbox: VecDeque<Job>,
    /// Where the loop's waiting inputs come in.
    inputs: Inputs,
}

/// What the loop listens to beside its own tasks.
#[derive(Debug)]
struct Inputs {
    control: mpsc::Receiver<Control>,
    /// Updates that came while the daemon started.
    early: VecDeque<Stamped>,
    updates: mpsc::Receiver<Stamped>,
    spec_changes: mpsc::Receiver<()>,
    signals: mpsc::Receiver<Signal>,
    storage_ended: Ended,
    next_alive: Instant,
}

/// Why the loop ended.
#[derive(Debug)]
enum Exit {
    /// A stop was asked for.
    Stop,
    /// Something that must not fail has failed.
    Failed(String),
}

impl MainLoop {
    /// Turns until asked to stop or something fails.
    async fn run(mut self) -> Result<(), String> {
        self.catch_up();
        loop {
            let event = self.next_event().await;
            let is_update = matches!(event, Input::Update(_));
            let handled = self.handle_event(event);
            match &handled {
                Handled::Started(what) => tracing::debug!(what, "started"),
                handled => tracing::trace!(?handled, "event handled"),
            }
            if let Handled::Exit(exit) = handled {
                return self.finish(exit).await;
            }
            // A full queue makes the loop wait: back-pressure reaches the sockets, and the watchdog sees it.
            while let Some(job) = self.outbox.pop_front() {
                if self.storage.send(job).await.is_err() {
                    break;
                }
            }
            if !is_update {
                self.show_phase();
            }
        }
    }

    /// Queues a job and a task that brings its reply back.
    fn submit<T: Send + 'static>(
        &mut self,
        make: impl FnOnce(Reply<T>) -> Job,
        done: impl FnOnce(Result<T, StorageError>) -> Done + Send + 'static,
    ) {
        let (reply, answer) = oneshot::channel();
        self.outbox.push_back(make(reply));
        self.tasks.spawn(async move { done(answer.await.unwrap_or(Err(StorageError::Ended))) });
    }

    async fn next_event(&mut self) -> Input {
        let (timer, journal_due) = (self.timer(), self.journal_due());
        let inputs = &mut self.inputs;
        if let Some(update) = inputs.early.pop_front() {
            return Input::Update(update);
        }
        tokio::select! {
            biased;
            ended = &mut inputs.storage_ended => Input::StorageEnded(match ended {
                Ok(Err(reason)) => reason,
                Ok(Ok(())) | Err(_) => "the storage thread ended by itself".to_owned(),
            }),
            Some(signal) = inputs.signals.recv() => Input::Signal(signal),
            () = sleep_until(inputs.next_alive) => Input::Alive,
            Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => match done {
                Ok(done) => Input::Done(done),
                Err(error) => Input::TaskFailed(join_error(error)),
            },
            Some(control) = inputs.control.recv() => Input::Control(control),
            Some(()) = inputs.spec_changes.recv() => Input::SpecTreeChanged,
            () = sleep_until(timer.unwrap_or(inputs.next_alive)), if timer.is_some() => Input::TickTimer,
            () = sleep_until(journal_due.unwrap_or(inputs.next_alive)), if journal_due.is_some() => Input::JournalDue,
            Some(update) = inputs.updates.recv() => Input::Update(update),
        }
    }

    /// The one place where events meet the state.
    fn handle_event(&mut self, event: Input) -> Handled {
        match event {
            Input::Control(Control::Recompute { reason, reply }) => self.on_recompute_request(reason, reply),
            Input::Control(Control::Reload { reply }) => self.on_reload(Some(reply)),
            Input::SpecTreeChanged => self.on_tree_changed(),
            Input::Signal(Signal::Reload) => {
                self.service.reloading();
                self.on_reload(None)
            }
            Input::Signal(Signal::Stop) => Handled::Exit(Exit::Stop),
            Input::Update(update) => self.on_update(update),
            Input::TickTimer => self.on_tick_timer(),
            Input::JournalDue => self.on_journal_due(),
            Input::Alive => {
                self.service.alive();
                self.inputs.next_alive = Instant::now() + self.service.alive_every();
                self.on_housekeeping()
            }
            Input::Done(done) => self.on_done(done),
            Input::TaskFailed(reason) | Input::StorageEnded(reason) => Handled::Exit(Exit::Failed(reason)),
        }
    }

    fn on_done(&mut self, done: Done) -> Handled {
        match done {
            Done::Backfilled(Ok(result)) => self.on_backfilled(result),
            Done::Advanced(Ok(advanced)) => self.on_advanced(&advanced),
            Done::WentLive(Ok(first)) => self.on_went_live(first),
            Done::Put(Ok(put)) => self.on_put(&put),
            Done::Due { kind, result: Ok(due) } => self.on_due(kind, due),
            Done::Looked(Ok(due)) => self.on_looked(due),
            Done::Answered(part) => self.on_answered(part),
            Done::Settled { kind, rest, has_more, result: Ok(done) } => {
                self.on_settled(kind, rest, has_more, &done)
            }
            Done::ArchiveDue(Ok(due)) => self.on_archive_due(due),
            Done::ArchiveAsked(answers) => self.on_archive_asked(answers),
            Done::ArchiveTold(Ok(compared)) => self.on_archive_told(&compared),
            Done::Journalled(Ok(())) => self.on_journalled(),
            Done::MarksDue(bar) => self.on_marks_due(bar),
            Done::Marks { bar, answer } => self.on_marks(bar, answer),
            Done::AskedForMissing { bar, answers } => self.on_asked(bar, answers),
            Done::Time(answer) => self.on_time(answer),
            Done::WentBack(Ok(next)) => self.on_went_back(next),
            Done::Listed(answer) => self.on_listed(answer),
            Done::Offered(offers) => self.on_offered(offers),
            Done::Followed(Ok(step)) => self.on_followed(step),
            Done::SpecRehearsed(result) => self.on_spec_rehearsed(result),
            Done::SpecRead { result, replies } => self.on_spec_read(result, replies),
            Done::SpecInstalled { result: Ok(install), spec, replies } => {
                self.on_spec_installed(&install, spec, replies)
            }
            Done::ChangeStepped(Ok(step)) => self.on_change_stepped(step),
            Done::RunLooked { result: Ok(looked), started } => self.on_run_looked(looked, started),
            Done::RunFinished(result) => self.on_run_finished(result),
            Done::Backfilled(Err(error))
            | Done::Advanced(Err(error))
            | Done::WentLive(Err(error))
            | Done::ChangeStepped(Err(error))
            | Done::RunLooked { result: Err(error), .. }
            | Done::Put(Err(error))
            | Done::Due { result: Err(error), .. }
            | Done::Looked(Err(error))
            | Done::WentBack(Err(error))
            | Done::Followed(Err(error))
            | Done::Settled { result: Err(error), .. }
            | Done::ArchiveDue(Err(error))
            | Done::ArchiveTold(Err(error))
            | Done::Journalled(Err(error))
            | Done::SpecInstalled { result: Err(error), .. } => {
                Handled::Exit(Exit::Failed(error.to_string()))
            }
        }
    }

    fn set_phase(&mut self, phase: Phase, detail: &str) {
        if self.phase != phase {
            tracing::info!(from = self.phase.name(), to = phase.name(), detail, "phase");
        }
        self.phase = phase;
        self.shared.update(|s| {
            s.state = phase;
            detail.clone_into(&mut s.detail);
        });
    }

    fn show_phase(&mut self) {
        let line = self.shared.peek(|s| {
            let tick = s.store.committed_tick.map_or("nothing committed".to_owned(), |t| t.to_string());
            format!("{}: {tick}; {}", s.state.name(), s.detail)
        });
        self.service.status(&line);
    }

    /// Notes or clears a cause of degradation.
    fn trouble(&mut self, cause: &'static str, detail: Option<String>) {
        match detail {
            Some(detail) => drop(self.troubles.insert(cause, detail)),
            None => drop(self.troubles.remove(cause)),
        }
        if matches!(self.phase, Phase::Live | Phase::Degraded) {
            self.show_troubles();
        }
    }

    fn show_troubles(&mut self) {
        if self.troubles.is_empty() {
            self.set_phase(Phase::Live, "ticks close as they happen");
        } else {
            let detail: Vec<&str> = self.troubles.values().map(String::as_str).collect();
            let detail = detail.join("; ");
            self.set_phase(Phase::Degraded, &detail);
        }
    }

    /// Ends in order: the commit under way is finished by the storage thread before it closes.
    async fn finish(mut self, exit: Exit) -> Result<(), String> {
        self.service.stopping();
        self.tasks.abort_all();
        self.shared.stop();
        match exit {
            Exit::Stop => {
                tracing::info!("stopping");
                let batch = self.aggregates.journal(self.shared.clock.now());
                let storage = &self.storage;
                let close = async {
                    storage.ask(|reply| Job::Journal { batch, anew_after: None, reply }).await?;
                    storage.ask(|reply| Job::Close { reply }).await
                };
                match tokio::time::timeout(STOP_DEADLINE, close).await {
                    Ok(Ok(())) => {
                        // The store is free for whoever comes next once the thread has let go of it.
                        let ended = &mut self.inputs.storage_ended;
                        let _ = tokio::time::timeout(STOP_DEADLINE, ended).await;
                        Ok(())
                    }
                    Ok(Err(error)) => Err(format!("closing the store failed: {error}")),
                    Err(_) => Err(format!("the store did not close within {STOP_DEADLINE:?}")),
                }
            }
            Exit::Failed(reason) => Err(reason),
        }
    }
}

/// Time for the storage thread to finish what it is doing and close.
const STOP_DEADLINE: Duration = Duration::from_secs(4);

fn join_error(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("a task panicked: {}", super::storage::panic_text(&*panic)),
        Err(error) => format!("a task was lost: {error}"),
    }
}

/// A reply that nobody may be waiting for any more.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    let _ = reply.send(value);
}

/// Spec in force, shared with tasks.
type Spec = Arc<CompiledSpec>;
