//! Adaptive shrinkage (Stephens 2017): the effects of one horizon come from a point mass at zero and a scale
//! mixture of normals, fitted by EM with a penalty that favours the point mass. Gives posterior mean, sd and
//! sign probabilities.

use libm::{exp, log, sqrt};

use super::special::{normal_cdf, normal_isf, t_sf};

/// A fitted prior.
#[derive(Clone, Debug, PartialEq)]
pub struct AshPrior {
    /// Component standard deviations; the first is 0, the point mass.
    pub grid: Vec<f64>,
    /// Mixture weight of each component of `grid`.
    pub pi: Vec<f64>,
}

/// What is believed about one effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AshPosterior {
    /// Posterior mean of the effect.
    pub mean: f64,
    /// Posterior standard deviation.
    pub sd: f64,
    /// Probability of a positive effect.
    pub p_pos: f64,
    /// Probability of exactly zero.
    pub p_zero: f64,
}

impl AshPosterior {
    /// Local false sign rate of the likelier sign.
    #[must_use]
    pub fn lfsr(&self) -> f64 {
        1.0 - self.p_pos.max(1.0 - self.p_pos - self.p_zero)
    }

    /// Probability that the effect does not have this sign.
    #[must_use]
    pub fn lfsr_of(&self, positive: bool) -> f64 {
        if positive { 1.0 - self.p_pos } else { self.p_pos + self.p_zero }
    }
}

/// Components at most, the point mass aside.
const MOST_STEPS: u32 = 64;

/// 0 and `smax 2^-k` for `k = 0..steps`, ascending. `smax` is twice the largest effect in excess of its
/// noise.
///
/// One absurd effect must not take the grid away from all others: where `steps` halvings end above a quarter
/// of the median error, there are more of them, and beyond [`MOST_STEPS`] the far end gives way.
#[must_use]
pub fn ash_grid(effects: &[(f64, f64)], steps: u32) -> Vec<f64> {
    let largest = effects.iter().map(|(b, s)| b * b - s * s).fold(0.0, f64::max);
    let mut smax = 2.0 * sqrt(largest);
    if smax <= 0.0 {
        // Nothing exceeds its noise: a grid below the smallest error, so that the point mass can win.
        smax = effects.iter().map(|(_, s)| *s).fold(f64::INFINITY, f64::min) / 8.0;
    }
    let mut errors: Vec<f64> = effects.iter().map(|(_, s)| *s).collect();
    errors.sort_by(f64::total_cmp);
    let finest = errors.get(errors.len() / 2).map_or(0.0, |median| median / 4.0);
    let at = |smax: f64, k: u32| libm::ldexp(smax, -i32::try_from(k).unwrap_or(0));
    let mut steps = steps;
    while at(smax, steps.saturating_sub(1)) > finest && finest > 0.0 {
        if steps < MOST_STEPS {
            steps += 1;
        } else {
            smax *= 0.5;
        }
    }
    let mut grid = vec![0.0];
    grid.extend((0..steps).rev().map(|k| at(smax, k)));
    grid
}

/// Fits the weights by `iterations` EM steps from uniform ones. `effects` are (estimate, standard error)
/// pairs; the point mass gets `null_penalty - 1` pseudo-observations.
#[must_use]
pub fn ash_fit(effects: &[(f64, f64)], grid: &[f64], null_penalty: f64, iterations: u32) -> AshPrior {
    let m = grid.len();
    let mut likelihood = vec![0.0; effects.len() * m];
    for (row, &(b, s)) in likelihood.chunks_exact_mut(m).zip(effects) {
        // Relative to the row's largest log density, so that nothing underflows for a large effect.
        let mut best = f64::NEG_INFINITY;
        for (cell, &g) in row.iter_mut().zip(grid) {
            let variance = s * s + g * g;
            *cell = -0.5 * (b * b / variance + log(variance));
            best = best.max(*cell);
        }
        row.iter_mut().for_each(|cell| *cell = exp(*cell - best));
    }
    #[allow(clippy::cast_precision_loss, reason = "a few components")]
    let mut pi = vec![1.0 / m as f64; m];
    let mut counts = vec![0.0; m];
    for _ in 0..iterations {
        counts.fill(0.0);
        counts[0] = null_penalty - 1.0;
        for row in likelihood.chunks_exact(m) {
            let mut total = 0.0;
            for (l, p) in row.iter().zip(&pi) {
                total += l * p;
            }
            let inverse = 1.0 / total;
            for ((c, l), p) in counts.iter_mut().zip(row).zip(&pi) {
                *c += l * p * inverse;
            }
        }
        let total: f64 = counts.iter().sum();
        pi.iter_mut().zip(&counts).for_each(|(p, c)| *p = c / total);
    }
    AshPrior { grid: grid.to_vec(), pi }
}

impl AshPrior {
    /// Posterior weights of the components.
    #[must_use]
    pub fn weights(&self, b: f64, s: f64) -> Vec<f64> {
        let density = |g: f64| {
            let variance = s * s + g * g;
            -0.5 * (b * b / variance + log(variance))
        };
        let best = self.grid.iter().map(|g| density(*g)).fold(f64::NEG_INFINITY, f64::max);
        let mut weights: Vec<f64> =
            self.grid.iter().zip(&self.pi).map(|(g, p)| p * exp(density(*g) - best)).collect();
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        weights
    }

    /// Posterior probability that an effect with estimate `b` and standard error `s` is above `threshold`.
    #[must_use]
    pub fn probability_above(&self, b: f64, s: f64, threshold: f64) -> f64 {
        let noise = s * s;
        let above = |g: f64| {
            if g == 0.0 {
                return f64::from(u8::from(threshold < 0.0));
            }
            let variance = noise * g * g / (noise + g * g);
            normal_cdf((variance * b / noise - threshold) / sqrt(variance))
        };
        self.grid.iter().zip(self.weights(b, s)).map(|(&g, weight)| weight * above(g)).sum()
    }

    /// Posterior of an effect with estimate `b` and standard error `s`.
    #[must_use]
    pub fn posterior(&self, b: f64, s: f64) -> AshPosterior {
        let noise = s * s;
        let (mut mean, mut second, mut p_pos, mut p_zero) = (0.0, 0.0, 0.0, 0.0);
        for (&g, weight) in self.grid.iter().zip(self.weights(b, s)) {
            if g == 0.0 {
                p_zero += weight;
            } else {
                let variance = noise * g * g / (noise + g * g);
                let centre = variance * b / noise;
                mean += weight * centre;
                second += weight * (variance + centre * centre);
                p_pos += weight * normal_cdf(centre / sqrt(variance));
            }
        }
        AshPosterior { mean, sd: sqrt((second - mean * mean).max(0.0)), p_pos, p_zero }
    }
}

/// Beyond this t a test is as sure as any: the tail of a normal there is the last that a number holds.
const LARGEST_T: f64 = 37.0;

/// The standard error that makes a normal test of `mean` as sure as the t-test was: `|mean| / z`, with `z`
/// the normal quantile of the one-sided t p-value. The ratio of the two errors grows with t, as the tails of
/// t are the heavier; beyond `t = 37` it stays what it is there, so that a larger t does not widen an
/// interval. `None` where `mean` or `t` is zero or unknown.
#[must_use]
pub fn t_to_effective_se(mean: f64, t: f64, df: f64) -> Option<f64> {
    let counted = t.abs().min(LARGEST_T);
    let se = mean.abs() / normal_isf(t_sf(counted, df)) * (counted / t.abs());
    (se.is_finite() && se > 0.0).then_some(se)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pure_noise_is_shrunk_to_almost_nothing_and_a_clear_effect_is_kept() {
        let noise: Vec<_> = (0..400).map(|i| (libm::sin(f64::from(i) * 1.7) * 1.2, 1.0)).collect();
        let prior = ash_fit(&noise, &ash_grid(&noise, 10), 10.0, 60);
        assert!(prior.pi[0] > 0.5 && prior.posterior(1.2, 1.0).mean.abs() < 0.2, "{:?}", prior.pi);
        let mut mixed = noise;
        mixed.extend((0..40).map(|i| (10.0 + f64::from(i) * 0.1, 1.0)));
        let prior = ash_fit(&mixed, &ash_grid(&mixed, 10), 10.0, 60);
        let clear = prior.posterior(11.0, 1.0);
        assert!(clear.mean > 10.0 && clear.lfsr() < 1e-6, "{clear:?}");
    }

    /// Sixty units with effects of a few units, and one that is a million times as large.
    #[test]
    fn one_absurd_effect_leaves_the_others_their_posteriors() {
        let sane: Vec<_> = (0..60).map(|i| (6.0 * libm::sin(f64::from(i) * 1.7), 1.0)).collect();
        let fit =
            |effects: &[(f64, f64)]| ash_fit(effects, &ash_grid(effects, 10), 10.0, 60).posterior(6.0, 1.0);
        let without = fit(&sane);
        for absurd in [(6e6, 1e6), (1e40, 1e39), (1e99, 3e98)] {
            let mut effects = sane.clone();
            effects.push(absurd);
            let with = fit(&effects);
            assert!((with.mean - without.mean).abs() < 0.3, "{absurd:?}: {} {}", with.mean, without.mean);
        }
    }

    #[test]
    fn a_t_beyond_any_number_does_not_widen_its_interval() {
        let ratio = |t: f64, df: f64| t_to_effective_se(5000.0, t, df).unwrap() / (5000.0 / t.abs());
        for df in [30.0, 200.0, 1e9] {
            let mut last = 1.0;
            for t in [2.0, 10.0, 30.0, 36.9] {
                assert!(ratio(t, df) >= last - 1e-9, "{t} {df}");
                last = ratio(t, df);
            }
            for t in [37.1, 38.0, 446.0, 7079.0, 1e12] {
                assert!((ratio(t, df) / ratio(37.0, df) - 1.0).abs() < 1e-12, "{t} {df}: {}", ratio(t, df));
                assert_eq!(ratio(-t, df), ratio(t, df));
            }
        }
        assert!(ratio(7079.0, 200.0) < 2.0 && ratio(7079.0, 1e9) < 1.000_001);
    }

    #[test]
    fn the_false_sign_rate_of_the_other_side_is_large() {
        let prior = AshPrior { grid: vec![0.0, 1.0], pi: vec![0.5, 0.5] };
        let posterior = prior.posterior(2.0, 0.5);
        assert!((posterior.lfsr_of(true) - posterior.lfsr()).abs() < 1e-12);
        assert!(posterior.lfsr_of(false) > 0.95);
    }
}
