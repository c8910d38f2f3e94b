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

use super::special::{log_normal_cdf, normal_cdf};
use crate::spec::gates::EvidenceSpec;

/// Largest number of bet sizes.
pub const MAX_BETS: usize = 8;
/// Wealths are rescaled by this power of two when they leave `2^-332 .. 2^332`.
const RESCALE_EXPONENT: i32 = 332;
/// A supremum rises by more than this; below, it is rounding (E = 1 exactly must stay p = 1 exactly).
const ROUNDING: f64 = 1e-14;
/// Below this `S^2 / (2 (V + rho))` no part of `E_SYM` overflows or underflows: `Phi` is taken above -26.
const LARGEST_Y: f64 = 330.0;
/// Suprema beyond its exponential are compared in logarithms only.
const LARGEST_LOG: f64 = 700.0;

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

impl MixParams {
    #[allow(clippy::cast_precision_loss, reason = "at most MAX_BETS")]
    const fn bets_as_f64(&self) -> f64 {
        self.bet_count as f64
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

/// Evidence of one sign.
pub type SignProcess = SignProcesses<1>;

/// Evidence of `N` signs over the same days, side by side: scale, SYM, BET and the running supremum of MIX of each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignProcesses<const N: usize> {
    /// Scales: decayed sums of squares.
    num: [f64; N],
    /// Scales: decayed count.
    den: f64,
    /// Sums of scaled scores.
    s: [f64; N],
    /// Sums of their squares.
    v: [f64; N],
    /// Sums of their cubes (for the skewness).
    cubes: [f64; N],
    /// Smallest scaled scores; `+inf` before the first.
    worst: [f64; N],
    /// Scores taken.
    days: u32,
    /// Numbers of the scores after which E was largest; 0 while it never exceeded 1.
    sup_at: [u32; N],
    /// Wealths by bet size, times `2^(332 * exponent)`.
    wealth: [[f64; N]; MAX_BETS],
    /// Shared exponents of a sign's wealths.
    exponent: [i32; N],
    /// Suprema of E, at least 1.
    sup: [f64; N],
    /// Their logarithms where they lie beyond what `sup` can say; else 0.
    far_log_sup: [f64; N],
}

impl<const N: usize> SignProcesses<N> {
    /// No evidence yet: E = 1.
    #[must_use]
    pub const fn new(params: &MixParams) -> Self {
        Self {
            num: [params.scale_prior; N],
            den: params.scale_prior,
            s: [0.0; N],
            v: [0.0; N],
            cubes: [0.0; N],
            worst: [f64::INFINITY; N],
            days: 0,
            sup_at: [0; N],
            wealth: [[1.0; N]; MAX_BETS],
            exponent: [0; N],
            sup: [1.0; N],
            far_log_sup: [0.0; N],
        }
    }

    /// Takes one closed day's finite scores.
    #[inline]
    pub fn step(&mut self, z: [f64; N], params: &MixParams) {
        self.days += 1;
        let (mut clipped, mut sum) = ([0.0; N], [0.0; N]);
        for i in 0..N {
            let u = z[i] * (self.den / self.num[i]).sqrt();
            self.num[i] = params.scale_decay * self.num[i] + z[i] * z[i];
            self.s[i] += u;
            self.v[i] += u * u;
            self.cubes[i] += u * u * u;
            self.worst[i] = if u < self.worst[i] { u } else { self.worst[i] };
            clipped[i] = if u > -params.loss_clip { u } else { -params.loss_clip };
        }
        self.den = params.scale_decay * self.den + 1.0;
        for (wealth, bet) in self.wealth.iter_mut().zip(&params.bets).take(params.bet_count) {
            for i in 0..N {
                wealth[i] *= 1.0 + bet * clipped[i];
                sum[i] += wealth[i];
            }
        }
        let least = sum.into_iter().fold(f64::INFINITY, at_most);
        let most = sum.into_iter().fold(0.0, at_least);
        if least < 2e-100 || most > 8e99 {
            self.rescale(sum, params);
        }
        self.raise(sum, params);
    }

    /// Raises the suprema that have grown. `sum` are the sums of wealths before rescaling.
    ///
    /// With `x = max(s, 0)/sqrt(v+rho)`, `E_SYM <= sqrt(rho/(v+rho)) exp(x^2/2) 2 Phi(x)` (where s <= 0 by Mills' ratio),
    /// `exp(x^2/2) <= (1 - x^2/32)^-16` below x^2 = 32, and `2 Phi(x) <= 1 + 0.8 x`, whose square is at most
    /// `1.4 + 2.24 x^2`. Where that bound leaves E at or below the supremum, E is not evaluated.
    #[inline]
    fn raise(&mut self, sum: [f64; N], params: &MixParams) {
        const MORE: f64 = 1.0 + 1e-9;
        let bet_weight = MORE * (1.0 - params.sym_weight) / params.bets_as_f64();
        let needed = MORE * MORE * params.sym_weight * params.sym_weight * params.rho;
        let mut short = [0.0; N];
        for i in 0..N {
            let up = above_zero(self.s[i]);
            let total = self.v[i] + params.rho;
            let q = up * up / (32.0 * total);
            let left = above_zero((self.sup[i] - bet_weight * sum[i]) * pow16(above_zero(1.0 - q)));
            short[i] = needed * at_most(1.4 + 71.68 * q, 4.0) - left * left * total;
        }
        let most =
            short.iter().fold(f64::NEG_INFINITY, |most, short| if *short < most { most } else { *short });
        if most <= 0.0 && self.exponent == [0; N] {
            return;
        }
        for (i, short) in short.into_iter().enumerate() {
            if !(short <= 0.0 && self.exponent[i] == 0) {
                self.raise_one(i, params);
            }
        }
    }

    #[cold]
    fn raise_one(&mut self, i: usize, params: &MixParams) {
        let process = self.sign(i);
        if let Some(e) = process.near_e(params) {
            if e > self.sup[i] * (1.0 + ROUNDING) {
                (self.sup[i], self.far_log_sup[i], self.sup_at[i]) = (e, 0.0, self.days);
            }
            return;
        }
        let log_e = process.log_e(params);
        if log_e > process.log_sup() + ROUNDING {
            (self.sup[i], self.sup_at[i]) = (exp(log_e.min(LARGEST_LOG)), self.days);
            self.far_log_sup[i] = log_e;
        }
    }

    /// Brings wealths back near 1. Scaling by a power of two is exact; what underflows was negligible.
    #[cold]
    fn rescale(&mut self, sum: [f64; N], params: &MixParams) {
        for i in (0..N).filter(|i| !(2e-100..=8e99).contains(&sum[*i])) {
            let change = if sum[i] > 1.0 { 1 } else { -1 };
            let factor = libm::ldexp(1.0, -change * RESCALE_EXPONENT);
            for wealth in self.wealth.iter_mut().take(params.bet_count) {
                wealth[i] *= factor;
            }
            self.exponent[i] += change;
        }
    }

    /// Scores taken.
    #[must_use]
    pub const fn days(&self) -> u32 {
        self.days
    }

    /// One of the signs by itself.
    #[must_use]
    pub fn sign(&self, i: usize) -> SignProcess {
        SignProcess {
            num: [self.num[i]],
            den: self.den,
            s: [self.s[i]],
            v: [self.v[i]],
            cubes: [self.cubes[i]],
            worst: [self.worst[i]],
            days: self.days,
            sup_at: [self.sup_at[i]],
            wealth: self.wealth.map(|bet| [bet[i]]),
            exponent: [self.exponent[i]],
            sup: [self.sup[i]],
            far_log_sup: [self.far_log_sup[i]],
        }
    }
}

impl SignProcess {
    /// `ln E_SYM`.
    #[must_use]
    pub fn log_e_sym(&self, params: &MixParams) -> f64 {
        if self.days == 0 { 0.0 } else { sym_log_e(self.s[0], self.v[0], params.rho) }
    }

    /// `ln E_BET`.
    #[must_use]
    pub fn log_e_bet(&self, params: &MixParams) -> f64 {
        log(self.wealth_sum(params) / params.bets_as_f64())
            + f64::from(self.exponent[0]) * f64::from(RESCALE_EXPONENT) * LN_2
    }

    /// `ln E_MIX`.
    #[must_use]
    pub fn log_e(&self, params: &MixParams) -> f64 {
        if let Some(e) = self.near_e(params) {
            return log(e);
        }
        let (sym_weight, bet_weight) = (params.sym_weight, 1.0 - params.sym_weight);
        log_add(log(sym_weight) + self.log_e_sym(params), log(bet_weight) + self.log_e_bet(params))
    }

    /// E; `None` before the first score and where a part of it is beyond the range of numbers.
    fn near_e(&self, params: &MixParams) -> Option<f64> {
        let total = self.v[0] + params.rho;
        let y = self.s[0] * self.s[0] / (2.0 * total);
        (y < LARGEST_Y && self.exponent[0] == 0 && self.days > 0).then(|| {
            let sym = 2.0 * (params.rho / total).sqrt() * exp(y) * normal_cdf(self.s[0] / total.sqrt());
            let bet = self.wealth_sum(params) / params.bets_as_f64();
            params.sym_weight * sym + (1.0 - params.sym_weight) * bet
        })
    }

    fn wealth_sum(&self, params: &MixParams) -> f64 {
        self.wealth.iter().take(params.bet_count).map(|[wealth]| wealth).sum()
    }

    /// Supremum of `ln E`, at least 0.
    #[must_use]
    pub fn log_sup(&self) -> f64 {
        if self.far_log_sup[0] > 0.0 { self.far_log_sup[0] } else { log(self.sup[0]) }
    }

    /// `1 / sup E`: a p-value at every time.
    #[must_use]
    pub fn p_any(&self) -> f64 {
        exp(-self.log_sup())
    }

    /// Number of the score after which E was largest; 0 while it never exceeded 1.
    #[must_use]
    pub const fn sup_at(&self) -> u32 {
        self.sup_at[0]
    }

    /// Smallest scaled score; `None` before the first.
    #[must_use]
    pub fn worst(&self) -> Option<f64> {
        self.worst[0].is_finite().then_some(self.worst[0])
    }

    /// Skewness of the scaled scores; `None` with fewer than three, or without variance.
    #[must_use]
    pub fn skewness(&self) -> Option<f64> {
        if self.days < 3 {
            return None;
        }
        let n = f64::from(self.days);
        let (mean, square, cube) = (self.s[0] / n, self.v[0] / n, self.cubes[0] / n);
        let second = square - mean * mean;
        let third = cube - 3.0 * mean * square + 2.0 * mean * mean * mean;
        (second > 1e-12 * square).then(|| third / (second * sqrt(second)))
    }
}

#[inline]
fn above_zero(x: f64) -> f64 {
    at_least(x, 0.0)
}

/// The larger one in one instruction.
#[inline]
fn at_least(x: f64, least: f64) -> f64 {
    if x > least { x } else { least }
}

/// The smaller one in one instruction.
#[inline]
fn at_most(x: f64, most: f64) -> f64 {
    if x < most { x } else { most }
}

#[inline]
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
                process.step([z], &p);
            }
            let (sup, last) = plain_sup(&scores, &p);
            prop_assert!((process.log_sup() - sup).abs() < 1e-9 * (1.0 + sup.abs()));
            prop_assert!((process.log_e(&p) - last).abs() < 1e-9 * (1.0 + last.abs()) || scores.is_empty());
        }
    }

    #[test]
    fn years_of_one_sided_scores_neither_overflow_nor_underflow() {
        let p = lab_params();
        for sign in [1.0, -1.0] {
            let scores = vec![sign * 5.0; 20_000];
            let mut process = SignProcess::new(&p);
            scores.iter().for_each(|&z| process.step([z], &p));
            let (sup, last) = plain_sup(&scores, &p);
            assert!((process.log_sup() - sup).abs() <= 1e-9 * sup, "{} {sup}", process.log_sup());
            assert!((process.log_e(&p) - last).abs() <= 1e-9 * last.abs(), "{} {last}", process.log_e(&p));
        }
    }

    #[test]
    fn a_series_without_sign_stays_near_one() {
        let p = lab_params();
        let mut process = SignProcess::new(&p);
        for i in 0..1000 {
            process.step([if i % 2 == 0 { 1.0 } else { -1.0 }], &p);
        }
        assert!(process.p_any() > 0.5 && process.skewness().unwrap().abs() < 0.05);
    }
}
