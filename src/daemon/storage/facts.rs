//! The pipeline and what it committed: pushing rows, rewinding, changing the spec.
//!
//! The facts in the store are a function of the raw log, the spec, the followed series and the first row. The
//! last three are the *signature* kept beside the facts: opened under another one, the facts are dropped and
//! computed again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::StorageError;
use super::change::Changing;
use super::join::Joining;
use super::journal::Journal;
use super::signal::{self, Signals};
use crate::daemon::config::Start;
use crate::daemon::feed::Follow;
use crate::daemon::shared::Shared;
use crate::daemon::status::{QualityStatus, Unavailable};
use crate::daemon::stream_log::EntryKind;
use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{BAR_MS, BarIndex, DAY_MS, Kind, RawBlock, Records, Symbol, Ts};
use backtestd_core::outcomes::Event;
use backtestd_core::pipeline::{POOLED, Pipeline, PipelineConfig, QualityReport};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::{FACTS_DIRTY, FACTS_FIRST, Store, TickCommit};

pub(super) const SIGNATURE: &str = "facts/signature";
/// Part of the signature: how facts follow from the raw log. 2: instants that were known when the first row
/// began are held on it. A build that derives something else from the same records counts up, and facts of
/// before are computed anew.
const DERIVATION: u8 = 2;
const FIRST: &str = FACTS_FIRST;
const DIRTY: &str = FACTS_DIRTY;
/// Counts of detector health when the last midnight was reached.
const CLOSED_QUALITY: &str = "quality/closed";
/// Before every row: exchanges are younger than the epoch.
const BEFORE_ALL: BarIndex = BarIndex(-1);
/// History rows that the engine keeps beyond its windows: more is faster in batch, less is smaller live.
const SLACK_ROWS: usize = 512;

/// The pipeline, standing after the last committed row.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) spec: Arc<CompiledSpec>,
    pub(super) first: BarIndex,
    pub(super) last_checkpoint: Option<BarIndex>,
    /// Committed rows from here on were computed from raw records that have changed since.
    pub(super) dirty: Option<BarIndex>,
    pub(super) signals: Signals,
    pub(super) journal: Journal,
    lags: Lags,
    pub(super) pipeline: Pipeline,
    /// The spec that is on its way to replace this one.
    pub(super) changing: Option<Changing>,
    /// The pipeline with more symbols that is on its way to replace this one.
    pub(super) joining: Option<Joining>,
}

/// Publication lags of the kinds at instants, ms, at most a bar: what is older has been read by the row
/// before.
type Lags = BTreeMap<Kind, i64>;

fn lags(spec: &CompiledSpec) -> Lags {
    let instants = Kind::ALL.iter().filter(|kind| !kind.is_bar_like());
    let lag = |kind: &Kind| {
        let seconds = kind.sources().iter().filter_map(|s| Some(spec.sources.rule(*s)?.lag_s)).max();
        (*kind, (i64::from(seconds.unwrap_or(0)) * 1000).min(BAR_MS))
    };
    instants.map(lag).collect()
}

/// What a push committed.
pub(super) struct Committed {
    pub(super) events: u64,
    pub(super) commit_ms: f64,
}

impl Facts {
    /// Brings the pipeline to the store's tick boundary.
    pub(super) fn open(
        store: &mut Store,
        shared: &Shared,
        follow: &Follow,
        spec: Arc<CompiledSpec>,
    ) -> Result<Self, StorageError> {
        let first = first_row(store, shared)?;
        judge_by(store, shared, &spec)?;
        let config = pipeline_config(&spec, follow, shared);
        check_signature(store, &spec, follow, first)?;
        let signals = Signals::open(store, shared, state_names(&spec))?;
        let dirty = store.meta(DIRTY)?.and_then(|b| word(&b)).map(BarIndex);
        let mut facts = Self {
            pipeline: new_pipeline(store, config, first)?,
            lags: lags(&spec),
            spec,
            first,
            last_checkpoint: None,
            dirty,
            signals,
            journal: Journal::default(),
            changing: None,
            joining: None,
        };
        let committed = store.committed()?.filter(|bar| *bar >= first);
        facts.stand_after(store, committed)?;
        facts.show_quality(shared);
        Ok(facts)
    }

    /// First row that is not committed.
    pub(super) fn next(&self) -> BarIndex {
        self.pipeline.next_bar()
    }

    /// Last committed row.
    pub(super) fn committed(&self) -> Option<BarIndex> {
        (self.next() > self.first).then(|| self.next() - 1)
    }

    /// Restores the newest checkpoint at or before `row` and replays up to it; what it recomputes is stored
    /// already.
    fn stand_after(&mut self, store: &Store, row: Option<BarIndex>) -> Result<(), StorageError> {
        let config = self.pipeline.config().clone();
        self.pipeline = new_pipeline(store, config.clone(), self.first)?;
        self.last_checkpoint = None;
        let Some(row) = row else { return Ok(()) };
        if let Some((bar, bytes)) = store.latest_checkpoint(row)? {
            match Pipeline::restore(config, &bytes) {
                Ok(pipeline) if pipeline.next_bar() == bar.next() => {
                    self.pipeline = pipeline;
                    self.last_checkpoint = Some(bar);
                }
                Ok(_) => tracing::warn!(%bar, "a checkpoint stands at another row than it says; replaying"),
                Err(error) => tracing::warn!(%error, %bar, "a checkpoint cannot be used; replaying"),
            }
        }
        while self.next() <= row {
            let rows = (row.next() - self.next()).min(SLACK_ROWS as i64) as usize;
            let raw = self.raw(store, self.next(), rows)?;
            self.pipeline.push(&raw)?;
        }
        Ok(())
    }

    /// Rows of the raw log. Instants whose publication lag had not passed when the row before closed come
    /// along once more: live, they often arrive after that row was committed, where they change nothing yet.
    /// Whoever gets one twice holds the same value.
    pub(super) fn raw(&self, store: &Store, first: BarIndex, rows: usize) -> Result<RawBlock, StorageError> {
        self.raw_of(store, &self.pipeline.config().symbols, first, rows)
    }

    /// [`Facts::raw`] of other symbols.
    pub(super) fn raw_of(
        &self,
        store: &Store,
        symbols: &[Symbol],
        first: BarIndex,
        rows: usize,
    ) -> Result<RawBlock, StorageError> {
        let mut block = store.raw(symbols, first, rows)?;
        let close = first.open();
        for (now, before) in block.symbols.iter_mut().zip(store.raw(symbols, first - 1, 1)?.symbols) {
            now.prepend_instants(before, |kind, ts| ts.0 + self.lag_ms(kind) > close.0);
        }
        Ok(block)
    }

    fn lag_ms(&self, kind: Kind) -> i64 {
        self.lags.get(&kind).copied().unwrap_or(0)
    }

    /// The first row that depends on a record.
    pub(super) fn first_row_of(&self, records: &Records) -> Option<BarIndex> {
        records.first_row(self.lag_ms(records.kind()))
    }

    /// The first row that depends on a record of this time.
    pub(super) fn first_row_at(&self, kind: Kind, time: i64) -> BarIndex {
        if kind.is_bar_like() { BarIndex(time) } else { Ts(time + self.lag_ms(kind) - 1).bar() }
    }

    /// Pushes the next rows and commits what they produced, in one atomic batch; then, and only then,
    /// announces it.
    pub(super) fn push(
        &mut self,
        store: &mut Store,
        shared: &Shared,
        rows: usize,
        now: Ts,
        checkpoint: bool,
    ) -> Result<Committed, StorageError> {
        let raw = self.raw(store, self.next(), rows)?;
        let facts = self.pipeline.push(&raw)?;
        let is_midnight = self.next().open().0 % DAY_MS == 0;
        let counts = if is_midnight { Some(self.pipeline.quality_counts()?) } else { None };
        let closed_quality: Vec<(&str, &[u8])> =
            counts.iter().map(|c| (CLOSED_QUALITY, c.as_slice())).collect();
        let through = self.next() - 1;
        let close = |event: &Event| facts.close_of(&self.pipeline.config().symbols, event);
        let entries = self.signals.entries((facts.first, self.next()), &facts.events, &close, now);
        let checkpoint = if checkpoint { Some(self.pipeline.checkpoint()?) } else { None };
        let has_checkpoint = checkpoint.is_some();
        let events = facts.events.len() as u64;
        let started = Instant::now();
        // Only what was news has an arrival; the store keeps the first one of an event for ever.
        let news = entries.iter().filter(|e| e.kind == EntryKind::Signal);
        let arrivals: Vec<(String, Ts)> =
            news.filter_map(|e| Some((e.data["event_id"].as_str()?.to_owned(), now))).collect();
        store.commit(&TickCommit {
            through,
            events: &facts.events,
            episode_ends: &facts.ends,
            outcomes: &facts.outcomes,
            signals: &entries.iter().map(signal::encode).collect::<Vec<_>>(),
            checkpoint: checkpoint.as_deref(),
            arrivals: &arrivals,
            updates_through: self.journal.taken_in(through),
            meta: &closed_quality,
            ..TickCommit::default()
        })?;
        self.journal.committed(through);
        let commit_ms = started.elapsed().as_secs_f64() * 1000.0;
        if has_checkpoint {
            self.last_checkpoint = Some(through);
        }
        self.signals.announced(shared, entries);
        self.show_quality(shared);
        Ok(Committed { events, commit_ms })
    }

    /// Remembers, durably, that committed rows from `bar` on are no longer what the raw log gives.
    pub(super) fn note_dirty(&mut self, store: &mut Store, bar: BarIndex) -> Result<(), StorageError> {
        let bar = bar.max(self.first);
        if self.dirty.is_none_or(|known| bar < known) {
            self.set_dirty(store, Some(bar))?;
        }
        Ok(())
    }

    /// A change under way has read rows that have changed now: it begins anew.
    pub(super) fn restart_change_behind(
        &mut self,
        store: &Store,
        bar: BarIndex,
        shared: &Shared,
    ) -> Result<(), StorageError> {
        if let Some(joining) = self.joining.as_mut().filter(|joining| joining.has_passed(bar)) {
            joining.restart(store, self.first)?;
        }
        match &mut self.changing {
            Some(changing) if changing.has_passed(bar) => changing.restart(store, self.first, shared),
            _ => Ok(()),
        }
    }

    pub(super) fn set_dirty(
        &mut self,
        store: &mut Store,
        dirty: Option<BarIndex>,
    ) -> Result<(), StorageError> {
        self.dirty = dirty;
        let bytes = dirty.map_or(Vec::new(), |bar| bar.0.to_le_bytes().to_vec());
        store.put_meta(DIRTY, &bytes)?;
        Ok(())
    }

    /// Goes back to before the first dirty row; returns where it stands then.
    pub(super) fn rewind_if_dirty(&mut self, store: &mut Store) -> Result<Option<BarIndex>, StorageError> {
        let Some(dirty) = self.dirty else { return Ok(None) };
        if dirty < self.next() {
            self.rewind(store, dirty - 1)?;
        }
        self.set_dirty(store, None)?;
        Ok(Some(self.next()))
    }

    fn rewind(&mut self, store: &mut Store, to: BarIndex) -> Result<(), StorageError> {
        store.rewind(to)?;
        self.stand_after(store, (to >= self.first).then_some(to))
    }

    /// Takes back what was committed for rows from `end` on.
    pub(super) fn take_back(&mut self, store: &mut Store, end: BarIndex) -> Result<(), StorageError> {
        if end < self.next() {
            self.rewind(store, end - 1)?;
        }
        if self.dirty.is_some_and(|bar| bar >= self.next()) {
            self.set_dirty(store, None)?;
        }
        Ok(())
    }

    /// Puts another spec in force at the first row. The facts go; the raw log stays.
    pub(super) fn drop_for(
        &mut self,
        store: &mut Store,
        shared: &Shared,
        follow: &Follow,
        spec: Arc<CompiledSpec>,
    ) -> Result<(), StorageError> {
        let next = self.next();
        if self.signals.have_begun() {
            self.signals.begin_anew(store, next)?;
        }
        check_signature(store, &spec, follow, self.first)?;
        let pipeline = new_pipeline(store, pipeline_config(&spec, follow, shared), self.first)?;
        self.stand_under(spec, pipeline);
        self.last_checkpoint = None;
        self.set_dirty(store, None)
    }

    /// From here on this is the pipeline.
    pub(super) fn stand_under(&mut self, spec: Arc<CompiledSpec>, pipeline: Pipeline) {
        self.signals.set_states(state_names(&spec));
        self.lags = lags(&spec);
        self.spec = spec;
        self.pipeline = pipeline;
    }

    /// Detector health and availability of sources over every committed row.
    pub(super) fn quality(&self) -> QualityReport {
        self.pipeline.quality()
    }

    /// The same over the rows before the last midnight, as it was when they were counted: a function of the
    /// closed days. Under specs that were taken over since, whose counts were made in one piece, over every
    /// committed row.
    pub(super) fn quality_at(&self, store: &Store, end: BarIndex) -> Result<QualityReport, StorageError> {
        let counts = store.meta(CLOSED_QUALITY)?;
        let closed = counts.and_then(|bytes| self.pipeline.quality_from(&bytes, end));
        Ok(closed.unwrap_or_else(|| self.quality()))
    }

    pub(super) fn show_quality(&self, shared: &Shared) {
        let report = self.quality();
        let lacking = report.events.iter().filter(|q| q.symbol != POOLED).filter_map(|q| {
            Some(Unavailable {
                symbol: q.symbol.clone(),
                event_type: q.event_type.clone(),
                missing: q.unavailable.clone()?,
            })
        });
        let unavailable: Vec<Unavailable> = lacking.collect();
        let quality = QualityStatus::of(&report);
        shared.update(|s| {
            s.spec.unavailable = unavailable;
            s.quality = quality;
        });
    }
}

fn state_names(spec: &CompiledSpec) -> Vec<String> {
    spec.graph.states.iter().map(|s| s.name.clone()).collect()
}

pub(super) fn pipeline_config(spec: &Arc<CompiledSpec>, follow: &Follow, shared: &Shared) -> PipelineConfig {
    PipelineConfig {
        spec: Arc::clone(spec),
        symbols: follow.symbols.clone(),
        collected: follow.collected.clone(),
        engine: EngineOptions { slack_rows: SLACK_ROWS, threads: shared.config.max_analyzer_workers > 1 },
    }
}

/// Has the store judge by the rules of the specs; returns the first row that may read differently.
pub(super) fn judge_by(
    store: &mut Store,
    shared: &Shared,
    spec: &CompiledSpec,
) -> Result<Option<BarIndex>, StorageError> {
    store.tell_time(shared.clock.now());
    let judged = store.judge_by(&spec.sources.plausibility)?;
    if judged.from.is_some() {
        tracing::info!(judged.masked, judged.unmasked, "the log was judged by new rules of plausibility");
    }
    Ok(judged.from)
}

/// A pipeline before its first row, holding what was known by then.
pub(super) fn new_pipeline(
    store: &Store,
    config: PipelineConfig,
    first: BarIndex,
) -> Result<Pipeline, StorageError> {
    let mut pipeline = Pipeline::new(config, first)?;
    let lead_in = store.lead_in(&pipeline.config().symbols, first, pipeline.lead_in_rows())?;
    pipeline.prime(&lead_in)?;
    Ok(pipeline)
}

fn word(bytes: &[u8]) -> Option<i64> {
    bytes.get(..8)?.try_into().ok().map(i64::from_le_bytes)
}

/// The first row: as configured, but days back are counted once, at the first start.
fn first_row(store: &mut Store, shared: &Shared) -> Result<BarIndex, StorageError> {
    let now = shared.clock.now();
    let start = shared.config.start;
    let days = match start {
        Start::At(_) => 0,
        Start::DaysBack(days) => days,
    };
    if let (Start::DaysBack(_), Some(bytes)) = (start, store.meta(FIRST)?)
        && let (Some(bar), Some(known_days)) = (word(&bytes), bytes.get(8..).and_then(word))
        && known_days == i64::from(days)
        && bar <= now.bar().0
    {
        return Ok(BarIndex(bar));
    }
    let first = start.first_bar(now);
    let mut bytes = first.0.to_le_bytes().to_vec();
    bytes.extend(i64::from(days).to_le_bytes());
    store.put_meta(FIRST, &bytes)?;
    Ok(first)
}

/// What the facts depend on beside the raw log.
pub(super) fn signature(spec: &CompiledSpec, follow: &Follow, first: BarIndex) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([DERIVATION]);
    hash.update(spec.hash.as_bytes());
    hash.update(first.0.to_le_bytes());
    for (symbol, sources) in follow.symbols.iter().zip(&follow.collected) {
        hash.update([0]);
        hash.update(symbol.as_str().as_bytes());
        for source in sources {
            hash.update([1]);
            hash.update(source.name().as_bytes());
        }
    }
    hash.finalize().into()
}

/// Drops facts that were made under another signature.
fn check_signature(
    store: &mut Store,
    spec: &CompiledSpec,
    follow: &Follow,
    first: BarIndex,
) -> Result<(), StorageError> {
    let signature = signature(spec, follow, first);
    let known = store.meta(SIGNATURE)?;
    if known.as_deref() == Some(&signature[..]) {
        return Ok(());
    }
    if let Some(committed) = store.committed()? {
        tracing::info!(%committed, "facts were made under another spec, symbols, sources or start, or by an earlier build: computing anew");
        store.rewind(BEFORE_ALL)?;
    }
    store.put_meta(SIGNATURE, &signature)?;
    Ok(())
}
