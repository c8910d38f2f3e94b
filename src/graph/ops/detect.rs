//! The event detector: onset, spacing, episode.
//!
//! 1. A *trigger* is a row where `when` is known true and (onset rising) was known false one row before.
//! 2. It is dropped while the event's own episode is open, and within `spacing_bars` rows of the last onset.
//! 3. Otherwise direction and severity must be known, and direction not 0 unless the event is undirected; if not, the
//!    trigger is counted as undetermined and consumes no spacing.
//! 4. Otherwise the row is an *onset*: an episode opens. It is open until the first later row where `exit` is known
//!    true or `max_bars` rows have passed; with neither, the onset row is all of it. That row itself is outside, and
//!    may be the onset of the next one.

use std::sync::Arc;

use super::bytes::{Malformed, Reader, Writer};
use super::pointwise::sign;
use super::{Rows, is_false, is_true, truth};
use crate::graph::{EventNode, Onset};

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
    /// The onset.
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

/// What a detector reports beside its series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectLog {
    /// Onsets in row order.
    pub hits: Vec<Hit>,
    /// Ends in row order.
    pub closed: Vec<Closed>,
    /// Suppressed triggers.
    pub suppressed: Suppressed,
    /// Rows where `when` was known.
    pub known_rows: u64,
}

impl DetectLog {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.hits.clear();
        self.closed.clear();
        self.suppressed = Suppressed::default();
        self.known_rows = 0;
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
    rising: bool,
    spacing: i64,
    /// Episode length at most; `i64::MAX` = unbounded.
    max_bars: i64,
    undirected: bool,
    last_onset: Option<i64>,
    direction: f64,
    /// Onset row of the open episode.
    open: Option<i64>,
    outputs: Arc<Vec<DetectOf>>,
}

impl Detect {
    /// Nothing seen, no outputs yet.
    #[must_use]
    pub fn new(event: &EventNode) -> Self {
        Self {
            rising: event.onset == Onset::Rising,
            spacing: i64::from(event.spacing_bars),
            max_bars: match event.max_bars {
                Some(max) => i64::from(max.max(1)),
                None if event.has_exit => i64::MAX,
                None => 1,
            },
            undirected: event.undirected,
            last_onset: None,
            direction: f64::NAN,
            open: None,
            outputs: Arc::default(),
        }
    }

    /// One more output column.
    pub fn add_output(&mut self, f: DetectOf) {
        Arc::make_mut(&mut self.outputs).push(f);
    }

    /// Onset row of the open episode.
    #[must_use]
    pub const fn open_since(&self) -> Option<i64> {
        self.open
    }

    /// Evaluates the chunk into consecutive output columns; reads one row of history of `when`.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64], log: &mut DetectLog) {
        let [when, exit, direction, severity] = rows.inputs;
        for i in 0..rows.n {
            let t = rows.first + i as i64;
            let now = when.get(i, 0);
            log.known_rows += u64::from(!now.is_nan());
            if let Some(onset) = self.open
                && (is_true(exit.get(i, 0)) || t - onset >= self.max_bars)
            {
                log.closed.push(Closed { onset, exit: t });
                self.open = None;
            }
            let triggered = is_true(now) && (!self.rising || is_false(when.get(i, 1)));
            let onset = triggered && self.admit(t, direction.get(i, 0), severity.get(i, 0), log);
            if onset {
                let (direction, severity) = (sign(direction.get(i, 0)), severity.get(i, 0));
                self.last_onset = Some(t);
                self.open = Some(t);
                self.direction = direction;
                log.hits.push(Hit { row: i, direction: direction as i8, severity });
            }
            for (column, f) in self.outputs.iter().enumerate() {
                out[column * rows.n + i] = match f {
                    DetectOf::Onset => truth(onset),
                    DetectOf::Active => truth(self.open.is_some()),
                    DetectOf::Direction => self.direction,
                };
            }
        }
    }

    fn admit(&self, t: i64, direction: f64, severity: f64, log: &mut DetectLog) -> bool {
        if self.open.is_some() {
            log.suppressed.in_episode += 1;
        } else if self.last_onset.is_some_and(|last| t - last < self.spacing) {
            log.suppressed.too_soon += 1;
        } else if direction.is_nan() || severity.is_nan() || (direction == 0.0 && !self.undirected) {
            log.suppressed.undetermined += 1;
        } else {
            return true;
        }
        false
    }

    /// Into a checkpoint.
    pub fn save(&self, w: &mut Writer) {
        w.i64(self.last_onset.unwrap_or(i64::MIN));
        w.i64(self.open.unwrap_or(i64::MIN));
        w.f64(self.direction);
    }

    /// From a checkpoint.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        self.last_onset = Some(r.i64()?).filter(|t| *t != i64::MIN);
        self.open = Some(r.i64()?).filter(|t| *t != i64::MIN);
        self.direction = r.f64()?;
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
        let mut detect = Detect::new(rule);
        detect.add_output(DetectOf::Onset);
        detect.add_output(DetectOf::Active);
        let (mut out, mut log) = (vec![0.0; 2 * n], DetectLog::default());
        detect.run(&rows, &mut out, &mut log);
        let text = |flags: &[f64]| flags.iter().map(|f| if *f == 1.0 { '1' } else { '.' }).collect();
        (text(&out[..n]), text(&out[n..]), log)
    }

    #[test]
    fn an_event_fires_on_a_known_rise_only() {
        let (onsets, active, log) = run(&rule(), "1010?11?001", "00000000000", "11111111111");
        assert_eq!(onsets, "..1.......1");
        assert_eq!(active, "..1.......1", "without exit and max_bars the onset row is the whole episode");
        assert_eq!(log.closed, [Closed { onset: 102, exit: 103 }]);
        assert_eq!(log.known_rows, 9);
    }

    #[test]
    fn a_level_event_fires_on_every_true_row_that_spacing_allows() {
        let level = EventNode { onset: Onset::Level, ..rule() };
        assert_eq!(run(&level, "1111?1", "000000", "111111").0, "1111.1");
        let spaced = EventNode { spacing_bars: 3, ..level };
        let (onsets, _, log) = run(&spaced, "1111111", "0000000", "1111111");
        assert_eq!(onsets, "1..1..1");
        assert_eq!(log.suppressed, Suppressed { too_soon: 4, ..Suppressed::default() });
    }

    #[test]
    fn the_own_episode_blocks_until_its_exit_row() {
        let lasting = EventNode { has_exit: true, max_bars: Some(4), ..rule() };
        //                                          exit on row 3: the trigger there may fire again
        let (onsets, active, log) = run(&lasting, "01010100000", "00?00100000", "11111111111");
        assert_eq!(onsets, ".1...1.....");
        assert_eq!(active, ".11111111..");
        assert_eq!(log.suppressed.in_episode, 1);
        assert_eq!(log.closed, [Closed { onset: 101, exit: 105 }, Closed { onset: 105, exit: 109 }]);
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
        assert_eq!(log.suppressed.undetermined, 2);
        assert_eq!(log.hits, [Hit { row: 5, direction: -1, severity: 1.0 }]);
        let undirected = EventNode { undirected: true, ..spaced };
        assert_eq!(run(&undirected, "0101010", "0000000", "1?101-1").0, "...1...");
    }
}
