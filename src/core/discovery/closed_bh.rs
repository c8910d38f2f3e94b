//! The closure of the procedure that publishes, for a look: nothing is published by it.
//!
//! Let B be the r hypotheses that weighted Benjamini-Hochberg finds at level q, each with a share s of the
//! budget. For a set S of true hypotheses with shares `s(S)` let O be what of B lies outside S, and let `K =
//! max { k : |O| + |{ i in S : p_i <= q k s_i / s(S) }| >= k }`. Under positive dependence on S (PRDS) `E(S)
//! = (1 - |O| / K) / q` is an e-value: |O| and K fall as any p rises, `K - |O|` of S lie below the threshold
//! of K, and the expected sum over S of `1{p_i <= q K s_i / s(S)} / K` is at most q (Blanchard and Roquain
//! 2008, lemma 3.2). By the closure principle (Xu, Solari, Fischer, de Heide, Ramdas and Goeman 2025) any R
//! with `1 - |O| / K >= |R and S| / |R|` for every S then has a false discovery rate of at most q. R = B
//! always does, since K is at least r; so this is never less than BH. Goeman (2026) derives a closure of BH
//! too; this one was derived here.
//!
//! S is not searched among all sets. Of those with a members in B and b in the rest of R the worst is bounded
//! at once: the members with the largest `p / s`, the largest shares, and everybody outside R with their
//! shares and without their help.
//!
//! What of the budget nobody has yet belongs to a hypothesis that is never found: what is kept for later is
//! not spent. What the closure can gain is little where few are found: a hypothesis beyond B needs `p <= q (r
//! + 1) s / (1 - s(B))`, so the threshold rises by what B has of the budget.

use super::cluster::count;

/// A hypothesis with its share of the budget and its p-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shared {
    /// Share of the error budget, positive; all shares add up to 1 at most.
    pub share: f64,
    /// The p-value at any time.
    pub p: f64,
}

impl Shared {
    fn ratio(self) -> f64 {
        self.p / self.share
    }
}

/// Hypotheses in the order of `p / s`, the largest set that was asked for first.
struct Look {
    ordered: Vec<Shared>,
    /// How many BH finds.
    found: usize,
    /// What nobody has of the budget.
    kept: f64,
    q: f64,
}

impl Look {
    fn new(hypotheses: &[Shared], q: f64) -> Self {
        let mut ordered = hypotheses.to_vec();
        ordered.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let is_step = |k: &usize| ordered[k - 1].ratio() <= q * count(*k);
        let found = (1..=ordered.len()).rev().find(is_step).unwrap_or(0);
        let kept = (1.0 - Self::shares(&ordered)).max(0.0);
        Self { ordered, found, kept, q }
    }

    fn shares(of: &[Shared]) -> f64 {
        of.iter().map(|h| h.share).sum()
    }

    /// Shares of the so many largest, summed: `[0]` is of none.
    fn largest(of: &[Shared]) -> Vec<f64> {
        let mut shares: Vec<f64> = of.iter().map(|h| h.share).collect();
        shares.sort_by(|a, b| b.total_cmp(a));
        let sum = |total: &mut f64, share: f64| {
            *total += share;
            Some(*total)
        };
        std::iter::once(0.0).chain(shares.into_iter().scan(0.0, sum)).collect()
    }

    /// Whether the first `size` may be reported: no set of true ones speaks against it.
    fn holds(&self, size: usize) -> bool {
        let (inside, outside) = self.ordered.split_at(size);
        let (bh, more) = inside.split_at(self.found);
        let all = self.kept + Self::shares(outside);
        let (of_bh, of_more) = (Self::largest(bh), Self::largest(more));
        let sets = (0..=bh.len()).flat_map(|a| (0..=more.len()).map(move |b| (a, b)));
        sets.filter(|(a, b)| a + b > 0).all(|(a, b)| {
            let worst = (&bh[bh.len() - a..], &more[more.len() - b..]);
            let spared = bh.len() - a;
            let k = self.step(worst, spared, all + of_bh[a] + of_more[b]);
            // 1 - |O| / K >= |R and S| / |R|, without its fractions.
            k > 0 && (k - spared) * size >= (a + b) * k
        })
    }

    /// K: the largest k that those spared and those below its threshold reach together.
    fn step(&self, (bh, more): (&[Shared], &[Shared]), spared: usize, shares: f64) -> usize {
        let mut k = spared + bh.len() + more.len();
        loop {
            let threshold = self.q * count(k) / shares;
            let below = |of: &[Shared]| of.partition_point(|h| h.ratio() <= threshold);
            let reached = spared + below(bh) + below(more);
            if reached >= k {
                return k;
            }
            k = reached;
        }
    }
}

/// How many of the hypotheses the closure of weighted BH finds at level `q`: those with the smallest `p / s`,
/// at least as many as BH.
#[must_use]
pub fn closed_bh(hypotheses: &[Shared], q: f64) -> usize {
    let look = Look::new(hypotheses, q);
    let (first, rest) = look.ordered.split_at(look.found);
    // Alone among those outside, the last one needs this much; few sets are longer.
    let outside = look.kept + Look::shares(rest);
    let is_near = |h: &Shared| h.ratio() * (outside - h.share).max(0.0) <= look.q * count(first.len() + 1);
    let near = rest.iter().take_while(|h| is_near(h)).count();
    (look.found..=look.found + near).rev().find(|size| *size == look.found || look.holds(*size)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::discovery::multiplicity::{bh_reject, weigh};

    fn hypotheses() -> impl Strategy<Value = Vec<Shared>> {
        let p = prop_oneof![0.0f64..1.0, 0.0f64..0.1, 0.0f64..0.02];
        let one = (p, 0.5f64..2.0);
        prop::collection::vec(one, 1..9).prop_map(|all| {
            let total: f64 = all.iter().map(|(_, weight)| weight).sum();
            all.into_iter().map(|(p, weight)| Shared { share: weight / total, p }).collect()
        })
    }

    /// `q E(S)` by its definition, of a set given by bits over the order.
    fn fdp(look: &Look, bits: u32) -> f64 {
        let is_in = |i: usize| bits >> i & 1 == 1;
        let members: Vec<Shared> =
            (0..look.ordered.len()).filter(|i| is_in(*i)).map(|i| look.ordered[i]).collect();
        let shares = Look::shares(&members);
        let spared = (0..look.found).filter(|i| !is_in(*i)).count();
        let reached =
            |k: usize| spared + members.iter().filter(|h| h.ratio() <= look.q * count(k) / shares).count();
        let k = (1..=look.ordered.len()).rev().find(|k| reached(*k) >= *k).unwrap_or(0);
        if k == 0 { 0.0 } else { 1.0 - count(spared) / count(k) }
    }

    proptest! {
        #[test]
        fn no_set_of_true_hypotheses_speaks_against_what_it_finds(all in hypotheses(), q in 0.02f64..0.4) {
            let (look, found) = (Look::new(&all, q), closed_bh(&all, q));
            for bits in 1u32..1 << all.len() {
                let common = (bits & ((1 << found) - 1)).count_ones();
                if common > 0 {
                    let part = f64::from(common) / count(found);
                    prop_assert!(fdp(&look, bits) >= part - 1e-12, "{} of {}", part, found);
                }
            }
        }

        #[test]
        fn it_finds_whatever_bh_finds(all in hypotheses(), q in 0.02f64..0.4) {
            let shares: Vec<f64> = all.iter().map(|h| h.share).collect();
            let p: Vec<f64> = all.iter().map(|h| h.p).collect();
            prop_assert!(closed_bh(&all, q) >= bh_reject(&weigh(&p, &shares), 1, q).0);
        }
    }

    #[test]
    fn where_most_are_found_the_rest_needs_less() {
        let look = |p: &[f64]| {
            let share = 1.0 / count(p.len());
            let all: Vec<Shared> = p.iter().map(|p| Shared { share, p: *p }).collect();
            (bh_reject(p, p.len(), 0.05).0, closed_bh(&all, 0.05))
        };
        // Were eight of nine and the last one true, their share of 0.9 would allow q / 0.9.
        let ten = |last: f64| look(&[&[1e-6; 9][..], &[last]].concat());
        assert_eq!((ten(0.055), ten(0.056)), ((9, 10), (9, 9)));
        // One of two, the third and what nobody finds: three quarters of the budget.
        assert_eq!(look(&[0.001, 0.002, 0.049, 0.9]), (2, 3));
        assert_eq!(look(&[0.001, 0.002, 0.051, 0.9]), (2, 2));
    }

    #[test]
    fn where_few_are_found_it_gains_next_to_nothing() {
        let share = 1e-3;
        let all = |last: f64| {
            let strong = [1e-7, 2e-7, last].map(|p| Shared { share, p });
            [&strong[..], &[Shared { share, p: 0.5 }; 997]].concat()
        };
        // BH's threshold of a third one is 0.05 * 3 / 1000; two of a thousand widen it by a thousandth.
        let bh = 0.05 * 3.0 * share;
        assert_eq!(closed_bh(&all(bh * 1.0009), 0.05), 3);
        assert_eq!(closed_bh(&all(bh * 1.0021), 0.05), 2);
        // The same three alone, with what is kept for others.
        assert_eq!(closed_bh(&all(bh * 1.0021)[..3], 0.05), 2);
    }
}
