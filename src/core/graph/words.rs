//! Expressions in words, for people who do not read the language.

use super::ast::{Binary, Call, Expr, ExprKind, Unary};
use super::table::{Operator, operator};

/// The expression in words; expand its macros first.
#[must_use]
pub fn in_words(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Number(value) => value.to_string(),
        ExprKind::Name(name) => name.clone(),
        ExprKind::Unary(Unary::Neg, x) => format!("minus {}", part(x)),
        ExprKind::Unary(Unary::Not, c) => format!("not {}", part(c)),
        ExprKind::Binary(op, a, b) => binary(*op, a, b),
        ExprKind::Call(call) => words_of_call(call),
    }
}

fn binary(op: Binary, a: &Expr, b: &Expr) -> String {
    let link = match op {
        Binary::Or => "or",
        Binary::And => "and",
        Binary::Lt => "is below",
        Binary::Le => "is at most",
        Binary::Gt => "is above",
        Binary::Ge => "is at least",
        Binary::Eq => "equals",
        Binary::Ne => "differs from",
        Binary::Add => "plus",
        Binary::Sub => "less",
        Binary::Mul => "times",
        Binary::Div => "over",
        Binary::Pow => "to the power",
    };
    // A chain of one connective, or a comparison inside one, reads without brackets.
    let side = |x: &Expr| match &x.kind {
        ExprKind::Binary(inner, ..) if *inner == op && op.strength() <= Binary::And.strength() => in_words(x),
        ExprKind::Binary(inner, ..)
            if op.strength() <= Binary::And.strength() && inner.strength() > Binary::And.strength() =>
        {
            in_words(x)
        }
        _ => part(x),
    };
    format!("{} {link} {}", side(a), side(b))
}

/// As an operand: bracketed where it would not read as one thing.
fn part(expr: &Expr) -> String {
    let words = in_words(expr);
    match expr.kind {
        ExprKind::Binary(..) => format!("({words})"),
        _ => words,
    }
}

fn words_of_call(call: &Call) -> String {
    let positional = call.args.iter().filter(|a| a.name.is_none()).count();
    match operator(&call.name, positional, call.args.len() - positional) {
        Some(operator) => (operator.words)(&Said { call, operator }),
        None => Said::written(call),
    }
}

/// A call to be said: its arguments in words, by the names of the operator's parameters.
pub(super) struct Said<'c> {
    call: &'c Call,
    operator: &'static Operator,
}

impl Said<'_> {
    /// As an argument is given, by name or by position.
    fn arg(&self, name: &str) -> Option<&Expr> {
        let args = &self.call.args;
        let named = args.iter().find(|a| a.name.as_ref().is_some_and(|(n, _)| n == name));
        let at = || self.operator.params.iter().position(|p| p.name == name);
        let positional = || at().and_then(|at| args.get(at)).filter(|a| a.name.is_none());
        named.or_else(positional).map(|a| &a.value)
    }

    /// Whether an argument is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.arg(name).is_some()
    }

    /// An argument as an operand: bracketed where it would not read as one thing.
    pub(super) fn word(&self, name: &str) -> String {
        self.arg(name).map(part).unwrap_or_default()
    }

    /// An argument without brackets.
    pub(super) fn whole(&self, name: &str) -> String {
        self.arg(name).map(in_words).unwrap_or_default()
    }

    /// An argument that words will follow: bracketed unless it is a name.
    pub(super) fn grouped(&self, name: &str) -> String {
        match self.arg(name).map(|e| (&e.kind, in_words(e))) {
            Some((ExprKind::Name(_) | ExprKind::Number(_), words)) => words,
            Some((_, words)) => format!("({words})"),
            None => String::new(),
        }
    }

    /// A condition, in square brackets.
    pub(super) fn bracketed(&self, name: &str) -> String {
        self.arg(name).map(|e| format!("[{}]", in_words(e))).unwrap_or_default()
    }

    /// `on=`, as an operand.
    pub(super) fn clock(&self) -> Option<String> {
        self.arg("on").map(part)
    }

    /// A number of rows: as time on the grid, as ticks on a clock.
    pub(super) fn rows(&self, name: &str) -> String {
        match (self.arg(name).map(|e| &e.kind), self.clock()) {
            (Some(ExprKind::Number(n)), None) => duration(*n),
            (Some(ExprKind::Number(n)), Some(clock)) => format!("{n} rows with {clock}"),
            (Some(_), _) => self.word(name),
            (None, _) => String::new(),
        }
    }

    /// `the lowest of x over 1 hour`.
    pub(super) fn over(&self, what: &str) -> String {
        format!("the {what} of {} over {}", self.word("x"), self.rows("window"))
    }

    /// `the covariance of x and y over 1 hour`.
    pub(super) fn over_pair(&self, what: &str) -> String {
        format!("the {what} of {} and {} over {}", self.word("x"), self.word("y"), self.rows("window"))
    }

    /// The call as it is written.
    pub(super) fn as_written(&self) -> String {
        Self::written(self.call)
    }

    fn written(call: &Call) -> String {
        Expr { kind: ExprKind::Call(call.clone()), span: call.name_span }.to_string()
    }
}

/// A number of rows as time.
#[must_use]
pub fn duration(rows: f64) -> String {
    let minutes = rows * 5.0;
    let plural = |n: f64, unit: &str| if n == 1.0 { format!("1 {unit}") } else { format!("{n} {unit}s") };
    if rows == 1.0 {
        "1 bar".to_owned()
    } else if minutes % 1440.0 == 0.0 {
        plural(minutes / 1440.0, "day")
    } else if minutes % 60.0 == 0.0 {
        plural(minutes / 60.0, "hour")
    } else {
        format!("{minutes} minutes")
    }
}

#[cfg(test)]
mod tests {
    use super::super::parser::parse;
    use super::*;

    fn words(text: &str) -> String {
        in_words(&parse(text, 0).unwrap())
    }

    #[test]
    fn a_trigger_reads_as_a_sentence() {
        let text = "x >= max(lag(quantile(x, q=0.98, window=8640, min=2016), 1), 1.5) and held(y <= 1, 3)";
        assert_eq!(
            words(text),
            "x is at least the larger of (the 0.98-quantile of x over 30 days) 1 bar earlier and 1.5 \
             and for 15 minutes running [y is at most 1]"
        );
    }

    #[test]
    fn rows_read_as_time() {
        let read: Vec<_> = [1.0, 3.0, 12.0, 288.0, 8640.0].into_iter().map(duration).collect();
        assert_eq!(read, ["1 bar", "15 minutes", "1 hour", "1 day", "30 days"]);
    }
}
