//! Ticks: catching up with history, closing ticks as they happen, repairing what came late.

use tokio::time::Instant;

use super::closing::{ASK_DEADLINE, Closing};
use super::input::{Done, Handled};
use super::{LIVE_LAG_BARS, MainLoop};
use crate::daemon::Stage;
use crate::daemon::feed::{self, Answers, Backfill};
use crate::daemon::live::Series;
use crate::daemon::status::Phase;
use crate::daemon::storage::{Advanced, Job, PutDone};
use backtestd_binance::{Stamped, Update};
use backtestd_core::market::{BarIndex, Kind, RawPut, Records, Symbol, Ts};
use backtestd_store::Origin;

/// How long a machine may be busy with something else before live ticks are given up for a catch-up, real
/// time: in a hurry of 600 that is more than two bars, and closing them one by one is quicker.
const BUSY_REAL_MS: f64 = 3_000.0;
/// Symbols whose marks a tick waits for; with more of them they come in their turn, and their row is computed
/// again.
const MARKS_AWAITED: usize = 16;

impl MainLoop {
    pub(super) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Degraded)
    }

    /// Whether a request has a chance of an answer now.
    pub(super) fn rest_is_well(&self) -> bool {
        self.rest.health().state() == "ok"
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
        let is_behind = now.bar() - advanced.next > self.time.bars_within(BUSY_REAL_MS).max(LIVE_LAG_BARS);
        // Without REST there is no history to catch up with: the ticks go on with what the streams have told.
        if is_behind && self.rest_is_well() && self.time.proves((now.bar() - LIVE_LAG_BARS).open()) {
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
        self.join_again();
        self.ask_universe();
        self.look_at_marks_later();
        self.on_tick_timer()
    }

    /// When the loop has to act on a tick without being told: its close, or the end of its grace.
    pub(super) fn timer(&self) -> Option<Instant> {
        if !self.is_live() || self.advancing {
            return None;
        }
        match self.closing {
            Some(closing) if closing.asked => None,
            Some(closing) if self.book.is_complete() => Some(closing.marks_until),
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
        let clock = self.shared.clock.as_ref();
        let awaits_marks =
            collect.has(Kind::Mark) && self.follow.symbols.len() <= MARKS_AWAITED && self.rest_is_well();
        self.closing = Some(Closing::begin(bar, self.config.grace_ms, awaits_marks, clock));
        let records = self.aggregates.finish(bar, collect);
        if let Some(coverage) = least_coverage(&records) {
            self.shared.update(|s| s.live.liq_coverage = Some(coverage));
        }
        self.keep_finished(records, bar);
        if awaits_marks {
            self.start_round(Kind::Mark, bar.next());
        }
    }

    /// Stores the records of bars through `bar`, all of them or none, and lets the journal begin anew behind
    /// them.
    fn keep_finished(&mut self, records: Vec<RawPut>, bar: BarIndex) {
        if !records.is_empty() {
            self.put(records, "websocket");
        }
        self.begin_journal_after(bar);
    }

    /// Closes the tick if it is complete or if nothing more is to be waited for.
    pub(super) fn try_close(&mut self) -> Handled {
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
        if (is_complete && !closing.awaits_marks()) || closing.answered {
            return self.advance(closing.bar.next());
        }
        if !grace_over || closing.asked || is_complete {
            return Handled::Idle;
        }
        if !self.book.has_any() && !self.time.proves(closing.bar.close()) {
            return self.ask_for_proof();
        }
        self.ask_for_missing(closing.bar)
    }

    fn ask_for_missing(&mut self, bar: BarIndex) -> Handled {
        if let Some(closing) = &mut self.closing {
            closing.asked = true;
        }
        if !self.rest_is_well() {
            // Nobody answers now. The gap stays open in the ledger, and is asked for until somebody does.
            return self.on_asked(bar, Answers::default());
        }
        let (rest, clock, missing) = (self.rest.clone(), self.shared.clock.clone(), self.book.missing());
        tracing::info!(%bar, missing = missing.len(), "bars missing at the end of the grace period: asking REST");
        self.tasks.spawn(async move {
            let questions = feed::about_bar(&missing, bar);
            let answers = feed::ask(&rest, clock.as_ref(), questions, ASK_DEADLINE).await;
            Done::AskedForMissing { bar, answers }
        });
        Handled::Started("ask for missing bars")
    }

    pub(super) fn on_asked(&mut self, bar: BarIndex, answers: Answers) -> Handled {
        for (market, symbol, slot) in answers.bars() {
            self.book.deliver(&(market, symbol.clone()), slot);
        }
        for answer in
            answers.answers.iter().filter(|a| a.asked.to == bar.next().0 && a.records.rows().is_empty())
        {
            tracing::info!(%bar, symbol = %answer.series.symbol, "the exchange has no bar either");
            self.book.has_none(&(answer.series.market, answer.series.symbol.clone()));
            // It may have stopped trading: the next tick asks.
            self.is_listing_known = false;
        }
        if !answers.answers.is_empty() {
            let (answers, now) = (answers.answers, self.shared.clock.now());
            self.submit(|reply| Job::Settle { answers, now, reply }, Done::Put);
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
        }
        self.closing = None;
        self.book.closed_to(advanced.next);
        self.shared.metrics.stages.observe_ms(Stage::Close, now.0 - bar.close().0);
        self.shared.update(|s| {
            s.live.ticks += 1;
            s.live.ticks_with_gaps += u64::from(has_gap);
            s.live.last_tick_delay_ms = Some(now.0 - bar.close().0);
        });
        self.ask_time();
        self.look_at_streams();
        self.start_rounds();
        self.look_at_archive();
        self.ask_listing_if_due(advanced.next);
        self.on_tick_for_schedule(advanced.next);
        self.look_at_marks_later();
    }

    fn put(&mut self, puts: Vec<RawPut>, label: &'static str) {
        self.submit(|reply| Job::Put { puts, origin: Origin::Stream, label, reply }, Done::Put);
    }

    pub(super) fn on_put(&mut self, done: &PutDone) -> Handled {
        self.note_put(done);
        self.try_close()
    }

    /// Says what disagreed; what changed behind the present is computed again.
    pub(super) fn note_put(&mut self, done: &PutDone) {
        for conflict in &done.report.listed {
            if conflict.series.kind == Kind::Mark {
                // The last mark of the stream is a moment older than that of the kline.
                tracing::debug!(%conflict, "two sources disagree");
            } else {
                tracing::warn!(%conflict, "two sources disagree");
            }
        }
        self.repair_due |= done.dirty_from.is_some();
    }

    pub(super) fn on_update(&mut self, mut stamped: Stamped) -> Handled {
        self.time.stamp(&mut stamped);
        self.time.hear(&stamped.update);
        self.streams.heard(&stamped.update, stamped.arrival);
        self.aggregates.observe(&stamped);
        let Stamped { arrival, update } = stamped;
        match update {
            Update::Kline(kline) => {
                if !kline.closed || !kline.is_grid_bar() {
                    return Handled::Idle;
                }
                if self.config.collect.has_agg_trades() {
                    let opinions = self.trades.kline(kline.market, &kline.symbol, kline.bar);
                    self.note_opinions(opinions);
                }
                self.on_closed_bar((kline.market, kline.symbol), kline.bar, arrival)
            }
            Update::Stream(change) => {
                self.streams.change(&change);
                self.streams.show(&self.shared);
                self.trouble("streams", self.streams.trouble());
                Handled::Noted
            }
            Update::AggTrade(trade) => {
                let opinions = self.trades.trade(&trade);
                self.note_opinions(opinions);
                Handled::Noted
            }
            Update::Contract(_) => {
                // Somebody was listed or has stopped: the next tick asks.
                self.is_listing_known = false;
                Handled::Noted
            }
            Update::Refused(frame) => {
                let is_kept = self.refused.keep(&frame, arrival);
                self.shared.update(|s| {
                    s.refused.frames += 1;
                    s.refused.lost += u64::from(!is_kept);
                    s.refused.last = Some(frame.reason);
                });
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
        }
        self.shared.update(|s| {
            for row in s.symbols.iter_mut().filter(|r| (r.market, &r.symbol) == (series.0, &series.1)) {
                row.last_update = Some(arrival);
            }
        });
        self.shared.metrics.stages.observe_ms(Stage::Wire, arrival.0 - slot.close().0);
        let (market, symbol): (_, Symbol) = series;
        self.put(vec![RawPut { symbol, records: Records::Bars(market, vec![bar]) }], "websocket");
        self.try_close()
    }

    /// Silence is noticed, and whoever carries a muted stream is replaced.
    fn look_at_streams(&mut self) {
        for (market, missed) in self.streams.look(self.shared.clock.now()) {
            tracing::warn!(%market, stream = missed.stream_name(), "a stream is muted: replacing its connection");
            self.control.replace(market, &missed);
        }
        self.streams.show(&self.shared);
        self.trouble("streams", self.streams.trouble());
    }

    /// Things that are looked at now and then.
    pub(super) fn on_housekeeping(&mut self) -> Handled {
        self.look_at_streams();
        self.trouble("rest", self.shared.status().rest.trouble());
        self.retry_rounds();
        Handled::Noted
    }
}

/// The least share of a bar during which liquidations were listened to, over symbols.
fn least_coverage(records: &[RawPut]) -> Option<f64> {
    let sums = records.iter().filter_map(|put| match &put.records {
        Records::Liquidations(sums) => Some(sums),
        _ => None,
    });
    sums.flatten().map(|sum| sum.coverage).reduce(f64::min)
}
