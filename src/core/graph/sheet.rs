//! What is to be known of a node's operator, all of it in one place: its text, class, reach, cost, what it
//! needs, why it may be unknown, and how it is computed.
//!
//! [`sheet`] sends every [`Op`] to the file of its family; neither there nor here does a match have a
//! wildcard, and a [`Sheet`] has no defaults, so an operator that lacks a part does not compile.

use super::ir::{Graph, Op, Rolling, Rolling2, SymbolRef, Universe};
use super::ops::detect::DetectOf;
use super::ops::kernel::Kernel;
use super::ops::pointwise::Point;
use super::ops::shift::Shift;
use super::ops::{
    across, clock, counts, detect, extremes, memory, moments, order, pairs, pointwise, shift, tod, vpin, wma,
};
use super::table::Class;
use crate::market::Source;

/// What is to be known of a node's operator.
pub(crate) struct Sheet {
    /// The operator with its parameters, as a spec would write it. Different operators have different texts.
    pub(crate) text: String,
    /// What it may look at.
    pub(crate) class: Class,
    /// How far back it reads.
    pub(crate) reach: Reach,
    /// Elementary operations per bar, roughly.
    pub(crate) cost: f64,
    /// Which sources it needs.
    pub(crate) needs: Needs,
    /// Why its value may be unknown.
    pub(crate) unknown: Unknown,
    /// How the engine computes it.
    pub(crate) work: Work,
}

/// Rows (or ticks) that an operator itself adds to how far back a value reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// With full windows.
    pub(crate) full: u64,
    /// With every window at its minimum count: before that the value is unknown.
    pub(crate) least: u64,
}

/// Sources of the own symbol without which a value is never known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Those of all its inputs.
    All,
    /// Exactly this source.
    Column(Source),
    /// Those of its second input only, and it warms up as that one does: the first may be missing.
    Fallback,
    /// None: what is missing is an answer, too.
    Nothing,
    /// None of its own: it reads other symbols.
    Others,
}

/// Why a node may be unknown when it is: what an explanation has to look at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unknown {
    /// An unknown input; with all inputs known, the operator is undefined for them.
    Inputs,
    /// The column's rule.
    Column(Source),
    /// Its second input.
    Fallback,
    /// Too few known values in its window, an unknown row where its own must be known, or a window that does
    /// not vary.
    Window {
        /// The window's length in rows.
        window: u32,
        /// Known rows that it asks for.
        min: u32,
        /// Whether the row itself has to be known, beside enough of its window.
        needs_own_row: bool,
    },
    /// An input so many rows before.
    Earlier(u32),
    /// An input one row before.
    RowBefore,
    /// Neither set nor reset yet.
    NeverSet,
    /// What it waits for has not happened yet.
    NeverHappened,
    /// Too few known values since the history began.
    TooFew,
    /// The symbol that it reads.
    Symbol(SymbolRef),
    /// Fewer symbols with a known value than this.
    Symbols(u32),
}

/// How the engine computes a node.
pub(crate) enum Work {
    /// A column of the block.
    Column(Source),
    /// The same literal on every row.
    Fill(f64),
    /// A function of one row.
    Point(Point),
    /// A function of fixed earlier rows, which keeps nothing.
    Shift(Shift),
    /// A kernel; nodes of equal [`Share`], inputs and clock have one together.
    Kernel {
        /// What it may share.
        share: Option<Share>,
        /// Makes it, with this node as its one output.
        make: Make,
    },
    /// A function of all symbols, filled between two stages.
    Across,
}

/// Makes a kernel for a node of the graph.
pub(crate) type Make = Box<dyn FnOnce(&Graph) -> Kernel>;

/// What nodes must have in common to share a kernel, beside their inputs and clock: the structure and its
/// window, or the detector and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(pub(crate) &'static str, pub(crate) usize);

impl Reach {
    /// This row only.
    pub(crate) const ROW: Self = Self::exactly(0);

    /// So many rows, full window or not.
    pub(crate) const fn exactly(rows: u32) -> Self {
        Self { full: rows as u64, least: rows as u64 }
    }
}

impl Work {
    /// A kernel of its own.
    pub(crate) fn alone(make: impl FnOnce() -> Kernel + 'static) -> Self {
        Self::Kernel { share: None, make: Box::new(move |_| make()) }
    }

    /// A kernel that nodes of equal `share` have together.
    pub(crate) fn shared(share: Share, make: impl FnOnce() -> Kernel + 'static) -> Self {
        Self::Kernel { share: Some(share), make: Box::new(move |_| make()) }
    }
}

/// A window and how many of its rows must be known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Over {
    pub(crate) window: u32,
    pub(crate) min: u32,
}

impl Over {
    /// The text `name(window=, min=)`.
    pub(crate) fn text(self, name: &str) -> String {
        format!("{name}(window={}, min={})", self.window, self.min)
    }

    pub(crate) fn reach(self) -> Reach {
        Reach { full: u64::from(self.window) - 1, least: u64::from(self.min) - 1 }
    }

    /// Unknown with too few known rows.
    pub(crate) const fn unknown(self) -> Unknown {
        Unknown::Window { window: self.window, min: self.min, needs_own_row: false }
    }

    /// Unknown with too few known rows, or where the row itself is.
    pub(crate) const fn unknown_with_own_row(self) -> Unknown {
        Unknown::Window { window: self.window, min: self.min, needs_own_row: true }
    }

    /// Cost of merging the window's blocks.
    pub(crate) fn blocks(self) -> f64 {
        let w = f64::from(self.window);
        w / w.sqrt().max(1.0) + 2.0
    }
}

/// The sheet of a node's operator.
pub(crate) fn sheet(op: &Op) -> Sheet {
    match *op {
        Op::Source(source) => pointwise::column(source),
        Op::Const(value) => pointwise::literal(value.get()),
        Op::Truth(truth) => pointwise::truth_value(truth),
        Op::Add => Point::Add.sheet(),
        Op::Sub => Point::Sub.sheet(),
        Op::Mul => Point::Mul.sheet(),
        Op::Div => Point::Div.sheet(),
        Op::Pow => Point::Pow.sheet(),
        Op::Neg => Point::Neg.sheet(),
        Op::Abs => Point::Abs.sheet(),
        Op::Sign => Point::Sign.sheet(),
        Op::Ln => Point::Ln.sheet(),
        Op::Exp => Point::Exp.sheet(),
        Op::Sqrt => Point::Sqrt.sheet(),
        Op::NormCdf => Point::NormCdf.sheet(),
        Op::NormInv => Point::NormInv.sheet(),
        Op::Min2 => Point::Min2.sheet(),
        Op::Max2 => Point::Max2.sheet(),
        Op::Clip => Point::Clip.sheet(),
        Op::Compare(cmp) => Point::Compare(cmp).sheet(),
        Op::And => Point::And.sheet(),
        Op::Or => Point::Or.sheet(),
        Op::Not => Point::Not.sheet(),
        Op::Known => Point::Known.sheet(),
        Op::If => Point::If.sheet(),
        Op::Coalesce => Point::Coalesce.sheet(),
        Op::Lag { k } => Shift::Lag(k).sheet(),
        Op::Diff { k } => Shift::Diff(k).sheet(),
        Op::PctChange { k } => Shift::PctChange(k).sheet(),
        Op::Rising => Shift::Rising.sheet(),
        Op::Falling => Shift::Falling.sheet(),
        Op::CrossesAbove => Shift::CrossesAbove.sheet(),
        Op::CrossesBelow => Shift::CrossesBelow.sheet(),
        Op::Ffill { max } => shift::ffill(max),
        Op::Held { n } => shift::held(n),
        Op::Roll { f, window, min } => rolling(f, Over { window, min }),
        Op::Roll2 { f, window, min } => {
            let name = match f {
                Rolling2::Corr => "corr",
                Rolling2::Cov => "cov",
                Rolling2::Beta => "beta",
            };
            pairs::sheet(name, f, Over { window, min })
        }
        Op::TodMean { days, half, min } => tod::sheet(days, half, min),
        Op::Since => memory::since(),
        Op::At => memory::at(),
        Op::Latch => memory::latch(),
        Op::Episode { max } => memory::episode(max),
        Op::Ewm { halflife, min } => memory::ewm(halflife.get(), min),
        Op::Vpin { buckets, min } => vpin::sheet(buckets, min),
        Op::Detect(event) => detect::sheet(event, DetectOf::Onset),
        Op::Active(event) => detect::sheet(event, DetectOf::Active),
        Op::EventDir(event) => detect::sheet(event, DetectOf::Direction),
        Op::Of(ref symbol) => across::of(symbol),
        Op::Universe { f, min } => {
            let name = match f {
                Universe::Median => "median",
                Universe::Mean => "mean",
                Universe::Std => "std",
                Universe::Rank => "rank",
            };
            across::universe(name, min)
        }
        Op::Hour => clock::ClockField::Hour.sheet(),
        Op::Minute => clock::ClockField::Minute.sheet(),
        Op::Weekday => clock::ClockField::Weekday.sheet(),
    }
}

fn rolling(f: Rolling, over: Over) -> Sheet {
    use super::ops::counts::CountOf;
    match f {
        Rolling::Sum => moments::sums("sum", f, over),
        Rolling::Mean => moments::sums("mean", f, over),
        Rolling::Std => moments::spread("std", f, over),
        Rolling::Var => moments::spread("var", f, over),
        Rolling::Z => moments::spread("z", f, over),
        Rolling::Skew => moments::skew(over),
        Rolling::Min => extremes::lowest(over),
        Rolling::Max => extremes::highest(over),
        Rolling::AgeMin => extremes::age_of_lowest(over.window),
        Rolling::AgeMax => extremes::age_of_highest(over.window),
        Rolling::Quantile(q) => order::quantile(q.get(), over),
        Rolling::PctRank => order::pct_rank(over),
        Rolling::Count => counts::sheet("count", CountOf::Count, over),
        Rolling::Any => counts::sheet("any", CountOf::Any, over),
        Rolling::All => counts::sheet("all", CountOf::All, over),
        Rolling::Wma => wma::sheet(over),
    }
}

/// The operator with its parameters, as a spec would write it. Different operators have different texts.
#[must_use]
pub fn op_text(op: &Op) -> String {
    sheet(op).text
}

/// Elementary operations per bar, roughly.
#[must_use]
pub fn cost_per_bar(op: &Op) -> f64 {
    sheet(op).cost
}
