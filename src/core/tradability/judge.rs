//! The bridge's gates. Each is judged by one number against one threshold of `gate_v1_bridge` or
//! `strategies/default.yaml`; an undefined number fails.

use super::equity::Summary;
use super::evaluate::SymbolResult;
use super::robustness::Robustness;
use super::trading::Trading;
use crate::discovery::{BridgeColumns, Failures};
use crate::spec::gates::BridgeGate;
use crate::spec::strategies::RobustnessSpec;

/// How a number is held against its threshold.
#[derive(Clone, Copy)]
pub(super) enum Relation {
    AtLeast,
    Above,
    AtMost,
}

/// Judges a rule, and keeps what was asked and what failed.
#[derive(Default)]
pub(super) struct Judge {
    pub failures: Failures,
}

impl Judge {
    pub(super) fn ask(
        &mut self,
        (gate, metric): (&'static str, &'static str),
        value: Option<f64>,
        relation: Relation,
        threshold: f64,
    ) -> bool {
        match relation {
            Relation::AtLeast => self.failures.at_least(gate, metric, value, threshold),
            Relation::Above => self.failures.above(gate, metric, value, threshold),
            Relation::AtMost => self.failures.at_most(gate, metric, value, threshold),
        }
    }

    /// Judges by the thresholds of `gate_v1_bridge`.
    pub(super) fn gates(&mut self, columns: &mut BridgeColumns, gate: &BridgeGate, summary: &Summary) {
        let of = ("BRIDGE_TRADES_GATE", "bridge_trades");
        let traded = Some(columns.trades as f64);
        columns.gate_has_trades = self.ask(of, traded, Relation::AtLeast, f64::from(gate.min_trades));
        let of = ("BRIDGE_AFTER_COST_GATE", "bridge_after_cost_bps");
        let after_cost = columns.after_cost_bps;
        columns.gate_after_cost_positive = self.ask(of, after_cost, Relation::Above, gate.min_after_cost_bps);
        let of = ("BRIDGE_STRESSED_GATE", "bridge_stressed_bps");
        let least = gate.min_stressed_after_cost_bps;
        columns.gate_stressed_positive = self.ask(of, columns.stressed_bps, Relation::Above, least);
        // Where trading costs nothing every gain is large enough.
        let is_free = summary.cost_bps.is_some_and(|cost| cost <= 0.0);
        let of = ("BRIDGE_EDGE_COST_RATIO_GATE", "bridge_edge_cost_ratio");
        let least = gate.min_edge_cost_ratio;
        columns.gate_edge_cost_ratio =
            is_free || self.ask(of, columns.edge_cost_ratio, Relation::AtLeast, least);
        let of = ("BRIDGE_TURNOVER_GATE", "bridge_turnover");
        columns.gate_turnover = self.ask(of, columns.turnover, Relation::AtMost, gate.max_turnover);
    }

    /// Judges by those thresholds of `gate_v1_bridge` that may be left unasked.
    pub(super) fn concentration(&mut self, found: &Robustness, gate: &BridgeGate, symbols: usize) {
        if let Some(least) = gate.min_capacity {
            self.ask(("BRIDGE_CAPACITY_GATE", "bridge_capacity"), found.capacity, Relation::AtLeast, least);
        }
        if let Some(least) = gate.min_worst_month_bps {
            let worst = found.worst_month.as_ref().map(|(_, bps)| *bps);
            self.ask(("BRIDGE_MONTH_GATE", "bridge_worst_month_bps"), worst, Relation::AtLeast, least);
        }
        // What trades one symbol cannot spread over several.
        if let Some(most) = gate.max_top_symbol_share.filter(|_| symbols != 1) {
            let of = ("BRIDGE_TOP_SYMBOL_GATE", "bridge_top_symbol_share");
            self.ask(of, found.top_symbol_share, Relation::AtMost, most);
        }
        if let Some(most) = gate.max_top_day_share {
            let of = ("BRIDGE_TOP_DAY_GATE", "bridge_top_day_share");
            self.ask(of, found.top_day_share, Relation::AtMost, most);
        }
        if let Some(most) = gate.max_daily_turnover {
            let of = ("BRIDGE_DAILY_TURNOVER_GATE", "bridge_daily_turnover");
            self.ask(of, found.daily_turnover, Relation::AtMost, most);
        }
    }

    /// What `strategies/default.yaml` asks besides. Without bars nobody knows what a barrier or a delay does,
    /// and that is the reason to give.
    pub(super) fn robustness(&mut self, trading: &Trading, symbols: &[SymbolResult], asked: &RobustnessSpec) {
        let [signalled, with_bars] = trading.symbols.map(|n| n as f64);
        if trading.rule.has_barrier() || asked.min_delayed_after_cost_bps.is_some() {
            let of = ("BRIDGE_BARS_GATE", "bridge_symbols_with_bars");
            self.ask(of, Some(with_bars), Relation::AtLeast, signalled);
        }
        let gains = symbols.iter().filter(|s| s.after_cost_bps > 0.0).count();
        let share = (!symbols.is_empty()).then(|| gains as f64 / symbols.len() as f64);
        let of = ("BRIDGE_SYMBOLS_GATE", "bridge_positive_symbol_share");
        self.ask(of, share, Relation::AtLeast, asked.min_positive_symbol_share);
        if let Some(threshold) = asked.min_delayed_after_cost_bps {
            let first = trading.delayed.as_ref().and_then(|d| d.first()).and_then(|d| d.after_cost_bps);
            let of = ("BRIDGE_DELAY_GATE", "bridge_delayed_after_cost_bps");
            self.ask(of, first, Relation::Above, threshold);
        }
    }

    /// What is left where the event's thresholds are shifted.
    pub(super) fn thresholds(&mut self, share: Option<f64>, gate: &BridgeGate) {
        if let Some(least) = gate.min_threshold_share {
            let of = ("BRIDGE_THRESHOLDS_GATE", "bridge_threshold_share");
            self.ask(of, share, Relation::AtLeast, least);
        }
    }
}
