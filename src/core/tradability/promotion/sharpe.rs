//! The probability that a Sharpe ratio is above zero, and above what the best of many would show by chance
//! (Bailey and Lopez de Prado 2012, 2014).
//!
//! `PSR(SR*) = Phi((SR - SR*) / se)`, `se^2 = (1 - skew SR + (kurt - 1)/4 SR^2) / (n - 1)`, with `SR` the
//! mean over the sd (n - 1) of n returns, and skewness and (plain, normal: 3) kurtosis of the sample. DSR is
//! PSR at the expected largest Sharpe ratio of N trials without any edge, `SR* = ((1 - g) Phi^-1(1 - 1/N) + g
//! Phi^-1(1 - 1/(N e))) / sqrt(n - 1)`, g Euler's constant and `1/(n - 1)` the variance of a Sharpe ratio
//! whose truth is zero.

use libm::sqrt;
use serde::Serialize;

use crate::discovery::cluster::count;
use crate::normal;

/// Euler's constant, gamma.
const EULER: f64 = 0.577_215_664_901_532_9;

/// A Sharpe ratio and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SharpeStatistics {
    /// Mean over standard deviation of the returns, not annualised.
    pub sharpe: f64,
    /// Skewness of the returns.
    pub skewness: f64,
    /// Kurtosis of the returns; 3 for normal ones.
    pub kurtosis: f64,
    /// Probability that the true ratio is above zero.
    pub psr: f64,
    /// The ratio that the best of all trials would be expected to show by chance.
    pub expected_max: f64,
    /// Probability that the true ratio is above that: the deflated Sharpe ratio.
    pub dsr: f64,
}

impl SharpeStatistics {
    /// Of returns, of which the best of `trials` was chosen; `None` with fewer than three returns or without
    /// variance.
    #[must_use]
    pub fn of(returns: &[f64], trials: u64) -> Option<Self> {
        if returns.len() < 3 {
            return None;
        }
        let n = count(returns.len());
        let mean = returns.iter().sum::<f64>() / n;
        let moment = |power: fn(f64) -> f64| returns.iter().map(|x| power(x - mean)).sum::<f64>() / n;
        let variance = moment(|d| d * d);
        if !variance.is_finite() || variance <= f64::EPSILON * mean * mean {
            return None;
        }
        let skewness = moment(|d| d * d * d) / (variance * sqrt(variance));
        let kurtosis = moment(|d| d * d * d * d) / (variance * variance);
        let sharpe = mean / sqrt(variance * n / (n - 1.0));
        let se = sqrt((1.0 - skewness * sharpe + 0.25 * (kurtosis - 1.0) * sharpe * sharpe) / (n - 1.0));
        let expected_max = expected_maximum(trials) / sqrt(n - 1.0);
        let above = |least: f64| normal::cdf((sharpe - least) / se);
        Some(Self { sharpe, skewness, kurtosis, psr: above(0.0), expected_max, dsr: above(expected_max) })
    }
}

/// Expected largest of `trials` independent standard normal values; 0 for one.
fn expected_maximum(trials: u64) -> f64 {
    if trials < 2 {
        return 0.0;
    }
    let n = trials as f64;
    let upper = |p: f64| -normal::inverse(p);
    (1.0 - EULER) * upper(1.0 / n) + EULER * upper(1.0 / (n * std::f64::consts::E))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: [f64; 12] = [1.0, -0.5, 0.8, 0.3, -0.2, 0.9, -0.4, 0.6, 0.1, 0.2, 0.7, -0.3];

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn the_prior_systems_example_by_hand() {
        let returns = PRIOR.map(|x| 1e-3 * x);
        let s = SharpeStatistics::of(&returns, 3).unwrap();
        // Mean 2.6667e-4, sd 5.3314e-4: the prior system's own figure.
        assert!(close(s.sharpe, 0.500_178), "{s:?}");
        assert!(close(s.skewness, -0.073_238_8) && close(s.kurtosis, 1.562_540_6), "{s:?}");
        // 1 - skew SR + (kurt - 1)/4 SR^2 = 1.071815; over 11: se 0.312150; 0.500178 / 0.312150 = 1.602363.
        assert!(close(s.psr, 0.945_462_1), "{s:?}");
        // Expected largest of three: 0.852805 (exact for normal values: 0.846284).
        assert!(close(s.expected_max * 11f64.sqrt(), 0.852_804_5), "{s:?}");
        assert!(close(s.dsr, 0.781_899_1), "{s:?}");
    }

    #[test]
    fn the_prior_systems_figures_follow_from_its_variance_which_counts_three_quarters_of_the_square_twice() {
        let s = SharpeStatistics::of(&PRIOR, 3).unwrap();
        let (sr, n) = (s.sharpe, 12.0_f64);
        let variance = 1.0 + 0.5 * sr * sr - s.skewness * sr + 0.25 * s.kurtosis * sr * sr;
        let psr = |least: f64| normal::cdf((sr - least) / (variance / (n - 1.0)).sqrt());
        assert!(close(psr(0.0), 0.930_321_5));
        assert!(close(psr(expected_maximum(3) / n.sqrt()), 0.773_564_3));
        // The right variance is smaller by three quarters of the square.
        let right = 1.0 - s.skewness * sr + 0.25 * (s.kurtosis - 1.0) * sr * sr;
        assert!((variance - right - 0.75 * sr * sr).abs() < 1e-12);
    }

    #[test]
    fn more_trials_are_worth_less_and_one_trial_deflates_nothing() {
        let dsr = |trials| SharpeStatistics::of(&PRIOR, trials).unwrap().dsr;
        assert_eq!(dsr(1), SharpeStatistics::of(&PRIOR, 1).unwrap().psr);
        assert!(dsr(1) > dsr(3) && dsr(3) > dsr(100) && dsr(100) > dsr(6216));
        // 10 and 100 trials: 1.574598 and 2.530603.
        assert!(close(expected_maximum(10), 1.574_598_3) && close(expected_maximum(100), 2.530_602_9));
    }

    #[test]
    fn returns_without_variance_have_no_ratio() {
        assert_eq!(SharpeStatistics::of(&[0.5; 40], 3), None);
        assert_eq!(SharpeStatistics::of(&[1.0, 2.0], 3), None);
    }
}
