//! Stream = batch, proved on what is stored: the facts are computed anew from the raw log, in chunks of
//! another size than any that made them, and compared bit for bit.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use super::Area;
use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{BARS_PER_DAY, BarIndex};
use backtestd_core::outcomes::Outcome;
use backtestd_core::outcomes::{EpisodeEnd, Event};
use backtestd_core::pipeline::{CheckpointFacts, Pipeline, PipelineConfig, PipelineError};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::{Store, StoreError};

/// Rows a chunk: a prime, so that boundaries fall elsewhere than in a daemon's chunks.
const CHUNK_ROWS: i64 = 389;
/// Rows that the engine keeps beyond its windows, other than a daemon's.
const SLACK_ROWS: usize = 97;

/// Which facts are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactsRange {
    /// First bar; computation begins at the newest checkpoint before it. `None`: the first row of all.
    pub from: Option<BarIndex>,
    /// First bar that is not compared. `None`: the last committed one is.
    pub end: Option<BarIndex>,
}

/// Why facts could not be compared at all.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pipeline refused the raw log.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

/// Computes facts anew and compares. `progress` hears rows done and rows in all.
///
/// # Errors
/// When the store cannot be read or the pipeline cannot be built; what differs is a finding.
pub fn check_facts(
    store: &Store,
    spec: &Arc<CompiledSpec>,
    range: FactsRange,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Area, FactsError> {
    let mut area = Area::new("facts");
    let Some(committed) = store.committed()? else {
        "nothing computed yet".clone_into(&mut area.checked);
        return Ok(area);
    };
    let Some((bar, bytes)) = store.latest_checkpoint(committed)? else {
        area.find("checkpoints", "newest", "one at or before the last committed bar", "none");
        return Ok(area);
    };
    let known = match CheckpointFacts::read(&bytes) {
        Ok(known) => known,
        Err(error) => {
            area.find(format!("checkpoint {bar}"), "frame", "readable", error);
            return Ok(area);
        }
    };
    if known.ontology_spec_hash != spec.hash {
        area.find("facts", "ontology_spec_hash", &spec.hash, &known.ontology_spec_hash);
        area.note = Some(
            "not compared: these facts were made under other specs; give their tree with --spec".to_owned(),
        );
        return Ok(area);
    }
    let engine = EngineOptions { slack_rows: SLACK_ROWS, threads: true };
    let config =
        PipelineConfig { spec: Arc::clone(spec), symbols: known.symbols, collected: known.collected, engine };
    let mut end = range.end.map_or(committed.next(), |end| end.min(committed.next()));
    if let Some(dirty) = store.facts_dirty()?.filter(|dirty| *dirty < end) {
        area.note = Some(format!(
            "compared up to {dirty} only: later rows wait to be computed again, since raw records changed"
        ));
        end = dirty;
    }
    let Some(mut pipeline) = open(store, &mut area, &config, range.from)? else { return Ok(area) };
    let from = range.from.unwrap_or(pipeline.next_bar()).max(pipeline.next_bar());
    let begin = pipeline.next_bar();
    let mut counts = [0_usize; 3];
    while pipeline.next_bar() < end {
        let first = pipeline.next_bar();
        let rows = (end - first).min(CHUNK_ROWS);
        let raw = store.raw(&config.symbols, first, usize::try_from(rows).unwrap_or(0))?;
        let facts = pipeline.push(&raw)?;
        let (low, high) = (first.max(from), first + rows);
        if low < high {
            let inside = |bar: BarIndex| bar >= low;
            let stored = store.events(low, high)?;
            counts[0] += stored.len();
            compare(&mut area, &facts.events, &stored, |e| inside(e.bar), Event::id, event_fields);
            let stored = store.episode_ends(low, high)?;
            counts[1] += stored.len();
            compare(&mut area, &facts.ends, &stored, |e| inside(e.exit), end_name, end_fields);
            let orphans = store.orphan_outcomes(low, high)?;
            for key in &orphans {
                area.find(format!("outcomes {key}"), "event", "in the registry", "missing");
            }
            if orphans.is_empty() {
                let stored = store.outcomes(low, high)?;
                counts[2] += stored.len();
                let matured = |o: &Outcome| inside(backtestd_core::market::Ts(o.matured().0 - 1).bar());
                compare(&mut area, &facts.outcomes, &stored, matured, outcome_name, outcome_fields);
            }
        }
        progress((pipeline.next_bar() - begin) as u64, (end - begin).max(0) as u64);
    }
    area.checked = format!(
        "{} events, {} episode ends and {} outcomes of {} days recomputed from {}",
        counts[0],
        counts[1],
        counts[2],
        (end - from).max(0) / BARS_PER_DAY,
        begin
    );
    Ok(area)
}

/// The pipeline before the first compared row: new, or from the newest checkpoint before it.
fn open(
    store: &Store,
    area: &mut Area,
    config: &PipelineConfig,
    from: Option<BarIndex>,
) -> Result<Option<Pipeline>, FactsError> {
    if let Some(from) = from
        && let Some((bar, bytes)) = store.latest_checkpoint(from - 1)?
    {
        return match Pipeline::restore(config.clone(), &bytes) {
            Ok(pipeline) if pipeline.next_bar() == bar.next() => Ok(Some(pipeline)),
            Ok(pipeline) => {
                area.find(format!("checkpoint {bar}"), "next row", bar.next(), pipeline.next_bar());
                Ok(None)
            }
            Err(error) => {
                area.find(format!("checkpoint {bar}"), "state", "restorable", error);
                Ok(None)
            }
        };
    }
    let Some(first) = store.facts_first()? else {
        area.find("meta facts/first", "first row", "the bar that the facts begin with", "nothing");
        return Ok(None);
    };
    let mut pipeline = Pipeline::new(config.clone(), first)?;
    pipeline.prime(&store.lead_in(&config.symbols, first, pipeline.lead_in_rows())?)?;
    Ok(Some(pipeline))
}

/// A fact's fields by name, as text that is equal exactly when the bits are.
type Fields = Vec<(String, String)>;

fn compare<T>(
    area: &mut Area,
    expected: &[T],
    found: &[T],
    is_compared: impl Fn(&T) -> bool,
    name: impl Fn(&T) -> String,
    fields: impl Fn(&T) -> Fields,
) {
    let expected: BTreeMap<String, &T> =
        expected.iter().filter(|t| is_compared(t)).map(|t| (name(t), t)).collect();
    let found: BTreeMap<String, &T> = found.iter().map(|t| (name(t), t)).collect();
    for (id, fact) in &expected {
        let Some(stored) = found.get(id) else {
            area.find(id.clone(), "record", "present", "absent");
            continue;
        };
        let (wanted, got) = (fields(fact), fields(stored));
        if wanted.len() != got.len() {
            area.find(id.clone(), "number of values", wanted.len(), got.len());
        }
        for ((field, wanted), (_, got)) in wanted.into_iter().zip(got).filter(|(a, b)| a != b) {
            area.find(id.clone(), field, wanted, got);
        }
    }
    for id in found.keys().filter(|id| !expected.contains_key(*id)) {
        area.find(id.clone(), "record", "absent", "present");
    }
}

fn field(name: &str, value: impl Debug) -> (String, String) {
    (name.to_owned(), format!("{value:?}"))
}

fn event_fields(e: &Event) -> Fields {
    let mut out = vec![
        field("canonical_family", &e.family),
        field("direction", e.direction),
        field("severity", e.severity),
        field("states", &e.states),
        field("vol_regime", e.vol_regime),
        field("carry_state", e.carry_state),
        field("sigma_bar", e.sigma_bar),
    ];
    out.extend(e.features.iter().map(|(name, value)| field(&format!("features_at_event.{name}"), value)));
    out
}

fn end_name(end: &EpisodeEnd) -> String {
    format!(
        "{} exit {}",
        backtestd_core::outcomes::event_id(&end.event_type, &end.symbol, end.onset),
        end.exit
    )
}

fn end_fields(_: &EpisodeEnd) -> Fields {
    Vec::new()
}

fn outcome_name(o: &Outcome) -> String {
    format!("{} {}", o.event.id(), o.horizon.label)
}

fn outcome_fields(o: &Outcome) -> Fields {
    vec![
        field("horizon_bars", o.horizon.bars),
        field("entry_lag_bars", o.entry_lag_bars),
        field("entry_price", o.entry_price),
        field("forward_return", o.forward_return),
        field("midnight_return", o.midnight_return),
        field("mfe_bps", o.mfe_bps),
        field("mae_bps", o.mae_bps),
        field("funding_paid", o.funding_paid),
        field("cost_bps_round_trip", o.cost_bps_round_trip),
        field("costs", o.costs.values()),
    ]
}
