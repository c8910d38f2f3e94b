//! The expression graph: specs compiled to one hash-consed DAG, run incrementally.

mod ir;
mod suggest;

pub use ir::{
    Cmp, EventId, EventNode, Graph, Literal, Node, NodeId, Onset, Op, Output, Rolling, Rolling2, SymbolRef,
    Type, Universe,
};
pub use suggest::nearest;
