//! Planted edges: watching for the patterns of the scenario, and letting the expected return drift
//! afterwards.
//!
//! Everything read here is what a client can read too: printed closes, printed ranges, published open
//! interest.

use crate::sim::scenario::{Pattern, PlantedEdge, Side};
use backtestd_core::market::BarIndex;

/// Bars over which the levels of range and turnover are taken: one day, as the catalogue's `local`.
const LEVEL_BARS: usize = 288;
/// Turnover (ln, over its level) up to which a bar counts as thin.
const THIN_TURNOVER: f64 = 0.6;
/// Bars of recent values kept for differences (the longest is 12 plus a delay).
const RECENT: usize = 32;

/// The last values of a series, newest last in time.
#[derive(Clone, Debug)]
struct Recent {
    values: [f64; RECENT],
    count: usize,
}

impl Recent {
    const fn new() -> Self {
        Self { values: [f64::NAN; RECENT], count: 0 }
    }

    fn push(&mut self, value: f64) {
        self.values[self.count % RECENT] = value;
        self.count += 1;
    }

    /// The value `back` bars ago (0 = newest), NaN before the first.
    fn back(&self, back: usize) -> f64 {
        if back >= self.count || back >= RECENT {
            f64::NAN
        } else {
            self.values[(self.count - 1 - back) % RECENT]
        }
    }
}

/// The mean of the last day's values, to hold the next one against.
#[derive(Clone, Debug)]
struct Level {
    values: Vec<f64>,
    sum: f64,
    seen: usize,
}

impl Level {
    fn new() -> Self {
        Self { values: vec![0.0; LEVEL_BARS], sum: 0.0, seen: 0 }
    }

    const fn is_known(&self) -> bool {
        self.seen >= LEVEL_BARS
    }

    /// The value over the level of the last day's values (NaN before there are so many), which it then joins.
    fn surprise(&mut self, value: f64) -> f64 {
        if value.is_nan() {
            return f64::NAN;
        }
        let surprise = if self.is_known() { value - self.sum / LEVEL_BARS as f64 } else { f64::NAN };
        let slot = self.seen % LEVEL_BARS;
        self.sum += value - self.values[slot];
        self.values[slot] = value;
        self.seen += 1;
        surprise
    }
}

/// What the watcher is shown at the end of a bar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    /// ln(ln(high/low)) without its time-of-day norm.
    pub log_range: f64,
    /// ln of the value traded without its time-of-day norm; NaN when nothing was.
    pub log_turnover: f64,
    /// Close price as printed, quote currency.
    pub close: f64,
    /// ln of published contracts.
    pub log_open_interest: f64,
    /// Printed perp over printed spot, bps; NaN without a spot pair.
    pub basis_bps: f64,
}

#[derive(Clone, Debug)]
struct Watch {
    was_true: bool,
    last_onset: i64,
    last_injection: i64,
    detected_at: Option<BarIndex>,
}

/// One drift under way: bars `from..until`.
#[derive(Clone, Copy, Debug)]
struct Drift {
    from: BarIndex,
    until: BarIndex,
    per_bar: f64,
}

/// The watcher of one symbol.
#[derive(Clone, Debug)]
pub(crate) struct EdgeWatch {
    watches: Vec<Watch>,
    drifts: Vec<Drift>,
    range: Level,
    turnover: Level,
    closes: Recent,
    open_interest: Recent,
    basis: Recent,
}

impl EdgeWatch {
    pub(crate) fn new(edges: usize) -> Self {
        let watch = Watch {
            was_true: false,
            last_onset: i64::MIN / 2,
            last_injection: i64::MIN / 2,
            detected_at: None,
        };
        Self {
            watches: vec![watch; edges],
            drifts: Vec::new(),
            range: Level::new(),
            turnover: Level::new(),
            closes: Recent::new(),
            open_interest: Recent::new(),
            basis: Recent::new(),
        }
    }

    /// Expected return planted in `bar`.
    pub(crate) fn drift(&self, bar: BarIndex) -> f64 {
        self.drifts.iter().filter(|d| d.from <= bar && bar < d.until).map(|d| d.per_bar).sum()
    }

    /// Decides whether the generator makes the pattern of an edge happen in this bar. `uniform` is the bar's
    /// draw.
    pub(crate) fn injects(&mut self, index: usize, edge: &PlantedEdge, bar: BarIndex, uniform: f64) -> bool {
        let watch = &mut self.watches[index];
        // A pattern is given room: none within two horizons of the last one made.
        let room = i64::from(edge.horizon_bars.max(edge.spacing_bars)) * 2;
        let due = uniform < edge.injected_per_10k / 10_000.0
            && self.range.is_known()
            && bar.0 - watch.last_injection >= room;
        if due {
            watch.last_injection = bar.0;
        }
        due
    }

    /// Takes in a finished bar and starts the drifts that its onsets call for.
    pub(crate) fn observe(&mut self, bar: BarIndex, now: Observation, edges: &[PlantedEdge]) {
        let range = self.range.surprise(now.log_range);
        let turnover = self.turnover.surprise(now.log_turnover);
        self.closes.push(now.close);
        self.open_interest.push(now.log_open_interest);
        self.basis.push(now.basis_bps);

        for (watch, edge) in self.watches.iter_mut().zip(edges) {
            let is_true = match edge.pattern {
                Pattern::ThinRangeSpike => range >= edge.threshold && turnover <= THIN_TURNOVER,
                Pattern::OpenInterestDrop => {
                    self.open_interest.back(0) - self.open_interest.back(12) <= -edge.threshold
                }
                Pattern::BasisJump => (self.basis.back(0) - self.basis.back(3)).abs() >= edge.threshold,
            };
            let is_onset =
                is_true && !watch.was_true && bar.0 - watch.last_onset > i64::from(edge.spacing_bars);
            watch.was_true = is_true;
            if is_onset {
                watch.last_onset = bar.0;
                watch.detected_at = Some(bar + i64::from(edge.detection_delay_bars));
            }
            if watch.detected_at == Some(bar) {
                watch.detected_at = None;
                let delay = edge.detection_delay_bars as usize;
                let direction = match edge.pattern {
                    Pattern::ThinRangeSpike => self.closes.back(delay) - self.closes.back(delay + 1),
                    Pattern::OpenInterestDrop => self.closes.back(0) - self.closes.back(12),
                    Pattern::BasisJump => self.basis.back(delay) - self.basis.back(delay + 3),
                };
                let side = match edge.side {
                    Side::Fade => -1.0,
                    Side::Follow => 1.0,
                };
                if direction != 0.0 && direction.is_finite() {
                    // Entry is the close of the bar after detection; the drift begins with the bar after
                    // that.
                    let from = bar + 2;
                    let per_bar =
                        side * direction.signum() * edge.drift_bps / 10_000.0 / f64::from(edge.horizon_bars);
                    self.drifts.push(Drift { from, until: from + i64::from(edge.horizon_bars), per_bar });
                }
            }
        }
        self.drifts.retain(|d| d.until > bar);
    }
}
