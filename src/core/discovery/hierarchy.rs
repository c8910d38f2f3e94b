//! Hypotheses on a tree of three levels: events, the trades of an event (template and horizon), and the units
//! of a trade (state and symbol). Nothing is published by it; it says what a reader may believe who goes down
//! level by level.
//!
//! TreeBH (Bogomolov, Peterson, Benjamini and Sabatti 2021): the p of a node is Simes' of its children.
//! Children of the root are tested by Benjamini-Hochberg at q; children of a node that was found, at its own
//! level times the share that was found among its siblings. At every level the expected mean share of false
//! ones over the families that were looked into is at most q, where p-values within families depend
//! positively.

use super::cluster::count;
use super::multiplicity::{bh_reject, simes};

/// A trade of an event with the hypotheses below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trade {
    /// p-values of its tested units.
    pub p: Vec<f64>,
    /// All of its units, tested or not.
    pub units: usize,
}

/// An event with its trades, tested or not.
#[derive(Clone, Debug, PartialEq)]
pub struct EventNode {
    /// Its weight among events, at every level below it too; weights average at most 1.
    pub weight: f64,
    /// What can be traded on it.
    pub trades: Vec<Trade>,
}

/// How many nodes TreeBH finds at each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoundInTree {
    /// Events of which something can be said.
    pub events: usize,
    /// Trades of these events.
    pub trades: usize,
    /// Units of these trades.
    pub units: usize,
}

/// What TreeBH finds at level `q`.
#[must_use]
pub fn tree_bh(events: &[EventNode], q: f64) -> FoundInTree {
    let by_trade: Vec<Vec<f64>> =
        events.iter().map(|e| e.trades.iter().map(|t| simes(&t.p, t.units)).collect()).collect();
    let weighed = |(event, p): (&EventNode, &Vec<f64>)| simes(p, event.trades.len()) / event.weight;
    let by_event: Vec<f64> = events.iter().zip(&by_trade).map(weighed).collect();
    let mut found = FoundInTree::default();
    let (count_events, is_event_found) = bh_reject(&by_event, events.len(), q);
    found.events = count_events;
    let share_found = count(count_events) / count(events.len().max(1));
    for ((event, p), _) in events.iter().zip(&by_trade).zip(&is_event_found).filter(|(_, found)| **found) {
        let level = q * event.weight * share_found;
        let (count_trades, is_trade_found) = bh_reject(p, event.trades.len(), level);
        found.trades += count_trades;
        let level = level * count(count_trades) / count(event.trades.len());
        let below = event.trades.iter().zip(&is_trade_found).filter(|(_, found)| **found);
        found.units += below.map(|(trade, _)| bh_reject(&trade.p, trade.units, level).0).sum::<usize>();
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trade(p: &[f64], units: usize) -> Trade {
        Trade { p: p.to_vec(), units }
    }

    #[test]
    fn a_worked_tree() {
        // Simes by trade: 0.004 * 4 / 1 = 0.016 and 0.3; 0.6; of the untested trade 1. By event: 0.016 * 2 =
        // 0.032, and 0.6.
        let first = vec![trade(&[0.004, 0.3, 0.02], 4), trade(&[0.3], 1)];
        let second = vec![trade(&[0.6], 1), trade(&[], 3)];
        let tree = |weight| {
            [EventNode { weight, trades: first.clone() }, EventNode { weight: 1.0, trades: second.clone() }]
        };
        // At 0.1 one of two events: 0.05 for its trades, of which 0.016 <= 0.05 / 2; half of 0.05 for its
        // units, where 0.004 <= 0.025 / 4 and 0.02 > 2 * 0.025 / 4.
        assert_eq!(tree_bh(&tree(1.0), 0.1), FoundInTree { events: 1, trades: 1, units: 1 });
        // The event needs 0.032 <= q / 2.
        assert_eq!(tree_bh(&tree(1.0), 0.063), FoundInTree::default());
        assert_eq!(tree_bh(&tree(1.9), 0.063).events, 1);
    }

    proptest! {
        #[test]
        fn a_found_node_lies_below_found_ones_and_smaller_p_find_no_fewer(
            p in prop::collection::vec(prop_oneof![0.0f64..1.0, 0.0f64..0.01], 12),
            smaller in prop::collection::vec(0.0f64..1.0, 12), q in 0.01f64..0.4,
        ) {
            let tree = |p: &[f64]| -> Vec<EventNode> {
                let event = |of: &[f64]| EventNode { weight: 1.0, trades: of.chunks(2).map(|t| trade(t, 3)).collect() };
                p.chunks(4).map(event).collect()
            };
            let found = tree_bh(&tree(&p), q);
            prop_assert!(found.trades >= found.events && found.units >= found.trades, "{:?}", found);
            let lower: Vec<f64> = p.iter().zip(&smaller).map(|(p, s)| p * s).collect();
            let more = tree_bh(&tree(&lower), q);
            prop_assert!(more.events >= found.events && more.trades >= found.trades && more.units >= found.units);
        }

        #[test]
        fn a_tree_of_one_trade_an_event_is_benjamini_and_bogomolov(
            p in prop::collection::vec(prop_oneof![0.0f64..1.0, 0.0f64..0.02], 2..20), q in 0.01f64..0.4,
        ) {
            use crate::discovery::multiplicity::{Groups, grouped_bb};
            let members: Vec<usize> = (0..p.len()).map(|i| i % 5).collect();
            let sizes: Vec<usize> = (0..5).map(|g| 1 + members.iter().filter(|m| **m == g).count()).collect();
            let own = |g: usize| (0..p.len()).filter(|i| members[*i] == g).map(|i| p[i]).collect();
            let event = |g: usize| EventNode { weight: 1.0, trades: vec![Trade { p: own(g), units: sizes[g] }] };
            let events: Vec<EventNode> = (0..5).map(event).collect();
            let groups = grouped_bb(&p, &Groups { members, sizes }, q);
            prop_assert_eq!(tree_bh(&events, q).units, groups.rejected.iter().filter(|r| **r).count());
        }
    }
}
