//! The expression graph: specs compiled to one hash-consed DAG, run incrementally.
//!
//! ```text
//!  "z(close, window=288) > 2"                                   a text of spec/
//!        │ lexer, parser
//!        ▼
//!  ast       Compare(Call z [Name close, window: Number 288], Number 2)         names and places
//!        │ lower, calls ───── table: what `z` takes, and the nodes of a call
//!        ▼
//!  ir        #0 Source(close)   #1 Roll{Z, 288}(#0)   #2 Const(2)   #3 Compare(>)(#1, #2)
//!        │              sheet: what is known of a node's operator ── facts, tree, explain
//!        ▼
//!  plan      Source -> Run kernel 0 -> Fill -> Point(>)         (engine) order of work, shared kernels, look-back
//!        │
//!        ▼
//!  kernels   Moments over blocks of 288 rows, one for each symbol     (ops)   one implementation, batch and live
//! ```
//!
//! Everything about an operator is in the file of its family under [`ops`]: its row of the `table`, the
//! `sheet` of its node, its kernel. `docs/extend.md` adds one, step by step.

mod ast;
mod calls;
pub mod engine;
mod expand;
mod facts;
mod ir;
#[cfg(test)]
mod lang_tests;
mod lexer;
mod lower;
pub mod ops;
mod parser;
mod part;
mod program;
mod sheet;
mod suggest;
mod table;
mod tree;
mod words;

pub use ast::{Arg, Binary, Call, Expr, ExprKind, LangError, Span, Unary};
pub use engine::{
    CheckpointError, Columns, ComposeError, Detection, Engine, EngineOptions, EngineOutput, EpisodeExit,
    PushError, SymbolOutput, lacking,
};
pub use expand::{expand_macros, names_in};
pub use facts::{LookBack, NodeFacts, SourceSet, facts};
pub use ir::{
    Cmp, EventId, EventNode, Graph, Literal, Node, NodeId, Onset, Op, Output, Rolling, Rolling2, SymbolRef,
    Type, Universe,
};
pub use lower::compile;
pub use parser::{parse, parse_macro_head};
pub use part::part;
pub use program::{EventDef, MacroDef, Program, SeriesDef};
pub(crate) use sheet::{Unknown, sheet};
pub use sheet::{cost_per_bar, op_text};
pub use suggest::nearest;
pub use table::{Class, Operator, operators};
pub use tree::{Drawing, reachable};
pub use words::{duration, in_words};
