//! Request limits as the venue keeps them: a weight per minute for each market, and two side pools for which
//! no header is sent. Windows are counted in REAL time from the start of the exchange, also when the market's
//! clock runs fast: a client pays for what it asks of the machine, not for the virtual minutes that pass
//! meanwhile.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A counter that requests are charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pool {
    /// `/fapi`: weight per minute.
    Futures,
    /// `/api/v3`: weight per minute.
    Spot,
    /// `/futures/data`: requests per five minutes.
    FuturesData,
    /// Funding history and info together: requests per five minutes.
    Funding,
}

/// Sizes of the pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Weight per real minute and address on `/fapi`.
    pub futures_weight_per_minute: u32,
    /// Weight per real minute and address on `/api/v3`.
    pub spot_weight_per_minute: u32,
    /// Requests per five real minutes and address on `/futures/data`.
    pub futures_data_per_5m: u32,
    /// Requests per five real minutes and address on funding history and info.
    pub funding_per_5m: u32,
    /// Requests answered 429 in one window before the address is banned.
    pub refusals_before_ban: u32,
    /// First ban in seconds; each further one is twice as long, up to three days.
    pub first_ban_seconds: u64,
}

impl Default for Limits {
    /// The real venue's numbers.
    fn default() -> Self {
        Self {
            futures_weight_per_minute: 2400,
            spot_weight_per_minute: 6000,
            futures_data_per_5m: 1000,
            funding_per_5m: 500,
            refusals_before_ban: 20,
            first_ban_seconds: 120,
        }
    }
}

impl Limits {
    /// The venue's numbers per minute of a clock that runs `factor` times as fast: a client that keeps to the
    /// venue's limits in the exchange's time is served. A factor below 1 changes nothing.
    #[must_use]
    pub fn scaled(factor: f64) -> Self {
        let times = |limit: u32| (f64::from(limit) * factor.max(1.0)) as u32;
        let real = Self::default();
        Self {
            futures_weight_per_minute: times(real.futures_weight_per_minute),
            spot_weight_per_minute: times(real.spot_weight_per_minute),
            futures_data_per_5m: times(real.futures_data_per_5m),
            funding_per_5m: times(real.funding_per_5m),
            ..real
        }
    }

    /// No limits: for a client that shares the process and is told not to hold back either.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self {
            futures_weight_per_minute: u32::MAX,
            spot_weight_per_minute: u32::MAX,
            futures_data_per_5m: u32::MAX,
            funding_per_5m: u32::MAX,
            refusals_before_ban: u32::MAX,
            first_ban_seconds: 1,
        }
    }
}

/// Whether a request may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes; the weight used in this window so far.
    Served { used: u32 },
    /// No: 429, wait so long.
    Refused { limit: u32, wait: Duration },
    /// No: 418, wait so long.
    Banned { wait: Duration },
}

const MAX_BAN: Duration = Duration::from_secs(3 * 86_400);

#[derive(Debug, Default)]
struct Counter {
    window: u64,
    used: u32,
    refused: u32,
}

/// What one address did at one host: futures and spot ban separately.
#[derive(Debug, Default)]
struct Address {
    pools: BTreeMap<Pool, Counter>,
    bans: u32,
    banned_until: Option<Instant>,
}

/// The counters of all addresses.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    started: Instant,
    addresses: Mutex<BTreeMap<(IpAddr, bool), Address>>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, started: Instant::now(), addresses: Mutex::new(BTreeMap::new()) }
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    const fn size(&self, pool: Pool) -> (u32, u64) {
        match pool {
            Pool::Futures => (self.limits.futures_weight_per_minute, 60),
            Pool::Spot => (self.limits.spot_weight_per_minute, 60),
            Pool::FuturesData => (self.limits.futures_data_per_5m, 300),
            Pool::Funding => (self.limits.funding_per_5m, 300),
        }
    }

    /// Charges a request.
    pub(crate) fn charge(&self, address: IpAddr, pool: Pool, weight: u32, now: Instant) -> Admission {
        let (limit, seconds) = self.size(pool);
        let elapsed = now.saturating_duration_since(self.started);
        let window = elapsed.as_secs() / seconds;
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let state = addresses.entry((address, pool == Pool::Spot)).or_default();
        if let Some(until) = state.banned_until {
            if now < until {
                return Admission::Banned { wait: until - now };
            }
            state.banned_until = None;
        }
        let counter = state.pools.entry(pool).or_default();
        if counter.window != window {
            *counter = Counter { window, ..Counter::default() };
        }
        if counter.used.saturating_add(weight) <= limit {
            counter.used += weight;
            return Admission::Served { used: counter.used };
        }
        counter.refused += 1;
        if counter.refused > self.limits.refusals_before_ban {
            counter.refused = 0;
            let ban = Duration::from_secs(self.limits.first_ban_seconds << state.bans.min(12)).min(MAX_BAN);
            state.bans += 1;
            state.banned_until = Some(now + ban);
            return Admission::Banned { wait: ban };
        }
        Admission::Refused {
            limit,
            wait: Duration::from_secs((window + 1) * seconds).saturating_sub(elapsed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_with_the_clock_and_never_below_the_venue_s() {
        let fast = Limits::scaled(600.0);
        assert_eq!((fast.futures_weight_per_minute, fast.futures_data_per_5m), (1_440_000, 600_000));
        assert_eq!(Limits::scaled(0.5), Limits::default());
        assert_eq!(Limits::scaled(1e9).futures_weight_per_minute, u32::MAX);
    }

    #[test]
    fn a_client_that_goes_on_after_429_is_banned_and_each_ban_is_longer() {
        let limits = Limits { futures_weight_per_minute: 10, refusals_before_ban: 1, ..Limits::default() };
        let limiter = Limiter::new(limits);
        let ip = IpAddr::from([127, 0, 0, 1]);
        let mut now = limiter.started;
        assert_eq!(limiter.charge(ip, Pool::Futures, 10, now), Admission::Served { used: 10 });
        assert!(matches!(limiter.charge(ip, Pool::Futures, 1, now), Admission::Refused { limit: 10, .. }));
        assert_eq!(
            limiter.charge(ip, Pool::Futures, 1, now),
            Admission::Banned { wait: Duration::from_secs(120) }
        );
        assert!(matches!(limiter.charge(ip, Pool::FuturesData, 1, now), Admission::Banned { .. }));
        assert_eq!(limiter.charge(ip, Pool::Spot, 1, now), Admission::Served { used: 1 }, "another host");
        now += Duration::from_secs(121);
        assert_eq!(limiter.charge(ip, Pool::Futures, 10, now), Admission::Served { used: 10 });
        let _ = limiter.charge(ip, Pool::Futures, 1, now);
        assert_eq!(
            limiter.charge(ip, Pool::Futures, 1, now),
            Admission::Banned { wait: Duration::from_secs(240) }
        );
    }
}
