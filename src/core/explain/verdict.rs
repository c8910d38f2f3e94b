//! What the detector did on the bar, in words. Whether a trigger became an onset, and what suppressed it, is
//! read from the detector's own counters; only the wording is made here.

use super::show::value_text;
use super::trace::{DetectorTrace, Trace};
use crate::graph::ops::pointwise::sign;
use crate::graph::ops::{is_false, is_true};
use crate::graph::{EventNode, NodeId, Onset, Type};
use crate::market::BarIndex;

/// What came of the bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An onset on this bar.
    Fired,
    /// A trigger that the detector dropped.
    Suppressed,
    /// `when` is true and was true before: no rising edge.
    NoEdge,
    /// `when` is false.
    NotTrue,
    /// `when`, or the edge, is unknown.
    Unknown,
    /// A column is not collected: the event cannot occur on this symbol.
    Unavailable,
    /// Not an event: there is a value, and nothing to decide.
    Value,
}

impl Outcome {
    /// As JSON carries it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Suppressed => "suppressed",
            Self::NoEdge => "no_edge",
            Self::NotTrue => "not_true",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
            Self::Value => "value",
        }
    }
}

/// What the detector did on the bar, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What came of the bar.
    pub outcome: Outcome,
    /// The verdict in one phrase.
    pub headline: String,
    /// What decided, each a phrase.
    pub because: Vec<String>,
    /// Rules of the detector and how they stand: (`onset`, words).
    pub rules: Vec<(&'static str, String)>,
}

impl Trace {
    /// States in words what the detector did on the bar, or which value the series had.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (&self.detector, self.detector_inputs()) {
            (Some(detector), Some(inputs)) => self.event_verdict(detector, inputs),
            _ => self.series_verdict(),
        }
    }

    fn series_verdict(&self) -> Verdict {
        let root = self.subject.root;
        let (ty, value) = (self.graph().node(root).ty, self.value(self.position, root));
        let because = match ty {
            _ if value.is_nan() => self.why_unknown(self.position, root),
            Type::Bool => self.why_known(self.position, root),
            Type::Num => Vec::new(),
        };
        let outcome = if value.is_nan() { Outcome::Unknown } else { Outcome::Value };
        Verdict { outcome, headline: value_text(ty, value), because, rules: Vec::new() }
    }

    fn event_verdict(&self, d: &DetectorTrace, inputs: [NodeId; 4]) -> Verdict {
        let event = &self.graph().events[usize::from(d.event.0)];
        let [when, exit, direction, severity] = inputs;
        let now = self.value(self.position, when);
        let dropped = d.suppressed.in_episode + d.suppressed.too_soon + d.suppressed.undetermined > 0;
        let (outcome, because) = if let Some(source) = d.missing {
            let whose = &self.symbols[self.position];
            (Outcome::Unavailable, vec![format!("{} is not collected for {whose}", source.name())])
        } else if d.fired.is_some() {
            (Outcome::Fired, self.why_known(self.position, when))
        } else if dropped {
            (Outcome::Suppressed, vec![self.what_suppressed(d, event, direction, severity)])
        } else if now.is_nan() {
            (Outcome::Unknown, self.why_unknown(self.position, when))
        } else if is_false(now) {
            (Outcome::NotTrue, self.why_known(self.position, when))
        } else if d.when_before.is_nan() {
            (
                Outcome::Unknown,
                vec!["`when` was unknown one bar before, so this is no known rising edge".to_owned()],
            )
        } else {
            (Outcome::NoEdge, Vec::new())
        };
        let headline = match outcome {
            Outcome::Fired => format!("fired, {}", self.onset(d)),
            Outcome::Suppressed => "triggered, but suppressed".to_owned(),
            Outcome::Unavailable => "unavailable on this symbol: no rows at all".to_owned(),
            Outcome::Unknown => "did not fire: unknown".to_owned(),
            Outcome::NoEdge => "did not fire: no rising edge".to_owned(),
            Outcome::NotTrue | Outcome::Value => "did not fire".to_owned(),
        };
        let rules = vec![
            ("onset", self.edge(d, event, now)),
            ("spacing", self.spacing(d, event)),
            ("episode", self.episode(d, event, exit)),
            ("direction", self.side(event, direction)),
            ("severity", value_text(Type::Num, self.value(self.position, severity))),
        ];
        Verdict { outcome, headline, because, rules }
    }

    fn onset(&self, d: &DetectorTrace) -> String {
        let Some(hit) = &d.fired else { return String::new() };
        format!("direction {:+}, severity {}", hit.direction, value_text(Type::Num, hit.severity))
    }

    /// The detector asks in this order: episode, spacing, direction and severity.
    fn what_suppressed(
        &self,
        d: &DetectorTrace,
        event: &EventNode,
        direction: NodeId,
        severity: NodeId,
    ) -> String {
        if d.suppressed.in_episode > 0 {
            let since =
                d.open_before.map_or_else(String::new, |bar| format!(" since {bar} ({})", self.ago(bar)));
            return format!("its own episode is open{since}");
        }
        if d.suppressed.too_soon > 0 {
            let ago = d.last_onset.map_or_else(String::new, |bar| self.ago(bar));
            return format!("{ago} after the last onset, and the spacing is {}", event.spacing_bars);
        }
        let side = self.value(self.position, direction);
        let unknown = if side.is_nan() { Some(("direction", direction)) } else { None };
        let magnitude = self.value(self.position, severity);
        let unknown = unknown.or_else(|| magnitude.is_nan().then_some(("severity", severity)));
        match unknown {
            Some((what, node)) => {
                format!("the {what} is unknown: {}", self.why_unknown(self.position, node).join("; "))
            }
            None => "the direction is 0, and this event is directed".to_owned(),
        }
    }

    fn edge(&self, d: &DetectorTrace, event: &EventNode, now: f64) -> String {
        let before = value_text(Type::Bool, d.when_before);
        let run = match d.same_since {
            Some(since) => format!(" (since {since}, {})", self.ago(since)),
            None => " (the history begins here)".to_owned(),
        };
        let rule = match event.onset {
            Onset::Rising => "fires when `when` becomes true",
            Onset::Level => "fires on every row where `when` is true",
        };
        let state = match (event.onset, is_true(now), is_false(d.when_before)) {
            (Onset::Rising, true, true) => "true now and false one bar before: a rising edge".to_owned(),
            (Onset::Rising, true, false) => {
                format!("`when` is true but was {before} one bar before: no rising edge{run}")
            }
            (Onset::Level, true, _) => "`when` is true".to_owned(),
            _ => format!("`when` is {}; one bar before it was {before}{run}", value_text(Type::Bool, now)),
        };
        format!("{state}; {rule}")
    }

    fn spacing(&self, d: &DetectorTrace, event: &EventNode) -> String {
        let rule = match event.spacing_bars {
            0 => "no spacing is asked".to_owned(),
            bars => format!("the spacing is {bars} bars"),
        };
        let Some(last) = d.last_onset else {
            return format!("no onset before this bar since the history began; {rule}");
        };
        let free = if self.at - last < i64::from(event.spacing_bars) { "blocked" } else { "free" };
        format!("{free}: the last onset was {last}, {} before; {rule}", self.ago(last))
    }

    fn episode(&self, d: &DetectorTrace, event: &EventNode, exit: NodeId) -> String {
        let exit = match (event.has_exit, event.max_bars) {
            (true, max) => {
                let now = value_text(Type::Bool, self.value(self.position, exit));
                let most = max.map_or_else(String::new, |bars| format!(", at most {bars} bars"));
                format!("`exit` is {now}{most}")
            }
            (false, Some(bars)) => format!("it lasts {bars} bars"),
            (false, None) => "it is the onset row alone".to_owned(),
        };
        match (d.open_before, d.open_after) {
            (None, None) => format!("none is open; {exit}"),
            (None, Some(_)) => format!("one opens on this bar; {exit}"),
            (Some(since), None) => {
                format!("the one that began {since} ({} before) ends on this bar; {exit}", self.ago(since))
            }
            (Some(since), Some(now)) if since == now => {
                format!("open since {since}, {}; {exit}", self.ago(since))
            }
            (Some(since), Some(_)) => {
                format!("the one that began {since} ends and another opens on this bar; {exit}")
            }
        }
    }

    fn side(&self, event: &EventNode, direction: NodeId) -> String {
        let value = self.value(self.position, direction);
        match value {
            v if v.is_nan() => format!("unknown: {}", self.why_unknown(self.position, direction).join("; ")),
            0.0 if event.undirected => "0; this event is undirected".to_owned(),
            0.0 => "0: a trigger would be suppressed, this event is directed".to_owned(),
            v => format!("{:+}", sign(v)),
        }
    }

    /// `7 bars`, from a bar to the traced one.
    fn ago(&self, bar: BarIndex) -> String {
        match self.at - bar {
            1 => "1 bar".to_owned(),
            n => format!("{n} bars"),
        }
    }
}
