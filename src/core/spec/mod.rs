//! Specs: YAML files to typed, checked values. Everything that can change a result lives in `spec/` and is
//! covered by the ontology hash; nothing here knows how an expression is evaluated.

mod calendars;
mod compiled;
mod cost_rules;
mod costs;
mod defaults;
mod definitions;
mod diagnostic;
mod explain;
mod files;
pub mod gates;
mod hash;
mod lexicon;
mod live;
mod load;
mod new_event;
mod outline;
mod plausibility;
mod ranges;
mod report;
mod schema;
mod shifted;
#[cfg(test)]
pub(crate) mod shipped_tests;
mod source_rules;
mod sources;
pub mod strategies;
mod texts;
mod validate;
mod yaml;
mod yaml11;

pub use calendars::{Calendars, HolidaysFile, MacroFile, Release, Session, SessionHours, SessionsFile};
pub use compiled::{CompiledSpec, EventMeta, FeatureMeta, StateMeta};
pub use costs::{
    CostModel, FeeChange, FeeMarket, Fill, Fills, ImpactCost, SpotCosts, SpreadCost, SymbolCosts,
};
pub use defaults::{Conditioning, FundingTerms, GlobalDefaults, Leader, SymbolFunding, UniverseDefaults};
pub use diagnostic::{Diagnostic, Place, SourceFile, SpecErrors};
pub use explain::{Explanation, UnknownName, explain, unknown_name};
pub use hash::ontology_hash;
pub use lexicon::{FilterKind, FilterVerb, Lexicon, TestStatistic, TestVerb};
pub use live::{ArchiveRules, AuditRules, LiveRules, StreamRules};
pub use new_event::{Addition, NewEventError, new_event};
pub use plausibility::{ColumnPlausibility, Plausibility, PricePlausibility};
pub use ranges::{OutOfRange, OutOfRanges};
pub use report::{GraphSize, SpecReport};
pub use schema::{SpecSchema, schemas};
pub use sources::{Hold, Join, SourceGroup, SourcesSpec};
pub use yaml::{Ordered, Spanned, parse_yaml};
