//! `spec/strategies/default.yaml`: how a discovery is traded, and what the bridge asks of it besides the gates of
//! `gates.yaml`.
//!
//! Whatever is set here, the bridge simulates; only then does a blueprint carry it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blueprints::{IntrabarPath, Sizing, StopGapFill};

/// `spec/strategies/default.yaml`.
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
    /// In bars.
    Bars(u32),
    /// By name.
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
}

/// How many blueprints there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectionSpec {
    /// Per event type, best q first.
    pub max_per_event: u32,
    /// In all, best q first.
    pub max_total: u32,
}

/// What becomes of a published blueprint that would not be published today. Never its end: that is monitoring's, or a
/// changed definition's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnWeakened {
    /// Nothing: a publication stands.
    Keep,
    /// It is listed as `watch` for as long as that holds.
    Watch,
}

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("strategies/default.yaml: {field} is {value}, but must be {rule}")]
pub struct StrategiesError {
    /// Path of the key.
    pub field: &'static str,
    /// What was given.
    pub value: f64,
    /// What would be accepted.
    pub rule: &'static str,
}

impl StrategiesSpec {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Naming the first key that is out of range.
    pub fn validate(&self) -> Result<(), StrategiesError> {
        let check = |ok: bool, field, value, rule| {
            if ok { Ok(()) } else { Err(StrategiesError { field, value, rule }) }
        };
        let version = self.schema_version;
        check(version == 1, "schema_version", f64::from(version), "1")?;
        for (field, barrier) in
            [("exit.stop_bps", self.exit.stop_bps), ("exit.target_bps", self.exit.target_bps)]
        {
            let bps = barrier.unwrap_or(1.0);
            check(bps.is_finite() && bps > 0.0, field, bps, "positive, or null for none")?;
        }
        let stop = self.exit.stop_bps.unwrap_or(1.0);
        check(stop < 10_000.0, "exit.stop_bps", stop, "below 10000 (all of the position)")?;
        let sizing = self.sizing;
        for (field, value) in [
            ("sizing.risk_per_trade", sizing.risk_per_trade),
            ("sizing.target_vol", sizing.target_vol),
            ("sizing.max_position_scale", sizing.max_position_scale),
        ] {
            check(value.is_finite() && value > 0.0, field, value, "positive")?;
        }
        let multiples = &self.robustness.cost_multiples;
        let bad = multiples.iter().copied().find(|m| !m.is_finite() || *m < 0.0);
        let bad = if multiples.is_empty() { Some(f64::NAN) } else { bad };
        check(bad.is_none(), "robustness.cost_multiples", bad.unwrap_or(0.0), "numbers of at least 0")?;
        let delay = self.robustness.delay_bars.iter().copied().min().unwrap_or(1);
        check(delay > 0, "robustness.delay_bars", f64::from(delay), "at least 1 (0 is the rule itself)")?;
        let share = self.robustness.min_positive_symbol_share;
        let is_share = (0.0..=1.0).contains(&share);
        check(is_share, "robustness.min_positive_symbol_share", share, "between 0 and 1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../spec/strategies/default.yaml");

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
}
