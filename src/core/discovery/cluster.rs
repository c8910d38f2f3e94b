//! Cluster-robust t of a mean, by UTC day. A diagnostic for one look, never the gate of a process that looks
//! every day.
//!
//! CR1: `V = G/(G-1) sum u_g^2 / N^2`. CR2 (Bell and McCaffrey 2002; Imbens and Kolesar 2016) for a mean:
//! `V = sum u_g^2 / (1 - n_g/N) / N^2`, with `df = N^2 / (sum n_g^2 + (sum a_g)^2 - sum a_g^2)` and
//! `a_g = n_g^2 / ((1 - n_g/N) N)`; `u_g` is the cluster's sum of deviations from the mean.

use libm::sqrt;

use super::special::t_sf;

/// One cluster: how many values, and their sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusterSum {
    /// Values in the cluster.
    pub n: f64,
    /// Sum of the cluster's values.
    pub sum: f64,
}

/// A mean with its cluster-robust uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusterT {
    /// Number of values, over all clusters.
    pub n: f64,
    /// Number of clusters (UTC days), G.
    pub clusters: usize,
    /// Mean of all values.
    pub mean: f64,
    /// CR1 standard error; degrees of freedom `G - 1`.
    pub se_cr1: f64,
    /// CR2 standard error.
    pub se_cr2: f64,
    /// Bell-McCaffrey degrees of freedom of `se_cr2`.
    pub df_bm: f64,
    /// `N^2 / sum n_g^2`: the number of equally large clusters that the values are worth.
    pub effective_n: f64,
    /// Whether the clusters differ by more than rounding.
    pub has_variance: bool,
}

/// A spread of the clusters below this share of their sums' root mean square is rounding.
const ROUNDING: f64 = 1e-9;

/// Below these a CR2 test is undefined and its p is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusterLimits {
    /// Fewest clusters that a test needs.
    pub clusters: usize,
    /// Fewest values that a test needs.
    pub n: f64,
    /// Fewest degrees of freedom.
    pub df: f64,
}

impl ClusterT {
    /// From cluster sums; `None` with fewer than two clusters.
    #[must_use]
    pub fn from_sums(sums: impl Iterator<Item = ClusterSum> + Clone) -> Option<Self> {
        let (mut n, mut total, mut squares, mut clusters) = (0.0, 0.0, 0.0, 0usize);
        for c in sums.clone() {
            n += c.n;
            total += c.sum;
            squares += c.n * c.n;
            // One without values of its own, a day that carries what was entered before, is no cluster more.
            clusters += usize::from(c.n > 0.0);
        }
        if clusters < 2 {
            return None;
        }
        let mean = total / n;
        let (mut plain, mut corrected, mut a_sum, mut a_squares, mut size) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for c in sums {
            let u = c.sum - c.n * mean;
            let leverage = 1.0 - c.n / n;
            let a = c.n * c.n / (leverage * n);
            plain += u * u;
            corrected += u * u / leverage;
            a_sum += a;
            a_squares += a * a;
            size += c.sum * c.sum;
        }
        let g = count(clusters);
        Some(Self {
            n,
            clusters,
            mean,
            se_cr1: sqrt(g / (g - 1.0) * plain) / n,
            se_cr2: sqrt(corrected) / n,
            df_bm: n * n / (squares + a_sum * a_sum - a_squares),
            effective_n: n * n / squares,
            has_variance: sqrt(plain) > ROUNDING * sqrt(size),
        })
    }

    /// CR2 t of the hypothesis that the mean is zero.
    #[must_use]
    pub fn t_cr2(&self) -> f64 {
        self.mean / self.se_cr2
    }

    /// One-sided CR2 p of a positive mean.
    #[must_use]
    pub fn p1_cr2(&self) -> f64 {
        t_sf(self.t_cr2(), self.df_bm)
    }

    /// Two-sided CR2 p.
    #[must_use]
    pub fn p2_cr2(&self) -> f64 {
        (2.0 * t_sf(self.t_cr2().abs(), self.df_bm)).min(1.0)
    }

    /// One-sided CR1 p of a positive mean, `G - 1` degrees of freedom.
    #[must_use]
    pub fn p1_cr1(&self) -> f64 {
        t_sf(self.mean / self.se_cr1, count(self.clusters) - 1.0)
    }

    /// Whether the CR2 test may be used.
    #[must_use]
    pub fn is_defined(&self, limits: &ClusterLimits) -> bool {
        self.clusters >= limits.clusters
            && self.n >= limits.n
            && self.df_bm >= limits.df
            && self.has_variance
            && self.se_cr2.is_finite()
    }
}

/// A count as a number; exact below 2^53.
#[allow(clippy::cast_precision_loss, reason = "counts of events and days stay far below 2^53")]
#[must_use]
pub const fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ClusterLimits = ClusterLimits { clusters: 10, n: 30.0, df: 5.0 };

    fn equal_clusters(g: usize, n: f64) -> impl Iterator<Item = ClusterSum> + Clone {
        (0..g).map(move |i| ClusterSum { n, sum: if i % 3 == 0 { 2.0 * n } else { -n } })
    }

    #[test]
    fn one_value_a_cluster_is_the_ordinary_t() {
        let t = ClusterT::from_sums(equal_clusters(30, 1.0)).unwrap();
        assert!((t.se_cr1 - t.se_cr2).abs() < 1e-15);
        assert!((t.df_bm - 29.0).abs() < 1e-9);
        assert!((t.effective_n - 30.0).abs() < 1e-9);
    }

    #[test]
    fn too_few_days_or_no_variance_leave_the_test_undefined() {
        assert!(ClusterT::from_sums(equal_clusters(1, 9.0)).is_none());
        assert!(!ClusterT::from_sums(equal_clusters(9, 9.0)).unwrap().is_defined(&LIMITS));
        assert!(!ClusterT::from_sums(equal_clusters(20, 1.0)).unwrap().is_defined(&LIMITS));
        assert!(ClusterT::from_sums(equal_clusters(20, 2.0)).unwrap().is_defined(&LIMITS));
        let flat = (0..40).map(|_| ClusterSum { n: 2.0, sum: 1.0 });
        assert!(!ClusterT::from_sums(flat).unwrap().is_defined(&LIMITS));
        // A constant that is no sum of halves, and one with an ulp of noise: their spread is rounding.
        for noise in [0.0, 2e-16] {
            let nearly = (0..400).map(|i| {
                let n = f64::from(i % 4 + 1);
                ClusterSum { n, sum: (0..=i % 4).map(|_| 0.001 + noise * f64::from(i % 3)).sum() }
            });
            let t = ClusterT::from_sums(nearly).unwrap();
            assert!(!t.has_variance && !t.is_defined(&LIMITS), "{t:?}");
        }
        let little = (0..400).map(|i| ClusterSum { n: 1.0, sum: 0.001 + 1e-9 * f64::from(i % 3) });
        assert!(ClusterT::from_sums(little).unwrap().is_defined(&LIMITS));
    }

    #[test]
    fn one_dominating_day_lowers_the_degrees_of_freedom() {
        let mut sums: Vec<_> = equal_clusters(40, 1.0).collect();
        let before = ClusterT::from_sums(sums.iter().copied()).unwrap().df_bm;
        sums[0].n = 40.0;
        let after = ClusterT::from_sums(sums.iter().copied()).unwrap();
        assert!(after.df_bm < 0.2 * before, "{} {before}", after.df_bm);
    }
}
