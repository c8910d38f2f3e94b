//! How the streams are doing, as `status` shows it: connected is what the sockets say, live is what has been
//! heard.
//!
//! An acknowledged subscription proves nothing: the exchange acknowledges streams that it then does not
//! serve. So each kind is live only while something of it comes, and each symbol is watched by itself: one
//! that is muted among others is named, and its connection is replaced.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::daemon::shared::Shared;
use crate::daemon::status;
use backtestd_binance::{Route, StreamKind, StreamState, StreamStatus, Subscription, Update};
use backtestd_core::market::{BAR_MS, Market, Symbol, Ts};

/// Least real time before silence counts, however fast the clock runs.
const FLOOR: Duration = Duration::from_secs(3);
/// How often the patience with a muted symbol doubles: it may really be that quiet.
const DOUBLINGS: u32 = 6;
/// Muted symbols that are named one by one.
const NAMED: usize = 4;

/// The longest normal pauses, ms: of the kind as a whole, and of one symbol. None: it may be silent for ever.
const fn patience(kind: StreamKind) -> Option<(i64, i64)> {
    match kind {
        StreamKind::Kline => Some((60_000, 2 * BAR_MS + 30_000)),
        StreamKind::MarkPrice => Some((15_000, 60_000)),
        StreamKind::BookTicker => Some((60_000, 2 * BAR_MS)),
        _ => None,
    }
}

/// When something was last heard, by our clock and really.
#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Ts,
    real: Instant,
    /// How often in a row its connection was replaced in vain.
    replaced: u32,
    /// Silent beyond patience when last looked at.
    is_muted: bool,
}

type Line = (StreamKind, Market);

/// State of each kind of stream on each connection, and of each symbol.
#[derive(Debug, Default)]
pub(super) struct StreamStates {
    kinds: BTreeMap<(Route, usize, StreamKind), StreamState>,
    last_message: BTreeMap<Route, Ts>,
    connects: BTreeMap<(Route, usize, StreamKind), u64>,
    lines: BTreeMap<Line, BTreeMap<Symbol, Heard>>,
    silent: Vec<String>,
}

impl StreamStates {
    /// Watches what is subscribed, from `now` on.
    pub(super) fn new(subscribed: &[(Market, Subscription)], now: Ts) -> Self {
        let mut states = Self::default();
        for (market, subscription) in subscribed {
            let (Some(symbol), Some(_)) = (symbol_of(subscription), patience(subscription.kind())) else {
                continue;
            };
            let heard = Heard { at: now, real: Instant::now(), replaced: 0, is_muted: false };
            states.lines.entry((subscription.kind(), *market)).or_default().insert(symbol.clone(), heard);
        }
        states
    }

    /// Watches other subscriptions from `now` on; what was heard of those that stay counts.
    pub(super) fn watch(&mut self, subscribed: &[(Market, Subscription)], now: Ts) {
        let mut before = std::mem::take(&mut self.lines);
        self.lines = Self::new(subscribed, now).lines;
        for (line, symbols) in &mut self.lines {
            let Some(known) = before.get_mut(line) else { continue };
            for (symbol, heard) in symbols {
                *heard = known.remove(symbol).unwrap_or(*heard);
            }
        }
    }

    /// Takes in a change.
    pub(super) fn change(&mut self, change: &StreamStatus) {
        let key = (change.route, change.shard, change.kind);
        let was = self.kinds.insert(key, change.state);
        if change.state == StreamState::Live && was != Some(StreamState::Live) {
            *self.connects.entry(key).or_default() += 1;
        }
    }

    /// Notes an update.
    pub(super) fn heard(&mut self, update: &Update, at: Ts) {
        let (kind, market, symbol) = match update {
            Update::Kline(kline) => (StreamKind::Kline, kline.market, &kline.symbol),
            Update::Mark(mark) => (StreamKind::MarkPrice, Market::Perp, &mark.symbol),
            Update::BookTicker(quote) => (StreamKind::BookTicker, quote.market, &quote.symbol),
            _ => return,
        };
        if let Some(route) = kind.route(market) {
            self.last_message.insert(route, at);
        }
        if let Some(heard) = self.lines.get_mut(&(kind, market)).and_then(|line| line.get_mut(symbol)) {
            *heard = Heard { at, real: Instant::now(), replaced: 0, is_muted: false };
        }
    }

    /// Looks for silence; says whose connection to replace.
    pub(super) fn look(&mut self, now: Ts) -> Vec<(Market, Subscription)> {
        self.silent.clear();
        let mut to_replace = Vec::new();
        for ((kind, market), line) in &mut self.lines {
            let Some((of_kind, of_symbol)) = patience(*kind) else { continue };
            let is_silent =
                |heard: &Heard, limit_ms: i64| now.0 - heard.at.0 > limit_ms && heard.real.elapsed() > FLOOR;
            let newest = line.values().map(|heard| heard.at).max();
            if line.values().all(|heard| is_silent(heard, of_kind)) {
                // The socket's own watch replaces it.
                let since = newest.map_or(String::new(), |ts| format!(" since {ts}"));
                self.silent.push(format!("{market} {} is silent{since}", kind.name()));
                continue;
            }
            let mut muted: Vec<&Symbol> = Vec::new();
            for (symbol, heard) in line.iter_mut() {
                heard.is_muted = is_silent(heard, of_symbol);
                if !heard.is_muted {
                    continue;
                }
                muted.push(symbol);
                let due_ms = of_symbol.saturating_mul(1 << heard.replaced.min(DOUBLINGS));
                if is_silent(heard, due_ms) {
                    heard.replaced += 1;
                    to_replace.extend(subscription(*kind, symbol).map(|s| (*market, s)));
                }
            }
            if !muted.is_empty() {
                let named: Vec<&str> = muted.iter().take(NAMED).map(|symbol| symbol.as_str()).collect();
                let more = muted.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                self.silent.push(format!("{market} {} of {}{more} is silent", kind.name(), named.join(", ")));
            }
        }
        to_replace
    }

    /// What is wrong, in words; none if everything is heard.
    pub(super) fn trouble(&self) -> Option<String> {
        let down = self.kinds.iter().filter(|(_, state)| **state != StreamState::Live);
        let down = down
            .map(|((route, _, kind), state)| format!("{} {} is {}", route.name(), kind.name(), state.name()));
        let all: Vec<String> = down.chain(self.silent.iter().cloned()).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Writes the status section.
    pub(super) fn show(&self, shared: &Shared) {
        let mut streams: BTreeMap<Route, status::StreamStatus> = BTreeMap::new();
        for ((route, shard, kind), state) in &self.kinds {
            let entry = streams.entry(*route).or_insert_with(|| status::StreamStatus {
                name: route.name().to_owned(),
                connected: true,
                ..status::StreamStatus::default()
            });
            entry.connected &= *state == StreamState::Live;
            entry.last_message = self.last_message.get(route).copied();
            let connects = self.connects.get(&(*route, *shard, *kind)).copied().unwrap_or(0);
            entry.reconnects = entry.reconnects.max(connects.saturating_sub(1));
        }
        for ((kind, market), line) in &self.lines {
            let entry = kind.route(*market).and_then(|route| streams.get_mut(&route));
            let muted = line.iter().filter(|(_, heard)| heard.is_muted);
            if let Some(entry) = entry {
                entry.silent.extend(muted.map(|(symbol, _)| format!("{symbol} {}", kind.name())));
            }
        }
        shared.update(|s| s.streams = streams.into_values().collect());
    }
}

const fn symbol_of(subscription: &Subscription) -> Option<&Symbol> {
    match subscription {
        Subscription::Kline5m(symbol)
        | Subscription::MarkPrice(symbol)
        | Subscription::BookTicker(symbol) => Some(symbol),
        _ => None,
    }
}

fn subscription(kind: StreamKind, symbol: &Symbol) -> Option<Subscription> {
    Some(match kind {
        StreamKind::Kline => Subscription::Kline5m(symbol.clone()),
        StreamKind::MarkPrice => Subscription::MarkPrice(symbol.clone()),
        StreamKind::BookTicker => Subscription::BookTicker(symbol.clone()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_binance::MarkUpdate;

    fn symbol(name: &str) -> Symbol {
        Symbol::new(name).unwrap()
    }

    fn mark(name: &str, at: i64) -> Update {
        Update::Mark(MarkUpdate {
            symbol: symbol(name),
            mark: 1.0,
            index: 1.0,
            predicted_rate: 0.0,
            next_funding_ts: None,
            event_ts: Ts(at),
        })
    }

    /// Real time passes for everybody.
    fn wait(states: &mut StreamStates) {
        for heard in states.lines.values_mut().flat_map(BTreeMap::values_mut) {
            heard.real = heard.real.checked_sub(2 * FLOOR).unwrap();
        }
    }

    fn states() -> StreamStates {
        let wanted = ["BTCUSDT", "ETHUSDT"].map(|name| (Market::Perp, Subscription::MarkPrice(symbol(name))));
        StreamStates::new(&wanted, Ts(0))
    }

    fn status(state: StreamState) -> StreamStatus {
        let (route, kind) = (Route::FuturesMarket, StreamKind::MarkPrice);
        StreamStatus { route, shard: 0, kind, state, since: Ts(0), reason: String::new() }
    }

    #[test]
    fn a_kind_of_which_nothing_is_heard_is_not_live_whatever_was_acknowledged() {
        let mut states = states();
        states.change(&status(StreamState::Live));
        assert_eq!((states.look(Ts(10_000)), states.trouble()), (Vec::new(), None));
        wait(&mut states);
        assert_eq!(states.look(Ts(20_000)), []);
        states.change(&status(StreamState::Live));
        assert!(states.trouble().unwrap().contains("perp markPrice is silent since 1970"));
        states.heard(&mark("BTCUSDT", 21_000), Ts(21_000));
        states.look(Ts(22_000));
        assert_eq!(states.trouble(), None);
    }

    #[test]
    fn one_muted_symbol_is_named_and_its_connection_replaced_ever_more_rarely() {
        let mut states = states();
        let mut replaced = Vec::new();
        for second in 1..2_000 {
            states.heard(&mark("BTCUSDT", second * 1000), Ts(second * 1000));
            wait(&mut states);
            if !states.look(Ts(second * 1000)).is_empty() {
                replaced.push(second);
            }
        }
        assert_eq!(replaced, [61, 121, 241, 481, 961, 1921]);
        assert_eq!(states.trouble().as_deref(), Some("perp markPrice of ETHUSDT is silent"));
        states.heard(&mark("ETHUSDT", 2_000_000), Ts(2_000_000));
        assert_eq!((states.look(Ts(2_000_000)), states.trouble()), (Vec::new(), None));
    }
}
