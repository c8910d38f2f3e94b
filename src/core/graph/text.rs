//! Nodes as text: one canonical form per operator, for trees, dot files and hashes.

use super::ir::{Cmp, Op, Rolling, Rolling2, SymbolRef, Universe};

/// The operator with its parameters, as a spec would write it. Different operators have different texts.
#[must_use]
pub fn op_text(op: &Op) -> String {
    let name = match op {
        Op::Source(source) => source.name(),
        Op::Const(value) => return value.get().to_string(),
        Op::Truth(Some(true)) => "true",
        Op::Truth(Some(false)) => "false",
        Op::Truth(None) => "unknown",
        Op::Add => "+",
        Op::Sub | Op::Neg => "-",
        Op::Mul => "*",
        Op::Div => "/",
        Op::Pow => "^",
        Op::Abs => "abs",
        Op::Sign => "sign",
        Op::Ln => "ln",
        Op::Exp => "exp",
        Op::Sqrt => "sqrt",
        Op::NormCdf => "norm_cdf",
        Op::NormInv => "norm_inv",
        Op::Min2 => "min",
        Op::Max2 => "max",
        Op::Clip => "clip",
        Op::Compare(cmp) => match cmp {
            Cmp::Lt => "<",
            Cmp::Le => "<=",
            Cmp::Gt => ">",
            Cmp::Ge => ">=",
            Cmp::Eq => "==",
            Cmp::Ne => "!=",
        },
        Op::And => "and",
        Op::Or => "or",
        Op::Not => "not",
        Op::Known => "known",
        Op::If => "if",
        Op::Coalesce => "coalesce",
        Op::Lag { k } => return format!("lag(k={k})"),
        Op::Diff { k } => return format!("diff(k={k})"),
        Op::PctChange { k } => return format!("pct_change(k={k})"),
        Op::Ffill { max } => return format!("ffill(max={max})"),
        Op::Roll { f: Rolling::Quantile(q), window, min } => {
            return format!("quantile(q={}, window={window}, min={min})", q.get());
        }
        Op::Roll { f: f @ (Rolling::AgeMax | Rolling::AgeMin), window, .. } => {
            return format!("{}(window={window})", rolling_name(*f));
        }
        Op::Roll { f, window, min } => return format!("{}(window={window}, min={min})", rolling_name(*f)),
        Op::Roll2 { f, window, min } => {
            let name = match f {
                Rolling2::Corr => "corr",
                Rolling2::Cov => "cov",
                Rolling2::Beta => "beta",
            };
            return format!("{name}(window={window}, min={min})");
        }
        Op::TodMean { days, half, min } => return format!("tod_mean(days={days}, half={half}, min={min})"),
        Op::Rising => "rising",
        Op::Falling => "falling",
        Op::Held { n } => return format!("held(n={n})"),
        Op::Since => "since",
        Op::CrossesAbove => "crosses_above",
        Op::CrossesBelow => "crosses_below",
        Op::At => "at",
        Op::Latch => "latch",
        Op::Episode { max: 0 } => "episode",
        Op::Episode { max } => return format!("episode(max={max})"),
        Op::Ewm { halflife, min } => return format!("ewm(halflife={}, min={min})", halflife.get()),
        Op::Vpin { buckets, min } => return format!("vpin(buckets={buckets}, min={min})"),
        Op::Detect(id) => return format!("detect({})", id.0),
        Op::Active(id) => return format!("active({})", id.0),
        Op::EventDir(id) => return format!("event_dir({})", id.0),
        Op::Of(SymbolRef::Named(symbol)) => return format!("of({symbol})"),
        Op::Of(SymbolRef::Leader { .. }) => "of(LEADER)",
        Op::Universe { f, min } => {
            let name = match f {
                Universe::Median => "median",
                Universe::Mean => "mean",
                Universe::Std => "std",
                Universe::Rank => "rank",
            };
            return format!("universe_{name}(min={min})");
        }
        Op::Hour => "hour",
        Op::Minute => "minute",
        Op::Weekday => "weekday",
    };
    name.to_owned()
}

const fn rolling_name(f: Rolling) -> &'static str {
    match f {
        Rolling::Sum => "sum",
        Rolling::Mean => "mean",
        Rolling::Std => "std",
        Rolling::Var => "var",
        Rolling::Z => "z",
        Rolling::Skew => "skew",
        Rolling::Min => "min",
        Rolling::Max => "max",
        Rolling::Quantile(_) => "quantile",
        Rolling::PctRank => "pct_rank",
        Rolling::Count => "count",
        Rolling::Any => "any",
        Rolling::All => "all",
        Rolling::AgeMax => "age_max",
        Rolling::AgeMin => "age_min",
    }
}
