//! How often an event fires over a history: known rows, onsets and suppressed triggers, per symbol.

use std::fmt::Write as _;

use serde::Serialize;

use super::ExplainError;
use super::replay::{History, Replay, Stretch};
use super::subject::Subject;
use crate::graph::EventId;
use crate::market::{BarIndex, RawBlock, Symbol};

/// Counts over a history.
#[derive(Debug)]
pub struct Census {
    replay: Replay,
    event: EventId,
    counts: Vec<SymbolPrevalence>,
    bounds: (f64, f64),
    first: BarIndex,
    end: BarIndex,
}

/// One symbol's counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SymbolPrevalence {
    /// Symbol that was counted.
    pub symbol: Symbol,
    /// Rows on which `when` was known.
    pub known_rows: u64,
    /// Onsets that the detector reported.
    pub onsets: u64,
    /// Triggers dropped for want of a direction or severity.
    pub undetermined: u64,
    /// Onsets per 10 000 known rows; none while no row is known.
    pub per_10k: Option<f64>,
    /// Whether that lies in the declared range; none while no row is known.
    pub in_bounds: Option<bool>,
    /// The column whose absence makes the event unavailable here.
    pub unavailable: Option<&'static str>,
}

/// How often an event fires.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prevalence {
    /// First bar counted.
    pub first: String,
    /// Number of grid bars counted, gaps included.
    pub rows: i64,
    /// Declared range, onsets per 10 000 known rows.
    pub bounds: (f64, f64),
    /// In name order.
    pub symbols: Vec<SymbolPrevalence>,
}

impl Census {
    /// Over the whole history.
    ///
    /// # Errors
    /// When `name` is not an event, or the source rules cannot be used.
    pub fn new(history: &History, name: &str) -> Result<Self, ExplainError> {
        let subject = Subject::of(&history.spec, name)?;
        let Some(event) = subject.event() else {
            return Err(ExplainError::NoValue { name: name.to_owned() });
        };
        let replay = Replay::new(history, &subject, &history.symbols, history.end)?;
        let counts = replay.symbols.iter().map(|symbol| SymbolPrevalence::none(symbol.clone())).collect();
        let bounds = history.spec.event(name).map_or((0.0, f64::INFINITY), |meta| meta.prevalence_per_10k);
        Ok(Self { replay, event, counts, bounds, first: history.first, end: history.end })
    }

    /// The stretch to push next; `None` at the end.
    #[must_use]
    pub fn wants(&self) -> Option<Stretch> {
        self.replay.wants()
    }

    /// Rows pushed, and rows in all.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        ((self.replay.engine.next_bar() - self.first) as u64, (self.end - self.first) as u64)
    }

    /// Takes the stretch that was wanted.
    ///
    /// # Errors
    /// When it is another one.
    pub fn push(&mut self, raw: &RawBlock) -> Result<(), ExplainError> {
        let Some(output) = self.replay.push(raw)? else { return Ok(()) };
        let ix = usize::from(self.event.0);
        for (count, out) in self.counts.iter_mut().zip(&output.symbols) {
            count.known_rows += out.known_rows[ix];
            count.undetermined += out.suppressed[ix].undetermined;
            count.onsets += out.detections.iter().filter(|d| d.event == self.event).count() as u64;
        }
        Ok(())
    }

    /// The counts so far.
    #[must_use]
    pub fn finish(self) -> Prevalence {
        let (low, high) = self.bounds;
        let engine = &self.replay.engine;
        let judge = |count: SymbolPrevalence| {
            let missing = engine.unavailable(&count.symbol);
            let per_10k =
                (count.known_rows > 0).then(|| count.onsets as f64 / count.known_rows as f64 * 10_000.0);
            SymbolPrevalence {
                per_10k,
                in_bounds: per_10k.map(|rate| (low..=high).contains(&rate)),
                unavailable: missing.iter().find(|(id, _)| *id == self.event).map(|(_, s)| s.name()),
                ..count
            }
        };
        Prevalence {
            first: self.first.open().rfc3339(),
            rows: engine.next_bar() - self.first,
            bounds: self.bounds,
            symbols: self.counts.into_iter().map(judge).collect(),
        }
    }
}

impl SymbolPrevalence {
    const fn none(symbol: Symbol) -> Self {
        Self {
            symbol,
            known_rows: 0,
            onsets: 0,
            undetermined: 0,
            per_10k: None,
            in_bounds: None,
            unavailable: None,
        }
    }
}

impl Prevalence {
    /// The counts as text, one line per symbol.
    #[must_use]
    pub fn text(&self) -> String {
        let (low, high) = self.bounds;
        let mut text = format!(
            "prevalence over {} stored bars from {} (declared: {low} to {high} onsets per 10 000 known rows)\n",
            self.rows, self.first
        );
        for s in &self.symbols {
            let line = match (s.unavailable, s.per_10k) {
                (Some(source), _) => format!("unavailable: {source} is not collected"),
                (None, None) => "no row is known".to_owned(),
                (None, Some(rate)) => {
                    let verdict = if s.in_bounds == Some(true) { "in range" } else { "OUT OF RANGE" };
                    let dropped = match s.undetermined {
                        0 => String::new(),
                        n => format!(", {n} triggers dropped for want of a direction or severity"),
                    };
                    format!(
                        "{:>8} known rows {:>6} onsets {rate:>8.2} per 10k  {verdict}{dropped}",
                        s.known_rows, s.onsets
                    )
                }
            };
            let _ = writeln!(text, "  {:<10} {line}", s.symbol.as_str());
        }
        text
    }
}
