//! What the compiler takes: every definition of a spec directory, parsed.

use std::sync::Arc;

use super::ast::{Expr, Span};
use super::ir::{Onset, SymbolRef};

/// Every definition of a spec directory. An expression that did not parse is `None`: it was reported already,
/// and what reads it is not reported again.
#[derive(Clone, Debug)]
pub struct Program {
    /// The macros of `macros.yaml`.
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
    /// The name, as it is called or read.
    pub name: String,
    /// Names of the macro's parameters.
    pub params: Vec<String>,
    /// The macro's body; none where it did not parse.
    pub body: Option<Arc<Expr>>,
    /// Where it is defined.
    pub span: Span,
}

/// A feature, a state or a let-binding.
#[derive(Clone, Debug)]
pub struct SeriesDef {
    /// The name, as it is called or read.
    pub name: String,
    /// The series' expression; none where it did not parse.
    pub expr: Option<Arc<Expr>>,
    /// Where it is defined.
    pub span: Span,
}

/// An event as its file defines it.
#[derive(Clone, Debug)]
pub struct EventDef {
    /// The name, as it is called or read.
    pub event_type: String,
    /// The canonical family of the event.
    pub family: String,
    /// Disabled variants are checked, and then left out of the graph.
    pub enabled: bool,
    /// Index of the event whose `when` the name `base` means.
    pub base: Option<usize>,
    /// Let-bindings in file order.
    pub lets: Vec<SeriesDef>,
    /// The condition that triggers the event.
    pub when: SeriesDef,
    /// End of the episode.
    pub exit: Option<SeriesDef>,
    /// The side of the event, by its sign.
    pub direction: SeriesDef,
    /// How large the event is.
    pub severity: SeriesDef,
    /// When it fires.
    pub onset: Onset,
    /// Rows between onsets.
    pub spacing_bars: u32,
    /// The longest episode, in rows.
    pub max_bars: Option<u32>,
    /// Direction may be 0.
    pub undirected: bool,
}
