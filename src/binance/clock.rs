//! The clocks that a process can run by: the system's, or a virtual one that runs faster.

use std::sync::{Arc, OnceLock};
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

/// A clock that is set once, when the exchange has said what time it is. Until then it shows the system's time.
#[derive(Clone, Debug, Default)]
pub struct LateClock(Arc<OnceLock<ScaledClock>>);

impl LateClock {
    /// Sets it. Only the first time counts.
    pub fn set(&self, clock: ScaledClock) {
        self.0.get_or_init(|| clock);
    }
}

impl Clock for LateClock {
    fn now(&self) -> Ts {
        self.0.get().map_or_else(|| SystemClock.now(), Clock::now)
    }

    fn wall_until(&self, at: Ts) -> Duration {
        self.0.get().map_or_else(|| SystemClock.wall_until(at), |clock| clock.wall_until(at))
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
