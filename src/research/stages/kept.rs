//! What one pass over the log found, as bytes: every number with its bits.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::research::collect::{Start, count_quarantined};
use crate::research::log_digest::LogHashes;
use crate::research::tables::EventRow;
use crate::research::{BarCount, Collected, Request, ResearchError};
use backtestd_core::market::{BarIndex, Symbol};
use backtestd_core::outcomes::{CostParts, EntryPrice, Event, Horizon, Measured, Outcome};
use backtestd_store::Store;
use backtestd_store::lake::LakeFile;

/// The pass without what the specs' gates make of it: detector health is kept as counts.
#[derive(Serialize, Deserialize)]
struct Kept {
    events: Vec<(Arc<Event>, Option<BarIndex>)>,
    horizons: Vec<Horizon>,
    outcomes: Vec<KeptOutcome>,
    /// Open positions, marked at a midnight.
    marked: Vec<KeptOutcome>,
    open_outcomes: u64,
    quality_counts: Vec<u8>,
    /// The same before each mark of a walk.
    counts_at: Vec<Vec<u8>>,
    bars: BTreeMap<Symbol, BarCount>,
    features: Vec<KeptFile>,
}

/// An outcome and what else its window shows. Event and holding period are named by their place.
#[derive(Serialize, Deserialize)]
struct KeptOutcome {
    event: u32,
    horizon: u32,
    entry_lag_bars: u32,
    entry_price: EntryPrice,
    /// Return, its part up to midnight, best, worst, funding, cost; then relative return, hedge ratio and
    /// variance ratio.
    numbers: [f64; 9],
    costs: CostParts,
}

/// A month of features.
#[derive(Serialize, Deserialize)]
struct KeptFile {
    path: String,
    rows: u64,
    content_sha256: String,
}

impl Kept {
    /// An outcome as it was. `None` where it names what is not there.
    fn outcome(&self, of: &KeptOutcome) -> Option<(Outcome, Measured)> {
        let (event, _) = self.events.get(of.event as usize)?;
        let [forward_return, midnight_return, mfe_bps, mae_bps, funding_paid, cost_bps_round_trip, ..] =
            of.numbers;
        let [.., relative_return, hedge_ratio, variance_ratio] = of.numbers;
        let outcome = Outcome {
            event: Arc::clone(event),
            horizon: self.horizons.get(of.horizon as usize)?.clone(),
            entry_lag_bars: of.entry_lag_bars,
            entry_price: of.entry_price,
            forward_return,
            midnight_return,
            mfe_bps,
            mae_bps,
            funding_paid,
            cost_bps_round_trip,
            costs: of.costs,
        };
        Some((outcome, Measured { relative_return, hedge_ratio, variance_ratio }))
    }
}

/// The pass as bytes. `None` where an outcome's event is not among the events, which the pass excludes.
pub(super) fn encode(collected: &Collected, root: &Path) -> Option<Vec<u8>> {
    let mut places = BTreeMap::new();
    for (at, row) in collected.events.iter().enumerate() {
        places.insert((&*row.event.event_type, &row.event.symbol, row.event.bar), u32::try_from(at).ok()?);
    }
    let mut horizons: Vec<Horizon> = Vec::new();
    let mut keep = |o: &Outcome, m: &Measured| {
        let horizon = horizons.iter().position(|h| *h == o.horizon).unwrap_or_else(|| {
            horizons.push(o.horizon.clone());
            horizons.len() - 1
        });
        Some(KeptOutcome {
            event: *places.get(&(&*o.event.event_type, &o.event.symbol, o.event.bar))?,
            horizon: u32::try_from(horizon).ok()?,
            entry_lag_bars: o.entry_lag_bars,
            entry_price: o.entry_price,
            numbers: [
                o.forward_return,
                o.midnight_return,
                o.mfe_bps,
                o.mae_bps,
                o.funding_paid,
                o.cost_bps_round_trip,
                m.relative_return,
                m.hedge_ratio,
                m.variance_ratio,
            ],
            costs: o.costs,
        })
    };
    let outcomes: Option<Vec<_>> =
        collected.outcomes.iter().zip(&collected.measured).map(|(o, m)| keep(o, m)).collect();
    let marked: Option<Vec<_>> = collected.marked.iter().map(|o| keep(o, &Measured::UNKNOWN)).collect();
    let file = |file: &LakeFile| {
        let path = file.path.strip_prefix(root).ok()?.to_string_lossy().into_owned();
        Some(KeptFile { path, rows: file.rows as u64, content_sha256: file.content_sha256.clone() })
    };
    let kept = Kept {
        events: collected.events.iter().map(|row| (Arc::new(row.event.clone()), row.exit)).collect(),
        outcomes: outcomes?,
        marked: marked?,
        horizons,
        open_outcomes: collected.open_outcomes as u64,
        quality_counts: collected.quality_counts.clone(),
        counts_at: collected.counts_at.clone(),
        bars: collected.bars.clone(),
        features: collected.features.iter().map(file).collect::<Option<_>>()?,
    };
    postcard::to_stdvec(&kept).ok()
}

/// The pass of a request from bytes, judged by the request's own gates. `None` where they do not fit it.
pub(super) fn decode(
    bytes: &[u8],
    store: &Store,
    request: &Request,
    start: Start,
    log: LogHashes,
) -> Result<Option<Collected>, ResearchError> {
    let Ok(kept) = postcard::from_bytes::<Kept>(bytes) else { return Ok(None) };
    let Start { history_from, mut pipeline, .. } = start;
    let mut quality_at = Vec::new();
    for counts in &kept.counts_at {
        pipeline.load_health_counts(counts)?;
        quality_at.push(pipeline.quality_of(&request.symbols));
    }
    pipeline.load_health_counts(&kept.quality_counts)?;
    let all = |list: &[KeptOutcome]| list.iter().map(|of| kept.outcome(of)).collect::<Option<Vec<_>>>();
    let (Some(booked), Some(marked)) = (all(&kept.outcomes), all(&kept.marked)) else { return Ok(None) };
    let (outcomes, measured) = booked.into_iter().unzip();
    let mut bars = kept.bars;
    count_quarantined(store, request, &mut bars)?;
    let row = |(event, exit): (Arc<Event>, Option<BarIndex>)| EventRow {
        event: Arc::unwrap_or_clone(event),
        exit,
        arrival: None,
        revision: 0,
    };
    let file = |file: KeptFile| LakeFile {
        path: request.data_root.join(file.path),
        rows: file.rows as usize,
        content_sha256: file.content_sha256,
        written: false,
    };
    Ok(Some(Collected {
        events: kept.events.into_iter().map(row).collect(),
        outcomes,
        measured,
        marked: marked.into_iter().map(|(outcome, _)| outcome).collect(),
        open_outcomes: kept.open_outcomes as usize,
        quality: pipeline.quality_of(&request.symbols),
        quality_at,
        counts_at: kept.counts_at,
        bars,
        history: None,
        history_from,
        log,
        quality_counts: kept.quality_counts,
        features: kept.features.into_iter().map(file).collect(),
    }))
}
