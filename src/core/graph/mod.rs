//! The expression graph: specs compiled to one hash-consed DAG, run incrementally.

mod ast;
mod calls;
mod check;
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
mod suggest;
mod text;
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
pub use suggest::nearest;
pub use text::op_text;
pub use tree::{Drawing, cost_per_bar, reachable};
pub use words::{duration, in_words};
