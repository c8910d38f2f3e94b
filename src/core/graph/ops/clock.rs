//! The time of a bar: fields of its close, and the calendars, whose columns hold minutes to and since their
//! instants.

use super::Rows;
use super::kernel::Kernel;
use crate::graph::lower::Lowerer;
use crate::graph::sheet::{Needs, Reach, Sheet, Unknown, Work};
use crate::graph::table::{Absent, Class, Kind, Operator, Param};
use crate::graph::{Cmp, NodeId, Op, Type};
use crate::market::{BAR_MS, BARS_PER_DAY, Calendar, DAY_MS};

const CALENDAR: Param = Param::of("calendar", Kind::Calendar);
const AROUND: &[Param] = &[
    CALENDAR,
    Param::or("before", Kind::Int(0), Absent::Int(0)),
    Param::or("after", Kind::Int(0), Absent::Int(0)),
];

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::point(
        "minutes_since",
        &[CALENDAR],
        "minutes_since(funding)",
        |at, b| Some(at.source(b.calendar()?.minutes_since())),
        |say| format!("the minutes since the last instant of {}", say.word("calendar")),
    ),
    Operator::point(
        "minutes_to",
        &[CALENDAR],
        "minutes_to(macro)",
        |at, b| Some(at.source(b.calendar()?.minutes_to())),
        |say| format!("the minutes to the next instant of {}", say.word("calendar")),
    ),
    Operator::point(
        "in_window",
        AROUND,
        "in_window(macro, before=30, after=60)",
        |at, b| {
            let calendar = b.calendar()?;
            let (to, since) = (at.source(calendar.minutes_to()), at.source(calendar.minutes_since()));
            let before = at.constant(f64::from(b.whole("before")?));
            let after = at.constant(f64::from(b.whole("after")?));
            let near = compare(at, Cmp::Le, to, before);
            let past = compare(at, Cmp::Le, since, after);
            Some(at.make(Op::Or, vec![near, past], None, Type::Bool))
        },
        |say| say.as_written(),
    ),
    // Some session is open: the last instant was an open, or the next one is a close.
    Operator::point(
        "session",
        &[Param::of("name", Kind::Session)],
        "session(any)",
        |at, _| {
            let (opens, closes) = (Calendar::SessionOpens, Calendar::SessionCloses);
            let since_open = at.source(opens.minutes_since());
            let since_close = at.source(closes.minutes_since());
            let to_open = at.source(opens.minutes_to());
            let to_close = at.source(closes.minutes_to());
            let opened = compare(at, Cmp::Lt, since_open, since_close);
            let closing = compare(at, Cmp::Lt, to_close, to_open);
            Some(at.make(Op::Or, vec![opened, closing], None, Type::Bool))
        },
        |say| say.as_written(),
    ),
    Operator::point(
        "hour",
        &[],
        "hour()",
        |at, b| at.node_of(b, Op::Hour, Type::Num),
        |say| say.as_written(),
    ),
    Operator::point(
        "minute",
        &[],
        "minute()",
        |at, b| at.node_of(b, Op::Minute, Type::Num),
        |say| say.as_written(),
    ),
    Operator::point(
        "weekday",
        &[],
        "weekday()",
        |at, b| at.node_of(b, Op::Weekday, Type::Num),
        |say| say.as_written(),
    ),
];

fn compare(at: &mut Lowerer<'_>, cmp: Cmp, a: NodeId, b: NodeId) -> NodeId {
    at.make(Op::Compare(cmp), vec![a, b], None, Type::Bool)
}

/// A field of the bar's close time, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockField {
    /// 0 to 23.
    Hour,
    /// 0 to 59.
    Minute,
    /// Monday = 0.
    Weekday,
}

impl ClockField {
    /// The sheet of the field's node.
    pub(in crate::graph) fn sheet(self) -> Sheet {
        let name = match self {
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Weekday => "weekday",
        };
        Sheet {
            text: name.to_owned(),
            class: Class::Point,
            reach: Reach::ROW,
            cost: 1.0,
            needs: Needs::All,
            unknown: Unknown::Inputs,
            work: Work::alone(move || Kernel::Clock(self)),
        }
    }

    /// Evaluates the chunk.
    pub fn run(self, rows: &Rows<'_>, out: &mut [f64]) {
        for (t, o) in (rows.first..).zip(out) {
            *o = self.of_bar(t);
        }
    }

    /// Of the close of bar number `t`.
    fn of_bar(self, t: i64) -> f64 {
        let close = (t + 1) * BAR_MS;
        let minute_of_day = close.rem_euclid(DAY_MS) / 60_000;
        let field = match self {
            Self::Hour => minute_of_day / 60,
            Self::Minute => minute_of_day % 60,
            // 1970-01-01 was a Thursday.
            Self::Weekday => ((t + 1).div_euclid(BARS_PER_DAY) + 3).rem_euclid(7),
        };
        field as f64
    }
}
