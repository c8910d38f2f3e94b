//! The terms of a trade that every room after discovery speaks: side, size, and how barriers fill.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Symbol;

/// The NautilusTrader bar type of a perpetual's 5-minute bars.
#[must_use]
pub fn bar_type(symbol: &Symbol) -> String {
    format!("{}-5-MINUTE-LAST-EXTERNAL", symbol.nautilus_perp())
}

/// Which way a position goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Bought first: gains when the price rises.
    Long,
    /// Sold first: gains when the price falls.
    Short,
}

impl Side {
    /// +1 long, -1 short.
    #[must_use]
    pub const fn sign(self) -> f64 {
        match self {
            Self::Long => 1.0,
            Self::Short => -1.0,
        }
    }
}

/// Order in which a bar visits its extremes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IntrabarPath {
    /// Open, high, low, close: NautilusTrader's default.
    #[default]
    #[serde(rename = "OHLC")]
    Ohlc,
    /// The extreme nearer to the open first: NautilusTrader's `bar_adaptive_high_low_ordering`.
    #[serde(rename = "adaptive")]
    Adaptive,
}

/// Fill of a stop that the open has jumped over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StopGapFill {
    /// At the open (NautilusTrader 1.222 and later).
    #[default]
    Open,
    /// At the trigger (NautilusTrader 1.221; optimistic).
    Trigger,
}

/// How large a position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SizingMode {
    /// By volatility: see [`Sizing::scale`].
    VolTarget,
    /// Every position is `max_position_scale` of equity.
    Fixed,
}

/// Position size as a fraction of equity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sizing {
    /// The rule that sets the size of a position.
    pub mode: SizingMode,
    /// One standard deviation of the trade's return may cost at most this share of equity.
    pub risk_per_trade: f64,
    /// Annual volatility that one always-open position may have.
    pub target_vol: f64,
    /// Notional over equity, at most.
    pub max_position_scale: f64,
}

/// 5-minute bars in a year of 365 days.
const BARS_PER_YEAR: f64 = 105_120.0;

impl Sizing {
    /// Notional over equity: `min(max_position_scale, target_vol / (sigma_bar sqrt(105120)), risk_per_trade /
    /// (sigma_bar sqrt(holding bars)))`, where `sigma_bar` is the sd of one bar's return known at the event.
    /// Zero where it is unknown: an unmeasured risk is not taken.
    #[must_use]
    pub fn scale(&self, sigma_bar: f64, holding_bars: u32) -> f64 {
        match self.mode {
            SizingMode::Fixed => self.max_position_scale,
            SizingMode::VolTarget if sigma_bar.is_finite() && sigma_bar > 0.0 => {
                let by_volatility = self.target_vol / (sigma_bar * BARS_PER_YEAR.sqrt());
                let by_risk = self.risk_per_trade / (sigma_bar * f64::from(holding_bars.max(1)).sqrt());
                self.max_position_scale.min(by_volatility).min(by_risk)
            }
            SizingMode::VolTarget => 0.0,
        }
    }
}
