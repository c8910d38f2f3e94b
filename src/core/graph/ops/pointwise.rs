//! Class P: functions of one row. Infinities and `-0.0` are removed where the result is stored
//! ([`super::clean`]), so the arithmetic here is plain IEEE.

use super::{FALSE, Rows, TRUE, is_false, is_true, normal, truth};
use crate::graph::{Cmp, Op};

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

impl Point {
    /// The operator of a node, if it is pointwise. `literal_square`: the exponent is the literal 2.
    #[must_use]
    pub const fn of(op: &Op, literal_square: bool) -> Option<Self> {
        Some(match op {
            Op::Add => Self::Add,
            Op::Sub => Self::Sub,
            Op::Mul => Self::Mul,
            Op::Div => Self::Div,
            Op::Pow if literal_square => Self::Square,
            Op::Pow => Self::Pow,
            Op::Neg => Self::Neg,
            Op::Abs => Self::Abs,
            Op::Sign => Self::Sign,
            Op::Ln => Self::Ln,
            Op::Exp => Self::Exp,
            Op::Sqrt => Self::Sqrt,
            Op::NormCdf => Self::NormCdf,
            Op::NormInv => Self::NormInv,
            Op::Min2 => Self::Min2,
            Op::Max2 => Self::Max2,
            Op::Clip => Self::Clip,
            Op::Compare(c) => Self::Compare(*c),
            Op::And => Self::And,
            Op::Or => Self::Or,
            Op::Not => Self::Not,
            Op::Known => Self::Known,
            Op::If => Self::If,
            Op::Coalesce => Self::Coalesce,
            _ => return None,
        })
    }

    /// The value of one row; operands it does not have are not looked at.
    #[must_use]
    #[inline(always)]
    pub fn of_row(self, a: f64, b: f64, c: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
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

/// Kleene conjunction.
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

/// Kleene disjunction.
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
