//! Staying below the exchange's request limits.
//!
//! The exchange counts weight per calendar minute and address, over all processes on that address. The client
//! spends from a token bucket (governor) whose rate and burst together fit into any minute with room to
//! spare, and reads what the exchange says it has counted (`x-mbx-used-weight-1m`). Two side pools have no
//! such header and are counted here alone: `/futures/data/*` and funding. Limits are wall-clock facts: they
//! run on real time even when the market's clock is accelerated.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota};
use tokio::time::Instant;

/// Share of a limit that is spent at a steady rate.
const STEADY_SHARE: f64 = 0.70;
/// Share of a limit that may be spent at once. Steady + burst stay below [`SLOW_DOWN_SHARE`], so that only
/// others on the same address can bring the count there.
const BURST_SHARE: f64 = 0.12;
/// Share of a limit at which the client stops until the exchange's minute is over.
const SLOW_DOWN_SHARE: f64 = 0.85;

const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// Request limits of the exchange, per address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// USD-M request weight per minute (one pool with COIN-M since 2026-06-30).
    pub futures_weight_per_minute: u32,
    /// Spot request weight per minute.
    pub spot_weight_per_minute: u32,
    /// Requests to `/futures/data/*` per 5 minutes.
    pub futures_data_per_5_minutes: u32,
    /// Requests to fundingRate and fundingInfo together per 5 minutes.
    pub funding_per_5_minutes: u32,
    /// Take over the weight limits that exchangeInfo reports.
    pub follows_exchange: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            futures_weight_per_minute: 2400,
            spot_weight_per_minute: 6000,
            futures_data_per_5_minutes: 1000,
            funding_per_5_minutes: 500,
            follows_exchange: true,
        }
    }
}

impl Limits {
    /// For an exchange whose minutes pass `speed` times as fast as ours, and whose limits do too.
    #[must_use]
    pub fn times(self, speed: f64) -> Self {
        let times = |limit: u32| (f64::from(limit) * speed.max(1.0)).min(f64::from(u32::MAX)) as u32;
        Self {
            futures_weight_per_minute: times(self.futures_weight_per_minute),
            spot_weight_per_minute: times(self.spot_weight_per_minute),
            futures_data_per_5_minutes: times(self.futures_data_per_5_minutes),
            funding_per_5_minutes: times(self.funding_per_5_minutes),
            // What it says about a minute is about one of ours.
            follows_exchange: self.follows_exchange && speed <= 1.0,
        }
    }

    /// For a simulated exchange in accelerated time: as good as none.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self {
            futures_weight_per_minute: u32::MAX,
            spot_weight_per_minute: u32::MAX,
            futures_data_per_5_minutes: u32::MAX,
            funding_per_5_minutes: u32::MAX,
            follows_exchange: false,
        }
    }
}

impl Limits {
    /// Requests to `/futures/data/*` that a rested pool lets through within `time`.
    #[must_use]
    pub fn futures_data_within(&self, time: Duration) -> u64 {
        let limit = f64::from(self.futures_data_per_5_minutes);
        let steady = STEADY_SHARE * limit * time.as_secs_f64() / FIVE_MINUTES.as_secs_f64();
        (BURST_SHARE * limit + steady) as u64
    }
}

/// A token bucket for one pool of the exchange.
#[derive(Debug)]
pub(super) struct Pool {
    window: Duration,
    bucket: Mutex<Bucket>,
}

#[derive(Clone, Debug)]
struct Bucket {
    limit: u32,
    limiter: Arc<DefaultDirectRateLimiter>,
}

impl Pool {
    pub(super) fn new(limit: u32, window: Duration) -> Self {
        Self { window, bucket: Mutex::new(Bucket::new(limit, window)) }
    }

    /// Takes over another limit; what was spent is forgotten only if the limit really changed.
    pub(super) fn set_limit(&self, limit: u32) {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.limit != limit {
            *bucket = Bucket::new(limit, self.window);
        }
    }

    pub(super) fn limit(&self) -> u32 {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).limit
    }

    /// Takes `cost` tokens, waiting until there are enough. A cost above the burst is taken as the whole
    /// burst.
    pub(super) async fn take(&self, cost: u32) {
        loop {
            let Some(wait) = self.try_take(cost) else { return };
            tokio::time::sleep(wait).await;
        }
    }

    /// `None` = taken; otherwise how long to wait before it is worth asking again.
    fn try_take(&self, cost: u32) -> Option<Duration> {
        let limiter = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).limiter.clone();
        let mut cost = NonZeroU32::new(cost)?;
        loop {
            match limiter.check_n(cost) {
                Ok(Ok(())) => return None,
                Ok(Err(not_until)) => {
                    use governor::clock::Clock as _;
                    return Some(not_until.wait_time_from(governor::clock::DefaultClock::default().now()));
                }
                Err(governor::InsufficientCapacity(burst)) => cost = NonZeroU32::new(burst)?,
            }
        }
    }

    /// Whether the exchange has counted so much that this client should stop for the rest of the minute.
    pub(super) fn is_nearly_spent(&self, used: u32) -> bool {
        f64::from(used) >= SLOW_DOWN_SHARE * f64::from(self.limit())
    }
}

impl Bucket {
    fn new(limit: u32, window: Duration) -> Self {
        Self { limit, limiter: Arc::new(DefaultDirectRateLimiter::direct(quota(limit, window))) }
    }
}

/// Steady rate and burst for a limit.
fn quota(limit: u32, window: Duration) -> Quota {
    let at_least_one = |x: f64| NonZeroU32::new(x as u32).unwrap_or(NonZeroU32::MIN);
    let burst = at_least_one(BURST_SHARE * f64::from(limit));
    let per_token = window.div_f64((STEADY_SHARE * f64::from(limit)).max(1.0));
    Quota::with_period(per_token.max(Duration::from_nanos(1)))
        .unwrap_or(Quota::per_second(NonZeroU32::MIN))
        .allow_burst(burst)
}

/// A door that is shut after the exchange said stop. All requests to that host wait behind it.
#[derive(Debug, Default)]
pub(super) struct Gate {
    shut_until: Mutex<Option<Instant>>,
}

impl Gate {
    /// Shuts it for at least `pause` from now.
    pub(super) fn shut_for(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut shut = self.shut_until.lock().unwrap_or_else(PoisonError::into_inner);
        *shut = Some(shut.map_or(until, |old| old.max(until)));
    }

    /// How long it stays shut; zero if open.
    pub(super) fn remaining(&self) -> Duration {
        let shut = *self.shut_until.lock().unwrap_or_else(PoisonError::into_inner);
        shut.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

/// Weight of a USD-M klines request by its `limit`.
#[must_use]
pub const fn futures_klines_weight(limit: u32) -> u32 {
    match limit {
        0..=99 => 1,
        100..=499 => 2,
        500..=1000 => 5,
        _ => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn klines_cost_what_the_exchange_documents() {
        let table = [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1001, 10), (1500, 10)];
        for (limit, weight) in table {
            assert_eq!(futures_klines_weight(limit), weight, "limit {limit}");
        }
    }

    #[test]
    fn no_window_can_hold_more_than_the_slow_down_share() {
        const { assert!(STEADY_SHARE + BURST_SHARE < SLOW_DOWN_SHARE) };
        let window = Duration::from_secs(60);
        for limit in [100, 500, 1000, 2400, 6000] {
            let quota = quota(limit, window);
            let steady = window.as_secs_f64() / quota.replenish_interval().as_secs_f64();
            let spent = steady + f64::from(quota.burst_size().get());
            assert!(spent <= 0.83 * f64::from(limit), "{spent} of {limit}");
        }
    }

    #[tokio::test]
    async fn a_pool_makes_the_second_burst_wait() {
        // 100 tokens a second: 70 steady, 12 at once.
        let pool = Pool::new(100, Duration::from_secs(1));
        assert_eq!(pool.try_take(12), None);
        let wait = pool.try_take(7).unwrap();
        assert!(wait > Duration::from_millis(80) && wait < Duration::from_millis(101), "{wait:?}");
        pool.take(7).await;
    }

    #[test]
    fn a_rested_pool_of_statistics_lets_a_burst_and_some_seconds_through() {
        let limits = Limits::default();
        assert_eq!(limits.futures_data_within(Duration::ZERO), 120);
        assert_eq!(limits.futures_data_within(Duration::from_secs(5)), 131);
    }

    #[test]
    fn a_cost_above_the_burst_still_goes_through() {
        let pool = Pool::new(10, Duration::from_secs(1));
        assert_eq!(pool.try_take(40), None);
        assert!(pool.try_take(1).is_some());
    }

    #[test]
    fn the_reported_count_stops_the_client_early() {
        let pool = Pool::new(2400, Duration::from_secs(60));
        assert!(!pool.is_nearly_spent(2000));
        assert!(pool.is_nearly_spent(2040));
    }
}
