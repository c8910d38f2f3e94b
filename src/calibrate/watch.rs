//! Life after publication: the retirement detector on the days that follow, against the day the edge really died.

use super::lab::RetireSpec;
use super::run::{Publication, study_day};
use super::world::World;
use crate::discovery::DaySum;
use crate::discovery::eprocess::MixParams;
use crate::discovery::monitor::RetireDetector;

const BPS: f64 = 1e4;

/// What the monitor did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The first day without the edge; `None` where it lives for ever or never was.
    pub died: Option<usize>,
    /// The day of the suspension.
    pub suspended: Option<usize>,
    /// Active days between death and suspension.
    pub active_days: usize,
}

/// Runs the detector over the days after publication. The floor is the cost, or a share of the claim if that is more.
pub(super) fn watch(
    publication: &mut Publication,
    days: &[DaySum],
    world: &World,
    block: usize,
    spec: &RetireSpec,
    params: &MixParams,
) {
    let sign = if publication.follow { 1.0 } else { -1.0 };
    let claim = spec.claim_share * publication.claim_bps.unwrap_or(0.0);
    let floor = world.cost_bps.max(claim) / BPS;
    let mut detector = RetireDetector::new(&spec.bets, spec.clip, params);
    let died = world.deaths.get(block).copied().flatten();
    let (mut n, mut sum) = (0.0, 0.0);
    for day in days {
        let at = study_day(day.day);
        if at <= publication.day as i64 {
            continue;
        }
        n += f64::from(day.n);
        sum += sign * day.sum;
        let level = detector.step(sign * day.z, day.weight, floor);
        let at = usize::try_from(at).unwrap_or(0);
        let watched = &mut publication.watched;
        if watched.suspended.is_none() {
            watched.active_days += usize::from(died.is_some_and(|d| at >= d));
            if level >= spec.suspend_at {
                watched.suspended = Some(at);
            }
        }
    }
    publication.watched.died = died;
    publication.later_bps = (n > 0.0).then(|| BPS * sum / n);
}
