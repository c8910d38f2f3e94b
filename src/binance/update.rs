//! What the client hands to the daemon: typed updates, each stamped with its arrival.

use backtestd_core::clock::Clock;
use backtestd_core::market::{BAR_MS, Bar, Market, Symbol, Ts};
use serde::{Deserialize, Serialize};

use super::clock::ExchangeClock;
use super::routes::{Route, StreamKind};

/// An update and the instant at which this process had it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    /// The process clock at reception.
    pub arrival: Ts,
    /// The update itself, as decoded.
    pub update: Update,
}

impl Stamped {
    /// Stamps it anew where it was stamped by another clock: by the machine's, before the exchange had told
    /// the time, or by one that was ahead.
    pub fn stamp_by(&mut self, clock: &ExchangeClock) {
        if !clock.has_shown(self.arrival) {
            self.arrival = clock.now();
        }
        if let Update::Stream(status) = &mut self.update
            && !clock.has_shown(status.since)
        {
            status.since = self.arrival;
        }
    }
}

/// One fact from a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// A bar, running or closed.
    Kline(KlineUpdate),
    /// Mark and index price with the predicted funding rate (USD-M).
    Mark(MarkUpdate),
    /// A liquidation order (USD-M).
    ForceOrder(ForceOrder),
    /// Best bid and ask.
    BookTicker(BookTicker),
    /// An aggregated trade.
    AggTrade(Trade),
    /// A single trade.
    Trade(Trade),
    /// Changed or best levels of an order book.
    Depth(DepthUpdate),
    /// A contract was listed, settled or re-bracketed (USD-M).
    Contract(ContractUpdate),
    /// A frame that cannot be read, or that tells what cannot be true.
    Refused(RefusedFrame),
    /// A stream became live, silent or lost. It travels with the data so that whoever measures coverage sees
    /// both in one order.
    Stream(StreamStatus),
}

impl Update {
    /// When it happened, by the exchange's clock; none where the exchange does not say.
    #[must_use]
    pub const fn event_ts(&self) -> Option<Ts> {
        match self {
            Self::Kline(kline) => Some(kline.event_ts),
            Self::Mark(mark) => Some(mark.event_ts),
            Self::ForceOrder(order) => Some(order.event_ts),
            Self::BookTicker(quote) => quote.event_ts,
            Self::AggTrade(trade) | Self::Trade(trade) => Some(trade.event_ts),
            Self::Depth(depth) => depth.event_ts,
            Self::Contract(contract) => Some(contract.event_ts),
            Self::Stream(_) | Self::Refused(_) => None,
        }
    }
}

/// A frame as it came, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFrame {
    /// The route that it came over.
    pub route: Route,
    /// What is wrong, in words.
    pub reason: String,
    /// The beginning of its text.
    pub frame: String,
}

/// A bar as the kline stream reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct KlineUpdate {
    /// Perpetual or spot.
    pub market: Market,
    /// The contract or pair.
    pub symbol: Symbol,
    /// Length of the bar.
    pub interval_ms: i64,
    /// Open time of the bar.
    pub open_ts: Ts,
    /// Values; its slot is the grid slot that holds `open_ts`.
    pub bar: Bar,
    /// The exchange calls it final. Sent once: a reconnect can miss it, so REST confirms every bar.
    pub closed: bool,
    /// Event time that the exchange stamped, UTC ms.
    pub event_ts: Ts,
}

impl KlineUpdate {
    /// Whether it is a bar of the 5-minute grid.
    #[must_use]
    pub const fn is_grid_bar(&self) -> bool {
        self.interval_ms == BAR_MS && self.open_ts.0 == self.bar.bar.open().0
    }
}

/// Mark price, index price, predicted funding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarkUpdate {
    /// The contract that is priced.
    pub symbol: Symbol,
    /// Mark price, quote currency.
    pub mark: f64,
    /// Index price, quote currency.
    pub index: f64,
    /// Predicted rate of the running interval, decimal per interval; NaN for delivery contracts.
    pub predicted_rate: f64,
    /// End of the running interval.
    pub next_funding_ts: Option<Ts>,
    /// Event time that the exchange stamped, UTC ms.
    pub event_ts: Ts,
}

/// Side of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Bought: as a liquidation it closes a short.
    Buy,
    /// Sold: as a liquidation it closes a long.
    Sell,
}

/// A liquidation order. The stream shows at most one per symbol and second (the largest since 2026-04-14, the
/// latest before), so sums are lower bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForceOrder {
    /// The contract whose position was liquidated.
    pub symbol: Symbol,
    /// Side of the order: [`Side::Sell`] = a long was liquidated.
    pub side: Side,
    /// Ordered quantity, base units.
    pub quantity: f64,
    /// Filled quantity, base units.
    pub filled: f64,
    /// Order (bankruptcy) price.
    pub price: f64,
    /// Average fill price.
    pub average_price: f64,
    /// Trade time of the order, UTC ms.
    pub trade_ts: Ts,
    /// Event time, about a second after the trade.
    pub event_ts: Ts,
}

impl ForceOrder {
    /// What was really traded, quote units: filled quantity × average price.
    #[must_use]
    pub fn notional(&self) -> f64 {
        self.filled * self.average_price
    }
}

/// Best bid and ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BookTicker {
    /// Perpetual or spot.
    pub market: Market,
    /// The contract or pair.
    pub symbol: Symbol,
    /// Order book update id.
    pub update_id: i64,
    /// Best bid; 0 when that side is empty.
    pub bid: f64,
    /// Quantity at the best bid, base units.
    pub bid_quantity: f64,
    /// Best ask; 0 when that side is empty.
    pub ask: f64,
    /// Quantity at the best ask, base units.
    pub ask_quantity: f64,
    /// Transaction time; spot does not say.
    pub event_ts: Option<Ts>,
}

/// A trade or an aggregate of trades.
#[derive(Clone, Debug, PartialEq)]
pub struct Trade {
    /// Perpetual or spot.
    pub market: Market,
    /// The contract or pair.
    pub symbol: Symbol,
    /// Trade id or aggregate id.
    pub id: i64,
    /// Price, quote currency.
    pub price: f64,
    /// Quantity, base units.
    pub quantity: f64,
    /// First and last trade id of an aggregate; the id itself for a single trade.
    pub trade_ids: (i64, i64),
    /// The buyer rested in the book: the taker sold.
    pub buyer_is_maker: bool,
    /// Time of the trade, UTC ms.
    pub trade_ts: Ts,
    /// Event time that the exchange stamped, UTC ms.
    pub event_ts: Ts,
}

/// Changed or best levels of a book.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthUpdate {
    /// Perpetual or spot.
    pub market: Market,
    /// The contract or pair; spot partial books name it in the stream only.
    pub symbol: Option<Symbol>,
    /// First update id covered, where given.
    pub first_id: Option<i64>,
    /// Last update id covered.
    pub last_id: i64,
    /// Last update id of the previous message (USD-M).
    pub previous_id: Option<i64>,
    /// (price, quantity); quantity 0 removes the level.
    pub bids: Vec<(f64, f64)>,
    /// (price, quantity); quantity 0 removes the level.
    pub asks: Vec<(f64, f64)>,
    /// Event time, where given.
    pub event_ts: Option<Ts>,
}

/// News about a contract.
#[derive(Clone, Debug, PartialEq)]
pub struct ContractUpdate {
    /// The contract that the news is about.
    pub symbol: Symbol,
    /// Contract type as the exchange writes it.
    pub contract_type: String,
    /// Status as the exchange writes it; unknown values will come.
    pub status: String,
    /// Listing time of the contract, where given.
    pub onboard_ts: Option<Ts>,
    /// Delivery or delisting time.
    pub delivery_ts: Option<Ts>,
    /// Event time that the exchange stamped, UTC ms.
    pub event_ts: Ts,
}

/// How a stream kind on one route is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// The route that carries the stream.
    pub route: Route,
    /// Which of the route's connections (a route is split when it has more streams than one socket may
    /// carry).
    pub shard: usize,
    /// The kind of stream.
    pub kind: StreamKind,
    /// What it is now.
    pub state: StreamState,
    /// When it became so, by the process clock.
    pub since: Ts,
    /// Why, for people. The journal does not keep it.
    #[serde(skip)]
    pub reason: String,
}

/// State of a stream kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StreamState {
    /// Subscribed and acknowledged; data flows or may flow.
    Live,
    /// Subscribed, but silent for longer than its kind ever is: the socket is being replaced.
    Stale,
    /// No connection carries the stream.
    Down,
}

impl StreamState {
    /// The name in `status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Down => "down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{Route, StreamKind};

    /// The clock of the machine was months ahead of the exchange's when the sockets were subscribed.
    #[test]
    fn what_the_machines_clock_stamped_is_stamped_by_the_exchanges() {
        let clock = ExchangeClock::new(1.0);
        let before = clock.now();
        let told = Ts(before.0 - 200 * 86_400_000);
        clock.set(told);
        let stamped = |arrival: Ts, since: Ts| {
            let (route, kind, state) = (Route::FuturesMarket, StreamKind::ForceOrder, StreamState::Live);
            let status = StreamStatus { route, shard: 0, kind, state, since, reason: String::new() };
            let mut stamped = Stamped { arrival, update: Update::Stream(status) };
            stamped.stamp_by(&clock);
            let Update::Stream(status) = stamped.update else { unreachable!() };
            (stamped.arrival, status.since)
        };
        let now = told.0..told.0 + 60_000;
        let (arrival, since) = stamped(before, before);
        assert!(now.contains(&arrival.0) && since == arrival, "{arrival} {since}");
        let (arrival, since) = stamped(told, before);
        assert_eq!((arrival, since), (told, told), "a change that was told later");
        assert_eq!(stamped(told, told), (told, told), "what the exchange's clock stamped stays");
    }
}
