//! What a list of trades adds up to.

use super::rule::{ExitReason, Simulation, Trade};

/// A simulation in a few numbers. Means are bps per trade; sized figures are bps of equity with positions
/// sized by the rule and added, not compounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Number of simulated trades.
    pub trades: u64,
    /// Of them closed by the stop.
    pub stopped: u64,
    /// Of them closed by the target.
    pub at_target: u64,
    /// Mean before costs; `None` without trades, here and below.
    pub gross_bps: Option<f64>,
    /// Mean round-trip cost.
    pub cost_bps: Option<f64>,
    /// Mean funding paid; `None` also where any trade's is unknown.
    pub funding_bps: Option<f64>,
    /// Mean after cost and funding.
    pub net_bps: Option<f64>,
    /// Worst trade after cost and funding.
    pub worst_bps: Option<f64>,
    /// Share of trades with a gain after cost and funding.
    pub hit_rate: Option<f64>,
    /// Deepest fall of the cumulated net return, one unit per trade, in exit order (>= 0).
    pub max_drawdown_bps: Option<f64>,
    /// Sum of sized net returns.
    pub sized_total_bps: Option<f64>,
    /// Deepest fall of the sized equity (>= 0).
    pub sized_max_drawdown_bps: Option<f64>,
}

/// Adds the trades of a simulation up.
#[must_use]
pub(super) fn summarize(simulation: &Simulation) -> Summary {
    let trades = &simulation.trades;
    let nets: Vec<f64> = trades.iter().map(|t| t.net_bps(1.0)).collect();
    let sized: Vec<f64> = trades.iter().zip(&nets).map(|(t, net)| t.scale * net).collect();
    let column = |f: fn(&Trade) -> f64| mean(trades.iter().map(f));
    let count = |reason| trades.iter().filter(|t| t.reason == reason).count() as u64;
    let some = !trades.is_empty();
    Summary {
        trades: trades.len() as u64,
        stopped: count(ExitReason::Stop),
        at_target: count(ExitReason::Target),
        gross_bps: column(|t| t.gross_bps),
        cost_bps: column(|t| t.cost_bps),
        funding_bps: column(|t| t.funding_bps).filter(|f| !f.is_nan()),
        net_bps: mean(nets.iter().copied()),
        worst_bps: nets.iter().copied().reduce(f64::min),
        hit_rate: mean(nets.iter().map(|net| if *net > 0.0 { 1.0 } else { 0.0 })),
        max_drawdown_bps: some.then(|| max_drawdown(&nets)),
        sized_total_bps: some.then(|| sized.iter().sum()),
        sized_max_drawdown_bps: some.then(|| max_drawdown(&sized)),
    }
}

/// The mean; `None` of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u64), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

fn max_drawdown(returns: &[f64]) -> f64 {
    let (mut equity, mut peak, mut deepest) = (0.0_f64, 0.0_f64, 0.0_f64);
    for r in returns {
        equity += r;
        peak = peak.max(equity);
        deepest = deepest.max(peak - equity);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawdown_is_measured_from_the_highest_point_including_the_start() {
        assert_eq!(max_drawdown(&[1.0, -3.0, 2.0, -0.5]), 3.0);
        assert_eq!(max_drawdown(&[-2.0, 5.0]), 2.0);
        assert_eq!(max_drawdown(&[]), 0.0);
    }

    #[test]
    fn nothing_traded_is_undefined_and_not_zero() {
        let summary = summarize(&Simulation::default());
        assert_eq!(summary.trades, 0);
        assert_eq!(summary.net_bps, None);
        assert_eq!(summary.hit_rate, None);
    }
}
