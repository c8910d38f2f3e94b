//! The expression graph: specs compiled to one hash-consed DAG, run incrementally.

pub mod engine;
mod ir;
pub mod ops;

pub use ir::{
    Cmp, EventId, EventNode, Graph, Literal, Node, NodeId, Onset, Op, Output, Rolling, Rolling2, SymbolRef,
    Type, Universe,
};
