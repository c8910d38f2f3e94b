//! The e-processes of up to four signs over the same days, side by side in vector registers.
//!
//! Wealths are kept as numbers with a shared binary exponent, so that a day costs no logarithm; the supremum
//! is evaluated exactly, but only where an upper bound of E says that it may have grown.

use libm::exp;
use wide::f64x4;

use super::eprocess::{MixParams, RESCALE_EXPONENT, SignProcess};
use crate::spec::gates::MAX_BETS;

/// A supremum rises by more than this; below, it is rounding (E = 1 exactly must stay p = 1 exactly).
const ROUNDING: f64 = 1e-14;
/// Suprema beyond its exponential are compared in logarithms only.
const LARGEST_LOG: f64 = 700.0;
/// Sums of wealths below and above are rescaled.
const SMALLEST_SUM: f64 = 2e-100;
const LARGEST_SUM: f64 = 8e99;
const LANES: usize = 4;
const ALL_LANES: u32 = 0b1111;

/// Evidence of `N` signs, one to four: scale, SYM, BET and the running supremum of MIX of each. With fewer
/// than four, the other lanes repeat them. Even signs are of the follow side, odd ones of the fade side: see
/// [`MixParams::sym_weights`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignProcesses<const N: usize> {
    /// Weights of SYM.
    sym_weight: f64x4,
    /// Numbers of bets.
    bets: f64x4,
    /// Scales: decayed sums of squares.
    num: f64x4,
    /// Scales: decayed count.
    den: f64,
    /// Sums of scaled scores.
    s: f64x4,
    /// Sums of their squares.
    v: f64x4,
    /// Sums of their cubes.
    cubes: f64x4,
    /// Smallest scaled scores, not capped; `+inf` before the first.
    worst: f64x4,
    /// Wealths by bet size, times `2^(332 * exponent)`; 0 where there is no bet.
    wealth: [f64x4; MAX_BETS],
    /// Suprema of E, at least 1.
    sup: f64x4,
    /// Number of scores taken so far.
    days: u32,
    /// Scores that counted as the cap, being more.
    capped: [u32; LANES],
    /// Numbers of the scores after which E was largest; 0 while it never exceeded 1.
    sup_at: [u32; LANES],
    /// Shared exponents of a sign's wealths.
    exponent: [i32; LANES],
    /// Whether one of them is not 0.
    is_rescaled: bool,
    /// Logarithms of suprema that lie beyond what `sup` can say; else 0.
    far_log_sup: [f64; LANES],
}

impl<const N: usize> SignProcesses<N> {
    /// No evidence yet: E = 1.
    #[must_use]
    pub const fn new(params: &MixParams) -> Self {
        const { assert!(N >= 1 && N <= LANES) };
        let [follow, fade] = params.bets;
        let mut wealth = [f64x4::ZERO; MAX_BETS];
        let mut bet = 0;
        while bet < MAX_BETS {
            let (a, b) = ((bet < follow.count) as u8 as f64, (bet < fade.count) as u8 as f64);
            wealth[bet] = f64x4::new([a, b, a, b]);
            bet += 1;
        }
        let (a, b) = (follow.count_as_f64(), fade.count_as_f64());
        let bets = f64x4::new([a, b, a, b]);
        let [follow, fade] = params.sym_weights;
        Self {
            sym_weight: f64x4::new([follow, fade, follow, fade]),
            bets,
            num: f64x4::new([params.scale_prior; LANES]),
            den: params.scale_prior,
            s: f64x4::ZERO,
            v: f64x4::ZERO,
            cubes: f64x4::ZERO,
            worst: f64x4::new([f64::INFINITY; LANES]),
            wealth,
            sup: f64x4::ONE,
            days: 0,
            capped: [0; LANES],
            sup_at: [0; LANES],
            exponent: [0; LANES],
            is_rescaled: false,
            far_log_sup: [0.0; LANES],
        }
    }

    /// Takes one closed day's finite scores.
    ///
    /// With `x = max(s, 0)/sqrt(v+rho)`, `E_SYM <= sqrt(rho/(v+rho)) exp(x^2/2) 2 Phi(x)` (where s <= 0 by
    /// Mills' ratio), `exp(x^2/2) <= (1 - x^2/32)^-16` below x^2 = 32, and `2 Phi(x) <= 1 + 0.8 x`, whose
    /// square is at most `1.4 + 2.24 x^2`. Where that bound leaves E at or below the supremum, E is not
    /// evaluated.
    #[inline]
    pub fn step(&mut self, z: [f64; N], params: &MixParams) {
        const MORE: f64 = 1.0 + 1e-9;
        let z = f64x4::new(std::array::from_fn(|lane| z[lane % N]));
        self.days += 1;
        let cap = f64x4::splat(params.score_cap);
        let raw = z * (f64x4::splat(self.den) / self.num).sqrt();
        let is_beyond = raw.abs().simd_gt(cap).to_bitmask();
        if is_beyond != 0 {
            self.count_capped(is_beyond);
        }
        let gain = raw.fast_min(cap);
        let u = gain.fast_max(-cap);
        let largest = f64x4::splat(params.score_cap * params.score_cap / self.den) * self.num;
        self.num = f64x4::splat(params.scale_decay) * self.num + (z * z).fast_min(largest);
        self.den = params.scale_decay * self.den + 1.0;
        self.s += u;
        self.v += u * u;
        self.cubes += u * u * u;
        self.worst = raw.fast_min(self.worst);
        let mut sum = f64x4::ZERO;
        let [follow, fade] = &params.bets;
        for (bet, wealth) in self.wealth.iter_mut().enumerate().take(follow.count.max(fade.count)) {
            let (a, b) = (follow.sizes[bet], fade.sizes[bet]);
            let (c, d) = (-follow.loss_clips[bet], -fade.loss_clips[bet]);
            let (g, h) = (follow.gain_caps[bet], fade.gain_caps[bet]);
            let score = gain.fast_min(f64x4::new([g, h, g, h])).fast_max(f64x4::new([c, d, c, d]));
            *wealth *= f64x4::ONE + f64x4::new([a, b, a, b]) * score;
            sum += *wealth;
        }

        let bet_weight = f64x4::splat(MORE) * (f64x4::ONE - self.sym_weight) / self.bets;
        let needed = f64x4::splat(MORE * MORE * params.rho) * self.sym_weight * self.sym_weight;
        let up = self.s.fast_max(f64x4::ZERO);
        let total = self.v + f64x4::splat(params.rho);
        let q = up * up / (f64x4::splat(32.0) * total);
        let root = pow16((f64x4::ONE - q).fast_max(f64x4::ZERO));
        let room = self.sup - bet_weight * sum;
        let left = (room * root).fast_max(f64x4::ZERO);
        let phi = (f64x4::splat(1.4) + f64x4::splat(71.68) * q).fast_min(f64x4::splat(4.0));
        let is_below = (needed * phi - left * left * total).simd_le(f64x4::ZERO) & room.simd_ge(f64x4::ZERO);
        let is_near =
            sum.simd_ge(f64x4::splat(SMALLEST_SUM)) & sum.simd_le(f64x4::splat(LARGEST_SUM)) & is_below;
        if is_near.to_bitmask() != ALL_LANES || self.is_rescaled {
            self.raise(is_below.to_bitmask(), sum.to_array(), params);
        }
    }

    #[cold]
    fn count_capped(&mut self, lanes: u32) {
        self.capped.iter_mut().enumerate().for_each(|(lane, n)| *n += lanes >> lane & 1);
    }

    /// Brings wealths back near 1 and raises the suprema that have grown, except in lanes that are known to
    /// be below.
    #[cold]
    #[inline(never)]
    fn raise(&mut self, below: u32, sum: [f64; LANES], params: &MixParams) {
        for lane in (0..LANES).filter(|lane| !(SMALLEST_SUM..=LARGEST_SUM).contains(&sum[*lane])) {
            self.rescale(lane, sum[lane] > 1.0);
        }
        let mut sup = self.sup.to_array();
        for lane in (0..LANES).filter(|lane| below >> lane & 1 == 0 || self.exponent[*lane] != 0) {
            let process = self.sign(lane);
            if let Some(e) = process.near_e(params) {
                if e > sup[lane] * (1.0 + ROUNDING) {
                    (sup[lane], self.far_log_sup[lane], self.sup_at[lane]) = (e, 0.0, self.days);
                }
                continue;
            }
            let log_e = process.log_e(params);
            if log_e > process.log_sup() + ROUNDING {
                (sup[lane], self.sup_at[lane]) = (exp(log_e.min(LARGEST_LOG)), self.days);
                self.far_log_sup[lane] = log_e;
            }
        }
        self.sup = f64x4::new(sup);
    }

    /// Scaling by a power of two is exact; what underflows was negligible.
    fn rescale(&mut self, lane: usize, is_large: bool) {
        let change = if is_large { 1 } else { -1 };
        let mut factor = [1.0; LANES];
        factor[lane] = libm::ldexp(1.0, -change * RESCALE_EXPONENT);
        self.wealth.iter_mut().for_each(|wealth| *wealth *= f64x4::new(factor));
        self.exponent[lane] += change;
        self.is_rescaled = self.exponent != [0; LANES];
    }

    /// One of the signs by itself.
    #[must_use]
    pub fn sign(&self, i: usize) -> SignProcess {
        let of = |lanes: f64x4| lanes.to_array()[i];
        SignProcess {
            sym_weight: of(self.sym_weight),
            bets: of(self.bets),
            s: of(self.s),
            v: of(self.v),
            cubes: of(self.cubes),
            worst: of(self.worst),
            days: self.days,
            capped: self.capped[i],
            sup_at: self.sup_at[i],
            wealth: self.wealth.iter().map(|wealth| of(*wealth)).sum(),
            exponent: self.exponent[i],
            sup: of(self.sup),
            far_log_sup: self.far_log_sup[i],
        }
    }
}

#[inline]
fn pow16(x: f64x4) -> f64x4 {
    let x2 = x * x;
    let x4 = x2 * x2;
    let x8 = x4 * x4;
    x8 * x8
}

#[cfg(test)]
mod tests {
    use libm::log;
    use proptest::prelude::*;

    use super::*;
    use crate::discovery::eprocess::{RunningScale, lab_params, log_add, sym_log_e};

    /// The same process in logarithms, evaluated at every step.
    fn plain_sup(scores: &[f64], p: &MixParams) -> (f64, f64) {
        let (mut scale, mut s, mut v) = (RunningScale::new(p.scale_prior), 0.0, 0.0);
        let mut logs = [0.0; MAX_BETS];
        let (mut sup, mut last) = (0.0f64, 0.0);
        for &z in scores {
            let u = z / scale.step(z, p.scale_decay);
            s += u;
            v += u * u;
            let bets = p.bets[0];
            for (l, (bet, clip)) in
                logs.iter_mut().zip(bets.sizes.iter().zip(&bets.loss_clips)).take(bets.count)
            {
                *l += libm::log1p(bet * u.max(-clip));
            }
            let bet =
                logs[1..bets.count].iter().fold(logs[0], |a, &b| log_add(a, b)) - log(bets.count as f64);
            last = log_add(log(p.sym_weights[0]) + sym_log_e(s, v, p.rho), log(1.0 - p.sym_weights[0]) + bet);
            sup = sup.max(last);
        }
        (sup, last)
    }

    proptest! {
        #[test]
        fn skipped_evaluations_never_miss_a_supremum(
            scores in prop::collection::vec(-4.0f64..4.0, 0..300), drift in -1.0f64..1.0, sym in 0usize..3,
        ) {
            let p = MixParams { sym_weights: [[0.0, 0.1, 0.5][sym]; 2], ..lab_params() };
            let scores: Vec<f64> = scores.iter().map(|z| z + drift).collect();
            let mut process = SignProcesses::<1>::new(&p);
            for &z in &scores {
                process.step([z], &p);
            }
            let process = process.sign(0);
            let (sup, last) = plain_sup(&scores, &p);
            prop_assert!((process.log_sup() - sup).abs() < 1e-9 * (1.0 + sup.abs()));
            prop_assert!((process.log_e(&p) - last).abs() < 1e-9 * (1.0 + last.abs()) || scores.is_empty());
        }
    }

    proptest! {
        /// Far beyond what a number holds in one lane and near 1 in another, so that each takes another path.
        #[test]
        fn lanes_do_not_know_of_each_other(
            scores in prop::collection::vec(-4.0f64..4.0, 1..300), drifts in prop::array::uniform4(-40.0f64..40.0),
        ) {
            let p = lab_params();
            let lane = |z: f64, i: usize| z * [1.0, -1.0, 30.0, 1.0][i] + [0.0, 0.1, 1.0, 1.0][i] * drifts[i];
            let mut four = SignProcesses::<4>::new(&p);
            let mut two = SignProcesses::<2>::new(&p);
            let mut alone = [SignProcesses::<1>::new(&p); 4];
            for &z in &scores {
                four.step(std::array::from_fn(|i| lane(z, i)), &p);
                two.step([lane(z, 2), lane(z, 3)], &p);
                alone.iter_mut().enumerate().for_each(|(i, one)| one.step([lane(z, i)], &p));
            }
            for (i, one) in alone.iter().enumerate() {
                prop_assert_eq!(four.sign(i), one.sign(0));
            }
            prop_assert_eq!([two.sign(0), two.sign(1)], [four.sign(2), four.sign(3)]);
        }
    }

    #[test]
    fn years_of_one_sided_scores_neither_overflow_nor_underflow() {
        let p = lab_params();
        for sign in [1.0, -1.0] {
            let scores = vec![sign * 5.0; 20_000];
            let mut process = SignProcesses::<1>::new(&p);
            scores.iter().for_each(|&z| process.step([z], &p));
            let (process, (sup, last)) = (process.sign(0), plain_sup(&scores, &p));
            assert!((process.log_sup() - sup).abs() <= 1e-9 * sup, "{} {sup}", process.log_sup());
            assert!((process.log_e(&p) - last).abs() <= 1e-9 * last.abs(), "{} {last}", process.log_e(&p));
        }
    }

    /// What one score can do is bounded, whatever it is, and the scale forgets it in weeks rather than years.
    #[test]
    fn an_absurd_score_counts_as_the_cap() {
        let p = MixParams { score_cap: 12.0, ..lab_params() };
        let run = |absurd: Option<f64>| {
            let mut process = SignProcesses::<2>::new(&p);
            for day in 0..300 {
                let z = if day % 2 == 0 { 1.4 } else { -0.6 };
                let z = absurd.filter(|_| day == 100).unwrap_or(z);
                process.step([z, -z], &p);
            }
            [process.sign(0), process.sign(1)]
        };
        let plain = run(None);
        assert_eq!(plain[0].capped(), 0);
        let at_cap = run(Some(1e3));
        for absurd in [1e9, 1e160, f64::INFINITY] {
            let [with, against] = run(Some(absurd));
            assert_eq!((with.capped(), against.capped()), (1, 1), "{absurd}");
            assert_eq!(with.log_sup().to_bits(), at_cap[0].log_sup().to_bits(), "{absurd}");
            assert_eq!(against.log_sup().to_bits(), at_cap[1].log_sup().to_bits(), "{absurd}");
        }
        // Without the cap one score alone would be a discovery.
        let free = MixParams { score_cap: f64::INFINITY, ..p };
        let mut process = SignProcesses::<1>::new(&free);
        (0..300).for_each(|day| process.step([if day == 100 { 1e9 } else { 0.0 }], &free));
        // And with it no factor of three, which is ln 3 = 1.1.
        assert!(process.sign(0).log_sup() > 15.0 && at_cap[0].log_sup() < plain[0].log_sup() + 1.1);
    }

    #[test]
    fn a_series_without_sign_stays_near_one() {
        let p = lab_params();
        let mut process = SignProcesses::<1>::new(&p);
        for i in 0..1000 {
            process.step([if i % 2 == 0 { 1.0 } else { -1.0 }], &p);
        }
        let process = process.sign(0);
        assert!(process.p_any() > 0.5 && process.skewness().unwrap().abs() < 0.05);
    }
}
