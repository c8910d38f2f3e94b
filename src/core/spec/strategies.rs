//! `spec/strategies/default.yaml`: how a discovery is traded, and what the bridge asks of it besides the
//! gates of `gates.yaml`.
//!
//! Whatever is set here, the bridge simulates; only then does a blueprint carry it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ranges::{OutOfRanges, Ranges};
use crate::market::{IntrabarPath, Sizing, StopGapFill};

/// How discoveries are traded: `spec/strategies/default.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StrategiesSpec {
    /// Version of this file's layout; 1.
    pub schema_version: u32,
    /// How positions are opened.
    pub entry: EntryRules,
    /// How they are closed before their time.
    pub exit: ExitRules,
    /// How large they are.
    pub sizing: Sizing,
    /// What the bridge measures and asks.
    pub robustness: RobustnessSpec,
    /// How many blueprints there may be.
    pub selection: SelectionSpec,
    /// What becomes of a blueprint that is still a discovery but fails another gate.
    pub on_weakened: OnWeakened,
    /// The account in which all of them are simulated together.
    pub portfolio: PortfolioSpec,
    /// How the record of what the bridge traded is cut for `reports/promotions`.
    pub promotion: PromotionSpec,
}

/// How positions are opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryRules {
    /// Fewest bars between two entries of one rule on one symbol.
    pub cooldown: Cooldown,
    /// A signal is too old to act on after this many seconds.
    pub max_signal_age_seconds: u32,
}

/// A cool-down: `none`, `horizon` (the holding time: one position at a time), or a number of bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a cool-down is a number of bars, `none` or `horizon`")]
pub enum Cooldown {
    /// A fixed number of bars.
    Bars(u32),
    /// A cool-down given by name.
    Named(NamedCooldown),
}

/// A cool-down by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamedCooldown {
    /// Every event is traded.
    None,
    /// The holding time.
    Horizon,
}

impl Cooldown {
    /// In bars, for a holding time.
    #[must_use]
    pub const fn bars(self, horizon_bars: u32) -> u32 {
        match self {
            Self::Bars(bars) => bars,
            Self::Named(NamedCooldown::None) => 0,
            Self::Named(NamedCooldown::Horizon) => horizon_bars,
        }
    }
}

/// How positions are closed before their time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExitRules {
    /// Loss at which a position is closed, bps from the entry; absent = none.
    pub stop_bps: Option<f64>,
    /// Gain at which it is closed, bps; absent = none.
    pub target_bps: Option<f64>,
    /// Order in which a bar visits its extremes.
    pub intrabar_path: IntrabarPath,
    /// Fill of a stop that the open has jumped over.
    pub stop_gap_fill: StopGapFill,
}

/// What the bridge measures and asks besides `gate_v1_bridge`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RobustnessSpec {
    /// Multiples of the round-trip cost at which the result is reported.
    pub cost_multiples: Vec<f64>,
    /// Additional bars of entry lag at which it is reported.
    pub delay_bars: Vec<u32>,
    /// With the first of these delays it must still earn this after cost, bps; absent = not asked.
    pub min_delayed_after_cost_bps: Option<f64>,
    /// At least this share of the traded symbols must earn something after cost.
    pub min_positive_symbol_share: f64,
    /// A batch run detects the events of what passes everything else again, with every threshold this share
    /// higher and lower; null = it does not.
    #[serde(default)]
    pub threshold_shift: Option<f64>,
}

/// How many blueprints there may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectionSpec {
    /// Per event type, best q first.
    pub max_per_event: u32,
    /// In all, best q first.
    pub max_total: u32,
    /// Blueprints that have this share of their trades in common, of whichever has fewer, are one edge: one
    /// of them trades.
    pub max_overlap_share: f64,
}

/// What becomes of a published blueprint that would not be published today. Never its end: that is
/// monitoring's, or a changed definition's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnWeakened {
    /// Nothing: a publication stands.
    Keep,
    /// It is listed as `watch` for as long as that holds.
    Watch,
}

/// The account of the portfolio simulation. Sizes are notional over the starting equity. No gate reads its
/// result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortfolioSpec {
    /// Starting equity, quote currency: what steps and least values of orders are held against.
    pub equity: f64,
    /// Sum of open notionals, at most.
    pub max_gross: f64,
    /// Distance of long less short from zero, at most.
    pub max_net: f64,
    /// Open notional of one symbol, at most.
    pub max_symbol: f64,
    /// Open notional of one canonical family of events, at most: what answers to the same moves is one bet.
    pub max_family: f64,
    /// Fall below the highest equity, share of it, from which new positions are made smaller.
    pub drawdown_begin: f64,
    /// Fall at which there are no new positions.
    pub drawdown_end: f64,
    /// Whether orders are held to what the exchange takes.
    #[serde(default)]
    pub order_filters: OrderFilters,
    /// Least value of an order where the exchange has not been asked, quote currency.
    pub min_notional: f64,
}

/// Whether the account's orders are held to steps, ticks and least values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderFilters {
    /// To what the exchange has said of each symbol, and to the ticks and least value of the specs where it
    /// has not.
    #[default]
    Exchange,
    /// To nothing: any quantity, any price, any value.
    Off,
}

/// How the record of what the bridge traded is cut in time, how overfitting is measured, and whether that
/// decides anything.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionSpec {
    /// Share of the days of the history that come first.
    pub train_share: f64,
    /// Share of the days that come next; the rest is the test.
    pub validation_share: f64,
    /// Bars after a boundary whose events are left out. What reaches over a boundary is left out too.
    pub embargo_bars: u32,
    /// Blocks of days of the combinatorially symmetric cross-validation; even.
    pub cscv_blocks: u32,
    /// Whether what the bridge lets through must be found in the days before the test part alone, and pass
    /// what follows.
    #[serde(default)]
    pub required: bool,
    /// Trades in the test part, at least this many.
    #[serde(default)]
    pub min_test_trades: u32,
    /// Their mean after costs and funding above this, bps.
    #[serde(default)]
    pub min_test_after_cost_bps: f64,
    /// Sharpe ratio of the days deflated by all trials, a probability, at least this; null = not asked.
    #[serde(default)]
    pub min_deflated_sharpe: Option<f64>,
    /// Probability that the best was chosen by chance at most this; null = not asked.
    #[serde(default)]
    pub max_overfitting: Option<f64>,
}

impl PromotionSpec {
    fn validate(&self, found: &mut Ranges) {
        let (train, validation) = (self.train_share, self.validation_share);
        let is_share = |x: f64| x > 0.0 && x < 1.0;
        found.check(is_share(train), "promotion.train_share", train, "above 0 and below 1");
        let ok = is_share(validation) && train + validation < 1.0;
        let rule = "above 0, and below 1 together with train_share";
        found.check(ok, "promotion.validation_share", validation, rule);
        let blocks = self.cscv_blocks;
        let ok = blocks.is_multiple_of(2) && (2..=16).contains(&blocks);
        found.check(ok, "promotion.cscv_blocks", blocks, "even, from 2 to 16");
        let least = self.min_test_after_cost_bps;
        found.check(least.is_finite(), "promotion.min_test_after_cost_bps", least, "a number");
        for (field, value) in [
            ("promotion.min_deflated_sharpe", self.min_deflated_sharpe),
            ("promotion.max_overfitting", self.max_overfitting),
        ] {
            let value = value.unwrap_or(0.0);
            found.check((0.0..=1.0).contains(&value), field, value, "from 0 to 1, or null for not asked");
        }
    }
}

impl PortfolioSpec {
    /// The same account without caps and throttle.
    #[must_use]
    pub const fn uncapped(self) -> Self {
        const FREE: f64 = f64::INFINITY;
        Self {
            max_gross: FREE,
            max_net: FREE,
            max_symbol: FREE,
            max_family: FREE,
            drawdown_begin: FREE,
            drawdown_end: FREE,
            ..self
        }
    }

    /// Share of a new position that is left after a fall: 1 up to `drawdown_begin`, 0 from `drawdown_end` on,
    /// a straight line between.
    #[must_use]
    pub fn throttle(&self, drawdown: f64) -> f64 {
        if drawdown <= self.drawdown_begin {
            return 1.0;
        }
        ((self.drawdown_end - drawdown) / (self.drawdown_end - self.drawdown_begin)).clamp(0.0, 1.0)
    }

    fn validate(&self, found: &mut Ranges) {
        found.positive("portfolio.equity", self.equity);
        found.positive("portfolio.max_gross", self.max_gross);
        found.positive("portfolio.max_net", self.max_net);
        found.positive("portfolio.max_symbol", self.max_symbol);
        found.positive("portfolio.max_family", self.max_family);
        let begin = self.drawdown_begin;
        found.check((0.0..1.0).contains(&begin), "portfolio.drawdown_begin", begin, "between 0 and 1");
        let end = self.drawdown_end;
        let rule = "above drawdown_begin and at most 1";
        found.check(end > begin && end <= 1.0, "portfolio.drawdown_end", end, rule);
        let least = self.min_notional;
        found.check(least.is_finite() && least >= 0.0, "portfolio.min_notional", least, "at least 0");
    }
}

impl StrategiesSpec {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Every value outside its range.
    pub fn validate(&self) -> Result<(), OutOfRanges> {
        let mut found = Ranges::of("strategies/default.yaml");
        for (field, barrier) in
            [("exit.stop_bps", self.exit.stop_bps), ("exit.target_bps", self.exit.target_bps)]
        {
            let bps = barrier.unwrap_or(1.0);
            found.check(bps.is_finite() && bps > 0.0, field, bps, "positive, or null for none");
        }
        let stop = self.exit.stop_bps.unwrap_or(1.0);
        found.check(stop < 10_000.0, "exit.stop_bps", stop, "below 10000 (all of the position)");
        found.positive("sizing.risk_per_trade", self.sizing.risk_per_trade);
        found.positive("sizing.target_vol", self.sizing.target_vol);
        found.positive("sizing.max_position_scale", self.sizing.max_position_scale);
        let RobustnessSpec {
            cost_multiples,
            delay_bars,
            min_delayed_after_cost_bps,
            min_positive_symbol_share: share,
            threshold_shift,
        } = &self.robustness;
        if let Some(shift) = *threshold_shift {
            found.share("robustness.threshold_shift", shift);
        }
        let rule = "a list of numbers of at least 0";
        found.check(!cost_multiples.is_empty(), "robustness.cost_multiples", "[]", rule);
        for (at, &multiple) in cost_multiples.iter().enumerate() {
            let ok = multiple.is_finite() && multiple >= 0.0;
            found.check(ok, &format!("robustness.cost_multiples[{at}]"), multiple, rule);
        }
        let rule = "at least 1 (0 is the rule itself)";
        for (at, bars) in delay_bars.iter().enumerate() {
            found.check(*bars > 0, &format!("robustness.delay_bars[{at}]"), bars, rule);
        }
        if let Some(least) = min_delayed_after_cost_bps {
            let rule = "null where `delay_bars` is empty: it is asked with the first of these delays";
            found.check(!delay_bars.is_empty(), "robustness.min_delayed_after_cost_bps", least, rule);
        }
        let field = "robustness.min_positive_symbol_share";
        found.check((0.0..=1.0).contains(share), field, share, "between 0 and 1");
        let share = self.selection.max_overlap_share;
        let rule = "above 0 and at most 1 (1: only what lies wholly in another is joined to it)";
        found.check(share > 0.0 && share <= 1.0, "selection.max_overlap_share", share, rule);
        self.portfolio.validate(&mut found);
        self.promotion.validate(&mut found);
        found.result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../spec/strategies/default.yaml");

    #[test]
    fn the_shipped_file_is_valid() {
        let spec: StrategiesSpec = serde_saphyr::from_str(SHIPPED).unwrap();
        spec.validate().unwrap();
        assert_eq!(spec.entry.cooldown.bars(12), 12);
    }

    #[test]
    fn a_cooldown_may_be_a_number_of_bars_or_none() {
        for (text, bars) in [("cooldown: 7", 7), ("cooldown: none", 0)] {
            let text = SHIPPED.replace("cooldown: horizon", text);
            let spec: StrategiesSpec = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(spec.entry.cooldown.bars(12), bars);
        }
    }

    #[test]
    fn a_stop_beyond_the_whole_position_is_refused() {
        let text = SHIPPED.replace("stop_bps: null", "stop_bps: 10000");
        let spec: StrategiesSpec = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(
            spec.validate().unwrap_err().to_string(),
            "strategies/default.yaml: exit.stop_bps is 10000, but must be below 10000 (all of the position)"
        );
    }

    #[test]
    fn a_throttle_is_a_straight_line_between_its_ends() {
        let spec: StrategiesSpec = serde_saphyr::from_str(SHIPPED).unwrap();
        let limit = PortfolioSpec { drawdown_begin: 0.0, drawdown_end: 0.25, ..spec.portfolio };
        // The prior system's pinned example: falls of 0, 10 and 20 % under a limit of 25 %.
        let left = [0.0, 0.1, 0.2, 0.25, 0.4].map(|fall| limit.throttle(fall));
        for (left, wanted) in left.iter().zip([1.0, 0.6, 0.2, 0.0, 0.0]) {
            assert!((left - wanted).abs() < 1e-12);
        }
        // Who loses more than there was goes on, where nothing throttles.
        assert_eq!([0.9, 1.0, 3.0].map(|fall| limit.uncapped().throttle(fall)), [1.0; 3]);
    }

    #[test]
    fn parts_of_a_history_leave_something_to_the_test() {
        let mut spec: StrategiesSpec = serde_saphyr::from_str(SHIPPED).unwrap();
        spec.promotion =
            PromotionSpec { train_share: 0.7, validation_share: 0.3, cscv_blocks: 7, ..spec.promotion };
        let found: Vec<String> = spec.validate().unwrap_err().0.into_iter().map(|e| e.field).collect();
        assert_eq!(found, ["promotion.validation_share", "promotion.cscv_blocks"]);
    }

    #[test]
    fn every_value_that_cannot_be_used_is_found_at_once() {
        let mut spec: StrategiesSpec = serde_saphyr::from_str(SHIPPED).unwrap();
        spec.exit.target_bps = Some(-5.0);
        spec.sizing.target_vol = f64::INFINITY;
        spec.robustness.cost_multiples = vec![1.0, -1.0, f64::NAN];
        spec.robustness.delay_bars.push(0);
        let found: Vec<(String, String)> =
            spec.validate().unwrap_err().0.into_iter().map(|e| (e.field, e.value)).collect();
        assert_eq!(
            found,
            [
                ("exit.target_bps", "-5"),
                ("sizing.target_vol", "inf"),
                ("robustness.cost_multiples[1]", "-1"),
                ("robustness.cost_multiples[2]", "NaN"),
                ("robustness.delay_bars[6]", "0"),
            ]
            .map(|(field, value)| (field.to_owned(), value.to_owned()))
        );
    }
}
