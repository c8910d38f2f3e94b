//! Keeps one shard connected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::config::WsConfig;
use super::liveness::{Patience, Silent};
use super::outlet::{Outlet, WsStats};
use super::plan::Shard;
use super::session::{Ended, Report, Session};
use crate::backoff::Backoff;
use crate::routes::StreamKind;
use crate::update::{Stamped, StreamState, StreamStatus, Update};
use backtestd_core::clock::Clock;
use backtestd_core::market::Ts;

/// Reports of a session that may wait for its supervisor.
const REPORTS: usize = 16;
/// A socket that lived this long counts as a success: the next failure waits from the base again.
const PROVEN_AFTER: Duration = Duration::from_secs(20);

pub(super) struct Supervisor {
    config: Arc<WsConfig>,
    shard: Arc<Shard>,
    clock: Arc<dyn Clock>,
    outlet: Outlet,
    stopped: watch::Receiver<bool>,
    /// What is asked of the connection, though it works.
    asked: mpsc::Receiver<Asked>,
    backoff: Backoff,
    patience: Patience,
    /// What was last said about each kind.
    told: BTreeMap<StreamKind, StreamState>,
}

/// What is asked of a connection that works.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// Whoever listens misses a stream of it.
    Replace,
    /// Fewer streams are wanted: those of this shard.
    Narrow(Arc<Shard>),
    /// None of its streams is wanted any more.
    End,
}

/// A socket in the supervisor's hands. Dropping it closes the socket.
struct Running {
    reports: mpsc::Receiver<Report>,
    stop: watch::Sender<bool>,
    started: Instant,
    is_ready: bool,
}

/// What the supervisor waits for.
enum Next {
    /// The current socket says something; `None` = its task died without a word.
    Current(Option<Report>),
    /// The replacement says something.
    Replacement(Option<Report>),
    /// The current socket is old enough.
    TooOld,
    /// Something is asked of the connection.
    Asked(Asked),
    /// The client stops.
    Stop,
}

impl Supervisor {
    pub(super) fn new(
        config: Arc<WsConfig>,
        shard: Arc<Shard>,
        clock: Arc<dyn Clock>,
        outlet: Outlet,
        stopped: watch::Receiver<bool>,
        asked: mpsc::Receiver<Asked>,
        seed: u64,
    ) -> Self {
        let backoff = Backoff::new(config.backoff_base, config.backoff_cap, seed);
        let patience = Patience::new(config.silence);
        Self { config, shard, clock, outlet, stopped, asked, backoff, patience, told: BTreeMap::new() }
    }

    /// Runs until the client stops or nobody receives any more.
    pub(super) async fn run(mut self) {
        let mut current = self.start();
        let mut replacement: Option<Running> = None;
        let mut dies_at = None;
        loop {
            let next = self.next(&mut current, replacement.as_mut(), dies_at).await;
            match next {
                Next::Stop => return self.stop(current, replacement).await,
                Next::TooOld => {
                    tracing::info!(shard = self.shard.label(), "replacing a connection near its age limit");
                    dies_at = None;
                    replacement.get_or_insert_with(|| self.start());
                }
                Next::Asked(Asked::End) => return self.stop(current, replacement).await,
                Next::Asked(asked) => {
                    dies_at = None;
                    self.heed(asked, &mut replacement);
                }
                Next::Current(Some(Report::Ready { at })) => {
                    current.is_ready = true;
                    dies_at = Some(self.end_of_life());
                    self.tell_all(StreamState::Live, at, "connected and subscribed").await;
                }
                Next::Current(Some(Report::Silent(silent))) => {
                    self.on_silence(&silent).await;
                    dies_at = None;
                    replacement.get_or_insert_with(|| self.start());
                }
                Next::Current(Some(Report::Leaving)) => {
                    tracing::info!(
                        shard = self.shard.label(),
                        "the server announced its shutdown, replacing the connection"
                    );
                    replacement.get_or_insert_with(|| self.start());
                }
                Next::Replacement(Some(Report::Ready { at })) => {
                    WsStats::add(&self.outlet.stats().handovers, 1);
                    self.tell_all(StreamState::Live, at, "connected and subscribed").await;
                    dies_at = Some(self.end_of_life());
                    if let Some(mut new) = replacement.take() {
                        new.is_ready = true;
                        let old = std::mem::replace(&mut current, new);
                        retire(old, self.config.overlap, self.stopped.clone());
                    }
                }
                Next::Current(Some(Report::Heard(kind))) | Next::Replacement(Some(Report::Heard(kind))) => {
                    self.patience.was_heard(kind);
                }
                // A replacement is not yet responsible for anything.
                Next::Replacement(Some(Report::Silent(_) | Report::Leaving)) => {}
                Next::Replacement(ended) => {
                    if ended.is_some_and(|report| report.is_final()) {
                        return self.stop(current, None).await;
                    }
                    // The old socket still works; try again after a wait, unless it ends meanwhile.
                    let wait = self.backoff.next_wait();
                    replacement = None;
                    dies_at = Some(Instant::now() + wait);
                }
                Next::Current(ended) => {
                    let ended = match ended {
                        Some(Report::Ended(ended)) => ended,
                        _ => self.died(),
                    };
                    if ended.is_final {
                        return self.stop(current, replacement).await;
                    }
                    dies_at = None;
                    match self.after_end(&ended, &current, replacement.take()).await {
                        Some(new) => current = new,
                        None => return,
                    }
                }
            }
        }
    }

    /// Replaces a socket that works, because of what is asked of it.
    fn heed(&mut self, asked: Asked, replacement: &mut Option<Running>) {
        if let Asked::Narrow(shard) = asked {
            tracing::info!(shard = shard.label(), "replacing a connection by one with fewer streams");
            self.shard = shard;
            // One that is under way asks for what is not wanted any more.
            *replacement = Some(self.start());
        } else {
            tracing::info!(shard = self.shard.label(), "replacing a connection that lacks a stream");
            replacement.get_or_insert_with(|| self.start());
        }
    }

    /// Goes on after the current socket ended: with the replacement under way, or with a new one after a
    /// wait.
    async fn after_end(
        &mut self,
        ended: &Ended,
        old: &Running,
        under_way: Option<Running>,
    ) -> Option<Running> {
        let reason = ended.reason.clone();
        tracing::warn!(shard = self.shard.label(), reason, "connection ended");
        self.tell_all(StreamState::Down, ended.last_heard, &ended.reason).await;
        if under_way.is_some() {
            return under_way;
        }
        if old.is_ready && old.started.elapsed() > PROVEN_AFTER {
            self.backoff.reset();
        }
        let wait = self.backoff.next_wait();
        let mut stopped = self.stopped.clone();
        tokio::select! {
            () = tokio::time::sleep(wait) => Some(self.start()),
            _ = stopped.wait_for(|stop| *stop) => None,
        }
    }

    async fn on_silence(&mut self, silent: &Silent) {
        let name = silent.kind.name();
        tracing::warn!(shard = self.shard.label(), kind = name, since = %silent.since, "stream is silent, replacing the connection");
        if silent.never_heard {
            self.patience.was_fruitless(silent.kind);
        }
        let reason = format!("nothing since {}", silent.since);
        if silent.is_deaf {
            // Rare kinds would otherwise count as listened to on a path that serves nothing.
            return self.tell_all(StreamState::Stale, silent.since, &reason).await;
        }
        self.tell(silent.kind, StreamState::Stale, silent.since, &reason).await;
    }

    async fn next(
        &mut self,
        current: &mut Running,
        replacement: Option<&mut Running>,
        dies_at: Option<Instant>,
    ) -> Next {
        let from_replacement = async {
            match replacement {
                Some(running) => running.reports.recv().await,
                None => std::future::pending().await,
            }
        };
        let old_age = async {
            match dies_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.stopped.wait_for(|stop| *stop) => Next::Stop,
            report = current.reports.recv() => Next::Current(report),
            report = from_replacement => Next::Replacement(report),
            Some(asked) = self.asked.recv() => Next::Asked(asked),
            () = old_age => Next::TooOld,
        }
    }

    fn start(&self) -> Running {
        let (reports_in, reports) = mpsc::channel(REPORTS);
        let (stop, stopped) = watch::channel(false);
        let session = Session {
            config: self.config.clone(),
            shard: self.shard.clone(),
            clock: self.clock.clone(),
            outlet: self.outlet.clone(),
            patience: self.patience.clone(),
            reports: reports_in,
            stop: stopped,
        };
        drop(tokio::spawn(session.run()));
        Running { reports, stop, started: Instant::now(), is_ready: false }
    }

    /// When a socket that became ready at `at` is replaced. Market time, but never sooner than the real
    /// floor.
    fn end_of_life(&self) -> Instant {
        let wall = self.clock.wall_until(Ts(self.clock.now().0 + self.config.lifetime_ms));
        Instant::now() + wall.max(self.config.lifetime_floor)
    }

    fn died(&self) -> Ended {
        let reason = "the connection's task died".to_owned();
        Ended { reason, last_heard: self.clock.now(), is_final: false }
    }

    async fn tell_all(&mut self, state: StreamState, since: Ts, reason: &str) {
        for kind in self.shard.kinds.clone() {
            self.tell(kind, state, since, reason).await;
        }
    }

    /// Puts a change of state among the updates; saying the same again says nothing.
    async fn tell(&mut self, kind: StreamKind, state: StreamState, since: Ts, reason: &str) {
        if self.told.insert(kind, state) == Some(state) {
            return;
        }
        let status = StreamStatus {
            route: self.shard.route,
            shard: self.shard.index,
            kind,
            state,
            since,
            reason: reason.to_owned(),
        };
        let stamped = Stamped { arrival: self.clock.now(), update: Update::Stream(status) };
        if self.outlet.push(stamped).await.is_err() {
            // The sessions see it too, and end.
            tracing::debug!(shard = self.shard.label(), "nobody receives the updates any more");
        }
    }

    async fn stop(&mut self, current: Running, replacement: Option<Running>) {
        for mut running in [Some(current), replacement].into_iter().flatten() {
            running.stop.send_replace(true);
            while running.reports.recv().await.is_some() {}
        }
    }
}

impl Report {
    const fn is_final(&self) -> bool {
        matches!(self, Self::Ended(ended) if ended.is_final)
    }
}

/// Lets the old socket run beside the new one for a while, then closes it.
fn retire(mut old: Running, overlap: Duration, mut stopped: watch::Receiver<bool>) {
    drop(tokio::spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(overlap) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        old.stop.send_replace(true);
        while old.reports.recv().await.is_some() {}
    }));
}
