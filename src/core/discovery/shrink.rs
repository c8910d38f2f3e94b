//! Shrinkage of effects towards their parents. It estimates; it never tests.
//!
//! `w = tau^2 / (tau^2 + SE^2) = n / (n + lambda)` with `lambda = n SE^2 / tau^2`. The between-variance
//! `tau^2` around a known parent is the one of restricted likelihood, `sum(((m - theta)^2 - SE^2 - tau^2)
//! w^2) = 0` with `w = 1 / (tau^2 + SE^2)`, iterated from that of Paule and Mandel (1982), `sum((m - theta)^2
//! w) = k`. A very precise child weighs like any other once `tau^2` exceeds its error. By moments children
//! weigh `1 / SE^4` for ever, so that one precise sibling is the estimate; the likelihood started at 0 would
//! begin there too.

use libm::sqrt;

use super::cluster::count;

/// A step of this share of the variance is rounding.
const RELATIVE_STEP: f64 = 1e-14;
/// Far below its root the variance about doubles at a step: numbers have 2000 doublings, markets some 60.
const MOST_STEPS: u32 = 400;

/// A child node: its own mean and its robust standard error (positive).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Child {
    /// The child's own mean.
    pub mean: f64,
    /// Its standard error.
    pub se: f64,
}

/// A child's shrunk estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shrunk {
    /// Weight of the child's own mean, 0..1.
    pub weight: f64,
    /// The shrunk estimate of the child's mean.
    pub mean: f64,
    /// Posterior standard deviation, `sqrt(w) SE`.
    pub sd: f64,
}

/// Between-children variance around a known parent by restricted likelihood.
#[must_use]
pub fn between_variance(children: &[Child], parent: f64) -> f64 {
    let mut tau2 = paule_mandel(children, parent);
    for _ in 0..MOST_STEPS {
        let (mut top, mut bottom) = (0.0, 0.0);
        for c in children {
            let variance = c.se * c.se;
            let weight = 1.0 / (tau2 + variance);
            let deviation = (c.mean - parent) * weight;
            top += deviation * deviation - variance * weight * weight;
            bottom += weight * weight;
        }
        let next = (top / bottom).max(0.0);
        let moved = (next - tau2).abs();
        // Also where there are no children.
        if !(next.is_finite() && moved > RELATIVE_STEP * tau2) {
            break;
        }
        tau2 = next;
    }
    tau2
}

/// The variance by which the children deviate as much as it says, and 0 where they deviate less without any.
///
/// Newton's method from 0: the deviation is a falling convex function of `tau^2`, so that the steps go up to
/// the root and never beyond it.
fn paule_mandel(children: &[Child], parent: f64) -> f64 {
    let wanted = count(children.len());
    let mut tau2 = 0.0;
    for _ in 0..MOST_STEPS {
        let (mut deviation, mut slope) = (0.0, 0.0);
        for c in children {
            let variance = tau2 + c.se * c.se;
            let ratio = (c.mean - parent) / sqrt(variance);
            deviation += ratio * ratio;
            slope += ratio * ratio / variance;
        }
        let step = (deviation - wanted) / slope;
        // Also where there are no children, or all of them are the parent.
        if !(step > RELATIVE_STEP * tau2 && step.is_finite()) {
            break;
        }
        tau2 += step;
    }
    tau2
}

/// The same by moments (DerSimonian and Laird 1986; Efron and Morris 1975), for comparison:
/// `max(0, sum(((m - theta)^2 - SE^2) / SE^4) / sum(1 / SE^4))`.
#[must_use]
pub fn moment_variance(children: &[Child], parent: f64) -> f64 {
    let (mut top, mut bottom) = (0.0, 0.0);
    for c in children {
        let variance = c.se * c.se;
        let inverse = 1.0 / (variance * variance);
        let deviation = c.mean - parent;
        top += (deviation * deviation - variance) * inverse;
        bottom += inverse;
    }
    if bottom > 0.0 { (top / bottom).max(0.0) } else { 0.0 }
}

/// One child's estimate given the between-variance.
#[must_use]
pub fn shrink(child: Child, parent: f64, tau2: f64) -> Shrunk {
    let weight = if tau2 > 0.0 { tau2 / (tau2 + child.se * child.se) } else { 0.0 };
    Shrunk { weight, mean: weight * child.mean + (1.0 - weight) * parent, sd: sqrt(weight) * child.se }
}

/// `lambda = n SE^2 / tau^2`, the seed's shape of the weight; infinite at `tau^2 = 0`.
#[must_use]
pub fn lambda(n: f64, se: f64, tau2: f64) -> f64 {
    if tau2 > 0.0 { n * se * se / tau2 } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn children() -> impl Strategy<Value = Vec<Child>> {
        let child =
            (-50.0f64..50.0, -6.0f64..6.0).prop_map(|(mean, log_se)| Child { mean, se: libm::exp(log_se) });
        prop::collection::vec(child, 1..12)
    }

    /// Twice the logarithm of the likelihood, but for a constant.
    fn log_likelihood(children: &[Child], parent: f64, tau2: f64) -> f64 {
        let of = |c: &Child| {
            let variance = tau2 + c.se * c.se;
            -libm::log(variance) - (c.mean - parent) * (c.mean - parent) / variance
        };
        children.iter().map(of).sum()
    }

    proptest! {
        #[test]
        fn no_variance_nearby_is_likelier(children in children(), parent in -10.0f64..10.0) {
            let tau2 = between_variance(&children, parent);
            let best = log_likelihood(&children, parent, tau2);
            for factor in [0.9, 0.99, 1.01, 1.1] {
                let other = log_likelihood(&children, parent, tau2 * factor);
                prop_assert!(other <= best + 1e-6 * (1.0 + best.abs()), "{tau2} {factor}: {other} {best}");
            }
        }

        #[test]
        fn the_iteration_starts_where_the_children_deviate_as_much_as_they_should(
            children in children(), parent in -10.0f64..10.0,
        ) {
            let tau2 = paule_mandel(&children, parent);
            let deviation: f64 =
                children.iter().map(|c| (c.mean - parent) * (c.mean - parent) / (tau2 + c.se * c.se)).sum();
            let k = count(children.len());
            let is_root = if tau2 > 0.0 { (deviation - k).abs() < 1e-9 * k } else { deviation <= k * (1.0 + 1e-9) };
            prop_assert!(is_root, "{}: {}", tau2, deviation);
        }
    }

    #[test]
    fn one_precise_sibling_leaves_the_others_their_weights() {
        let six: Vec<Child> =
            [34.1, -42.2, -10.7, -0.7, -10.6, -6.9].map(|mean| Child { mean, se: 6.6 }).to_vec();
        let weight = |children: &[Child], variance: fn(&[Child], f64) -> f64| {
            shrink(six[0], -6.0, variance(children, -6.0)).weight
        };
        let mut seven = six.clone();
        seven.push(Child { mean: 0.2, se: 0.06 });
        assert!(weight(&six, between_variance) > 0.85 && weight(&seven, between_variance) > 0.85);
        assert!(weight(&seven, moment_variance) < 0.6, "the estimate by moments follows the precise one");
    }

    #[test]
    fn nothing_absurd_ends_in_anything_but_a_variance() {
        let none: [Child; 0] = [];
        assert_eq!(between_variance(&none, 0.0), 0.0);
        for (mean, se) in [(0.0, 1.0), (1e80, 1e80), (1e80, 1e-80), (1e-80, 1e-90), (1.0, 1e-150)] {
            let tau2 = between_variance(&[Child { mean, se }, Child { mean: 1.0, se: 2.0 }], 0.5);
            assert!(tau2.is_finite() && tau2 >= 0.0, "{mean} {se}: {tau2}");
        }
    }
}
