//! How much of what is asked for at one instant fits under the caps. Deterministic, in proportion, and blind
//! to the order in which it is asked.

use std::collections::BTreeMap;

use crate::market::{Side, Symbol};
use crate::spec::strategies::PortfolioSpec;

/// A position that is asked for. Sizes are notional over equity.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    /// Symbol to trade.
    pub symbol: Symbol,
    /// Canonical family of the event.
    pub family: String,
    /// Side of the position.
    pub side: Side,
    /// Size that is asked for.
    pub size: f64,
}

/// What is open, notional over equity.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Book {
    /// Sum of long and short sizes.
    pub gross: f64,
    /// Long less short.
    pub net: f64,
    /// Gross by symbol.
    pub symbols: BTreeMap<Symbol, f64>,
    /// Gross by family.
    pub families: BTreeMap<String, f64>,
}

impl Book {
    /// Adds a position.
    pub(super) fn add(&mut self, ask: &Ask, size: f64) {
        self.gross += size;
        self.net += ask.side.sign() * size;
        *self.symbols.entry(ask.symbol.clone()).or_default() += size;
        *self.families.entry(ask.family.clone()).or_default() += size;
    }
}

/// Sizes that fit: throttled, then under the caps on symbols, families, gross and net, in this order. Each
/// cap scales what it binds in proportion; scaling only ever makes sizes smaller, so that an earlier cap
/// holds after a later one. (Net is the exception that proves it: cutting the longs cannot break the cap on
/// shorts, because the side that is cut was above its cap and is left exactly on it.)
#[must_use]
pub(super) fn allocate(asks: &[Ask], book: &Book, caps: &PortfolioSpec, throttle: f64) -> Vec<f64> {
    let mut sizes: Vec<f64> = asks.iter().map(|ask| ask.size * throttle).collect();
    scale_by(&mut sizes, asks, |ask| &ask.symbol, &book.symbols, caps.max_symbol);
    scale_by(&mut sizes, asks, |ask| &ask.family, &book.families, caps.max_family);
    let sum: f64 = sizes.iter().sum();
    let fits = share(caps.max_gross - book.gross, sum);
    sizes.iter_mut().for_each(|size| *size *= fits);

    let of = |sizes: &[f64], side: Side| -> f64 {
        sizes.iter().zip(asks).filter(|(_, ask)| ask.side == side).map(|(size, _)| size).sum()
    };
    let (long, short) = (of(&sizes, Side::Long), of(&sizes, Side::Short));
    let net = book.net + long - short;
    let (side, room) = if net > caps.max_net {
        (Side::Long, share(caps.max_net - book.net + short, long))
    } else if net < -caps.max_net {
        (Side::Short, share(caps.max_net + book.net + long, short))
    } else {
        return sizes;
    };
    for (size, _) in sizes.iter_mut().zip(asks).filter(|(_, ask)| ask.side == side) {
        *size *= room;
    }
    sizes
}

fn scale_by<K: Ord>(
    sizes: &mut [f64],
    asks: &[Ask],
    key: impl Fn(&Ask) -> &K,
    open: &BTreeMap<K, f64>,
    cap: f64,
) {
    let mut asked: BTreeMap<&K, f64> = BTreeMap::new();
    for (size, ask) in sizes.iter().zip(asks) {
        *asked.entry(key(ask)).or_default() += size;
    }
    for (size, ask) in sizes.iter_mut().zip(asks) {
        let key = key(ask);
        *size *= share(cap - open.get(key).copied().unwrap_or(0.0), asked[key]);
    }
}

/// The share of `asked` that `room` holds, between 0 and 1.
fn share(room: f64, asked: f64) -> f64 {
    if asked <= room { 1.0 } else { (room / asked).max(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::strategies::OrderFilters;

    fn ask(symbol: &str, side: Side, size: f64) -> Ask {
        Ask { symbol: Symbol::new(symbol).unwrap(), family: "F".to_owned(), side, size }
    }

    fn caps(gross: f64, net: f64, symbol: f64, family: f64) -> PortfolioSpec {
        PortfolioSpec {
            equity: 1000.0,
            max_gross: gross,
            max_net: net,
            max_symbol: symbol,
            max_family: family,
            drawdown_begin: 0.1,
            drawdown_end: 0.2,
            order_filters: OrderFilters::Exchange,
            min_notional: 0.0,
        }
    }

    const FREE: f64 = f64::INFINITY;

    #[test]
    fn worked_examples_of_the_prior_allocator() {
        let both = [ask("BTCUSDT", Side::Long, 1.0), ask("ETHUSDT", Side::Long, 1.0)];
        // Two longs under a cap of 1.5 on the portfolio: 0.75 each.
        assert_eq!(allocate(&both, &Book::default(), &caps(1.5, FREE, FREE, FREE), 1.0), [0.75, 0.75]);
        // A cap of 1 on what moves together: half each on the same side, whole on opposite sides.
        assert_eq!(allocate(&both, &Book::default(), &caps(FREE, 1.0, FREE, FREE), 1.0), [0.5, 0.5]);
        let opposite = [ask("BTCUSDT", Side::Long, 1.0), ask("ETHUSDT", Side::Short, 1.0)];
        assert_eq!(allocate(&opposite, &Book::default(), &caps(FREE, 1.0, FREE, FREE), 1.0), [1.0, 1.0]);
    }

    #[test]
    fn what_is_open_keeps_its_room_and_what_is_asked_for_shares_the_rest() {
        let mut book = Book::default();
        book.add(&ask("BTCUSDT", Side::Long, 0.8), 0.8);
        let asks = [
            ask("BTCUSDT", Side::Long, 0.4),
            ask("BTCUSDT", Side::Long, 0.2),
            ask("ETHUSDT", Side::Long, 0.5),
        ];
        let by_symbol = allocate(&asks, &book, &caps(FREE, FREE, 1.0, FREE), 1.0);
        for (size, wanted) in by_symbol.iter().zip([0.4 / 3.0, 0.2 / 3.0, 0.5]) {
            assert!((size - wanted).abs() < 1e-12, "{by_symbol:?}");
        }
        assert_eq!(allocate(&asks, &book, &caps(0.8, FREE, FREE, FREE), 1.0), [0.0; 3]);
        assert_eq!(
            allocate(&asks, &book, &caps(0.5, FREE, FREE, FREE), 1.0),
            [0.0; 3],
            "a cap that is broken already"
        );
        let by_family: f64 = allocate(&asks, &book, &caps(FREE, FREE, FREE, 1.0), 1.0).iter().sum();
        assert!((by_family - 0.2).abs() < 1e-12);
    }

    #[test]
    fn the_side_that_leans_too_far_is_cut_to_the_cap_and_the_other_is_left() {
        let asks = [ask("A", Side::Long, 1.0), ask("B", Side::Long, 1.0), ask("C", Side::Short, 0.5)];
        let sizes = allocate(&asks, &Book::default(), &caps(FREE, 0.7, FREE, FREE), 1.0);
        assert_eq!(sizes, [0.6, 0.6, 0.5]);
        let mut short = Book::default();
        short.add(&ask("D", Side::Short, 1.0), 1.0);
        let sizes = allocate(&asks[2..], &short, &caps(FREE, 1.2, FREE, FREE), 1.0);
        assert!((sizes[0] - 0.2).abs() < 1e-12);
    }

    #[test]
    fn no_cap_and_no_throttle_leave_everything_as_it_is() {
        let asks = [ask("A", Side::Long, 3.0), ask("B", Side::Short, 2.0)];
        assert_eq!(allocate(&asks, &Book::default(), &caps(FREE, FREE, FREE, FREE), 1.0), [3.0, 2.0]);
        assert_eq!(allocate(&asks, &Book::default(), &caps(FREE, FREE, FREE, FREE), 0.25), [0.75, 0.5]);
    }
}
