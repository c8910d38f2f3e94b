//! One unit by itself: its evidence, its t, its sums.

use std::collections::BTreeMap;
use std::f64::consts::LN_2;

use crate::discovery::ash::t_to_effective_se;
use crate::discovery::candidate::DirectionRule;
use crate::discovery::catalogue::{Catalogue, UnitPlace};
use crate::discovery::cluster::{ClusterLimits, ClusterSum, ClusterT};
use crate::discovery::eprocess::{MixParams, SignProcess, log_add, pair_p};
use crate::discovery::evidence::{DaySum, EvidenceBook, LeftOut, Scratch, UnitEvidence};
use crate::discovery::membership::{LeastCounts, twin};
use crate::discovery::special::{normal_isf, t_isf};
use crate::discovery::tree::as_cluster;
use crate::spec::gates::{EvidenceKind, GatesSpec, NullKind};

/// What is known about one unit before multiplicity.
pub(super) struct Unit<'a> {
    pub(super) place: UnitPlace,
    pub(super) evidence: &'a UnitEvidence,
    pub(super) left_out: LeftOut,
    /// Gross, follow side; `None` below two days.
    pub(super) t: Option<ClusterT>,
    pub(super) is_defined: bool,
    /// The likelier side; where neither is, that of the raw mean.
    pub(super) side: DirectionRule,
    /// Neither side has more evidence than the other: there is nothing to publish.
    pub(super) is_tied: bool,
    /// Whether its counts let it take part: see [`crate::discovery::membership`].
    pub(super) is_admitted: bool,
    /// Whether it has a t, and one without variance: what never varies is no sample.
    pub(super) is_constant: bool,
    /// What the procedures read: 1 where it does not take part or cannot be tested.
    pub(super) p: f64,
    pub(super) events: u64,
    pub(super) days: usize,
    pub(super) totals: Totals,
    /// Mean gross returns of the two halves: the first days that together hold at least half of the events,
    /// and the rest.
    pub(super) halves: (Option<f64>, Option<f64>),
    /// The day on which the net e-value of the side was largest; `None` before any evidence.
    pub(super) sup_day: Option<i64>,
    /// Share of the largest day in the summed net score of the side; `None` where the sum is no gain.
    pub(super) top_day_share: Option<f64>,
    pub(super) is_excluded: bool,
    /// A unit that holds the very same rows and stands for both: see [`crate::discovery::membership`].
    pub(super) twin: Option<UnitPlace>,
    /// What its counts must be.
    pub(super) least: LeastCounts,
    /// Its first day.
    pub(super) first_day: i64,
}

pub(super) fn limits(gates: &GatesSpec) -> ClusterLimits {
    ClusterLimits {
        clusters: gates.evidence.cr2_min_clusters as usize,
        n: f64::from(gates.evidence.cr2_min_events),
        df: gates.evidence.cr2_min_df,
    }
}

pub(super) fn local(catalogue: &Catalogue, place: UnitPlace) -> usize {
    catalogue.local(place.block, place.scope, place.condition)
}

/// A block's units with at least one event, in catalogue order.
pub(super) fn look<'a>(
    catalogue: &Catalogue,
    book: &'a EvidenceBook,
    gates: &GatesSpec,
    block: usize,
    scratch: &mut Scratch,
) -> Vec<Unit<'a>> {
    let left_out = book.left_out(block);
    let mut units = Vec::new();
    book.blocks[block].each_unit(scratch, |local, evidence, days| {
        if !days.is_empty() {
            let place = catalogue.place(block, local);
            let least = LeastCounts::of(catalogue, gates, place);
            units.push(unit(gates, place, least, left_out[local], evidence, days));
        }
    });
    let events: BTreeMap<usize, u64> = units.iter().map(|u| (local(catalogue, u.place), u.events)).collect();
    let of = |scope, condition| events.get(&catalogue.local(block, scope, condition)).copied().unwrap_or(0);
    for unit in &mut units {
        let twin = twin(catalogue, unit.place, &of);
        if twin.is_some() {
            (unit.twin, unit.p) = (twin, 1.0);
        }
    }
    units
}

fn unit<'a>(
    gates: &GatesSpec,
    place: UnitPlace,
    least: LeastCounts,
    left_out: LeftOut,
    evidence: &'a UnitEvidence,
    days: &[DaySum],
) -> Unit<'a> {
    let limits = limits(gates);
    let t = ClusterT::from_sums(days.iter().map(as_cluster));
    let is_defined = t.is_some_and(|t| t.is_defined(&limits));
    let totals = Totals::of(days);
    let net = gates.evidence.hypothesis == NullKind::Net;
    let [follow, fade] = match gates.evidence.publish_on {
        EvidenceKind::PAny if net => DirectionRule::BOTH.map(|side| evidence.net(side).p_any()),
        EvidenceKind::PAny => DirectionRule::BOTH.map(|side| evidence.gross(side).p_any()),
        EvidenceKind::Cr2T if !is_defined => [1.0; 2],
        EvidenceKind::Cr2T => DirectionRule::BOTH.map(|side| one_look_p(days, side.sign(), net)),
    };
    let side = match follow.total_cmp(&fade) {
        std::cmp::Ordering::Less => DirectionRule::Follow,
        std::cmp::Ordering::Greater => DirectionRule::Fade,
        std::cmp::Ordering::Equal if totals.sum < 0.0 => DirectionRule::Fade,
        std::cmp::Ordering::Equal => DirectionRule::Follow,
    };
    let events = days.iter().map(|d| u64::from(d.n)).sum();
    let active_days = days.iter().filter(|d| d.n > 0).count();
    let is_admitted = least.admit(events, active_days as u64);
    let is_constant = t.is_some_and(|t| !t.has_variance);
    Unit {
        place,
        evidence,
        left_out,
        t,
        is_defined,
        side,
        is_tied: follow.total_cmp(&fade).is_eq(),
        is_admitted,
        is_constant,
        p: if is_admitted && !is_constant { pair_p(follow, fade) } else { 1.0 },
        events,
        days: active_days,
        totals,
        halves: halves(days, totals.n),
        sup_day: day_of_sup(days, &evidence.net(side)),
        top_day_share: top_day_share(days, side.sign()),
        is_excluded: false,
        twin: None,
        least,
        first_day: days.first().map_or(0, |d| i64::from(d.day)),
    }
}

/// The processes stand still after a score that is not finite, so their scores are the first days.
fn day_of_sup(days: &[DaySum], traded: &SignProcess) -> Option<i64> {
    let at = (traded.sup_at() as usize).checked_sub(1)?;
    days.get(at).map(|d| i64::from(d.day))
}

/// One-sided CR2 p of `side * return (- cost)`.
fn one_look_p(days: &[DaySum], side: f64, net: bool) -> f64 {
    let sums = days
        .iter()
        .map(|d| ClusterSum { n: f64::from(d.n), sum: side * d.sum - if net { d.cost } else { 0.0 } });
    ClusterT::from_sums(sums).map_or(1.0, |t| t.p1_cr2())
}

/// Sums over days.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) n: f64,
    pub(super) sum: f64,
    pub(super) squares: f64,
    pub(super) cost: f64,
    pub(super) weight: f64,
}

impl Totals {
    fn of(days: &[DaySum]) -> Self {
        days.iter().fold(Self::default(), |all, d| Self {
            n: all.n + f64::from(d.n),
            sum: all.sum + d.sum,
            squares: all.squares + d.squares,
            cost: all.cost + d.cost,
            weight: all.weight + d.weight,
        })
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum / self.n
    }

    pub(super) fn mean_cost(&self) -> f64 {
        self.cost / self.n
    }
}

/// The error by which it is told whether there is an effect: as sure as the t-test is, far out in its tail.
pub(super) fn effective_se(t: &ClusterT) -> f64 {
    t_to_effective_se(t.mean, t.t_cr2(), t.df_bm).unwrap_or(t.se_cr2)
}

/// The error by which it is told how large an effect is: its normal interval at `level` is that of t. Where t
/// is 18, the error that is as sure as the test is half as large again, which would widen intervals and pull
/// estimates to zero for nothing.
pub(super) fn estimate_se(t: &ClusterT, level: f64) -> f64 {
    let tail = 0.5 * (1.0 - level);
    t.se_cr2 * t_isf(tail, t.df_bm) / normal_isf(tail)
}

pub(super) fn log_e_pair(evidence: &UnitEvidence, params: &MixParams) -> f64 {
    let [follow, fade] = DirectionRule::BOTH.map(|side| evidence.net(side).log_e(params));
    log_add(follow, fade) - LN_2
}

pub(super) fn pair_p_any(process: impl Fn(DirectionRule) -> SignProcess) -> f64 {
    let [follow, fade] = DirectionRule::BOTH.map(|side| process(side).p_any());
    pair_p(follow, fade)
}

/// The largest day's share of the summed net score.
fn top_day_share(days: &[DaySum], side: f64) -> Option<f64> {
    let scores = days.iter().map(|d| side * d.z - d.z_cost);
    let (sum, top) = scores.fold((0.0, 0.0f64), |(sum, top), z| (sum + z, top.max(z)));
    (sum > 0.0).then(|| top / sum)
}

impl Unit<'_> {
    /// Whether the procedures read its evidence.
    pub(super) const fn takes_part(&self) -> bool {
        self.is_admitted && !self.is_constant && !self.is_excluded && self.twin.is_none()
    }
}

/// Mean gross returns before and after half of the `n` events.
fn halves(days: &[DaySum], n: f64) -> (Option<f64>, Option<f64>) {
    let mut seen = 0.0;
    let split = days.iter().position(|d| {
        seen += f64::from(d.n);
        2.0 * seen >= n
    });
    let (first, second) = days.split_at(split.map_or(0, |i| i + 1));
    let mean = |part: &[DaySum]| {
        let all = Totals::of(part);
        (all.n > 0.0).then(|| all.mean())
    };
    (mean(first), mean(second))
}
