//! Distribution functions, accurate in the far tails (1e-9 relative and better), in `libm` and `statrs` only,
//! so that they give the same bits everywhere.
//!
//! The normal cdf is the graph's ([`crate::graph::ops::normal`]). The quantile is not: `norm_inv` of an
//! expression is Wichura's AS 241 of a probability, and the bits of features rest on it; [`normal_isf`] is
//! asked for upper tails down to 1e-300, and the bits of candidates rest on it. A test holds the two to each
//! other.

use std::f64::consts::SQRT_2;

use libm::{exp, lgamma, log, log1p, sqrt};
use statrs::function::erf::erfc_inv;

pub use crate::graph::ops::normal::cdf as normal_cdf;

/// `ln(2 pi) / 2`.
const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_8;
/// Below this the normal cdf is taken from its asymptotic form.
const FAR_TAIL: f64 = -30.0;

/// Standard normal density.
#[must_use]
pub fn normal_pdf(x: f64) -> f64 {
    exp(-0.5 * x * x - HALF_LN_TWO_PI)
}

/// Log of the standard normal cdf; below -30 `-x^2/2 - ln(-x) - ln(2 pi)/2`.
#[must_use]
pub fn log_normal_cdf(x: f64) -> f64 {
    if x < FAR_TAIL { -0.5 * x * x - log(-x) - HALF_LN_TWO_PI } else { log(normal_cdf(x)) }
}

/// The `z` with `P(N > z) = p`: statrs' inverse, polished by two Newton steps on the survival function.
#[must_use]
pub fn normal_isf(p: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) {
        return if p == 0.0 {
            f64::INFINITY
        } else if p == 1.0 {
            f64::NEG_INFINITY
        } else {
            f64::NAN
        };
    }
    if p > 0.5 {
        return -normal_isf(1.0 - p);
    }
    let mut z = SQRT_2 * erfc_inv(2.0 * p);
    for _ in 0..2 {
        let density = normal_pdf(z);
        if density > 0.0 {
            z += (normal_cdf(-z) - p) / density;
        }
    }
    z
}

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

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-10 * b.abs()
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

    #[test]
    fn the_normal_quantile_inverts_the_tail() {
        for z in [-3.0, -0.1, 0.3, 1.96, 8.0, 20.0, 37.0] {
            assert!((normal_isf(normal_cdf(-z)) - z).abs() < 1e-10 * (1.0 + f64::abs(z)), "{z}");
        }
    }

    #[test]
    fn the_two_normal_quantiles_agree_wherever_both_are_asked() {
        use crate::graph::ops::normal::inverse;
        for exponent in 1..=300 {
            let p = libm::pow(10.0, -f64::from(exponent));
            let (z, x) = (normal_isf(p), -inverse(p));
            assert!((z - x).abs() < 1e-13 * x, "{p}: {z} {x}");
        }
        for p in (1..100).map(|i| f64::from(i) / 100.0) {
            assert!((normal_isf(p) + inverse(p)).abs() < 1e-14, "{p}");
        }
    }

    #[test]
    fn the_log_cdf_is_continuous_where_its_form_changes() {
        let (inside, outside) = (log_normal_cdf(-30.0 + 1e-9), log_normal_cdf(-30.0 - 1e-9));
        assert!((inside - outside).abs() < 2e-3, "{inside} {outside}");
    }
}
