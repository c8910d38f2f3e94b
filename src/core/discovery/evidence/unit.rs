//! One unit: its days and its processes.

use std::sync::LazyLock;

use super::influence::share;
use super::rows::{BookRow, Fate};
use crate::discovery::candidate::DirectionRule;
use crate::discovery::eprocess::{MixParams, SignProcess};
use crate::discovery::signs::SignProcesses;

/// One active day of a unit: its sums, and its score.
///
/// The k-th part of the day (in time order, ties by symbol) has weight `w = 1 / (sigma sqrt(H) sqrt(k))`,
/// known when it begins. With `s` the signed return and `c` the round-trip cost, the score is `sum w (s -
/// c)`. A part is an event whose window lies within the day. A window with midnight inside is two parts: from
/// the entry to 24:00, with the whole cost, on the day of the entry; and from 0:00 to the exit, without cost
/// and without counting as an event again, on the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DaySum {
    /// UTC day since the epoch.
    pub day: i32,
    /// Events entered on that day that enter the score.
    pub n: u32,
    /// Parts: these, and what was carried over midnight.
    pub parts: u32,
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
    /// A day without events.
    #[must_use]
    pub const fn new(day: i32) -> Self {
        Self { day, n: 0, parts: 0, sum: 0.0, squares: 0.0, cost: 0.0, z: 0.0, z_cost: 0.0, weight: 0.0 }
    }

    /// Adds the day's next event: return in its direction and round-trip cost, decimal, and `1 / (sigma
    /// sqrt(H))`.
    #[inline]
    pub fn add(&mut self, signed_return: f64, cost: f64, inv_scale: f64) {
        self.part(signed_return, cost, inv_scale, false);
    }

    /// Adds the day's next part: an event that is entered on it, or the rest of one that was carried over
    /// midnight.
    #[inline]
    fn part(&mut self, signed_return: f64, cost: f64, inv_scale: f64, is_carried: bool) {
        let entered = u32::from(!is_carried);
        self.n += entered;
        self.parts += 1;
        let w = inv_scale * inverse_root(self.parts);
        self.sum += signed_return;
        self.squares += signed_return * signed_return;
        self.z += w * signed_return;
        let (w, cost) = (w * f64::from(entered), cost * f64::from(entered));
        self.cost += cost;
        self.z_cost += w * cost;
        self.weight += w;
    }

    /// Itself on its own day, a new day on another; without a branch, as days of one or two events follow no
    /// pattern.
    #[inline]
    const fn on(self, day: i32) -> Self {
        let keep = (self.day == day) as u64 * u64::MAX;
        const fn kept(x: f64, keep: u64) -> f64 {
            f64::from_bits(x.to_bits() & keep)
        }
        Self {
            day,
            n: self.n & keep as u32,
            parts: self.parts & keep as u32,
            sum: kept(self.sum, keep),
            squares: kept(self.squares, keep),
            cost: kept(self.cost, keep),
            z: kept(self.z, keep),
            z_cost: kept(self.z_cost, keep),
            weight: kept(self.weight, keep),
        }
    }

    /// Whether it holds numbers only.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.sum.is_finite() && self.cost.is_finite() && self.z.is_finite() && self.z_cost.is_finite()
    }
}

/// `1 / sqrt(k)`: of the first events of a day, once and for all.
#[inline]
fn inverse_root(k: u32) -> f64 {
    static FIRST: LazyLock<[f64; 64]> = LazyLock::new(|| std::array::from_fn(|k| 1.0 / (k as f64).sqrt()));
    FIRST.get(k as usize).copied().unwrap_or_else(|| 1.0 / f64::from(k).sqrt())
}

/// Sums rows by day.
#[derive(Default)]
pub(super) struct DaySums(Vec<DaySum>);

impl DaySums {
    /// The days of some of the rows, which are in order of their days, by ascending number. In a pool they
    /// weigh what they may weigh there.
    pub(super) fn of(&mut self, rows: &[BookRow], picked: &[u32], is_pooled: bool) -> &[DaySum] {
        if is_pooled {
            self.sum(rows, picked, |row| row.inv_scale * share(row.pool))
        } else {
            self.sum(rows, picked, |row| row.inv_scale)
        }
    }

    fn sum(&mut self, rows: &[BookRow], picked: &[u32], inv_scale: impl Fn(&BookRow) -> f64) -> &[DaySum] {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return &[] };
        let most = usize::try_from(last.day - first.day).map_or(0, |days| days + 1);
        // No row is on the day in front, so that every row either goes on with the day before it or opens
        // one.
        let mut open = DaySum::new(i32::MIN);
        let days = &mut self.0;
        if days.len() <= most {
            days.resize(most + 1, open);
        }
        let mut at = 0;
        for &row in picked {
            let row = &rows[row as usize];
            at += usize::from(row.day != open.day);
            open = open.on(row.day);
            open.part(row.signed_return, row.cost, inv_scale(row), row.fate == Fate::Carried);
            days[at] = open;
        }
        &days[1..=at]
    }
}

/// A unit's evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitEvidence {
    /// Follow and fade side after costs, then both before costs.
    sides: SignProcesses<4>,
    /// Events on the days that it has taken.
    events: u64,
    /// On how many days they were entered.
    days: u64,
    /// A score was not finite: the processes stand still from that day on. Rows that no number can score are
    /// dropped before, so that this is a guard and no state to expect.
    pub quarantined: bool,
}

impl UnitEvidence {
    pub(super) const fn new(params: &MixParams) -> Self {
        Self { sides: SignProcesses::new(params), events: 0, days: 0, quarantined: false }
    }

    /// Events that it has taken.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Days on which they were entered.
    #[must_use]
    pub const fn days(&self) -> u64 {
        self.days
    }

    /// A side after costs.
    #[must_use]
    pub fn net(&self, side: DirectionRule) -> SignProcess {
        self.sides.sign(side as usize)
    }

    /// A side before costs.
    #[must_use]
    pub fn gross(&self, side: DirectionRule) -> SignProcess {
        self.sides.sign(2 + side as usize)
    }

    /// Takes closed days, up to the first score that is not finite.
    pub(super) fn take(&mut self, days: &[DaySum], params: &MixParams) {
        let mut sides = self.sides;
        for day in days {
            self.quarantined |= !(day.z.is_finite() && day.z_cost.is_finite());
            if self.quarantined {
                break;
            }
            self.events += u64::from(day.n);
            self.days += u64::from(day.n > 0);
            sides.step([day.z - day.z_cost, -day.z - day.z_cost, day.z, -day.z], params);
        }
        self.sides = sides;
    }
}
