//! The blueprint: one line of `blueprints.jsonl`, field for field.
//!
//! It says what was tested and nothing else: the event, the side, the state condition, the lag, the holding time and
//! the entry price are those of the candidate; a stop or a target is there only if the bridge's simulation had it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::canonical::{canonical_json, sha256_hex};
use crate::discovery::{DirectionRule, PromotionTrack};
use crate::market::Symbol;
use crate::outcomes::EntryPrice;

/// The value of `schema` in every line.
pub const BLUEPRINT_SCHEMA: &str = "backtestd.blueprint/1";

/// The `condition` of a blueprint that takes every event.
pub const UNCONDITIONAL: &str = "all";

/// A published trading rule with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blueprint {
    /// [`BLUEPRINT_SCHEMA`].
    pub schema: String,
    /// `bp_` and 16 hex digits; see [`Identity::id`].
    pub id: String,
    /// From 1; rises when anything but the identity changes.
    pub revision: u32,
    /// Whether a consumer may open positions.
    pub status: Status,
    /// Why the status is not `active`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// The triggering event.
    pub event_type: String,
    /// Its family.
    pub canonical_family: String,
    /// The label of the winning side.
    pub template_verb: String,
    /// Other labels of this very test.
    #[serde(default)]
    pub template_aliases: Vec<String>,
    /// State on the deciding bar; empty = none.
    pub state_id: String,
    /// The same as an expression, or [`UNCONDITIONAL`].
    pub condition: String,
    /// Whose events trigger it; each trades its own instrument.
    pub symbol_scope: SymbolScope,
    /// The bar series of the (first) instrument; all of them are in the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar_type: Option<String>,
    /// Relative to the event's direction.
    pub direction_rule: DirectionRule,
    /// How a position is opened.
    pub entry: Entry,
    /// How it is closed.
    pub exit: Exit,
    /// The fill convention in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_convention: Option<String>,
    /// How large it is.
    pub sizing: Sizing,
    /// What the evidence paid for each trade.
    pub costs: Costs,
    /// Why it is believed.
    pub evidence: Evidence,
    /// What stood when it was first published. It never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<PublicationFacts>,
    /// What the days since then say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,
    /// Gate track that let it through.
    pub promotion_track: PromotionTrack,
    /// A consumer must not trade events detected at or before this (ns): the evidence has seen them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovered_through_ns: Option<i64>,
    /// A signal older than this (ns since its detection) must be dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_signal_age_ns: Option<i64>,
    /// Where it comes from.
    pub lineage: Lineage,
}

/// What a consumer may do with a blueprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Open positions.
    Active,
    /// Evidence is weakening: open none unless the consumer opts in.
    Watch,
    /// Open none; gone from the next version.
    Retired,
}

impl Status {
    /// The word in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Watch => "watch",
            Self::Retired => "retired",
        }
    }
}

/// Whether one symbol was tested or several pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeMode {
    /// The evidence is one symbol's.
    SingleSymbol,
    /// The evidence pools the symbols.
    MultiSymbol,
}

/// Symbols with their NautilusTrader names, in symbol order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolScope {
    /// One or several.
    pub mode: ScopeMode,
    /// Exchange symbols.
    pub symbols: Vec<Symbol>,
    /// `BTCUSDT-PERP.BINANCE`, aligned with `symbols`.
    pub instruments: Vec<String>,
    /// `BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-EXTERNAL`, aligned with `symbols`.
    #[serde(default)]
    pub bar_types: Vec<String>,
}

impl SymbolScope {
    /// Sorts the symbols and names their instruments.
    #[must_use]
    pub fn new(mode: ScopeMode, symbols: &[Symbol]) -> Self {
        let mut symbols = symbols.to_vec();
        symbols.sort();
        symbols.dedup();
        let instruments: Vec<String> = symbols.iter().map(Symbol::nautilus_perp).collect();
        let bar_types = symbols.iter().map(bar_type).collect();
        Self { mode, symbols, instruments, bar_types }
    }
}

/// The NautilusTrader bar type of a perpetual's 5-minute bars.
#[must_use]
pub fn bar_type(symbol: &Symbol) -> String {
    format!("{}-5-MINUTE-LAST-EXTERNAL", symbol.nautilus_perp())
}

/// How a position is opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The event type.
    pub trigger: String,
    /// Bars from the deciding bar to the entry bar; at least 1.
    pub entry_lag_bars: u32,
    /// Bar length.
    pub bar: String,
    /// Which price of the entry bar.
    pub price: EntryPrice,
    /// An event is taken only if its bar is at least this many bars after the last taken one of the same symbol.
    pub cooldown_bars: u32,
    /// All must be known and true on the deciding bar.
    pub conditions: Vec<String>,
}

/// How a position is closed. Exits cannot trigger on the entry bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// Bars from the entry bar to the exit bar.
    pub time_stop_bars: u32,
    /// The same as a label.
    pub horizon: String,
    /// Loss at which it is closed.
    pub stop: Option<Barrier>,
    /// Gain at which it is closed.
    pub target: Option<Barrier>,
    /// Which of high and low comes first inside a bar; stated where a barrier exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intrabar_path: Option<IntrabarPath>,
    /// Where a stop fills when the bar opens beyond it; stated where a barrier exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_gap_fill: Option<StopGapFill>,
}

/// A price distance from the entry.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Barrier {
    /// Distance from the entry price, bps, positive.
    pub bps: f64,
}

/// Order in which a bar visits its extremes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IntrabarPath {
    /// Open, high, low, close: NautilusTrader's default.
    #[default]
    #[serde(rename = "OHLC")]
    Ohlc,
    /// The extreme nearer to the open first: NautilusTrader's `bar_adaptive_high_low_ordering`.
    #[serde(rename = "adaptive")]
    Adaptive,
}

/// Fill of a stop that the open has jumped over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StopGapFill {
    /// At the open (NautilusTrader 1.222 and later).
    #[default]
    Open,
    /// At the trigger (NautilusTrader 1.221; optimistic).
    Trigger,
}

/// How large a position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SizingMode {
    /// By volatility: see [`Sizing::scale`].
    VolTarget,
    /// Always `max_position_scale`.
    Fixed,
}

/// Position size as a fraction of equity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sizing {
    /// The rule.
    pub mode: SizingMode,
    /// One standard deviation of the trade's return may cost at most this share of equity.
    pub risk_per_trade: f64,
    /// Annual volatility that one always-open position may have.
    pub target_vol: f64,
    /// Notional over equity, at most.
    pub max_position_scale: f64,
}

/// 5-minute bars in a year of 365 days.
const BARS_PER_YEAR: f64 = 105_120.0;

impl Sizing {
    /// Notional over equity: `min(max_position_scale, target_vol / (sigma_bar sqrt(105120)), risk_per_trade /
    /// (sigma_bar sqrt(holding bars)))`, where `sigma_bar` is the sd of one bar's return known at the event. Zero where
    /// it is unknown: an unmeasured risk is not taken.
    #[must_use]
    pub fn scale(&self, sigma_bar: f64, holding_bars: u32) -> f64 {
        match self.mode {
            SizingMode::Fixed => self.max_position_scale,
            SizingMode::VolTarget if sigma_bar.is_finite() && sigma_bar > 0.0 => {
                let by_volatility = self.target_vol / (sigma_bar * BARS_PER_YEAR.sqrt());
                let by_risk = self.risk_per_trade / (sigma_bar * f64::from(holding_bars.max(1)).sqrt());
                self.max_position_scale.min(by_volatility).min(by_risk)
            }
            SizingMode::VolTarget => 0.0,
        }
    }
}

/// What each trade of the evidence paid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Taker fee per fill, bps.
    pub fee_bps_per_side: f64,
    /// Slippage per fill, bps.
    pub slippage_bps_per_side: f64,
    /// Both, twice, bps.
    pub round_trip_bps: f64,
    /// Whether the bridge charged the funding settled while the position was open.
    pub funding_included: bool,
}

/// Why it is believed. Effects are bps per trade, in the traded direction; null = undefined.
#[allow(missing_docs, reason = "columns of phase2_candidates, documented at discovery::Candidate")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub n_events: u64,
    pub n_clusters: u64,
    pub effect_raw_bps: Option<f64>,
    pub effect_shrunk_bps: Option<f64>,
    pub se_bps: Option<f64>,
    pub t_stat: Option<f64>,
    pub df: Option<f64>,
    pub p_value: Option<f64>,
    pub e_value: Option<f64>,
    #[serde(default)]
    pub e_sym: Option<f64>,
    #[serde(default)]
    pub e_bet: Option<f64>,
    #[serde(default)]
    pub e_sup: Option<f64>,
    #[serde(default)]
    pub e_sup_date: Option<String>,
    #[serde(default)]
    pub e_value_gross: Option<f64>,
    pub p_any: Option<f64>,
    #[serde(default)]
    pub p_any_gross: Option<f64>,
    pub q_value: Option<f64>,
    pub lfsr: Option<f64>,
    #[serde(default)]
    pub lfsr_net: Option<f64>,
    #[serde(default)]
    pub posterior_mean_bps: Option<f64>,
    #[serde(default)]
    pub posterior_sd_bps: Option<f64>,
    #[serde(default)]
    pub cost_bps: Option<f64>,
    #[serde(default)]
    pub skewness: Option<f64>,
    #[serde(default)]
    pub worst_score: Option<f64>,
    #[serde(default)]
    pub weight_sum: Option<f64>,
    #[serde(default)]
    pub n_purged: u64,
    #[serde(default)]
    pub n_dropped: u64,
    pub anytime_lower_bps: Option<f64>,
    pub ci_low_bps: Option<f64>,
    pub ci_high_bps: Option<f64>,
    pub after_cost_expectancy_bps: Option<f64>,
    pub stressed_after_cost_expectancy_bps: Option<f64>,
    pub first_half_bps: Option<f64>,
    pub second_half_bps: Option<f64>,
    pub shrinkage: ShrinkageWeights,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<BridgeEvidence>,
}

/// How it was selected: the trial, everything that was tried, and what was claimed. Frozen at first publication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublicationFacts {
    /// The last UTC day that the evidence had seen, `YYYY-MM-DD`; monitoring begins on the next.
    pub closed_through: String,
    /// SHA-256 (hex) of what the tested unit is.
    pub definition_hash: String,
    /// Hash of the catalogue that was tested.
    pub catalogue_hash: String,
    /// Cohort of the unit.
    pub cohort: u32,
    /// Trials in the cohort: m_b.
    pub cohort_trials: u64,
    /// The cohort's share of the error budget: gamma_b.
    pub cohort_budget: f64,
    /// Trials in all: m.
    pub trials: u64,
    /// The procedure that decided.
    pub procedure: String,
    /// Its level.
    pub max_q_value: f64,
    /// Hypotheses that it rejected: k.
    pub rejected: u64,
    /// The largest p that it rejected in this cohort, where it compares single p-values.
    pub p_threshold: Option<f64>,
    /// The unit's own.
    pub p_any: f64,
    /// The unit's own.
    pub q_value: f64,
    /// Posterior mean before costs, bps: the claim.
    pub claim_gross_bps: f64,
    /// Mean round-trip cost, bps.
    pub cost_bps: f64,
    /// Link of the evidence book's chain (hex): equal links, equal histories of every unit.
    pub replay: Option<String>,
}

/// Life since publication, over closed days that the evidence had not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Monitoring {
    /// First day, `YYYY-MM-DD`.
    pub since: String,
    /// Last day, `YYYY-MM-DD`.
    pub closed_through: String,
    /// Active days.
    pub active_days: u64,
    /// Events.
    pub n_events: u64,
    /// Mean before costs, bps, in the traded direction.
    pub mean_bps: Option<f64>,
    /// Mean after costs, bps.
    pub after_cost_bps: Option<f64>,
    /// The claim, bps before costs.
    pub claim_gross_bps: f64,
    /// What must be left of it: the larger of the cost and half the claim.
    pub floor_bps: f64,
    /// Fresh e-value after costs.
    pub e_value: f64,
    /// Its largest value.
    pub e_sup: f64,
    /// The day on which it confirmed the blueprint live.
    pub confirmed_on: Option<String>,
    /// Detector of a mean below the floor.
    pub detector: f64,
    /// Its largest value.
    pub detector_max: f64,
    /// The day of the suspension.
    pub suspended_on: Option<String>,
    /// The day of the retirement.
    pub retired_on: Option<String>,
}

impl Monitoring {
    /// The status that follows.
    #[must_use]
    pub const fn status(&self) -> Status {
        match (&self.retired_on, &self.suspended_on) {
            (Some(_), _) => Status::Retired,
            (None, Some(_)) => Status::Watch,
            (None, None) => Status::Active,
        }
    }

    /// Why the status is not `active`.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let (what, on) = match (&self.retired_on, &self.suspended_on) {
            (Some(on), _) => ("retired", on),
            (None, Some(on)) => ("suspended", on),
            (None, None) => return None,
        };
        Some(format!(
            "monitoring: {what} on {on}: the detector of a mean below {} bps reached {} over {} active days since {}",
            self.floor_bps, self.detector_max, self.active_days, self.since
        ))
    }
}

/// Weight of the own mean at each level.
#[allow(missing_docs, reason = "columns of phase2_candidates, documented at discovery::Candidate")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShrinkageWeights {
    pub family: Option<f64>,
    pub event: Option<f64>,
    pub state: Option<f64>,
}

/// What the bridge measured on the trades that the rule itself would have made.
#[allow(missing_docs, reason = "columns of phase2_candidates, documented at discovery::BridgeColumns")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BridgeEvidence {
    pub trades: u64,
    pub gross_bps: Option<f64>,
    pub after_cost_bps: Option<f64>,
    pub stressed_bps: Option<f64>,
    pub hit_rate: Option<f64>,
    pub max_drawdown_bps: Option<f64>,
}

/// Where a blueprint comes from: enough to walk back to the bars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The run that produced this revision.
    pub run_id: String,
    /// The tested hypothesis.
    pub candidate_id: String,
    /// `sha256:` over the specs.
    pub ontology_spec_hash: String,
    /// `sha256:` over the event's own file.
    pub event_spec_hash: String,
    /// Version and commit of the program.
    pub code_version: String,
    /// Close of the last bar that the run had seen, RFC 3339.
    pub data_watermark: String,
    /// The same, ns.
    pub data_watermark_ns: i64,
    /// First bar of the evidence, RFC 3339.
    pub discovery_start: String,
    /// End of the evidence, RFC 3339.
    pub discovery_end: String,
    /// The version that first listed it; null before publication.
    pub first_published: Option<String>,
}

/// What makes two blueprints the same rule. Only strings and integers, so that its canonical JSON has one spelling in
/// every language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Identity<'a> {
    condition: &'a str,
    direction_rule: DirectionRule,
    entry_lag_bars: u32,
    entry_price: EntryPrice,
    event_type: &'a str,
    horizon_bars: u32,
    symbol_scope_mode: ScopeMode,
    symbols: &'a [Symbol],
}

impl Blueprint {
    /// `bp_` and the first 16 hex digits of SHA-256 over the canonical JSON of {`condition`, `direction_rule`,
    /// `entry_lag_bars`, `entry_price`, `event_type`, `horizon_bars`, `symbol_scope_mode`, `symbols`}.
    #[must_use]
    pub fn identity(&self) -> String {
        let identity = Identity {
            condition: &self.condition,
            direction_rule: self.direction_rule,
            entry_lag_bars: self.entry.entry_lag_bars,
            entry_price: self.entry.price,
            event_type: &self.event_type,
            horizon_bars: self.exit.time_stop_bars,
            symbol_scope_mode: self.symbol_scope.mode,
            symbols: &self.symbol_scope.symbols,
        };
        let hex = sha256_hex(canonical_json(&identity).as_bytes());
        format!("bp_{}", &hex[..16])
    }

    /// The line of `blueprints.jsonl`, without the line feed.
    #[must_use]
    pub fn line(&self) -> String {
        canonical_json(self)
    }
}
