//! The common factor: the market's own return and volatility, shared by all symbols.

use backtestd_core::market::BarIndex;
use backtestd_core::market::{Draws, derive};

use super::diurnal::Diurnal;

/// What the market as a whole did in a bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FactorBar {
    /// Simple return of a beta of 1.
    pub ret: f64,
    /// Sd of that return before it is drawn.
    pub sigma: f64,
    /// Volatility factor of the bar (mean square 1 over the long run), time of day included.
    pub volatility: f64,
}

/// An Ornstein–Uhlenbeck process per bar with given half-life and stationary sd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reversion {
    keep: f64,
    shock: f64,
}

impl Reversion {
    pub(crate) fn new(half_life_bars: f64, sd: f64) -> Self {
        let keep = libm::exp(-std::f64::consts::LN_2 / half_life_bars);
        Self { keep, shock: sd * (1.0 - keep * keep).sqrt() }
    }

    pub(crate) fn step(self, value: f64, normal: f64) -> f64 {
        self.keep * value + self.shock * normal
    }
}

/// A symmetric draw of variance 1 with fat tails: a normal whose scale is itself log-normal.
pub(crate) fn fat_normal(draws: &mut Draws) -> f64 {
    const SPREAD: f64 = 0.25;
    let scale = libm::exp(SPREAD * draws.normal() - SPREAD * SPREAD);
    draws.normal() * scale
}

const SLOW_SD: f64 = 0.38;
const FAST_SD: f64 = 0.28;

/// The factor's recursion.
#[derive(Clone, Debug)]
pub(crate) struct Factor {
    key: u64,
    base_sigma: f64,
    slow: f64,
    fast: f64,
    slow_step: Reversion,
    fast_step: Reversion,
}

impl Factor {
    pub(crate) fn new(seed: u64, base_sigma_bps: f64) -> Self {
        let key = derive(seed, "market factor");
        let mut draws = Draws::numbered(key, -1);
        Self {
            key,
            base_sigma: base_sigma_bps / 10_000.0,
            slow: SLOW_SD * draws.normal(),
            fast: FAST_SD * draws.normal(),
            slow_step: Reversion::new(600.0, SLOW_SD),
            fast_step: Reversion::new(20.0, FAST_SD),
        }
    }

    /// The next bar. Volatility is settled before the return is drawn, so the return is a martingale
    /// difference.
    pub(crate) fn step(&mut self, bar: BarIndex, clock: &Diurnal) -> FactorBar {
        let mut draws = Draws::new(self.key, bar);
        self.slow = self.slow_step.step(self.slow, draws.normal());
        self.fast = self.fast_step.step(self.fast, draws.normal());
        let variance_norm = SLOW_SD * SLOW_SD + FAST_SD * FAST_SD;
        let volatility = libm::exp(self.slow + self.fast - variance_norm + clock.at(bar).volatility);
        let sigma = self.base_sigma * volatility;
        let mut z = fat_normal(&mut draws);
        if draws.uniform() < 1.0e-4 {
            z += draws.sign() * draws.between(4.0, 7.0);
        }
        // A large move excites the next hour, whatever its sign.
        self.fast += 0.06 * (z.abs() - 2.5).max(0.0);
        FactorBar { ret: sigma * z, sigma, volatility }
    }
}
