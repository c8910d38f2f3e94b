//! The compiled form of all specs: one hash-consed DAG per symbol, in evaluation order.
//!
//! Everything is a series of `f64`, one value per row of the 5-minute grid. Booleans are Kleene values
//! encoded as `1.0`, `0.0` and NaN (unknown). A node's inputs always precede it in [`Graph::nodes`]. Nodes
//! know nothing of names, files or time zones; names live in [`Output`] and [`EventNode`].

use crate::market::{Source, Symbol};

/// Index into [`Graph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// As a slice index.
    #[must_use]
    pub const fn ix(self) -> usize {
        self.0 as usize
    }
}

/// Index into [`Graph::events`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u16);

/// What a series means to the type checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A number; NaN is unknown.
    Num,
    /// A Kleene truth value: 1, 0, NaN.
    Bool,
}

/// A finite literal with total equality, so that nodes can be hashed and shared. Equal bits = equal literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Literal(u64);

impl Literal {
    /// Stores `-0.0` as `0.0`.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self((value + 0.0).to_bits())
    }

    /// The literal as a number.
    #[must_use]
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Whose series `of(..)` reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SymbolRef {
    /// A fixed symbol.
    Named(Symbol),
    /// The benchmark: the first symbol for everyone but itself, the second for the first
    /// (spec alias; BTCUSDT, and ETHUSDT for BTCUSDT).
    Leader {
        /// Benchmark of every other symbol.
        lead: Symbol,
        /// Benchmark of the benchmark.
        other: Symbol,
    },
}

/// Comparison operators; unknown if either side is unknown.
#[allow(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cmp {
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}

/// A rolling operator over the known values of the last `window` rows (or ticks of the clock).
#[allow(missing_docs, reason = "semantics: catalogue table 2.3, restated in spec/README.md")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rolling {
    Sum,
    Mean,
    Std,
    Var,
    Z,
    Skew,
    Min,
    Max,
    Quantile(Literal),
    PctRank,
    /// Inputs are Bool.
    Count,
    Any,
    All,
    AgeMax,
    AgeMin,
    /// Linearly weighted mean.
    Wma,
}

/// A rolling operator over pairwise complete rows of two series.
#[allow(missing_docs, reason = "semantics: catalogue table 2.3")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rolling2 {
    Corr,
    Cov,
    Beta,
}

/// A statistic across live symbols of the same row.
#[allow(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Universe {
    Median,
    Mean,
    Std,
    Rank,
}

/// What a node computes. `inputs` of the [`Node`] are listed beside each variant.
#[allow(missing_docs, reason = "inputs and semantics are given per variant group")]
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// `[]`: a source column
    Source(Source),
    /// `[]`: a literal number
    Const(Literal),
    /// `[]` a Kleene constant: Some(true), Some(false), None = unknown
    Truth(Option<bool>),
    // -- pointwise numbers -------------------------------------------------------------------------------
    /// `[a, b]`: the arithmetic of two numbers
    Add,
    Sub,
    Mul,
    Div,
    /// `[a, b]`; exponent literal 2 is `a*a`, others `exp(b ln a)`
    Pow,
    /// `[a]`: a function of one number
    Neg,
    Abs,
    Sign,
    Ln,
    Exp,
    Sqrt,
    NormCdf,
    NormInv,
    /// `[a, b]`: the smaller, the larger
    Min2,
    Max2,
    /// `[x, lo, hi]`
    Clip,
    // -- pointwise logic ---------------------------------------------------------------------------------
    /// `[a, b]`: two numbers compared
    Compare(Cmp),
    /// `[a, b]`: Kleene's connectives
    And,
    Or,
    /// `[a]`: the negation; whether it is known
    Not,
    Known,
    /// `[c, a, b]`
    If,
    /// `[x, y]`: the first where it is known, else the second
    Coalesce,
    // -- time --------------------------------------------------------------------------------------------
    /// `[x]`: the row `k` rows before, and what is made of it
    Lag {
        k: u32,
    },
    Diff {
        k: u32,
    },
    PctChange {
        k: u32,
    },
    Ffill {
        max: u32,
    },
    // -- rolling -----------------------------------------------------------------------------------------
    /// `[x]`: a window of one series
    Roll {
        f: Rolling,
        window: u32,
        min: u32,
    },
    /// `[x, y]`: a window of two series
    Roll2 {
        f: Rolling2,
        window: u32,
        min: u32,
    },
    /// `[x]`: the same time of day on earlier days
    TodMean {
        days: u32,
        half: u32,
        min: u32,
    },
    // -- through time ------------------------------------------------------------------------------------
    /// `[c]`: what has just become of a condition
    Rising,
    Falling,
    Held {
        n: u32,
    },
    Since,
    /// `[x, y]`: one series passes the other
    CrossesAbove,
    CrossesBelow,
    /// `[x, c]`: `x` when `c` was last true
    At,
    /// `[set, reset]`: on from `set` until `reset`
    Latch,
    /// `[enter, exit]`; `max` rows, 0 = unbounded
    Episode {
        max: u32,
    },
    /// `[x]`: an exponential mean
    Ewm {
        halflife: Literal,
        min: u32,
    },
    /// `[buy, total, bucket]`
    Vpin {
        buckets: u32,
        min: u32,
    },
    // -- events ------------------------------------------------------------------------------------------
    /// `[when, exit, direction, severity]`: the detector of event [`EventId`] (parameters in
    /// [`Graph::events`]). Its own value is the onset flag, which `fired(E)` reads.
    Detect(EventId),
    /// `[detect]`: the episode flag of the detector (`active(E)`).
    Active(EventId),
    /// `[detect]`: direction of the last onset (`event_dir(E)`), unknown before the first.
    EventDir(EventId),
    // -- cross-section -----------------------------------------------------------------------------------
    /// `[x]` evaluated for another symbol on the same row
    Of(SymbolRef),
    /// `[x]` evaluated for all live symbols on the same row
    Universe {
        f: Universe,
        min: u32,
    },
    // -- clock -------------------------------------------------------------------------------------------
    Hour,
    Minute,
    Weekday,
}

/// One node of the DAG.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Operands, all with smaller ids.
    pub inputs: Vec<NodeId>,
    /// Event clock (`on=c`): a Bool node; the operator sees only rows where it is known true and its last
    /// output is held in between.
    pub clock: Option<NodeId>,
    /// Type of the output.
    pub ty: Type,
}

/// When a detector fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Onset {
    /// On rows where `when` is known true now and was known false one row before.
    Rising,
    /// On every row where `when` is known true.
    Level,
}

/// A detector: parameters of an [`Op::Detect`] node. Rules: catalogue section 2.4.
#[derive(Clone, Debug, PartialEq)]
pub struct EventNode {
    /// `VOL_SHOCK`, or `NAME.proxy` / `NAME.variant` for an enabled variant.
    pub event_type: String,
    /// The canonical family of the event.
    pub family: String,
    /// The [`Op::Detect`] node.
    pub detect: NodeId,
    /// When it fires.
    pub onset: Onset,
    /// Rows after an emitted onset during which another is dropped (`t - last < spacing` is dropped).
    pub spacing_bars: u32,
    /// Longest episode in rows; `None`: no `max_bars` in the spec, the episode is the onset row alone unless
    /// there is an `exit`.
    pub max_bars: Option<u32>,
    /// Whether the spec has an `exit`. Without one, the detect node's exit input is `Truth(Some(false))`.
    pub has_exit: bool,
    /// Undirected events may have direction 0.
    pub undirected: bool,
    /// Named values written into `features_at_event`: features and let-bindings that the expressions read.
    pub snapshot: Vec<Output>,
    /// Sources that must be present for this symbol, else the event is unavailable.
    pub needs: Vec<Source>,
}

/// A named output series (feature or state).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Name as in the spec.
    pub name: String,
    /// The node whose values it names.
    pub node: NodeId,
}

/// The compiled specs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// In evaluation order.
    pub nodes: Vec<Node>,
    /// Features in file order.
    pub features: Vec<Output>,
    /// States (Bool) in file order.
    pub states: Vec<Output>,
    /// Detectors; [`EventId`] indexes here.
    pub events: Vec<EventNode>,
}

impl Graph {
    /// The node of this id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.ix()]
    }
}
