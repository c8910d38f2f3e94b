//! Life after publication: production's monitor on the days that follow, against the day the edge really
//! died.

use super::run::Publication;
use super::world::{FIRST_DAY, World};
use backtestd_core::discovery::eprocess::MixParams;
use backtestd_core::discovery::monitor::{Claim, monitor};
use backtestd_core::discovery::{DaySum, DirectionRule};
use backtestd_core::market::BPS;
use backtestd_core::spec::gates::MonitoringSpec;

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

/// Monitors a publication over the unit's days since then, up to the end of the study.
pub(super) fn watch(
    publication: &mut Publication,
    days: &[DaySum],
    world: &World,
    block: usize,
    spec: &MonitoringSpec,
    params: &MixParams,
) {
    let side = if publication.follow { DirectionRule::Follow } else { DirectionRule::Fade };
    let last_seen = study_date(publication.day);
    let claim = Claim {
        closed_through: last_seen,
        side,
        gross: publication.claim_bps.unwrap_or(0.0) / BPS,
        cost: world.cost_bps / BPS,
    };
    let report = monitor(days, &claim, spec, params);
    let died = world.deaths.get(block).copied().flatten();
    let suspended = report.suspended_on.and_then(|day| usize::try_from(day - study_date(0)).ok());
    let later = || days.iter().filter(|d| i64::from(d.day) > last_seen);
    let n: f64 = later().map(|d| f64::from(d.n)).sum();
    let sum: f64 = later().map(|d| side.sign() * d.sum).sum();
    publication.later_bps = (n > 0.0).then(|| BPS * sum / n);
    publication.watched = Watched {
        died,
        suspended,
        active_days: died.map_or(0, |died| {
            let until = suspended.map_or(i64::MAX, study_date);
            later().map(|d| i64::from(d.day)).filter(|day| *day >= study_date(died) && *day <= until).count()
        }),
    };
}

/// UTC day of a day of the study.
const fn study_date(day: usize) -> i64 {
    FIRST_DAY + day as i64
}
