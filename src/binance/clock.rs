//! The clocks that a process can run by: the system's, or a virtual one that runs faster.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use backtestd_core::clock::Clock;
use backtestd_core::market::Ts;

/// The system's UTC clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Ts {
        #[expect(clippy::disallowed_methods, reason = "this module owns the wall clock")]
        Ts(jiff::Timestamp::now().as_millisecond())
    }

    fn wall_until(&self, at: Ts) -> Duration {
        Duration::from_millis(u64::try_from(at.0 - self.now().0).unwrap_or(0))
    }
}

/// The exchange's time as it was last told, carried on by this machine's monotonic clock: the wall clock may
/// be wrong or jump, it is not asked. Until the exchange has told its time, it shows the system's.
#[derive(Clone, Debug)]
pub struct ExchangeClock {
    told: Arc<RwLock<Option<Told>>>,
    speed: f64,
}

#[derive(Debug)]
struct Told {
    clock: ScaledClock,
    /// The earliest time that it was ever set to.
    earliest: Ts,
}

impl ExchangeClock {
    /// A clock that nobody has told the time yet; the exchange's runs `speed` times as fast as ours.
    #[must_use]
    pub fn new(speed: f64) -> Self {
        Self { told: Arc::default(), speed }
    }

    /// The exchange says that it is `at` now.
    pub fn set(&self, at: Ts) {
        let clock = ScaledClock::new(at, self.speed);
        let mut told = self.told.write().unwrap_or_else(PoisonError::into_inner);
        let earliest = told.as_ref().map_or(at, |before| before.earliest.min(at));
        *told = Some(Told { clock, earliest });
    }

    /// Whether it can have shown `at` since it was told the time: not before what it was first set to, and
    /// not later than now. What lies outside was read off the machine's own clock, or off this one before it
    /// was set right.
    #[must_use]
    pub fn has_shown(&self, at: Ts) -> bool {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        told.as_ref().is_none_or(|told| (told.earliest..=told.clock.now()).contains(&at))
    }

    /// Whether the exchange has told the time.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.told.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Virtual milliseconds per real millisecond.
    #[must_use]
    pub const fn speed(&self) -> f64 {
        self.speed
    }

    fn ask<T>(&self, told: impl FnOnce(&ScaledClock) -> T, system: impl FnOnce(SystemClock) -> T) -> T {
        match &*self.told.read().unwrap_or_else(PoisonError::into_inner) {
            Some(set) => told(&set.clock),
            None => system(SystemClock),
        }
    }
}

impl Clock for ExchangeClock {
    fn now(&self) -> Ts {
        self.ask(Clock::now, |system| system.now())
    }

    fn wall_until(&self, at: Ts) -> Duration {
        self.ask(|clock| clock.wall_until(at), |system| system.wall_until(at))
    }
}

/// A clock that started at `origin` and runs `speed` times as fast as real time.
#[derive(Clone, Debug)]
pub struct ScaledClock {
    origin: Ts,
    started: Instant,
    speed: f64,
}

impl ScaledClock {
    /// Starts now. `speed` must be finite and positive; anything else counts as 1.
    #[must_use]
    pub fn new(origin: Ts, speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { origin, started: Instant::now(), speed }
    }

    /// Virtual milliseconds per real millisecond.
    #[must_use]
    pub const fn speed(&self) -> f64 {
        self.speed
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> Ts {
        let elapsed_ms = self.started.elapsed().as_secs_f64() * 1000.0 * self.speed;
        Ts(self.origin.0 + elapsed_ms as i64)
    }

    fn wall_until(&self, at: Ts) -> Duration {
        let virtual_ms = (at.0 - self.now().0).max(0) as f64;
        Duration::from_secs_f64(virtual_ms / 1000.0 / self.speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exchange_tells_the_time_and_may_tell_it_again() {
        let clock = ExchangeClock::new(1000.0);
        assert!(!clock.is_set() && clock.now() > Ts(1_700_000_000_000), "the system's time until then");
        clock.set(Ts(5_000_000));
        let now = clock.now();
        assert!(clock.is_set() && now >= Ts(5_000_000) && now < Ts(15_000_000), "{now}");
        assert!(clock.wall_until(Ts(now.0 + 60_000)) <= Duration::from_millis(60));
        clock.set(Ts(1_000_000));
        assert!(clock.now() < Ts(5_000_000), "back, too");
    }

    #[test]
    fn what_was_read_before_the_exchange_told_the_time_is_known_for_it() {
        let clock = ExchangeClock::new(1.0);
        let of_the_machine = clock.now();
        assert!(clock.has_shown(of_the_machine), "there is no other yet");
        for told in [of_the_machine.0 - 86_400_000, of_the_machine.0 + 86_400_000] {
            let clock = ExchangeClock::new(1.0);
            clock.set(Ts(told));
            assert!(clock.has_shown(clock.now()) && !clock.has_shown(of_the_machine), "{told}");
        }
        clock.set(Ts(5_000_000));
        clock.set(Ts(5_000_500));
        assert!(clock.has_shown(Ts(5_000_100)), "from before it was set right by half a second");
    }
}
