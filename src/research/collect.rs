//! Store → pipeline → everything that the run keeps: one pass over the log, in chunks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ResearchError;
use super::features::FeatureLake;
use super::log_digest::{LogDigest, LogHashes};
use super::measures::Measures;
use super::request::Request;
use super::tables::EventRow;
use backtestd_core::conclude::{History, PRICES};
use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{BarIndex, Market, RawBlock, Source, Symbol};
use backtestd_core::outcomes::Event;
use backtestd_core::outcomes::{Measured, Outcome};
use backtestd_core::pipeline::{Facts, Pipeline, PipelineConfig, QualityReport};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::Store;
use backtestd_store::lake::{LakeFile, Month};

/// Rows per push. Any number gives the same bits; this one keeps a node's history and a chunk in the cache.
pub(super) const CHUNK_ROWS: usize = 512;

/// What one pass over the log found inside the requested range.
#[derive(Debug)]
pub struct Collected {
    /// Detections, sorted by (bar, symbol, event).
    pub events: Vec<EventRow>,
    /// Matured outcomes of these events.
    pub outcomes: Vec<Outcome>,
    /// What else their windows show, outcome by outcome.
    pub measured: Vec<Measured>,
    /// Positions that were open at a midnight and at the end of the log: see `OutcomeBook::marked`.
    pub marked: Vec<Outcome>,
    /// Outcomes that were still open at the end of the log.
    pub open_outcomes: usize,
    /// Detector health per event and symbol, and the sources that were known on a part of the range only.
    pub quality: QualityReport,
    /// Detector health as it stood before each of the marks that were asked for, in their order.
    pub quality_at: Vec<QualityReport>,
    /// The counts behind each of these.
    pub counts_at: Vec<Vec<u8>>,
    /// Per requested symbol: bars and gaps of the range.
    pub bars: BTreeMap<Symbol, BarCount>,
    /// What events can be moved in; only where a placebo is asked for.
    pub history: Option<History>,
    /// First bar of the log that was used (warm-up included).
    pub history_from: BarIndex,
    /// Hashes of every record that was used: other data, other runs.
    pub log: LogHashes,
    /// The counts behind `quality`, for another judgement of the same rows.
    pub quality_counts: Vec<u8>,
    /// Files of the features that were written.
    pub features: Vec<LakeFile>,
}

/// Delivered bars and gaps of a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BarCount {
    /// Bars with prices.
    pub bars: u64,
    /// Grid rows without.
    pub gaps: u64,
    /// Records of any kind in quarantine: kept in the log, unknown here. A bar among them is a gap.
    pub quarantined: u64,
}

/// Symbols and sources that a pipeline over `wanted` needs: the leaders come along where the store has them.
///
/// # Errors
/// When the store cannot be read, or has no bars of a wanted symbol.
pub fn pipeline_config(
    store: &Store,
    spec: &Arc<CompiledSpec>,
    wanted: &[Symbol],
    engine: EngineOptions,
) -> Result<PipelineConfig, ResearchError> {
    let mut symbols = wanted.to_vec();
    for leader in [&spec.defaults.leader.symbol, &spec.defaults.leader.other] {
        if store.range(Market::Perp, leader)?.is_some() {
            symbols.push(leader.clone());
        }
    }
    symbols.sort();
    symbols.dedup();
    let collected = symbols
        .iter()
        .map(|s| Ok(store.coverage(s)?.into_iter().collect()))
        .collect::<Result<Vec<_>, ResearchError>>()?;
    Ok(PipelineConfig { spec: Arc::clone(spec), symbols, collected, engine })
}

/// Runs the pipeline over the store from its first bar to the end of the request.
///
/// # Errors
/// When the store has no bars of a symbol, cannot be read, or the lake cannot be written.
pub fn collect(
    store: &Store,
    request: &Request,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Collected, ResearchError> {
    collect_at(store, request, &[], progress)
}

/// As [`collect`], and remembers what was known of the detectors before each of `marks`: bars after the first
/// of the request and none after its end, ascending.
///
/// # Errors
/// As [`collect`].
pub(super) fn collect_at(
    store: &Store,
    request: &Request,
    marks: &[BarIndex],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Collected, ResearchError> {
    let Start { symbols, history_from, mut pipeline } = start(store, request)?;
    let mut measures = Measures::new(&request.spec, &pipeline.config().book());
    let mut log = LogDigest::new(&symbols);
    let lead_in = store.lead_in(&symbols, history_from, pipeline.lead_in_rows())?;
    log.before(&lead_in);
    pipeline.prime(&lead_in)?;
    pipeline.count_quality_from(request.first);
    let mut lake = request.write_features.then(|| FeatureLake::new(request, &symbols));
    let mut history =
        (request.placebo.draws > 0).then(|| History::new(request.symbols.clone(), request.first));
    let mut events: Vec<Event> = Vec::new();
    let mut exits: BTreeMap<(String, Symbol, BarIndex), BarIndex> = BTreeMap::new();
    let (mut outcomes, mut measured) = (Vec::new(), Vec::new());
    let mut bars: BTreeMap<Symbol, BarCount> = BTreeMap::new();
    let total = (request.end - history_from).max(0) as u64;
    let (mut quality_at, mut counts_at) = (Vec::new(), Vec::new());

    while pipeline.next_bar() < request.end {
        let from = pipeline.next_bar();
        let raw = store.raw(&symbols, from, chunk_rows(request, marks, from))?;
        log.add(&raw);
        let facts = pipeline.push(&raw)?;
        count_bars(&mut bars, &facts, request, &symbols);
        if let Some(lake) = &mut lake {
            lake.add(&facts)?;
        }
        if let Some(history) = &mut history {
            remember(history, &request.spec, &symbols, &raw, &facts);
        }
        for end in &facts.ends {
            exits.insert((end.event_type.to_string(), end.symbol.clone(), end.onset), end.exit);
        }
        let reported = |e: &Event| e.bar >= request.first && request.symbols.contains(&e.symbol);
        measures.push(&facts);
        let matured = outcomes.len();
        outcomes.extend(facts.outcomes.into_iter().filter(|o| reported(&o.event)));
        measured.extend(outcomes[matured..].iter().map(|o| measures.of(o)));
        events.extend(facts.events.into_iter().filter(reported));
        if marks.contains(&pipeline.next_bar()) {
            quality_at.push(pipeline.quality_of(&request.symbols));
            counts_at.push(pipeline.health_counts()?);
        }
        progress((pipeline.next_bar() - history_from) as u64, total);
    }
    count_quarantined(store, request, &mut bars)?;
    let (open_outcomes, quality) = (pipeline.open_outcomes(), pipeline.quality_of(&request.symbols));
    let (quality_counts, mut marked) = (pipeline.health_counts()?, pipeline.marked_outcomes());
    marked.retain(|o| o.event.bar >= request.first && request.symbols.contains(&o.event.symbol));
    let written = lake.map(|lake| finish_lake(lake, &mut pipeline, store, (request, &symbols), &mut log));
    let features = written.transpose()?.unwrap_or_default();
    let events = events
        .into_iter()
        .map(|event| {
            let key = (event.event_type.to_string(), event.symbol.clone(), event.bar);
            EventRow { exit: exits.get(&key).copied(), event, arrival: None, revision: 0 }
        })
        .collect();
    Ok(Collected {
        events,
        outcomes,
        measured,
        marked,
        open_outcomes,
        quality,
        quality_at,
        counts_at,
        bars,
        history,
        history_from,
        log: log.finish(),
        quality_counts,
        features,
    })
}

/// A pipeline before its first row.
pub(super) struct Start {
    /// Every symbol that it computes: those of the request, and the leaders.
    pub(super) symbols: Vec<Symbol>,
    /// First bar of the log that is used.
    pub(super) history_from: BarIndex,
    pub(super) pipeline: Pipeline,
}

/// The pipeline of a request, before its first row.
pub(super) fn start(store: &Store, request: &Request) -> Result<Start, ResearchError> {
    let engine = EngineOptions { slack_rows: CHUNK_ROWS, threads: true };
    let config = pipeline_config(store, &request.spec, &request.symbols, engine)?;
    let symbols = config.symbols.clone();
    let history_from = history_start(store, &symbols, request)?;
    Ok(Start { symbols, history_from, pipeline: Pipeline::new(config, history_from)? })
}

/// Rows of the chunk that begins at `from`: a chunk ends where counting begins, and at every mark.
pub(super) fn chunk_rows(request: &Request, marks: &[BarIndex], from: BarIndex) -> usize {
    let until = if from < request.first { request.first } else { request.end };
    let mark = marks.iter().copied().find(|mark| *mark > from).unwrap_or(until);
    CHUNK_ROWS.min((until.min(mark).min(request.end) - from) as usize)
}

impl Collected {
    /// What discovery reads: matured outcomes, and what is open still.
    pub fn outcomes_and_marked(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().chain(&self.marked)
    }
}

/// Others read whole months: the rest of the last one is computed for the lake alone.
fn finish_lake(
    mut lake: FeatureLake,
    pipeline: &mut Pipeline,
    store: &Store,
    (request, symbols): (&Request, &[Symbol]),
    log: &mut LogDigest,
) -> Result<Vec<LakeFile>, ResearchError> {
    let end = whole_months_end(store, &request.symbols, request.end)?;
    while pipeline.next_bar() < end {
        let rows = CHUNK_ROWS.min((end - pipeline.next_bar()) as usize);
        let raw = store.raw(symbols, pipeline.next_bar(), rows)?;
        log.after(&raw);
        lake.add(&pipeline.push(&raw)?)?;
    }
    lake.finish()
}

/// Counts the records of the requested range that are not taken for true.
pub(super) fn count_quarantined(
    store: &Store,
    request: &Request,
    bars: &mut BTreeMap<Symbol, BarCount>,
) -> Result<(), ResearchError> {
    bars.values_mut().for_each(|count| count.quarantined = 0);
    let (from, to) = (request.first.open(), request.end.open());
    for record in store.quarantine()?.iter().filter(|record| record.released.is_none()) {
        let at = record.series.kind.instant(record.time);
        if let Some(count) = bars.get_mut(&record.series.symbol).filter(|_| from <= at && at < to) {
            count.quarantined += 1;
        }
    }
    Ok(())
}

/// Keeps what a placebo reads of the rows inside the requested range.
fn remember(history: &mut History, spec: &CompiledSpec, symbols: &[Symbol], raw: &RawBlock, facts: &Facts) {
    let skip = (history.first - facts.first).clamp(0, facts.rows as i64) as usize;
    let sigmas = ["sigma_bar", "sigma_event"]
        .map(|name| spec.graph.features.iter().position(|feature| feature.name == name));
    for (name, kept) in history.symbols.iter().zip(&mut history.columns) {
        let Some(at) = symbols.iter().position(|s| s == name) else { continue };
        let columns = &facts.columns.symbols[at];
        for (source, values) in PRICES.into_iter().zip(&mut kept.prices) {
            match columns.get(source) {
                Some(column) => values.extend_from_slice(&column[skip..]),
                None => values.resize(values.len() + facts.rows - skip, f64::NAN),
            }
        }
        for (sigma, kept) in sigmas.into_iter().zip([&mut kept.sigma_bar, &mut kept.sigma_event]) {
            match sigma.and_then(|ix| facts.output.symbols[at].features.get(ix)) {
                Some(column) => kept.extend_from_slice(&column[skip..]),
                None => kept.resize(kept.len() + facts.rows - skip, f64::NAN),
            }
        }
        kept.funding.extend(raw.symbols[at].funding.iter().filter(|p| p.ts >= history.first.open()));
        kept.has_funding |= columns.get(Source::FundingRate).is_some();
    }
    history.rows += facts.rows - skip;
}

/// The end of the month in which a run ends, as far as the store has bars.
pub(super) fn whole_months_end(
    store: &Store,
    symbols: &[Symbol],
    end: BarIndex,
) -> Result<BarIndex, ResearchError> {
    let mut last = end;
    for symbol in symbols {
        last = last.max(store.range(Market::Perp, symbol)?.map_or(end, |(_, last)| last.next()));
    }
    Ok(last.min(Month::of((end - 1).open()).bars().1))
}

pub(super) fn history_start(
    store: &Store,
    symbols: &[Symbol],
    request: &Request,
) -> Result<BarIndex, ResearchError> {
    let mut start = request.first;
    for symbol in symbols {
        match store.range(Market::Perp, symbol)? {
            Some((first, _)) => start = start.min(first),
            None => return Err(ResearchError::NoBars { symbol: symbol.clone() }),
        }
    }
    Ok(start)
}

fn count_bars(bars: &mut BTreeMap<Symbol, BarCount>, facts: &Facts, request: &Request, symbols: &[Symbol]) {
    let skip = (request.first - facts.first).clamp(0, facts.rows as i64) as usize;
    for (symbol, columns) in symbols.iter().zip(&facts.columns.symbols) {
        if !request.symbols.contains(symbol) {
            continue;
        }
        let known =
            columns.get(Source::Close).map_or(0, |c| c[skip..].iter().filter(|v| !v.is_nan()).count() as u64);
        let count = bars.entry(symbol.clone()).or_default();
        count.bars += known;
        count.gaps += (facts.rows - skip) as u64 - known;
    }
}
