//! Life after publication: a Shiryaev-Roberts e-detector for "the edge is below its floor" (Shin, Ramdas and
//! Rinaldo 2024). While the mean is at or above the floor, the mean time until `R >= A` is at least `A`
//! active days.

use super::candidate::DirectionRule;
use super::eprocess::{MixParams, RunningScale};
use super::evidence::DaySum;
use super::signs::SignProcesses;
use crate::spec::gates::MonitoringSpec;

/// State of the e-detector: its running scale and the wealth of each bet.
#[derive(Clone, Debug, PartialEq)]
pub struct RetireDetector {
    scale: RunningScale,
    wealth: Vec<f64>,
    bets: Vec<f64>,
    clip: f64,
    decay: f64,
    cap: f64,
}

impl RetireDetector {
    /// With bet sizes `bets` (each below `1/clip`), day scores clipped at `clip` scales.
    #[must_use]
    pub fn new(bets: &[f64], clip: f64, params: &MixParams) -> Self {
        Self {
            scale: RunningScale::new(params.scale_prior),
            wealth: vec![0.0; bets.len()],
            bets: bets.to_vec(),
            clip,
            decay: params.scale_decay,
            cap: params.score_cap,
        }
    }

    /// Takes a day's gross score and weight in the traded direction; `floor` is the least acceptable return
    /// per trade, decimal. Returns the mean of `R = (R + 1)(1 + l y)` over the bets, `y = -(z - floor W) /
    /// scale`, clipped.
    pub fn step(&mut self, z: f64, weight: f64, floor: f64) -> f64 {
        let scale = self.scale.step_within(z, self.decay, self.cap);
        let y = (-(z - floor * weight) / scale).clamp(-self.clip, self.clip);
        let mut sum = 0.0;
        for (r, l) in self.wealth.iter_mut().zip(&self.bets) {
            *r = (*r + 1.0) * (1.0 + l * y);
            sum += *r;
        }
        sum / super::cluster::count(self.wealth.len().max(1))
    }
}

/// What was published about a unit. Returns are decimals per trade, in the traded direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// The last UTC day that the publishing evidence had seen. Monitoring begins on the next.
    pub closed_through: i64,
    /// The traded side.
    pub side: DirectionRule,
    /// Posterior mean before costs.
    pub gross: f64,
    /// Mean round-trip cost.
    pub cost: f64,
}

impl Claim {
    /// The least that must be left of it: `max(cost, share * gross)`.
    #[must_use]
    pub fn floor(&self, spec: &MonitoringSpec) -> f64 {
        self.cost.max(spec.floor_share_of_claim * self.gross)
    }
}

/// What the days since publication say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MonitorReport {
    /// Active days since publication.
    pub active_days: u64,
    /// Events on them.
    pub n_events: u64,
    /// Sum of returns in the traded direction.
    pub sum: f64,
    /// Sum of round-trip costs.
    pub cost: f64,
    /// Least acceptable mean return per trade, decimal: below it the edge counts as lost.
    pub floor: f64,
    /// Fresh MIX process after costs: current `ln E`.
    pub log_e: f64,
    /// Its largest value.
    pub log_sup: f64,
    /// The day on which it reached `live_confirmed_e`.
    pub confirmed_on: Option<i64>,
    /// The detector now.
    pub detector: f64,
    /// Its largest value.
    pub detector_max: f64,
    /// The first day with the detector at `suspend_at`. A suspension stays.
    pub suspended_on: Option<i64>,
    /// The first day with the detector at `retire_at`. Later days are not read.
    pub retired_on: Option<i64>,
    /// A score was not finite: later days are not read, and the blueprint is suspended.
    pub quarantined: bool,
}

/// Goes over a unit's closed days after publication, in order. A function of the days and the claim: running
/// it daily, hourly or once gives the same report.
#[must_use]
pub fn monitor(days: &[DaySum], claim: &Claim, spec: &MonitoringSpec, params: &MixParams) -> MonitorReport {
    let floor = claim.floor(spec);
    let sign = claim.side.sign();
    let confirmed = libm::log(spec.live_confirmed_e);
    let params = &params.on(claim.side);
    let mut process = SignProcesses::<1>::new(params);
    let mut detector = RetireDetector::new(&spec.bet_lambdas, spec.score_clip, params);
    let mut report = MonitorReport { floor, ..MonitorReport::default() };
    let fresh = days.partition_point(|d| i64::from(d.day) <= claim.closed_through);
    for day in &days[fresh..] {
        let date = i64::from(day.day);
        if !day.is_finite() {
            report.quarantined = true;
            report.suspended_on = report.suspended_on.or(Some(date));
            break;
        }
        report.active_days += u64::from(day.n > 0);
        report.n_events += u64::from(day.n);
        report.sum += sign * day.sum;
        report.cost += day.cost;
        process.step([sign * day.z - day.z_cost], params);
        if process.sign(0).log_sup() >= confirmed {
            report.confirmed_on = report.confirmed_on.or(Some(date));
        }
        report.detector = detector.step(sign * day.z, day.weight, floor);
        report.detector_max = report.detector_max.max(report.detector);
        if report.detector >= spec.suspend_at {
            report.suspended_on = report.suspended_on.or(Some(date));
        }
        if report.detector >= spec.retire_at {
            report.retired_on = Some(date);
            break;
        }
    }
    let process = process.sign(0);
    report.log_e = process.log_e(params);
    report.log_sup = process.log_sup();
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::eprocess::lab_params;

    fn run(mean: f64) -> f64 {
        let mut detector = RetireDetector::new(&[0.05, 0.1, 0.2], 4.0, &lab_params());
        (0..200)
            .map(|i| detector.step(mean + if i % 2 == 0 { 1.0 } else { -1.0 }, 400.0, 0.0))
            .fold(0.0, f64::max)
    }

    fn spec() -> MonitoringSpec {
        MonitoringSpec {
            live_confirmed_e: 20.0,
            suspend_at: 200.0,
            retire_at: 1000.0,
            bet_lambdas: vec![0.05, 0.1, 0.2],
            score_clip: 4.0,
            floor_share_of_claim: 0.5,
        }
    }

    /// A follow edge of `mean` scales a day, from day 100 on.
    fn days(mean: f64, n: i32) -> Vec<DaySum> {
        (0..n)
            .map(|i| {
                let z = mean + if i % 2 == 0 { 1.0 } else { -1.0 };
                DaySum {
                    day: 100 + i,
                    n: 1,
                    parts: 1,
                    sum: z / 400.0,
                    squares: 0.0,
                    cost: 0.0,
                    z,
                    z_cost: 0.0,
                    weight: 400.0,
                }
            })
            .collect()
    }

    fn claim(gross: f64) -> Claim {
        Claim { closed_through: 149, side: DirectionRule::Follow, gross, cost: 0.0002 }
    }

    #[test]
    fn the_days_before_publication_are_not_read_and_the_floor_is_the_larger_of_cost_and_half_the_claim() {
        let p = lab_params();
        let report = monitor(&days(0.5, 120), &claim(0.001), &spec(), &p);
        assert_eq!((report.active_days, report.n_events), (70, 70));
        assert!((report.floor - 0.0005).abs() < 1e-15);
        assert!((claim(0.0001).floor(&spec()) - 0.0002).abs() < 1e-15);
        assert!(monitor(&days(0.5, 50), &claim(0.001), &spec(), &p).active_days == 0);
    }

    #[test]
    fn an_edge_that_lives_is_confirmed_and_one_that_died_is_suspended_and_then_retired() {
        let p = lab_params();
        let alive = monitor(&days(0.8, 250), &claim(0.001), &spec(), &p);
        assert!(alive.confirmed_on.is_some() && alive.suspended_on.is_none(), "{alive:?}");
        let dead = monitor(&days(-0.3, 450), &claim(0.001), &spec(), &p);
        let (suspended, retired) = (dead.suspended_on.unwrap(), dead.retired_on.unwrap());
        assert!(suspended < retired && dead.confirmed_on.is_none(), "{dead:?}");
        // On the evening before, neither had been decided: later days change nothing about earlier ones.
        let before = usize::try_from(suspended - 100).unwrap();
        assert!(monitor(&days(-0.3, 450)[..before], &claim(0.001), &spec(), &p).suspended_on.is_none());
    }

    #[test]
    fn a_dead_edge_is_retired_and_a_living_one_is_not() {
        assert!(run(-0.5) > 1000.0);
        assert!(run(0.5) < 200.0);
    }
}
