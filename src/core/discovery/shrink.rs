//! Shrinkage of effects towards their parents. It estimates; it never tests.
//!
//! Between-variance with the sampling noise subtracted (DerSimonian and Laird 1986; Efron and Morris 1975):
//! `tau^2 = max(0, sum(((m - theta)^2 - SE^2) / SE^4) / sum(1 / SE^4))`, `w = tau^2 / (tau^2 + SE^2) = n / (n + lambda)`
//! with `lambda = n SE^2 / tau^2`.

use libm::sqrt;

/// A child node: its own mean and its robust standard error (positive).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Child {
    /// Own mean.
    pub mean: f64,
    /// Its standard error.
    pub se: f64,
}

/// A child's shrunk estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shrunk {
    /// Weight of the child's own mean, 0..1.
    pub weight: f64,
    /// The estimate.
    pub mean: f64,
    /// Posterior standard deviation, `sqrt(w) SE`.
    pub sd: f64,
}

/// Between-children variance around a known parent, sampling noise subtracted.
#[must_use]
pub fn between_variance(children: &[Child], parent: f64) -> f64 {
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
