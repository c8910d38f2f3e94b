//! The stages of a batch run, each with a record of what it read and wrote, and what need not be computed
//! again.
//!
//! ```text
//! bars ── pipeline ──┬─ tables                       bars: the log as it is read     pipeline: features, events, outcomes
//!                    └─ evidence ── conclude ── report      conclude: discovery, bridge, blueprints    report: page, version
//! ```
//!
//! A stage's key is the hash of everything that it depends on: the records of the log, the spec files that it
//! reads, the stages before it, the program. With `BACKTEST_STAGE_CACHE=1` a stage whose key is in the cache
//! is not computed, and the run's record says which run it was taken from, or what changed. The files of a
//! run are the same either way.

mod cache;
mod code;
mod inputs;
mod kept;
mod record;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::ResearchError;
use super::collect::{Collected, collect_at, start};
use super::features;
use super::log_digest::{LogHashes, read_log};
use super::request::Request;
use super::summary::StageTime;
use backtestd_core::discovery::{Catalogue, DayRecord, DiscoveryConfig, EvidenceBook, OutcomeTable};
use backtestd_core::market::{BarIndex, hex};
use backtestd_store::Store;
use backtestd_store::lake::write_bytes;

pub use cache::STAGE_CACHE;
use cache::{Cache, Found, files_below};
use code::code;
pub use record::{Code, FileHash, StageRecord};
use record::{Inputs, STAGE_SCHEMA, key_of};

/// The log as it is read.
const BARS: &str = "bars";
/// Features, events and outcomes.
const PIPELINE: &str = "pipeline";
/// Events, flags and outcomes as parquet.
pub(super) const TABLES: &str = "tables";
/// The evidence book.
const EVIDENCE: &str = "evidence";
/// Discovery, bridge and blueprints.
pub(super) const CONCLUDE: &str = "conclude";
/// The report and the version.
pub(super) const REPORT: &str = "report";
/// The null twins.
pub(super) const PLACEBO: &str = "placebo";

/// The stages of one run, as they go.
#[derive(Debug)]
pub(super) struct Stages<'a> {
    request: &'a Request,
    cache: Cache,
    /// Why nothing is taken from the cache; `None`: it is.
    off: Option<&'static str>,
    records: Vec<(StageRecord, Value)>,
    /// Name of the run, once it is known.
    run_id: Option<String>,
    /// Entries for the cache that wait for the run's name.
    waiting: Vec<(StageRecord, Option<Vec<u8>>)>,
    clock: Instant,
}

/// How a stage came out.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) inputs: Inputs,
    /// Where it was computed: why. Where it was taken from the cache: the entry.
    pub(super) from: Result<StageRecord, String>,
    pub(super) outputs: Vec<PathBuf>,
    /// What later stages need of it beside its files.
    pub(super) payload: Option<Vec<u8>>,
    /// What it came to, for its record.
    pub(super) facts: Value,
}

impl Outcome {
    /// Of a stage that leaves nothing to take: computed, and why.
    pub(super) fn plain(why: &str) -> Self {
        let (inputs, outputs) = (Inputs::new(), Vec::new());
        Self { inputs, from: Err(why.to_owned()), outputs, payload: None, facts: Value::Null }
    }
}

impl<'a> Stages<'a> {
    /// None has run yet.
    pub(super) fn of(request: &'a Request) -> Self {
        let off = if !request.stage_cache {
            Some("the stage cache is off; BACKTEST_STAGE_CACHE=1 turns it on")
        } else if request.placebo.draws > 0 {
            Some("a placebo moves events among all rows, which no stage keeps")
        } else {
            None
        };
        let cache = Cache::of(&request.data_root);
        let (records, waiting) = (Vec::new(), Vec::new());
        Self { request, cache, off, records, run_id: None, waiting, clock: Instant::now() }
    }

    /// Tells the name of the run: a derived one depends on what the first stages find.
    pub(super) fn name(&mut self, run_id: &str) {
        self.run_id = Some(run_id.to_owned());
        for (mut entry, payload) in std::mem::take(&mut self.waiting) {
            run_id.clone_into(&mut entry.run_id);
            self.cache.put(&entry, payload.as_deref());
        }
    }

    /// The entry of a stage that may be used instead of computing it; else why there is none.
    pub(super) fn find(&self, stage: &str, inputs: &Inputs) -> Result<(StageRecord, Vec<u8>), String> {
        let Found { entry, payload, lost } = self.look(stage, inputs)?;
        lost.map_or(Ok((entry, payload)), |name| Err(format!("{name} is not what it wrote")))
    }

    fn look(&self, stage: &str, inputs: &Inputs) -> Result<Found, String> {
        self.off.map_or_else(|| self.cache.find(stage, &code(), inputs), |why| Err(why.to_owned()))
    }

    /// Closes a stage: its record, its time since the one before, its entry in the cache. Returns its key.
    pub(super) fn close(&mut self, stage: &'static str, outcome: Outcome) -> String {
        let Outcome { inputs, from, outputs, payload, facts } = outcome;
        let code = code();
        let key = key_of(stage, &code, &inputs);
        let ms = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.clock = Instant::now();
        let why = match &from {
            Ok(entry) => format!("run {} computed it in {:.2} s", entry.run_id, entry.ms as f64 / 1000.0),
            Err(why) => why.clone(),
        };
        let record = StageRecord {
            schema: STAGE_SCHEMA.to_owned(),
            stage: stage.to_owned(),
            key: key.clone(),
            run_id: self.run_id.clone().unwrap_or_default(),
            is_cached: from.is_ok(),
            why,
            ms,
            code,
            inputs,
            outputs: self.cache.hash(outputs),
            payload: payload.as_ref().map(|bytes| FileHash {
                bytes: bytes.len() as u64,
                sha256: backtestd_core::blueprints::sha256_hex(bytes),
            }),
        };
        // What is read is never taken from anywhere.
        if self.off.is_none() && stage != BARS && stage != PLACEBO {
            match from {
                // Only where its files were stamped anew is there anything to remember.
                Ok(entry) if entry.outputs != record.outputs => {
                    self.cache.put(&StageRecord { outputs: record.outputs.clone(), ..entry }, None);
                }
                Ok(_) => {}
                Err(_) if self.run_id.is_some() => self.cache.put(&record, payload.as_deref()),
                Err(_) => self.waiting.push((record.clone(), payload)),
            }
        }
        self.records.push((record, facts));
        key
    }

    /// Reads the log and runs it through the pipeline, or takes what an earlier run made of the same records.
    /// `marks` are the instants of a walk: see [`collect_at`].
    pub(super) fn pipeline(
        &mut self,
        store: &Store,
        marks: &[BarIndex],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Collected, String), ResearchError> {
        let request = self.request;
        let begun = start(store, request)?;
        let sources = inputs::sources(begun.pipeline.config());
        if self.off.is_some() {
            let began = self.clock;
            let collected = collect_at(store, request, marks, progress)?;
            // Reading was a part of the pass: its time is the pipeline's.
            self.clock = Instant::now();
            let read = self.close_bars(&collected.log, "read along with the pipeline");
            self.clock = began;
            let inputs = inputs::pipeline(request, &read, &collected.log, sources, marks);
            let why = self.off.unwrap_or_default().to_owned();
            return Ok(self.close_pipeline(collected, inputs, Err(why)));
        }
        let log = read_log(store, request, &begun)?;
        let read = self.close_bars(&log, "its records are what everything else is compared with");
        let inputs = inputs::pipeline(request, &read, &log, sources, marks);
        let why = match self.look(PIPELINE, &inputs) {
            Err(why) => why,
            Ok(found) => match kept::decode(&found.payload, store, request, begun, log)? {
                None => "its entry in the cache does not fit the request".to_owned(),
                Some(kept) => match features::keep(request, &kept.features, found.lost.is_none())? {
                    None => return Ok(self.close_pipeline(kept, inputs, Ok(found.entry))),
                    Some(changed) => format!("{} holds other rows by now", changed.display()),
                },
            },
        };
        let collected = collect_at(store, request, marks, progress)?;
        Ok(self.close_pipeline(collected, inputs, Err(why)))
    }

    fn close_bars(&mut self, log: &LogHashes, why: &str) -> Inputs {
        let facts = json!({ "data": hex(&log.data) });
        let outcome = Outcome {
            inputs: log.parts.clone(),
            from: Err(why.to_owned()),
            outputs: Vec::new(),
            payload: None,
            facts,
        };
        self.close(BARS, outcome);
        log.parts.clone()
    }

    fn close_pipeline(
        &mut self,
        collected: Collected,
        inputs: Inputs,
        from: Result<StageRecord, String>,
    ) -> (Collected, String) {
        let is_new = from.is_err() && self.off.is_none();
        let facts = json!({
            "history_from": collected.history_from.open().rfc3339(), "bars": collected.bars,
            "events": collected.events.len(), "outcomes": collected.outcomes.len(),
            "outcomes_open": collected.open_outcomes, "quality": collected.quality,
        });
        let outputs = collected.features.iter().map(|file| file.path.clone()).collect();
        let payload = if is_new { kept::encode(&collected, &self.request.data_root) } else { None };
        let key = self.close(PIPELINE, Outcome { inputs, from, outputs, payload, facts });
        (collected, key)
    }

    /// The evidence of the closed days, from the outcomes or from an earlier run's book.
    pub(super) fn evidence(
        &mut self,
        config: &DiscoveryConfig,
        catalogue: &Catalogue,
        day: i64,
        pipeline: &str,
        table: &mut dyn FnMut() -> Result<OutcomeTable, ResearchError>,
    ) -> Result<(EvidenceBook, String), ResearchError> {
        let inputs = inputs::evidence(self.request, pipeline, day);
        let first = self.request.first.open().day();
        let mut book = config.open_book(catalogue);
        let from = match self.find(EVIDENCE, &inputs) {
            Ok((entry, payload)) if restore(&mut book, &payload, day) => Ok(entry),
            Ok(_) => Err("its entry in the cache does not fit the catalogue".to_owned()),
            Err(why) => Err(why),
        };
        if from.is_err() {
            book = config.open_book(catalogue);
            book.advance(&table()?, catalogue, day);
        }
        let payload = (from.is_err() && self.off.is_none()).then(|| records(&book, first)).flatten();
        let facts = json!({ "closed_through": day, "rows": book.counts().used });
        let outcome = Outcome { inputs, from, outputs: Vec::new(), payload, facts };
        let key = self.close(EVIDENCE, outcome);
        Ok((book, key))
    }

    /// The stages so far, for the summary.
    pub(super) fn times(&self) -> Vec<StageTime> {
        let time = |(record, _): &(StageRecord, Value)| StageTime {
            stage: record.stage.clone(),
            ms: record.ms,
            is_cached: record.is_cached,
            why: record.why.clone(),
        };
        self.records.iter().map(time).collect()
    }

    /// Writes `<stage>.json` and `<stage>.log` of every stage into the run's directory, with the facts that
    /// all share.
    pub(super) fn write(
        self,
        dir: &Path,
        run_id: &str,
        shared: &Value,
        log: &dyn Fn(&str) -> String,
    ) -> Result<(), ResearchError> {
        for (mut record, facts) in self.records {
            record.run_id = run_id.to_owned();
            let stage = record.stage.clone();
            let mut page = serde_json::to_value(&record).unwrap_or_default();
            if let (Some(page), Some(shared)) = (page.as_object_mut(), shared.as_object()) {
                page.extend(shared.clone());
                page.insert("facts".to_owned(), facts);
            }
            let text = serde_json::to_vec_pretty(&page).unwrap_or_default();
            write_bytes(&dir.join(format!("{stage}.json")), &text)?;
            write_bytes(&dir.join(format!("{stage}.log")), log(&stage).as_bytes())?;
        }
        Ok(())
    }
}

/// Every file below the folders of a run.
pub(super) fn files_of(folders: &[PathBuf]) -> Vec<PathBuf> {
    folders.iter().flat_map(|folder| files_below(folder)).collect()
}

pub(super) use inputs::{conclude, report, tables};

/// The book's days as bytes.
fn records(book: &EvidenceBook, first: i64) -> Option<Vec<u8>> {
    let days = book.records(first - 1, book.first_link());
    let days: Vec<(i64, [u8; 32], Vec<u8>)> = days.into_iter().map(|r| (r.day, r.link, r.bytes)).collect();
    postcard::to_stdvec(&days).ok()
}

/// Puts the days back. False: they do not fit.
fn restore(book: &mut EvidenceBook, bytes: &[u8], day: i64) -> bool {
    let Ok(days) = postcard::from_bytes::<Vec<(i64, [u8; 32], Vec<u8>)>>(bytes) else { return false };
    let days: Vec<DayRecord> =
        days.into_iter().map(|(day, link, bytes)| DayRecord { day, link, bytes }).collect();
    book.restore(&days) == days.len() && book.through_day() == Some(day)
}
