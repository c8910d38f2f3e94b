//! Other symbols on the same row: what they are called and what they need. The engine fills them between two
//! stages (`engine/cross.rs`).

use crate::graph::sheet::{Needs, Reach, Sheet, Unknown, Work};
use crate::graph::table::{ANY, Absent, Class, Kind, Operator, Param, X};
use crate::graph::{Op, SymbolRef, Type, Universe};

const UNIVERSE: &[Param] = &[X, Param::or("min", Kind::Int(1), Absent::UniverseMin)];

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::across(
        "of",
        &[Param::of("symbol", Kind::Symbol), ANY],
        "of(LEADER, close)",
        |at, b| {
            let ty = at.ty(b.series("x")?);
            at.node_of(b, Op::Of(b.symbol()?), ty)
        },
        |say| format!("{}'s {}", say.word("symbol"), say.word("x")),
    ),
    Operator::across(
        "universe_median",
        UNIVERSE,
        "universe_median(volume, min=2)",
        |at, b| at.node_of(b, Op::Universe { f: Universe::Median, min: b.whole("min")? }, Type::Num),
        |say| format!("the median of {} over all symbols", say.word("x")),
    ),
    Operator::across(
        "universe_mean",
        UNIVERSE,
        "universe_mean(volume, min=2)",
        |at, b| at.node_of(b, Op::Universe { f: Universe::Mean, min: b.whole("min")? }, Type::Num),
        |say| format!("the mean of {} over all symbols", say.word("x")),
    ),
    Operator::across(
        "universe_std",
        UNIVERSE,
        "universe_std(volume, min=2)",
        |at, b| at.node_of(b, Op::Universe { f: Universe::Std, min: b.whole("min")? }, Type::Num),
        |say| format!("the std of {} over all symbols", say.word("x")),
    ),
    Operator::across(
        "universe_rank",
        UNIVERSE,
        "universe_rank(volume, min=2)",
        |at, b| at.node_of(b, Op::Universe { f: Universe::Rank, min: b.whole("min")? }, Type::Num),
        |say| format!("the rank of {} over all symbols", say.word("x")),
    ),
];

fn sheet(text: String, unknown: Unknown) -> Sheet {
    Sheet {
        text,
        class: Class::Across,
        reach: Reach::ROW,
        cost: 1.0,
        needs: Needs::Others,
        unknown,
        work: Work::Across,
    }
}

/// The sheet of `of`.
pub(in crate::graph) fn of(symbol: &SymbolRef) -> Sheet {
    let text = match symbol {
        SymbolRef::Named(name) => format!("of({name})"),
        SymbolRef::Leader { .. } => "of(LEADER)".to_owned(),
    };
    sheet(text, Unknown::Symbol(symbol.clone()))
}

/// The sheet of a statistic of the universe.
pub(in crate::graph) fn universe(name: &str, min: u32) -> Sheet {
    sheet(format!("universe_{name}(min={min})"), Unknown::Symbols(min))
}
