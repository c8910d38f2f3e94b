//! Running evidence against "the mean score is not positive", one score per closed day, valid at every look.
//!
//! * Scale: `sqrt(num/den)`, known before the day's score; then `num = d num + z^2`, `den = d den + 1`.
//! * A score counts as at most `cap` scales, for SYM and the scale whichever way it goes, and for BET as a
//!   gain: the cap is known before the score, an odd function keeps conditional symmetry, and of a gain it
//!   only takes away.
//! * SYM (de la Pena 1999; Howard et al. 2021): `S += u`, `V += u^2`,
//!   `ln E = ln 2 + ln(rho/(V+rho))/2 + S^2/(2(V+rho)) + ln Phi(S/sqrt(V+rho))`.
//! * BET (Waudby-Smith and Ramdas 2024): `wealth_l *= 1 + l clamp(u, -clip_l, clip_l)`, `E = mean wealth`. A
//!   bet's clip is `bet_reserve / l`: what it cannot lose whatever happens is `1 - bet_reserve` of its
//!   wealth, and a small bet sees losses in full.
//! * MIX: `E = w E_SYM + (1 - w) E_BET`, with a `w` of each side that was declared before anything was seen.
//!   By Ville's inequality `1 / sup E` is a p-value at every time.

use std::f64::consts::LN_2;

use libm::{exp, log, sqrt};

use super::candidate::DirectionRule;
use super::special::{log_normal_cdf, normal_cdf};
use crate::spec::gates::{EvidenceSpec, MAX_BETS};

/// Wealths are rescaled by this power of two when they leave `2^-332 .. 2^332`.
pub(super) const RESCALE_EXPONENT: i32 = 332;
/// Below this `S^2 / (2 (V + rho))` no part of `E_SYM` overflows or underflows: `Phi` is taken above -26.
const LARGEST_Y: f64 = 330.0;
/// Logarithms of e-values become numbers up to here, and those of p-values down to its negative: `p e` stays
/// 1 there too.
const LARGEST_LOG: f64 = 700.0;

/// The bets of one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bets {
    /// Their sizes, the first `count` of them; 0 beyond.
    pub sizes: [f64; MAX_BETS],
    /// How many there are.
    pub count: usize,
    /// By bet: losses beyond this many scales count as this many.
    pub loss_clips: [f64; MAX_BETS],
    /// By bet: gains beyond this many scales count as this many.
    pub gain_caps: [f64; MAX_BETS],
}

impl Bets {
    /// Of these sizes. A bet never loses more than `reserve` of its wealth, and a gain counts as at most
    /// `gain_to_loss` times what a loss could: clipping losses alone would pay for what is wild either way.
    #[must_use]
    pub fn new(lambdas: &[f64], reserve: f64, gain_to_loss: f64) -> Self {
        debug_assert!(lambdas.len() <= MAX_BETS, "the loader refuses more bets");
        let mut bets = Self {
            sizes: [0.0; MAX_BETS],
            count: lambdas.len().min(MAX_BETS),
            loss_clips: [0.0; MAX_BETS],
            gain_caps: [0.0; MAX_BETS],
        };
        for (at, lambda) in lambdas.iter().enumerate().take(MAX_BETS) {
            (bets.sizes[at], bets.loss_clips[at]) = (*lambda, reserve / lambda);
            bets.gain_caps[at] = gain_to_loss * (reserve / lambda);
        }
        bets
    }

    /// How many there are.
    #[allow(clippy::cast_precision_loss, reason = "at most MAX_BETS")]
    pub(super) const fn count_as_f64(&self) -> f64 {
        self.count as f64
    }
}

/// Constants of the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixParams {
    /// Weight of SYM on the follow and on the fade side.
    pub sym_weights: [f64; 2],
    /// Prior variance of SYM.
    pub rho: f64,
    /// The bets of the follow and of the fade side.
    pub bets: [Bets; 2],
    /// Scores beyond this many scales count as this many.
    pub score_cap: f64,
    /// Forgetting of the scale per day.
    pub scale_decay: f64,
    /// Starting weight of the scale, days.
    pub scale_prior: f64,
}

impl From<&EvidenceSpec> for MixParams {
    fn from(spec: &EvidenceSpec) -> Self {
        let of = |lambdas: &[f64]| Bets::new(lambdas, spec.bet_reserve, spec.influence.max_gain_to_loss);
        Self {
            sym_weights: [spec.mix_sym.follow, spec.mix_sym.fade],
            rho: spec.sym_rho,
            bets: [of(&spec.bet_lambdas.follow), of(&spec.bet_lambdas.fade)],
            score_cap: spec.influence.max_day_score,
            scale_decay: spec.scale_decay,
            scale_prior: spec.scale_prior_days,
        }
    }
}

impl MixParams {
    /// The same for a process whose every sign is one side.
    #[must_use]
    pub const fn on(self, side: DirectionRule) -> Self {
        let side = side as usize;
        Self { sym_weights: [self.sym_weights[side]; 2], bets: [self.bets[side]; 2], ..self }
    }
}

/// Running scale of a series of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunningScale {
    /// Decayed sum of squares.
    pub num: f64,
    /// Decayed number of scores.
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
        self.step_within(z, decay, f64::INFINITY)
    }

    /// The same, and a score counts as at most `cap` scales.
    pub fn step_within(&mut self, z: f64, decay: f64, cap: f64) -> f64 {
        let square = self.num / self.den;
        self.num = decay * self.num + (z * z).min(cap * cap * square);
        self.den = decay * self.den + 1.0;
        sqrt(square)
    }
}

/// `ln E_SYM` after scores with sum `s` and sum of squares `v`.
#[must_use]
pub fn sym_log_e(s: f64, v: f64, rho: f64) -> f64 {
    let total = v + rho;
    LN_2 + 0.5 * log(rho / total) + s * s / (2.0 * total) + log_normal_cdf(s / sqrt(total))
}

/// Evidence of one sign as it stands: see [`super::signs::SignProcesses`], which takes the scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignProcess {
    /// Weight of SYM on its side.
    pub(super) sym_weight: f64,
    /// Number of bets on its side.
    pub(super) bets: f64,
    /// Sum of scaled scores.
    pub(super) s: f64,
    /// Sum of their squares.
    pub(super) v: f64,
    /// Sum of their cubes (for the skewness).
    pub(super) cubes: f64,
    /// Smallest scaled score, not capped; `+inf` before the first.
    pub(super) worst: f64,
    /// Number of scores taken so far, one per active day.
    pub(super) days: u32,
    /// Scores that counted as `score_cap` scales, being more.
    pub(super) capped: u32,
    /// Number of the score after which E was largest; 0 while it never exceeded 1.
    pub(super) sup_at: u32,
    /// Sum of the wealths by bet size, times `2^(332 * exponent)`.
    pub(super) wealth: f64,
    /// Exponent that the wealths share, in steps of 2^332; see `wealth`.
    pub(super) exponent: i32,
    /// Supremum of E, at least 1.
    pub(super) sup: f64,
    /// Its logarithm where it lies beyond what `sup` can say; else 0.
    pub(super) far_log_sup: f64,
}

impl SignProcess {
    /// `ln E_SYM` after the scores taken so far.
    #[must_use]
    pub fn log_e_sym(&self, params: &MixParams) -> f64 {
        if self.days == 0 { 0.0 } else { sym_log_e(self.s, self.v, params.rho) }
    }

    /// `ln E_BET` after the scores taken so far.
    #[must_use]
    pub fn log_e_bet(&self) -> f64 {
        log(self.wealth / self.bets) + f64::from(self.exponent) * f64::from(RESCALE_EXPONENT) * LN_2
    }

    /// `ln E_MIX` after the scores taken so far.
    #[must_use]
    pub fn log_e(&self, params: &MixParams) -> f64 {
        if let Some(e) = self.near_e(params) {
            return log(e);
        }
        let (sym_weight, bet_weight) = (self.sym_weight, 1.0 - self.sym_weight);
        log_add(log(sym_weight) + self.log_e_sym(params), log(bet_weight) + self.log_e_bet())
    }

    /// E; `None` before the first score and where a part of it is beyond the range of numbers.
    pub(super) fn near_e(&self, params: &MixParams) -> Option<f64> {
        let total = self.v + params.rho;
        let y = self.s * self.s / (2.0 * total);
        (y < LARGEST_Y && self.exponent == 0 && self.days > 0).then(|| {
            let sym = 2.0 * (params.rho / total).sqrt() * exp(y) * normal_cdf(self.s / total.sqrt());
            let bet = self.wealth / self.bets;
            self.sym_weight * sym + (1.0 - self.sym_weight) * bet
        })
    }

    /// Supremum of `ln E`, at least 0.
    #[must_use]
    pub fn log_sup(&self) -> f64 {
        if self.far_log_sup > 0.0 { self.far_log_sup } else { log(self.sup) }
    }

    /// `1 / sup E`: a p-value at every time.
    #[must_use]
    pub fn p_any(&self) -> f64 {
        exp(-self.log_sup().min(LARGEST_LOG))
    }

    /// Scores that were larger than they count.
    #[must_use]
    pub const fn capped(&self) -> u32 {
        self.capped
    }

    /// Number of the score after which E was largest; 0 while it never exceeded 1.
    #[must_use]
    pub const fn sup_at(&self) -> u32 {
        self.sup_at
    }

    /// Smallest scaled score, not capped; `None` before the first.
    #[must_use]
    pub fn worst(&self) -> Option<f64> {
        self.worst.is_finite().then_some(self.worst)
    }

    /// Skewness of the scaled scores; `None` with fewer than three, or without variance.
    #[must_use]
    pub fn skewness(&self) -> Option<f64> {
        if self.days < 3 {
            return None;
        }
        let n = f64::from(self.days);
        let (mean, square, cube) = (self.s / n, self.v / n, self.cubes / n);
        let second = square - mean * mean;
        let third = cube - 3.0 * mean * square + 2.0 * mean * mean * mean;
        (second > 1e-12 * square).then(|| third / (second * sqrt(second)))
    }
}

/// An e-value as a number, of its logarithm: the largest is 1.01e304.
#[must_use]
pub fn e_of_log(log_e: f64) -> f64 {
    exp(log_e.min(LARGEST_LOG))
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

/// `(e - 1 - ln e) / (ln e)^2`: turns a running supremum back into an e-value (Shafer et al. 2011). 1/2 at e
/// = 1.
#[must_use]
pub fn adjuster(e: f64) -> f64 {
    let l = log(e);
    if l.abs() < 1e-4 { 0.5 + l / 6.0 + l * l / 24.0 } else { (e - 1.0 - l) / (l * l) }
}

#[cfg(test)]
pub(crate) fn lab_params() -> MixParams {
    MixParams {
        sym_weights: [0.1; 2],
        rho: 10.0,
        bets: [Bets {
            loss_clips: [6.0; MAX_BETS],
            gain_caps: [f64::INFINITY; MAX_BETS],
            ..Bets::new(&[0.02, 0.04, 0.07, 0.11, 0.155], 0.93, 1.0)
        }; 2],
        score_cap: f64::INFINITY,
        scale_decay: 0.98,
        scale_prior: 5.0,
    }
}
