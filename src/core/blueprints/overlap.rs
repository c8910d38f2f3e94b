//! One position per edge. Blueprints that trade the same moves (a pool and the same by symbol, a rule and the
//! same within a state) are several views of one edge: each with its own evidence, but only one of them, the
//! primary, trades.
//!
//! Two trades meet where symbol and side are the same and the holding times overlap. Two blueprints overlap
//! by the share of trades that meet the other's, of whichever has fewer; from `max_overlap_share` on they
//! belong together. Greedy: what is a primary already stays one, then the larger sum of expected gains goes
//! first; each line joins the first primary that it overlaps with, or becomes one.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Blueprint, OverlapGroup, OverlapRole, Status, UNCONDITIONAL};
use crate::market::{Side, Symbol, Ts};

/// The part of a trade that may meet another's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TradeSpan {
    /// Symbol that was traded.
    pub symbol: Symbol,
    /// Side of the position.
    pub side: Side,
    /// Instant of the entry.
    pub from: Ts,
    /// Instant of the exit.
    pub to: Ts,
}

/// What a run knows about which of its blueprints trade the same moves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverlapFacts {
    /// From this share on two blueprints are one edge: `selection.max_overlap_share`.
    pub max_share: f64,
    /// The trades of each blueprint that the run simulated, by id.
    pub trades: BTreeMap<String, Vec<TradeSpan>>,
    /// Id of the hypothesis of each of them, by blueprint id.
    pub candidates: BTreeMap<String, String>,
}

/// The group of each blueprint that is not alone, by id.
pub type Groups = BTreeMap<String, OverlapGroup>;

impl OverlapFacts {
    /// The same where lines have taken the ids under which their hypotheses are published.
    #[must_use]
    pub(super) fn renamed(&self, lines: &[Blueprint]) -> Self {
        let by_candidate: BTreeMap<&str, &str> =
            lines.iter().map(|b| (b.lineage.candidate_id.as_str(), b.id.as_str())).collect();
        let rename = |id: &String| {
            let candidate = self.candidates.get(id)?;
            by_candidate.get(candidate.as_str()).map(|id| (*id).to_owned())
        };
        let trades =
            self.trades.iter().map(|(id, t)| (rename(id).unwrap_or_else(|| id.clone()), t.clone())).collect();
        Self { trades, ..self.clone() }
    }

    /// Share of trades that two blueprints have in common, of whichever has fewer; `None` where one was not
    /// simulated.
    fn share(&self, a: &str, b: &str) -> Option<f64> {
        let (a, b) = (self.trades.get(a)?, self.trades.get(b)?);
        let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        if few.is_empty() {
            return None;
        }
        let mut by_place: BTreeMap<(&Symbol, Side), Vec<&TradeSpan>> = BTreeMap::new();
        for trade in many {
            by_place.entry((&trade.symbol, trade.side)).or_default().push(trade);
        }
        for trades in by_place.values_mut() {
            trades.sort_by_key(|t| (t.from, t.to));
        }
        let meets = |trade: &&TradeSpan| {
            let Some(others) = by_place.get(&(&trade.symbol, trade.side)) else { return false };
            // One rule holds one position at a time on a symbol, or opens them in order: the last that begins
            // before this one ends is the nearest.
            let begun = others.partition_point(|o| o.from < trade.to);
            others[..begun].iter().rev().take(NEAREST).any(|o| o.to > trade.from)
        };
        Some(few.iter().filter(meets).count() as f64 / few.len() as f64)
    }
}

/// Trades of a rule without a cool-down that are looked at for one that is still open.
const NEAREST: usize = 64;

/// Which of `lines` trade for others. `before` is the version in force: its primaries stay.
#[must_use]
pub fn group(lines: &[Blueprint], before: &[Blueprint], facts: &OverlapFacts) -> Groups {
    let incumbents: BTreeSet<&str> = before.iter().filter(|b| b.is_traded()).map(|b| b.id.as_str()).collect();
    let mut order: Vec<&Blueprint> = lines.iter().filter(|b| b.status != Status::Retired).collect();
    order.sort_by(|a, b| {
        let key = |x: &Blueprint| (x.status, !incumbents.contains(x.id.as_str()));
        key(a).cmp(&key(b)).then(gain(b).total_cmp(&gain(a))).then_with(|| a.id.cmp(&b.id))
    });
    let mut members: BTreeMap<&str, Vec<(&str, Option<f64>)>> = BTreeMap::new();
    let mut primaries: Vec<&Blueprint> = Vec::new();
    for line in order {
        let joined = primaries.iter().find_map(|primary| {
            let share = facts.share(&primary.id, &line.id);
            let is_one_edge = share.map_or_else(|| is_nested(primary, line), |s| s >= facts.max_share);
            is_one_edge.then_some((primary.id.as_str(), share))
        });
        match joined {
            Some((primary, share)) => members.entry(primary).or_default().push((&line.id, share)),
            None => primaries.push(line),
        }
    }
    members.iter().flat_map(|(primary, joined)| groups_of(primary, joined)).collect()
}

fn groups_of(primary: &str, joined: &[(&str, Option<f64>)]) -> Vec<(String, OverlapGroup)> {
    let mut members: Vec<String> = joined.iter().map(|(id, _)| (*id).to_owned()).collect();
    members.sort();
    let of = |role, share| OverlapGroup {
        id: format!("og_{}", primary.trim_start_matches("bp_")),
        role,
        primary: primary.to_owned(),
        members: members.clone(),
        share,
    };
    let first = (primary.to_owned(), of(OverlapRole::Primary, None));
    let rest = joined.iter().map(|(id, share)| ((*id).to_owned(), of(OverlapRole::Member, *share)));
    std::iter::once(first).chain(rest).collect()
}

/// What a rule is expected to have earned in the evidence, bps of one notional.
fn gain(line: &Blueprint) -> f64 {
    let trades = line.evidence.bridge.map_or(0, |b| b.trades) as f64;
    trades * line.evidence.after_cost_expectancy_bps.unwrap_or(0.0)
}

/// Whether the rules alone say that one takes trades of the other: the same event, side and entry, a common
/// symbol, and conditions of which one list holds the other.
fn is_nested(a: &Blueprint, b: &Blueprint) -> bool {
    let holds = |a: &Blueprint, b: &Blueprint| {
        a.condition == UNCONDITIONAL || a.entry.conditions.iter().all(|c| b.entry.conditions.contains(c))
    };
    a.event_type == b.event_type
        && a.direction_rule == b.direction_rule
        && a.symbol_scope.symbols.iter().any(|s| b.symbol_scope.symbols.contains(s))
        && (holds(a, b) || holds(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blueprints::tests::fixtures::with_horizon;
    use crate::market::BarIndex;

    fn span(from: i64, bars: i64, side: Side) -> TradeSpan {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        TradeSpan { symbol, side, from: BarIndex(from).open(), to: BarIndex(from + bars).open() }
    }

    fn line(bars: u32, trades: u64, event: &str) -> Blueprint {
        let mut line = with_horizon(bars);
        line.event_type = event.to_owned();
        line.id = line.identity();
        let mut bridge: crate::blueprints::BridgeEvidence = serde_json::from_value(serde_json::json!({
            "trades": 0, "gross_bps": null, "after_cost_bps": null, "stressed_bps": null, "hit_rate": null,
            "max_drawdown_bps": null,
        }))
        .unwrap();
        bridge.trades = trades;
        line.evidence.bridge = Some(bridge);
        line
    }

    fn facts(trades: &[(&Blueprint, Vec<TradeSpan>)]) -> OverlapFacts {
        OverlapFacts {
            max_share: 0.5,
            trades: trades.iter().map(|(b, t)| (b.id.clone(), t.clone())).collect(),
            candidates: trades.iter().map(|(b, _)| (b.id.clone(), b.lineage.candidate_id.clone())).collect(),
        }
    }

    #[test]
    fn of_rules_that_trade_the_same_moves_the_one_with_the_larger_sum_of_gains_trades() {
        let (pool, part, other) = (line(12, 100, "A"), line(13, 40, "B"), line(14, 50, "C"));
        let spans = |n: i64, step: i64| (0..n).map(|i| span(i * step, 12, Side::Long)).collect::<Vec<_>>();
        let facts = facts(&[
            (&pool, spans(100, 20)),
            // Every second of the pool's trades, a few bars later.
            (&part, (0..40).map(|i| span(i * 40 + 5, 12, Side::Long)).collect()),
            (&other, (0..50).map(|i| span(i * 40, 12, Side::Short)).collect()),
        ]);
        let groups = group(&[pool.clone(), part.clone(), other.clone()], &[], &facts);
        assert_eq!(groups[&part.id].role, OverlapRole::Member);
        assert_eq!(groups[&part.id].primary, pool.id);
        assert_eq!(groups[&part.id].share, Some(1.0));
        assert_eq!(groups[&pool.id].role, OverlapRole::Primary);
        assert_eq!(groups[&pool.id].members, std::slice::from_ref(&part.id));
        assert!(!groups.contains_key(&other.id), "the other side is another position");
    }

    #[test]
    fn what_trades_already_goes_on_and_a_watched_one_does_not_hold_its_group_back() {
        let (mut old, new) = (line(12, 10, "A"), line(13, 100, "A"));
        let same: Vec<TradeSpan> = (0..10).map(|i| span(i * 20, 12, Side::Long)).collect();
        let facts = facts(&[(&old, same.clone()), (&new, same)]);
        let lines = [old.clone(), new.clone()];
        assert_eq!(group(&lines, &[], &facts)[&new.id].role, OverlapRole::Primary);
        assert_eq!(group(&lines, &lines[..1], &facts)[&old.id].role, OverlapRole::Primary);
        old.status = Status::Watch;
        let lines = [old, new.clone()];
        assert_eq!(group(&lines, &[], &facts)[&new.id].role, OverlapRole::Primary);
    }

    #[test]
    fn without_trades_the_rules_themselves_say_what_is_nested() {
        let (pool, mut part) = (line(12, 100, "A"), line(13, 40, "A"));
        let none = facts(&[]);
        part.condition = "CALM".to_owned();
        part.entry.conditions.push("CALM".to_owned());
        let groups = group(&[pool.clone(), part.clone()], &[], &none);
        assert_eq!((groups[&part.id].role, groups[&part.id].share), (OverlapRole::Member, None));
        part.event_type = "B".to_owned();
        assert!(group(&[pool, part], &[], &none).is_empty());
    }

    #[test]
    fn a_share_counts_the_trades_of_the_smaller_set_that_meet_the_other() {
        let (a, b) = (line(12, 4, "A"), line(13, 2, "B"));
        let facts = facts(&[
            (&a, (0..4).map(|i| span(i * 100, 12, Side::Long)).collect()),
            // One inside the first trade, one that begins when the second has ended.
            (&b, vec![span(3, 12, Side::Long), span(112, 12, Side::Long)]),
        ]);
        assert_eq!(facts.share(&a.id, &b.id), Some(0.5));
        assert_eq!(facts.share(&b.id, &a.id), Some(0.5));
    }
}
