//! Expressions in words, for people who do not read the language.

use super::ast::{Binary, Call, Expr, ExprKind, Unary};

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
    let arg = |i: usize, name: &str| {
        let named = call.args.iter().find(|a| a.name.as_ref().is_some_and(|(n, _)| n == name));
        let positional = || call.args.get(i).filter(|a| a.name.is_none());
        named.or_else(positional).map(|a| &a.value)
    };
    let word = |i: usize, name: &str| arg(i, name).map(part).unwrap_or_default();
    let whole = |i: usize, name: &str| arg(i, name).map(in_words).unwrap_or_default();
    let clock = arg(usize::MAX, "on").map(part);
    let rows = |i: usize, name: &str| match (arg(i, name).map(|e| &e.kind), &clock) {
        (Some(ExprKind::Number(n)), None) => duration(*n),
        (Some(ExprKind::Number(n)), Some(clock)) => format!("{n} rows with {clock}"),
        (Some(_), _) => word(i, name),
        (None, _) => String::new(),
    };
    let x = word(0, "x");
    let over = |what: &str| format!("the {what} of {x} over {}", rows(usize::MAX, "window"));
    let pair =
        |what: &str| format!("the {what} of {x} and {} over {}", word(1, "y"), rows(usize::MAX, "window"));
    match call.name.as_str() {
        "abs" => format!("the size of {x}"),
        "sign" => format!("the sign of {x}"),
        "ln" => format!("the log of {x}"),
        "exp" => format!("exp of {x}"),
        "sqrt" => format!("the square root of {x}"),
        "norm_cdf" => format!("the normal probability of {x}"),
        "norm_inv" => format!("the normal quantile of {}", word(0, "p")),
        "clip" => format!("{x} kept between {} and {}", word(1, "lo"), word(2, "hi")),
        "min" | "max" if arg(usize::MAX, "window").is_none() => {
            let which = if call.name == "min" { "smaller" } else { "larger" };
            format!("the {which} of {} and {}", word(0, "a"), word(1, "b"))
        }
        "if" => format!("{} if {}, else {}", word(1, "a"), whole(0, "c"), word(2, "b")),
        "known" => format!("{x} is known"),
        "coalesce" => format!("{x}, or where that is unknown {}", word(1, "y")),
        "lag" => match &clock {
            None => format!("{} {} earlier", grouped(arg(0, "x")), rows(1, "k")),
            Some(clock) => {
                let k = word(1, "k");
                let ticks = if k == "1" { "tick" } else { "ticks" };
                format!("{} {k} {ticks} of {clock} earlier", grouped(arg(0, "x")))
            }
        },
        "diff" => format!("the change of {x} over {}", rows(1, "k")),
        "pct_change" => format!("the relative change of {x} over {}", rows(1, "k")),
        "ffill" => format!("the last known {x}, at most {} old", rows(1, "max")),
        "quantile" => format!("the {}-quantile of {x} over {}", word(1, "q"), rows(usize::MAX, "window")),
        "min" => over("lowest"),
        "max" => over("highest"),
        "std" => over("standard deviation"),
        "var" => over("variance"),
        "z" => format!("the z-score of {x} within {}", rows(usize::MAX, "window")),
        "skew" => over("skewness"),
        "pct_rank" => format!("the rank of {x} within {}", rows(usize::MAX, "window")),
        "count" => format!("the number of rows in {} where {}", rows(usize::MAX, "window"), whole(0, "c")),
        "any" => format!("within {} at least once {}", rows(usize::MAX, "window"), bracketed(arg(0, "c"))),
        "all" => format!("throughout {} {}", rows(usize::MAX, "window"), bracketed(arg(0, "c"))),
        "age_max" => format!("the rows since the highest {x} of {}", rows(usize::MAX, "window")),
        "age_min" => format!("the rows since the lowest {x} of {}", rows(usize::MAX, "window")),
        "sum" | "mean" | "median" => over(&call.name),
        "corr" => pair("correlation"),
        "cov" => pair("covariance"),
        "beta" => format!("the slope of {x} on {} over {}", word(1, "y"), rows(usize::MAX, "window")),
        "tod_mean" => format!("the mean of {x} at this time of day over {} days", word(1, "days")),
        "rising" => format!("{} becomes true", bracketed(arg(0, "c"))),
        "falling" => format!("{} stops being true", bracketed(arg(0, "c"))),
        "held" => format!("for {} running {}", rows(1, "n"), bracketed(arg(0, "c"))),
        "since" => format!("the rows since {}", bracketed(arg(0, "c"))),
        "at" => format!("{x} when last {}", bracketed(arg(1, "c"))),
        "latch" => format!("on from {} until {}", bracketed(arg(0, "set")), bracketed(arg(1, "reset"))),
        "episode" => {
            let most = arg(2, "max").map(|_| format!(", at most {}", rows(2, "max"))).unwrap_or_default();
            format!(
                "from when {} starts until {}{most}",
                bracketed(arg(0, "enter")),
                bracketed(arg(1, "exit"))
            )
        }
        "ewm" => format!("the exponential mean of {x}, half-life {}", rows(1, "halflife")),
        "fired" => format!("{} fires", word(0, "event")),
        "active" => format!("an episode of {} is open", word(0, "event")),
        "event_dir" => format!("the direction of the last {}", word(0, "event")),
        "of" => format!("{}'s {}", word(0, "symbol"), word(1, "x")),
        "minutes_since" => format!("the minutes since the last instant of {}", word(0, "calendar")),
        "minutes_to" => format!("the minutes to the next instant of {}", word(0, "calendar")),
        other => match other.strip_prefix("universe_") {
            Some(what) => format!("the {what} of {x} over all symbols"),
            None => Expr { kind: ExprKind::Call(call.clone()), span: call.name_span }.to_string(),
        },
    }
}

/// An operand that words will follow: bracketed unless it is a name.
fn grouped(expr: Option<&Expr>) -> String {
    match expr.map(|e| (&e.kind, in_words(e))) {
        Some((ExprKind::Name(_) | ExprKind::Number(_), words)) => words,
        Some((_, words)) => format!("({words})"),
        None => String::new(),
    }
}

fn bracketed(expr: Option<&Expr>) -> String {
    expr.map(|e| format!("[{}]", in_words(e))).unwrap_or_default()
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
