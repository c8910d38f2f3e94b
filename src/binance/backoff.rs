//! Waiting times between attempts: exponential, capped, with jitter from a seed.

use std::time::Duration;

use backtestd_core::market::Draws;

/// A sequence of waits. The n-th is drawn from the upper half of `base × 2ⁿ` (capped), so that many clients
/// that failed together do not return together.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    seed: u64,
    drawn: i64,
}

impl Backoff {
    /// A fresh sequence. The same seed gives the same waits.
    #[must_use]
    pub(crate) const fn new(base: Duration, cap: Duration, seed: u64) -> Self {
        Self { base, cap, failures: 0, seed, drawn: 0 }
    }

    /// How long to wait after one more failure.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let full = self.base.saturating_mul(1 << self.failures.min(20)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        self.drawn += 1;
        full.mul_f64(0.5 + 0.5 * Draws::numbered(self.seed, self.drawn).uniform())
    }

    /// After a success the next failure starts from the base again.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
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
