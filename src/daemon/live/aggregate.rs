//! Mark prices, liquidations and best quotes of the streams as records of the raw log.

use std::collections::{BTreeMap, BTreeSet};

use super::unsaved::Unsaved;
use crate::daemon::config::{ClockConfig, ClockSource, Collect};
use backtestd_binance::Stamped;
use backtestd_binance::aggregate::journal::Batch;
use backtestd_binance::aggregate::{LiquidationAggregator, MarkAggregator, QuoteAggregator};
use backtestd_core::market::{BarIndex, Kind, RawPut, Records, Symbol, Ts};

/// A simulated exchange in a hurry sends a quote as rarely as once a minute of its time; each counts until
/// the next.
const HURRIED_QUOTE_MS: i64 = 60_000;

/// Mark, liquidation and quote bars under construction.
#[derive(Debug)]
pub(crate) struct Aggregates {
    marks: MarkAggregator,
    liquidations: LiquidationAggregator,
    quotes: QuoteAggregator,
    /// First bar not yet finished.
    open: BarIndex,
    /// First bars of contracts that have joined: nothing is told of them before.
    since: BTreeMap<Symbol, BarIndex>,
    unsaved: Unsaved,
}

/// What an earlier process left of bars that it did not finish.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journalled {
    /// The batches, oldest first.
    pub batches: Vec<Batch>,
    /// The last bar that has records of what has no history: it was finished.
    pub finished: Option<BarIndex>,
}

impl Aggregates {
    /// Watching begins within the bar `first`, by a clock that runs as fast as `clock` says.
    #[must_use]
    pub(crate) fn new(symbols: &[Symbol], first: BarIndex, clock: &ClockConfig) -> Self {
        let quotes = QuoteAggregator::new(symbols, first);
        let is_hurried = clock.source == ClockSource::Exchange && clock.speed > 1.0;
        Self {
            marks: MarkAggregator::new(symbols, first),
            liquidations: LiquidationAggregator::new(symbols, first),
            quotes: if is_hurried { quotes.with_oldest_quote_ms(HURRIED_QUOTE_MS) } else { quotes },
            open: first,
            since: BTreeMap::new(),
            unsaved: Unsaved::default(),
        }
    }

    /// Goes on with these contracts; those of `since` have just joined.
    pub(crate) fn follow(&mut self, symbols: &[Symbol], since: &BTreeMap<Symbol, BarIndex>) {
        self.marks.follow(symbols);
        self.liquidations.follow(symbols);
        self.quotes.follow(symbols);
        self.since.clone_from(since);
    }

    /// [`Aggregates::new`] at `now`, with what an earlier process left. The second part is the records of
    /// bars that it saw a part of and that have closed since: their coverage says how much. What happened
    /// while no process was there is unknown.
    #[must_use]
    pub(crate) fn restored(
        symbols: &[Symbol],
        now: Ts,
        clock: &ClockConfig,
        left: &Journalled,
        collect: Collect,
    ) -> (Self, Vec<RawPut>) {
        let (Some(oldest), Some(newest)) = (left.batches.first(), left.batches.last()) else {
            return (Self::new(symbols, now.bar(), clock), Vec::new());
        };
        let began = oldest.at.bar();
        let first = left.finished.map_or(began, |bar| began.max(bar.next())).min(now.bar());
        let mut restored = Self::new(symbols, first, clock);
        for update in left.batches.iter().flat_map(|batch| &batch.updates) {
            restored.observe(update);
        }
        restored.unsaved.take();
        let last_seen = newest.at.min(now);
        restored.liquidations.interrupted(last_seen);
        let mut records = Vec::new();
        if last_seen.bar() < now.bar() {
            records = restored.finish_before(last_seen.bar().next(), collect);
            // Nobody was there for the bars between.
            restored.finish(now.bar() - 1, Collect::default());
        }
        (restored, records)
    }

    /// Takes in an update; those that are no concern of bars are ignored.
    pub(crate) fn observe(&mut self, stamped: &Stamped) {
        let kept =
            [self.marks.observe(stamped), self.liquidations.observe(stamped), self.quotes.observe(stamped)];
        if kept.contains(&true) {
            self.unsaved.add(stamped);
        }
    }

    /// The records of a bar that has closed.
    pub(crate) fn finish(&mut self, bar: BarIndex, collect: Collect) -> Vec<RawPut> {
        self.open = self.open.max(bar.next());
        let marks = self.marks.finish(bar).into_iter().filter(|_| collect.has(Kind::Mark));
        let marks = marks.map(|(symbol, mark)| RawPut { symbol, records: Records::Mark(vec![mark]) });
        let sums = self.liquidations.finish(bar).into_iter().filter(|_| collect.has(Kind::Liquidations));
        let sums = sums.map(|(symbol, sum)| RawPut { symbol, records: Records::Liquidations(vec![sum]) });
        let quotes = self.quotes.finish(bar).into_iter().filter(|_| collect.has(Kind::Quotes));
        let quotes = quotes.map(|(symbol, quote)| RawPut { symbol, records: Records::Quotes(vec![quote]) });
        let has_begun = |put: &RawPut| self.since.get(&put.symbol).is_none_or(|since| bar >= *since);
        marks.chain(sums).chain(quotes).filter(has_begun).collect()
    }

    /// The records of every unfinished bar before `end`, where any part of the bar was observed: of what has
    /// no history. Mark prices of bars that nobody closed live come from history.
    pub(crate) fn finish_before(&mut self, end: BarIndex, collect: Collect) -> Vec<RawPut> {
        let mut records = Vec::new();
        while self.open < end {
            let found = self.finish(self.open, collect.kinds().filter(|kind| *kind != Kind::Mark).collect());
            records.extend(found.into_iter().filter(|put| match &put.records {
                Records::Liquidations(r) => r.iter().any(|sum| sum.coverage > 0.0),
                Records::Quotes(r) => r.iter().any(|quote| quote.coverage > 0.0),
                _ => true,
            }));
        }
        records
    }

    /// Contracts whose mark at the end of `bar` is not known yet.
    #[must_use]
    pub(crate) fn without_mark(&self, bar: BarIndex) -> BTreeSet<Symbol> {
        let has_begun = |symbol: &Symbol| self.since.get(symbol).is_none_or(|since| bar >= *since);
        self.marks.silent_in(bar).into_iter().filter(has_begun).collect()
    }

    /// Updates that are not in the journal.
    #[must_use]
    pub(crate) fn unsaved(&self) -> usize {
        self.unsaved.len()
    }

    /// What to add to the journal at `now`.
    pub(crate) fn journal(&mut self, now: Ts) -> Batch {
        Batch { at: now, updates: self.unsaved.take() }
    }

    /// Everything that unfinished bars are made of: a journal that begins with it needs nothing from before.
    pub(crate) fn whole_journal(&mut self, now: Ts) -> Batch {
        self.unsaved.take();
        let updates = [self.marks.pending(), self.liquidations.pending(), self.quotes.pending()].concat();
        Batch { at: now, updates }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_binance::{ForceOrder, Route, Side, StreamKind, StreamState, StreamStatus, Update};
    use backtestd_core::market::LiquidationBar;

    const BAR: BarIndex = BarIndex(6_000_000);
    const CLOCK: ClockConfig = ClockConfig { source: ClockSource::System, speed: 1.0 };
    fn liquidations() -> Collect {
        [Kind::Liquidations].into_iter().collect()
    }

    fn symbols() -> Vec<Symbol> {
        vec![Symbol::new("BTCUSDT").unwrap()]
    }

    fn at(seconds: i64) -> Ts {
        Ts(BAR.open().0 + seconds * 1000)
    }

    fn stream(state: StreamState, seconds: i64) -> Stamped {
        let since = at(seconds);
        let (route, kind) = (Route::FuturesMarket, StreamKind::ForceOrder);
        let status = StreamStatus { route, shard: 0, kind, state, since, reason: String::new() };
        Stamped { arrival: since, update: Update::Stream(status) }
    }

    fn order(seconds: i64) -> Stamped {
        let order = ForceOrder {
            symbol: symbols().remove(0),
            side: Side::Sell,
            quantity: 2.0,
            filled: 2.0,
            price: 100.0,
            average_price: 100.0 + seconds as f64,
            trade_ts: at(seconds),
            event_ts: at(seconds),
        };
        Stamped { arrival: at(seconds), update: Update::ForceOrder(order) }
    }

    fn left(batches: &[Batch]) -> Journalled {
        let batches =
            batches.iter().map(|batch| Batch::from_bytes(&batch.to_bytes().unwrap()).unwrap()).collect();
        Journalled { batches, finished: Some(BAR - 1) }
    }

    fn sums(puts: &[RawPut]) -> Vec<LiquidationBar> {
        let one = |put: &RawPut| match &put.records {
            Records::Liquidations(r) => r[0],
            other => panic!("{other:?}"),
        };
        puts.iter().map(one).collect()
    }

    #[test]
    fn a_process_that_dies_within_a_bar_loses_no_order_that_was_journalled() {
        let mut whole = Aggregates::new(&symbols(), BAR, &CLOCK);
        let mut dies = Aggregates::new(&symbols(), BAR, &CLOCK);
        let mut journal = Vec::new();
        let before = [stream(StreamState::Live, 0), order(10), order(70), order(70), order(130)];
        for (n, update) in before.iter().enumerate() {
            whole.observe(update);
            dies.observe(update);
            if n % 2 == 1 {
                journal.push(dies.journal(update.arrival));
            }
        }
        journal.push(dies.journal(at(140)));
        assert_eq!(dies.unsaved(), 0);
        // Ten seconds nobody is there.
        let (mut lives, closed) =
            Aggregates::restored(&symbols(), at(150), &CLOCK, &left(&journal), liquidations());
        assert_eq!(closed, []);
        for update in [stream(StreamState::Live, 150), order(200)] {
            lives.observe(&update);
            whole.observe(&update);
        }
        let (whole, lives) =
            (sums(&whole.finish(BAR, liquidations())), sums(&lives.finish(BAR, liquidations())));
        assert_eq!((whole[0].long_usd, whole[0].long_n), (lives[0].long_usd, lives[0].long_n));
        assert_eq!((whole[0].long_n, whole[0].coverage), (4.0, 1.0));
        assert!((lives[0].coverage - 290.0 / 300.0).abs() < 1e-12, "{}", lives[0].coverage);
    }

    #[test]
    fn a_bar_that_closed_meanwhile_is_told_with_what_was_seen_of_it_and_those_after_it_are_not() {
        let mut dies = Aggregates::new(&symbols(), BAR, &CLOCK);
        [stream(StreamState::Live, 0), order(10)].iter().for_each(|u| dies.observe(u));
        let journal = [dies.journal(at(60))];
        let (mut lives, closed) =
            Aggregates::restored(&symbols(), at(1000), &CLOCK, &left(&journal), liquidations());
        let [sum] = sums(&closed)[..] else { panic!("{closed:?}") };
        assert_eq!((sum.bar, sum.long_n, sum.coverage), (BAR, 1.0, 0.2));
        // The bar of the restart knows only what came after it.
        [stream(StreamState::Live, 1000), order(1010)].iter().for_each(|u| lives.observe(u));
        let [sum] = sums(&lives.finish(BAR + 3, liquidations()))[..] else { panic!("one symbol") };
        assert_eq!((sum.long_n, sum.coverage), (1.0, 200.0 / 300.0));
    }

    #[test]
    fn a_finished_bar_is_not_made_again_and_a_journal_that_begins_anew_needs_nothing_from_before() {
        let mut dies = Aggregates::new(&symbols(), BAR, &CLOCK);
        [stream(StreamState::Live, 0), order(10)].iter().for_each(|u| dies.observe(u));
        let old = dies.journal(at(20));
        dies.observe(&order(301));
        dies.finish(BAR, liquidations());
        let anew = dies.whole_journal(at(302));
        for journal in [vec![old, anew.clone()], vec![anew]] {
            let left = Journalled { finished: Some(BAR), ..left(&journal) };
            let (mut lives, closed) =
                Aggregates::restored(&symbols(), at(400), &CLOCK, &left, liquidations());
            assert_eq!(closed, []);
            lives.observe(&stream(StreamState::Live, 400));
            let [sum] = sums(&lives.finish(BAR + 1, liquidations()))[..] else { panic!("one symbol") };
            assert_eq!((sum.long_n, sum.coverage), (1.0, 202.0 / 300.0));
        }
    }

    #[test]
    fn a_connection_that_does_not_come_back_does_not_count_for_ever() {
        let mut dies = Aggregates::new(&symbols(), BAR, &CLOCK);
        dies.observe(&stream(StreamState::Live, 0));
        let (mut lives, _) =
            Aggregates::restored(&symbols(), at(20), &CLOCK, &left(&[dies.journal(at(10))]), liquidations());
        // The streams are laid out otherwise now.
        let Update::Stream(mut other) = stream(StreamState::Live, 20).update else { panic!("a status") };
        other.shard = 1;
        lives.observe(&Stamped { arrival: at(20), update: Update::Stream(other) });
        assert_eq!(
            sums(&lives.finish(BAR, liquidations()))[0].coverage,
            0.0,
            "which of them carried what is unknown"
        );
        assert_eq!(sums(&lives.finish(BAR + 1, liquidations()))[0].coverage, 1.0);
    }
}
