//! What `GET /v1/status` says: one plain struct, written by the main loop, read by the API.

use serde::{Serialize, Serializer};

pub use super::exchange_status::{
    ArchiveStatus, ChangeOfUniverse, ClockStatus, GapStatus, LastFile, OpinionStatus, RefusedStatus,
    RestStatus, UniverseStatus,
};
use backtestd_core::discovery::{Cohort, Nearest, Opening};
use backtestd_core::market::{Market, Symbol, Ts};
use backtestd_core::pipeline::{ChangeSummary, PartialSource, QualityReport};
use backtestd_store::Replaced;

/// Where the daemon is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Opening the store, compiling the spec.
    #[default]
    Starting,
    /// Fetching history and pushing it through the graph.
    Backfilling,
    /// Ticks close as they happen.
    Live,
    /// Live, but something is missing: a stream is down or a symbol does not deliver.
    Degraded,
}

impl Phase {
    /// The word in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Backfilling => "backfilling",
            Self::Live => "live",
            Self::Degraded => "degraded",
        }
    }
}

/// The whole answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// Version of the running program.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Wall seconds since the start; filled in when read.
    pub uptime_s: u64,
    /// The daemon's clock (virtual time against a simulated exchange); filled in when read.
    #[serde(serialize_with = "time")]
    pub now: Ts,
    /// Phase of the daemon's life.
    pub state: Phase,
    /// The phase in words: what is being done, or what is missing.
    pub detail: String,
    /// Whose time it is.
    pub clock: ClockStatus,
    /// How the exchange answers.
    pub rest: RestStatus,
    /// The spec in force.
    pub spec: SpecStatus,
    /// Health of the event detectors and of their sources.
    pub quality: QualityStatus,
    /// Who is followed, where a rule says it (`symbols = rule`); null where a list does.
    pub universe: Option<UniverseStatus>,
    /// One entry per followed series of bars.
    pub symbols: Vec<SeriesStatus>,
    /// One entry per websocket connection.
    pub streams: Vec<StreamStatus>,
    /// What is not final, by kind of record.
    pub gaps: Vec<GapStatus>,
    /// Bars of all series that REST has not confirmed yet.
    pub unconfirmed_bars: u64,
    /// The comparison with files of the exchange's public archive.
    pub archive: ArchiveStatus,
    /// Frames that were refused.
    pub refused: RefusedStatus,
    /// What the store holds on disk.
    pub store: StoreStatus,
    /// Progress of the backfill.
    pub backfill: BackfillStatus,
    /// Counters of the live part.
    pub live: LiveStatus,
    /// Discovery runs, past and next.
    pub discovery: DiscoveryStatus,
    /// The published version.
    pub blueprints: BlueprintsStatus,
    /// Records in quarantine: kept in the log, unknown for everything downstream.
    pub quarantined: u64,
    /// Last sequence number on the signal stream.
    pub last_signal_seq: u64,
}

/// The spec in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SpecStatus {
    /// The `ontology_spec_hash` of the specs.
    pub hash: String,
    /// When it came into force.
    #[serde(serialize_with = "optional_time")]
    pub loaded_at: Option<Ts>,
    /// Why the tree on disk is not in force; the spec above stays.
    pub error: Option<String>,
    /// The tree on disk where it differs from what is in force and waits for a reload (`spec_watch = "ask"`).
    pub waiting: Option<WaitingSpec>,
    /// Event types that this deployment cannot compute, with the source they miss.
    pub unavailable: Vec<Unavailable>,
    /// The last change since the start: under way, or in force.
    pub change: Option<ChangeStatus>,
}

/// A spec tree that waits for a reload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WaitingSpec {
    /// The `ontology_spec_hash` of the tree.
    pub hash: String,
    /// The trials that it would open.
    pub trials: Opening,
}

/// How far a spec change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeState {
    /// The changed part runs over history; the spec before it is in force.
    Recomputing,
    /// It is in force, and all of history is replayed under it.
    Replaying,
    /// It is in force, and every fact is its own.
    InForce,
}

/// A spec change.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeStatus {
    /// How far it is.
    pub state: ChangeState,
    /// Hash of the specs before the change.
    pub from: String,
    /// Hash of the specs after the change.
    pub to: String,
    /// Why all of history has to be replayed; null: only what changed is recomputed.
    pub why_everything: Option<&'static str>,
    /// Definitions and nodes.
    pub what: ChangeSummary,
    /// Rows of history that the changed part has run over.
    pub rows_done: u64,
    /// Rows of history it has to run over.
    pub rows_total: u64,
    /// How often it began anew because history was repaired behind it.
    pub restarts: u64,
    /// When it began.
    #[serde(serialize_with = "time")]
    pub began_at: Ts,
    /// When every fact was its own.
    #[serde(serialize_with = "optional_time")]
    pub in_force_at: Option<Ts>,
    /// Wall time from beginning to end, ms.
    pub duration_ms: Option<u64>,
    /// What changed in the store; null while under way, and where everything was replayed.
    pub replaced: Option<ReplacedFacts>,
}

/// What a change came to in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ReplacedFacts {
    /// Events that were not there.
    pub events_added: u64,
    /// Events that read differently now.
    pub events_changed: u64,
    /// Events that are gone.
    pub events_removed: u64,
    /// Number of outcomes written.
    pub outcomes_written: u64,
}

impl From<Replaced> for ReplacedFacts {
    fn from(r: Replaced) -> Self {
        Self {
            events_added: r.events_added,
            events_changed: r.events_changed,
            events_removed: r.events_removed,
            outcomes_written: r.outcomes_written,
        }
    }
}

/// An event type that cannot be computed here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unavailable {
    /// Symbol on which the event cannot occur.
    pub symbol: String,
    /// Event type that cannot occur.
    pub event_type: String,
    /// Column not collected, or never known on any row.
    pub missing: String,
}

/// Health of the event detectors (`gate_e1`), counted over every committed row.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QualityStatus {
    /// (event type, symbol) pairs that fail; `ALL` counts as a symbol.
    pub failing: u64,
    /// Of these, how many are left out of discovery.
    pub excluded: u64,
    /// Per failing event type, its worst finding.
    pub worst: Vec<QualityFinding>,
    /// Source columns that whole days lack.
    pub partial_sources: Vec<PartialSource>,
}

/// An event type outside `gate_e1`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QualityFinding {
    /// Event type that is out of bounds.
    pub event_type: String,
    /// The symbol on which it is furthest out of bounds, or `ALL`.
    pub symbol: String,
    /// What was counted: `onsets_per_10k`, `join_rate` or `clustering_5b`.
    pub metric: &'static str,
    /// Value of the metric that was measured.
    pub value: f64,
    /// `>=` or `<=`.
    pub relation: &'static str,
    /// What it should be.
    pub threshold: f64,
    /// Whether its hypotheses are left out of discovery there.
    pub excluded: bool,
}

impl QualityStatus {
    /// The short form of a report.
    #[must_use]
    pub fn of(report: &QualityReport) -> Self {
        let count = |test: fn(&backtestd_core::pipeline::EventQuality) -> bool| {
            report.events.iter().filter(|q| test(q)).count() as u64
        };
        let worst = report.worst().into_iter().map(|(q, f)| QualityFinding {
            event_type: q.event_type.clone(),
            symbol: q.symbol.clone(),
            metric: f.metric,
            value: f.value,
            relation: f.relation,
            threshold: f.threshold,
            excluded: q.excluded,
        });
        Self {
            failing: count(|q| !q.findings.is_empty()),
            excluded: count(|q| q.excluded),
            worst: worst.collect(),
            partial_sources: report.partial_sources.clone(),
        }
    }
}

/// A followed series of bars.
#[derive(Clone, Debug, Serialize)]
pub struct SeriesStatus {
    /// Symbol of the series.
    pub symbol: Symbol,
    /// Market of the series.
    pub market: Market,
    /// Close of the newest bar in the store.
    #[serde(serialize_with = "optional_time")]
    pub watermark: Option<Ts>,
    /// Clock minus watermark; filled in when read.
    pub lag_ms: Option<i64>,
    /// Slots of committed ticks that still have no bar and are being asked for.
    pub gaps_open: u64,
    /// Bars that only the stream has told: REST has not confirmed them yet.
    pub unconfirmed: u64,
    /// Slots for which the exchange has no bar, as far as it says; it is asked again.
    pub holes: u64,
    /// Arrival of the last update of any kind.
    #[serde(serialize_with = "optional_time")]
    pub last_update: Option<Ts>,
    /// The exchange's word for its state, `TRADING` when orders match; null until the exchange has been
    /// asked.
    pub listed_as: Option<String>,
    /// Price step, quote currency.
    pub tick_size: Option<f64>,
    /// Quantity step, base units.
    pub step_size: Option<f64>,
    /// Least value of an order, quote currency.
    pub min_notional: Option<f64>,
}

impl SeriesStatus {
    /// Nothing is known of it yet.
    #[must_use]
    pub fn new(market: Market, symbol: &Symbol) -> Self {
        Self {
            symbol: symbol.clone(),
            market,
            watermark: None,
            lag_ms: None,
            gaps_open: 0,
            unconfirmed: 0,
            holes: 0,
            last_update: None,
            listed_as: None,
            tick_size: None,
            step_size: None,
            min_notional: None,
        }
    }
}

/// A websocket connection.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StreamStatus {
    /// Route: `futures/market`, `futures/public`, `spot`.
    pub name: String,
    /// Subscribed and alive.
    pub connected: bool,
    /// Milliseconds since the last message; filled in when read.
    pub last_message_ms: Option<i64>,
    /// Arrival of the last message.
    #[serde(skip)]
    pub last_message: Option<Ts>,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Streams of single symbols that are silent while others are heard.
    pub silent: Vec<String>,
}

/// What the store holds and how long its commits take.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StoreStatus {
    /// Open time of the last committed tick.
    #[serde(serialize_with = "optional_time")]
    pub committed_tick: Option<Ts>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Open time of the tick of the newest checkpoint.
    #[serde(serialize_with = "optional_time")]
    pub checkpoint: Option<Ts>,
    /// Duration of the last commit, ms.
    pub last_commit_ms: f64,
    /// Longest commit since the start, ms.
    pub max_commit_ms: f64,
}

/// Progress of the backfill.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BackfillStatus {
    /// Stretches of series to fetch in this start.
    pub stretches_total: u64,
    /// Fetched so far.
    pub stretches_done: u64,
    /// Records fetched so far.
    pub records: u64,
}

/// Counters of the live part.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LiveStatus {
    /// First tick that closed live, over all starts: signals begin after it.
    #[serde(serialize_with = "optional_time")]
    pub live_from: Option<Ts>,
    /// Ticks closed since this start.
    pub ticks: u64,
    /// Of these, how many closed with at least one gap.
    pub ticks_with_gaps: u64,
    /// Bars that came after their tick had closed.
    pub late_bars: u64,
    /// Rewinds to an earlier checkpoint.
    pub rewinds: u64,
    /// Closed bars compared between websocket and REST.
    pub bars_reconciled: u64,
    /// Of these, equal in every column.
    pub bars_matched: u64,
    /// Milliseconds of the clock from bar close to commit, last tick.
    pub last_tick_delay_ms: Option<i64>,
    /// Share of the last closed bar during which liquidations were listened to, of the symbol that has the
    /// least; null unless `collect` has `liquidations`.
    pub liq_coverage: Option<f64>,
    /// What aggregated trades say of klines; null unless `collect` has `agg_trades`.
    pub second_opinion: Option<OpinionStatus>,
}

/// Discovery runs and the trials they have spent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DiscoveryStatus {
    /// The last finished run.
    pub last_run_id: Option<String>,
    /// How long it took, ms.
    pub last_duration_ms: Option<u64>,
    /// Its HTML report.
    pub last_report: Option<String>,
    /// Why it failed, if it did.
    pub last_error: Option<String>,
    /// The run in progress.
    pub running: Option<String>,
    /// The next scheduled run.
    #[serde(serialize_with = "optional_time")]
    pub next_at: Option<Ts>,
    /// Hypotheses tested in the last run.
    pub hypotheses: u64,
    /// Discoveries of the last run.
    pub discoveries: u64,
    /// Trials of the ledger: every hypothesis ever looked at.
    pub trials: u64,
    /// The trials by cohort.
    pub cohorts: Vec<Cohort>,
    /// What is nearest to being found, soonest first, at the pace so far: something to wait by, and nothing
    /// to choose a test by.
    pub nearest: Vec<Nearest>,
    /// The last UTC day in the evidence, `YYYY-MM-DD`.
    pub closed_through: Option<String>,
    /// How often closed days were taken again, after late data or another spec: the replay version of the
    /// evidence.
    pub replays: i64,
}

/// The published version.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BlueprintsStatus {
    /// Name of the version in force, `vNNNNNN`.
    pub version: Option<String>,
    /// Blueprints with status `active`.
    pub active: u64,
    /// Blueprints with status `watch`.
    pub watch: u64,
    /// Blueprints that the days since their publication have confirmed.
    pub live_confirmed: u64,
}

impl Status {
    /// Fills in what depends on the moment of reading.
    #[must_use]
    pub fn at(mut self, now: Ts, uptime_s: u64) -> Self {
        self.now = now;
        self.uptime_s = uptime_s;
        for series in &mut self.symbols {
            series.lag_ms = series.watermark.map(|w| now.0 - w.0);
        }
        for stream in &mut self.streams {
            stream.last_message_ms = stream.last_message.map(|m| (now.0 - m.0).max(0));
        }
        self
    }
}

/// RFC 3339 with `Z`.
pub fn time<S: Serializer>(ts: &Ts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(ts)
}

/// RFC 3339 with `Z`, or null.
pub fn optional_time<S: Serializer>(ts: &Option<Ts>, serializer: S) -> Result<S::Ok, S::Error> {
    match ts {
        Some(ts) => serializer.collect_str(ts),
        None => serializer.serialize_none(),
    }
}
