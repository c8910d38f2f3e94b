//! A trade with its way from bar to bar.

use super::filters::Filters;
use crate::blueprints::Blueprint;
use crate::market::{BPS, BarIndex, Side, Symbol, Ts};
use crate::outcomes::event_id;
use crate::tradability::{ExitReason, Market, OrderRules, Trade};

/// A trade that an account may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// Id of the blueprint.
    pub blueprint: String,
    /// Id of its event.
    pub event_id: String,
    /// Canonical family of its event: positions of a family answer to the same moves.
    pub family: String,
    /// Symbol that is traded.
    pub symbol: Symbol,
    /// Side of the position.
    pub side: Side,
    /// Bar at whose close (or open) it is entered.
    pub entry_bar: BarIndex,
    /// Bar on which it is closed.
    pub exit_bar: BarIndex,
    /// Instant of the entry.
    pub entry: Ts,
    /// Why it is closed.
    pub reason: ExitReason,
    /// Price of the entry.
    pub entry_price: f64,
    /// Price of the exit; of a stop or target, on the tick.
    pub exit_price: f64,
    /// What its orders are held to.
    pub orders: OrderRules,
    /// Notional over equity that the blueprint asks for.
    pub scale: f64,
    /// Round-trip cost, a share of the notional.
    pub cost: f64,
    /// Return and funding paid, shares of the notional, since the entry: at the close of each bar after the
    /// entry bar, at last on the exit bar.
    pub way: Vec<[f64; 2]>,
}

impl Position {
    /// Return and funding at the close of a bar.
    #[must_use]
    pub fn at(&self, bar: BarIndex) -> [f64; 2] {
        let last = self.way.len() as i64 - 1;
        match usize::try_from((bar - self.entry_bar - 1).min(last)) {
            Ok(step) => self.way.get(step).copied().unwrap_or([0.0; 2]),
            Err(_) => [0.0; 2],
        }
    }
}

/// The trades of a blueprint on one symbol as positions. Over a gap the way stands still. A trade whose entry
/// the market does not hold is left out.
#[must_use]
pub fn positions_of(
    blueprint: &Blueprint,
    trades: &[Trade],
    market: &Market,
    filters: &Filters,
) -> Vec<Position> {
    trades.iter().filter_map(|trade| position(blueprint, trade, market, filters)).collect()
}

fn position(blueprint: &Blueprint, trade: &Trade, market: &Market, filters: &Filters) -> Option<Position> {
    let entry_bar = trade.event_bar + i64::from(blueprint.entry.entry_lag_bars);
    let [open, .., close] = market.bars.at(entry_bar);
    let at_close = trade.entry == entry_bar.close();
    let entry_price = if at_close { close } else { open };
    if entry_price.is_nan() {
        return None;
    }
    let sign = trade.side.sign();
    let mut way: Vec<[f64; 2]> = Vec::new();
    for bar in (entry_bar.0 + 1..=trade.exit_bar.0).map(BarIndex) {
        let before = way.last().copied().unwrap_or([0.0; 2]);
        let gain = sign * (market.bars.at(bar)[3] / entry_price - 1.0);
        let paid = market.funding_between(trade.entry, bar.close());
        way.push([
            if gain.is_nan() { before[0] } else { gain },
            if paid.is_nan() { before[1] } else { sign * paid },
        ]);
    }
    let funding = if trade.funding_bps.is_nan() { 0.0 } else { trade.funding_bps };
    // The last step is the trade's own: a barrier fills inside its bar, on its tick.
    let orders = filters.rules(&trade.symbol, market.orders);
    let exit_price = orders.exit_price(blueprint, trade, entry_price);
    let gain =
        if orders.tick.is_some() { sign * (exit_price / entry_price - 1.0) } else { trade.gross_bps / BPS };
    let end = [gain, funding / BPS];
    match way.last_mut() {
        Some(last) => *last = end,
        None => way.push(end),
    }
    Some(Position {
        blueprint: blueprint.id.clone(),
        event_id: event_id(&blueprint.event_type, &trade.symbol, trade.event_bar),
        family: blueprint.canonical_family.clone(),
        symbol: trade.symbol.clone(),
        side: trade.side,
        entry_bar,
        exit_bar: trade.exit_bar,
        entry: trade.entry,
        reason: trade.reason,
        entry_price,
        exit_price,
        orders,
        scale: trade.scale,
        cost: trade.cost_bps / BPS,
        way,
    })
}
