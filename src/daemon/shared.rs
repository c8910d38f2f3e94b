//! What the API and the main loop share: the status, the stream of signals, two bounded command queues.
//!
//! No trait hides behind it. Tests run the API against a `Shared` whose queues they answer themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::config::Config;
use super::feed::SeriesGaps;
use super::metrics::Metrics;
use super::status::{RestStatus, Status};
use super::stream_log::{StreamEntry, StreamLog};
use crate::verify::ConflictQuery;
use backtestd_binance::Rest;
use backtestd_core::clock::Clock;
use backtestd_core::discovery::{Opening, Trial};
use backtestd_core::explain::{History, Stretch};
use backtestd_core::market::{Kind, RawBlock, Symbol, Ts};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::{Frozen, Quarantined};

/// Commands to the main loop that may wait at once; one more gets 503.
pub const CONTROL_QUEUE: usize = 32;
/// Queries to the storage thread that may wait at once; one more gets 503.
pub const QUERY_QUEUE: usize = 64;
/// How long a query may wait for the storage thread (which may be replaying history).
pub const QUERY_DEADLINE: Duration = Duration::from_secs(10);

/// Explanations that may be computed at once: each replays history on a thread of its own.
pub const EXPLANATIONS: usize = 2;

/// A command to the main loop.
#[derive(Debug)]
pub enum Control {
    /// Run discovery, or join the run that would see the same data.
    Recompute {
        /// Why, for the run's record.
        reason: String,
        /// Gets the ticket when the run is accepted.
        reply: oneshot::Sender<Result<Ticket, Refusal>>,
    },
    /// Read the spec tree again.
    Reload {
        /// Gets the outcome when the spec is in force or refused.
        reply: oneshot::Sender<Result<Reloaded, Refusal>>,
    },
}

/// An accepted run.
#[derive(Debug)]
pub struct Ticket {
    /// Id of the run that was accepted.
    pub run_id: String,
    /// Gets the outcome at the end.
    pub done: oneshot::Receiver<Result<RunReport, String>>,
}

/// The end of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunReport {
    /// Id of the run that ended.
    pub run_id: String,
    /// The version in force after it; none before the first publication.
    pub version: Option<String>,
    /// Whether it published a new version.
    pub changed: bool,
    /// Number of hypotheses tested.
    pub hypotheses: u64,
    /// Number of discoveries of the publishing procedure.
    pub discoveries: u64,
    /// Number of trials in the ledger: every hypothesis ever looked at.
    pub trials: u64,
    /// Wall time, ms.
    pub duration_ms: u64,
    /// The HTML report, where one was written.
    #[serde(default)]
    pub report: Option<PathBuf>,
}

/// The outcome of a reload.
#[derive(Clone, Debug, Serialize)]
pub struct Reloaded {
    /// The hash in force.
    pub hash: String,
    /// Whether it differs from the one before.
    pub changed: bool,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// Not in this phase; ask again later.
    #[error("{0}")]
    NotNow(String),
    /// The thing asked for is not valid (a broken spec).
    #[error("{0}")]
    Invalid(String),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// A question to the storage thread.
#[derive(Debug)]
pub enum Query {
    /// Events of the registry.
    Events(EventQuery, oneshot::Sender<Result<Vec<serde_json::Value>, String>>),
    /// Entries of the stream log from a sequence number on.
    Stream {
        /// Sequence number of the first entry wanted.
        from: u64,
        /// How many at most.
        limit: usize,
        /// The entries, in order.
        reply: oneshot::Sender<Result<Vec<StreamEntry>, String>>,
    },
    /// Records of finished runs, newest first.
    Runs {
        /// How many at most.
        limit: usize,
        /// Where the records go, as JSON.
        reply: oneshot::Sender<Result<Vec<serde_json::Value>, String>>,
    },
    /// The ledgers of the raw series.
    Gaps(GapQuery, oneshot::Sender<Result<Vec<SeriesGaps>, String>>),
    /// What the facts are a function of: specs in force, symbols, columns, first and last row.
    History {
        /// Where the answer goes.
        reply: oneshot::Sender<Result<History, String>>,
    },
    /// The ledger of conflicts, as JSON.
    Conflicts(ConflictQuery, oneshot::Sender<Result<serde_json::Value, String>>),
    /// The store as it is now, to be copied beside it.
    Freeze(oneshot::Sender<Result<Frozen, String>>),
    /// Trials that a process with a copy of the store is about to look at: they enter the ledger, or are
    /// refused in words.
    AddTrials(Vec<Trial>, oneshot::Sender<Result<Result<(), String>, String>>),
    /// What is in quarantine, and what was released from it.
    Quarantine {
        /// Where the records go.
        reply: oneshot::Sender<Result<Vec<Quarantined>, String>>,
    },
    /// Takes records for true that are in quarantine.
    Release {
        /// The ids of the records.
        ids: Vec<String>,
        /// Why they are taken for true.
        reason: String,
        /// Where the records go, or the id that is not in quarantine.
        reply: oneshot::Sender<Result<Result<Vec<Quarantined>, String>, String>>,
    },
    /// The trials that these specs would open.
    Opening(Arc<CompiledSpec>, oneshot::Sender<Result<Opening, String>>),
    /// A stretch of the raw log.
    Raw {
        /// Symbols and rows that are wanted.
        stretch: Stretch,
        /// Where the records go.
        reply: oneshot::Sender<Result<RawBlock, String>>,
    },
}

/// Whose ledgers are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GapQuery {
    /// Only of this symbol.
    pub symbol: Option<Symbol>,
    /// Only of this kind.
    pub kind: Option<Kind>,
}

/// Which events of the registry are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Detected strictly after this instant; none = the newest `limit`.
    pub since: Option<Ts>,
    /// Only this symbol.
    pub symbol: Option<Symbol>,
    /// Only this type.
    pub event_type: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// The shared state.
#[derive(Debug)]
pub struct Shared {
    /// The clock of the daemon: the system's or the exchange's.
    pub clock: Arc<dyn Clock>,
    /// The configuration in force since the start.
    pub config: Arc<Config>,
    /// Signals and version notices.
    pub stream: StreamLog,
    /// Counters for `GET /metrics`.
    pub metrics: Metrics,
    /// Explanations that may be computed at once; one more gets 503.
    pub explaining: Semaphore,
    /// The client of the exchange, once there is one.
    pub rest: OnceLock<Rest>,
    /// Copies of the store that may be made at once; one more gets 503.
    pub copying: Semaphore,
    status: RwLock<Status>,
    /// The exchange's price band of each perpetual, by the mark price.
    price_bands: RwLock<BTreeMap<Symbol, (f64, f64)>>,
    started: Instant,
    control: mpsc::Sender<Control>,
    queries: mpsc::Sender<Query>,
    stopping: watch::Sender<bool>,
}

/// Why an answer could not be had.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The queue is full or the other side does not answer in time.
    #[error("the daemon is busy: {0}; ask again shortly")]
    Busy(&'static str),
    /// The other side is gone.
    #[error("the daemon is stopping")]
    Stopping,
    /// The other side failed.
    #[error("{0}")]
    Failed(String),
}

impl Shared {
    /// A fresh state and the receiving ends of its queues.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        config: Arc<Config>,
    ) -> (Arc<Self>, mpsc::Receiver<Control>, mpsc::Receiver<Query>) {
        let (control, control_rx) = mpsc::channel(CONTROL_QUEUE);
        let (queries, queries_rx) = mpsc::channel(QUERY_QUEUE);
        let status =
            Status { version: crate::CODE_VERSION.to_owned(), pid: std::process::id(), ..Status::default() };
        let shared = Self {
            clock,
            config,
            stream: StreamLog::default(),
            metrics: Metrics::default(),
            explaining: Semaphore::new(EXPLANATIONS),
            rest: OnceLock::new(),
            copying: Semaphore::new(1),
            status: RwLock::new(status),
            price_bands: RwLock::default(),
            started: Instant::now(),
            control,
            queries,
            stopping: watch::Sender::new(false),
        };
        (Arc::new(shared), control_rx, queries_rx)
    }

    /// The status as of now.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = self.status.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(rest) = self.rest.get() {
            status.rest = RestStatus::of(rest.health(), self.clock.now(), self.config.clock.speed);
        }
        status.at(self.clock.now(), self.started.elapsed().as_secs())
    }

    /// Reads of the status what needs no moment of reading.
    pub fn peek<T>(&self, read: impl FnOnce(&Status) -> T) -> T {
        read(&self.status.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the status.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells open streams to end.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Becomes true when the daemon stops.
    #[must_use]
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Sends a command to the main loop and waits for its answer.
    ///
    /// # Errors
    /// When the queue is full or the main loop is gone.
    pub async fn command<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Control,
    ) -> Result<Result<T, Refusal>, AskError> {
        let (reply, answer) = oneshot::channel();
        self.control.try_send(make(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::Busy("too many commands are waiting"),
            mpsc::error::TrySendError::Closed(_) => AskError::Stopping,
        })?;
        answer.await.map_err(|_| AskError::Stopping)
    }

    /// Takes over the exchange's price bands.
    pub fn set_price_bands(&self, bands: BTreeMap<Symbol, (f64, f64)>) {
        *self.price_bands.write().unwrap_or_else(PoisonError::into_inner) = bands;
    }

    /// The exchange's price band of each perpetual that is known to have one.
    pub fn price_bands(&self) -> BTreeMap<Symbol, (f64, f64)> {
        self.price_bands.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the storage thread and waits for its answer, [`QUERY_DEADLINE`] at most.
    ///
    /// # Errors
    /// When the queue is full, the answer takes too long, or reading failed.
    pub async fn query<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Query,
    ) -> Result<T, AskError> {
        let (reply, answer) = oneshot::channel();
        self.queries.try_send(make(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::Busy("too many queries are waiting"),
            mpsc::error::TrySendError::Closed(_) => AskError::Stopping,
        })?;
        match tokio::time::timeout(QUERY_DEADLINE, answer).await {
            Ok(Ok(answer)) => answer.map_err(AskError::Failed),
            Ok(Err(_)) => Err(AskError::Stopping),
            Err(_) => Err(AskError::Busy("the storage thread is replaying history")),
        }
    }
}
