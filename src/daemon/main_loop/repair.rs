//! Rounds of questions to the exchange: the newest records after each tick, and whatever is still open,
//! newest first.
//!
//! One round a kind at a time. A round asks the storage thread what is due, puts the questions a few at once,
//! and hands the answers back; what fails stays open and is asked for in a later round, at the latest some
//! seconds later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::MainLoop;
use super::input::{Done, Handled};
use crate::daemon::feed::{self, Answers};
use crate::daemon::status::GapStatus;
use crate::daemon::storage::{Due, Job, PutDone, Question, Standing};
use backtestd_core::market::{BAR_MS, BarIndex, Kind, SeriesKey, Ts};

/// Questions whose answers are stored together.
const QUESTIONS_AT_ONCE: usize = 64;
/// Least real time for a round's questions, however fast the clock runs.
const REAL_DEADLINE: Duration = Duration::from_secs(10);
/// Bars of a series that may wait for their confirmation while all is well.
const USUALLY_UNCONFIRMED: u64 = 3;
/// Causes of degradation.
const MISSING: &str = "gaps";
const UNCONFIRMED: &str = "unconfirmed";

/// The rounds under way, and what the last ones found.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    running: BTreeSet<Kind>,
    /// Kinds that were wanted while a round of theirs was under way.
    wanted: BTreeSet<Kind>,
    /// Kinds whose last round failed, with a reason.
    failing: BTreeMap<Kind, String>,
    /// Who is asked about first moves on, so that nobody is always the last.
    rotation: usize,
    standings: BTreeMap<SeriesKey, Standing>,
}

/// The part of a round that has been asked.
#[derive(Debug)]
pub(super) struct Part {
    pub kind: Kind,
    pub answers: Answers,
    /// Questions of the round that are left.
    pub rest: Vec<Question>,
    pub has_more: bool,
}

impl Rounds {
    /// Forgets how it stood with series that are followed no longer.
    pub(super) fn keep_only(&mut self, followed: &BTreeSet<&SeriesKey>) {
        self.standings.retain(|series, _| followed.contains(series));
    }
}

impl MainLoop {
    /// The kinds that the exchange can be asked about, as far as they are followed.
    fn asked_kinds(&self) -> BTreeSet<Kind> {
        self.follow.history.iter().map(|series| series.kind).collect()
    }

    /// After a tick: everything that it made due.
    pub(super) fn start_rounds(&mut self) {
        self.rounds.rotation = self.rounds.rotation.wrapping_add(1);
        for kind in self.asked_kinds() {
            self.start_round(kind, self.book.next());
        }
    }

    /// Between ticks: what failed is asked for again.
    pub(super) fn retry_rounds(&mut self) {
        if self.is_live() {
            for kind in self.rounds.failing.keys().copied().collect::<Vec<_>>() {
                self.start_round(kind, self.book.next());
            }
        }
    }

    /// Begins a round about a kind, before `end`. If one is under way, another one follows it.
    pub(super) fn start_round(&mut self, kind: Kind, end: BarIndex) {
        if !self.rounds.running.insert(kind) {
            self.rounds.wanted.insert(kind);
            return;
        }
        let now = self.shared.clock.now();
        self.submit(|reply| Job::Due { kind, end, now, reply }, move |result| Done::Due { kind, result });
    }

    pub(super) fn on_due(&mut self, kind: Kind, mut due: Due) -> Handled {
        self.rounds.standings.extend(due.standings);
        self.show_standings();
        if due.newest > 1 {
            due.questions[..due.newest].rotate_left(self.rounds.rotation % due.newest);
        }
        if due.questions.is_empty() {
            return self.end_round(kind, false);
        }
        self.ask_part(kind, due.questions, due.has_more)
    }

    /// A round has no questions left. Another one follows if there is more to ask, or if somebody wanted one
    /// meanwhile; where the exchange does not answer, the next tick or a moment later will do.
    fn end_round(&mut self, kind: Kind, has_more: bool) -> Handled {
        self.rounds.running.remove(&kind);
        let is_wanted = self.rounds.wanted.remove(&kind);
        if kind == Kind::Mark
            && let Some(closing) = &mut self.closing
        {
            closing.marks_pending = false;
        }
        if self.is_live() && (has_more || is_wanted) && !self.rounds.failing.contains_key(&kind) {
            self.start_round(kind, self.book.next());
        }
        self.try_close()
    }

    fn ask_part(&mut self, kind: Kind, mut questions: Vec<Question>, has_more: bool) -> Handled {
        // Every answer about marks may change committed rows: they are stored in one go.
        let size = if kind == Kind::Mark { questions.len() } else { QUESTIONS_AT_ONCE };
        let rest = questions.split_off(size.min(questions.len()));
        let (rest_client, clock) = (self.rest.clone(), self.shared.clock.clone());
        let next_tick = clock.wall_until(Ts(clock.now().0 + BAR_MS));
        let deadline = next_tick.max(REAL_DEADLINE);
        self.tasks.spawn(async move {
            let answers = feed::ask(&rest_client, clock.as_ref(), questions, deadline).await;
            Done::Answered(Part { kind, answers, rest, has_more })
        });
        Handled::Started("questions")
    }

    pub(super) fn on_answered(&mut self, part: Part) -> Handled {
        let Part { kind, answers, rest, has_more } = part;
        let is_down = answers.answers.is_empty() && answers.failure.is_some();
        match answers.failure {
            Some(reason) => drop(self.rounds.failing.insert(kind, reason)),
            None => drop(self.rounds.failing.remove(&kind)),
        }
        let rest = if is_down { Vec::new() } else { rest };
        let now = self.shared.clock.now();
        let answers = answers.answers;
        self.submit(
            |reply| Job::Settle { answers, now, reply },
            move |result| Done::Settled { kind, rest, has_more: has_more && !is_down, result },
        );
        Handled::Started("settle")
    }

    pub(super) fn on_settled(
        &mut self,
        kind: Kind,
        rest: Vec<Question>,
        has_more: bool,
        done: &PutDone,
    ) -> Handled {
        if kind == Kind::Bars {
            self.count_reconciled(done);
        }
        self.note_put(done);
        if !rest.is_empty() {
            self.ask_part(kind, rest, has_more);
            return self.try_close();
        }
        if !has_more && !done.is_empty() {
            // Another look at what is left, so that the status says how it is now.
            self.look(kind);
        }
        self.end_round(kind, has_more)
    }

    /// Asks what is open without asking the exchange.
    fn look(&mut self, kind: Kind) {
        let (now, end) = (self.shared.clock.now(), self.book.next());
        self.submit(|reply| Job::Due { kind, end, now, reply }, Done::Looked);
    }

    pub(super) fn on_looked(&mut self, due: Due) -> Handled {
        self.rounds.standings.extend(due.standings);
        self.show_standings();
        Handled::Noted
    }

    /// Writes what is open into the status.
    fn show_standings(&mut self) {
        let mut by_kind: BTreeMap<Kind, GapStatus> = BTreeMap::new();
        let (mut late, mut missing_bars) = (0, 0);
        for (series, standing) in &self.rounds.standings {
            let row = by_kind.entry(series.kind).or_insert_with(|| GapStatus::new(series.kind));
            row.missing += standing.missing;
            row.unconfirmed += standing.unconfirmed;
            row.holes += standing.holes;
            if series.kind == Kind::Bars && !self.book.is_absent(&(series.market, series.symbol.clone())) {
                missing_bars += standing.missing;
                late += standing.unconfirmed.saturating_sub(USUALLY_UNCONFIRMED);
            }
        }
        let standings = &self.rounds.standings;
        self.shared.update(|s| {
            for row in &mut s.symbols {
                let series = SeriesKey { kind: Kind::Bars, market: row.market, symbol: row.symbol.clone() };
                let standing = standings.get(&series).copied().unwrap_or_default();
                (row.gaps_open, row.unconfirmed, row.holes) =
                    (standing.missing, standing.unconfirmed, standing.holes);
            }
            s.unconfirmed_bars = by_kind.get(&Kind::Bars).map_or(0, |row| row.unconfirmed);
            s.gaps = by_kind.into_values().collect();
        });
        let text = format!("{missing_bars} bars are missing and being asked for");
        self.trouble(MISSING, (missing_bars > 0).then_some(text));
        let text = format!("{late} bars wait for their confirmation by REST");
        self.trouble(UNCONFIRMED, (late > 0).then_some(text));
    }

    fn count_reconciled(&self, done: &PutDone) {
        let report = &done.report;
        let matched = report.unchanged;
        let all = matched + report.inserted + report.filled + report.conflicts;
        self.shared.update(|s| {
            s.live.bars_reconciled += all;
            s.live.bars_matched += matched;
        });
    }
}
