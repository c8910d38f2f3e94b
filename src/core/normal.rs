//! The one normal distribution, the same bits everywhere.
//!
//! Its quantile is here twice, because the bits of features rest on the one and those of candidates on the
//! other, and a test holds them to each other: [`inverse`] is Wichura's algorithm AS 241 (PPND16; Applied
//! Statistics 37, 1988), accurate to about one part in 1e16, of a probability; [`isf`] is asked for upper
//! tails down to 1e-300.

use std::f64::consts::SQRT_2;

use libm::{erfc, exp, log};
use statrs::function::erf::erfc_inv;

/// `ln(2 pi) / 2`.
const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_8;
/// Below this the normal cdf is taken from its asymptotic form.
const FAR_TAIL: f64 = -30.0;

/// P(Z <= x).
#[must_use]
pub fn cdf(x: f64) -> f64 {
    0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Standard normal density.
#[must_use]
pub fn pdf(x: f64) -> f64 {
    exp(-0.5 * x * x - HALF_LN_TWO_PI)
}

/// Log of the standard normal cdf; below -30 `-x^2/2 - ln(-x) - ln(2 pi)/2`.
#[must_use]
pub fn log_cdf(x: f64) -> f64 {
    if x < FAR_TAIL { -0.5 * x * x - log(-x) - HALF_LN_TWO_PI } else { log(cdf(x)) }
}

/// The `z` with `P(N > z) = p`: statrs' inverse, polished by two Newton steps on the survival function.
#[must_use]
pub fn isf(p: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) {
        return if p == 0.0 {
            f64::INFINITY
        } else if p == 1.0 {
            f64::NEG_INFINITY
        } else {
            f64::NAN
        };
    }
    if p > 0.5 {
        return -isf(1.0 - p);
    }
    let mut z = SQRT_2 * erfc_inv(2.0 * p);
    for _ in 0..2 {
        let density = pdf(z);
        if density > 0.0 {
            z += (cdf(-z) - p) / density;
        }
    }
    z
}

/// The x with P(Z <= x) = p; NaN outside (0, 1).
#[must_use]
pub fn inverse(p: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) {
        return f64::NAN;
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * horner(&CENTRE_A, r) / horner(&CENTRE_B, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-log(tail)).sqrt();
    let x = if r <= 5.0 {
        horner(&MIDDLE_A, r - 1.6) / horner(&MIDDLE_B, r - 1.6)
    } else {
        horner(&FAR_A, r - 5.0) / horner(&FAR_B, r - 5.0)
    };
    if q < 0.0 { -x } else { x }
}

/// Coefficients from the highest power down.
fn horner(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |acc, c| acc * x + c)
}

const CENTRE_A: [f64; 8] = [
    2.509_080_928_730_122_672_7e3,
    3.343_057_558_358_812_810_5e4,
    6.726_577_092_700_870_085_3e4,
    4.592_195_393_154_987_145_7e4,
    1.373_169_376_550_946_112_5e4,
    1.971_590_950_306_551_442_7e3,
    1.331_416_678_917_843_774_5e2,
    3.387_132_872_796_366_608_0e0,
];
const CENTRE_B: [f64; 8] = [
    5.226_495_278_852_854_561_0e3,
    2.872_908_573_572_194_267_4e4,
    3.930_789_580_009_271_061_0e4,
    2.121_379_430_158_659_586_7e4,
    5.394_196_021_424_751_107_7e3,
    6.871_870_074_920_579_083_0e2,
    4.231_333_070_160_091_125_2e1,
    1.0,
];
const MIDDLE_A: [f64; 8] = [
    7.745_450_142_783_414_076_40e-4,
    2.272_384_498_926_918_458_33e-2,
    2.417_807_251_774_506_117_70e-1,
    1.270_458_252_452_368_382_58e0,
    3.647_848_324_763_204_605_04e0,
    5.769_497_221_460_691_405_50e0,
    4.630_337_846_156_545_295_90e0,
    1.423_437_110_749_683_577_34e0,
];
const MIDDLE_B: [f64; 8] = [
    1.050_750_071_644_416_843_24e-9,
    5.475_938_084_995_344_946_00e-4,
    1.519_866_656_361_645_719_66e-2,
    1.481_039_764_274_800_745_90e-1,
    6.897_673_349_851_000_045_50e-1,
    1.676_384_830_183_803_849_40e0,
    2.053_191_626_637_758_821_87e0,
    1.0,
];
const FAR_A: [f64; 8] = [
    2.010_334_399_292_288_132_65e-7,
    2.711_555_568_743_487_578_15e-5,
    1.242_660_947_388_078_438_60e-3,
    2.653_218_952_657_612_309_30e-2,
    2.965_605_718_285_048_912_30e-1,
    1.784_826_539_917_291_335_80e0,
    5.463_784_911_164_114_369_90e0,
    6.657_904_643_501_103_777_20e0,
];
const FAR_B: [f64; 8] = [
    2.044_263_103_389_939_785_64e-15,
    1.421_511_758_316_445_888_70e-7,
    1.846_318_317_510_054_681_80e-5,
    7.868_691_311_456_132_591_00e-4,
    1.487_536_129_085_061_485_25e-2,
    1.369_298_809_227_358_053_10e-1,
    5.998_322_065_558_879_376_90e-1,
    1.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_agrees_with_published_and_library_values() {
        // AS 241's own check values, then Python's statistics.NormalDist().inv_cdf.
        for (p, x) in [
            (0.25, -0.674_489_750_196_081_7),
            (0.001, -3.090_232_306_167_814),
            (1e-20, -9.262_340_089_798_407),
            (0.975, 1.959_963_984_540_053_6),
            (0.5, 0.0),
        ] {
            assert!((inverse(p) - x).abs() <= 4e-16 * x.abs().max(1.0), "{p}: {} {x}", inverse(p));
        }
        assert!(inverse(0.0).is_nan() && inverse(1.0).is_nan() && inverse(f64::NAN).is_nan());
    }

    #[test]
    fn cdf_and_inverse_undo_each_other() {
        for i in 1..1000 {
            let p = f64::from(i) / 1000.0;
            assert!((cdf(inverse(p)) - p).abs() < 1e-15);
        }
        assert!((cdf(-10.0) / 7.619_853_024_160_526e-24 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_normal_quantile_inverts_the_tail() {
        for z in [-3.0, -0.1, 0.3, 1.96, 8.0, 20.0, 37.0] {
            assert!((isf(cdf(-z)) - z).abs() < 1e-10 * (1.0 + f64::abs(z)), "{z}");
        }
    }

    #[test]
    fn the_two_normal_quantiles_agree_wherever_both_are_asked() {
        for exponent in 1..=300 {
            let p = libm::pow(10.0, -f64::from(exponent));
            let (z, x) = (isf(p), -inverse(p));
            assert!((z - x).abs() < 1e-13 * x, "{p}: {z} {x}");
        }
        for p in (1..100).map(|i| f64::from(i) / 100.0) {
            assert!((isf(p) + inverse(p)).abs() < 1e-14, "{p}");
        }
    }

    #[test]
    fn the_log_cdf_is_continuous_where_its_form_changes() {
        let (inside, outside) = (log_cdf(-30.0 + 1e-9), log_cdf(-30.0 - 1e-9));
        assert!((inside - outside).abs() < 2e-3, "{inside} {outside}");
    }
}
