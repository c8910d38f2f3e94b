//! Silence, per stream kind.
//!
//! A socket that answers pings proves nothing: a wrong or retired path acknowledges every subscription and
//! then sends only some kinds. So each kind is watched by itself, against the longest pause that is normal
//! for it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::routes::StreamKind;
use backtestd_core::market::Ts;

/// How often a limit doubles when replacing the socket did not help (a symbol may really be that quiet).
const DOUBLINGS: u32 = 5;

/// The longest normal pauses.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    /// Klines: four a second while there are trades, per symbol.
    pub kline_ms: i64,
    /// Trades, single and aggregated.
    pub trade_ms: i64,
    /// Mark prices: every second or every third.
    pub mark_price_ms: i64,
    /// Liquidations: rare by nature, so hardly an alarm. What kills them alone has not been seen; what kills
    /// their whole route shows in its other kinds within seconds.
    pub force_order_ms: i64,
    /// Best quotes and book levels.
    pub book_ms: i64,
    /// Least real time before silence counts, whatever the clock's speed.
    pub floor: Duration,
}

impl Default for Silence {
    fn default() -> Self {
        Self {
            kline_ms: 60_000,
            trade_ms: 120_000,
            mark_price_ms: 15_000,
            force_order_ms: 12 * 3_600_000,
            book_ms: 60_000,
            floor: Duration::from_secs(3),
        }
    }
}

impl Silence {
    /// `None`: the kind may be silent for ever.
    const fn limit_ms(&self, kind: StreamKind) -> Option<i64> {
        match kind {
            StreamKind::Kline => Some(self.kline_ms),
            StreamKind::AggTrade | StreamKind::Trade => Some(self.trade_ms),
            StreamKind::MarkPrice => Some(self.mark_price_ms),
            StreamKind::ForceOrder => Some(self.force_order_ms),
            StreamKind::BookTicker | StreamKind::Depth => Some(self.book_ms),
            StreamKind::ContractInfo => None,
        }
    }
}

/// Limits of one connection's kinds, kept over its successive sockets.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    silence: Silence,
    doublings: BTreeMap<StreamKind, u32>,
}

impl Patience {
    pub(super) const fn new(silence: Silence) -> Self {
        Self { silence, doublings: BTreeMap::new() }
    }

    fn limit_ms(&self, kind: StreamKind) -> Option<i64> {
        let doublings = self.doublings.get(&kind).copied().unwrap_or(0);
        Some(self.silence.limit_ms(kind)?.saturating_mul(1 << doublings))
    }

    /// The kind stayed silent on a whole socket: wait longer on the next one.
    pub(super) fn was_fruitless(&mut self, kind: StreamKind) {
        let doublings = self.doublings.entry(kind).or_default();
        *doublings = (*doublings + 1).min(DOUBLINGS);
    }

    /// Whether a limit is longer than configured.
    pub(super) fn is_stretched(&self, kind: StreamKind) -> bool {
        self.doublings.contains_key(&kind)
    }

    /// The kind has spoken.
    pub(super) fn was_heard(&mut self, kind: StreamKind) {
        self.doublings.remove(&kind);
    }
}

/// When each kind was last heard on one socket.
#[derive(Clone, Debug)]
pub(super) struct Liveness {
    kinds: BTreeMap<StreamKind, Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Ts,
    real: Duration,
    ever: bool,
}

/// A kind that was silent for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silent {
    pub kind: StreamKind,
    /// When the kind was last heard, or first expected.
    pub since: Ts,
    /// Not one message of it on this socket.
    pub never_heard: bool,
    /// Not one message of any kind: what was acknowledged is not served at all.
    pub is_deaf: bool,
}

impl Liveness {
    /// Everything counts from `now` (`real`: monotonic time of the process).
    pub(super) fn new(kinds: impl Iterator<Item = StreamKind>, now: Ts, real: Duration) -> Self {
        Self { kinds: kinds.map(|kind| (kind, Heard { at: now, real, ever: false })).collect() }
    }

    /// Notes a message; says whether it is the first of its kind.
    pub(super) fn heard(&mut self, kind: StreamKind, now: Ts, real: Duration) -> bool {
        let Some(heard) = self.kinds.get_mut(&kind) else { return false };
        let is_first = !heard.ever;
        *heard = Heard { at: now, real, ever: true };
        is_first
    }

    /// The first kind that is silent beyond its limit, if any. `wall` says how long so many milliseconds of
    /// the clock are really: the clock itself may have been set meanwhile.
    pub(super) fn silent(
        &self,
        patience: &Patience,
        wall: impl Fn(i64) -> Duration,
        real: Duration,
    ) -> Option<Silent> {
        let is_deaf = self.kinds.values().all(|heard| !heard.ever);
        self.kinds.iter().find_map(|(kind, heard)| {
            let limit_ms = patience.limit_ms(*kind)?;
            let longest = wall(limit_ms).max(patience.silence.floor);
            let is_silent = real.saturating_sub(heard.real) > longest;
            is_silent.then_some(Silent { kind: *kind, since: heard.at, never_heard: !heard.ever, is_deaf })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: StreamKind = StreamKind::MarkPrice;
    const KLINE: StreamKind = StreamKind::Kline;

    /// A clock that runs as fast as it should.
    fn wall(ms: i64) -> Duration {
        Duration::from_millis(ms.unsigned_abs())
    }

    fn at(seconds: i64) -> (Ts, Duration) {
        (Ts(seconds * 1000), Duration::from_secs(seconds.unsigned_abs()))
    }

    #[test]
    fn one_silent_kind_is_seen_while_others_flow() {
        let patience = Patience::new(Silence::default());
        let mut liveness = Liveness::new([MARK, KLINE].into_iter(), at(0).0, at(0).1);
        for second in 1..=60 {
            liveness.heard(MARK, at(second).0, at(second).1);
            assert_eq!(liveness.silent(&patience, wall, at(second).1), None);
        }
        liveness.heard(MARK, at(61).0, at(61).1);
        let silent = liveness.silent(&patience, wall, at(61).1).unwrap();
        assert_eq!(silent, Silent { kind: KLINE, since: Ts(0), never_heard: true, is_deaf: false });
        let deaf = Liveness::new([MARK, KLINE].into_iter(), at(0).0, at(0).1);
        assert!(deaf.silent(&patience, wall, at(61).1).unwrap().is_deaf, "nothing at all");
    }

    #[test]
    fn accelerated_time_alone_does_not_make_silence() {
        let patience = Patience::new(Silence::default());
        let liveness = Liveness::new([MARK].into_iter(), Ts(0), Duration::ZERO);
        // An hour of market time in one real second.
        let hurried = |ms: i64| wall(ms / 3600);
        assert_eq!(liveness.silent(&patience, hurried, Duration::from_secs(1)), None);
        assert!(liveness.silent(&patience, hurried, Duration::from_secs(4)).is_some());
    }

    #[test]
    fn patience_grows_while_replacing_the_socket_does_not_help() {
        let mut patience = Patience::new(Silence::default());
        let silent_after = |patience: &Patience| {
            let liveness = Liveness::new([KLINE].into_iter(), Ts(0), Duration::ZERO);
            (1..10_000).find(|s| liveness.silent(patience, wall, at(*s).1).is_some()).unwrap()
        };
        assert_eq!(silent_after(&patience), 61);
        patience.was_fruitless(KLINE);
        assert_eq!(silent_after(&patience), 121);
        for _ in 0..20 {
            patience.was_fruitless(KLINE);
        }
        assert_eq!(silent_after(&patience), 60 * 32 + 1);
        patience.was_heard(KLINE);
        assert_eq!(silent_after(&patience), 61);
    }

    #[test]
    fn contract_news_may_be_silent_for_ever() {
        let patience = Patience::new(Silence::default());
        let liveness = Liveness::new([StreamKind::ContractInfo].into_iter(), Ts(0), Duration::ZERO);
        assert_eq!(liveness.silent(&patience, wall, Duration::MAX), None);
    }
}
