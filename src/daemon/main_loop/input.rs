//! Everything that can happen to the main loop.

use std::time::Instant;

use super::{Exit, Spec};
use crate::daemon::feed::archive::Told;
use crate::daemon::feed::{Answers, Backfill, Listing};
use crate::daemon::shared::{Control, Refusal, Reloaded};
use crate::daemon::status::WaitingSpec;
use crate::daemon::storage::{
    Advanced, Compared, Due, DueFiles, Install, JoinStep, PutDone, Question, RunInput, Step, StorageError,
};
use crate::daemon::universe::Offers;
use backtestd_binance::archive::FetchError;
use backtestd_binance::{MarkUpdate, RestError, Stamped};
use backtestd_core::market::{BarIndex, Kind};
use tokio::sync::oneshot;

use super::repair::Part;
use super::runs::FinishedRun;
use super::time::TimeAnswer;

/// A signal of the operating system, or its equivalent in tests and in the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM or SIGINT: stop in order.
    Stop,
    /// SIGHUP: read the specs again.
    Reload,
}

/// An event. The enum is closed: nothing else reaches the loop.
#[derive(Debug)]
pub(super) enum Input {
    /// A command of the API.
    Control(Control),
    /// An update of the websocket client.
    Update(Stamped),
    /// Something changed below the spec directory.
    SpecTreeChanged,
    /// A signal of the operating system.
    Signal(Signal),
    /// A tick's close or the end of its grace.
    TickTimer,
    /// Time to write down what the open bar is made of.
    JournalDue,
    /// Time to tell the service manager that the loop turns.
    Alive,
    /// A task came back.
    Done(Done),
    /// A task panicked.
    TaskFailed(String),
    /// The storage thread ended.
    StorageEnded(String),
}

/// Who waits for a reload.
pub(super) type ReloadReplies = Vec<oneshot::Sender<Result<Reloaded, Refusal>>>;

/// What a task brings back.
#[derive(Debug)]
pub(super) enum Done {
    Backfilled(Result<Backfill, StorageError>),
    Advanced(Result<Advanced, StorageError>),
    WentLive(Result<BarIndex, StorageError>),
    Put(Result<PutDone, StorageError>),
    Due { kind: Kind, result: Result<Due, StorageError> },
    Looked(Result<Due, StorageError>),
    Answered(Part),
    Settled { kind: Kind, rest: Vec<Question>, has_more: bool, result: Result<PutDone, StorageError> },
    ArchiveDue(Result<DueFiles, StorageError>),
    ArchiveAsked(Vec<Result<Told, FetchError>>),
    ArchiveTold(Result<Compared, StorageError>),
    Journalled(Result<(), StorageError>),
    MarksDue(BarIndex),
    Marks { bar: BarIndex, answer: Result<Vec<MarkUpdate>, RestError> },
    AskedForMissing { bar: BarIndex, answers: Answers },
    Time(Result<Option<TimeAnswer>, RestError>),
    WentBack(Result<BarIndex, StorageError>),
    Listed(Result<Listing, RestError>),
    Offered(Result<Offers, RestError>),
    Followed(Result<JoinStep, StorageError>),
    SpecRead { result: Result<Spec, String>, replies: ReloadReplies },
    SpecRehearsed(Result<WaitingSpec, String>),
    SpecInstalled { result: Result<Install, StorageError>, spec: Spec, replies: ReloadReplies },
    ChangeStepped(Result<Step, StorageError>),
    RunLooked { result: Result<Result<Box<RunInput>, String>, StorageError>, started: Instant },
    RunFinished(FinishedRun),
}

/// What handling an event came to: the audit value of the loop.
#[derive(Debug)]
pub(super) enum Handled {
    /// Nothing to do.
    Idle,
    /// State or status changed.
    Noted,
    /// A task was started.
    Started(&'static str),
    /// A command was refused.
    Refused,
    /// The loop ends.
    Exit(Exit),
}
