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

    /// Evaluates the chunk.
    pub fn run(self, rows: &Rows<'_>, out: &mut [f64]) {
        match self {
            Self::Add => two(rows, out, |a, b| a + b),
            Self::Sub => two(rows, out, |a, b| a - b),
            Self::Mul => two(rows, out, |a, b| a * b),
            Self::Div => two(rows, out, |a, b| a / b),
            Self::Square => one(rows, out, |a| a * a),
            Self::Pow => two(rows, out, |a, b| libm::exp(b * ln(a))),
            Self::Neg => one(rows, out, |a| -a),
            Self::Abs => one(rows, out, f64::abs),
            Self::Sign => one(rows, out, sign),
            Self::Ln => one(rows, out, ln),
            Self::Exp => one(rows, out, libm::exp),
            Self::Sqrt => one(rows, out, f64::sqrt),
            Self::NormCdf => one(rows, out, normal::cdf),
            Self::NormInv => one(rows, out, normal::inverse),
            Self::Min2 => two(rows, out, smaller),
            Self::Max2 => two(rows, out, larger),
            Self::Clip => three(rows, out, |x, lo, hi| smaller(larger(x, lo), hi)),
            Self::Compare(cmp) => compare(cmp, rows, out),
            Self::And => two(rows, out, and),
            Self::Or => two(rows, out, or),
            Self::Not => one(rows, out, |a| 1.0 - a),
            Self::Known => one(rows, out, |a| truth(!a.is_nan())),
            Self::If => three(rows, out, |c, a, b| {
                if c.is_nan() {
                    c
                } else if c == FALSE {
                    b
                } else {
                    a
                }
            }),
            Self::Coalesce => two(rows, out, |a, b| if a.is_nan() { b } else { a }),
        }
    }
}

fn compare(cmp: Cmp, rows: &Rows<'_>, out: &mut [f64]) {
    match cmp {
        Cmp::Lt => two(rows, out, |a, b| known2(a, b, a < b)),
        Cmp::Le => two(rows, out, |a, b| known2(a, b, a <= b)),
        Cmp::Gt => two(rows, out, |a, b| known2(a, b, a > b)),
        Cmp::Ge => two(rows, out, |a, b| known2(a, b, a >= b)),
        Cmp::Eq => two(rows, out, |a, b| known2(a, b, a == b)),
        Cmp::Ne => two(rows, out, |a, b| known2(a, b, a != b)),
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
