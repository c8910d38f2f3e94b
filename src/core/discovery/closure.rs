//! What closed testing says of e-values, beside the procedure that publishes: nothing is published by it.
//!
//! The e-value of an intersection J of hypotheses is the mean of theirs, weighted by their shares s of the
//! budget: `E(J) = sum_J s e / sum_J s`. Two things follow for a level and an evening on which one looks,
//! under any dependence:
//!
//! - *closed e-BH* (Xu, Solari, Fischer, de Heide, Ramdas and Goeman 2025): a set R has a false discovery
//!   rate of at most q where `E(J) >= |J and R| / (q |R|)` for every J. It finds whatever e-BH finds, and
//!   more;
//! - *true discoveries* (Goeman and Solari 2011 with such e-values): with confidence `1 - alpha` a set R has
//!   at least `|R| - max |J and R|` true ones, over the J that are not rejected, `E(J) < 1 / alpha`. It holds
//!   for every R at once, so that R may be chosen after looking.
//!
//! Both go by the e-values as they stand and not by their suprema: next evening's sets need not hold today's.

use super::cluster::count;

/// A hypothesis of the closure: its share of the budget, and its e-value as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Share of the error budget, positive.
    pub share: f64,
    /// Finite; 0 of what has no evidence.
    pub e: f64,
}

/// What the closure says of a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Hypotheses that closed e-BH finds.
    pub ebh: usize,
    /// Hypotheses that closed BH finds.
    pub bh: usize,
    /// True discoveries at least, among those of the publishing procedure.
    pub true_at_least: usize,
}

impl Weighed {
    /// What it adds to the excess of an intersection over a threshold.
    fn excess(self, threshold: f64) -> f64 {
        self.share * (self.e - threshold)
    }
}

/// The largest excess that is missing in any intersection of so many members of `set` and any of the others:
/// where it is not below zero, all of these are rejected at the threshold.
fn least_excess(set: &[Weighed], others: &[Weighed], members: usize, threshold: f64) -> f64 {
    let mut inside: Vec<f64> = set.iter().map(|h| h.excess(threshold)).collect();
    inside.sort_by(f64::total_cmp);
    let outside: f64 = others.iter().map(|h| h.excess(threshold).min(0.0)).sum();
    inside[..members].iter().sum::<f64>() + outside
}

/// How many of the hypotheses closed e-BH finds at level `q`: the largest set of those with the most evidence
/// for their share.
#[must_use]
pub fn closed_ebh(hypotheses: &[Weighed], q: f64) -> usize {
    let mut order = hypotheses.to_vec();
    order.sort_by(|a, b| (b.share * b.e).total_cmp(&(a.share * a.e)));
    let holds = |size: &usize| {
        let (set, others) = order.split_at(*size);
        let threshold = |members: usize| count(members) / (q * count(*size));
        // Each alone must reach the lowest threshold: few sets get further.
        set.iter().all(|h| h.e >= threshold(1))
            && (1..=*size).rev().all(|members| least_excess(set, others, members, threshold(members)) >= 0.0)
    };
    (1..=order.len()).rev().find(holds).unwrap_or(0)
}

/// How many of a set are true discoveries at least, with confidence `1 - alpha`.
#[must_use]
pub fn true_at_least(set: &[Weighed], others: &[Weighed], alpha: f64) -> usize {
    let not_rejected = |members: &usize| least_excess(set, others, *members, 1.0 / alpha) < 0.0;
    set.len() - (1..=set.len()).rev().find(not_rejected).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hypotheses() -> impl Strategy<Value = Vec<Weighed>> {
        let e = prop_oneof![0.0f64..2.0, 0.0f64..60.0, 0.0f64..2000.0, Just(0.0)];
        let one = (e, 0.01f64..0.3).prop_map(|(e, share)| Weighed { share, e });
        prop::collection::vec(one, 1..9)
    }

    /// Every intersection, by its members: the e-value, and how many of the first `size` of them it has.
    fn intersections(all: &[Weighed], size: usize) -> Vec<(f64, usize)> {
        (1u32..1 << all.len())
            .map(|bits| {
                let members: Vec<usize> = (0..all.len()).filter(|i| bits >> i & 1 == 1).collect();
                let sum = |f: &dyn Fn(Weighed) -> f64| members.iter().map(|i| f(all[*i])).sum::<f64>();
                let e = sum(&|h| h.share * h.e) / sum(&|h| h.share);
                (e, members.iter().filter(|i| **i < size).count())
            })
            .collect()
    }

    proptest! {
        #[test]
        fn both_are_what_going_through_every_intersection_says(mut all in hypotheses(), q in 0.02f64..0.4) {
            all.sort_by(|a, b| (b.share * b.e).total_cmp(&(a.share * a.e)));
            let holds = |size: usize| {
                let bound = |members: usize| count(members) / (q * count(size));
                intersections(&all, size).iter().all(|(e, members)| *e >= bound(*members) * (1.0 - 1e-12))
            };
            let by_hand = (1..=all.len()).rev().find(|size| holds(*size)).unwrap_or(0);
            prop_assert_eq!(closed_ebh(&all, q), by_hand);
            for size in 0..=all.len() {
                let open = intersections(&all, size).into_iter().filter(|(e, _)| *e < 1.0 / q);
                let expected = size - open.map(|(_, members)| members).max().unwrap_or(0);
                let (set, others) = all.split_at(size);
                prop_assert_eq!(true_at_least(set, others, q), expected);
            }
        }

        #[test]
        fn closed_e_bh_finds_whatever_e_bh_finds(all in hypotheses(), q in 0.02f64..0.4) {
            let budget: f64 = all.iter().map(|h| h.share).sum();
            let e: Vec<f64> = all.iter().map(|h| h.share / budget.max(1.0) * h.e).collect();
            let (found, ..) = crate::discovery::multiplicity::ebh_reject(&e, 1, q);
            prop_assert!(closed_ebh(&all, q) >= found, "{} {}", closed_ebh(&all, q), found);
        }
    }

    #[test]
    fn one_strong_hypothesis_among_many_without_evidence_is_a_true_discovery() {
        let none = vec![Weighed { share: 0.01, e: 0.0 }; 99];
        let strong = |e| [Weighed { share: 0.01, e }];
        assert_eq!(true_at_least(&strong(2000.0), &none, 0.05), 1);
        assert_eq!(true_at_least(&strong(1999.0), &none, 0.05), 0);
        let all = |e| [strong(e).as_slice(), &none].concat();
        assert_eq!((closed_ebh(&all(2000.0), 0.05), closed_ebh(&all(1999.0), 0.05)), (1, 0));
        // e-BH asks of a second one for half as much as of the first, closed e-BH for less.
        let two =
            [&[Weighed { share: 0.01, e: 1e5 }, Weighed { share: 0.01, e: 995.0 }], &none[..98]].concat();
        let e: Vec<f64> = two.iter().map(|h| h.share * h.e).collect();
        assert_eq!(crate::discovery::multiplicity::ebh_reject(&e, 1, 0.05).0, 1);
        assert_eq!(closed_ebh(&two, 0.05), 2);
    }
}
