//! The body of the storage thread: opening at a tick boundary, then one job after another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::StorageError;
use super::evidence::{Evidence, LookError, Standing};
use super::facts::Facts;
use super::job::{Advanced, Job, LastRun, Opened, PutDone, RunInput};
use super::{journal, queries};
use crate::daemon::Stage;
use crate::daemon::config::Fsync;
use crate::daemon::feed::Follow;
use crate::daemon::feed::archive::Shelves;
use crate::daemon::feed::ledger::Ledgers;
use crate::daemon::shared::{Query, RunReport, Shared};
use crate::nautilus::{LISTED_STEPS, ListedSteps};
use crate::publish::{current_version, version_name};
use crate::research::market_of;
use backtestd_core::discovery::Trial;
use backtestd_core::market::SeriesKey;
use backtestd_core::market::{BarIndex, DAY_MS, RawPut, Source, Ts, parse_time};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::{Delivery, Origin, Quarantined, Store, StoreOptions, release_by_id};

/// Rows a chunk while far behind. Any number gives the same bits; a chunk is also how long a query has to
/// wait.
const CHUNK_ROWS: i64 = 512;
/// Under this name the store keeps what the last run looked at.
const LAST_RUN: &str = "runs/last";
/// Folder of the state directory with copies of the store.
pub(in crate::daemon) const SNAPSHOTS: &str = "snapshots";
/// Disk use is measured every so many commits.
const MEASURE_EVERY: u32 = 12;

/// What the thread owns.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) follow: Arc<Follow>,
    pub(super) store: Store,
    pub(super) facts: Facts,
    /// What is settled of each series.
    pub(super) ledgers: Ledgers,
    /// Ends of the days (bar numbers) whose audit of today is answered, while others of the series are not.
    pub(super) audited: BTreeMap<SeriesKey, BTreeSet<i64>>,
    /// What is known of the archive's files.
    pub(super) shelves: Shelves,
    /// None until the first run.
    evidence: Option<Evidence>,
    commits: u32,
    /// The UTC day on which the retention was last looked after.
    pruned_on: Option<i64>,
}

/// Runs until told to close.
pub(super) fn run(
    shared: Arc<Shared>,
    follow: Arc<Follow>,
    spec: Arc<CompiledSpec>,
    mut jobs: mpsc::Receiver<Job>,
    opened: oneshot::Sender<Result<Opened, StorageError>>,
) -> Result<(), StorageError> {
    let mut worker = match Worker::open(shared, follow, spec) {
        Ok(worker) => worker,
        Err(error) => {
            let text = error.to_string();
            let _ = opened.send(Err(error));
            return Err(StorageError::Failed(text));
        }
    };
    let journalled = journal::read(&worker.store, &worker.follow);
    let next = worker.facts.next();
    reply(opened, journalled.map(|journalled| Opened { next, journalled }))?;
    while let Some(job) = jobs.blocking_recv() {
        if worker.handle(job)? {
            break;
        }
    }
    worker.store.sync()?;
    Ok(())
}

/// Sends a result, or the error to the asker and a copy of its text up: an error ends the thread.
fn reply<T>(
    to: oneshot::Sender<Result<T, StorageError>>,
    result: Result<T, StorageError>,
) -> Result<(), StorageError> {
    match result {
        Ok(value) => {
            let _ = to.send(Ok(value));
            Ok(())
        }
        Err(error) => {
            let detail = error.to_string();
            let _ = to.send(Err(error));
            Err(StorageError::Failed(detail))
        }
    }
}

/// What is followed, with every column that the store knows besides: a series that is collected no longer
/// stays what it is to a batch run over the same store, unknown where nothing came, and not unheard of.
/// States read the same live and batch.
fn with_known(store: &Store, follow: &Follow) -> Result<Follow, StorageError> {
    let mut follow = follow.clone();
    for (symbol, collected) in follow.symbols.iter().zip(&mut follow.collected) {
        collected.extend(store.coverage(symbol)?);
    }
    Ok(follow)
}

impl Worker {
    fn open(shared: Arc<Shared>, follow: Arc<Follow>, spec: Arc<CompiledSpec>) -> Result<Self, StorageError> {
        let config = Arc::clone(&shared.config);
        let fsync = match config.fsync {
            Fsync::EveryTick => backtestd_store::Fsync::EveryCommit,
            Fsync::Os => backtestd_store::Fsync::Never,
        };
        let options = StoreOptions { fsync, cache_mb: config.store_cache_mb };
        let mut store = Store::open_tuned(&config.state, options)?;
        let follow = Arc::new(with_known(&store, &follow)?);
        // Copies that a process before this one made and nobody removed.
        let _ = std::fs::remove_dir_all(config.state.join(SNAPSHOTS));
        let now = shared.clock.now();
        let facts = Facts::open(&mut store, &shared, &follow, spec)?;
        let mut worker = Self {
            shared,
            follow,
            store,
            facts,
            ledgers: Ledgers::default(),
            audited: BTreeMap::new(),
            shelves: Shelves::default(),
            evidence: None,
            commits: 0,
            pruned_on: None,
        };
        worker.go_back_to(now)?;
        worker.show_store()?;
        worker.show_watermarks()?;
        worker.show_last_run()?;
        worker.show_last_file()?;
        worker.show_quarantine()?;
        Ok(worker)
    }

    /// Does a job; true = the last one.
    fn handle(&mut self, job: Job) -> Result<bool, StorageError> {
        match job {
            Job::Query(Query::AddTrials(trials, reply)) => {
                let _ = reply.send(self.add_trials(&trials).map_err(|e| e.to_string()));
            }
            Job::Query(Query::Release { ids, reason, reply: to }) => {
                let released = self.release(&ids, &reason);
                let _ = to.send(released.map_err(|error| error.to_string()));
            }
            Job::Query(query) => {
                queries::answer(&self.store, &self.facts, &self.follow, query, self.shared.clock.now());
            }
            Job::Missing { series, end, at_most, now, reply: to } => {
                let next = self.missing(&series, end, at_most, now);
                reply(to, next)?;
            }
            Job::Due { kind, end, now, reply: to } => reply(to, self.due(kind, end, now))?,
            Job::Settle { answers, now, reply: to } => reply(to, self.settle(answers, now))?,
            Job::ArchiveDue { now, reply: to } => reply(to, self.archive_due(now))?,
            Job::ArchiveTold { told, now, reply: to } => reply(to, self.archive_told(*told, now))?,
            Job::Present { now, reply: to } => {
                let result = self.go_back_to(now).map(|()| self.facts.next());
                reply(to, result)?;
            }
            Job::Put { puts, origin, label, reply: to } => {
                let delivery = Delivery::answered(origin, label, self.shared.clock.now());
                let result = self.put(puts, delivery);
                reply(to, result)?;
            }
            Job::Journal { batch, anew_after, reply: to } => {
                let added = self.facts.journal.add(&mut self.store, &batch, anew_after);
                reply(to, added)?;
            }
            Job::Advance { end, now, reply: to } => reply(to, self.advance(end, now))?,
            Job::GoLive { first, reply: to } => {
                reply(to, self.facts.signals.begin(&mut self.store, first))?;
            }
            Job::InstallSpec { spec, reply: to } => {
                let result = self.facts.install(&mut self.store, &self.shared, &self.follow, spec);
                reply(to, result)?;
                self.show_store()?;
                self.show_quarantine()?;
            }
            Job::ChangeStep { reply: to } => {
                reply(to, self.facts.step(&mut self.store, &self.shared, &self.follow))?;
            }
            Job::Follow { follow, new, reply: to } => reply(to, self.follow(*follow, &new))?,
            Job::JoinStep { new, reply: to } => reply(to, self.join_step(&new))?,
            Job::RunInput { reply: to } => {
                let result = match self.run_input() {
                    Ok(input) => Ok(Ok(input)),
                    Err(LookError::Refused(why)) => Ok(Err(why)),
                    Err(LookError::Failed(error)) => Err(error),
                };
                reply(to, result)?;
            }
            Job::Outcomes { first, end, reply: to } => {
                reply(to, self.store.outcomes(first, end).map_err(StorageError::from))?;
            }
            Job::Market { symbol, first, end, reply: to } => {
                let collected = self.follow.symbols.iter().zip(&self.follow.collected);
                let has_funding = collected
                    .into_iter()
                    .any(|(s, known)| *s == symbol && known.contains(&Source::FundingRate));
                let market = market_of(&self.store, &symbol, (first, end), has_funding);
                reply(to, market.map_err(StorageError::from))?;
            }
            Job::FinishRun { run_id, record, last, announce, blueprints, reply: to } => {
                let result = self.finish_run(&run_id, &record, &last, announce, blueprints);
                reply(to, result)?;
            }
            Job::Close { reply: to } => {
                reply(to, self.store.sync().map_err(StorageError::from))?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The evidence is of other symbols than the facts: the next run takes it anew.
    pub(super) fn forget_evidence(&mut self) {
        self.evidence = None;
    }

    /// Trials that another process is about to look at on a copy of this store. They must be what this ledger
    /// would admit: those that it has in their cohort, the others in the next one.
    fn add_trials(&mut self, trials: &[Trial]) -> Result<Result<(), String>, StorageError> {
        let known = self.store.trials()?;
        let cohorts = |statistic| {
            known.iter().filter(|t| t.statistic == statistic).map(|t| t.cohort).max().unwrap_or(0)
        };
        for trial in trials {
            let stored = known.iter().find(|t| t.key == trial.key).map(|t| t.cohort);
            let expected = stored.unwrap_or_else(|| cohorts(trial.statistic) + 1);
            if trial.cohort != expected {
                return Ok(Err(format!(
                    "trial {} is of cohort {}, and the ledger has moved on to {expected}: take a new snapshot",
                    trial.key.hex(),
                    trial.cohort
                )));
            }
        }
        self.store.add_trials(trials)?;
        // The evidence holds a copy of the ledger: the next run reads it anew.
        self.evidence = None;
        Ok(Ok(()))
    }

    fn put(&mut self, puts: Vec<RawPut>, delivery: Delivery<'_>) -> Result<PutDone, StorageError> {
        let puts = if delivery.origin == Origin::Stream { self.unsettled(puts)? } else { puts };
        let touched = puts.iter().filter_map(|put| self.facts.first_row_of(&put.records)).min();
        let marks = self.late_marks(&puts, "stream")?;
        self.put_touching(&puts, delivery, &marks, touched)
    }

    /// Releases records, all or none; what was computed without them goes stale. An unknown id is the inner
    /// error.
    fn release(
        &mut self,
        ids: &[String],
        reason: &str,
    ) -> Result<Result<Vec<Quarantined>, String>, StorageError> {
        let now = self.shared.clock.now();
        let released = release_by_id(&mut self.store, ids, reason, now)?;
        let rows = released.iter().flatten().map(Quarantined::first_row);
        if let Some(bar) = rows.min().filter(|bar| *bar < self.facts.next()) {
            self.facts.note_dirty(&mut self.store, bar)?;
            self.facts.restart_change_behind(&self.store, bar, &self.shared)?;
        }
        self.show_quarantine()?;
        Ok(released)
    }

    pub(super) fn show_quarantine(&self) -> Result<(), StorageError> {
        let held = self.store.quarantine()?.iter().filter(|record| record.released.is_none()).count() as u64;
        self.shared.update(|s| s.quarantined = held);
        Ok(())
    }

    fn advance(&mut self, end: BarIndex, now: Ts) -> Result<Advanced, StorageError> {
        let rewound_to = self.facts.rewind_if_dirty(&mut self.store)?;
        let next = self.facts.next();
        // A chunk does not run over the last midnight: what is counted then is what a run judges by.
        let midnight = Ts(end.open().day() * DAY_MS).bar();
        let end = if next < midnight { midnight } else { end };
        let rows = (end - next).clamp(0, CHUNK_ROWS);
        let mut events = 0;
        if rows > 0 {
            let started = Instant::now();
            let checkpoint = rows > 1 || self.is_checkpoint_due();
            self.facts.signals.heed_published(&self.shared);
            let committed = self.facts.push(&mut self.store, &self.shared, rows as usize, now, checkpoint)?;
            events = committed.events;
            let ms = started.elapsed().as_secs_f64() * 1000.0;
            self.commits = self.commits.wrapping_add(1);
            let commit = Duration::from_secs_f64(committed.commit_ms / 1000.0);
            let stages = &self.shared.metrics.stages;
            stages.observe(Stage::Commit, commit);
            stages.observe(Stage::Graph, started.elapsed().saturating_sub(commit));
            self.shared.update(|s| {
                s.store.last_commit_ms = committed.commit_ms;
                s.store.max_commit_ms = s.store.max_commit_ms.max(committed.commit_ms);
            });
            tracing::debug!(rows, ms, commit_ms = committed.commit_ms, "pushed and committed");
            self.show_store()?;
        }
        if self.pruned_on != Some(now.day()) {
            self.prune(now)?;
            self.pruned_on = Some(now.day());
        }
        Ok(Advanced { next: self.facts.next(), rows: rows as u64, events, rewound_to })
    }

    /// Keeps the steps that the exchange has said, for whoever reads the store without asking the exchange.
    fn keep_steps(&mut self) -> Result<(), StorageError> {
        let listed = self.shared.status().symbols;
        let steps: Vec<ListedSteps> = listed
            .iter()
            .filter(|row| row.tick_size.is_some() || row.step_size.is_some())
            .map(|row| ListedSteps {
                market: row.market.to_string(),
                symbol: row.symbol.clone(),
                tick: row.tick_size,
                step: row.step_size,
                min_notional: row.min_notional,
            })
            .collect();
        if !steps.is_empty() {
            self.store.put_meta(LISTED_STEPS, &serde_json::to_vec(&steps).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Drops what is older than its retention.
    fn prune(&mut self, now: Ts) -> Result<(), StorageError> {
        let retention = self.shared.config.retention;
        let before = |days: u32| Ts(now.0 - i64::from(days) * DAY_MS);
        let signals = self.facts.signals.prune(&mut self.store, &self.shared, now)?;
        let arrivals = self.store.prune_arrivals(before(retention.arrivals_days))?;
        let revisions = self.store.prune_revisions(before(retention.revisions_days).bar())?;
        if signals + arrivals + revisions > 0 {
            tracing::info!(signals, arrivals, revisions, "dropped what is older than its retention");
        }
        Ok(())
    }

    fn is_checkpoint_due(&self) -> bool {
        let every = i64::from(self.shared.config.checkpoint_every_ticks);
        // Aligned on the bar number, so that an interrupted run and an uninterrupted one keep the same
        // checkpoints.
        self.facts.next().next().0.rem_euclid(every) == 0
    }

    fn run_input(&mut self) -> Result<RunInput, LookError> {
        let (spec, symbols) = (Arc::clone(&self.facts.spec), &self.follow.symbols);
        if self.evidence.as_ref().is_none_or(|e| !e.fits(&spec, symbols)) {
            self.evidence = Some(Evidence::new(&self.store, &spec, symbols)?);
        }
        let Some(evidence) = &mut self.evidence else {
            return Err(LookError::Refused("there is no evidence book".to_owned()));
        };
        let (first, next) = (self.facts.first, self.facts.next());
        let marked = self.facts.pipeline.marked_outcomes();
        let standing = Standing { next, marked: &marked };
        let looked = evidence.look(&mut self.store, &spec, first, standing)?;
        let quality = self.facts.quality_at(&self.store, looked.closed_end)?;
        let looked = looked.under(&quality);
        let bars = symbols.iter().map(|s| queries::bars_of(&self.store, s)).collect::<Result<_, _>>()?;
        let unchanged = self.last_run()?.filter(|last| last.fingerprint == looked.fingerprint);
        let unchanged = unchanged.map(|last| last.report).filter(|report| self.is_in_force(report));
        Ok(RunInput { spec, symbols: symbols.clone(), first, looked, quality, bars, unchanged })
    }

    fn last_run(&self) -> Result<Option<LastRun>, StorageError> {
        Ok(self.store.meta(LAST_RUN)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Whether what a run published is still what consumers read.
    fn is_in_force(&self, report: &RunReport) -> bool {
        let dir = self.shared.config.data_root.join("blueprints");
        current_version(&dir).ok().flatten().map(version_name) == report.version
    }

    fn finish_run(
        &mut self,
        run_id: &str,
        record: &serde_json::Value,
        last: &LastRun,
        announce: Option<(crate::daemon::stream_log::EntryKind, serde_json::Value)>,
        blueprints: Option<Vec<backtestd_core::blueprints::Blueprint>>,
    ) -> Result<Vec<String>, StorageError> {
        self.store.put_run(run_id, record.to_string().as_bytes())?;
        self.store.put_meta(LAST_RUN, &serde_json::to_vec(last).unwrap_or_default())?;
        self.show_run(run_id.to_owned(), record);
        if let Some(blueprints) = blueprints {
            let version = last.report.version.clone();
            self.facts.signals.set_blueprints(&self.shared, version, blueprints);
        }
        if let Some((kind, data)) = announce {
            self.facts.signals.announce(&mut self.store, &self.shared, kind, data)?;
        }
        self.keep_steps()?;
        let runs = self.runs_in_order()?;
        let retention = self.shared.config.retention.runs.max(self.shared.config.keep_reports);
        let old = &runs[..runs.len().saturating_sub(retention)];
        self.store.drop_runs(old.iter().map(|(run_id, _)| run_id.as_str()))?;
        let reported = runs.into_iter().filter(|(_, record)| record["report"].is_string());
        let mut reported: Vec<String> = reported.map(|(run_id, _)| run_id).collect();
        reported.truncate(reported.len().saturating_sub(self.shared.config.keep_reports));
        Ok(reported)
    }

    /// Records of runs, in the order in which they ended: two of one day differ in the hash at the end of
    /// their ids.
    fn runs_in_order(&self) -> Result<Vec<(String, serde_json::Value)>, StorageError> {
        let runs = self.store.runs()?.into_iter();
        let mut runs: Vec<(String, serde_json::Value)> =
            runs.map(|(id, record)| (id, serde_json::from_slice(&record).unwrap_or_default())).collect();
        runs.sort_by_cached_key(|(_, record)| {
            record["finished_at"].as_str().and_then(|at| parse_time(at).ok()).unwrap_or_default()
        });
        Ok(runs)
    }

    fn show_last_run(&self) -> Result<(), StorageError> {
        if let Some((run_id, record)) = self.runs_in_order()?.pop() {
            self.show_run(run_id, &record);
        }
        Ok(())
    }

    fn show_run(&self, run_id: String, record: &serde_json::Value) {
        let count = |name: &str| record[name].as_u64().unwrap_or(0);
        self.shared.update(|s| {
            let d = &mut s.discovery;
            d.last_run_id = Some(run_id);
            d.last_duration_ms = record["duration_ms"].as_u64();
            d.last_report = record["report"].as_str().map(str::to_owned);
            (d.hypotheses, d.discoveries, d.trials) =
                (count("hypotheses"), count("discoveries"), count("trials"));
            d.cohorts = serde_json::from_value(record["cohorts"].clone()).unwrap_or_default();
            d.nearest = serde_json::from_value(record["nearest"].clone()).unwrap_or_default();
            d.closed_through = record["closed_through"].as_str().map(str::to_owned);
            d.replays = record["replays"].as_i64().unwrap_or(0);
        });
    }

    fn show_store(&mut self) -> Result<(), StorageError> {
        let measure = self.commits.is_multiple_of(MEASURE_EVERY);
        let bytes = if measure { Some(self.store.disk_bytes()?) } else { None };
        let (committed, checkpoint) = (self.facts.committed(), self.facts.last_checkpoint);
        self.shared.update(|s| {
            s.store.committed_tick = committed.map(BarIndex::open);
            s.store.checkpoint = checkpoint.map(BarIndex::open);
            s.store.bytes = bytes.unwrap_or(s.store.bytes);
        });
        Ok(())
    }

    fn show_watermarks(&mut self) -> Result<(), StorageError> {
        let keys: Vec<SeriesKey> = self
            .follow
            .bars
            .iter()
            .map(|(market, symbol)| SeriesKey {
                kind: backtestd_core::market::Kind::Bars,
                market: *market,
                symbol: symbol.clone(),
            })
            .collect();
        self.show_watermarks_of(&keys)
    }

    pub(super) fn show_watermarks_of(&self, keys: &[SeriesKey]) -> Result<(), StorageError> {
        for key in keys.iter().filter(|k| k.kind == backtestd_core::market::Kind::Bars) {
            let Some((_, last)) = self.store.range(key.market, &key.symbol)? else { continue };
            self.shared.update(|s| {
                for row in s.symbols.iter_mut().filter(|r| r.market == key.market && r.symbol == key.symbol) {
                    row.watermark = Some(last.close());
                }
            });
        }
        Ok(())
    }
}
