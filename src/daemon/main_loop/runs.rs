//! Discovery runs: on schedule, on command, on a spec change; never two at once, and never two where one
//! would do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::input::{Done, Handled};
use super::{MainLoop, answer};
use crate::daemon::Stage;
use crate::daemon::config::RecomputeSchedule;
use crate::daemon::discover;
use crate::daemon::run_report;
use crate::daemon::shared::{Refusal, RunReport, Ticket};
use crate::daemon::status::Phase;
use crate::daemon::storage::{Job, LastRun, RunInput, Storage, StorageMarkets};
use crate::daemon::stream_log::EntryKind;
use backtestd_core::market::{BARS_PER_DAY, BarIndex};

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
    /// Known as soon as it is known what it looks at.
    run_id: Option<String>,
    /// Requests that want to hear the id first.
    replies: Vec<TicketReply>,
    /// Start of the open UTC day: a request on the same day joins it, since it would look at the same.
    open_day: BarIndex,
    spec_hash: String,
    reason: String,
    waiters: Vec<Waiter>,
}

impl Running {
    /// Gives a request its ticket.
    fn admit(&mut self, run_id: &str, reply: TicketReply) {
        let (waiter, done) = oneshot::channel();
        self.waiters.push(waiter);
        answer(reply, Ok(Ticket { run_id: run_id.to_owned(), done }));
    }
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
        let (open_day, hash) = (start_of_day(self.book.next()), &self.specs.current.hash);
        if let Some(running) = &mut self.runs.running
            && running.open_day == open_day
            && running.spec_hash == *hash
        {
            match running.run_id.clone() {
                Some(run_id) => running.admit(&run_id, reply),
                None => running.replies.push(reply),
            }
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
        let reason = wanted.reasons.join(", ");
        self.runs.running = Some(Running {
            run_id: None,
            replies: wanted.replies,
            open_day: start_of_day(self.book.next()),
            spec_hash: self.specs.current.hash.clone(),
            reason,
            waiters: Vec::new(),
        });
        let started = Instant::now();
        self.submit(
            |reply| Job::RunInput { reply },
            move |result| Done::RunLooked { result: result.map(|looked| looked.map(Box::new)), started },
        );
        Handled::Started("look")
    }

    /// What the run looks at is known: either the last run has seen the very same, or it goes on.
    pub(super) fn on_run_looked(
        &mut self,
        looked: Result<Box<RunInput>, String>,
        started: Instant,
    ) -> Handled {
        let Some(running) = &mut self.runs.running else { return Handled::Idle };
        let input = match looked {
            Ok(input) => input,
            Err(refused) => {
                for reply in std::mem::take(&mut running.replies) {
                    answer(reply, Err(Refusal::Failed(refused.clone())));
                }
                let result = Err(refused);
                return self.on_run_finished(FinishedRun { run_id: "discovery".to_owned(), result });
            }
        };
        let run_id = match &input.unchanged {
            Some(report) => report.run_id.clone(),
            None => crate::research::run_id(
                &input.spec.hash,
                &input.symbols,
                input.first,
                input.looked.closed_end,
                &[&input.looked.accounting],
                &input.looked.excluded,
                input.looked.fingerprint.as_bytes(),
            ),
        };
        running.run_id = Some(run_id.clone());
        for reply in std::mem::take(&mut running.replies) {
            running.admit(&run_id, reply);
        }
        if let Some(report) = input.unchanged {
            let report = RunReport { changed: false, duration_ms: millis(started), ..report };
            tracing::info!(run_id, reason = running.reason, "nothing has closed since the last run");
            return self.on_run_finished(FinishedRun { run_id, result: Ok(report) });
        }
        tracing::info!(run_id, reason = running.reason, "discovery starts");
        let (reason, storage, shared) = (running.reason.clone(), self.storage.clone(), self.shared.clone());
        shared.update(|s| s.discovery.running = Some(run_id.clone()));
        self.tasks.spawn(async move {
            let job = discover::Request {
                run_id: run_id.clone(),
                clock: Arc::clone(&shared.clock),
                data_root: shared.config.data_root.clone(),
                state: shared.config.state.clone(),
                with_report: shared.config.keep_reports > 0,
            };
            let result = carry_out(&storage, Arc::from(input), job, &reason, started).await;
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
        match &finished.result {
            Ok(report) => {
                self.shared.metrics.stages.observe(Stage::Publish, Duration::from_millis(report.duration_ms));
            }
            Err(_) => {
                self.shared.metrics.failed_runs.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.shared.update(|s| {
            s.discovery.running = None;
            match &finished.result {
                Ok(report) => {
                    s.discovery.last_run_id = Some(report.run_id.clone());
                    s.discovery.last_duration_ms = Some(report.duration_ms);
                    s.discovery.hypotheses = report.hypotheses;
                    s.discovery.discoveries = report.discoveries;
                    s.discovery.trials = report.trials;
                    s.discovery.last_report = report.report.as_ref().map(|path| path.display().to_string());
                    s.discovery.last_error = None;
                    s.blueprints.version.clone_from(&report.version);
                }
                Err(error) => s.discovery.last_error = Some(format!("{}: {error}", finished.run_id)),
            }
        });
        let failed = finished.result.as_ref().err();
        self.trouble("discovery", failed.map(|error| format!("discovery failed: {error}")));
        for waiter in waiters {
            answer(waiter, finished.result.clone());
        }
        self.start_wanted_run()
    }
}

/// First bar of a bar's UTC day.
fn start_of_day(bar: BarIndex) -> BarIndex {
    BarIndex(bar.0.div_euclid(BARS_PER_DAY) * BARS_PER_DAY)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The run itself, on blocking threads; outcomes and bars are read only when the bridge has something to look
/// at.
async fn carry_out(
    storage: &Storage,
    input: Arc<RunInput>,
    job: discover::Request,
    reason: &str,
    started: Instant,
) -> Result<RunReport, String> {
    let panicked = |e: tokio::task::JoinError| format!("the run panicked: {e}");
    let looking = Arc::clone(&input);
    let discovery = tokio::task::spawn_blocking(move || discover::candidates(&looking)).await;
    let discovery = discovery.map_err(panicked)?;
    let outcomes = if backtestd_core::conclude::needs_outcomes(&discovery) {
        let (first, end) = (input.first, input.looked.closed_end);
        storage.ask(|reply| Job::Outcomes { first, end, reply }).await.map_err(|e| e.to_string())?
    } else {
        Vec::new()
    };
    let data_root = job.data_root.clone();
    let mut markets = StorageMarkets::new(storage.clone(), tokio::runtime::Handle::current());
    let run = move || discover::run(&input, discovery, &outcomes, &job, &mut markets);
    let ran = tokio::task::spawn_blocking(run).await;
    let (report, outdated) = keep(storage, ran.map_err(panicked)??, reason, millis(started)).await?;
    let removed = tokio::task::spawn_blocking(move || run_report::remove(&data_root, &outdated)).await;
    removed.map_err(panicked)?;
    Ok(report)
}

/// Stores the run's record and, when a version came of it, announces it on the stream. Also returns the runs
/// whose reports can go.
async fn keep(
    storage: &Storage,
    found: discover::Found,
    reason: &str,
    duration_ms: u64,
) -> Result<(RunReport, Vec<String>), String> {
    let report = RunReport {
        run_id: found.run_id.clone(),
        version: Some(found.version.clone()),
        changed: found.changed,
        hypotheses: found.hypotheses,
        discoveries: found.discoveries,
        trials: found.trials,
        duration_ms,
        report: found.report,
    };
    let mut record = serde_json::to_value(&report).unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut record {
        fields.insert("reason".to_owned(), json!(reason));
        fields.insert("finished_at".to_owned(), json!(found.finished_at.to_string()));
        fields.insert("data_watermark".to_owned(), json!(found.watermark.to_string()));
        fields.insert("ontology_spec_hash".to_owned(), json!(found.spec_hash));
        fields.insert("cohorts".to_owned(), json!(found.cohorts));
        fields.insert("nearest".to_owned(), json!(found.nearest));
        fields.insert("closed_through".to_owned(), json!(found.closed_through));
        fields.insert("replays".to_owned(), json!(found.replays));
    }
    let last = LastRun { fingerprint: found.fingerprint, report: report.clone() };
    let announce = found.changed.then(|| {
        let data = json!({
            "version": found.version,
            "run_id": found.run_id,
            "published_at_ns": found.published_at_ns,
            "active": found.active,
            "watch": found.watch,
        });
        (EntryKind::BlueprintVersion, data)
    });
    let run_id = found.run_id;
    let blueprints = Some(found.blueprints);
    let outdated = storage
        .ask(|reply| Job::FinishRun { run_id, record, last, announce, blueprints, reply })
        .await
        .map_err(|error| error.to_string())?;
    Ok((report, outdated))
}
