//! Accounting for how many hypotheses were looked at. All procedures are monotone in the p-values, so that
//! with running minima (`p_any`) the rejected set only grows.
//!
//! `m` is the size of the catalogue. Hypotheses without evidence count with p = 1: they may be left out of
//! the slices, never out of `m`.

use super::cluster::count;

/// Harmonic sum `1 + 1/2 + ... + 1/m`: the price of arbitrary dependence (Benjamini and Yekutieli 2001).
#[must_use]
pub fn harmonic(m: usize) -> f64 {
    (1..=m).map(|i| 1.0 / count(i)).sum()
}

/// Share of the error budget of cohort `b` (from 1): `6 / (pi^2 b^2)`, which sums to 1 over all cohorts for
/// ever.
#[must_use]
pub fn cohort_budget(b: u32) -> f64 {
    let b = f64::from(b.max(1));
    6.0 / (std::f64::consts::PI * std::f64::consts::PI * b * b)
}

/// Benjamini-Hochberg (1995) adjusted p-values: `min_{j >= i} p_(j) m / j`, at most 1. NaN counts as 1.
#[must_use]
pub fn bh_adjust(p: &[f64], m: usize) -> Vec<f64> {
    step_up(p, count(m))
}

/// Benjamini-Yekutieli adjusted p-values: valid under any dependence.
#[must_use]
pub fn by_adjust(p: &[f64], m: usize) -> Vec<f64> {
    step_up(p, count(m) * harmonic(m))
}

fn step_up(p: &[f64], factor: f64) -> Vec<f64> {
    let order = ascending(p);
    let mut adjusted = vec![1.0; p.len()];
    let mut best = 1.0f64;
    for (rank, &i) in order.iter().enumerate().rev() {
        best = best.min(known(p[i]) * factor / count(rank + 1));
        adjusted[i] = best;
    }
    adjusted
}

/// BH at level `q`: the k smallest are rejected, `k = max{k : p_(k) <= q k / m}`. Returns k and the set.
#[must_use]
pub fn bh_reject(p: &[f64], m: usize, q: f64) -> (usize, Vec<bool>) {
    let order = ascending(p);
    let k = (1..=order.len()).rev().find(|&k| known(p[order[k - 1]]) <= q * count(k) / count(m)).unwrap_or(0);
    let mut reject = vec![false; p.len()];
    order.iter().take(k).for_each(|&i| reject[i] = true);
    (k, reject)
}

/// `p / w`: weighted BH is BH on these (Genovese, Roeder and Wasserman 2006); weights average at most 1 over
/// `m`.
#[must_use]
pub fn weigh(p: &[f64], weights: &[f64]) -> Vec<f64> {
    p.iter().zip(weights).map(|(p, w)| if *w > 0.0 { p / w } else { f64::INFINITY }).collect()
}

/// Simes p-value of a group of `size` hypotheses of which `p` are the tested ones: `min_i p_(i) size / i`, at
/// most 1.
#[must_use]
pub fn simes(p: &[f64], size: usize) -> f64 {
    ascending(p)
        .iter()
        .enumerate()
        .map(|(rank, &i)| known(p[i]) * count(size) / count(rank + 1))
        .fold(1.0, f64::min)
}

/// A partition of hypotheses into groups: `members[i]` is the group of hypothesis i, `sizes[g]` counts all of
/// group g's hypotheses in the catalogue, tested or not. Groups without a tested member are in `sizes` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Group of each hypothesis.
    pub members: Vec<usize>,
    /// Catalogue size of each group.
    pub sizes: Vec<usize>,
}

/// What Benjamini-Bogomolov decided at one level.
#[derive(Clone, Debug, PartialEq)]
pub struct BbDecision {
    /// Simes p of each group.
    pub simes: Vec<f64>,
    /// Groups selected by BH over all groups.
    pub selected: Vec<bool>,
    /// `q R / N`: the level inside a selected group.
    pub level_within: f64,
    /// Whether each hypothesis was rejected, in the order given.
    pub rejected: Vec<bool>,
}

/// Benjamini and Bogomolov (2014): select groups by BH on their Simes p at level q, then BH inside the
/// selected ones at `q R / N`, with R of N groups selected.
#[must_use]
pub fn grouped_bb(p: &[f64], groups: &Groups, q: f64) -> BbDecision {
    let by_group = split(p, groups);
    let group_p: Vec<f64> =
        by_group.iter().zip(&groups.sizes).map(|(ix, &size)| simes(&pick(p, ix), size)).collect();
    let (selected_count, selected) = bh_reject(&group_p, groups.sizes.len(), q);
    let level_within = q * count(selected_count) / count(groups.sizes.len().max(1));
    let mut rejected = vec![false; p.len()];
    for (g, ix) in by_group.iter().enumerate().filter(|(g, _)| selected[*g]) {
        let (_, inside) = bh_reject(&pick(p, ix), groups.sizes[g], level_within);
        ix.iter().zip(inside).for_each(|(&i, r)| rejected[i] = r);
    }
    BbDecision { simes: group_p, selected, level_within, rejected }
}

/// The smallest level at which [`grouped_bb`] rejects each hypothesis; 1 where it never does.
///
/// A hypothesis with within-group adjusted p `a` in a group with adjusted Simes p `s` is rejected at level q
/// iff `s <= q` and `a <= q R(q) / N`. R is a step function that jumps at the sorted adjusted Simes p's, so
/// the smallest q lies on the first step r where `a N / r` is reached before the next jump.
#[must_use]
pub fn grouped_bb_adjust(p: &[f64], groups: &Groups) -> Vec<f64> {
    let n = groups.sizes.len();
    let by_group = split(p, groups);
    let group_p: Vec<f64> =
        by_group.iter().zip(&groups.sizes).map(|(ix, &size)| simes(&pick(p, ix), size)).collect();
    let group_q = bh_adjust(&group_p, n);
    let mut jumps = group_q.clone();
    jumps.sort_by(f64::total_cmp);
    let mut adjusted = vec![1.0; p.len()];
    for (g, ix) in by_group.iter().enumerate() {
        for (&i, a) in ix.iter().zip(bh_adjust(&pick(p, ix), groups.sizes[g])) {
            // Steps r = 1..=n; step r holds for q in [jumps[r-1], jumps[r]). Reachability is monotone in r.
            let reached = |r: usize| r == n || a * count(n) / count(r) < jumps[r];
            let (mut low, mut high) = (1, n);
            while low < high {
                let middle = usize::midpoint(low, high);
                if reached(middle) { high = middle } else { low = middle + 1 }
            }
            let level = (a * count(n) / count(low)).max(jumps[low - 1]).max(group_q[g]);
            adjusted[i] = level.min(1.0);
        }
    }
    adjusted
}

/// e-BH (Wang and Ramdas 2022) at level `q`: the k largest are rejected, `k = max{k : k e_(k) / m >= 1/q}`.
/// Returns k, the threshold `m / (q k)` and the set.
#[must_use]
pub fn ebh_reject(e: &[f64], m: usize, q: f64) -> (usize, f64, Vec<bool>) {
    let negative: Vec<f64> = e.iter().map(|e| if e.is_nan() { 0.0 } else { -e }).collect();
    let order = ascending_raw(&negative);
    let enough = |k: usize| -negative[order[k - 1]] * count(k) * q >= count(m);
    let k = (1..=order.len()).rev().find(|&k| enough(k)).unwrap_or(0);
    let mut reject = vec![false; e.len()];
    order.iter().take(k).for_each(|&i| reject[i] = true);
    (k, count(m) / (q * count(k)), reject)
}

/// The smallest level at which e-BH rejects each hypothesis: `min_{j >= i} m / (j e_(j))`, at most 1.
#[must_use]
pub fn ebh_adjust(e: &[f64], m: usize) -> Vec<f64> {
    let inverse: Vec<f64> = e.iter().map(|e| if *e > 0.0 { 1.0 / e } else { f64::INFINITY }).collect();
    bh_adjust(&inverse, m)
}

fn known(p: f64) -> f64 {
    if p.is_nan() { 1.0 } else { p }
}

fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| known(p[a]).total_cmp(&known(p[b])).then(a.cmp(&b)));
    order
}

fn ascending_raw(x: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]).then(a.cmp(&b)));
    order
}

fn pick(p: &[f64], ix: &[usize]) -> Vec<f64> {
    ix.iter().map(|&i| p[i]).collect()
}

fn split(p: &[f64], groups: &Groups) -> Vec<Vec<usize>> {
    let mut by_group = vec![Vec::new(); groups.sizes.len()];
    for (i, &g) in groups.members.iter().enumerate().take(p.len()) {
        by_group[g].push(i);
    }
    by_group
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn small_p() -> impl Strategy<Value = f64> {
        prop_oneof![0.0f64..1.0, 0.0f64..0.05, Just(1.0)]
    }

    proptest! {
        #[test]
        fn an_adjusted_p_is_the_smallest_level_that_rejects(
            p in prop::collection::vec(small_p(), 1..40), groups in 1usize..7, q in 0.01f64..0.5,
        ) {
            let m = p.len() + 3;
            let (_, bh) = bh_reject(&p, m, q);
            for (i, a) in bh_adjust(&p, m).into_iter().enumerate() {
                prop_assume!((a - q).abs() > 1e-9);
                prop_assert_eq!(a <= q, bh[i]);
            }
            let members: Vec<usize> = (0..p.len()).map(|i| i * 7 % groups).collect();
            let sizes: Vec<usize> = (0..groups).map(|g| 1 + members.iter().filter(|x| **x == g).count()).collect();
            let groups = Groups { members, sizes };
            let decision = grouped_bb(&p, &groups, q);
            for (i, a) in grouped_bb_adjust(&p, &groups).into_iter().enumerate() {
                prop_assume!((a - q).abs() > 1e-9);
                prop_assert_eq!(a <= q, decision.rejected[i], "{} {}", a, q);
            }
        }

        #[test]
        fn smaller_p_never_rejects_fewer(
            p in prop::collection::vec(small_p(), 1..40), shrink in prop::collection::vec(0.0f64..1.0, 40),
        ) {
            let smaller: Vec<f64> = p.iter().zip(&shrink).map(|(p, s)| p * s).collect();
            let members: Vec<usize> = (0..p.len()).map(|i| i % 4).collect();
            let sizes = vec![12; 4];
            let groups = Groups { members, sizes };
            let (before, after) = (grouped_bb(&p, &groups, 0.1), grouped_bb(&smaller, &groups, 0.1));
            prop_assert!(before.rejected.iter().zip(&after.rejected).all(|(b, a)| !b || *a));
        }
    }

    #[test]
    fn untested_hypotheses_still_cost() {
        let p = [0.001, 0.002];
        assert_eq!(bh_reject(&p, 2, 0.05).0, 2);
        assert_eq!(bh_reject(&p, 200, 0.05).0, 0);
        assert!(bh_adjust(&[f64::NAN], 1)[0] >= 1.0);
    }

    #[test]
    fn all_cohorts_together_spend_the_budget_once() {
        let spent: f64 = (1..200_000).map(cohort_budget).sum();
        assert!(spent < 1.0 && spent > 0.99999);
    }
}
