//! The comparison with the exchange's public archive, beside everything else: a few files at a time, each
//! after its pause, and handed over while no tick is closing. An archive that cannot be reached is told, and
//! changes nothing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;

use super::MainLoop;
use super::input::{Done, Handled};
use crate::daemon::config::Config;
use crate::daemon::feed::archive::{self, DueFile, Said, Told};
use crate::daemon::shared::Shared;
use crate::daemon::storage::{Compared, DueFiles, Job};
use backtestd_binance::archive::{ArchiveHost, FetchError};
use backtestd_core::market::{HOUR_MS, Ts};
use backtestd_core::spec::ArchiveRules;

/// Folder of the state directory for files under way.
const FOLDER: &str = "archive_audit";
/// How long one looks again where nothing is known to be due.
const LOOK_AGAIN_MS: i64 = HOUR_MS;
/// Waits of the exchange's time that take less real time than this are not worth a wait.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// Nothing: none is due.
    #[default]
    Idle,
    /// The storage thread is asked what is due.
    Looking,
    /// The archive is asked.
    Asking,
    /// Answers wait until the tick has closed.
    Waiting,
    /// The storage thread takes an answer in.
    Settling,
}

/// The comparison under way.
#[derive(Debug, Default)]
pub(super) struct ArchiveAudit {
    /// None: it is switched off.
    source: Option<(ArchiveHost, PathBuf)>,
    step: Step,
    /// It is not looked for files before this.
    not_before: Ts,
    queue: VecDeque<DueFile>,
    answers: VecDeque<Told>,
    rules: Option<ArchiveRules>,
}

impl ArchiveAudit {
    /// As configured. What a process before this one has left on the disk is removed.
    pub(super) fn new(config: &Config, shared: &Shared) -> Self {
        let folder = config.state.join(FOLDER);
        let _ = std::fs::remove_dir_all(&folder);
        let host = config.archive_audit.then(|| ArchiveHost::new(&config.binance.archive));
        let (source, failure) = match host.transpose() {
            Ok(host) => (host.map(|host| (host, folder)), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let state = if source.is_some() { "waiting" } else { "off" };
        shared.update(|s| (s.archive.state, s.archive.failure) = (state, failure));
        Self { source, ..Self::default() }
    }

    fn rest_until(&mut self, at: Ts) {
        (self.step, self.not_before) = (Step::Idle, at);
        self.queue.clear();
        if let Some((_, folder)) = &self.source {
            // Empty by now, or not there.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

impl MainLoop {
    /// Looks for files that are due, unless it is known that there are none.
    pub(super) fn look_at_archive(&mut self) {
        let now = self.shared.clock.now();
        let audit = &mut self.archive;
        if audit.step == Step::Waiting {
            self.hand_over_answers();
            return;
        }
        if audit.source.is_none() || audit.step != Step::Idle || now < audit.not_before {
            return;
        }
        audit.step = Step::Looking;
        self.submit(|reply| Job::ArchiveDue { now, reply }, Done::ArchiveDue);
    }

    pub(super) fn on_archive_due(&mut self, due: DueFiles) -> Handled {
        let DueFiles { files, next, rules } = due;
        let is_off = rules.days == 0;
        self.archive.rules = Some(rules);
        if !files.is_empty() {
            self.archive.queue = files.into();
            self.shared.update(|s| {
                // What went wrong stays in sight until it is asked for again.
                if s.archive.state != "comparing" {
                    s.archive.failure = None;
                }
                (s.archive.state, s.archive.next_at) = ("comparing", None);
            });
            return self.ask_archive();
        }
        // A spec may change meanwhile, and somebody may join.
        let again = Ts(self.shared.clock.now().0 + LOOK_AGAIN_MS);
        self.archive.rest_until(next.map_or(again, |next| next.min(again)));
        self.shared.update(|s| {
            (s.archive.state, s.archive.next_at) = (if is_off { "off" } else { "waiting" }, next);
        });
        Handled::Noted
    }

    /// Asks for the next files of the queue, when their time has come.
    fn ask_archive(&mut self) -> Handled {
        let (Some((host, folder)), Some(rules)) = (self.archive.source.clone(), self.archive.rules.clone())
        else {
            return Handled::Idle;
        };
        if !self.is_live() {
            // History comes first.
            self.archive.rest_until(Ts(0));
            self.shared.update(|s| s.archive.state = "waiting");
            return Handled::Noted;
        }
        let count = (rules.files_at_once as usize).min(self.archive.queue.len());
        if count == 0 {
            self.archive.step = Step::Idle;
            self.look_at_archive();
            return Handled::Started("look for files of the archive");
        }
        let files: Vec<DueFile> = self.archive.queue.drain(..count).collect();
        let pause_ms = 60_000 * count as i64 / i64::from(rules.files_per_minute);
        let clock = self.shared.clock.clone();
        let pause = clock.wall_until(Ts(clock.now().0 + pause_ms));
        self.archive.step = Step::Asking;
        self.tasks.spawn(async move {
            if pause >= LEAST_PAUSE {
                tokio::time::sleep(pause).await;
            }
            let asked = files.into_iter().map(|file| archive::ask(&host, file, &folder));
            Done::ArchiveAsked(join_all(asked).await)
        });
        Handled::Started("ask the archive")
    }

    pub(super) fn on_archive_asked(&mut self, answers: Vec<Result<Told, FetchError>>) -> Handled {
        let mut failure = None;
        for answer in answers {
            match answer {
                Ok(told) => {
                    self.count_answer(&told);
                    self.archive.answers.push_back(told);
                }
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = failure {
            let wait_s = self.archive.rules.as_ref().and_then(|rules| rules.again_after_s.first()).copied();
            let again = Ts(self.shared.clock.now().0 + i64::from(wait_s.unwrap_or(0)) * 1000);
            tracing::warn!(%error, %again, "the archive does not answer; asking again later");
            self.archive.queue.clear();
            self.archive.not_before = again;
            self.shared.update(|s| {
                (s.archive.state, s.archive.next_at) = ("unreachable", Some(again));
                s.archive.failure = Some(error.to_string());
                s.archive.failures += 1;
            });
        }
        self.archive.step = Step::Waiting;
        self.hand_over_answers()
    }

    /// Hands the next answer to the storage thread, unless a tick is closing: that goes first.
    fn hand_over_answers(&mut self) -> Handled {
        if self.closing.is_some() {
            return Handled::Noted;
        }
        let Some(told) = self.archive.answers.pop_front() else {
            if self.archive.queue.is_empty() && self.shared.clock.now() < self.archive.not_before {
                let again = self.archive.not_before;
                self.archive.rest_until(again);
                return Handled::Noted;
            }
            return self.ask_archive();
        };
        self.archive.step = Step::Settling;
        let now = self.shared.clock.now();
        let told = Box::new(told);
        self.submit(|reply| Job::ArchiveTold { told, now, reply }, Done::ArchiveTold);
        Handled::Started("take in a file of the archive")
    }

    fn count_answer(&self, told: &Told) {
        let path = &told.due.file.path;
        if let Said::Unreadable(why) = &told.said {
            tracing::warn!(path, why, "a file of the archive cannot be compared; asking again later");
            self.shared.update(|s| {
                s.archive.unreadable += 1;
                s.archive.failure = Some(format!("{path}: {why}"));
            });
        }
        self.shared.update(|s| s.archive.absent += u64::from(told.said == Said::Nothing));
    }

    pub(super) fn on_archive_told(&mut self, done: &Compared) -> Handled {
        self.note_put(&done.put);
        if let Some(last) = &done.last {
            if last.corrected + last.filled > 0 {
                let (path, corrected, filled) = (&last.path, last.corrected, last.filled);
                tracing::info!(path, corrected, filled, "a file of the archive had other records");
            }
            self.shared.update(|s| {
                s.archive.files += 1;
                s.archive.corrected += last.corrected;
                s.archive.filled += last.filled;
                s.archive.last = Some(last.clone());
            });
        }
        self.archive.step = Step::Waiting;
        self.hand_over_answers();
        self.try_close()
    }
}
