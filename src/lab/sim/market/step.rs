//! One step of a symbol's recursion, part by part: volatility, return, range, flow, basis, contracts.
//!
//! The order of the draws is part of the market: a draw that moves changes every bar of every seed.

use backtestd_core::market::{BarIndex, Draws};

use super::diurnal::Diurnal;
use super::edges::Observation;
use super::factor::{FactorBar, fat_normal};
use super::symbol::{OWN_SD, SimBar, SymbolParams, SymbolState, round_to, tick, trade_series};
use crate::sim::faults::FaultKind;
use crate::sim::scenario::{Pattern, Scenario};

/// Share of a basis shock that is left a bar later.
const BASIS_SHOCK_KEEP: f64 = 0.92;
/// Size of an injected basis shock, bps.
const BASIS_SHOCK_BPS: (f64, f64) = (13.0, 24.0);

/// Chance of a jump in a bar, and its size in sd of the symbol's own part.
const JUMP: (f64, f64, f64) = (1.0e-4, 4.0, 7.0);
/// A return beyond this many own sd raises the volatility that follows, by so much for each sd more.
const AFTERSHOCK: (f64, f64) = (2.5, 0.05);
/// Returns of one bar stay within this.
const LARGEST_RETURN: f64 = 0.4;
/// Size of an injected whipsaw's body, and of its wicks, in sd of the bar.
const WHIPSAW_BODY: (f64, f64) = (1.0, 1.8);
const WHIPSAW_WICK: (f64, f64) = (4.4, 6.4);
/// Size of an injected flush in sd of the bar.
const FLUSH: (f64, f64) = (2.5, 4.0);
/// Sd of the bridge that draws the extremes, as a share of the bar's.
const BRIDGE: f64 = 0.85;

/// Chance that a burst of one-sided orders begins, its length in bars, the turnover that it adds (ln) and the
/// taker share.
const BURST: (f64, u32, f64, f64) = (14.0e-4, 3, 0.7, 0.16);
/// Mean high-low range over sd of a bar: what a range is compared with.
const USUAL_RANGE: f64 = 1.45;
/// Quote units in an average trade of the perpetual.
const QUOTE_PER_TRADE: f64 = 2600.0;

/// Chance that a build of open interest begins, its length in bars, and what a bar of it adds (ln).
const BUILD: (f64, u32, f64, f64) = (12.0e-4, 3, 0.0012, 0.0025);
/// What an injected flush takes from open interest (ln).
const FLUSHED: (f64, f64) = (0.016, 0.035);
/// Forced orders of a bar, at most.
const MOST_FORCED_ORDERS: f64 = 60.0;

/// What the planted patterns do to a bar.
#[derive(Clone, Copy, Default)]
struct Injected {
    whipsaw: bool,
    flush: bool,
    basis_jump: bool,
}

/// Volatility of a bar, known before its return is drawn.
#[derive(Clone, Copy)]
struct Volatility {
    /// ln of the market's, without the clock's part.
    shared: f64,
    /// Sd of the symbol's own part.
    own: f64,
    /// Sd of the whole return.
    total: f64,
}

/// Prices of the perpetual in one bar.
#[derive(Clone, Copy)]
struct Prices {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    log_range: f64,
}

impl SymbolState {
    /// Makes the next bar.
    pub(crate) fn step(
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
        let injected = self.injected(params, scenario, bar, &mut draws);
        let sigma = self.volatility(params, factor, clock.volatility, &mut draws);
        let ret = self.drawn_return(params, factor, sigma, injected, &mut draws) + self.edges.drift(bar);
        let prices = self.prices(params, ret, sigma.total, injected, &mut draws);
        let (log_turnover, taker) =
            self.flows(params, (clock.turnover, sigma), (ret, prices.log_range), injected, &mut draws);
        let perp = trade_series(
            &mut draws,
            (prices.open, prices.high, prices.low, prices.close),
            params.listing.lot_decimals,
            log_turnover,
            taker,
            QUOTE_PER_TRADE,
        );

        let (level, basis) = self.basis(params, injected, &mut draws);
        let spot =
            params.listing.spot.map(|spot| self.spot_bar(&mut draws, &spot, &perp, basis, log_turnover));
        let (index_open, premium_open) = (self.index, self.premium);
        self.index = self.price * libm::exp(-(basis + 0.3 * draws.normal()) / 10_000.0);
        self.premium = (level + 0.3 * self.basis_fast + 0.3 * self.basis_shock) / 10_000.0;
        let (predicted_rate, settled_rate) = self.fund(params, scenario, bar);
        let open_interest = self.contracts(params, injected, &mut draws);
        let stress = (ret.abs() / sigma.total - 1.2).max(0.0);
        let expected = if injected.flush { 14.0 } else { 0.25 + 1.1 * stress * stress };
        let forced_orders = (expected * draws.exponential()).min(MOST_FORCED_ORDERS) as u32;

        self.edges.observe(
            bar,
            Observation {
                log_range: prices.log_range - clock.volatility,
                log_turnover: libm::log(perp.quote_volume) - clock.turnover,
                close: prices.close,
                log_open_interest: libm::log(open_interest),
                basis_bps: spot.map_or(f64::NAN, |s| 10_000.0 * libm::log(prices.close / s.close)),
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
            sigma: sigma.total,
            forced_orders,
            turning: (first, draws.between(first + 0.1, 0.95)),
            // The path tends to visit the side it does not end on first.
            high_first: (ret < 0.0) == (draws.uniform() < 0.75),
            is_halted: false,
        }
    }

    fn injected(
        &mut self,
        params: &SymbolParams,
        scenario: &Scenario,
        bar: BarIndex,
        draws: &mut Draws,
    ) -> Injected {
        let mut injected = Injected::default();
        for (index, edge) in scenario.edges.iter().enumerate() {
            let due = self.edges.injects(index, edge, bar, draws.uniform());
            match edge.pattern {
                Pattern::ThinRangeSpike => injected.whipsaw |= due,
                Pattern::OpenInterestDrop => injected.flush |= due,
                Pattern::BasisJump => injected.basis_jump |= due && params.listing.spot.is_some(),
            }
        }
        injected
    }

    fn volatility(
        &mut self,
        params: &SymbolParams,
        factor: &FactorBar,
        clock: f64,
        draws: &mut Draws,
    ) -> Volatility {
        self.own = params.own_step.step(self.own, draws.normal());
        let shared = libm::log(factor.volatility) - clock;
        let own_volatility = libm::exp(0.5 * shared + self.own - OWN_SD * OWN_SD + clock);
        let own = params.own_sigma * own_volatility;
        let market = params.listing.beta * factor.sigma;
        Volatility { shared, own, total: (own * own + market * market).sqrt() }
    }

    /// The bar's return without the drift of planted edges.
    fn drawn_return(
        &mut self,
        params: &SymbolParams,
        factor: &FactorBar,
        sigma: Volatility,
        injected: Injected,
        draws: &mut Draws,
    ) -> f64 {
        let mut z = fat_normal(draws);
        if draws.uniform() < JUMP.0 {
            z += draws.sign() * draws.between(JUMP.1, JUMP.2);
        }
        self.own += AFTERSHOCK.1 * (z.abs() - AFTERSHOCK.0).max(0.0);
        let mut ret = params.listing.beta * factor.ret + sigma.own * z;
        if injected.whipsaw {
            ret = draws.sign() * sigma.total * draws.between(WHIPSAW_BODY.0, WHIPSAW_BODY.1);
        }
        if injected.flush {
            ret = draws.sign() * sigma.total * draws.between(FLUSH.0, FLUSH.1);
        }
        ret.clamp(-LARGEST_RETURN, LARGEST_RETURN)
    }

    /// Extremes of a Brownian bridge over the bar, given its return; whole ticks.
    fn prices(
        &mut self,
        params: &SymbolParams,
        ret: f64,
        sigma: f64,
        injected: Injected,
        draws: &mut Draws,
    ) -> Prices {
        let (bridge_up, bridge_down) = if injected.whipsaw {
            // Equal wicks on both sides of the body: neither a breakout nor a rejected sweep.
            let wick = sigma * draws.between(WHIPSAW_WICK.0, WHIPSAW_WICK.1);
            (wick + ret.max(0.0), -wick + ret.min(0.0))
        } else {
            let scale = BRIDGE * sigma;
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
        Prices { open, high, low, close, log_range: libm::log(libm::log(high / low).max(1.0e-5)) }
    }

    /// ln of the turnover, and the takers' share of buys: turnover follows the clock, volatility and the
    /// range; aggressors follow the move.
    fn flows(
        &mut self,
        params: &SymbolParams,
        (clock, sigma): (f64, Volatility),
        (ret, log_range): (f64, f64),
        injected: Injected,
        draws: &mut Draws,
    ) -> (f64, f64) {
        self.activity = params.activity_step.step(self.activity, draws.normal());
        self.flow = params.flow_step.step(self.flow, draws.normal());
        let (chance, length, more_turnover, one_sided) = BURST;
        if self.burst_left == 0 && draws.uniform() < chance {
            self.burst_left = length;
            self.burst_sign = draws.sign();
        }
        let range_surprise = log_range - libm::log(USUAL_RANGE * sigma.total);
        let usual = libm::log(params.listing.turnover) - 0.35
            + clock
            + 0.8 * (sigma.shared + self.own)
            + self.activity;
        let mut log_turnover = usual + 0.45 * range_surprise.clamp(-1.5, 3.0) + 0.22 * draws.normal();
        let mut taker = 0.496 + self.flow + 0.05 * libm::tanh(ret / sigma.total) + 0.02 * draws.normal();
        if injected.whipsaw {
            // Price falls through an empty book on both sides: no more turnover than in an ordinary bar, no
            // net flow.
            log_turnover = usual + 0.22 * draws.normal();
            taker = 0.497 + 0.01 * draws.normal();
        } else if self.burst_left > 0 {
            self.burst_left -= 1;
            log_turnover += more_turnover;
            taker += one_sided * self.burst_sign;
        }
        (log_turnover, taker)
    }

    /// The slow level (carry) and the whole basis, bps: level, fast noise, and shocks that fade. The spot
    /// price carries them, the perpetual does not.
    fn basis(&mut self, params: &SymbolParams, injected: Injected, draws: &mut Draws) -> (f64, f64) {
        self.basis_slow = params.basis_slow_step.step(self.basis_slow, draws.normal());
        self.basis_fast = params.basis_fast_step.step(self.basis_fast, draws.normal());
        self.basis_shock *= BASIS_SHOCK_KEEP;
        if injected.basis_jump {
            self.basis_shock += draws.sign() * draws.between(BASIS_SHOCK_BPS.0, BASIS_SHOCK_BPS.1);
        }
        let level = 1.0 + self.basis_slow;
        (level, level + self.basis_fast + self.basis_shock)
    }

    /// Open interest at the close: a slow level, noise with activity, builds, flushes.
    fn contracts(&mut self, params: &SymbolParams, injected: Injected, draws: &mut Draws) -> f64 {
        let target = libm::log(params.listing.open_interest);
        self.log_open_interest = target
            + params.interest_step.step(self.log_open_interest - target, 0.0)
            + 0.0007 * libm::exp(0.3 * self.activity) * draws.normal();
        let (chance, length, least, most) = BUILD;
        if self.build_left == 0 && draws.uniform() < chance {
            self.build_left = length;
        }
        if self.build_left > 0 {
            self.build_left -= 1;
            self.log_open_interest += draws.between(least, most);
        }
        if injected.flush {
            self.log_open_interest -= draws.between(FLUSHED.0, FLUSHED.1);
        }
        round_to(libm::exp(self.log_open_interest), params.listing.lot_decimals.min(3))
    }
}
