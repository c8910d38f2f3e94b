//! What is final: which questions are open, and what the answers settle.
//!
//! Every question comes from the ledgers in the store, so nothing that could not be asked is forgotten: an
//! outage, a kill or a wrong answer leaves the stretch open, and it is asked for again, newest first.

use std::collections::BTreeSet;

use super::StorageError;
use super::job::{PutDone, Unasked};
use super::worker::Worker;
use crate::daemon::feed::covered::{self, Answer, News};
use crate::daemon::feed::ledger::{Ledger, Stretch, can_settle, mark};
use backtestd_binance::Rest;
use backtestd_core::market::{BAR_MS, BARS_PER_DAY, BarIndex, DAY_MS, Kind, RawPut, Records, SeriesKey, Ts};
use backtestd_core::spec::{AuditRules, LiveRules};
use backtestd_store::{Delivery, Lot, MergeReport, Origin};

/// Questions of a round that are not about the present.
const OLD_QUESTIONS: usize = 32;
/// Slots of an open stretch that are looked at one by one, to count which have a record.
const COUNTED_SLOTS: i64 = 4096;
/// Name of an audit in ledger and log.
const AUDIT: &str = "rest audit";
/// Name of every other question.
const ASKED: &str = "rest";

/// No day of the present audit is answered.
static NO_DAYS: BTreeSet<i64> = BTreeSet::new();

/// A question to the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// About which series.
    pub series: SeriesKey,
    /// What is asked for.
    pub ask: Stretch,
    /// What is settled when it is answered.
    pub settles: Stretch,
    /// Why it is asked: a word for the ledger.
    pub how: &'static str,
}

/// How much of a series is not final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Records that only a stream has told.
    pub unconfirmed: u64,
    /// Slots or labels that nobody has told, and that are being asked for.
    pub missing: u64,
    /// Slots or labels that the exchange does not have, as far as it says.
    pub holes: u64,
}

/// What to ask next, and what is open.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// First those about the present, then older ones, the newest first.
    pub questions: Vec<Question>,
    /// How many are about the present.
    pub newest: usize,
    /// There are more than these.
    pub has_more: bool,
    /// Every followed series of the kind.
    pub standings: Vec<(SeriesKey, Standing)>,
}

impl Worker {
    /// The next part of a series that nobody has answered for.
    pub(super) fn missing(
        &mut self,
        series: &SeriesKey,
        end: i64,
        at_most: i64,
        now: Ts,
    ) -> Result<Option<Unasked>, StorageError> {
        let (first, lead_in) = self.reach_of(series);
        let wanted = covered::wanted(series.kind, first, lead_in, end);
        let ledger = self.ledgers.of(&self.store, series)?;
        covered::take_in_imported(&self.store, ledger, series, first, end)?;
        let rules = &self.facts.spec.sources.live;
        let next = covered::next_unasked(&self.store, ledger, series, wanted, at_most, now)?;
        let unasked = |mut stretch: Stretch| {
            let ask_from = asked_again(rules, series.kind, stretch, wanted);
            if stretch.to - stretch.from == at_most {
                // Not more than a page.
                stretch.to -= (stretch.from - ask_from).min(at_most - 1);
            }
            Unasked { stretch, ask_from }
        };
        Ok(next.map(unasked))
    }

    /// The first row of a series, and how many rows before it are wanted too: none of a symbol that has
    /// joined later.
    pub(super) fn reach_of(&self, series: &SeriesKey) -> (BarIndex, usize) {
        let first = self.follow.first_of(&series.symbol, self.facts.first);
        (first, if first > self.facts.first { 0 } else { self.facts.pipeline.lead_in_rows() })
    }

    /// The questions about the followed series of a kind.
    pub(super) fn due(&mut self, kind: Kind, end: BarIndex, now: Ts) -> Result<Due, StorageError> {
        let mut due = Due::default();
        let mut old = Vec::new();
        let (follow, spec) = (self.follow.clone(), self.facts.spec.clone());
        let rules = &spec.sources.live;
        for series in follow.history.iter().filter(|series| series.kind == kind) {
            let end = if kind.is_bar_like() { end.0 } else { now.0 - ms(rules.told_within_s) + 1 };
            let (first, lead_in) = self.reach_of(series);
            let wanted = covered::wanted(kind, first, lead_in, end);
            let ledger = self.ledgers.of(&self.store, series)?;
            let audited = self.audited.get(series).unwrap_or(&NO_DAYS);
            let asks = Asks { series, wanted, now, audited, rules };
            due.questions.extend(asks.newest(ledger));
            old.extend(asks.older(ledger));
            old.extend(asks.hole(ledger));
            old.extend(asks.audits(ledger));
            let standing = self.standing(series, wanted)?;
            due.standings.push((series.clone(), standing));
        }
        due.newest = due.questions.len();
        old.sort_by_key(|question| std::cmp::Reverse(question.ask.to));
        due.has_more = old.len() > OLD_QUESTIONS;
        due.questions.extend(old.into_iter().take(OLD_QUESTIONS));
        Ok(due)
    }

    fn standing(&mut self, series: &SeriesKey, wanted: Stretch) -> Result<Standing, StorageError> {
        let ledger = self.ledgers.of(&self.store, series)?;
        let mut standing = Standing::default();
        let holes = ledger.holes().iter().filter_map(|hole| hole.at.common(wanted));
        standing.holes = holes.map(|at| at.records(series.kind)).sum();
        for open in ledger.open(wanted) {
            let length = open.to - open.from;
            let seen = if series.kind.is_bar_like() && length <= COUNTED_SLOTS {
                self.store.series_rows(series, open.from, open.to)?.times.len() as u64
            } else {
                0
            };
            standing.unconfirmed += seen;
            standing.missing += open.records(series.kind).saturating_sub(seen);
        }
        if series.kind == Kind::Funding {
            // Its records have no grid: what is missing is a hole until it comes.
            standing.missing = 0;
        }
        Ok(standing)
    }

    /// Takes answers into log and ledgers, each together with the records that it brought.
    pub(super) fn settle(&mut self, answers: Vec<Answer>, now: Ts) -> Result<PutDone, StorageError> {
        let mut touched: Option<BarIndex> = None;
        let mut marks = Vec::with_capacity(answers.len());
        let mut puts = Vec::with_capacity(answers.len());
        let committed = self.facts.next();
        let spec = self.facts.spec.clone();
        let rules = &spec.sources.live;
        for mut answer in answers {
            answer.measure_intervals(&self.store)?;
            let news = self.news_that_stands(&answer, now)?;
            let series = &answer.series;
            let ledger = self.ledgers.of(&self.store, series)?;
            answer.settle(ledger, &self.store, now, &rules.hole_patience_s)?;
            let is_committed = |time| self.facts.first_row_at(series.kind, time) < committed;
            news.note(ledger, is_committed, answer.how, now);
            if answer.how == AUDIT {
                // The day is done with when all of its questions are answered, in whichever rounds they were
                // put.
                let today = Ts(now.day() * DAY_MS).bar().0;
                let (first, lead_in) = (self.follow.first_of(&series.symbol, self.facts.first), 0);
                let wanted = covered::wanted(series.kind, first, lead_in, today);
                let audited = self.audited.entry(series.clone()).or_default();
                audited.insert(answer.asked.to);
                if audited_days(&rules.audit, today, wanted).iter().all(|day| audited.contains(&day.to)) {
                    ledger.audited_to = today;
                    audited.clear();
                }
            }
            marks.push(mark(series, ledger));
            let changed = news.fresh.first().into_iter().chain(news.other.first()).min();
            let row = changed.map(|time| self.facts.first_row_at(series.kind, *time));
            touched = touched.into_iter().chain(row).min();
            puts.push(RawPut { symbol: series.symbol.clone(), records: answer.records });
        }
        let delivery = Delivery::answered(Origin::Rest, ASKED, now);
        self.put_touching(&puts, delivery, &marks, touched)
    }

    /// What an answer changes. It may contradict what is stored and change nothing: REST goes on telling a
    /// bar that a file of the archive has corrected.
    fn news_that_stands(&mut self, answer: &Answer, now: Ts) -> Result<News, StorageError> {
        let news = answer.news(&self.store)?;
        if news.other.is_empty() {
            return Ok(news);
        }
        self.store.tell_time(self.shared.clock.now());
        self.store.tell_bands(self.shared.price_bands());
        let puts = [RawPut { symbol: answer.series.symbol.clone(), records: answer.records.clone() }];
        let delivery = Delivery::answered(Origin::Rest, ASKED, now);
        let would = self.store.would_put(&[Lot { puts: &puts, delivery, completes: None }])?;
        let of_series = would.iter().find(|would| would.series == answer.series);
        let stands = of_series.map(|would| News::of(&would.series, &would.records, &self.store));
        Ok(stands.transpose()?.unwrap_or_default())
    }

    /// Leaves out of a stream's records what the exchange has confirmed by REST: a stream never overwrites
    /// it.
    pub(super) fn unsettled(&mut self, puts: Vec<RawPut>) -> Result<Vec<RawPut>, StorageError> {
        let mut kept = Vec::with_capacity(puts.len());
        for put in puts {
            let series = put.series();
            if Rest::history_page(series.kind).is_none() {
                kept.push(put);
                continue;
            }
            let ledger = self.ledgers.of(&self.store, &series)?;
            let mut rows = Vec::new();
            let mut refused = 0_u64;
            put.records.rows().each(&mut |time, columns, _| {
                if ledger.is_settled(time) && !ledger.is_hole(time) {
                    refused += 1;
                } else {
                    rows.push((time, *columns));
                }
            });
            if refused > 0 {
                tracing::debug!(symbol = %series.symbol, kind = series.kind.name(), refused, "confirmed already");
            }
            for (time, _) in &rows {
                // What the exchange did not have and a stream tells now, the exchange is asked for once more.
                if ledger.is_hole(*time) {
                    ledger.reopen(Stretch { from: *time, to: time + 1 });
                }
            }
            if !rows.is_empty() {
                let records = Records::of(series.kind, series.market, &rows);
                kept.push(RawPut { symbol: put.symbol, records });
            }
        }
        Ok(kept)
    }

    /// The ledgers of what a stream changes behind the present, for the batch of its records.
    pub(super) fn late_marks(
        &mut self,
        puts: &[RawPut],
        how: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, StorageError> {
        let (committed, now) = (self.facts.next(), self.shared.clock.now());
        let mut marks = Vec::new();
        for put in puts.iter().filter(|put| Rest::history_page(put.records.kind()).is_some()) {
            let series = put.series();
            let is_committed = |time| self.facts.first_row_at(series.kind, time) < committed;
            let mut is_late = false;
            put.records.rows().each(&mut |time, _, _| is_late |= is_committed(time));
            if !is_late {
                continue;
            }
            let news = News::of(&series, &put.records, &self.store)?;
            let ledger = self.ledgers.of(&self.store, &series)?;
            if news.note(ledger, is_committed, how, now) {
                marks.push(mark(&series, ledger));
            }
        }
        Ok(marks)
    }

    /// Merges records of which those from `touched` on change rows; nothing is replayed for records that say
    /// the same.
    pub(super) fn put_touching(
        &mut self,
        puts: &[RawPut],
        delivery: Delivery<'_>,
        marks: &[(String, Vec<u8>)],
        touched: Option<BarIndex>,
    ) -> Result<PutDone, StorageError> {
        // Noted before the write: a crash in between costs a replay that changes nothing.
        let noted = self.facts.dirty;
        if let Some(bar) = touched.filter(|bar| *bar < self.facts.next()) {
            self.facts.note_dirty(&mut self.store, bar)?;
        }
        self.store.tell_time(self.shared.clock.now());
        self.store.tell_bands(self.shared.price_bands());
        let mut report = MergeReport::default();
        let lot = Lot { puts, delivery, completes: None };
        for (_, part) in self.store.put_lots(&[lot], marks)? {
            report.add(part);
        }
        // A new record may say that the ones before it cannot be, or can be after all.
        let judged = report.judged.from;
        if let Some(bar) = judged.filter(|bar| *bar < self.facts.next()) {
            self.facts.note_dirty(&mut self.store, bar)?;
        }
        let touched = touched.into_iter().chain(judged).min();
        if let Some(bar) = touched.filter(|_| !report.is_noop()) {
            self.facts.restart_change_behind(&self.store, bar, &self.shared)?;
        }
        if report.is_noop() && noted != self.facts.dirty {
            self.facts.set_dirty(&mut self.store, noted)?;
        }
        if judged.is_some() {
            let (masked, unmasked) = (report.judged.masked, report.judged.unmasked);
            tracing::warn!(
                masked,
                unmasked,
                "records that cannot be true; `backtestd quarantine list` names them"
            );
            self.show_quarantine()?;
        }
        let keys: Vec<SeriesKey> = puts.iter().map(RawPut::series).collect();
        self.show_watermarks_of(&keys)?;
        Ok(PutDone { report, dirty_from: self.facts.dirty })
    }
}

/// Seconds of a rule as milliseconds.
fn ms(seconds: u32) -> i64 {
    i64::from(seconds) * 1000
}

/// The days that the audit of `today` is about, as far as they are wanted.
fn audited_days(rules: &AuditRules, today: i64, wanted: Stretch) -> Vec<Stretch> {
    let ends = rules.days_back.iter().map(|days| today - i64::from(*days) * BARS_PER_DAY);
    let days = ends.map(|end| Stretch { from: end - BARS_PER_DAY, to: end });
    days.filter_map(|day| day.common(wanted)).collect()
}

/// Where a question about an open stretch begins: the newest records before it are asked for once more.
fn asked_again(rules: &LiveRules, kind: Kind, open: Stretch, wanted: Stretch) -> i64 {
    let bars = i64::from(rules.asked_again_bars);
    let back = match kind {
        Kind::Funding => ms(rules.settlements_again_s),
        kind if kind.is_bar_like() => bars,
        _ => bars * BAR_MS,
    };
    wanted.from.max(open.from - back)
}

/// The questions about one series.
struct Asks<'a> {
    series: &'a SeriesKey,
    wanted: Stretch,
    now: Ts,
    /// Ends of the days whose audit of today is answered.
    audited: &'a BTreeSet<i64>,
    rules: &'a LiveRules,
}

impl Asks<'_> {
    /// About what is open up to the present, the newest part of it.
    fn newest(&self, ledger: &Ledger) -> Option<Question> {
        let open = ledger.open(self.wanted).last().copied().filter(|open| open.to == self.wanted.to)?;
        if self.series.kind == Kind::Funding && !can_settle(Stretch { to: self.now.0 + 1, ..open }) {
            return None;
        }
        let open = self.cut(open);
        let settles = Stretch { from: asked_again(self.rules, self.series.kind, open, self.wanted), ..open };
        let told = Stretch { to: self.now.0 + 1, ..settles };
        let ask = if self.series.kind.is_bar_like() { settles } else { told };
        Some(self.question(ask, settles, ASKED))
    }

    /// About the newest open part before that.
    fn older(&self, ledger: &Ledger) -> Option<Question> {
        let open = ledger.open(self.wanted);
        let open = open.iter().rev().find(|open| open.to != self.wanted.to)?;
        let settles = self.cut(*open);
        Some(self.question(settles, settles, ASKED))
    }

    /// About a hole that is due, as far as the exchange still keeps it.
    fn hole(&self, ledger: &Ledger) -> Option<Question> {
        let kept_from = Rest::kept_from(self.series.kind, self.now).map_or(self.wanted.from, |ts| ts.0);
        let reach = Stretch { from: self.wanted.from.max(kept_from), to: self.wanted.to };
        let hole = ledger.due_hole(reach, self.now)?.at.common(reach)?;
        Some(self.question(hole, hole, ASKED))
    }

    /// About yesterday and some days before it, once a day: the exchange corrects bars days later, and a mark
    /// that was asked for before its bar had closed, by a clock that was ahead, is not what it came to.
    fn audits(&self, ledger: &Ledger) -> Vec<Question> {
        let midnight = Ts(self.now.day() * DAY_MS);
        let today = midnight.bar().0;
        if !matches!(self.series.kind, Kind::Bars | Kind::Mark)
            || ledger.audited_to >= today
            || self.now.0 < midnight.0 + ms(self.rules.audit.after_midnight_s)
        {
            return Vec::new();
        }
        let days = audited_days(&self.rules.audit, today, self.wanted).into_iter();
        let left = days.filter(|day| !self.audited.contains(&day.to));
        left.map(|day| self.question(day, day, AUDIT)).collect()
    }

    fn question(&self, ask: Stretch, settles: Stretch, how: &'static str) -> Question {
        Question { series: self.series.clone(), ask, settles, how }
    }

    /// The newest part of a stretch that is asked for at once.
    fn cut(&self, open: Stretch) -> Stretch {
        let at_most = Rest::history_page(self.series.kind).unwrap_or(i64::MAX);
        Stretch { from: open.from.max(open.to.saturating_sub(at_most)), ..open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::{HOUR_MS, Market, Symbol};

    #[test]
    fn yesterday_and_days_of_the_week_before_are_compared_once_a_day_an_hour_after_midnight() {
        let series =
            SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol: Symbol::new("BTCUSDT").unwrap() };
        let today = 20_000 * BARS_PER_DAY;
        let spec = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
        let rules = backtestd_store::load_specs(&spec).unwrap().sources.live;
        let (none, yesterday) = (BTreeSet::new(), BTreeSet::from([today]));
        let asks = |hour: i64, audited| Asks {
            series: &series,
            audited,
            rules: &rules,
            wanted: Stretch { from: today - 30 * BARS_PER_DAY, to: today + 12 * hour },
            now: Ts(BarIndex(today).open().0 + hour * HOUR_MS),
        };
        let mut ledger = Ledger::default();
        assert_eq!(asks(0, &none).audits(&ledger), []);
        let audits = asks(1, &none).audits(&ledger);
        let days: Vec<i64> = audits.iter().map(|q| (today - q.ask.to) / BARS_PER_DAY).collect();
        assert_eq!(days, [0, 2, 7]);
        assert!(audits.iter().all(|q| q.ask.to - q.ask.from == BARS_PER_DAY && q.how == AUDIT));
        ledger.audited_to = today - BARS_PER_DAY;
        let left: Vec<i64> = asks(1, &yesterday).audits(&ledger).iter().map(|q| q.ask.to).collect();
        assert_eq!(left, [today - 2 * BARS_PER_DAY, today - 7 * BARS_PER_DAY], "yesterday alone is not all");
        ledger.audited_to = today;
        assert_eq!(asks(2, &none).audits(&ledger), []);
        let days_of = |kind| {
            let series = SeriesKey { kind, ..series.clone() };
            Asks { series: &series, ..asks(1, &none) }.audits(&Ledger::default()).len()
        };
        assert_eq!([Kind::Mark, Kind::OpenInterest, Kind::Funding].map(days_of), [3, 0, 0]);
    }
}
