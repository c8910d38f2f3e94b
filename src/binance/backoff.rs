//! Waiting times between attempts: exponential, capped, with jitter from a seed.

use std::time::Duration;

/// A sequence of waits. The n-th is drawn from the upper half of `base × 2ⁿ` (capped), so that many clients that
/// failed together do not return together.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    state: u64,
}

impl Backoff {
    /// A fresh sequence. The same seed gives the same waits.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration, seed: u64) -> Self {
        Self { base, cap, failures: 0, state: seed }
    }

    /// How long to wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        let full = self.base.saturating_mul(1 << self.failures.min(20)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + 0.5 * self.draw())
    }

    /// After a success the next failure starts from the base again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Uniform in `[0, 1)`: splitmix64 (Steele, Lea, Flood 2014), upper 53 bits.
    fn draw(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_stay_in_the_upper_half() {
        let (base, cap) = (Duration::from_millis(200), Duration::from_secs(3));
        let mut backoff = Backoff::new(base, cap, 7);
        for full_ms in [200, 400, 800, 1600, 3000, 3000] {
            let wait = backoff.next_wait().as_millis();
            assert!(wait >= full_ms / 2 && wait <= full_ms, "{wait} of {full_ms}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= base);
    }

    #[test]
    fn the_seed_decides() {
        let waits = |seed| {
            let mut b = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), seed);
            (0..5).map(|_| b.next_wait()).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
