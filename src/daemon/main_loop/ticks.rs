//! Ticks: catching up with history, closing ticks as they happen, repairing what came late.

use backtestd_core::market::HOUR_MS;
use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::closing::{ASK_DEADLINE, Closing};
use super::input::{Done, Handled};
use super::{LIVE_LAG_BARS, MainLoop};
use crate::daemon::feed::{self, Asked, Backfill};
use crate::daemon::live::Series;
use crate::daemon::status::Phase;
use crate::daemon::storage::{Advanced, Job, PutDone};
use backtestd_binance::{Stamped, Update};
use backtestd_core::market::{BAR_MS, BarIndex, Kind, Live, RawPut, Records, Symbol, Ts};
use backtestd_store::Origin;

/// Closed bars compared with REST after each tick.
const RECONCILED_BARS: i64 = 3;
/// A gap is asked for again on every tick, this many times; then it is the exchange's own.
const REPAIR_ATTEMPTS: u32 = 288;
/// How far back instants of a tick are asked for: late ones are picked up with the next.
const INSTANTS_BACK_MS: i64 = 2 * BAR_MS;

/// Whether a kind is asked for when a bar closes. What is hourly comes on whole hours; the next tick asks once more for
/// what was late.
fn is_due(kind: Kind, bar: BarIndex) -> bool {
    match kind.facts().live {
        Live::EachBar => true,
        Live::Hourly => bar.close().0.rem_euclid(HOUR_MS) < 2 * BAR_MS,
        Live::Bars | Live::Stream | Live::Never => false,
    }
}

/// Slots of committed ticks that have no bar, with how often they were asked for.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<Series, BTreeMap<BarIndex, u32>>);

impl Gaps {
    fn add(&mut self, series: Series, bar: BarIndex) {
        self.0.entry(series).or_default().entry(bar).or_insert(0);
    }

    fn filled(&mut self, series: &Series, bar: BarIndex) {
        if let Some(slots) = self.0.get_mut(series) {
            slots.remove(&bar);
            if slots.is_empty() {
                self.0.remove(series);
            }
        }
    }

    /// The stretch to ask for: every open gap of every series, counted as one more attempt.
    fn next_attempt(&mut self) -> Option<(Vec<Series>, BarIndex, BarIndex)> {
        for slots in self.0.values_mut() {
            slots.values_mut().for_each(|attempts| *attempts += 1);
            slots.retain(|_, attempts| *attempts <= REPAIR_ATTEMPTS);
        }
        self.0.retain(|_, slots| !slots.is_empty());
        let all: BTreeSet<BarIndex> = self.0.values().flat_map(BTreeMap::keys).copied().collect();
        let (first, last) = (*all.first()?, *all.last()?);
        Some((self.0.keys().cloned().collect(), first, last.next()))
    }

    fn open(&self, series: &Series) -> u64 {
        self.0.get(series).map_or(0, |slots| slots.len() as u64)
    }
}

impl MainLoop {
    fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Degraded)
    }

    /// Fetches what is missing up to now; then the pipeline follows, then either live or once more.
    pub(super) fn catch_up(&mut self) {
        let end = self.shared.clock.now().bar();
        self.closing = None;
        self.fetched_to = end;
        self.set_phase(Phase::Backfilling, &format!("fetching history up to {end}"));
        let (shared, storage, rest) = (self.shared.clone(), self.storage.clone(), self.rest.clone());
        let series = self.follow.history.clone();
        self.tasks.spawn(async move {
            Done::Backfilled(feed::backfill(&shared, &storage, &rest, series, end).await)
        });
    }

    pub(super) fn on_backfilled(&mut self, result: Backfill) -> Handled {
        let refused: Vec<String> = result
            .refused
            .iter()
            .map(|(series, reason)| format!("{} {}: {reason}", series.symbol, series.kind.name()))
            .collect();
        self.trouble("history", (!refused.is_empty()).then(|| refused.join(", ")));
        tracing::info!(records = result.records, "history fetched");
        let end = self.fetched_to;
        // Bars that closed while history was fetched: the streams were watched all the time.
        let records = self.aggregates.finish_before(end, self.config.collect);
        self.keep_finished(records, end - 1);
        self.set_phase(Phase::Backfilling, &format!("computing history up to {end}"));
        self.advance(end)
    }

    /// Starts an advance to `end`. At most one is under way.
    fn advance(&mut self, end: BarIndex) -> Handled {
        if self.advancing {
            return Handled::Idle;
        }
        self.advancing = true;
        self.repair_due = false;
        let now = self.shared.clock.now();
        self.submit(|reply| Job::Advance { end, now, reply }, Done::Advanced);
        Handled::Started("advance")
    }

    pub(super) fn on_advanced(&mut self, advanced: &Advanced) -> Handled {
        self.advancing = false;
        let before = self.book.next();
        tracing::debug!(rows = advanced.rows, events = advanced.events, next = %advanced.next, "advanced");
        if let Some(to) = advanced.rewound_to {
            tracing::info!(%to, "rewound to repair history");
            self.shared.update(|s| s.live.rewinds += 1);
        }
        if self.specs.has_ready() {
            return self.install_spec();
        }
        let now = self.shared.clock.now();
        if !self.is_live() {
            return self.after_catch_up_chunk(advanced.next, now.bar());
        }
        if advanced.next < before {
            // A rewind replays in chunks up to where it was.
            return self.advance(before);
        }
        if advanced.next > before {
            self.tick_closed(advanced, now);
        }
        if now.bar() - advanced.next > LIVE_LAG_BARS {
            tracing::warn!(behind = now.bar() - advanced.next, "too far behind for live ticks: catching up");
            self.catch_up();
            return Handled::Started("catch up");
        }
        self.try_close()
    }

    fn after_catch_up_chunk(&mut self, next: BarIndex, now: BarIndex) -> Handled {
        let total = now - next;
        self.shared.update(|s| s.detail = format!("computing history: {total} ticks to go"));
        self.book.closed_to(next);
        if next < self.fetched_to {
            return self.advance(self.fetched_to);
        }
        if now - next > LIVE_LAG_BARS {
            // Computing took so long that more bars have closed: fetch those in one go.
            self.catch_up();
            return Handled::Started("catch up");
        }
        self.submit(|reply| Job::GoLive { first: next, reply }, Done::WentLive);
        Handled::Started("go live")
    }

    pub(super) fn on_went_live(&mut self, signals_from: BarIndex) -> Handled {
        self.shared.update(|s| s.live.live_from = Some(signals_from.open()));
        self.set_phase(Phase::Live, "ticks close as they happen");
        self.show_troubles();
        self.end_replay();
        self.on_first_live();
        self.on_tick_timer()
    }

    /// When the loop has to act on a tick without being told: its close, or the end of its grace.
    pub(super) fn timer(&self) -> Option<Instant> {
        if !self.is_live() || self.advancing {
            return None;
        }
        match self.closing {
            Some(closing) if closing.asked => None,
            Some(closing) => Some(closing.grace_ends),
            None => Some(Instant::now() + self.shared.clock.wall_until(self.book.next().close())),
        }
    }

    pub(super) fn on_tick_timer(&mut self) -> Handled {
        if !self.is_live() || self.advancing {
            return Handled::Idle;
        }
        if self.closing.is_none() && self.shared.clock.now() >= self.book.next().close() {
            self.begin_closing();
        }
        self.try_close()
    }

    fn begin_closing(&mut self) {
        let bar = self.book.next();
        let collect = self.config.collect;
        let due: Vec<Kind> = collect.kinds().filter(|kind| is_due(*kind, bar)).collect();
        let wants_instants = !due.is_empty();
        let clock = self.shared.clock.as_ref();
        self.closing = Some(Closing::begin(bar, self.config.grace_ms, wants_instants, clock));
        let records = self.aggregates.finish(bar, collect);
        self.keep_finished(records, bar);
        if wants_instants {
            let (rest, follow) = (self.rest.clone(), self.follow.clone());
            let (after, through) = (Ts(bar.close().0 - INSTANTS_BACK_MS), bar.close());
            self.tasks.spawn(async move {
                let puts = feed::instants(&rest, &follow.symbols, &due, after, through, ASK_DEADLINE).await;
                Done::Instants { bar, puts }
            });
        }
    }

    /// Stores the records of bars through `bar`, all of them or none, and lets the journal begin anew behind them.
    fn keep_finished(&mut self, records: Vec<RawPut>, bar: BarIndex) {
        if !records.is_empty() {
            self.put(records, Origin::Stream, "websocket");
        }
        self.begin_journal_after(bar);
    }

    pub(super) fn on_instants(&mut self, bar: BarIndex, puts: Vec<RawPut>) -> Handled {
        if !puts.is_empty() {
            self.put(puts, Origin::Rest, "rest instants");
        }
        if let Some(closing) = self.closing.as_mut().filter(|c| c.bar == bar) {
            closing.instants_pending = false;
        }
        self.try_close()
    }

    /// Closes the tick if it is complete or if nothing more is to be waited for.
    fn try_close(&mut self) -> Handled {
        if !self.is_live() || self.advancing {
            return Handled::Idle;
        }
        if self.repair_due {
            return self.advance(self.book.next());
        }
        let Some(closing) = self.closing else {
            if self.shared.clock.now() >= self.book.next().close() {
                self.begin_closing();
                return self.try_close();
            }
            return Handled::Idle;
        };
        let grace_over = Instant::now() >= closing.grace_ends;
        let is_complete = self.book.is_complete();
        if (is_complete && (!closing.instants_pending || grace_over)) || closing.answered {
            return self.advance(closing.bar.next());
        }
        if !grace_over || closing.asked || is_complete {
            return Handled::Idle;
        }
        self.ask_for_missing(closing.bar)
    }

    fn ask_for_missing(&mut self, bar: BarIndex) -> Handled {
        if let Some(closing) = &mut self.closing {
            closing.asked = true;
        }
        let (rest, missing) = (self.rest.clone(), self.book.missing());
        tracing::info!(%bar, missing = missing.len(), "bars missing at the end of the grace period: asking REST");
        self.tasks.spawn(async move {
            let asked = feed::ask_bars(&rest, &missing, bar, bar.next(), ASK_DEADLINE).await;
            Done::AskedForMissing { bar, asked }
        });
        Handled::Started("ask for missing bars")
    }

    pub(super) fn on_asked(&mut self, bar: BarIndex, asked: Asked) -> Handled {
        for (market, symbol, slot) in &asked.delivered {
            self.book.deliver(&(*market, symbol.clone()), *slot);
        }
        if !asked.puts.is_empty() {
            self.put(asked.puts, Origin::Rest, "rest repair");
        }
        if let Some(closing) = self.closing.as_mut().filter(|c| c.bar == bar) {
            closing.answered = true;
        }
        self.try_close()
    }

    fn tick_closed(&mut self, advanced: &Advanced, now: Ts) {
        let bar = self.book.next();
        let missing = self.book.missing();
        let has_gap = !missing.is_empty();
        for series in missing {
            tracing::warn!(%bar, market = %series.0, symbol = %series.1, "tick closed with a gap");
            self.gaps.add(series, bar);
        }
        self.closing = None;
        self.book.closed_to(advanced.next);
        self.shared.update(|s| {
            s.live.ticks += 1;
            s.live.ticks_with_gaps += u64::from(has_gap);
            s.live.last_tick_delay_ms = Some(now.0 - bar.close().0);
        });
        self.reconcile(advanced.next);
        self.repair();
        self.show_gaps();
        self.ask_listing_if_due(advanced.next);
        self.on_tick_for_schedule(advanced.next);
    }

    /// Compares the newest closed bars with REST. Streams may be wrong; REST has the last word.
    fn reconcile(&mut self, next: BarIndex) {
        let (rest, follow) = (self.rest.clone(), self.follow.clone());
        self.tasks.spawn(async move {
            let from = next - RECONCILED_BARS;
            Done::Reconciled(feed::ask_bars(&rest, &follow.bars, from, next, ASK_DEADLINE).await)
        });
    }

    fn repair(&mut self) {
        let Some((series, from, to)) = self.gaps.next_attempt() else { return };
        let rest = self.rest.clone();
        self.tasks.spawn(async move {
            Done::Repaired(feed::ask_bars(&rest, &series, from, to, ASK_DEADLINE).await)
        });
    }

    pub(super) fn on_reconciled(&mut self, asked: Asked) -> Handled {
        for (market, symbol, slot) in &asked.delivered {
            self.gaps.filled(&(*market, symbol.clone()), *slot);
        }
        if !asked.puts.is_empty() {
            self.put(asked.puts, Origin::Rest, RECONCILE);
        }
        self.show_gaps();
        Handled::Noted
    }

    fn show_gaps(&mut self) {
        let open: Vec<(Series, u64)> =
            self.follow.bars.iter().map(|series| (series.clone(), self.gaps.open(series))).collect();
        let total: u64 = open.iter().map(|(_, n)| n).sum();
        self.shared.update(|s| {
            for row in &mut s.symbols {
                let found = open.iter().find(|((m, symbol), _)| *m == row.market && *symbol == row.symbol);
                row.gaps_open = found.map_or(0, |(_, n)| *n);
            }
        });
        self.trouble("gaps", (total > 0).then(|| format!("{total} bars are missing and being asked for")));
    }

    fn put(&mut self, puts: Vec<RawPut>, origin: Origin, label: &'static str) {
        let job = |reply| Job::Put { puts, origin, label, covered: None, reply };
        self.submit(job, move |result| Done::Put { label, result });
    }

    pub(super) fn on_put(&mut self, label: &'static str, done: &PutDone) -> Handled {
        for conflict in &done.report.listed {
            tracing::warn!(%conflict, "two sources disagree");
        }
        if label == RECONCILE {
            let report = &done.report;
            let (matched, all) = (report.unchanged, report.records());
            self.shared.update(|s| {
                s.live.bars_reconciled += all;
                s.live.bars_matched += matched;
            });
        }
        if done.dirty_from.is_none() {
            return Handled::Noted;
        }
        self.repair_due = true;
        self.try_close()
    }

    pub(super) fn on_update(&mut self, stamped: Stamped) -> Handled {
        self.aggregates.observe(&stamped);
        let Stamped { arrival, update } = stamped;
        match update {
            Update::Kline(kline) => {
                let route = backtestd_binance::StreamKind::Kline.route(kline.market);
                route.into_iter().for_each(|route| self.streams.heard(route, arrival));
                if !kline.closed || !kline.is_grid_bar() {
                    return Handled::Idle;
                }
                self.on_closed_bar((kline.market, kline.symbol), kline.bar, arrival)
            }
            Update::Stream(change) => {
                self.streams.change(&change);
                self.streams.show(&self.shared);
                self.trouble("streams", self.streams.trouble());
                Handled::Noted
            }
            _ => Handled::Noted,
        }
    }

    fn on_closed_bar(&mut self, series: Series, bar: backtestd_core::market::Bar, arrival: Ts) -> Handled {
        use crate::daemon::live::Delivery;
        let slot = bar.bar;
        let delivery = self.book.deliver(&series, slot);
        if delivery == Delivery::Unexpected {
            return Handled::Idle;
        }
        if delivery == Delivery::Late && self.is_live() {
            self.shared.update(|s| s.live.late_bars += 1);
            self.gaps.filled(&series, slot);
        }
        self.shared.update(|s| {
            for row in s.symbols.iter_mut().filter(|r| (r.market, &r.symbol) == (series.0, &series.1)) {
                row.last_update = Some(arrival);
            }
        });
        let (market, symbol): (_, Symbol) = series;
        self.put(
            vec![RawPut { symbol, records: Records::Bars(market, vec![bar]) }],
            Origin::Stream,
            "websocket",
        );
        self.try_close()
    }

    /// Things that are looked at now and then.
    pub(super) fn on_housekeeping(&mut self) -> Handled {
        self.streams.show(&self.shared);
        Handled::Noted
    }
}

/// Label of puts that compare websocket and REST.
const RECONCILE: &str = "rest reconcile";
