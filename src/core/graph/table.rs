//! The one table of operators: what a call may be named, what it takes, what node it becomes and how it reads
//! in words.
//!
//! An operator of the language is a row, [`Operator`], in the file of its family under [`super::ops`]; every
//! part of a row is required, so a row that lacks one does not compile. What the engine and the explanations
//! need to know of the *node* that a row makes is the node's [sheet](super::sheet). `docs/extend.md` adds an
//! operator step by step.

use super::calls::Bound;
use super::ir::{NodeId, Type};
use super::lower::Lowerer;
use super::ops;
use super::words::Said;

/// What an operator may look at, and what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// P: a function of its operands on one row.
    Point,
    /// W: a function of its window's content and the absolute row number.
    Window,
    /// S: a recursion, which depends on where the stored history starts until its first set, reset or tick.
    State,
    /// A function of other symbols on the same row.
    Across,
}

impl Class {
    /// `P`, `W` or `S`; `X` for other symbols.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Point => 'P',
            Self::Window => 'W',
            Self::State => 'S',
            Self::Across => 'X',
        }
    }
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number series.
    Num,
    /// A Kleene series.
    Bool,
    /// A series of either type.
    Any,
    /// A literal whole number, at least this.
    Int(u32),
    /// A literal number.
    Literal,
    /// The name of a calendar.
    Calendar,
    /// The name of an event.
    Event,
    /// A symbol or `LEADER`.
    Symbol,
    /// The name of a session group.
    Session,
}

/// What holds when an argument is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// It must be given.
    Error,
    /// The value of `window`.
    Window,
    /// This whole number.
    Int(u32),
    /// `universe.min_symbols` of the global defaults.
    UniverseMin,
}

/// A parameter of an operator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) absent: Absent,
}

/// How a row makes nodes of a bound call. `None`: it could not, and said why.
pub(super) type Lower = fn(&mut Lowerer<'_>, &Bound<'_>) -> Option<NodeId>;
/// A call of a row in words.
pub(super) type Words = fn(&Said<'_>) -> String;

/// An operator of the language.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// As it is called.
    pub name: &'static str,
    /// What it may look at.
    pub class: Class,
    /// Whether `on=` is accepted.
    pub takes_clock: bool,
    /// A call of it over sources, and over an event `E` where it takes one. Every example is run by the
    /// tests.
    pub example: &'static str,
    pub(super) params: &'static [Param],
    pub(super) lower: Lower,
    pub(super) words: Words,
}

impl Param {
    /// A parameter that must be given.
    pub(super) const fn of(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, absent: Absent::Error }
    }

    /// A parameter that may be left out.
    pub(super) const fn or(name: &'static str, kind: Kind, absent: Absent) -> Self {
        Self { name, kind, absent }
    }
}

pub(super) const X: Param = Param::of("x", Kind::Num);
pub(super) const Y: Param = Param::of("y", Kind::Num);
pub(super) const C: Param = Param::of("c", Kind::Bool);
pub(super) const ANY: Param = Param::of("x", Kind::Any);
pub(super) const WINDOW: Param = Param::of("window", Kind::Int(1));
pub(super) const MIN: Param = Param::or("min", Kind::Int(1), Absent::Window);

/// Every row, by family.
const FAMILIES: &[&[Operator]] = &[
    ops::pointwise::OPERATORS,
    ops::shift::OPERATORS,
    ops::moments::OPERATORS,
    ops::pairs::OPERATORS,
    ops::wma::OPERATORS,
    ops::extremes::OPERATORS,
    ops::order::OPERATORS,
    ops::counts::OPERATORS,
    ops::tod::OPERATORS,
    ops::memory::OPERATORS,
    ops::vpin::OPERATORS,
    ops::detect::OPERATORS,
    ops::across::OPERATORS,
    ops::clock::OPERATORS,
];

/// Every operator of the language, in the order of the table. Two rows may share a name: `min` and `max` of
/// two series, and over a window.
pub fn operators() -> impl Iterator<Item = &'static Operator> {
    FAMILIES.iter().copied().flatten()
}

/// The operator that a call means, by its name and its numbers of positional and of named arguments. Of two
/// rows with one name, a call that gives exactly the first one's parameters, all by position, means the
/// first.
pub(super) fn operator(name: &str, positional: usize, named: usize) -> Option<&'static Operator> {
    let mut rows = operators().filter(|o| o.name == name);
    let first = rows.next()?;
    let is_first = (positional, named) == (first.params.len(), 0);
    Some(rows.next().filter(|_| !is_first).unwrap_or(first))
}

/// Every operator's name.
pub(super) fn operator_names<'a>() -> impl Iterator<Item = &'a str> {
    operators().map(|o| -> &'a str { o.name })
}

impl Operator {
    /// Class P: it takes no clock, as it looks at one row only.
    pub(super) const fn point(
        name: &'static str,
        params: &'static [Param],
        example: &'static str,
        lower: Lower,
        words: Words,
    ) -> Self {
        Self { name, class: Class::Point, takes_clock: false, example, params, lower, words }
    }

    /// Class W, on the grid or on a clock.
    pub(super) const fn window(
        name: &'static str,
        params: &'static [Param],
        example: &'static str,
        lower: Lower,
        words: Words,
    ) -> Self {
        Self { name, class: Class::Window, takes_clock: true, example, params, lower, words }
    }

    /// Class S, on the grid or on a clock.
    pub(super) const fn state(
        name: &'static str,
        params: &'static [Param],
        example: &'static str,
        lower: Lower,
        words: Words,
    ) -> Self {
        Self { name, class: Class::State, takes_clock: true, example, params, lower, words }
    }

    /// Class S of an event's detector, which runs on the grid.
    pub(super) const fn detector(
        name: &'static str,
        params: &'static [Param],
        example: &'static str,
        lower: Lower,
        words: Words,
    ) -> Self {
        Self { name, class: Class::State, takes_clock: false, example, params, lower, words }
    }

    /// Other symbols on the same row.
    pub(super) const fn across(
        name: &'static str,
        params: &'static [Param],
        example: &'static str,
        lower: Lower,
        words: Words,
    ) -> Self {
        Self { name, class: Class::Across, takes_clock: false, example, params, lower, words }
    }

    /// `quantile(x, q=, window=, [min=], [on=])`: the call with its parameters, in brackets what may be left
    /// out.
    #[must_use]
    pub fn usage(&self) -> String {
        let mut parts: Vec<String> = self.params.iter().map(Param::usage).collect();
        if self.takes_clock {
            parts.push("[on=]".to_owned());
        }
        format!("{}({})", self.name, parts.join(", "))
    }
}

impl Param {
    fn usage(&self) -> String {
        let is_named =
            matches!(self.kind, Kind::Int(_) | Kind::Literal) && self.name != "k" && self.name != "n";
        let name = if is_named { format!("{}=", self.name) } else { self.name.to_owned() };
        if self.absent == Absent::Error { name } else { format!("[{name}]") }
    }
}

/// Several of a type, as messages name them.
pub(super) const fn type_names(ty: Type) -> &'static str {
    match ty {
        Type::Num => "numbers",
        Type::Bool => "truth values",
    }
}

/// A type as messages name it.
pub(super) const fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Num => "a number",
        Type::Bool => "a truth value",
    }
}

/// How an operator that other languages call `name` is written here.
pub(super) fn known_elsewhere(name: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(other, _)| name.eq_ignore_ascii_case(other)).map(|(_, here)| *here)
}

/// What other languages call an operator, and how it is written here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("shift", "lag(x, k)"),
    ("ref", "lag(x, k)"),
    ("delay", "lag(x, k)"),
    ("delta", "diff(x, k)"),
    ("rolling_mean", "mean(x, window=n)"),
    ("sma", "mean(x, window=n)"),
    ("lwma", "wma(x, window=n)"),
    ("hull", "hma(x, window=n)"),
    ("avg", "mean(x, window=n)"),
    ("rolling_sum", "sum(x, window=n)"),
    ("rolling_std", "std(x, window=n)"),
    ("stddev", "std(x, window=n)"),
    ("rolling_max", "max(x, window=n)"),
    ("rolling_min", "min(x, window=n)"),
    ("zscore", "z(x, window=n)"),
    ("percentile", "quantile(x, q=0.95, window=n)"),
    ("rank", "pct_rank(x, window=n)"),
    ("ema", "ewm(x, halflife=n)"),
    ("log", "ln(x)"),
    ("pow", "x^y"),
    ("where", "if(c, a, b)"),
    ("iff", "if(c, a, b)"),
    ("fillna", "coalesce(x, y)"),
    ("isnan", "not known(x)"),
    ("isnull", "not known(x)"),
    ("crossover", "crosses_above(x, y)"),
    ("crossunder", "crosses_below(x, y)"),
];
