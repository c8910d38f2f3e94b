//! Day scores: their scale, and an ordinary t of them.

use libm::sqrt;

use super::cluster::count;
use super::special::t_sf;

/// `1 / (sigma_bar sqrt(H))`; `None` where the scale is unknown or not positive.
#[must_use]
pub fn inverse_scale(sigma_bar: f64, horizon_bars: u32) -> Option<f64> {
    inverse_scale_of(sigma_bar, sqrt(f64::from(horizon_bars)))
}

/// The same with `sqrt(H)`.
#[inline]
pub(super) fn inverse_scale_of(sigma_bar: f64, root_bars: f64) -> Option<f64> {
    (sigma_bar > 0.0 && sigma_bar.is_finite()).then(|| 1.0 / (sigma_bar * root_bars))
}

/// Ordinary t of day scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DayScoreT {
    /// Mean of the day scores.
    pub mean: f64,
    /// Sample standard deviation (n - 1).
    pub sd: f64,
    /// t-statistic of the mean against zero.
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
