//! Day scores: one number per unit and closed UTC day.
//!
//! The k-th event of the day (in time order, ties by symbol) has weight `w = 1 / (sigma sqrt(H) sqrt(k))`, known when it
//! happens. `z = sum w (s - c)`, `W = sum w`; `s` is the signed return and `c` the round-trip cost, decimals.

use libm::sqrt;

use super::cluster::count;
use super::special::t_sf;

/// A day in the making.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DayScore {
    /// `sum w s`: the follow side before costs; the fade side is its negative.
    pub gross: f64,
    /// `sum w c`. Net of costs: follow `gross - cost`, fade `-gross - cost`.
    pub cost: f64,
    /// `sum w`.
    pub weight: f64,
    /// Events.
    pub k: u32,
}

impl DayScore {
    /// No event yet.
    pub const NONE: Self = Self { gross: 0.0, cost: 0.0, weight: 0.0, k: 0 };

    /// Adds the day's next event. `inv_scale` is `1 / (sigma sqrt(H))`.
    #[inline]
    pub fn add(&mut self, signed_return: f64, cost: f64, inv_scale: f64) {
        self.k += 1;
        let w = inv_scale / sqrt(f64::from(self.k));
        self.gross += w * signed_return;
        self.cost += w * cost;
        self.weight += w;
    }

    /// Follow-side score after costs.
    #[must_use]
    pub fn net_follow(&self) -> f64 {
        self.gross - self.cost
    }

    /// Fade-side score after costs.
    #[must_use]
    pub fn net_fade(&self) -> f64 {
        -self.gross - self.cost
    }
}

/// `1 / (sigma_bar sqrt(H))`; `None` where the scale is unknown or not positive.
#[must_use]
pub fn inverse_scale(sigma_bar: f64, horizon_bars: u32) -> Option<f64> {
    (sigma_bar > 0.0 && sigma_bar.is_finite()).then(|| 1.0 / (sigma_bar * sqrt(f64::from(horizon_bars))))
}

/// Ordinary t of day scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DayScoreT {
    /// Mean score.
    pub mean: f64,
    /// Sample standard deviation (n - 1).
    pub sd: f64,
    /// t.
    pub t: f64,
    /// Days less one.
    pub df: f64,
    /// One-sided p of a positive mean.
    pub p1: f64,
}

/// t of day scores; `None` with fewer than two, or without variance.
#[must_use]
pub fn day_score_t(scores: &[f64]) -> Option<DayScoreT> {
    let n = count(scores.len());
    let mean = scores.iter().sum::<f64>() / n;
    let square = scores.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>();
    let df = n - 1.0;
    let sd = sqrt(square / df);
    (df >= 1.0 && sd > 0.0).then(|| {
        let t = mean / (sd / sqrt(n));
        DayScoreT { mean, sd, t, df, p1: t_sf(t, df) }
    })
}
