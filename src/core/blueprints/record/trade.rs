//! What a blueprint trades and how: scope, entry, exit, size, costs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::market::{IntrabarPath, StopGapFill, Symbol, bar_type};
use crate::outcomes::EntryPrice;

/// Whether one symbol was tested or several pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeMode {
    /// The evidence is one symbol's.
    SingleSymbol,
    /// The evidence pools the symbols.
    MultiSymbol,
}

/// Symbols with their NautilusTrader names, in symbol order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolScope {
    /// One or several.
    pub mode: ScopeMode,
    /// Symbols with evidence at the first publication, as the exchange names them: the ones that are traded.
    pub symbols: Vec<Symbol>,
    /// `BTCUSDT-PERP.BINANCE`, aligned with `symbols`.
    pub instruments: Vec<String>,
    /// `BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-EXTERNAL`, aligned with `symbols`.
    #[serde(default)]
    pub bar_types: Vec<String>,
    /// Events in the evidence by symbol. A symbol of the pool that has none is not traded and not listed.
    #[serde(default)]
    pub n_by_symbol: BTreeMap<Symbol, u64>,
}

impl SymbolScope {
    /// Sorts the symbols and names their instruments.
    #[must_use]
    pub fn new(mode: ScopeMode, symbols: &[Symbol]) -> Self {
        let mut symbols = symbols.to_vec();
        symbols.sort();
        symbols.dedup();
        let instruments: Vec<String> = symbols.iter().map(Symbol::nautilus_perp).collect();
        let bar_types = symbols.iter().map(bar_type).collect();
        Self { mode, symbols, instruments, bar_types, n_by_symbol: BTreeMap::new() }
    }

    /// The scope of a tested pool: only symbols with events are traded. Where nothing was counted, all of
    /// them are.
    #[must_use]
    pub fn of_evidence(mode: ScopeMode, pool: &[Symbol], n_by_symbol: &BTreeMap<Symbol, u64>) -> Self {
        let seen: Vec<Symbol> =
            pool.iter().filter(|s| n_by_symbol.get(*s).is_some_and(|n| *n > 0)).cloned().collect();
        let mut scope = Self::new(mode, if seen.is_empty() { pool } else { &seen });
        scope.n_by_symbol =
            n_by_symbol.iter().filter(|(_, n)| **n > 0).map(|(s, n)| (s.clone(), *n)).collect();
        scope
    }
}

/// Id of the convention by which positions of a blueprint are filled. `close_lag_close/1`: entry at the close
/// of bar (event + `entry_lag_bars`), time exit at the close of bar (entry + `time_stop_bars`); exits cannot
/// trigger on the entry bar; no bar at the entry: no trade; no bar at the exit: the next bar that there is; a
/// bar is named by its close boundary (open + 300 s). `open_lag_open/1`: the same at the opens.
#[must_use]
pub(in crate::blueprints) const fn fill_convention(price: EntryPrice) -> &'static str {
    match price {
        EntryPrice::Close => "close_lag_close/1",
        EntryPrice::Open => "open_lag_open/1",
    }
}

/// How a position is opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The event type.
    pub trigger: String,
    /// Bars from the deciding bar to the entry bar; at least 1.
    pub entry_lag_bars: u32,
    /// Bar length as text, `5m`.
    pub bar: String,
    /// Which price of the entry bar.
    pub price: EntryPrice,
    /// An event is taken only if its bar is at least this many bars after the last taken one of the same
    /// symbol.
    pub cooldown_bars: u32,
    /// All must be known and true on the deciding bar.
    pub conditions: Vec<String>,
}

/// How a position is closed. Exits cannot trigger on the entry bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// Bars from the entry bar to the exit bar.
    pub time_stop_bars: u32,
    /// The same as a label.
    pub horizon: String,
    /// Loss at which it is closed.
    pub stop: Option<Barrier>,
    /// Gain at which it is closed.
    pub target: Option<Barrier>,
    /// Which of high and low comes first inside a bar; stated where a barrier exists.
    #[serde(default)]
    pub intrabar_path: Option<IntrabarPath>,
    /// Where a stop fills when the bar opens beyond it; stated where a barrier exists.
    #[serde(default)]
    pub stop_gap_fill: Option<StopGapFill>,
}

/// A price distance from the entry.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Barrier {
    /// Distance from the entry price, bps, positive.
    pub bps: f64,
}

/// What each trade of the evidence paid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Taker fee per fill, bps.
    pub fee_bps_per_side: f64,
    /// Slippage per fill, bps.
    pub slippage_bps_per_side: f64,
    /// Both, twice, bps.
    pub round_trip_bps: f64,
    /// Whether the bridge charged the funding settled while the position was open.
    pub funding_included: bool,
}
