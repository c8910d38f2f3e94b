//! Class P: functions of one row. Infinities and `-0.0` are removed where the result is stored
//! ([`super::clean`]), so the arithmetic here is plain IEEE.

use super::{FALSE, Rows, TRUE, is_false, is_true, truth};
use crate::graph::sheet::{Needs, Reach, Sheet, Unknown, Work};
use crate::graph::table::{ANY, C, Class, Kind, Operator, Param, X};
use crate::graph::{Cmp, Op, Type};
use crate::market::Source;
use crate::normal;

const PAIR: &[Param] = &[Param::of("a", Kind::Num), Param::of("b", Kind::Num)];
const CHOICE: &[Param] = &[C, Param::of("a", Kind::Any), Param::of("b", Kind::Any)];

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::point(
        "abs",
        &[X],
        "abs(close - open)",
        |at, b| at.node_of(b, Op::Abs, Type::Num),
        |say| format!("the size of {}", say.word("x")),
    ),
    Operator::point(
        "sign",
        &[X],
        "sign(close - open)",
        |at, b| at.node_of(b, Op::Sign, Type::Num),
        |say| format!("the sign of {}", say.word("x")),
    ),
    Operator::point(
        "ln",
        &[X],
        "ln(close)",
        |at, b| at.node_of(b, Op::Ln, Type::Num),
        |say| format!("the log of {}", say.word("x")),
    ),
    Operator::point(
        "exp",
        &[X],
        "exp(funding_rate)",
        |at, b| at.node_of(b, Op::Exp, Type::Num),
        |say| format!("exp of {}", say.word("x")),
    ),
    Operator::point(
        "sqrt",
        &[X],
        "sqrt(volume)",
        |at, b| at.node_of(b, Op::Sqrt, Type::Num),
        |say| format!("the square root of {}", say.word("x")),
    ),
    Operator::point(
        "norm_cdf",
        &[X],
        "norm_cdf(close - open)",
        |at, b| at.node_of(b, Op::NormCdf, Type::Num),
        |say| format!("the normal probability of {}", say.word("x")),
    ),
    Operator::point(
        "norm_inv",
        &[Param::of("p", Kind::Num)],
        "norm_inv(taker_buy_volume / volume)",
        |at, b| at.node_of(b, Op::NormInv, Type::Num),
        |say| format!("the normal quantile of {}", say.word("p")),
    ),
    Operator::point(
        "min",
        PAIR,
        "min(close, open)",
        |at, b| at.node_of(b, Op::Min2, Type::Num),
        |say| format!("the smaller of {} and {}", say.word("a"), say.word("b")),
    ),
    Operator::point(
        "max",
        PAIR,
        "max(close, open)",
        |at, b| at.node_of(b, Op::Max2, Type::Num),
        |say| format!("the larger of {} and {}", say.word("a"), say.word("b")),
    ),
    Operator::point(
        "clip",
        &[X, Param::of("lo", Kind::Num), Param::of("hi", Kind::Num)],
        "clip(close, low, open)",
        |at, b| at.node_of(b, Op::Clip, Type::Num),
        |say| format!("{} kept between {} and {}", say.word("x"), say.word("lo"), say.word("hi")),
    ),
    Operator::point(
        "known",
        &[ANY],
        "known(oi)",
        |at, b| at.node_of(b, Op::Known, Type::Bool),
        |say| format!("{} is known", say.word("x")),
    ),
    Operator::point(
        "if",
        CHOICE,
        "if(close > open, volume, 0)",
        |at, b| {
            let ty = at.same_type(b, "a", "b")?;
            at.node_of(b, Op::If, ty)
        },
        |say| format!("{} if {}, else {}", say.word("a"), say.whole("c"), say.word("b")),
    ),
    Operator::point(
        "coalesce",
        &[ANY, Param::of("y", Kind::Any)],
        "coalesce(oi, volume)",
        |at, b| {
            let ty = at.same_type(b, "x", "y")?;
            at.node_of(b, Op::Coalesce, ty)
        },
        |say| format!("{}, or where that is unknown {}", say.word("x"), say.word("y")),
    ),
];

/// A pointwise operator with its literal choices resolved.
#[allow(missing_docs, reason = "the names are those of `Op`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Add,
    Sub,
    Mul,
    Div,
    /// `x^2` is `x * x`, exactly.
    Square,
    /// `exp(b ln a)`.
    Pow,
    Neg,
    Abs,
    Sign,
    Ln,
    Exp,
    Sqrt,
    NormCdf,
    NormInv,
    Min2,
    Max2,
    Clip,
    Compare(Cmp),
    And,
    Or,
    Not,
    Known,
    If,
    Coalesce,
}

/// The sheet of a source column.
pub(in crate::graph) fn column(source: Source) -> Sheet {
    Sheet {
        text: source.name().to_owned(),
        class: Class::Point,
        reach: Reach::ROW,
        cost: 0.0,
        needs: Needs::Column(source),
        unknown: Unknown::Column(source),
        work: Work::Column(source),
    }
}

/// The sheet of a literal.
pub(in crate::graph) fn literal(value: f64) -> Sheet {
    constant(value.to_string(), value)
}

/// The sheet of a truth value.
pub(in crate::graph) fn truth_value(value: Option<bool>) -> Sheet {
    match value {
        Some(true) => constant("true".to_owned(), TRUE),
        Some(false) => constant("false".to_owned(), FALSE),
        None => constant("unknown".to_owned(), f64::NAN),
    }
}

fn constant(text: String, value: f64) -> Sheet {
    Sheet {
        text,
        class: Class::Point,
        reach: Reach::ROW,
        cost: 0.0,
        needs: Needs::All,
        unknown: Unknown::Inputs,
        work: Work::Fill(value),
    }
}

impl Point {
    /// The sheet of a node that computes this.
    pub(in crate::graph) fn sheet(self) -> Sheet {
        let (needs, unknown) = match self {
            Self::Coalesce => (Needs::Fallback, Unknown::Fallback),
            Self::Known => (Needs::Nothing, Unknown::Inputs),
            _ => (Needs::All, Unknown::Inputs),
        };
        let cost = match self {
            Self::Ln | Self::Exp => 10.0,
            Self::NormCdf | Self::NormInv => 30.0,
            _ => 1.0,
        };
        let text = self.text().to_owned();
        Sheet { text, class: Class::Point, reach: Reach::ROW, cost, needs, unknown, work: Work::Point(self) }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub | Self::Neg => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Square | Self::Pow => "^",
            Self::Abs => "abs",
            Self::Sign => "sign",
            Self::Ln => "ln",
            Self::Exp => "exp",
            Self::Sqrt => "sqrt",
            Self::NormCdf => "norm_cdf",
            Self::NormInv => "norm_inv",
            Self::Min2 => "min",
            Self::Max2 => "max",
            Self::Clip => "clip",
            Self::Compare(Cmp::Lt) => "<",
            Self::Compare(Cmp::Le) => "<=",
            Self::Compare(Cmp::Gt) => ">",
            Self::Compare(Cmp::Ge) => ">=",
            Self::Compare(Cmp::Eq) => "==",
            Self::Compare(Cmp::Ne) => "!=",
            Self::And => "and",
            Self::Or => "or",
            Self::Not => "not",
            Self::Known => "known",
            Self::If => "if",
            Self::Coalesce => "coalesce",
        }
    }

    /// The value of one row; operands it does not have are not looked at.
    #[must_use]
    #[inline(always)]
    pub fn of_row(self, a: f64, b: f64, c: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => quotient(a, b),
            Self::Square => a * a,
            Self::Pow => libm::exp(b * ln(a)),
            Self::Neg => -a,
            Self::Abs => a.abs(),
            Self::Sign => sign(a),
            Self::Ln => ln(a),
            Self::Exp => libm::exp(a),
            Self::Sqrt => a.sqrt(),
            Self::NormCdf => normal::cdf(a),
            Self::NormInv => normal::inverse(a),
            Self::Min2 => smaller(a, b),
            Self::Max2 => larger(a, b),
            Self::Clip => smaller(larger(a, b), c),
            Self::Compare(Cmp::Lt) => known2(a, b, a < b),
            Self::Compare(Cmp::Le) => known2(a, b, a <= b),
            Self::Compare(Cmp::Gt) => known2(a, b, a > b),
            Self::Compare(Cmp::Ge) => known2(a, b, a >= b),
            Self::Compare(Cmp::Eq) => known2(a, b, a == b),
            Self::Compare(Cmp::Ne) => known2(a, b, a != b),
            Self::And => and(a, b),
            Self::Or => or(a, b),
            Self::Not => 1.0 - a,
            Self::Known => truth(!a.is_nan()),
            Self::If if a.is_nan() => a,
            Self::If => {
                if a == FALSE {
                    c
                } else {
                    b
                }
            }
            Self::Coalesce => {
                if a.is_nan() {
                    b
                } else {
                    a
                }
            }
        }
    }

    /// Evaluates the chunk: one loop per operator, so that each can be vectorised.
    pub fn run(self, rows: &Rows<'_>, out: &mut [f64]) {
        macro_rules! each {
            (one: $($one:ident)*; two: $($two:ident)*; three: $($three:ident)*; compare: $($cmp:ident)*) => {
                match self {
                    $(Self::$one => one(rows, out, |a| Self::$one.of_row(a, a, a)),)*
                    $(Self::$two => two(rows, out, |a, b| Self::$two.of_row(a, b, b)),)*
                    $(Self::$three => three(rows, out, |a, b, c| Self::$three.of_row(a, b, c)),)*
                    $(Self::Compare(Cmp::$cmp) => {
                        two(rows, out, |a, b| Self::Compare(Cmp::$cmp).of_row(a, b, b));
                    })*
                }
            };
        }
        each!(
            one: Square Neg Abs Sign Ln Exp Sqrt NormCdf NormInv Not Known;
            two: Add Sub Mul Div Pow Min2 Max2 And Or Coalesce;
            three: Clip If;
            compare: Lt Le Gt Ge Eq Ne
        );
    }
}

fn one(rows: &Rows<'_>, out: &mut [f64], f: impl Fn(f64) -> f64) {
    for (o, a) in out.iter_mut().zip(rows.inputs[0].rows()) {
        *o = f(*a);
    }
}

fn two(rows: &Rows<'_>, out: &mut [f64], f: impl Fn(f64, f64) -> f64) {
    let [a, b, ..] = rows.inputs;
    for ((o, a), b) in out.iter_mut().zip(a.rows()).zip(b.rows()) {
        *o = f(*a, *b);
    }
}

fn three(rows: &Rows<'_>, out: &mut [f64], f: impl Fn(f64, f64, f64) -> f64) {
    let [a, b, c, _] = rows.inputs;
    for (((o, a), b), c) in out.iter_mut().zip(a.rows()).zip(b.rows()).zip(c.rows()) {
        *o = f(*a, *b, *c);
    }
}

/// `verdict`, unknown if either side is.
#[inline]
pub(crate) fn known2(a: f64, b: f64, verdict: bool) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { truth(verdict) }
}

/// The Kleene conjunction of two truth values.
#[must_use]
#[inline]
pub fn and(a: f64, b: f64) -> f64 {
    if is_false(a) || is_false(b) {
        FALSE
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        TRUE
    }
}

/// The Kleene disjunction of two truth values.
#[must_use]
#[inline]
pub fn or(a: f64, b: f64) -> f64 {
    if is_true(a) || is_true(b) {
        TRUE
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        FALSE
    }
}

/// Natural logarithm; unknown for `a <= 0`.
#[must_use]
#[inline]
pub fn ln(a: f64) -> f64 {
    if a > 0.0 { libm::log(a) } else { f64::NAN }
}

/// -1, 0 or 1; unknown for unknown.
#[must_use]
#[inline]
pub fn sign(a: f64) -> f64 {
    if a > 0.0 {
        1.0
    } else if a < 0.0 {
        -1.0
    } else {
        a + 0.0
    }
}

/// How far from 1 the quotient of two that are the same may be, each summed up on its own way.
const SAME: f64 = 1e-10;

/// `a / b`, and 1 where they differ by rounding only: a ratio that never moves must not be seen to cross its
/// own quantiles.
#[inline]
fn quotient(a: f64, b: f64) -> f64 {
    let q = a / b;
    if (q - 1.0).abs() < SAME { 1.0 } else { q }
}

#[inline]
fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if b < a {
        b
    } else {
        a
    }
}

#[inline]
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if b > a {
        b
    } else {
        a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const U: f64 = f64::NAN;

    #[test]
    fn logic_is_kleenes() {
        let table =
            [(1.0, 1.0, 1.0, 1.0), (1.0, 0.0, 0.0, 1.0), (1.0, U, U, 1.0), (0.0, U, 0.0, U), (U, U, U, U)];
        for (a, b, conjunction, disjunction) in table {
            for (x, y) in [(a, b), (b, a)] {
                assert_eq!(and(x, y).total_cmp(&conjunction), std::cmp::Ordering::Equal);
                assert_eq!(or(x, y).total_cmp(&disjunction), std::cmp::Ordering::Equal);
            }
        }
    }

    #[test]
    fn a_logarithm_of_nothing_is_unknown() {
        assert!(ln(0.0).is_nan() && ln(-1.0).is_nan() && ln(U).is_nan());
        assert_eq!(sign(-0.0).to_bits(), 0);
        assert!(sign(U).is_nan());
    }
}
