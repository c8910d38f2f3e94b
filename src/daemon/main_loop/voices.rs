//! Who says what time it is at the exchange, and who is believed.
//!
//! One voice alone may be false, by hours or by minutes. A time is believed that two of them tell
//! independently: `/time`, the event times of the streams, the `Date` of the answer (written by the server in
//! front), this machine's own clock, and the time that two of them told before, carried on since.

use backtestd_core::market::Ts;

/// Somebody who tells the time. Where as many stand against as many, the one named first here is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// The event times of many frames.
    Streams,
    /// What was agreed on before, carried on by this machine's monotonic clock.
    Carried,
    /// The answer of `/time`.
    Time,
    /// The `Date` header of that answer.
    Date,
    /// The wall clock of this machine.
    Host,
}

impl Voice {
    /// The name that messages give it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Streams => "the exchange's streams",
            Self::Carried => "the time agreed on before",
            Self::Time => "/time",
            Self::Date => "the Date of its answers",
            Self::Host => "the clock of this machine",
        }
    }
}

/// What is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whose time it is: `/time` where it is among those that agree, as the most exact one.
    pub by: Voice,
    /// The time itself.
    pub at: Ts,
    /// Whether at least two agree on it.
    pub is_agreed: bool,
}

/// The time on which most voices agree within `within_ms`; none where nobody speaks.
pub(super) fn believed(voices: &[(Voice, Ts)], within_ms: i64) -> Option<Verdict> {
    let agrees = |a: Ts, b: Ts| (a.0 - b.0).abs() <= within_ms;
    let followers = |at: Ts| voices.iter().filter(|(_, other)| agrees(at, *other)).count();
    let rank = |voice: Voice| voice as usize;
    let (_, at) =
        voices.iter().max_by_key(|(voice, at)| (followers(*at), std::cmp::Reverse(rank(*voice))))?;
    let is_agreed = followers(*at) > 1;
    [Voice::Time, Voice::Carried, Voice::Streams, Voice::Date, Voice::Host].into_iter().find_map(|by| {
        let (_, at) = voices.iter().find(|(voice, told)| *voice == by && agrees(*at, *told))?;
        Some(Verdict { by, at: *at, is_agreed })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_790_000_000_000;

    fn by(voices: &[(Voice, i64)]) -> (Voice, i64, bool) {
        let voices: Vec<(Voice, Ts)> =
            voices.iter().map(|(voice, s)| (*voice, Ts(NOON + s * 1000))).collect();
        let verdict = believed(&voices, 2_000).unwrap();
        (verdict.by, (verdict.at.0 - NOON) / 1000, verdict.is_agreed)
    }

    #[test]
    fn a_time_that_nobody_else_tells_is_not_believed_however_little_it_is_off() {
        use Voice::{Carried, Date, Host, Streams, Time};
        for off in [-86_400, -300, -5, 5, 300, 540, 86_400] {
            assert_eq!(by(&[(Streams, 0), (Time, off), (Date, 0)]), (Streams, 0, true), "{off}");
            assert_eq!(by(&[(Carried, 0), (Time, off), (Date, 0)]), (Carried, 0, true), "{off}");
            assert_eq!(by(&[(Time, off), (Date, 0), (Host, 1)]), (Date, 0, true), "{off}");
            assert_eq!(by(&[(Streams, 0), (Time, off)]), (Streams, 0, false), "{off}");
            assert_eq!(by(&[(Carried, 0), (Time, off)]), (Carried, 0, false), "{off}");
        }
    }

    #[test]
    fn streams_that_come_late_and_a_machine_that_slept_hold_up_nobody() {
        use Voice::{Carried, Date, Host, Streams, Time};
        assert_eq!(by(&[(Streams, -900), (Carried, 0), (Time, 1)]), (Time, 1, true));
        assert_eq!(by(&[(Carried, -7200), (Time, 0), (Date, -1)]), (Time, 0, true));
        assert_eq!(by(&[(Streams, 0), (Carried, -7200), (Time, 0), (Date, 0)]), (Time, 0, true));
        // A machine that is years off, beside a server that tells no Date.
        assert_eq!(by(&[(Time, 0), (Host, -126_144_000)]), (Time, 0, false));
        // Two against two: many frames and what was known before.
        assert_eq!(by(&[(Streams, 0), (Carried, 0), (Time, 600), (Date, 600)]), (Carried, 0, true));
    }

    #[test]
    fn where_nobody_speaks_nothing_is_believed() {
        assert_eq!(believed(&[], 2_000), None);
    }
}
