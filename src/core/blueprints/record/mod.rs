//! The blueprint: one line of `blueprints.jsonl`, field for field.
//!
//! It says what was tested and nothing else: the event, the side, the state condition, the lag, the holding
//! time and the entry price are those of the candidate; a stop or a target is there only if the bridge's
//! simulation had it.

mod evidence;
mod group;
mod monitoring;
mod trade;

use serde::{Deserialize, Serialize};

use super::canonical::{canonical_json, sha256_hex};
use crate::discovery::{DirectionRule, PromotionTrack};
use crate::market::{Sizing, Symbol};
use crate::outcomes::EntryPrice;

pub use evidence::{BridgeEvidence, CostEvidence, Evidence, PublicationFacts, ShrinkageWeights};
pub use group::{OverlapGroup, OverlapRole};
pub use monitoring::Monitoring;
pub(super) use trade::fill_convention;
pub use trade::{Barrier, Costs, Entry, Exit, ScopeMode, SymbolScope};

/// The value of `schema` in every line.
pub const BLUEPRINT_SCHEMA: &str = "backtestd.blueprint/1";

/// The `condition` of a blueprint that takes every event.
pub(super) const UNCONDITIONAL: &str = "all";

/// A published trading rule with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blueprint {
    /// Layout of the record: [`BLUEPRINT_SCHEMA`].
    pub schema: String,
    /// `bp_` and 16 hex digits; see [`Identity::id`].
    pub id: String,
    /// From 1; rises when anything but the identity changes.
    pub revision: u32,
    /// From 1; rises only when what is traded changes: never with evidence or monitoring alone.
    #[serde(default = "first_revision")]
    pub rule_revision: u32,
    /// Whether a consumer may open positions.
    pub status: Status,
    /// Why the status is not `active`.
    #[serde(default)]
    pub status_reason: Option<String>,
    /// The triggering event.
    pub event_type: String,
    /// Canonical family of the event type.
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
    #[serde(default)]
    pub bar_type: Option<String>,
    /// Relative to the event's direction.
    pub direction_rule: DirectionRule,
    /// How a position is opened.
    pub entry: Entry,
    /// How it is closed.
    pub exit: Exit,
    /// Id of the fill convention, `close_lag_close/1`: see [`fill_convention`]. A consumer refuses an id that
    /// it does not know.
    #[serde(default)]
    pub fill_convention: Option<String>,
    /// Its place among published rules that trade the same moves; null: it stands alone, and trades.
    #[serde(default)]
    pub overlap_group: Option<OverlapGroup>,
    /// How large it is.
    pub sizing: Sizing,
    /// What the evidence paid for each trade.
    pub costs: Costs,
    /// Why it is believed.
    pub evidence: Evidence,
    /// What stood when it was first published. It never changes.
    #[serde(default)]
    pub publication: Option<PublicationFacts>,
    /// What the days since then say.
    #[serde(default)]
    pub monitoring: Option<Monitoring>,
    /// Gate track that let it through.
    pub promotion_track: PromotionTrack,
    /// A consumer must not trade events detected at or before this (ns): the evidence has seen them.
    #[serde(default)]
    pub discovered_through_ns: Option<i64>,
    /// A signal older than this (ns since its detection) must be dropped.
    #[serde(default)]
    pub max_signal_age_ns: Option<i64>,
    /// Where it comes from.
    pub lineage: Lineage,
}

const fn first_revision() -> u32 {
    1
}

/// What a consumer may do with a blueprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// New positions may be opened.
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

/// What makes two blueprints the same rule. Only strings and integers, so that its canonical JSON has one
/// spelling in every language.
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
    /// `bp_` and the first 16 hex digits of SHA-256 over the canonical JSON of {`condition`,
    /// `direction_rule`, `entry_lag_bars`, `entry_price`, `event_type`, `horizon_bars`, `symbol_scope_mode`,
    /// `symbols`}.
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

    /// Whether its signals open positions unless a consumer says otherwise: active, and no member of
    /// another's group.
    #[must_use]
    pub fn is_traded(&self) -> bool {
        self.status == Status::Active && !self.is_member()
    }

    /// Whether another blueprint trades in its place.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.overlap_group.as_ref().is_some_and(|g| g.role == OverlapRole::Member)
    }

    /// The line of `blueprints.jsonl`, without the line feed.
    #[must_use]
    pub fn line(&self) -> String {
        canonical_json(self)
    }
}
