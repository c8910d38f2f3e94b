//! Discovery runs: on schedule, on command, on a spec change; never two at once, and never two where one would do.

use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::event::{Done, Handled};
use super::{MainLoop, answer};
use crate::daemon::config::RecomputeSchedule;
use crate::daemon::discover;
use crate::daemon::shared::{Refusal, RunReport, Ticket};
use crate::daemon::status::Phase;
use crate::daemon::storage::{Job, Storage};
use crate::daemon::stream_log::EntryKind;
use crate::market::{BARS_PER_DAY, BarIndex};

type Waiter = oneshot::Sender<Result<RunReport, String>>;
type TicketReply = oneshot::Sender<Result<Ticket, Refusal>>;

/// The run under way and the one wanted next.
#[derive(Debug, Default)]
pub(super) struct Runs {
    running: Option<Running>,
    wanted: Option<Wanted>,
}

#[derive(Debug)]
struct Running {
    run_id: String,
    /// The data it reads: a request at the same watermark joins it.
    next: BarIndex,
    spec_hash: String,
    waiters: Vec<Waiter>,
}

#[derive(Debug, Default)]
struct Wanted {
    reasons: Vec<String>,
    replies: Vec<TicketReply>,
}

/// A run that has ended.
#[derive(Debug)]
pub(super) struct FinishedRun {
    pub run_id: String,
    pub result: Result<RunReport, String>,
}

impl Runs {
    /// A run as soon as history is computed.
    pub(super) fn want_after_catch_up(&mut self, reason: &str) {
        self.wanted.get_or_insert_default().reasons.push(reason.to_owned());
    }
}

impl MainLoop {
    pub(super) fn on_recompute_request(&mut self, reason: String, reply: TicketReply) -> Handled {
        if !matches!(self.phase, Phase::Live | Phase::Degraded) {
            let detail = format!("history is still being loaded ({})", self.shared.status().detail);
            answer(reply, Err(Refusal::NotNow(detail)));
            return Handled::Refused;
        }
        let (next, hash) = (self.book.next(), &self.specs.current.hash);
        if let Some(running) = &mut self.runs.running
            && running.next == next
            && running.spec_hash == *hash
        {
            let (waiter, done) = oneshot::channel();
            running.waiters.push(waiter);
            answer(reply, Ok(Ticket { run_id: running.run_id.clone(), done }));
            return Handled::Noted;
        }
        let wanted = self.runs.wanted.get_or_insert_default();
        wanted.reasons.push(reason);
        wanted.replies.push(reply);
        self.start_wanted_run()
    }

    /// After the first catch-up: publish what history says, unless runs are only made on command.
    pub(super) fn on_first_live(&mut self) {
        if self.shared.status().discovery.last_run_id.is_none()
            && self.config.recompute != RecomputeSchedule::Off
            && self.runs.wanted.is_none()
        {
            self.runs.want_after_catch_up("history loaded");
        }
        self.show_schedule();
        self.start_wanted_run();
    }

    /// A tick has closed: the schedule may want a run, or one may have waited for the boundary.
    pub(super) fn on_tick_for_schedule(&mut self, next: BarIndex) {
        if let RecomputeSchedule::EveryBars(bars) = self.config.recompute
            && next.0.rem_euclid(i64::from(bars)) == 0
        {
            self.runs.want_after_catch_up("schedule");
        }
        self.show_schedule();
        self.start_wanted_run();
    }

    fn show_schedule(&self) {
        let RecomputeSchedule::EveryBars(bars) = self.config.recompute else { return };
        debug_assert!(BARS_PER_DAY % i64::from(bars) == 0, "the schedule divides the day");
        let bars = i64::from(bars);
        let next = (self.book.next().0.div_euclid(bars) + 1) * bars;
        self.shared.update(|s| s.discovery.next_at = Some(BarIndex(next).open()));
    }

    /// Starts the wanted run if none is under way and the pipeline stands at a tick boundary.
    pub(super) fn start_wanted_run(&mut self) -> Handled {
        let is_live = matches!(self.phase, Phase::Live | Phase::Degraded);
        if self.runs.running.is_some() || self.advancing || !is_live {
            return Handled::Noted;
        }
        let Some(wanted) = self.runs.wanted.take() else { return Handled::Idle };
        let next = self.book.next();
        let spec = &self.specs.current;
        let run_id = crate::research::run_id(&spec.hash, &self.follow.symbols, self.first, next);
        let mut waiters = Vec::new();
        for reply in wanted.replies {
            let (waiter, done) = oneshot::channel();
            waiters.push(waiter);
            answer(reply, Ok(Ticket { run_id: run_id.clone(), done }));
        }
        let reason = wanted.reasons.join(", ");
        tracing::info!(run_id, reason, "discovery starts");
        self.shared.update(|s| s.discovery.running = Some(run_id.clone()));
        self.runs.running =
            Some(Running { run_id: run_id.clone(), next, spec_hash: spec.hash.clone(), waiters });
        let (input, answered) = oneshot::channel();
        self.outbox.push_back(Job::RunInput { reply: input });
        let (storage, shared) = (self.storage.clone(), self.shared.clone());
        self.tasks.spawn(async move {
            let result = async {
                let input = answered.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
                let started = Instant::now();
                let job = discover::Request {
                    run_id: run_id.clone(),
                    now: shared.clock.now(),
                    data_root: shared.config.data_root.clone(),
                };
                let ran = tokio::task::spawn_blocking(move || discover::run(&input, &job)).await;
                let found = ran.map_err(|e| format!("the run panicked: {e}"))??;
                let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                keep(&storage, found, &reason, duration_ms).await
            };
            let result = result.await;
            Done::RunFinished(FinishedRun { run_id, result })
        });
        Handled::Started("discovery")
    }

    pub(super) fn on_run_finished(&mut self, finished: FinishedRun) -> Handled {
        let waiters = self.runs.running.take().map(|r| r.waiters).unwrap_or_default();
        match &finished.result {
            Ok(report) => tracing::info!(
                run_id = report.run_id,
                hypotheses = report.hypotheses,
                discoveries = report.discoveries,
                version = report.version,
                changed = report.changed,
                duration_ms = report.duration_ms,
                "discovery finished"
            ),
            Err(error) => tracing::error!(run_id = finished.run_id, error, "discovery failed"),
        }
        self.shared.update(|s| {
            s.discovery.running = None;
            match &finished.result {
                Ok(report) => {
                    s.discovery.last_run_id = Some(report.run_id.clone());
                    s.discovery.last_duration_ms = Some(report.duration_ms);
                    s.discovery.hypotheses = report.hypotheses;
                    s.discovery.discoveries = report.discoveries;
                    s.discovery.last_error = None;
                    s.blueprints.version.clone_from(&report.version);
                }
                Err(error) => s.discovery.last_error = Some(format!("{}: {error}", finished.run_id)),
            }
        });
        for waiter in waiters {
            answer(waiter, finished.result.clone());
        }
        self.start_wanted_run()
    }
}

/// Stores the run's record and, when a version came of it, announces it on the stream.
async fn keep(
    storage: &Storage,
    found: discover::Found,
    reason: &str,
    duration_ms: u64,
) -> Result<RunReport, String> {
    let report = RunReport {
        run_id: found.run_id.clone(),
        version: Some(found.version.clone()),
        changed: found.changed,
        hypotheses: found.hypotheses,
        discoveries: found.discoveries,
        duration_ms,
    };
    let mut record = serde_json::to_value(&report).unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut record {
        fields.insert("reason".to_owned(), json!(reason));
        fields.insert("finished_at".to_owned(), json!(found.finished_at.to_string()));
        fields.insert("data_watermark".to_owned(), json!(found.watermark.to_string()));
        fields.insert("ontology_spec_hash".to_owned(), json!(found.spec_hash));
    }
    let announce = found.changed.then(|| {
        let data = json!({
            "version": found.version,
            "run_id": found.run_id,
            "published_at_ns": found.finished_at.nanos(),
            "active": found.active,
            "watch": found.watch,
        });
        (EntryKind::BlueprintVersion, data)
    });
    let run_id = found.run_id;
    let blueprints = Some(found.blueprints);
    storage
        .ask(|reply| Job::FinishRun { run_id, record, announce, blueprints, reply })
        .await
        .map_err(|error| error.to_string())?;
    Ok(report)
}
