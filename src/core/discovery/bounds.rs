//! Anytime lower confidence bound of the mean return per unit of score weight.
//!
//! For each `m` the SYM process runs on `(z - m W) / scale`, with the scale learned from `z` alone, so that
//! it does not depend on `m`. The bound is the largest `m` that any day so far rejects: `sup_t E_t(m) =
//! 1/alpha`. Sums are quadratic in `m`, so that each day costs one evaluation and a root only where the bound
//! rises.

use std::f64::consts::LN_2;

use libm::log;

use super::eprocess::{MixParams, RunningScale, sym_log_e};

/// Running lower bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LowerBound {
    scale: RunningScale,
    z: f64,
    w: f64,
    zz: f64,
    zw: f64,
    ww: f64,
    bound: f64,
    threshold: f64,
}

impl LowerBound {
    /// At error level `alpha`.
    #[must_use]
    pub fn new(alpha: f64, params: &MixParams) -> Self {
        Self {
            scale: RunningScale::new(params.scale_prior),
            z: 0.0,
            w: 0.0,
            zz: 0.0,
            zw: 0.0,
            ww: 0.0,
            bound: f64::NEG_INFINITY,
            threshold: -log(alpha),
        }
    }

    /// Takes one day's gross score and weight.
    pub fn step(&mut self, z: f64, weight: f64, params: &MixParams) {
        let scale = self.scale.step_within(z, params.scale_decay, params.score_cap);
        let (z, w) = (z / scale, weight / scale);
        self.z += z;
        self.w += w;
        self.zz += z * z;
        self.zw += z * w;
        self.ww += w * w;
        let sums = |m: f64| {
            let v = (self.zz - 2.0 * m * self.zw + m * m * self.ww).max(0.0);
            (self.z - m * self.w, v)
        };
        let value = |m: f64| {
            let (s, v) = sums(m);
            sym_log_e(s, v, params.rho) - self.threshold
        };
        // ln E <= ln 2 + s^2 / (2(v + rho)): mostly that is enough to know.
        let is_rejected = |m: f64| {
            let (s, v) = sums(m);
            s * s > 2.0 * (v + params.rho) * (self.threshold - LN_2) && value(m) > 0.0
        };
        // Evidence against m falls as m rises; the root lies between a rejected and an accepted m.
        let mean = self.z / self.w;
        let unit = self.ww.sqrt().recip();
        let rejected = if self.bound.is_finite() {
            is_rejected(self.bound).then_some(self.bound)
        } else {
            first_rejected(mean, unit, is_rejected)
        };
        if let Some(low) = rejected {
            let mut high = mean.max(low);
            let mut reach = unit;
            while is_rejected(high) {
                high += reach;
                reach *= 2.0;
            }
            self.bound = low.max(falling_root(low, high, value));
        }
    }

    /// The bound; `None` while no value has been rejected.
    #[must_use]
    pub fn get(&self) -> Option<f64> {
        self.bound.is_finite().then_some(self.bound)
    }
}

/// Walks down from the mean until some value is rejected. Very far down the evidence falls again (the prior
/// scale is then small against the deviations), so the walk ends.
fn first_rejected(mean: f64, unit: f64, is_rejected: impl Fn(f64) -> bool) -> Option<f64> {
    let mut step = 0.25 * unit;
    let mut m = mean;
    for _ in 0..60 {
        m -= step;
        if is_rejected(m) {
            return Some(m);
        }
        step *= 1.25;
    }
    None
}

/// Root of a function that falls from above 0 at `low` to at most 0 at `high`: regula falsi that halves the
/// weight of an end which stays (the Illinois rule), until the function is 0 to 1e-13 or the ends meet.
fn falling_root(mut low: f64, mut high: f64, value: impl Fn(f64) -> f64) -> f64 {
    let (mut at_low, mut at_high) = (value(low), value(high));
    let mut last_fell = None;
    for _ in 0..200 {
        let mut middle = low + (high - low) * (at_low / (at_low - at_high));
        if !(middle > low && middle < high) {
            middle = 0.5 * (low + high);
        }
        if middle <= low || middle >= high {
            break;
        }
        let at_middle = value(middle);
        if at_middle.abs() <= 1e-13 {
            return middle;
        }
        let falls = at_middle > 0.0;
        if falls {
            (low, at_low) = (middle, at_middle);
        } else {
            (high, at_high) = (middle, at_middle);
        }
        if last_fell == Some(falls) {
            if falls {
                at_high *= 0.5;
            } else {
                at_low *= 0.5;
            }
        }
        last_fell = Some(falls);
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::eprocess::lab_params;

    #[test]
    fn the_bound_only_rises_and_stays_below_a_strong_mean() {
        let p = lab_params();
        let mut bound = LowerBound::new(0.1, &p);
        let mut last = f64::NEG_INFINITY;
        for i in 0..400 {
            bound.step(0.5 + if i % 2 == 0 { 1.0 } else { -1.0 }, 500.0, &p);
            let now = bound.get().unwrap_or(f64::NEG_INFINITY);
            assert!(now >= last, "{now} {last}");
            last = now;
        }
        assert!(last > 0.0005 && last < 0.001, "{last}");
    }

    #[test]
    fn a_root_is_found_wherever_the_ends_are() {
        for end in [1.0, 1.5, 10.0, 1e6] {
            let root = falling_root(-3.0, end, |x| 1.0 - x * x * x);
            assert!((root - 1.0).abs() < 1e-12, "{end}: {root}");
        }
        let step = falling_root(0.0, 1.0, |x| if x < 0.5 { 1.0 } else { -1.0 });
        assert!(step < 0.5 && step > 0.5 - 1e-9, "{step}");
    }
}
