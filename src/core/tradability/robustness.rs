//! How much a rule's result rests on single things: an order's size, one month, one symbol, one day.

use std::collections::BTreeMap;

use super::equity::Summary;
use super::rule::Trade;
use crate::market::{BarIndex, Symbol};
use crate::outcomes::CostParts;

/// What is measured of every candidate that the bridge trades. `None` = undefined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Robustness {
    /// Value of an order at which its impact eats all that is left after costs, quote currency; 0 where
    /// nothing is left.
    pub capacity: Option<f64>,
    /// The UTC month whose trades, by their entry, came to the least, as `YYYY-MM`, and the sum of their net
    /// returns, bps.
    pub worst_month: Option<(String, f64)>,
    /// Share of the best symbol in the summed net return; `None` where the sum is no gain.
    pub top_symbol_share: Option<f64>,
    /// Share of the best UTC day, by the entry.
    pub top_day_share: Option<f64>,
    /// Notional over equity that is bought and sold on an average day, from the first event on.
    pub daily_turnover: Option<f64>,
    /// What is left where the event's thresholds are shifted; `None` where nobody detected again.
    pub thresholds: Option<Vec<Shifted>>,
}

/// A rule whose event was detected again with other thresholds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shifted {
    /// What every threshold was multiplied by.
    pub factor: f64,
    /// Trades that the rule made then.
    pub trades: u64,
    /// Their mean after cost and funding, bps; `None` without trades.
    pub after_cost_bps: Option<f64>,
}

impl Robustness {
    /// Of the trades of a rule whose last event could have been just before `end`.
    #[must_use]
    pub(super) fn of(
        trades: &[Trade],
        summary: &Summary,
        costs: Option<&CostParts>,
        (first, end): (Option<BarIndex>, BarIndex),
    ) -> Self {
        let months = sums(trades, |t| t.entry.year_month());
        let worst = months.into_iter().min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        let days = first.map(|first| end.open().day() - first.open().day()).filter(|days| *days > 0);
        let scale: f64 = trades.iter().map(|t| t.scale).sum();
        Self {
            capacity: capacity(summary, costs),
            worst_month: worst.map(|((year, month), bps)| (format!("{year:04}-{month:02}"), bps)),
            top_symbol_share: top_share(&sums(trades, |t| -> Symbol { t.symbol.clone() })),
            top_day_share: top_share(&sums(trades, |t| t.entry.day())),
            daily_turnover: days.map(|days| 2.0 * scale / days as f64),
            thresholds: None,
        }
    }

    /// Share of the net result that is left at the worst of the shifted thresholds; `None` where it was not
    /// measured, there was nothing to keep, or a shift left no trade.
    #[must_use]
    pub fn threshold_share(&self, after_cost_bps: Option<f64>) -> Option<f64> {
        let whole = after_cost_bps.filter(|bps| *bps > 0.0)?;
        let left: Option<Vec<f64>> = self.thresholds.as_ref()?.iter().map(|s| s.after_cost_bps).collect();
        left?.into_iter().reduce(f64::min).map(|least| least / whole)
    }
}

/// The order at which impact has eaten the edge. It grows with the root of the order: what is left before
/// impact, over the impact of one unit, squared.
fn capacity(summary: &Summary, costs: Option<&CostParts>) -> Option<f64> {
    let costs = costs?;
    let left = summary.net_bps? + costs.impact_bps;
    let root = left.max(0.0) / costs.impact_per_root;
    Some(root * root).filter(|order| order.is_finite())
}

fn sums<K: Ord>(trades: &[Trade], key: impl Fn(&Trade) -> K) -> BTreeMap<K, f64> {
    let mut out = BTreeMap::new();
    for trade in trades {
        *out.entry(key(trade)).or_insert(0.0) += trade.net_bps(1.0);
    }
    out
}

fn top_share<K>(sums: &BTreeMap<K, f64>) -> Option<f64> {
    let total: f64 = sums.values().sum();
    let top = sums.values().copied().reduce(f64::max)?;
    (total > 0.0).then(|| top / total)
}

#[cfg(test)]
mod tests {
    use super::super::equity::summarize;
    use super::super::rule::{ExitReason, Simulation};
    use super::*;
    use crate::market::{BARS_PER_DAY, Side, Ts, parse_time};

    /// A trade that entered at an instant and came to `net` after a cost of 12.
    fn trade(symbol: &str, at: &str, net: f64) -> Trade {
        let entry: Ts = parse_time(at).unwrap();
        Trade {
            symbol: Symbol::new(symbol).unwrap(),
            event_bar: entry.bar() - 2,
            side: Side::Long,
            entry,
            exit_bar: entry.bar() + 12,
            reason: ExitReason::Time,
            gross_bps: net + 12.0,
            cost_bps: 12.0,
            funding_bps: 0.0,
            scale: 0.5,
        }
    }

    fn trades() -> Vec<Trade> {
        vec![
            trade("BTCUSDT", "2025-01-05T10:00:00Z", 30.0),
            trade("BTCUSDT", "2025-01-05T16:00:00Z", 20.0),
            trade("SOLUSDT", "2025-01-31T10:00:00Z", -10.0),
            trade("SOLUSDT", "2025-02-01T00:00:00Z", -15.0),
            trade("SOLUSDT", "2025-02-03T10:00:00Z", 55.0),
            trade("BTCUSDT", "2025-03-01T10:00:00Z", -60.0),
            trade("BTCUSDT", "2025-03-02T10:00:00Z", 80.0),
        ]
    }

    fn measured(trades: Vec<Trade>, costs: Option<&CostParts>) -> Robustness {
        let summary = summarize(&Simulation { trades: trades.clone(), ..Simulation::default() });
        let first = parse_time("2025-01-01").unwrap().bar();
        Robustness::of(&trades, &summary, costs, (Some(first), first + 70 * BARS_PER_DAY))
    }

    #[test]
    fn months_symbols_days_and_turnover_by_hand() {
        let found = measured(trades(), None);
        // January 40, February 40, March 20.
        assert_eq!(found.worst_month, Some(("2025-03".to_owned(), 20.0)));
        // 100 in all: BTC 70, SOL 30; the best day is the last, 80.
        assert_eq!((found.top_symbol_share, found.top_day_share), (Some(0.7), Some(0.8)));
        // Seven trades of .5, in and out, over 70 days.
        assert_eq!(found.daily_turnover, Some(0.1));
        assert_eq!(found.capacity, None);
        let lost = measured(vec![trade("BTCUSDT", "2025-01-05", -1.0)], None);
        assert_eq!((lost.top_symbol_share, lost.top_day_share), (None, None), "a loss has no largest gain");
        assert_eq!(measured(Vec::new(), None).worst_month, None);
    }

    #[test]
    fn capacity_is_the_order_whose_impact_is_all_that_is_left() {
        // 100 / 7 bps a trade are left with an impact of 5 charged: 135 / 7 before it. One unit moves .01 bps
        // a trip.
        let costs = CostParts { impact_bps: 5.0, impact_per_root: 0.01, ..CostParts::default() };
        let capacity = measured(trades(), Some(&costs)).capacity.unwrap();
        let root = 135.0 / 7.0 / 0.01;
        assert!((capacity - root * root).abs() < 1e-3, "{capacity}");
        // At that order the impact is what was left.
        assert!((costs.impact_per_root * capacity.sqrt() - 135.0 / 7.0).abs() < 1e-9);
        let none = measured(vec![trade("BTCUSDT", "2025-01-05", -20.0)], Some(&costs));
        assert_eq!(none.capacity, Some(0.0));
        assert_eq!(
            measured(trades(), Some(&CostParts::whole(12.0))).capacity,
            None,
            "nobody knows its impact"
        );
    }

    #[test]
    fn what_is_left_at_other_thresholds_is_that_of_the_worst() {
        let shifted = |factor, bps| Shifted { factor, trades: 1, after_cost_bps: bps };
        let with = |shifts| Robustness { thresholds: Some(shifts), ..Robustness::default() };
        let both = with(vec![shifted(0.9, Some(8.0)), shifted(1.1, Some(-2.0))]);
        assert_eq!(both.threshold_share(Some(10.0)), Some(-0.2));
        assert_eq!(both.threshold_share(Some(-1.0)), None);
        assert_eq!(with(vec![shifted(0.9, None), shifted(1.1, Some(9.0))]).threshold_share(Some(10.0)), None);
        assert_eq!(Robustness::default().threshold_share(Some(10.0)), None);
    }
}
