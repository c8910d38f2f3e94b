//! What the storage thread can be asked to do.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::StorageError;
use super::archive::{Compared, DueFiles};
use super::change::{Install, Step};
use super::evidence::Looked;
use super::finality::Due;
use super::join::JoinStep;
use crate::daemon::feed::archive::Told;
use crate::daemon::feed::{Answer, Follow, Stretch};
use crate::daemon::live::Journalled;
use crate::daemon::shared::{Query, RunReport};
use crate::daemon::stream_log::EntryKind;
use crate::report::SymbolFacts;
use backtestd_binance::aggregate::journal::Batch;
use backtestd_core::blueprints::Blueprint;
use backtestd_core::market::{BarIndex, Symbol, Ts};
use backtestd_core::market::{Kind, RawPut, SeriesKey};
use backtestd_core::outcomes::Outcome;
use backtestd_core::pipeline::QualityReport;
use backtestd_core::spec::CompiledSpec;
use backtestd_core::tradability;
use backtestd_store::{MergeReport, Origin};
use serde::{Deserialize, Serialize};

/// Where a reply goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StorageError>>;

/// A part of a series that nobody has answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unasked {
    /// Bars or instants that the exchange has to be asked about.
    pub stretch: Stretch,
    /// From here on it is asked for: what lies before it is asked for once more, because the newest records
    /// of an answer are not always final.
    pub ask_from: i64,
}

/// A job for the storage thread.
#[derive(Debug)]
pub enum Job {
    /// A question of the API.
    Query(Query),
    /// The next part of a series, before `end` (bar number or ms, by kind), that nobody has answered for, or
    /// a hole that was due to be asked about again at `now`.
    Missing {
        /// The series that may have holes.
        series: SeriesKey,
        /// End of what is wanted, exclusive.
        end: i64,
        /// Longest stretch to return, in bars or ms by kind.
        at_most: i64,
        /// The exchange's time.
        now: Ts,
        /// None: nothing is missing.
        reply: Reply<Option<Unasked>>,
    },
    /// What to ask the exchange next, of the series that are followed live.
    Due {
        /// Of which kind.
        kind: Kind,
        /// First bar that has not closed.
        end: BarIndex,
        /// The exchange's time.
        now: Ts,
        /// The questions, and what is open.
        reply: Reply<Due>,
    },
    /// Merge what the exchange answered, and take it into the ledgers.
    Settle {
        /// The answers, in any order.
        answers: Vec<Answer>,
        /// The exchange's time.
        now: Ts,
        /// What it changed.
        reply: Reply<PutDone>,
    },
    /// Which files of the archive to ask for.
    ArchiveDue {
        /// The exchange's time.
        now: Ts,
        /// The files, or when there is one.
        reply: Reply<DueFiles>,
    },
    /// Take in what the archive said of a file.
    ArchiveTold {
        /// What the archive said of which file.
        told: Box<Told>,
        /// The exchange's time.
        now: Ts,
        /// What it changed.
        reply: Reply<Compared>,
    },
    /// Take back what lies behind the present.
    Present {
        /// The exchange's time.
        now: Ts,
        /// First row that is not committed then.
        reply: Reply<BarIndex>,
    },
    /// Merge raw records of streams.
    Put {
        /// Raw records to be merged into the log.
        puts: Vec<RawPut>,
        /// Kind of source.
        origin: Origin,
        /// Endpoint, for conflict messages.
        label: &'static str,
        /// What it changed.
        reply: Reply<PutDone>,
    },
    /// Add to the journal of what unfinished bars are made of.
    Journal {
        /// What came since the batch before.
        batch: Batch,
        /// The batch holds everything that bars after this one are made of: what lies before it goes with the
        /// commit of this bar.
        anew_after: Option<BarIndex>,
        /// Hears when it is kept.
        reply: Reply<()>,
    },
    /// Push rows before `end` through the pipeline and commit them: one chunk, or first a rewind if a put
    /// changed committed history. Ask again until [`Advanced::next`] reaches `end`.
    Advance {
        /// First row not wanted.
        end: BarIndex,
        /// The clock, as the arrival of what is detected now.
        now: Ts,
        /// Where the progress is reported.
        reply: Reply<Advanced>,
    },
    /// Signals begin at this bar, unless they already began earlier.
    GoLive {
        /// The first live tick.
        first: BarIndex,
        /// The bar in force.
        reply: Reply<BarIndex>,
    },
    /// Put another spec in force, or begin to.
    InstallSpec {
        /// The spec that is to be in force.
        spec: Arc<CompiledSpec>,
        /// What is left to do.
        reply: Reply<Install>,
    },
    /// The next step of a spec change under way. Ask again until it is in force.
    ChangeStep {
        /// What it came to.
        reply: Reply<Step>,
    },
    /// Follow something else from now on, or begin to: what it means for the pipeline is computed beside the
    /// ticks.
    Follow {
        /// What is to be followed.
        follow: Box<Follow>,
        /// Those of its symbols that have just joined, or come back.
        new: Vec<Symbol>,
        /// What is left to do.
        reply: Reply<JoinStep>,
    },
    /// The next step of a join under way. Ask again until they are followed.
    JoinStep {
        /// Those that join.
        new: Vec<Symbol>,
        /// What it came to.
        reply: Reply<JoinStep>,
    },
    /// What a discovery run looks at: the evidence through the last closed day. Refused, in words, when the
    /// catalogue may not be looked at.
    RunInput {
        /// Where the input goes, or why there is none.
        reply: Reply<Result<RunInput, String>>,
    },
    /// Booked outcomes for the bridge.
    Outcomes {
        /// First bar on which they may have matured.
        first: BarIndex,
        /// Bar at which the range ends, exclusive.
        end: BarIndex,
        /// Where the outcomes go.
        reply: Reply<Vec<Outcome>>,
    },
    /// Bars and settlements of a symbol for the bridge; none: it has no perp bars.
    Market {
        /// Whose bars they are.
        symbol: Symbol,
        /// The first bar that is wanted.
        first: BarIndex,
        /// The first bar that is not.
        end: BarIndex,
        /// Where the answer goes.
        reply: Reply<Option<tradability::Market>>,
    },
    /// Keep the record of a finished run and announce a new version on the stream.
    FinishRun {
        /// Id of the finished run.
        run_id: String,
        /// The record, JSON.
        record: serde_json::Value,
        /// What it looked at and came to.
        last: LastRun,
        /// A stream entry to append.
        announce: Option<(EntryKind, serde_json::Value)>,
        /// The blueprints that signals are matched against from now on.
        blueprints: Option<Vec<Blueprint>>,
        /// Runs whose reports are no longer among the newest.
        reply: Reply<Vec<String>>,
    },
    /// Sync and end the thread.
    Close {
        /// Where the end of the last sync is reported.
        reply: Reply<()>,
    },
}

/// The store as it was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// First row that is not committed.
    pub next: BarIndex,
    /// What the process before left of bars that it did not finish.
    pub journalled: Journalled,
}

/// What a put changed.
#[derive(Clone, Debug)]
pub struct PutDone {
    /// Counts and conflicts.
    pub report: MergeReport,
    /// The first committed tick that has to be computed again, if any.
    pub dirty_from: Option<BarIndex>,
}

impl PutDone {
    /// Whether nothing was put.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.report.is_noop() && self.report.unchanged == 0
    }
}

/// Progress of the pipeline.
#[derive(Clone, Debug)]
pub struct Advanced {
    /// The first row that is not committed.
    pub next: BarIndex,
    /// Rows pushed by this job.
    pub rows: u64,
    /// Events detected by this job.
    pub events: u64,
    /// Where it rewound to before, if it did.
    pub rewound_to: Option<BarIndex>,
}

/// The last run, for a request that would look at the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastRun {
    /// What the run looked at: see [`Looked::fingerprint`].
    pub fingerprint: String,
    /// What came of it.
    pub report: RunReport,
}

/// What a discovery run looks at.
#[derive(Clone, Debug)]
pub struct RunInput {
    /// Spec in force.
    pub spec: Arc<CompiledSpec>,
    /// Symbols, in name order.
    pub symbols: Vec<Symbol>,
    /// First row of the history.
    pub first: BarIndex,
    /// The evidence and catalogue that the run looks at.
    pub looked: Looked,
    /// Detector health over the days that it looks at.
    pub quality: QualityReport,
    /// Bars in the store, for the report.
    pub bars: Vec<SymbolFacts>,
    /// The last run, if it looked at the very same and its version is in force.
    pub unchanged: Option<RunReport>,
}
