//! Randomness as a pure function: the draws of a bar depend on (key, bar) alone, so any bar can be made
//! again, in any order, by anyone who knows the seed. SplitMix64 as a counter-based generator; Box–Muller for
//! normals.

use crate::market::BarIndex;

/// The finaliser of SplitMix64: a bijection of 64 bits with full avalanche.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A key for a named purpose under a parent key (seed → symbol → purpose).
#[must_use]
pub fn derive(parent: u64, name: &str) -> u64 {
    name.bytes().fold(mix(parent ^ GOLDEN), |key, byte| mix(key.wrapping_add(GOLDEN) ^ u64::from(byte)))
}

/// The sequence of draws that belongs to one key and one bar.
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
    spare: Option<f64>,
}

impl Draws {
    /// Starts the sequence of `bar`.
    pub fn new(key: u64, bar: BarIndex) -> Self {
        Self::numbered(key, bar.0)
    }

    /// Starts the sequence of any integer: a second, a minute, a connection.
    pub fn numbered(key: u64, number: i64) -> Self {
        Self { state: mix(key ^ mix(number.cast_unsigned().wrapping_mul(GOLDEN))), spare: None }
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform, strictly inside (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// Uniform in (low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// +1 or -1.
    pub fn sign(&mut self) -> f64 {
        if self.bits() & 1 == 0 { 1.0 } else { -1.0 }
    }

    /// Draws from the standard normal distribution.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * libm::log(self.uniform())).sqrt();
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * self.uniform());
        self.spare = Some(radius * sin);
        radius * cos
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(self.uniform())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_key_and_bar_only() {
        let key = derive(7, "BTCUSDT");
        let first: Vec<u64> = (0..4).map(|n| Draws::new(key, BarIndex(n)).bits()).collect();
        let again: Vec<u64> = (0..4).rev().map(|n| Draws::new(key, BarIndex(n)).bits()).collect();
        assert_eq!(first, again.into_iter().rev().collect::<Vec<_>>());
        assert_ne!(derive(7, "BTCUSDT"), derive(8, "BTCUSDT"));
        assert_ne!(derive(7, "AB"), derive(7, "BA"));
    }

    #[test]
    fn normals_have_unit_variance_and_no_mean() {
        let n = 20_000;
        let draws: Vec<f64> = (0..n).map(|i| Draws::numbered(3, i).normal()).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.04, "{variance}");
    }
}
