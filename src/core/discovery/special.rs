//! Tails of distributions, accurate far out (1e-9 relative and better), in `libm` and `statrs` only, so that
//! they give the same bits everywhere.

use libm::{exp, lgamma, log, log1p, sqrt};

pub use crate::normal::{cdf as normal_cdf, isf as normal_isf, log_cdf as log_normal_cdf};

/// Upper tail `P(T > t)` of Student's t. `0.5 I_x(df/2, 1/2)` with `x = df/(df + t^2)`; both `x` and `1 - x`
/// are formed without cancellation.
#[must_use]
pub fn t_sf(t: f64, df: f64) -> f64 {
    if t.is_nan() || !df.is_finite() || df <= 0.0 {
        return f64::NAN;
    }
    if t.is_infinite() {
        return if t > 0.0 { 0.0 } else { 1.0 };
    }
    if t < 0.0 {
        return 1.0 - t_sf(-t, df);
    }
    let square = t * t;
    0.5 * beta_inc(0.5 * df, 0.5, df / (df + square), square / (df + square))
}

/// Upper quantile of Student's t by its expansion around the normal one (Abramowitz and Stegun 26.7.5): to a
/// thousandth from 5 degrees of freedom on, for tails down to a hundredth.
#[must_use]
pub fn t_isf(p: f64, df: f64) -> f64 {
    let z = normal_isf(p);
    let s = z * z;
    let terms = [
        z * (s + 1.0) / 4.0,
        z * ((5.0 * s + 16.0) * s + 3.0) / 96.0,
        z * (((3.0 * s + 19.0) * s + 17.0) * s - 15.0) / 384.0,
        z * ((((79.0 * s + 776.0) * s + 1482.0) * s - 1920.0) * s - 945.0) / 92_160.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) / df) + z
}

/// Regularised incomplete beta `I_x(a, b)` with `y = 1 - x` given: continued fraction by the modified Lentz
/// method (Numerical Recipes 6.4), on the side where it converges fast.
fn beta_inc(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if y <= 0.0 {
        return 1.0;
    }
    // ln x and ln y through log1p of the smaller one.
    let (ln_x, ln_y) = if x < y { (log(x), log1p(-x)) } else { (log1p(-y), log(y)) };
    let front = exp(a * ln_x + b * ln_y - log_beta(a, b));
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, y) / b
    }
}

/// `ln B(a, b)`. For large `a` by Stirling differences, where the difference of two large `lgamma` would lose
/// digits.
fn log_beta(a: f64, b: f64) -> f64 {
    if a < 50.0 {
        return lgamma(a) + lgamma(b) - lgamma(a + b);
    }
    let c = a + b;
    // lgamma(a) - lgamma(a + b), each as (z - 1/2) ln z - z + ln(2 pi)/2 + 1/(12 z) - 1/(360 z^3) + ...
    let correction = |z: f64| {
        let r = 1.0 / (z * z);
        (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r / 1680.0))) / z
    };
    lgamma(b) - (a - 0.5) * log1p(b / a) - b * log(c) + b + correction(a) - correction(c)
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const STEPS: u32 = 20_000;
    let guard = |v: f64| if v.abs() < TINY { TINY } else { v };
    let (sum, above, below) = (a + b, a + 1.0, a - 1.0);
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - sum * x / above);
    let mut h = d;
    for step in 1..STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((below + 2.0 * m) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (sum + m) * x / ((a + 2.0 * m) * (above + 2.0 * m));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        let delta = d * c;
        h *= delta;
        if (delta - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

/// Square root of a sum that rounding may have pushed just below zero.
#[must_use]
pub fn sqrt_nonnegative(x: f64) -> f64 {
    sqrt(x.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal::pdf as normal_pdf;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-10 * b.abs()
    }

    #[test]
    fn a_quantile_of_t_has_the_tail_that_it_was_asked_for() {
        for (df, wanted) in [(5.0, 2.015_048), (10.0, 1.812_461), (30.0, 1.697_261), (1e9, 1.644_854)] {
            assert!((t_isf(0.05, df) - wanted).abs() < 1e-3, "{df}: {}", t_isf(0.05, df));
        }
        for (p, df) in [(0.25, 6.0), (0.1, 8.0), (0.05, 12.0), (0.025, 40.0), (0.01, 100.0)] {
            assert!((t_sf(t_isf(p, df), df) / p - 1.0).abs() < 2e-3, "{p} {df}");
        }
    }

    #[test]
    fn one_degree_of_freedom_is_cauchy_far_into_the_tail() {
        for t in [0.1, 1.0, 3.0, 50.0, 1e4, 1e8] {
            let exact = libm::atan(1.0 / t) / std::f64::consts::PI;
            assert!(close(t_sf(t, 1.0), exact), "{t}");
        }
    }

    #[test]
    fn two_degrees_of_freedom_have_a_closed_form() {
        for t in [1e-6, 0.5, 2.0, 40.0, 1e5] {
            // 1/2 - t / (2 sqrt(2 + t^2)), written without cancellation
            let root = (2.0f64 + t * t).sqrt();
            assert!(close(t_sf(t, 2.0), 1.0 / (root * (root + t))), "{t}");
        }
    }

    #[test]
    fn many_degrees_of_freedom_approach_the_normal() {
        for df in [1e6, 1e9] {
            let ratio = t_sf(5.0, df) / normal_cdf(-5.0);
            // First-order term of the expansion: 1 + (t^3 + t) / (4 df) * phi / sf.
            let expected = 1.0 + (125.0 + 5.0) / (4.0 * df) * normal_pdf(5.0) / normal_cdf(-5.0);
            assert!((ratio - expected).abs() < 2e-8, "{ratio} {expected}");
        }
    }
}
