//! One contract and its spot pair: the recursion from bar to bar.

use crate::sim::scenario::{FaultKind, Pattern, Scenario, SpotScenario, SymbolScenario};
use backtestd_core::market::{BarIndex, DAY_MS};
use backtestd_core::market::{Draws, derive};

use super::diurnal::Diurnal;
use super::edges::{EdgeWatch, Observation};
use super::factor::{FactorBar, Reversion, fat_normal};

/// Trades of one market in one bar. Prices are whole ticks, quantities whole lots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesBar {
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
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
    /// Which bar.
    pub bar: BarIndex,
    /// The perpetual.
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
pub struct SymbolParams {
    pub listing: SymbolScenario,
    key: u64,
    own_sigma: f64,
    interest: f64,
    own_step: Reversion,
    activity_step: Reversion,
    flow_step: Reversion,
    basis_slow_step: Reversion,
    basis_fast_step: Reversion,
    interest_step: Reversion,
}

const OWN_SD: f64 = 0.25;
const ACTIVITY_SD: f64 = 0.40;
const FLOW_SD: f64 = 0.030;
const BASIS_SLOW_SD_BPS: f64 = 5.0;
const BASIS_FAST_SD_BPS: f64 = 0.9;
const BASIS_SHOCK_KEEP: f64 = 0.92;
/// Funding: premium within this distance of the interest component settles at the interest component.
const FUNDING_DEAD_BAND: f64 = 0.0005;
const FUNDING_CAP: f64 = 0.02;
/// ln of the mean range of a Brownian bar of sd 1: the centre of `log_range` in quiet times.
const FUNDING_INTERVAL_MS: i64 = DAY_MS / 3;

impl SymbolParams {
    pub fn new(seed: u64, scenario: &Scenario, listing: &SymbolScenario) -> Self {
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
pub struct SymbolState {
    price: f64,
    close: f64,
    spot_close: f64,
    own: f64,
    activity: f64,
    flow: f64,
    basis_slow: f64,
    basis_fast: f64,
    basis_shock: f64,
    index: f64,
    premium: f64,
    premium_sum: f64,
    premium_count: f64,
    log_open_interest: f64,
    burst_left: u32,
    burst_sign: f64,
    build_left: u32,
    edges: EdgeWatch,
}

impl SymbolState {
    pub fn new(params: &SymbolParams, scenario: &Scenario) -> Self {
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

    /// Makes the next bar.
    pub fn step(
        &mut self,
        params: &SymbolParams,
        scenario: &Scenario,
        clock: &Diurnal,
        bar: BarIndex,
        factor: &FactorBar,
    ) -> SimBar {
        let mut draws = Draws::new(params.key, bar);
        let clock = clock.at(bar);
        if scenario.fault(FaultKind::Halt, bar, Some(&params.listing.name)).is_some() {
            return self.halted(params, scenario, bar, clock.volatility);
        }

        // What the planted patterns do to this bar.
        let mut is_whipsaw = false;
        let mut is_flush = false;
        let mut basis_jump = false;
        for (index, edge) in scenario.edges.iter().enumerate() {
            let due = self.edges.injects(index, edge, bar, draws.uniform());
            match edge.pattern {
                Pattern::ThinRangeSpike => is_whipsaw |= due,
                Pattern::OpenInterestDrop => is_flush |= due,
                Pattern::BasisJump => basis_jump |= due && params.listing.spot.is_some(),
            }
        }

        // Volatility is settled before the return is drawn.
        self.own = params.own_step.step(self.own, draws.normal());
        let shared = libm::log(factor.volatility) - clock.volatility;
        let own_volatility = libm::exp(0.5 * shared + self.own - OWN_SD * OWN_SD + clock.volatility);
        let own_sigma = params.own_sigma * own_volatility;
        let market_sigma = params.listing.beta * factor.sigma;
        let sigma = (own_sigma * own_sigma + market_sigma * market_sigma).sqrt();

        let mut z = fat_normal(&mut draws);
        if draws.uniform() < 1.0e-4 {
            z += draws.sign() * draws.between(4.0, 7.0);
        }
        self.own += 0.05 * (z.abs() - 2.5).max(0.0);
        let mut ret = params.listing.beta * factor.ret + own_sigma * z;
        if is_whipsaw {
            ret = draws.sign() * sigma * draws.between(1.0, 1.8);
        }
        if is_flush {
            ret = draws.sign() * sigma * draws.between(2.5, 4.0);
        }
        ret = ret.clamp(-0.4, 0.4) + self.edges.drift(bar);

        // Extremes of a Brownian bridge over the bar, given its return.
        let (bridge_up, bridge_down) = if is_whipsaw {
            // Equal wicks on both sides of the body: neither a breakout nor a rejected sweep.
            let wick = sigma * draws.between(4.4, 6.4);
            (wick + ret.max(0.0), -wick + ret.min(0.0))
        } else {
            let scale = 0.85 * sigma;
            let up = 2.0 * scale * scale * draws.exponential();
            let down = 2.0 * scale * scale * draws.exponential();
            (0.5 * (ret + (ret * ret + up).sqrt()), 0.5 * (ret - (ret * ret + down).sqrt()))
        };
        let open_price = self.price;
        self.price = open_price * (1.0 + ret);
        let decimals = params.listing.tick_decimals;
        let open = self.close;
        let close = round_to(self.price, decimals).max(tick(decimals));
        let high = round_to(open_price * (1.0 + bridge_up), decimals).max(open).max(close);
        let low = round_to(open_price * (1.0 + bridge_down.max(-0.9)), decimals)
            .max(tick(decimals))
            .min(open)
            .min(close);
        self.close = close;
        let log_range = libm::log(libm::log(high / low).max(1.0e-5));

        // Turnover follows the clock, volatility and the range; aggressors follow the move.
        self.activity = params.activity_step.step(self.activity, draws.normal());
        self.flow = params.flow_step.step(self.flow, draws.normal());
        if self.burst_left == 0 && draws.uniform() < 14.0e-4 {
            self.burst_left = 3;
            self.burst_sign = draws.sign();
        }
        let range_surprise = log_range - libm::log(1.45 * sigma);
        let usual_log_turnover = libm::log(params.listing.turnover) - 0.35
            + clock.turnover
            + 0.8 * (shared + self.own)
            + self.activity;
        let mut log_turnover =
            usual_log_turnover + 0.45 * range_surprise.clamp(-1.5, 3.0) + 0.22 * draws.normal();
        let mut taker = 0.496 + self.flow + 0.05 * libm::tanh(ret / sigma) + 0.02 * draws.normal();
        if is_whipsaw {
            // Price falls through an empty book on both sides: no more turnover than in an ordinary bar, no net flow.
            log_turnover = usual_log_turnover + 0.22 * draws.normal();
            taker = 0.497 + 0.01 * draws.normal();
        } else if self.burst_left > 0 {
            self.burst_left -= 1;
            log_turnover += 0.7;
            taker += 0.16 * self.burst_sign;
        }
        let perp = trade_series(
            &mut draws,
            (open, high, low, close),
            params.listing.lot_decimals,
            log_turnover,
            taker,
            2600.0,
        );

        // Basis: a slow level (carry), fast noise, and shocks that fade. The spot price carries them, the perp does not.
        self.basis_slow = params.basis_slow_step.step(self.basis_slow, draws.normal());
        self.basis_fast = params.basis_fast_step.step(self.basis_fast, draws.normal());
        self.basis_shock *= BASIS_SHOCK_KEEP;
        if basis_jump {
            self.basis_shock += draws.sign() * draws.between(13.0, 24.0);
        }
        let level = 1.0 + self.basis_slow;
        let basis = level + self.basis_fast + self.basis_shock;
        let spot =
            params.listing.spot.map(|spot| self.spot_bar(&mut draws, &spot, &perp, basis, log_turnover));
        let (index_open, premium_open) = (self.index, self.premium);
        self.index = self.price * libm::exp(-(basis + 0.3 * draws.normal()) / 10_000.0);
        self.premium = (level + 0.3 * self.basis_fast + 0.3 * self.basis_shock) / 10_000.0;
        let (predicted_rate, settled_rate) = self.fund(params, bar);

        // Contracts: slow level, noise with activity, builds of three bars, flushes.
        let target = libm::log(params.listing.open_interest);
        self.log_open_interest = target
            + params.interest_step.step(self.log_open_interest - target, 0.0)
            + 0.0007 * libm::exp(0.3 * self.activity) * draws.normal();
        if self.build_left == 0 && draws.uniform() < 12.0e-4 {
            self.build_left = 3;
        }
        if self.build_left > 0 {
            self.build_left -= 1;
            self.log_open_interest += draws.between(0.0012, 0.0025);
        }
        if is_flush {
            self.log_open_interest -= draws.between(0.016, 0.035);
        }
        let open_interest = round_to(libm::exp(self.log_open_interest), params.listing.lot_decimals.min(3));
        let stress = (ret.abs() / sigma - 1.2).max(0.0);
        let expected = if is_flush { 14.0 } else { 0.25 + 1.1 * stress * stress };
        let forced_orders = (expected * draws.exponential()).min(60.0) as u32;

        self.edges.observe(
            bar,
            Observation {
                log_range: log_range - clock.volatility,
                log_turnover: libm::log(perp.quote_volume) - clock.turnover,
                close,
                log_open_interest: libm::log(open_interest),
                basis_bps: spot.map_or(f64::NAN, |s| 10_000.0 * libm::log(close / s.close)),
            },
            &scenario.edges,
        );
        let first = draws.between(0.08, 0.55);
        SimBar {
            bar,
            perp,
            spot,
            index: (index_open, self.index),
            premium: (premium_open, self.premium),
            predicted_rate,
            settled_rate,
            open_interest,
            sigma,
            forced_orders,
            turning: (first, draws.between(first + 0.1, 0.95)),
            // The path tends to visit the side it does not end on first.
            high_first: (ret < 0.0) == (draws.uniform() < 0.75),
            is_halted: false,
        }
    }

    fn spot_bar(
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
    fn fund(&mut self, params: &SymbolParams, bar: BarIndex) -> (f64, f64) {
        self.premium_sum += self.premium;
        self.premium_count += 1.0;
        let mean = self.premium_sum / self.premium_count;
        let rate = mean + (params.interest - mean).clamp(-FUNDING_DEAD_BAND, FUNDING_DEAD_BAND);
        let rate = round_to(rate.clamp(-FUNDING_CAP, FUNDING_CAP), 8);
        if bar.close().0 % FUNDING_INTERVAL_MS != 0 {
            return (rate, f64::NAN);
        }
        self.premium_sum = 0.0;
        self.premium_count = 0.0;
        (rate, rate)
    }

    fn halted(&mut self, params: &SymbolParams, scenario: &Scenario, bar: BarIndex, clock: f64) -> SimBar {
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
        let (predicted_rate, settled_rate) = self.fund(params, bar);
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

/// Volumes of a bar that is consistent with itself: whole lots, taker part within the total, value = price × volume.
fn trade_series(
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

/// 10^decimals.
pub fn scale(decimals: usize) -> f64 {
    const POWERS: [f64; 9] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
    POWERS[decimals.min(8)]
}

/// The smallest step with so many decimals.
pub fn tick(decimals: usize) -> f64 {
    1.0 / scale(decimals)
}

/// The nearest decimal number, as the double that its text parses to.
pub fn round_to(value: f64, decimals: usize) -> f64 {
    let scale = scale(decimals);
    (value * scale).round() / scale
}
