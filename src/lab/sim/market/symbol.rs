//! One contract and its spot pair: the recursion from bar to bar.

use crate::sim::scenario::{Scenario, SpotScenario, SymbolScenario};
use backtestd_core::market::{BarIndex, DAY_MS};

const HOUR_MS: i64 = DAY_MS / 24;
use backtestd_core::market::{Draws, derive};

use super::edges::{EdgeWatch, Observation};
use super::factor::Reversion;

/// Trades of one market in one bar. Prices are whole ticks, quantities whole lots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesBar {
    /// First price of the bar, quote currency.
    pub open: f64,
    /// Highest price of the bar, quote currency.
    pub high: f64,
    /// Lowest price of the bar, quote currency.
    pub low: f64,
    /// Last price of the bar, quote currency.
    pub close: f64,
    /// Quantity in base units.
    pub volume: f64,
    /// Value in quote units.
    pub quote_volume: f64,
    /// Number of trades.
    pub trades: f64,
    /// Quantity bought by takers.
    pub taker_buy_volume: f64,
    /// Value bought by takers.
    pub taker_buy_quote: f64,
}

/// Everything the venue publishes about one symbol's bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimBar {
    /// The bar on the 5-minute grid.
    pub bar: BarIndex,
    /// Trades of the perpetual.
    pub perp: SeriesBar,
    /// The spot pair.
    pub spot: Option<SeriesBar>,
    /// Index price at open and close.
    pub index: (f64, f64),
    /// Premium (mark over index minus 1) at open and close.
    pub premium: (f64, f64),
    /// Predicted funding rate of the running interval at the close.
    pub predicted_rate: f64,
    /// Rate settled at the close of this bar, NaN if none.
    pub settled_rate: f64,
    /// Open contracts at the close, base units.
    pub open_interest: f64,
    /// Sd of the bar's return before it is drawn.
    pub sigma: f64,
    /// Number of forced orders.
    pub forced_orders: u32,
    /// Fractions of the bar at which the path reaches its first and second extreme.
    pub turning: (f64, f64),
    /// True if the high comes first.
    pub high_first: bool,
    /// True if the venue did not match orders.
    pub is_halted: bool,
}

/// What stays fixed for one symbol.
#[derive(Clone, Debug)]
pub(crate) struct SymbolParams {
    pub listing: SymbolScenario,
    pub(super) key: u64,
    pub(super) own_sigma: f64,
    pub(super) interest: f64,
    pub(super) own_step: Reversion,
    pub(super) activity_step: Reversion,
    pub(super) flow_step: Reversion,
    pub(super) basis_slow_step: Reversion,
    pub(super) basis_fast_step: Reversion,
    pub(super) interest_step: Reversion,
}

pub(super) const OWN_SD: f64 = 0.25;
const ACTIVITY_SD: f64 = 0.40;
const FLOW_SD: f64 = 0.030;
const BASIS_SLOW_SD_BPS: f64 = 5.0;
const BASIS_FAST_SD_BPS: f64 = 0.9;
/// Funding: premium within this distance of the interest component settles at the interest component.
const FUNDING_DEAD_BAND: f64 = 0.0005;
const FUNDING_CAP: f64 = 0.02;
impl SymbolParams {
    pub(crate) fn new(seed: u64, scenario: &Scenario, listing: &SymbolScenario) -> Self {
        Self {
            key: derive(derive(seed, "symbol"), listing.name.as_str()),
            own_sigma: listing.own_sigma_bps / 10_000.0,
            interest: scenario.interest_rate_8h,
            own_step: Reversion::new(100.0, OWN_SD),
            activity_step: Reversion::new(6.0, ACTIVITY_SD),
            flow_step: Reversion::new(4.0, FLOW_SD),
            basis_slow_step: Reversion::new(480.0, BASIS_SLOW_SD_BPS),
            basis_fast_step: Reversion::new(2.0, BASIS_FAST_SD_BPS),
            interest_step: Reversion::new(1400.0, 0.20),
            listing: listing.clone(),
        }
    }
}

/// The recursion's memory.
#[derive(Clone, Debug)]
pub(crate) struct SymbolState {
    pub(super) price: f64,
    pub(super) close: f64,
    pub(super) spot_close: f64,
    pub(super) own: f64,
    pub(super) activity: f64,
    pub(super) flow: f64,
    pub(super) basis_slow: f64,
    pub(super) basis_fast: f64,
    pub(super) basis_shock: f64,
    pub(super) index: f64,
    pub(super) premium: f64,
    pub(super) premium_sum: f64,
    pub(super) premium_count: f64,
    pub(super) log_open_interest: f64,
    pub(super) burst_left: u32,
    pub(super) burst_sign: f64,
    pub(super) build_left: u32,
    pub(super) edges: EdgeWatch,
}

impl SymbolState {
    pub(crate) fn new(params: &SymbolParams, scenario: &Scenario) -> Self {
        let mut draws = Draws::numbered(derive(params.key, "first"), -1);
        let price = params.listing.price;
        let basis_slow = BASIS_SLOW_SD_BPS * draws.normal();
        let own = OWN_SD * draws.normal();
        Self {
            price,
            close: round_to(price, params.listing.tick_decimals),
            spot_close: params.listing.spot.map_or(f64::NAN, |s| round_to(price, s.tick_decimals)),
            own,
            activity: 0.0,
            flow: 0.0,
            basis_slow,
            basis_fast: 0.0,
            basis_shock: 0.0,
            index: price,
            premium: basis_slow / 10_000.0,
            premium_sum: 0.0,
            premium_count: 0.0,
            log_open_interest: libm::log(params.listing.open_interest),
            burst_left: 0,
            burst_sign: 1.0,
            build_left: 0,
            edges: EdgeWatch::new(scenario.edges.len()),
        }
    }

    pub(super) fn spot_bar(
        &mut self,
        draws: &mut Draws,
        spot: &SpotScenario,
        perp: &SeriesBar,
        basis_bps: f64,
        log_turnover: f64,
    ) -> SeriesBar {
        let ratio = libm::exp(-basis_bps / 10_000.0);
        let decimals = spot.tick_decimals;
        let open = self.spot_close;
        let close = round_to(self.price * ratio, decimals).max(tick(decimals));
        let high = round_to(perp.high * ratio, decimals).max(open).max(close);
        let low = round_to(perp.low * ratio, decimals).max(tick(decimals)).min(open).min(close);
        self.spot_close = close;
        let taker = 0.5 + self.flow + 0.03 * draws.normal();
        let log_turnover = log_turnover - 1.7 + 0.25 * draws.normal();
        trade_series(draws, (open, high, low, close), spot.lot_decimals, log_turnover, taker, 900.0)
    }

    /// Running prediction and, on a settlement, the rate: mean premium plus the clamped interest term.
    pub(super) fn fund(&mut self, params: &SymbolParams, scenario: &Scenario, bar: BarIndex) -> (f64, f64) {
        self.premium_sum += self.premium;
        self.premium_count += 1.0;
        let mean = self.premium_sum / self.premium_count;
        let rate = mean + (params.interest - mean).clamp(-FUNDING_DEAD_BAND, FUNDING_DEAD_BAND);
        let rate = round_to(rate.clamp(-FUNDING_CAP, FUNDING_CAP), 8);
        if bar.close().0 % (scenario.funding_hours(&params.listing, bar.open()) * HOUR_MS) != 0 {
            return (rate, f64::NAN);
        }
        self.premium_sum = 0.0;
        self.premium_count = 0.0;
        (rate, rate)
    }

    pub(super) fn halted(
        &mut self,
        params: &SymbolParams,
        scenario: &Scenario,
        bar: BarIndex,
        clock: f64,
    ) -> SimBar {
        let flat = |price: f64| SeriesBar {
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0.0,
            quote_volume: 0.0,
            trades: 0.0,
            taker_buy_volume: 0.0,
            taker_buy_quote: 0.0,
        };
        let (predicted_rate, settled_rate) = self.fund(params, scenario, bar);
        let open_interest = round_to(libm::exp(self.log_open_interest), params.listing.lot_decimals.min(3));
        let spot = params.listing.spot.map(|_| flat(self.spot_close));
        self.edges.observe(
            bar,
            Observation {
                log_range: libm::log(1.0e-5) - clock,
                log_turnover: f64::NAN,
                close: self.close,
                log_open_interest: libm::log(open_interest),
                basis_bps: spot.map_or(f64::NAN, |s| 10_000.0 * libm::log(self.close / s.close)),
            },
            &scenario.edges,
        );
        SimBar {
            bar,
            perp: flat(self.close),
            spot,
            index: (self.index, self.index),
            premium: (self.premium, self.premium),
            predicted_rate,
            settled_rate,
            open_interest,
            sigma: params.own_sigma,
            forced_orders: 0,
            turning: (0.3, 0.6),
            high_first: true,
            is_halted: true,
        }
    }
}

/// Volumes of a bar that is consistent with itself: whole lots, taker part within the total, value = price ×
/// volume.
pub(super) fn trade_series(
    draws: &mut Draws,
    (open, high, low, close): (f64, f64, f64, f64),
    lot_decimals: usize,
    log_turnover: f64,
    taker_share: f64,
    quote_per_trade: f64,
) -> SeriesBar {
    let turnover = libm::exp(log_turnover);
    let typical = (open + high + low + close) / 4.0;
    let volume = round_to(turnover / typical, lot_decimals).max(tick(lot_decimals));
    let share = taker_share.clamp(0.04, 0.96);
    let taker_buy_volume = round_to(volume * share, lot_decimals).min(volume);
    // Buyers pay a little more than sellers get.
    let taker_price = (typical * (1.0 + 0.02 * (high - low) / typical)).clamp(low, high);
    let quote_volume = volume * typical;
    let taker_buy_quote = (taker_buy_volume * taker_price).min(quote_volume);
    let trades = (quote_volume / quote_per_trade * libm::exp(0.15 * draws.normal())).ceil().max(1.0);
    SeriesBar { open, high, low, close, volume, quote_volume, trades, taker_buy_volume, taker_buy_quote }
}

/// 10^decimals, counting at most 8 decimals.
pub(crate) fn scale(decimals: usize) -> f64 {
    const POWERS: [f64; 9] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
    POWERS[decimals.min(8)]
}

/// The smallest step with so many decimals.
pub fn tick(decimals: usize) -> f64 {
    1.0 / scale(decimals)
}

/// The nearest decimal number, as the double that its text parses to.
pub(crate) fn round_to(value: f64, decimals: usize) -> f64 {
    let scale = scale(decimals);
    (value * scale).round() / scale
}
