//! The event detector: onset, spacing, episode.
//!
//! 1. A *trigger* is a row where `when` is known true and (onset rising) was known false one row before.
//! 2. It is dropped while the event's own episode is open, and within `spacing_bars` rows of the last onset.
//! 3. Otherwise direction and severity must be known, and direction not 0 unless the event is undirected; if
//!    not, the trigger is counted as undetermined and consumes no spacing.
//! 4. Otherwise the row is an *onset*: an episode opens. It is open until the first later row where `exit` is
//!    known true or `max_bars` rows have passed; with neither, the onset row is all of it. That row itself is
//!    outside, and may be the onset of the next one.

use std::sync::Arc;

use super::bytes::{Malformed, Reader, Writer};
use super::kernel::Kernel;
use super::pointwise::sign;
use super::{Rows, is_false, is_true, truth};
use crate::graph::sheet::{Needs, Reach, Share, Sheet, Unknown, Work};
use crate::graph::table::{Class, Kind, Operator, Param};
use crate::graph::{EventId, EventNode, Onset, Op, Type};

const EVENT: &[Param] = &[Param::of("event", Kind::Event)];

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::detector(
        "fired",
        EVENT,
        "fired(E)",
        |at, b| Some(at.detector(b)?.0),
        |say| format!("{} fires", say.word("event")),
    ),
    Operator::detector(
        "active",
        EVENT,
        "active(E)",
        |at, b| {
            let (detect, event) = at.detector(b)?;
            Some(at.make(Op::Active(event), vec![detect], None, Type::Bool))
        },
        |say| format!("an episode of {} is open", say.word("event")),
    ),
    Operator::detector(
        "event_dir",
        EVENT,
        "event_dir(E)",
        |at, b| {
            let (detect, event) = at.detector(b)?;
            Some(at.make(Op::EventDir(event), vec![detect], None, Type::Num))
        },
        |say| format!("the direction of the last {}", say.word("event")),
    ),
];

/// The sheet of an event's onset, episode or direction: one kernel reports all three.
pub(in crate::graph) fn sheet(event: EventId, f: DetectOf) -> Sheet {
    let number = usize::from(event.0);
    let (name, unknown) = match f {
        DetectOf::Onset => ("detect", Unknown::Inputs),
        DetectOf::Active => ("active", Unknown::Inputs),
        DetectOf::Direction => ("event_dir", Unknown::NeverHappened),
    };
    Sheet {
        text: format!("{name}({number})"),
        class: Class::State,
        reach: Reach::ROW,
        cost: 1.0,
        needs: Needs::All,
        unknown,
        work: Work::Kernel {
            share: Some(Share("detect", number)),
            make: Box::new(move |graph| {
                let mut detect = Detect::new(number, &graph.events[number]);
                detect.add_output(f);
                Kernel::Detect(detect)
            }),
        },
    }
}

/// An onset, as row of the chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Row of the chunk.
    pub row: usize,
    /// -1, 0, +1.
    pub direction: i8,
    /// As the spec computes it.
    pub severity: f64,
}

/// The end of an episode: absolute rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The row of the onset.
    pub onset: i64,
    /// The first row outside.
    pub exit: i64,
}

/// Triggers that did not become events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suppressed {
    /// The event's own episode was open.
    pub in_episode: u64,
    /// Less than `spacing_bars` rows after the last onset.
    pub too_soon: u64,
    /// Direction or severity unknown, or direction 0 on a directed event.
    pub undetermined: u64,
}

/// What the detectors of a graph report beside their series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectLog {
    /// Onsets of the chunk: event and what happened, in row order for each event.
    pub hits: Vec<(usize, Hit)>,
    /// Ends within the chunk, likewise.
    pub closed: Vec<(usize, Closed)>,
    /// By event: suppressed triggers since the last [`DetectLog::restart`].
    pub suppressed: Vec<Suppressed>,
    /// By event: rows where `when` was known, likewise.
    pub known_rows: Vec<u64>,
}

impl DetectLog {
    /// Of so many events.
    #[must_use]
    pub fn new(events: usize) -> Self {
        Self {
            suppressed: vec![Suppressed::default(); events],
            known_rows: vec![0; events],
            ..Self::default()
        }
    }

    /// Counts from zero.
    pub fn restart(&mut self) {
        self.suppressed.fill(Suppressed::default());
        self.known_rows.fill(0);
    }
}

/// What an output column reports.
#[allow(missing_docs, reason = "the names are those of `Op`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectOf {
    Onset,
    Active,
    Direction,
}

/// One event's detector.
#[derive(Clone, Debug)]
pub struct Detect {
    rule: Arc<Rule>,
    last_onset: i64,
    direction: f64,
    /// Onset row of the open episode.
    open: i64,
}

/// No onset: before every row.
const NEVER: i64 = i64::MIN;

/// What does not change; all symbols share it.
#[derive(Clone, Debug)]
struct Rule {
    event: usize,
    rising: bool,
    spacing: i64,
    /// Episode length at most; `i64::MAX` = unbounded.
    max_bars: i64,
    undirected: bool,
    outputs: Vec<DetectOf>,
}

/// What a detector reads on one row.
#[derive(Clone, Copy, Debug)]
pub struct DetectRow {
    /// `when` on this row.
    pub when: f64,
    /// `when` one row before.
    pub before: f64,
    /// The value of `exit` on this row.
    pub exit: f64,
    /// The value of `direction` on this row.
    pub direction: f64,
    /// The value of `severity` on this row.
    pub severity: f64,
}

impl Detect {
    /// Rows of history it reads of its first operand.
    pub const BACK: usize = 1;

    /// Nothing seen, no outputs yet.
    #[must_use]
    pub fn new(number: usize, event: &EventNode) -> Self {
        let rule = Rule {
            event: number,
            rising: event.onset == Onset::Rising,
            spacing: i64::from(event.spacing_bars),
            max_bars: match event.max_bars {
                Some(max) => i64::from(max.max(1)),
                None if event.has_exit => i64::MAX,
                None => 1,
            },
            undirected: event.undirected,
            outputs: Vec::new(),
        };
        Self { rule: Arc::new(rule), last_onset: NEVER, direction: f64::NAN, open: NEVER }
    }

    /// Number of its event.
    #[must_use]
    pub fn event(&self) -> usize {
        self.rule.event
    }

    /// One more output column.
    pub fn add_output(&mut self, f: DetectOf) {
        Arc::make_mut(&mut self.rule).outputs.push(f);
    }

    /// The outputs of another kernel of the same event follow its own.
    pub fn join(&mut self, other: &Self) {
        Arc::make_mut(&mut self.rule).outputs.extend(other.rule.outputs.iter());
    }

    /// Onset row of the open episode.
    #[must_use]
    pub fn open_since(&self) -> Option<i64> {
        (self.open != NEVER).then_some(self.open)
    }

    /// Evaluates the chunk into consecutive output columns; reads one row of history of `when`.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64], log: &mut DetectLog) {
        let [when, exit, direction, severity] = rows.inputs;
        for i in 0..rows.n {
            let row = DetectRow {
                when: when.get(i, 0),
                before: when.get(i, 1),
                exit: exit.get(i, 0),
                direction: direction.get(i, 0),
                severity: severity.get(i, 0),
            };
            let onset = self.step(i, rows.first + i as i64, row, log);
            for column in 0..self.rule.outputs.len() {
                out[column * rows.n + i] = self.output(column, onset);
            }
        }
    }

    /// Row `t`, the `i`-th of the chunk: whether it is an onset.
    #[inline]
    pub fn step(&mut self, i: usize, t: i64, row: DetectRow, log: &mut DetectLog) -> bool {
        let rule = &*self.rule;
        log.known_rows[rule.event] += u64::from(!row.when.is_nan());
        if self.open != NEVER && (is_true(row.exit) || t - self.open >= rule.max_bars) {
            log.closed.push((rule.event, Closed { onset: self.open, exit: t }));
            self.open = NEVER;
        }
        let triggered = is_true(row.when) && (!rule.rising || is_false(row.before));
        let onset = triggered && self.admit(t, row.direction, row.severity, &mut log.suppressed[rule.event]);
        if onset {
            let direction = sign(row.direction);
            log.hits.push((rule.event, Hit { row: i, direction: direction as i8, severity: row.severity }));
            (self.last_onset, self.open, self.direction) = (t, t, direction);
        }
        onset
    }

    /// The value of an output column after [`step`](Self::step).
    #[inline]
    #[must_use]
    pub fn output(&self, column: usize, onset: bool) -> f64 {
        match self.rule.outputs[column] {
            DetectOf::Onset => truth(onset),
            DetectOf::Active => truth(self.open != NEVER),
            DetectOf::Direction => self.direction,
        }
    }

    fn admit(&self, t: i64, direction: f64, severity: f64, suppressed: &mut Suppressed) -> bool {
        if self.open != NEVER {
            suppressed.in_episode += 1;
        } else if self.last_onset != NEVER && t - self.last_onset < self.rule.spacing {
            suppressed.too_soon += 1;
        } else if direction.is_nan() || severity.is_nan() || (direction == 0.0 && !self.rule.undirected) {
            suppressed.undetermined += 1;
        } else {
            return true;
        }
        false
    }

    /// Into a checkpoint.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn save(&self, w: &mut Writer) -> Result<(), postcard::Error> {
        w.put(&(self.last_onset, self.open, self.direction))
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        (self.last_onset, self.open, self.direction) = r.take()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NodeId;
    use crate::graph::ops::View;

    fn rule() -> EventNode {
        EventNode {
            event_type: "E".into(),
            family: "F".into(),
            detect: NodeId(0),
            onset: Onset::Rising,
            spacing_bars: 0,
            max_bars: None,
            has_exit: false,
            undirected: false,
            snapshot: Vec::new(),
            needs: Vec::new(),
        }
    }

    /// One character per row: 1 true, 0 false, ? unknown; `-` is -1.
    fn series(text: &str) -> Vec<f64> {
        std::iter::once(f64::NAN)
            .chain(text.chars().map(|c| match c {
                '1' => 1.0,
                '0' => 0.0,
                '-' => -1.0,
                _ => f64::NAN,
            }))
            .collect()
    }

    /// The onset and episode flags as text, and the log.
    fn run(rule: &EventNode, when: &str, exit: &str, direction: &str) -> (String, String, DetectLog) {
        let n = when.len();
        let inputs = [when, exit, direction, &"1".repeat(n)].map(series);
        let rows = Rows { first: 100, n, seen: 0, inputs: [0, 1, 2, 3].map(|i| View::new(&inputs[i], 1)) };
        let mut detect = Detect::new(0, rule);
        detect.add_output(DetectOf::Onset);
        detect.add_output(DetectOf::Active);
        let (mut out, mut log) = (vec![0.0; 2 * n], DetectLog::new(1));
        detect.run(&rows, &mut out, &mut log);
        let text = |flags: &[f64]| flags.iter().map(|f| if *f == 1.0 { '1' } else { '.' }).collect();
        (text(&out[..n]), text(&out[n..]), log)
    }

    #[test]
    fn an_event_fires_on_a_known_rise_only() {
        let (onsets, active, log) = run(&rule(), "1010?11?001", "00000000000", "11111111111");
        assert_eq!(onsets, "..1.......1");
        assert_eq!(active, "..1.......1", "without exit and max_bars the onset row is the whole episode");
        assert_eq!(log.closed, [(0, Closed { onset: 102, exit: 103 })]);
        assert_eq!(log.known_rows, [9]);
    }

    #[test]
    fn a_level_event_fires_on_every_true_row_that_spacing_allows() {
        let level = EventNode { onset: Onset::Level, ..rule() };
        assert_eq!(run(&level, "1111?1", "000000", "111111").0, "1111.1");
        let spaced = EventNode { spacing_bars: 3, ..level };
        let (onsets, _, log) = run(&spaced, "1111111", "0000000", "1111111");
        assert_eq!(onsets, "1..1..1");
        assert_eq!(log.suppressed, [Suppressed { too_soon: 4, ..Suppressed::default() }]);
    }

    #[test]
    fn the_own_episode_blocks_until_its_exit_row() {
        let lasting = EventNode { has_exit: true, max_bars: Some(4), ..rule() };
        //                                          exit on row 3: the trigger there may fire again
        let (onsets, active, log) = run(&lasting, "01010100000", "00?00100000", "11111111111");
        assert_eq!(onsets, ".1...1.....");
        assert_eq!(active, ".11111111..");
        assert_eq!(log.suppressed[0].in_episode, 1);
        let ends = [Closed { onset: 101, exit: 105 }, Closed { onset: 105, exit: 109 }];
        assert_eq!(log.closed, ends.map(|end| (0, end)));
    }

    #[test]
    fn an_exit_on_the_onset_row_does_not_end_the_episode() {
        let lasting = EventNode { has_exit: true, ..rule() };
        assert_eq!(run(&lasting, "0100000", "0100010", "1111111").1, ".1111..");
    }

    #[test]
    fn an_untold_direction_is_counted_and_costs_no_spacing() {
        let spaced = EventNode { spacing_bars: 10, ..rule() };
        let (onsets, _, log) = run(&spaced, "0101010", "0000000", "1?101-1");
        assert_eq!(onsets, ".....1.");
        assert_eq!(log.suppressed[0].undetermined, 2);
        assert_eq!(log.hits, [(0, Hit { row: 5, direction: -1, severity: 1.0 })]);
        let undirected = EventNode { undirected: true, ..spaced };
        assert_eq!(run(&undirected, "0101010", "0000000", "1?101-1").0, "...1...");
    }
}
