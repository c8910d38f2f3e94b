//! The outcome record.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::market::{BARS_PER_DAY, BarIndex, DAY_MS, Ts};
use crate::outcomes::{CostParts, Event};

/// A holding period: its label in specs and files, and its length.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Horizon {
    /// `5m`, `15m`, `30m`, `60m`, `4h`, `1d`.
    pub label: Arc<str>,
    /// Length in bars.
    pub bars: u32,
}

impl Horizon {
    /// Reads `5m`, `60m`, `4h`, `1d`.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        let (digits, unit) = label.split_at_checked(label.len().checked_sub(1)?)?;
        let n: u32 = digits.parse().ok()?;
        let minutes = match unit {
            "m" => n,
            "h" => n.checked_mul(60)?,
            "d" => n.checked_mul(1440)?,
            _ => return None,
        };
        (minutes > 0 && minutes % 5 == 0).then(|| Self { label: label.into(), bars: minutes / 5 })
    }

    /// Whether a window of this length, entered so many bars after its event, can close on the event's own
    /// UTC day: only such a holding period is tested.
    #[must_use]
    pub const fn fits_in_a_day(&self, entry_lag_bars: u32) -> bool {
        self.bars as i64 + (entry_lag_bars as i64) < BARS_PER_DAY
    }
}

/// Which price of the entry bar opens the position (and of the exit bar closes it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryPrice {
    /// Close of bar t+L to close of bar t+L+H: the seed's formula.
    #[default]
    Close,
    /// Open of bar t+L to open of bar t+L+H.
    Open,
}

/// The matured outcome of one event over one horizon. With lag L and horizon H the position is held from
/// `close[t+L]` to `close[t+L+H]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The event that the outcome follows.
    pub event: Arc<Event>,
    /// The holding period.
    pub horizon: Horizon,
    /// Bars from the deciding bar to the entry bar, at least 1.
    pub entry_lag_bars: u32,
    /// Which price enters and exits.
    pub entry_price: EntryPrice,
    /// `close[t+L+H]/close[t+L] - 1`, unsigned; NaN when the entry or exit bar is a gap.
    pub forward_return: f64,
    /// The part of it up to the first UTC midnight inside the holding window, at the last close before it:
    /// `close / close[t+L] - 1`. NaN where the window has no midnight inside, or the entry bar is a gap.
    pub midnight_return: f64,
    /// Largest move in the event's direction inside the holding window, bps (>= 0); NaN as above.
    pub mfe_bps: f64,
    /// Largest move against it, bps (<= 0).
    pub mae_bps: f64,
    /// Sum of the funding rates settled inside the window, per unit long (decimal).
    pub funding_paid: f64,
    /// Full round-trip cost known at the event, bps: the sum of `costs`.
    pub cost_bps_round_trip: f64,
    /// The same in its parts.
    pub costs: CostParts,
}

impl Outcome {
    /// The instant of the entry: close (or open) of the entry bar.
    #[must_use]
    pub fn entry(&self) -> Ts {
        self.instant(self.event.bar + i64::from(self.entry_lag_bars))
    }

    /// The instant of the exit: close (or open) of the exit bar.
    #[must_use]
    pub fn exit(&self) -> Ts {
        self.instant(self.exit_bar())
    }

    /// Close of the exit bar: when the outcome was booked.
    #[must_use]
    pub fn matured(&self) -> Ts {
        self.exit_bar().close()
    }

    /// The first UTC midnight strictly inside the holding window: where an open position is marked to market.
    #[must_use]
    pub fn midnight(&self) -> Option<Ts> {
        let midnight = Ts((self.entry().day() + 1) * DAY_MS);
        (midnight < self.exit()).then_some(midnight)
    }

    fn exit_bar(&self) -> BarIndex {
        self.event.bar + i64::from(self.entry_lag_bars) + i64::from(self.horizon.bars)
    }

    const fn instant(&self, bar: BarIndex) -> Ts {
        match self.entry_price {
            EntryPrice::Close => bar.close(),
            EntryPrice::Open => bar.open(),
        }
    }
}
