//! How the exchange answers: what an operator asks first.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::RestError;

/// Failures in a row from which on the exchange counts as failing.
const FAILING: u32 = 3;

/// How the exchange answers, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestHealth {
    /// Requests sent so far.
    pub requests: u64,
    /// Of these, how many had no good answer.
    pub failures: u64,
    /// Answers that told this address to stop (429, 418, 403).
    pub stops: u64,
    /// How long no request is sent to the futures host, and to the spot host: zero if none is held back.
    pub shut: [Duration; 2],
    /// The answer that shut a door is a ban of the address (418).
    pub is_banned: bool,
    /// Whether the last requests failed, without a good answer since.
    pub is_failing: bool,
    /// The last failure, in words; none after a good answer.
    pub last_failure: Option<String>,
    /// Request weight of the futures host in this minute, as the exchange last said.
    pub used_weight: u32,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub requests: AtomicU64,
    pub used_weight: AtomicU32,
    failures: AtomicU64,
    stops: AtomicU64,
    in_a_row: AtomicU32,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    failure: Option<String>,
    is_ban: bool,
}

impl Tally {
    pub(super) fn succeeded(&self) {
        if self.in_a_row.swap(0, Ordering::Relaxed) > 0 {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Last::default();
        }
    }

    pub(super) fn failed(&self, error: &RestError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.in_a_row.fetch_add(1, Ordering::Relaxed);
        let mut is_ban = false;
        if let RestError::Stopped { status, .. } = error {
            self.stops.fetch_add(1, Ordering::Relaxed);
            is_ban = *status == 418;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.failure = Some(error.to_string());
        last.is_ban |= is_ban;
    }

    pub(super) fn health(&self, shut: [Duration; 2]) -> RestHealth {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_shut = shut.iter().any(|wait| !wait.is_zero());
        RestHealth {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            stops: self.stops.load(Ordering::Relaxed),
            shut,
            is_banned: is_shut && last.is_ban,
            is_failing: self.in_a_row.load(Ordering::Relaxed) >= FAILING,
            last_failure: last.failure.clone(),
            used_weight: self.used_weight.load(Ordering::Relaxed),
        }
    }
}

impl RestHealth {
    /// The word for it: `ok`, `failing`, `waiting` (told to slow down) or `banned`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        let is_shut = self.shut.iter().any(|wait| !wait.is_zero());
        match (self.is_banned, is_shut, self.is_failing) {
            (true, ..) => "banned",
            (_, true, _) => "waiting",
            (.., true) => "failing",
            _ => "ok",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(status: u16) -> RestError {
        RestError::Stopped { endpoint: "/x", status, message: "no".to_owned(), wait: Duration::from_secs(1) }
    }

    #[test]
    fn a_failing_exchange_is_told_from_one_that_asks_to_wait_and_from_a_ban() {
        let (open, shut) = ([Duration::ZERO; 2], [Duration::from_secs(9), Duration::ZERO]);
        let tally = Tally::default();
        assert_eq!(tally.health(open).state(), "ok");
        let failure = RestError::Server { endpoint: "/x", status: 500, message: "oops".to_owned() };
        (0..2).for_each(|_| tally.failed(&failure));
        assert_eq!(tally.health(open).state(), "ok", "now and then is nothing");
        tally.failed(&failure);
        assert_eq!(tally.health(open).state(), "failing");
        tally.succeeded();
        assert_eq!((tally.health(open).state(), tally.health(open).last_failure), ("ok", None));
        tally.failed(&stopped(429));
        assert_eq!(tally.health(shut).state(), "waiting");
        tally.failed(&stopped(418));
        assert_eq!((tally.health(shut).state(), tally.health(shut).stops), ("banned", 2));
    }
}
