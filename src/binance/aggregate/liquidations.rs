//! Liquidation orders to [`LiquidationBar`]s.

use std::collections::{BTreeMap, BTreeSet};

use crate::routes::StreamKind;
use crate::update::{ForceOrder, Side, Stamped, StreamState, StreamStatus, Update};
use backtestd_core::market::{BAR_MS, BarIndex, LiquidationBar, Symbol, Ts};

/// Sums of liquidation orders per bar with the share of the bar during which the stream was connected.
///
/// Of the orders of a symbol within one second the stream shows one: the *latest* before 2026-04-14, the
/// *largest* since. Counts and sums before and after are not comparable.
///
/// An order belongs to the bar of its trade time; it arrives about a second later, so a bar is finished some
/// seconds after its close. Value is filled quantity × average price. The same order twice counts once (two
/// sockets during a handover; half of the rows of one public collection are such repeats). COIN-M orders
/// never get here: the decoder drops them.
#[derive(Clone, Debug)]
pub struct LiquidationAggregator {
    /// First bar not yet finished.
    open: BarIndex,
    symbols: BTreeMap<Symbol, BTreeMap<BarIndex, BTreeSet<Order>>>,
    /// Each connection that carries liquidations: when it was connected.
    connections: BTreeMap<(usize, usize), Connection>,
    /// Connections that are new from now on carry contracts that have joined: of the others they have missed
    /// nothing.
    takes_latecomers: bool,
}

/// Everything that makes an order itself; floats by their bits, which are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    trade_ts: Ts,
    side: Side,
    filled: u64,
    average_price: u64,
    quantity: u64,
    price: u64,
    event_ts: Ts,
}

/// Spans `[from, to)` of being connected, ascending; an open end is the present.
#[derive(Clone, Debug, Default)]
struct Connection {
    spans: Vec<(Ts, Option<Ts>)>,
    latest: Option<StreamStatus>,
    /// Known from before a restart only.
    is_of_before: bool,
}

impl LiquidationAggregator {
    /// For the contracts in `symbols`; the first bar to finish is `first`.
    #[must_use]
    pub fn new(symbols: &[Symbol], first: BarIndex) -> Self {
        let symbols = symbols.iter().map(|s| (s.clone(), BTreeMap::new())).collect();
        Self { open: first, symbols, connections: BTreeMap::new(), takes_latecomers: false }
    }

    /// Goes on with these contracts: what is kept of others goes, further ones begin with nothing. The bar in
    /// which a contract joins is not covered for it, and is not to be told.
    pub fn follow(&mut self, symbols: &[Symbol]) {
        let mut before = std::mem::take(&mut self.symbols);
        let kept = |s: &Symbol| (s.clone(), before.remove(s).unwrap_or_default());
        self.symbols = symbols.iter().map(kept).collect();
        self.takes_latecomers = true;
    }

    /// Takes note of an order or of a change of the liquidation stream; anything else is ignored. Whether it
    /// counts: an update that a restart would need.
    pub fn observe(&mut self, stamped: &Stamped) -> bool {
        match &stamped.update {
            Update::ForceOrder(order) => self.on_order(order),
            Update::Stream(status) if status.kind == StreamKind::ForceOrder => {
                let began = Connection { spans: vec![(self.open.open(), None)], ..Connection::default() };
                let new = if self.takes_latecomers { began } else { Connection::default() };
                let key = (status.route as usize, status.shard);
                self.connections.entry(key).or_insert(new).change(status);
                true
            }
            _ => false,
        }
    }

    fn on_order(&mut self, order: &ForceOrder) -> bool {
        let bar = order.trade_ts.bar();
        let bars = self.symbols.get_mut(&order.symbol).filter(|_| bar >= self.open);
        bars.is_some_and(|bars| bars.entry(bar).or_default().insert(Order::new(order)))
    }

    /// After a restart: this process was not there from `since` (the last instant it is known to have lived)
    /// until the streams say that they are live again. A connection that does not come back, because streams
    /// are laid out otherwise now, counts for the bars that it was part of, and no longer.
    pub fn interrupted(&mut self, since: Ts) {
        for connection in self.connections.values_mut() {
            connection.end(since);
            connection.is_of_before = true;
        }
    }

    /// The record of every symbol for `bar`, and forgets what no later bar needs. Bars are finished in order.
    pub fn finish(&mut self, bar: BarIndex) -> Vec<(Symbol, LiquidationBar)> {
        self.open = self.open.max(bar.next());
        let coverage = self.coverage(bar);
        for connection in self.connections.values_mut() {
            connection.spans.retain(|(_, to)| to.is_none_or(|to| to > bar.close()));
        }
        self.connections.retain(|_, c| !(c.is_of_before && c.spans.is_empty()));
        let finish_one = |(symbol, bars): (&Symbol, &mut BTreeMap<BarIndex, BTreeSet<Order>>)| {
            let kept = bars.split_off(&bar.next());
            let finished = std::mem::replace(bars, kept);
            let orders = finished.get(&bar).into_iter().flatten();
            (symbol.clone(), summarise(orders, bar, coverage))
        };
        self.symbols.iter_mut().map(finish_one).collect()
    }

    /// Share of the bar during which every connection that carries liquidations was up.
    fn coverage(&self, bar: BarIndex) -> f64 {
        let mut common = vec![(bar.open(), bar.close())];
        for connection in self.connections.values() {
            let mut both = Vec::new();
            for (from, to) in &connection.spans {
                let to = to.unwrap_or(bar.close());
                both.extend(common.iter().map(|(a, b)| (*a.max(from), *b.min(&to))).filter(|(a, b)| a < b));
            }
            common = both;
        }
        if self.connections.is_empty() {
            return 0.0;
        }
        let covered_ms: i64 = common.iter().map(|(a, b)| b.0 - a.0).sum();
        covered_ms as f64 / BAR_MS as f64
    }

    /// The updates that would rebuild what is kept: orders of open bars and what was last known of each
    /// connection. Earlier interruptions of the open bar are kept as changes of state.
    #[must_use]
    pub fn pending(&self) -> Vec<Stamped> {
        let orders = self
            .symbols
            .iter()
            .flat_map(|(symbol, bars)| bars.values().flatten().map(|order| order.to_update(symbol)));
        let changes = self.connections.values().flat_map(Connection::changes);
        changes.chain(orders).collect()
    }
}

impl Connection {
    fn change(&mut self, status: &StreamStatus) {
        match status.state {
            StreamState::Live => {
                if self.spans.last().is_none_or(|(_, to)| to.is_some()) {
                    // A change never reaches back into what was told before.
                    let earliest = self.spans.last().and_then(|(_, to)| *to).unwrap_or(status.since);
                    self.spans.push((status.since.max(earliest), None));
                }
            }
            StreamState::Stale | StreamState::Down => self.end(status.since),
        }
        self.latest = Some(status.clone());
        self.is_of_before = false;
    }

    fn end(&mut self, at: Ts) {
        if let Some((from, to @ None)) = self.spans.last_mut() {
            *to = Some(at.max(*from));
        }
    }

    /// The spans as changes of state.
    fn changes(&self) -> Vec<Stamped> {
        let Some(latest) = &self.latest else { return Vec::new() };
        let change = |state, since| {
            let status = StreamStatus { state, since, reason: String::new(), ..latest.clone() };
            Stamped { arrival: since, update: Update::Stream(status) }
        };
        let mut changes = Vec::new();
        for (from, to) in &self.spans {
            changes.push(change(StreamState::Live, *from));
            changes.extend(to.map(|to| change(StreamState::Down, to)));
        }
        if changes.is_empty() {
            changes.push(change(latest.state, latest.since));
        }
        changes
    }
}

impl Order {
    const fn new(order: &ForceOrder) -> Self {
        Self {
            trade_ts: order.trade_ts,
            side: order.side,
            filled: order.filled.to_bits(),
            average_price: order.average_price.to_bits(),
            quantity: order.quantity.to_bits(),
            price: order.price.to_bits(),
            event_ts: order.event_ts,
        }
    }

    fn to_update(self, symbol: &Symbol) -> Stamped {
        let order = ForceOrder {
            symbol: symbol.clone(),
            side: self.side,
            quantity: f64::from_bits(self.quantity),
            filled: f64::from_bits(self.filled),
            price: f64::from_bits(self.price),
            average_price: f64::from_bits(self.average_price),
            trade_ts: self.trade_ts,
            event_ts: self.event_ts,
        };
        Stamped { arrival: self.event_ts, update: Update::ForceOrder(order) }
    }
}

fn summarise<'o>(orders: impl Iterator<Item = &'o Order>, bar: BarIndex, coverage: f64) -> LiquidationBar {
    let mut record =
        LiquidationBar { bar, long_usd: 0.0, short_usd: 0.0, long_n: 0.0, short_n: 0.0, coverage };
    for order in orders {
        let usd = f64::from_bits(order.filled) * f64::from_bits(order.average_price);
        // A liquidated long is sold.
        let (sum, count) = match order.side {
            Side::Sell => (&mut record.long_usd, &mut record.long_n),
            Side::Buy => (&mut record.short_usd, &mut record.short_n),
        };
        *sum += usd;
        *count += 1.0;
    }
    record
}
