//! The prior system's rules, reproduced for parity tests only. None of this may publish: its tests ignore
//! dependence, its shrunken p is not a p-value, and its two-stage FDR lacks the selection adjustment.

use std::collections::BTreeMap;
use std::sync::Arc;

use libm::sqrt;

use super::multiplicity::{bh_adjust, bh_reject, simes};
use super::special::t_sf;

/// Shrinkage with a fixed lambda: `(n mean + lambda parent) / (n + lambda)`.
#[must_use]
pub fn fixed_shrink(n: f64, mean: f64, parent: f64, lambda: f64) -> f64 {
    let weight = n / (n + lambda);
    weight * mean + (1.0 - weight) * parent
}

/// The seed's adaptive lambda and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedShrinkage {
    /// Pooled variance within the children.
    pub within: f64,
    /// Mean of all events of all children together.
    pub mean: f64,
    /// Between-variance, sampling noise included (the defect).
    pub between: f64,
    /// `within / between`, clipped to 5..5000.
    pub lambda: f64,
    /// Weight of each child.
    pub weights: Vec<f64>,
    /// Shrunk mean of each child.
    pub shrunk: Vec<f64>,
    /// `shrunk / (sd / sqrt n)`.
    pub t: Vec<f64>,
    /// Its two-sided p with `n - 1` degrees of freedom. Not a p-value.
    pub p2: Vec<f64>,
}

/// One level of the seed's cascade, children given as `(n, mean, sd)`, parent = their pooled mean.
#[must_use]
pub fn seed_shrinkage(children: &[(f64, f64, f64)]) -> SeedShrinkage {
    let total: f64 = children.iter().map(|c| c.0).sum();
    let mean = children.iter().map(|c| c.0 * c.1).sum::<f64>() / total;
    let freedom: f64 = children.iter().map(|c| (c.0 - 1.0).max(0.0)).sum();
    let within = children.iter().map(|c| (c.0 - 1.0).max(0.0) * c.2 * c.2).sum::<f64>() / freedom.max(1.0);
    let between = children.iter().map(|c| c.0 * (c.1 - mean) * (c.1 - mean)).sum::<f64>() / total;
    let lambda = (within / between.max(1e-8)).clamp(5.0, 5000.0);
    let weights: Vec<f64> = children.iter().map(|c| c.0 / (c.0 + lambda)).collect();
    let shrunk: Vec<f64> = children.iter().map(|c| fixed_shrink(c.0, c.1, mean, lambda)).collect();
    let t: Vec<f64> = children.iter().zip(&shrunk).map(|(c, s)| s / (c.2 / sqrt(c.0))).collect();
    let p2 = children.iter().zip(&t).map(|(c, t)| 2.0 * t_sf(t.abs(), (c.0 - 1.0).max(1.0))).collect();
    SeedShrinkage { within, mean, between, lambda, weights, shrunk, t, p2 }
}

/// Plain BH inside each group, at the same level in each, however many groups there are.
#[must_use]
pub fn bh_per_group(groups: &BTreeMap<String, Vec<f64>>, q: f64) -> BTreeMap<String, Vec<bool>> {
    groups.iter().map(|(name, p)| (name.clone(), bh_reject(p, p.len(), q).1)).collect()
}

/// The seed's two-stage q-values.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedTwoStage {
    /// Simes p per family.
    pub simes: Vec<f64>,
    /// BH over the families.
    pub q_family: Vec<f64>,
    /// BH inside a selected family, 1 in the others.
    pub q: Vec<Vec<f64>>,
}

/// Simes per family, BH across families, plain BH inside the selected ones (no `R/N` adjustment: the defect).
#[must_use]
pub fn seed_two_stage(families: &[Vec<f64>], level: f64) -> SeedTwoStage {
    let simes: Vec<f64> = families.iter().map(|p| simes(p, p.len())).collect();
    let q_family = bh_adjust(&simes, simes.len());
    let q = families
        .iter()
        .zip(&q_family)
        .map(|(p, q)| if *q <= level { bh_adjust(p, p.len()) } else { vec![1.0; p.len()] })
        .collect();
    SeedTwoStage { simes, q_family, q }
}

/// One unit as the prior system saw it: every event an independent observation, no recency weights.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedRow {
    /// Number of the (event, horizon) cell that it shrinks in.
    pub event: usize,
    /// Event type: the prior system ran one multiplicity procedure for each.
    pub event_type: Arc<str>,
    /// Symbol; `None` for a pooled unit, which the prior system did not have.
    pub symbol: Option<usize>,
    /// Number of events in the unit.
    pub n: f64,
    /// Mean return of those events.
    pub mean: f64,
    /// Their standard deviation (n in the denominator).
    pub sd: f64,
}

/// The prior system's q-values: shrinkage of every row of an (event, horizon) towards the cell's mean, t of
/// the shrunken mean with `n - 1` degrees of freedom, then per event type [`seed_two_stage`] over families of
/// (symbol, event, horizon). Rows with fewer than `min_sample_size` events get 1. Its two clones of each
/// series (the verbs) have equal p, and doubling every family and every row leaves its q-values as they are.
#[must_use]
pub fn seed_q_values(rows: &[SeedRow], level: f64, min_sample_size: f64) -> Vec<Option<f64>> {
    let mut cells: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let is_usable = |r: &SeedRow| r.symbol.is_some() && r.mean.is_finite() && r.sd.is_finite();
    for (i, row) in rows.iter().enumerate().filter(|(_, r)| is_usable(r)) {
        cells.entry(row.event).or_default().push(i);
    }
    let mut p = vec![1.0; rows.len()];
    for members in cells.values() {
        let children: Vec<(f64, f64, f64)> =
            members.iter().map(|&i| (rows[i].n, rows[i].mean, rows[i].sd)).collect();
        for (&i, shrunken) in members.iter().zip(seed_shrinkage(&children).p2) {
            p[i] = if shrunken.is_nan() { 1.0 } else { shrunken };
        }
    }
    let mut runs: BTreeMap<&str, BTreeMap<(usize, usize), Vec<usize>>> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate().filter(|(_, r)| r.n >= min_sample_size) {
        if let Some(symbol) = row.symbol {
            runs.entry(&row.event_type).or_default().entry((symbol, row.event)).or_default().push(i);
        }
    }
    let mut q: Vec<Option<f64>> = rows.iter().map(|r| r.symbol.map(|_| 1.0)).collect();
    for families in runs.values() {
        let members: Vec<&Vec<usize>> = families.values().collect();
        let p: Vec<Vec<f64>> = members.iter().map(|ix| ix.iter().map(|&i| p[i]).collect()).collect();
        for (ix, values) in members.iter().zip(seed_two_stage(&p, level).q) {
            ix.iter().zip(values).for_each(|(&i, value)| q[i] = Some(value));
        }
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_family_example_of_the_prior_system_is_reproduced() {
        let mut families = vec![vec![0.001, 0.20]];
        families.extend((0..9).map(|_| vec![0.9]));
        let got = seed_two_stage(&families, 0.05);
        assert!((got.simes[0] - 0.002).abs() < 1e-15 && (got.q_family[0] - 0.02).abs() < 1e-15);
        assert!((got.q[0][0] - 0.002).abs() < 1e-15 && (got.q[0][1] - 0.20).abs() < 1e-15);
    }
}
