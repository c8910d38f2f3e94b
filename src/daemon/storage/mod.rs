//! The storage thread: the one thread that owns the store and the pipeline, both of which block.
//!
//! The rest of the daemon sends it [`Job`]s over a bounded queue and waits for replies; it never calls back.
//! A failure of the store or the pipeline ends the thread with its reason, and with it the daemon: nothing is
//! written after a failed write.

mod archive;
#[cfg(test)]
mod archive_tests;
#[cfg(test)]
mod bounds_tests;
mod change;
#[cfg(test)]
mod change_tests;
#[cfg(test)]
mod doubt_tests;
mod evidence;
mod facts;
mod finality;
mod job;
mod join;
mod journal;
#[cfg(test)]
mod life_tests;
mod markets;
mod present;
#[cfg(test)]
mod quality_tests;
mod queries;
mod signal;
mod worker;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::feed::Follow;
use super::shared::Shared;
use backtestd_binance::aggregate::journal::JournalError;
use backtestd_core::pipeline::PipelineError;
use backtestd_core::spec::CompiledSpec;
use backtestd_store::StoreError;

pub(super) use archive::{Compared, DueFiles};
pub(super) use change::{Install, Step};
pub(super) use finality::{Due, Question, Standing};
pub(super) use job::{Advanced, Job, LastRun, Opened, PutDone, Reply, RunInput, Unasked};
pub(super) use join::JoinStep;
pub(super) use markets::StorageMarkets;
pub(super) use signal::read_entries;
pub(super) use worker::SNAPSHOTS;

/// Jobs that may wait; senders then wait too.
pub(super) const JOB_QUEUE: usize = 256;

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pipeline failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// Pending updates have no bytes.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record of our own in the store is not readable.
    #[error("the store's record '{key}' cannot be read: {detail}; was it written by another version?")]
    Record {
        /// Key of the record in the store.
        key: String,
        /// Why the record cannot be read.
        detail: String,
    },
    /// A job failed; its asker has the details.
    #[error("{0}")]
    Failed(String),
    /// The thread has ended; its own reason is reported separately.
    #[error("the storage thread has ended")]
    Ended,
}

/// The handle of the storage thread.
#[derive(Clone, Debug)]
pub struct Storage {
    jobs: mpsc::Sender<Job>,
}

/// How the thread ended: in order, or with a reason.
pub(super) type Ended = oneshot::Receiver<Result<(), String>>;

impl Storage {
    /// Opens the store and starts the thread. Returns when the store is open and at a tick boundary.
    ///
    /// # Errors
    /// When the store cannot be opened: another process has it, another version wrote it, the disk fails.
    pub async fn start(
        shared: Arc<Shared>,
        follow: Arc<Follow>,
        spec: Arc<CompiledSpec>,
    ) -> Result<(Self, Opened, Ended), StorageError> {
        let (jobs, receiver) = mpsc::channel(JOB_QUEUE);
        let (opened, is_open) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let body = move || {
            let run = std::panic::AssertUnwindSafe(|| worker::run(shared, follow, spec, receiver, opened));
            let end = match std::panic::catch_unwind(run) {
                Ok(end) => end.map_err(|error| error.to_string()),
                Err(panic) => Err(format!("the storage thread panicked: {}", panic_text(&*panic))),
            };
            let _ = ended.send(end);
        };
        std::thread::Builder::new()
            .name("storage".to_owned())
            .spawn(body)
            .map_err(|source| StoreError::Io { path: "storage thread".into(), source })?;
        match is_open.await {
            Ok(result) => result.map(|opened| (Self { jobs }, opened, has_ended)),
            Err(_) => Err(StorageError::Ended),
        }
    }

    /// Sends a job; waits while the queue is full.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn send(&self, job: Job) -> Result<(), StorageError> {
        self.jobs.send(job).await.map_err(|_| StorageError::Ended)
    }

    /// Sends a job and waits for its reply.
    ///
    /// # Errors
    /// What the job says, or [`StorageError::Ended`].
    pub async fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Job) -> Result<T, StorageError> {
        let (reply, answer) = oneshot::channel();
        self.send(make(reply)).await?;
        answer.await.map_err(|_| StorageError::Ended)?
    }

    /// Hands queries of the API over as they come, until either side ends.
    pub async fn forward_queries(self, mut queries: mpsc::Receiver<super::shared::Query>) {
        while let Some(query) = queries.recv().await {
            if self.jobs.send(Job::Query(query)).await.is_err() {
                return;
            }
        }
    }
}

/// The message of a panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
