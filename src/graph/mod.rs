//! The expression graph: specs compiled to one hash-consed DAG, run incrementally.

pub mod engine;
mod ir;
pub mod ops;
mod suggest;

pub use engine::{
    CheckpointError, Detection, Engine, EngineOptions, EngineOutput, EpisodeExit, PushError, SymbolOutput,
};
pub use ir::{
    Cmp, EventId, EventNode, Graph, Literal, Node, NodeId, Onset, Op, Output, Rolling, Rolling2, SymbolRef,
    Type, Universe,
};
pub use suggest::nearest;
