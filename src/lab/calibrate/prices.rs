//! Prices of the lab: correlated, heavy-tailed, with volatility that clusters on every scale, and
//! unpredictable.
//!
//! `r = sigma z`, with sigma known before the bar (slow volatility x GARCH x time of day) and z symmetric
//! around zero, so that simple returns are a martingale difference exactly. `skew` adds crashes and pays for
//! them on every other bar; `drift` is the one world that is not a martingale.

use backtestd_core::market::BPS;
use libm::{exp, exp2, log, sin, sqrt};

use super::lab::{Lab, WorldKind, WorldSpec};
use backtestd_core::market::BARS_PER_DAY;
use backtestd_core::market::{Draws, derive};

/// Bars of a day, as an index.
pub(super) const DAY: usize = BARS_PER_DAY as usize;
/// Days that are simulated and thrown away: GARCH and EWMA forget their start.
const BURN_IN_DAYS: usize = 4;
/// Slow volatility is constant over so many bars.
const SLOW_STEP: usize = 12;
/// No bar moves further than this share of the price: a product of returns must stay positive.
const LARGEST_RETURN: f64 = 0.5;

/// One symbol's bars.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// Price at the close.
    pub close: Vec<f64>,
    /// sd of one bar's return by EWMA, this bar included: the larger of a slow and a fast one.
    pub sigma: Vec<f64>,
    /// Variance of the next bar relative to the symbol's mean: what event intensities move with.
    pub heat: Vec<f32>,
}

/// The market-wide part of every bar.
struct Factor {
    shock: Vec<f64>,
    slow: Vec<f64>,
    drift: Vec<f64>,
    /// How wild the regime is, 1 without regimes.
    wild: Vec<f64>,
    /// Bars on which events follow a crash.
    is_aftermath: Vec<bool>,
}

/// The prices of a world, symbol by symbol.
pub(super) fn paths(seed: u64, kind: WorldKind, lab: &Lab, days: usize) -> Vec<Path> {
    let (world, bars) = (&lab.world, (days + BURN_IN_DAYS) * DAY);
    let factor = factor(seed, kind, lab, bars);
    (0..world.symbols)
        .map(|symbol| {
            let mut path = path(derive(seed, &format!("symbol {symbol}")), symbol, lab, &factor, bars);
            path.close.drain(..BURN_IN_DAYS * DAY);
            path.sigma.drain(..BURN_IN_DAYS * DAY);
            path.heat.drain(..BURN_IN_DAYS * DAY);
            path
        })
        .collect()
}

/// Student t with 4 degrees of freedom and unit variance: a normal over the root of an exponential pair.
fn heavy(draws: &mut Draws) -> f64 {
    let normal = draws.normal();
    normal / sqrt(-log(draws.uniform() * draws.uniform()))
}

/// A stationary autoregression of the given half-life (in steps) and sd.
struct Slow {
    keep: f64,
    push: f64,
    now: f64,
}

impl Slow {
    fn new(half_life: f64, sd: f64, draws: &mut Draws) -> Self {
        let keep = exp2(-1.0 / half_life);
        Self { keep, push: sd * sqrt(1.0 - keep * keep), now: sd * draws.normal() }
    }

    fn step(&mut self, draws: &mut Draws) -> f64 {
        self.now = self.keep * self.now + self.push * draws.normal();
        self.now
    }
}

fn jump(draws: &mut Draws, per_day: f64, sigmas: [f64; 2]) -> f64 {
    if draws.uniform() * BARS_PER_DAY as f64 >= per_day {
        return 0.0;
    }
    draws.sign() * draws.between(sigmas[0], sigmas[1])
}

fn factor(seed: u64, kind: WorldKind, lab: &Lab, bars: usize) -> Factor {
    let (world, edges, nasty) = (&lab.world, &lab.edges, &lab.nasty);
    let mut draws = Draws::numbered(derive(seed, "factor"), 0);
    let steps_a_day = (DAY / SLOW_STEP) as f64;
    let mut slow = Slow::new(world.slow_half_life_days * steps_a_day, world.slow_sd[0], &mut draws);
    let mut drift = Slow::new(
        edges.drift_half_life_days * steps_a_day,
        edges.drift_sd_bps_per_day / BPS / BARS_PER_DAY as f64,
        &mut draws,
    );
    // A crash of s sigmas with probability p is paid for by p s on every bar.
    let has_crashes = matches!(kind, WorldKind::Skew | WorldKind::Crash);
    let crash = has_crashes.then_some(edges.skew_jumps_per_day / BARS_PER_DAY as f64);
    let mut out = Factor {
        shock: Vec::with_capacity(bars),
        slow: Vec::with_capacity(bars),
        drift: Vec::with_capacity(bars),
        wild: regimes(seed, kind, lab, bars),
        is_aftermath: vec![false; if kind == WorldKind::Crash { bars } else { 0 }],
    };
    let (mut level, mut push) = (0.0, 0.0);
    for bar in 0..bars {
        if bar % SLOW_STEP == 0 {
            level = slow.step(&mut draws);
            push = drift.step(&mut draws);
        }
        let mut shock = heavy(&mut draws) + jump(&mut draws, world.jumps_per_day[0], world.jump_sigmas);
        if let Some(chance) = crash {
            shock += chance * edges.skew_sigmas;
            if draws.uniform() < chance {
                shock -= edges.skew_sigmas;
                out.is_aftermath.iter_mut().skip(bar).take(nasty.crash_bars).for_each(|b| *b = true);
            }
        }
        out.shock.push(shock);
        out.slow.push(level);
        out.drift.push(if kind == WorldKind::Drift { push } else { 0.0 });
    }
    out
}

/// Calm and wild by turns; empty where the market has no regimes.
fn regimes(seed: u64, kind: WorldKind, lab: &Lab, bars: usize) -> Vec<f64> {
    if kind != WorldKind::Regimes {
        return Vec::new();
    }
    let mut draws = Draws::numbered(derive(seed, "regimes"), 0);
    let change = 1.0 / (lab.nasty.regime_days * BARS_PER_DAY as f64);
    let mut is_wild = false;
    let next = |_| {
        is_wild ^= draws.uniform() < change;
        if is_wild { lab.nasty.regime_factor } else { 1.0 }
    };
    (0..bars).map(next).collect()
}

fn path(key: u64, symbol: usize, lab: &Lab, factor: &Factor, bars: usize) -> Path {
    let world: &WorldSpec = &lab.world;
    let mut draws = Draws::numbered(key, 0);
    let steps_a_day = (DAY / SLOW_STEP) as f64;
    let mut own = Slow::new(world.slow_half_life_days * steps_a_day, world.slow_sd[1], &mut draws);
    let place = symbol as f64 / (world.symbols.max(2) - 1) as f64;
    let base = (world.bar_sd_bps[0] + place * (world.bar_sd_bps[1] - world.bar_sd_bps[0])) / BPS;
    let (common, rest) = (sqrt(world.market_correlation), sqrt(1.0 - world.market_correlation));
    let omega = 1.0 - world.garch_alpha - world.garch_beta;
    let spread = world.slow_sd[0] * world.slow_sd[0] + world.slow_sd[1] * world.slow_sd[1];
    let decay = 2.0 / f64::from(world.ewma_bars + 1);
    let fast_decay = if world.fast_ewma_bars == 0 { 0.0 } else { 2.0 / f64::from(world.fast_ewma_bars + 1) };
    let diurnal: Vec<f64> = (0..DAY)
        .map(|slot| 1.0 + world.diurnal_amplitude * sin(std::f64::consts::TAU * slot as f64 / DAY as f64))
        .collect();

    let mut out = Path {
        close: Vec::with_capacity(bars),
        sigma: Vec::with_capacity(bars),
        heat: Vec::with_capacity(bars),
    };
    let (mut price, mut garch, mut level, mut variance) = (100.0, 1.0, 0.0, base * base);
    let mut fast = if world.fast_ewma_bars == 0 { 0.0 } else { variance };
    for bar in 0..bars {
        if bar % SLOW_STEP == 0 {
            // exp(x - var) has mean square one.
            level = exp(factor.slow[bar] + own.step(&mut draws) - spread);
        }
        let z = common * factor.shock[bar]
            + rest * (heavy(&mut draws) + jump(&mut draws, world.jumps_per_day[1], world.jump_sigmas));
        let wild = factor.wild.get(bar).copied().unwrap_or(1.0);
        let sigma = base * level * wild * sqrt(garch) * diurnal[bar % DAY];
        let r = (sigma * z).clamp(-LARGEST_RETURN, LARGEST_RETURN) + factor.drift[bar];
        price *= 1.0 + r;
        garch = (omega + (world.garch_alpha * z * z + world.garch_beta) * garch).min(world.garch_cap);
        variance += decay * (r * r - variance);
        fast += fast_decay * (r * r - fast);
        out.close.push(price);
        out.sigma.push(sqrt(variance.max(fast)));
        let crowd = if factor.is_aftermath.get(bar) == Some(&true) { lab.nasty.crash_heat } else { 1.0 };
        #[allow(clippy::cast_possible_truncation, reason = "an intensity needs no more")]
        out.heat.push((level * level * wild * wild * garch * crowd) as f32);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::lab::Lab;

    fn returns(path: &Path) -> Vec<f64> {
        path.close.windows(2).map(|w| w[1] / w[0] - 1.0).collect()
    }

    fn correlation(a: &[f64], b: &[f64]) -> f64 {
        let n = a.len() as f64;
        let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
        let cov = |x: &[f64], mx: f64, y: &[f64], my: f64| {
            x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / n
        };
        cov(a, ma, b, mb) / sqrt(cov(a, ma, a, ma) * cov(b, mb, b, mb))
    }

    #[test]
    fn the_market_has_the_declared_size_correlation_and_tails() {
        let lab = Lab::default();
        let paths = paths(11, WorldKind::Null, &lab, 500);
        let first = returns(&paths[0]);
        let last = returns(&paths[7]);
        let sd = |r: &[f64]| sqrt(r.iter().map(|x| x * x).sum::<f64>() / r.len() as f64) * BPS;
        assert!((10.0..26.0).contains(&sd(&first)) && sd(&last) > sd(&first), "{} {}", sd(&first), sd(&last));
        // Ranks would be sharper; signs are enough, and tails cannot spoil them.
        let signs = |r: &[f64]| r.iter().map(|x| x.signum()).collect::<Vec<_>>();
        let rho = sin(std::f64::consts::FRAC_PI_2 * correlation(&signs(&first), &signs(&last)));
        assert!((rho - 0.7).abs() < 0.06, "{rho}");
        let kurtosis =
            first.iter().map(|x| x.powi(4)).sum::<f64>() / first.len() as f64 / (sd(&first) / BPS).powi(4);
        assert!(kurtosis > 15.0, "{kurtosis}");
        let square: Vec<f64> = first.iter().map(|x| x.abs().min(0.01)).collect();
        assert!(correlation(&square[1..], &square[..square.len() - 1]) > 0.1, "volatility clusters");
    }

    #[test]
    fn crashes_are_paid_for() {
        let lab = Lab::default();
        let factor = factor(5, WorldKind::Skew, &lab, 2_000_000);
        let n = factor.shock.len() as f64;
        let mean = factor.shock.iter().sum::<f64>() / n;
        let sd = sqrt(factor.shock.iter().map(|x| x * x).sum::<f64>() / n);
        assert!(mean.abs() < 4.0 * sd / sqrt(n), "{mean}");
        assert!(
            factor.shock.iter().filter(|x| **x < -12.0).count()
                > factor.shock.iter().filter(|x| **x > 12.0).count()
        );
    }
}
