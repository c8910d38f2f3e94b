//! What the compiler takes: every definition of a spec directory, parsed.

use std::sync::Arc;

use super::ast::{Expr, Span};
use super::ir::{Onset, SymbolRef};

/// Every definition of a spec directory. An expression that did not parse is `None`: it was reported already, and what
/// reads it is not reported again.
#[derive(Clone, Debug)]
pub struct Program {
    /// Macros.
    pub macros: Vec<MacroDef>,
    /// Features in file order.
    pub features: Vec<SeriesDef>,
    /// States in file order.
    pub states: Vec<SeriesDef>,
    /// Events in registry order; variants after their base.
    pub events: Vec<EventDef>,
    /// What `LEADER` means.
    pub leader: SymbolRef,
    /// Default `min` of the `universe_*` operators.
    pub universe_min: u32,
}

/// `tq(x, p) = ...`
#[derive(Clone, Debug)]
pub struct MacroDef {
    /// Name.
    pub name: String,
    /// Parameters.
    pub params: Vec<String>,
    /// Body.
    pub body: Option<Arc<Expr>>,
    /// Where it is defined.
    pub span: Span,
}

/// A feature, a state or a let-binding.
#[derive(Clone, Debug)]
pub struct SeriesDef {
    /// Name.
    pub name: String,
    /// Expression.
    pub expr: Option<Arc<Expr>>,
    /// Where it is defined.
    pub span: Span,
}

/// An event.
#[derive(Clone, Debug)]
pub struct EventDef {
    /// Name.
    pub event_type: String,
    /// Canonical family.
    pub family: String,
    /// Disabled variants are checked, and then left out of the graph.
    pub enabled: bool,
    /// Index of the event whose `when` the name `base` means.
    pub base: Option<usize>,
    /// Let-bindings in file order.
    pub lets: Vec<SeriesDef>,
    /// Trigger.
    pub when: SeriesDef,
    /// End of the episode.
    pub exit: Option<SeriesDef>,
    /// Signed side.
    pub direction: SeriesDef,
    /// Magnitude.
    pub severity: SeriesDef,
    /// When it fires.
    pub onset: Onset,
    /// Rows between onsets.
    pub spacing_bars: u32,
    /// Longest episode.
    pub max_bars: Option<u32>,
    /// Direction may be 0.
    pub undirected: bool,
}
