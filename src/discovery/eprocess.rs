//! Running evidence against "the mean score is not positive", one score per closed day, valid at every look.
//!
//! * Scale: `sqrt(num/den)`, known before the day's score; then `num = d num + z^2`, `den = d den + 1`.
//! * SYM (de la Pena 1999; Howard et al. 2021): `S += u`, `V += u^2`,
//!   `ln E = ln 2 + ln(rho/(V+rho))/2 + S^2/(2(V+rho)) + ln Phi(S/sqrt(V+rho))`.
//! * BET (Waudby-Smith and Ramdas 2024): `wealth_l *= 1 + l max(u, -clip)`, `E = mean wealth`.
//! * MIX: `E = w E_SYM + (1 - w) E_BET`. By Ville's inequality `1 / sup E` is a p-value at every time.
//!
//! Wealths are kept as numbers with a shared binary exponent, so that a day costs no logarithm; the supremum is
//! evaluated exactly, but only where an upper bound of E says that it may have grown.

use std::f64::consts::LN_2;

use libm::{exp, log, sqrt};

use super::special::log_normal_cdf;
use crate::spec::gates::EvidenceSpec;

/// Largest number of bet sizes.
pub const MAX_BETS: usize = 8;
/// Wealths are rescaled by this power of two when they leave `2^-332 .. 2^332`.
const RESCALE_EXPONENT: i32 = 332;
/// A supremum rises by more than this; below, it is rounding (E = 1 exactly must stay p = 1 exactly).
const ROUNDING: f64 = 1e-14;

/// Constants of the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixParams {
    /// Weight of SYM.
    pub sym_weight: f64,
    /// Prior variance of SYM.
    pub rho: f64,
    /// Bet sizes, the first `bet_count` of them.
    pub bets: [f64; MAX_BETS],
    /// How many bet sizes there are.
    pub bet_count: usize,
    /// Losses beyond this many scales count as this many.
    pub loss_clip: f64,
    /// Forgetting of the scale per day.
    pub scale_decay: f64,
    /// Starting weight of the scale, days.
    pub scale_prior: f64,
}

impl From<&EvidenceSpec> for MixParams {
    fn from(spec: &EvidenceSpec) -> Self {
        let mut bets = [0.0; MAX_BETS];
        let bet_count = spec.bet_lambdas.len().min(MAX_BETS);
        bets[..bet_count].copy_from_slice(&spec.bet_lambdas[..bet_count]);
        Self {
            sym_weight: spec.mix_sym,
            rho: spec.sym_rho,
            bets,
            bet_count,
            loss_clip: spec.bet_loss_clip,
            scale_decay: spec.scale_decay,
            scale_prior: spec.scale_prior_days,
        }
    }
}

/// Running scale of a series of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunningScale {
    /// Decayed sum of squares.
    pub num: f64,
    /// Decayed count.
    pub den: f64,
}

impl RunningScale {
    /// Starts at scale 1 with the weight of `prior` days.
    #[must_use]
    pub const fn new(prior: f64) -> Self {
        Self { num: prior, den: prior }
    }

    /// The scale known before the next score; then learns the score.
    pub fn step(&mut self, z: f64, decay: f64) -> f64 {
        let scale = sqrt(self.num / self.den);
        self.num = decay * self.num + z * z;
        self.den = decay * self.den + 1.0;
        scale
    }
}

/// `ln E_SYM` after scores with sum `s` and sum of squares `v`.
#[must_use]
pub fn sym_log_e(s: f64, v: f64, rho: f64) -> f64 {
    let total = v + rho;
    LN_2 + 0.5 * log(rho / total) + s * s / (2.0 * total) + log_normal_cdf(s / sqrt(total))
}

/// One sign's evidence: scale, SYM, BET and the running supremum of MIX.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignProcess {
    /// Scale of the scores.
    pub scale: RunningScale,
    /// Sum of scaled scores.
    pub s: f64,
    /// Sum of their squares.
    pub v: f64,
    /// Sum of their cubes (for the skewness).
    pub cubes: f64,
    /// Smallest scaled score; `+inf` before the first.
    pub worst: f64,
    /// Scores taken.
    pub days: u32,
    /// Number of the score after which E was largest; 0 while it never exceeded 1.
    pub sup_at: u32,
    /// Wealth per bet size, times `2^(332 * exponent)`.
    pub wealth: [f64; MAX_BETS],
    /// Shared exponent of the wealths.
    pub exponent: i32,
    /// Supremum of `ln E`, at least 0.
    pub log_sup: f64,
    /// `exp(log_sup)`, kept for the cheap comparison.
    sup: f64,
}

impl SignProcess {
    /// No evidence yet: E = 1.
    #[must_use]
    pub const fn new(params: &MixParams) -> Self {
        Self {
            scale: RunningScale::new(params.scale_prior),
            s: 0.0,
            v: 0.0,
            cubes: 0.0,
            worst: f64::INFINITY,
            days: 0,
            sup_at: 0,
            wealth: [1.0; MAX_BETS],
            exponent: 0,
            log_sup: 0.0,
            sup: 1.0,
        }
    }

    /// Takes one closed day's finite score.
    #[inline]
    pub fn step(&mut self, z: f64, params: &MixParams) {
        let u = z / self.scale.step(z, params.scale_decay);
        self.days += 1;
        self.s += u;
        self.v += u * u;
        self.cubes += u * u * u;
        self.worst = self.worst.min(u);
        let clipped = u.max(-params.loss_clip);
        let mut top = 0.0f64;
        let mut sum = 0.0;
        for (wealth, bet) in self.wealth.iter_mut().zip(&params.bets).take(params.bet_count) {
            *wealth *= 1.0 + bet * clipped;
            top = top.max(*wealth);
            sum += *wealth;
        }
        if !(2e-100..=8e99).contains(&top) {
            self.rescale(top, params);
        }
        // E_SYM <= 1 for s <= 0 (Mills), <= 2 exp(y) sqrt(rho/(v+rho)) otherwise, and exp(y) <= (1 - y/16)^-16.
        let sym_bound = if self.s <= 0.0 {
            1.0
        } else {
            let y = self.s * self.s / (2.0 * (self.v + params.rho));
            let root = 1.0 - y * 0.0625;
            if root < 0.25 { f64::INFINITY } else { 2.0 / pow16(root) }
        };
        #[allow(clippy::cast_precision_loss, reason = "at most MAX_BETS")]
        let mean = sum / params.bet_count as f64;
        let bound = params.sym_weight * sym_bound + (1.0 - params.sym_weight) * mean;
        if self.exponent != 0 || bound * (1.0 + 1e-9) > self.sup {
            let log_e = self.log_e(params);
            if log_e > self.log_sup + ROUNDING {
                self.log_sup = log_e;
                self.sup_at = self.days;
                self.sup = exp(log_e);
            }
        }
    }

    /// Brings the largest wealth back near 1. Scaling by a power of two is exact; what underflows was negligible.
    #[cold]
    fn rescale(&mut self, top: f64, params: &MixParams) {
        let (factor, change) = if top > 1.0 {
            (libm::ldexp(1.0, -RESCALE_EXPONENT), 1)
        } else {
            (libm::ldexp(1.0, RESCALE_EXPONENT), -1)
        };
        for wealth in self.wealth.iter_mut().take(params.bet_count) {
            *wealth *= factor;
        }
        self.exponent += change;
    }

    /// `ln E_SYM`.
    #[must_use]
    pub fn log_e_sym(&self, params: &MixParams) -> f64 {
        if self.days == 0 { 0.0 } else { sym_log_e(self.s, self.v, params.rho) }
    }

    /// `ln E_BET`.
    #[must_use]
    pub fn log_e_bet(&self, params: &MixParams) -> f64 {
        let sum: f64 = self.wealth.iter().take(params.bet_count).sum();
        #[allow(clippy::cast_precision_loss, reason = "at most MAX_BETS")]
        let mean = sum / params.bet_count as f64;
        log(mean) + f64::from(self.exponent) * f64::from(RESCALE_EXPONENT) * LN_2
    }

    /// `ln E_MIX`.
    #[must_use]
    pub fn log_e(&self, params: &MixParams) -> f64 {
        let sym = log(params.sym_weight) + self.log_e_sym(params);
        let bet = log(1.0 - params.sym_weight) + self.log_e_bet(params);
        log_add(sym, bet)
    }

    /// `1 / sup E`: a p-value at every time.
    #[must_use]
    pub fn p_any(&self) -> f64 {
        exp(-self.log_sup)
    }

    /// Skewness of the scaled scores; `None` with fewer than three, or without variance.
    #[must_use]
    pub fn skewness(&self) -> Option<f64> {
        if self.days < 3 {
            return None;
        }
        let n = f64::from(self.days);
        let mean = self.s / n;
        let second = self.v / n - mean * mean;
        let third = self.cubes / n - 3.0 * mean * (self.v / n) + 2.0 * mean * mean * mean;
        (second > 1e-12 * (self.v / n)).then(|| third / (second * sqrt(second)))
    }
}

fn pow16(x: f64) -> f64 {
    let x2 = x * x;
    let x4 = x2 * x2;
    let x8 = x4 * x4;
    x8 * x8
}

/// `ln(exp(a) + exp(b))`.
#[must_use]
pub fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + libm::log1p(exp(low - high)) }
}

/// p of the two-sided pair: `min(1, 2 min(p+, p-))`.
#[must_use]
pub fn pair_p(follow: f64, fade: f64) -> f64 {
    (2.0 * follow.min(fade)).min(1.0)
}

/// `(e - 1 - ln e) / (ln e)^2`: turns a running supremum back into an e-value (Shafer et al. 2011). 1/2 at e = 1.
#[must_use]
pub fn adjuster(e: f64) -> f64 {
    let l = log(e);
    if l.abs() < 1e-4 { 0.5 + l / 6.0 + l * l / 24.0 } else { (e - 1.0 - l) / (l * l) }
}

/// p-values at looks on a geometric grid: the running minimum of `min(1, looks * p_k)`.
#[must_use]
pub fn geo_look_p(p_by_look: &[f64], looks: f64) -> Vec<f64> {
    let mut best = 1.0f64;
    p_by_look
        .iter()
        .map(|p| {
            best = best.min(looks * p);
            best
        })
        .collect()
}

#[cfg(test)]
pub(crate) fn lab_params() -> MixParams {
    MixParams {
        sym_weight: 0.1,
        rho: 10.0,
        bets: [0.02, 0.04, 0.07, 0.11, 0.155, 0.0, 0.0, 0.0],
        bet_count: 5,
        loss_clip: 6.0,
        scale_decay: 0.98,
        scale_prior: 5.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same process in logarithms, evaluated at every step.
    fn plain_sup(scores: &[f64], p: &MixParams) -> (f64, f64) {
        let (mut scale, mut s, mut v) = (RunningScale::new(p.scale_prior), 0.0, 0.0);
        let mut logs = [0.0; MAX_BETS];
        let (mut sup, mut last) = (0.0f64, 0.0);
        for &z in scores {
            let u = z / scale.step(z, p.scale_decay);
            s += u;
            v += u * u;
            for (l, bet) in logs.iter_mut().zip(&p.bets).take(p.bet_count) {
                *l += libm::log1p(bet * u.max(-p.loss_clip));
            }
            let bet =
                logs[1..p.bet_count].iter().fold(logs[0], |a, &b| log_add(a, b)) - log(p.bet_count as f64);
            last = log_add(log(p.sym_weight) + sym_log_e(s, v, p.rho), log(1.0 - p.sym_weight) + bet);
            sup = sup.max(last);
        }
        (sup, last)
    }

    proptest! {
        #[test]
        fn skipped_evaluations_never_miss_a_supremum(
            scores in prop::collection::vec(-4.0f64..4.0, 0..300), drift in -1.0f64..1.0,
        ) {
            let p = lab_params();
            let scores: Vec<f64> = scores.iter().map(|z| z + drift).collect();
            let mut process = SignProcess::new(&p);
            for &z in &scores {
                process.step(z, &p);
            }
            let (sup, last) = plain_sup(&scores, &p);
            prop_assert!((process.log_sup - sup).abs() < 1e-9 * (1.0 + sup.abs()));
            prop_assert!((process.log_e(&p) - last).abs() < 1e-9 * (1.0 + last.abs()) || scores.is_empty());
        }
    }

    #[test]
    fn years_of_one_sided_scores_neither_overflow_nor_underflow() {
        let p = lab_params();
        for sign in [1.0, -1.0] {
            let scores = vec![sign * 5.0; 20_000];
            let mut process = SignProcess::new(&p);
            scores.iter().for_each(|&z| process.step(z, &p));
            let (sup, last) = plain_sup(&scores, &p);
            assert!((process.log_sup - sup).abs() <= 1e-9 * sup, "{} {sup}", process.log_sup);
            assert!((process.log_e(&p) - last).abs() <= 1e-9 * last.abs(), "{} {last}", process.log_e(&p));
        }
    }

    #[test]
    fn a_series_without_sign_stays_near_one() {
        let p = lab_params();
        let mut process = SignProcess::new(&p);
        for i in 0..1000 {
            process.step(if i % 2 == 0 { 1.0 } else { -1.0 }, &p);
        }
        assert!(process.p_any() > 0.5 && process.skewness().unwrap().abs() < 0.05);
    }
}
