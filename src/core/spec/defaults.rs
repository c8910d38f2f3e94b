//! `spec/global_defaults.yaml`: what holds for every event unless its own file says otherwise.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::costs::CostModel;
use crate::market::Symbol;
use crate::outcomes::EntryPrice;

/// What holds for every event: `spec/global_defaults.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalDefaults {
    /// Version of this file's layout; 1.
    pub schema_version: u32,
    /// Bars from the deciding bar to the entry bar. Zero cannot be expressed.
    pub entry_lag_bars: NonZeroU32,
    /// Which price of the entry bar opens the position.
    pub entry_price: EntryPrice,
    /// What a round trip costs.
    pub costs: CostModel,
    /// The benchmark that `LEADER` means.
    pub leader: Leader,
    /// Funding terms of contracts.
    pub funding: FundingTerms,
    /// Price steps of perpetuals, quote currency. What needs the step of a symbol that is not here is
    /// unavailable.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, f64>")]
    pub tick_sizes: BTreeMap<Symbol, f64>,
    /// Labels of horizons that events may name.
    pub horizons: Vec<String>,
    /// What outcomes are conditioned on.
    pub conditioning: Conditioning,
    /// Limits of the cross-section.
    pub universe: UniverseDefaults,
    /// Prevalence range of an event that declares none, onsets per 10 000 known rows.
    pub prevalence_per_10k: (f64, f64),
}

/// The benchmark of everybody, and the benchmark's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Leader {
    /// Benchmark of every other symbol.
    #[schemars(with = "String")]
    pub symbol: Symbol,
    /// Benchmark of the benchmark.
    #[schemars(with = "String")]
    pub other: Symbol,
}

impl Leader {
    /// The benchmark of a symbol.
    #[must_use]
    pub fn of(&self, symbol: &Symbol) -> &Symbol {
        if *symbol == self.symbol { &self.other } else { &self.symbol }
    }
}

/// Funding terms of perpetual contracts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FundingTerms {
    /// Interest component of the funding formula, decimal per 8 h.
    pub interest_rate_8h: f64,
    /// Hours between settlements, where neither a print nor the spacing of prints says.
    pub interval_hours: f64,
    /// Symbols with other terms.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SymbolFunding>")]
    pub symbols: BTreeMap<Symbol, SymbolFunding>,
}

/// Funding terms of one symbol; absent values are the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SymbolFunding {
    /// Interest component, decimal per 8 h.
    #[serde(default)]
    pub interest_rate_8h: Option<f64>,
    /// Hours between settlements.
    #[serde(default)]
    pub interval_hours: Option<f64>,
}

impl FundingTerms {
    /// Interest component of a contract, decimal per 8 h.
    #[must_use]
    pub fn interest(&self, symbol: &Symbol) -> f64 {
        self.symbols.get(symbol).and_then(|s| s.interest_rate_8h).unwrap_or(self.interest_rate_8h)
    }

    /// Hours between settlements of a contract.
    #[must_use]
    pub fn interval(&self, symbol: &Symbol) -> f64 {
        self.symbols.get(symbol).and_then(|s| s.interval_hours).unwrap_or(self.interval_hours)
    }
}

/// What outcomes are conditioned on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conditioning {
    /// Features with few values, each value with its label; unknown stays unknown.
    pub regimes: BTreeMap<String, BTreeMap<String, i8>>,
    /// Whether states condition the events of their scope (their source event, or their whole family).
    pub states: bool,
    /// Fewest events with a state active, where the state's file does not say.
    pub min_events: u32,
}

/// Limits of the cross-section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniverseDefaults {
    /// Fewest symbols with a known value, where an expression does not say (`min=`).
    pub min_symbols: u32,
}
