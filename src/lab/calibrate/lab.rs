//! The conditions of the experiment: `lab.yaml`, embedded and typed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The file as text.
const SHIPPED: &str = include_str!("lab.yaml");

/// A kind of simulated world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorldKind {
    /// No edge anywhere.
    Null,
    /// No edge, and crashes that are paid for in advance: negative jumps, compensated.
    Skew,
    /// A few event types with edges in some state, horizon and half of the symbols.
    Struct,
    /// Edges in single cells, anywhere.
    Sparse,
    /// Half of the cells pay less than they cost, beside the edges of `struct`.
    Subcost,
    /// No edge but a slowly moving drift of the market.
    Drift,
    /// The edges of `struct`, which all die.
    Retire,
    /// No edge; one event in a hundred is a disaster for who fades it, paid for in advance.
    Rare1,
    /// Three in a hundred.
    Rare3,
    /// Five in a hundred.
    Rare5,
    /// Three in a hundred, for who follows.
    RareFollow,
    /// No edge, and days whose size is drawn from Student's t with 3 degrees of freedom.
    Tails,
    /// No edge, and one symbol in every pool that hardly moves.
    Pegged,
    /// No edge, and one absurd print a month and symbol.
    Prints,
    /// No edge; crashes of `skew` that events follow in crowds.
    Crash,
    /// No edge; the market is calm or four times as wild, for weeks.
    Regimes,
    /// The edges of `struct` beside a pegged symbol and absurd prints.
    Rough,
}

impl WorldKind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Null,
        Self::Skew,
        Self::Struct,
        Self::Sparse,
        Self::Subcost,
        Self::Drift,
        Self::Retire,
        Self::Rare1,
        Self::Rare3,
        Self::Rare5,
        Self::RareFollow,
        Self::Tails,
        Self::Pegged,
        Self::Prints,
        Self::Crash,
        Self::Regimes,
        Self::Rough,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Skew => "skew",
            Self::Struct => "struct",
            Self::Sparse => "sparse",
            Self::Subcost => "subcost",
            Self::Drift => "drift",
            Self::Retire => "retire",
            Self::Rare1 => "rare1",
            Self::Rare3 => "rare3",
            Self::Rare5 => "rare5",
            Self::RareFollow => "rare_follow",
            Self::Tails => "tails",
            Self::Pegged => "pegged",
            Self::Prints => "prints",
            Self::Crash => "crash",
            Self::Regimes => "regimes",
            Self::Rough => "rough",
        }
    }

    /// Whether every hypothesis of the world is false.
    #[must_use]
    pub const fn is_null(self) -> bool {
        !matches!(self, Self::Struct | Self::Sparse | Self::Subcost | Self::Retire | Self::Rough)
    }
}

impl fmt::Display for WorldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WorldKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|w| w.name() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|w| w.name()).collect();
            format!("'{text}' is no world; choose from {}", known.join(", "))
        })
    }
}

/// `lab.yaml`, where every field is explained.
#[allow(missing_docs, reason = "the fields are documented in lab.yaml")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lab {
    pub world: WorldSpec,
    pub edges: EdgeSpec,
    pub nasty: NastySpec,
    pub retire: RetireSpec,
    pub placement: PlacementSpec,
    pub runs: BTreeMap<WorldKind, usize>,
    pub acceptance: Acceptance,
}

/// Prices and events.
#[allow(missing_docs, reason = "the fields are documented in lab.yaml")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldSpec {
    pub days: usize,
    pub symbols: usize,
    pub event_types: usize,
    pub families: usize,
    pub horizons_bars: Vec<u32>,
    pub market_correlation: f64,
    pub bar_sd_bps: [f64; 2],
    pub garch_alpha: f64,
    pub garch_beta: f64,
    pub garch_cap: f64,
    pub slow_half_life_days: f64,
    pub slow_sd: [f64; 2],
    pub diurnal_amplitude: f64,
    pub jumps_per_day: [f64; 2],
    pub jump_sigmas: [f64; 2],
    pub ewma_bars: u32,
    pub fast_ewma_bars: u32,
    pub events_per_symbol_day: [f64; 2],
    pub volatility_share: f64,
    pub excitation: f64,
    pub excitation_bars: u32,
    pub market_wide: [f64; 2],
    pub market_wide_reach: f64,
    pub trailing_bars: Vec<usize>,
    pub always_long_every: usize,
}

/// What is planted.
#[allow(missing_docs, reason = "the fields are documented in lab.yaml")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSpec {
    pub active_types: usize,
    pub active_horizons: [usize; 2],
    pub edge_bps: [f64; 2],
    pub sparse_share: f64,
    pub subcost_bps: [f64; 2],
    pub subcost_cost_bps: f64,
    pub skew_jumps_per_day: f64,
    pub skew_sigmas: f64,
    pub drift_sd_bps_per_day: f64,
    pub drift_half_life_days: f64,
    pub retire_days: usize,
    pub death_days: [usize; 2],
}

/// What is wrong with the nastier worlds.
#[allow(missing_docs, reason = "the fields are documented in lab.yaml")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NastySpec {
    pub rare_shares: [f64; 3],
    pub rare_follow_share: f64,
    pub rare_sigmas: f64,
    pub peg_share: f64,
    pub prints_per_month: f64,
    pub print_sizes: [f64; 2],
    pub crash_heat: f64,
    pub crash_bars: usize,
    pub regime_days: f64,
    pub regime_factor: f64,
}

/// What is asked of the monitor of published edges.
#[allow(missing_docs, reason = "the fields are documented in lab.yaml")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetireSpec {
    pub horizon_days: i64,
}

/// How the placebo of real data is drawn.
#[allow(missing_docs, reason = "the fields are documented in lab.yaml")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacementSpec {
    pub volatility_groups: usize,
}

/// The bounds of the acceptance criteria.
#[allow(missing_docs, reason = "the fields are documented in lab.yaml")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    pub null_false_runs: f64,
    pub struct_fdp: f64,
    pub struct_fdp_alarm: f64,
    pub power_5_to_8: f64,
    pub power_from_8: f64,
    pub power_h1: f64,
    pub power_min_days: u64,
    pub p_any_levels: Vec<f64>,
    pub scores_ratio: f64,
    pub scores_levels: Vec<f64>,
    pub scores_days: usize,
    pub net_false: f64,
    pub bias_bps: f64,
    pub suspended_alive: f64,
    pub retired_dead: f64,
    pub min_cases: usize,
}

impl Default for Lab {
    #[expect(clippy::expect_used, reason = "the embedded file is checked by a test")]
    fn default() -> Self {
        serde_saphyr::from_str(SHIPPED).expect("the embedded lab.yaml is valid")
    }
}

impl Lab {
    /// Days of one world.
    #[must_use]
    pub const fn days(&self, kind: WorldKind) -> usize {
        match kind {
            WorldKind::Retire => self.edges.retire_days,
            _ => self.world.days,
        }
    }

    /// The same lab over another number of days; what happens on a day happens at the same share of the
    /// study.
    #[must_use]
    pub fn over_days(mut self, days: usize) -> Self {
        let before = self.world.days.max(1);
        self.edges.retire_days = (self.edges.retire_days * days).div_ceil(before);
        self.edges.death_days = self.edges.death_days.map(|n| (n * days).div_ceil(before));
        self.world.days = days;
        self
    }

    /// Round trip of a world, bps.
    #[must_use]
    pub const fn cost_bps(&self, kind: WorldKind) -> f64 {
        match kind {
            WorldKind::Subcost | WorldKind::Retire => self.edges.subcost_cost_bps,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_lab_describes_1620_pairs() {
        let lab = Lab::default();
        let w = &lab.world;
        assert_eq!(w.event_types * (w.symbols + 1) * w.horizons_bars.len() * 3, 1620);
        assert!(WorldKind::ALL.iter().all(|k| lab.runs.contains_key(k)));
    }

    #[test]
    fn a_world_is_known_by_its_name() {
        for kind in WorldKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("nul".parse::<WorldKind>().unwrap_err().contains("null, skew"));
    }
}
