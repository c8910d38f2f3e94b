//! One unit: its closed days, its processes, and the day in the making.

use crate::discovery::eprocess::{MixParams, SignProcess};
use crate::discovery::scores::DayScore;

/// One closed active day of a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DaySum {
    /// UTC day since the epoch.
    pub day: i32,
    /// Events.
    pub n: u32,
    /// Sum of returns in the event's direction, decimal.
    pub sum: f64,
    /// Sum of their squares.
    pub squares: f64,
    /// Sum of round-trip costs, decimal.
    pub cost: f64,
    /// Gross score, follow side: `sum w s`.
    pub z: f64,
    /// Cost in the score: `sum w c`. Net scores are `z - z_cost` (follow) and `-z - z_cost` (fade).
    pub z_cost: f64,
    /// Score weight: `sum w`.
    pub weight: f64,
}

impl DaySum {
    /// Whether it holds numbers only.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.sum.is_finite() && self.cost.is_finite() && self.z.is_finite() && self.z_cost.is_finite()
    }
}

/// The unit's day in the making, and its counters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OpenDay {
    pub(super) day: i32,
    pub(super) score: DayScore,
    pub(super) sum: f64,
    pub(super) squares: f64,
    pub(super) cost: f64,
    pub(super) purged: u32,
    pub(super) dropped: u32,
}

impl OpenDay {
    pub(super) const IDLE: Self =
        Self { day: NO_DAY, score: DayScore::NONE, sum: 0.0, squares: 0.0, cost: 0.0, purged: 0, dropped: 0 };
}

const NO_DAY: i32 = i32::MIN;

/// A unit's evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitEvidence {
    /// Follow side, after costs.
    pub follow: SignProcess,
    /// Fade side, after costs.
    pub fade: SignProcess,
    /// Follow side, before costs.
    pub gross_follow: SignProcess,
    /// Fade side, before costs.
    pub gross_fade: SignProcess,
    /// Closed active days.
    pub days: Vec<DaySum>,
    /// A score was not finite: the processes stand still from that day on.
    pub quarantined: bool,
}

impl UnitEvidence {
    pub(super) fn new(params: &MixParams) -> Self {
        let fresh = SignProcess::new(params);
        Self {
            follow: fresh,
            fade: fresh,
            gross_follow: fresh,
            gross_fade: fresh,
            days: Vec::new(),
            quarantined: false,
        }
    }

    pub(super) fn close(&mut self, open: &mut OpenDay, params: &MixParams) {
        let OpenDay { day, score, sum, squares, cost, purged, dropped } = *open;
        *open = OpenDay { purged, dropped, ..OpenDay::IDLE };
        if day != NO_DAY && score.k > 0 {
            let (n, z, z_cost, weight) = (score.k, score.gross, score.cost, score.weight);
            self.take(DaySum { day, n, sum, squares, cost, z, z_cost, weight }, params);
        }
    }

    /// Takes a closed day: the processes move on, unless a score was not finite.
    pub(super) fn take(&mut self, day: DaySum, params: &MixParams) {
        self.days.push(day);
        self.quarantined |= !(day.z.is_finite() && day.z_cost.is_finite());
        if !self.quarantined {
            self.follow.step(day.z - day.z_cost, params);
            self.fade.step(-day.z - day.z_cost, params);
            self.gross_follow.step(day.z, params);
            self.gross_fade.step(-day.z, params);
        }
    }
}
