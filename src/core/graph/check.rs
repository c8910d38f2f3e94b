//! The operators of the language and what they accept. Semantics: the table in `spec/README.md`.

use super::ir::Type;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number series.
    Num,
    /// A Kleene series.
    Bool,
    /// Either.
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

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub name: &'static str,
    pub kind: Kind,
    pub absent: Absent,
}

/// An operator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    pub name: &'static str,
    pub params: &'static [Param],
    /// Whether `on=` is accepted: classes W and S.
    pub clocked: bool,
}

const fn param(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, absent: Absent::Error }
}

const fn or(name: &'static str, kind: Kind, absent: Absent) -> Param {
    Param { name, kind, absent }
}

const fn pointwise(name: &'static str, params: &'static [Param]) -> Signature {
    Signature { name, params, clocked: false }
}

const fn timed(name: &'static str, params: &'static [Param]) -> Signature {
    Signature { name, params, clocked: true }
}

const X: Param = param("x", Kind::Num);
const Y: Param = param("y", Kind::Num);
const C: Param = param("c", Kind::Bool);
const ANY: Param = param("x", Kind::Any);
const K: Param = param("k", Kind::Int(0));
const WINDOW: Param = param("window", Kind::Int(1));
const MIN: Param = or("min", Kind::Int(1), Absent::Window);
const ROLL: &[Param] = &[X, WINDOW, MIN];
const ROLL_BOOL: &[Param] = &[C, WINDOW, MIN];
const ROLL2: &[Param] = &[X, Y, WINDOW, MIN];
const UNIVERSE: &[Param] = &[X, or("min", Kind::Int(1), Absent::UniverseMin)];
const CALENDAR: Param = param("calendar", Kind::Calendar);
const EVENT: &[Param] = &[param("event", Kind::Event)];

/// Rolling `min` and `max`; with two positional arguments they are pointwise ([`MIN2`]).
const SIGNATURES: &[Signature] = &[
    pointwise("abs", &[X]),
    pointwise("sign", &[X]),
    pointwise("ln", &[X]),
    pointwise("exp", &[X]),
    pointwise("sqrt", &[X]),
    pointwise("norm_cdf", &[X]),
    pointwise("norm_inv", &[param("p", Kind::Num)]),
    pointwise("clip", &[X, param("lo", Kind::Num), param("hi", Kind::Num)]),
    pointwise("known", &[ANY]),
    pointwise("if", &[C, param("a", Kind::Any), param("b", Kind::Any)]),
    pointwise("coalesce", &[ANY, param("y", Kind::Any)]),
    timed("lag", &[ANY, K]),
    timed("diff", &[X, K]),
    timed("pct_change", &[X, K]),
    timed("ffill", &[X, param("max", Kind::Int(1))]),
    timed("sum", ROLL),
    timed("mean", ROLL),
    timed("std", ROLL),
    timed("var", ROLL),
    timed("z", ROLL),
    timed("skew", ROLL),
    timed("min", ROLL),
    timed("max", ROLL),
    timed("median", ROLL),
    timed("quantile", &[X, param("q", Kind::Literal), WINDOW, MIN]),
    timed("pct_rank", ROLL),
    timed("count", ROLL_BOOL),
    timed("any", ROLL_BOOL),
    timed("all", ROLL_BOOL),
    timed("age_max", &[X, WINDOW]),
    timed("age_min", &[X, WINDOW]),
    timed("corr", ROLL2),
    timed("cov", ROLL2),
    timed("beta", ROLL2),
    pointwise(
        "tod_mean",
        &[X, param("days", Kind::Int(1)), param("half", Kind::Int(0)), param("min", Kind::Int(1))],
    ),
    timed("rising", &[C]),
    timed("falling", &[C]),
    timed("held", &[C, param("n", Kind::Int(1))]),
    timed("since", &[C]),
    timed("crosses_above", &[X, Y]),
    timed("crosses_below", &[X, Y]),
    timed("at", &[ANY, C]),
    timed("latch", &[param("set", Kind::Bool), param("reset", Kind::Bool)]),
    timed(
        "episode",
        &[param("enter", Kind::Bool), param("exit", Kind::Bool), or("max", Kind::Int(1), Absent::Int(0))],
    ),
    timed("ewm", &[X, param("halflife", Kind::Literal), or("min", Kind::Int(1), Absent::Int(1))]),
    timed(
        "vpin",
        &[
            param("buy", Kind::Num),
            param("total", Kind::Num),
            param("bucket", Kind::Num),
            param("buckets", Kind::Int(1)),
            param("min", Kind::Int(1)),
        ],
    ),
    pointwise("fired", EVENT),
    pointwise("active", EVENT),
    pointwise("event_dir", EVENT),
    pointwise("of", &[param("symbol", Kind::Symbol), ANY]),
    pointwise("universe_median", UNIVERSE),
    pointwise("universe_mean", UNIVERSE),
    pointwise("universe_std", UNIVERSE),
    pointwise("universe_rank", UNIVERSE),
    pointwise("minutes_since", &[CALENDAR]),
    pointwise("minutes_to", &[CALENDAR]),
    pointwise(
        "in_window",
        &[CALENDAR, or("before", Kind::Int(0), Absent::Int(0)), or("after", Kind::Int(0), Absent::Int(0))],
    ),
    pointwise("session", &[param("name", Kind::Session)]),
    pointwise("hour", &[]),
    pointwise("minute", &[]),
    pointwise("weekday", &[]),
];

/// Pointwise `min(a, b)` and `max(a, b)`.
const MIN2: Signature = pointwise("min", &[param("a", Kind::Num), param("b", Kind::Num)]);
const MAX2: Signature = pointwise("max", &[param("a", Kind::Num), param("b", Kind::Num)]);

/// The operator that a call means. `min` and `max` are pointwise when called with two positional arguments.
pub(super) fn signature(name: &str, positional: usize, named: usize) -> Option<&'static Signature> {
    match (name, positional, named) {
        ("min", 2, 0) => Some(&MIN2),
        ("max", 2, 0) => Some(&MAX2),
        _ => SIGNATURES.iter().find(|s| s.name == name),
    }
}

/// Every operator's name.
pub(super) fn operator_names<'a>() -> impl Iterator<Item = &'a str> {
    SIGNATURES.iter().map(|s| -> &str { s.name })
}

impl Signature {
    /// `quantile(x, q=, window=, min=)`, for messages.
    pub(super) fn usage(&self) -> String {
        let series =
            |p: &Param| matches!(p.kind, Kind::Int(_) | Kind::Literal) && p.name.len() > 1 || p.name == "q";
        let mut parts: Vec<String> = self
            .params
            .iter()
            .map(|p| {
                let name = if series(p) { format!("{}=", p.name) } else { p.name.to_owned() };
                if p.absent == Absent::Error { name } else { format!("[{name}]") }
            })
            .collect();
        if self.clocked {
            parts.push("[on=]".to_owned());
        }
        format!("{}({})", self.name, parts.join(", "))
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
