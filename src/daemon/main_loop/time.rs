//! What time it is at the exchange. Its `/time` and the event times of its streams are heard; the clock of
//! this machine is only compared with them, so that it may be wrong by years, or jump, and no tick moves.
//!
//! No single answer is believed against the others, however little it is off: see [`super::voices`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::MainLoop;
use super::input::{Done, Handled};
use super::voices::{Voice, believed};
use crate::daemon::config::{ClockConfig, ClockSource};
use crate::daemon::status::ClockStatus;
use crate::daemon::storage::Job;
use backtestd_binance::clock::{ExchangeClock, SystemClock};
use backtestd_binance::{Rest, RestError, Stamped, Update};
use backtestd_core::clock::Clock;
use backtestd_core::market::{BAR_MS, Market, Ts};

/// Frames whose event times are remembered.
const FRAMES: usize = 9;
/// Streams that are ahead of our clock by more than this, real time, set it right.
const AHEAD: Duration = Duration::from_millis(500);
/// Two that tell the same time may be apart by the delay of a network and a header without fractions, ms of
/// real time.
const AGREE_REAL_MS: f64 = 2_000.0;
/// What is committed may lie so far ahead of the clock as answers differ, ms of real time.
const AHEAD_REAL_MS: f64 = 2_000.0;
/// Real time after which streams have nothing to say any more.
const HEARD_WITHIN: Duration = Duration::from_secs(10);
/// An answer that took longer says too little.
const SLOWEST_ANSWER: Duration = Duration::from_secs(1);
/// Difference between an answer and our clock that is left alone beside the answer's own way, real time.
const TOLERANCE: Duration = Duration::from_millis(20);
/// A clock of the machine that is off by more is a cause of degradation, ms.
const HOST_OFF_MS: i64 = 500;
/// Cause of degradation.
const TROUBLE: &str = "clock";
/// How often the exchange is asked for a proof that a bar has closed.
const PROOF_EVERY: Duration = Duration::from_secs(1);

/// An answer of `/time`.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeAnswer {
    /// The exchange's time when the answer arrived, as far as half of the way tells.
    pub at: Ts,
    /// How far from the truth that can be, ms of the exchange's time.
    pub within_ms: i64,
    /// The machine's clock minus it, ms.
    pub host_offset_ms: i64,
    /// What the answer's `Date` says, where it has one.
    date: Option<Ts>,
    received: Instant,
}

impl TimeAnswer {
    /// Asks once; none where the answer took too long to mean much.
    pub(super) async fn ask(rest: &Rest, speed: f64) -> Result<Option<Self>, RestError> {
        let sent = Instant::now();
        let told = rest.server_time(Market::Perp).await?;
        let way = sent.elapsed();
        if way > SLOWEST_ANSWER {
            return Ok(None);
        }
        let half_ms = (way.as_secs_f64() * 500.0 * speed) as i64;
        let at = Ts(told.0 + half_ms);
        let host_offset_ms = SystemClock.now().0 - at.0;
        let date = rest.dated(Market::Perp);
        Ok(Some(Self { at, within_ms: half_ms, host_offset_ms, date, received: Instant::now() }))
    }

    /// What was `at` when the answer came, now.
    fn since(&self, at: Ts, speed: f64) -> Ts {
        Ts(at.0 + (self.received.elapsed().as_secs_f64() * 1000.0 * speed) as i64)
    }
}

/// Keeps the clock of the daemon.
#[derive(Debug)]
pub(super) struct Timekeeper {
    /// None: the clock was given, and is the exchange's own.
    clock: Option<ExchangeClock>,
    source: ClockSource,
    /// Event time minus our clock of the newest frames, ms.
    ahead_ms: VecDeque<i64>,
    heard: Option<Instant>,
    /// Event times of these frames.
    events: VecDeque<Ts>,
    /// The last time that was told and believed.
    told: Option<Ts>,
    /// At least two agreed on the time that our clock carries on.
    is_agreed: bool,
    is_asking: bool,
}

impl Timekeeper {
    pub(super) fn new(clock: Option<ExchangeClock>, config: ClockConfig) -> Self {
        let ahead_ms = VecDeque::with_capacity(FRAMES + 1);
        let events = VecDeque::with_capacity(FRAMES + 1);
        let source = config.source;
        Self { clock, source, ahead_ms, heard: None, events, told: None, is_agreed: false, is_asking: false }
    }

    fn speed(&self) -> f64 {
        self.clock.as_ref().map_or(1.0, ExchangeClock::speed)
    }

    /// Whole bars of the exchange within a stretch of real time.
    pub(super) fn bars_within(&self, real_ms: f64) -> i64 {
        (real_ms * self.speed()) as i64 / BAR_MS
    }

    /// Stamps anew what was stamped before our clock was told the time.
    pub(super) fn stamp(&self, stamped: &mut Stamped) {
        if let Some(clock) = &self.clock {
            stamped.stamp_by(clock);
        }
    }

    /// Takes note of a frame. Our clock is set right if the streams are ahead of it: an event cannot lie in
    /// the future.
    pub(super) fn hear(&mut self, update: &Update) {
        let (Some(clock), Some(event)) = (&self.clock, update.event_ts()) else { return };
        self.ahead_ms.push_back(event.0 - clock.now().0);
        self.events.push_back(event);
        self.heard = Some(Instant::now());
        if self.ahead_ms.len() > FRAMES {
            self.ahead_ms.pop_front();
        }
        if self.events.len() > FRAMES {
            self.events.pop_front();
        }
        let limit_ms = (AHEAD.as_secs_f64() * 1000.0 * clock.speed()) as i64;
        if let Some(ahead_ms) = self.median().filter(|ahead_ms| *ahead_ms > limit_ms) {
            tracing::info!(ahead_ms, "the streams are ahead of our clock, which is set right");
            clock.set(Ts(clock.now().0 + ahead_ms));
            self.ahead_ms.clear();
        }
    }

    /// By how much the streams are ahead of our clock; none while too few frames were heard lately.
    fn median(&self) -> Option<i64> {
        let is_fresh = self.heard.is_some_and(|at| at.elapsed() < HEARD_WITHIN);
        if !is_fresh || self.ahead_ms.len() < FRAMES {
            return None;
        }
        let mut sorted: Vec<i64> = self.ahead_ms.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// Whether enough frames were heard to contradict anybody.
    pub(super) fn has_heard(&self) -> bool {
        self.median().is_some()
    }

    /// Takes an answer of `/time`; says what is wrong, if anything is.
    pub(super) fn told(&mut self, answer: &TimeAnswer) -> Option<String> {
        let clock = self.clock.as_ref()?;
        let (speed, now) = (clock.speed(), clock.now());
        let told = answer.since(answer.at, speed);
        let verdict = believed(&self.voices(answer, now, speed), (AGREE_REAL_MS * speed) as i64)?;
        self.is_agreed = verdict.is_agreed || verdict.by == Voice::Carried;
        self.told = Some(verdict.at);
        let tolerance_ms = answer.within_ms + (TOLERANCE.as_secs_f64() * 1000.0 * speed) as i64;
        if !clock.is_set() || (verdict.at.0 - now.0).abs() > tolerance_ms {
            clock.set(verdict.at);
            self.ahead_ms.clear();
        }
        if verdict.by != Voice::Time {
            let (off, by) = (seconds(told.0 - verdict.at.0), verdict.by.name());
            return Some(format!("the exchange's /time is {off} off {by}, which is believed"));
        }
        let is_off = self.source == ClockSource::System && answer.host_offset_ms.abs() > HOST_OFF_MS;
        is_off.then(|| {
            let off = seconds(answer.host_offset_ms);
            format!("the clock of this machine is {off} off the exchange's, which is used")
        })
    }

    /// Everybody who says what time it is now.
    fn voices(&self, answer: &TimeAnswer, now: Ts, speed: f64) -> Vec<(Voice, Ts)> {
        let streams = self.median().map(|ahead_ms| Ts(now.0 + ahead_ms));
        // The clock of this machine is in another world than a simulated exchange.
        let is_system = self.source == ClockSource::System;
        let host = is_system.then_some(Ts(answer.at.0 + answer.host_offset_ms));
        let since = |at: Ts| answer.since(at, speed);
        [
            (Voice::Streams, streams),
            (Voice::Carried, self.is_agreed.then_some(now)),
            (Voice::Time, Some(since(answer.at))),
            (Voice::Date, answer.date.map(since)),
            (Voice::Host, host.map(since)),
        ]
        .into_iter()
        .filter_map(|(voice, at)| Some((voice, at?)))
        .collect()
    }

    /// Whether somebody else says what time it is, and none of them the same.
    pub(super) fn is_contradicted(&self, answer: &TimeAnswer) -> bool {
        answer.date.is_some() || self.median().is_some()
    }

    /// Whether at least two have told the time that the clock shows.
    pub(super) const fn is_agreed(&self) -> bool {
        self.is_agreed
    }

    /// Whether the exchange has shown that `at` has passed: our clock alone, which a machine carries on,
    /// proves nothing.
    pub(super) fn proves(&self, at: Ts) -> bool {
        let mut events: Vec<Ts> = self.events.iter().copied().collect();
        events.sort_unstable();
        let event = events.get(events.len() / 2);
        self.clock.is_none()
            || self.told.is_some_and(|told| told >= at)
            || event.is_some_and(|event| *event >= at)
    }

    /// Goes by the streams alone.
    pub(super) fn go_by_streams(&mut self) {
        if let (Some(clock), Some(ahead_ms)) = (&self.clock, self.median()) {
            clock.set(Ts(clock.now().0 + ahead_ms));
            self.ahead_ms.clear();
        }
    }

    /// The section of the status.
    pub(super) fn status(&self, answer: &TimeAnswer) -> ClockStatus {
        let is_system = self.source == ClockSource::System;
        ClockStatus {
            source: "exchange",
            offset_ms: is_system.then_some(answer.host_offset_ms),
            within_ms: answer.within_ms,
            asked_at: Some(answer.at),
        }
    }
}

/// A difference as people read it: "+45.0 s".
fn seconds(ms: i64) -> String {
    format!("{:+.1} s", ms as f64 / 1000.0)
}

impl MainLoop {
    /// Once a tick, for everybody.
    pub(super) fn ask_time(&mut self) {
        if self.time.clock.is_none() || self.time.is_asking {
            return;
        }
        self.time.is_asking = true;
        let (rest, speed) = (self.rest.clone(), self.time.speed());
        self.tasks.spawn(async move { Done::Time(TimeAnswer::ask(&rest, speed).await) });
    }

    pub(super) fn on_time(&mut self, result: Result<Option<TimeAnswer>, RestError>) -> Handled {
        self.time.is_asking = false;
        match result {
            Ok(Some(answer)) => {
                let trouble = self.time.told(&answer);
                let status = self.time.status(&answer);
                self.shared.update(|s| s.clock = status);
                self.trouble(TROUBLE, trouble);
            }
            Ok(None) => tracing::debug!("the exchange took too long to say what time it is"),
            Err(error) => tracing::warn!(%error, "the exchange does not say what time it is"),
        }
        let now = self.shared.clock.now();
        if self.closing.is_some_and(|closing| closing.bar.close() > now) {
            // Our clock was ahead: the bar is still open.
            self.closing = None;
        }
        self.look_at_present();
        self.try_close()
    }

    /// A tick of which nothing has come closes only when the exchange has shown that its time has passed.
    pub(super) fn ask_for_proof(&mut self) -> Handled {
        if let Some(closing) = &mut self.closing {
            closing.grace_ends = tokio::time::Instant::now() + PROOF_EVERY;
        }
        self.ask_time();
        Handled::Started("ask what time it is")
    }

    /// Nothing that is committed may lie behind the present: if the exchange's clock went back, the store
    /// follows.
    fn look_at_present(&mut self) {
        let now = self.shared.clock.now();
        let next = self.book.next();
        let slack_ms = 2 * BAR_MS + (AHEAD_REAL_MS * self.time.speed()) as i64;
        if !self.is_live() || self.advancing || next.open().0 <= now.0 + slack_ms {
            return;
        }
        tracing::warn!(%next, %now, "what is committed lies in the future: going back");
        self.advancing = true;
        self.submit(|reply| Job::Present { now, reply }, Done::WentBack);
    }

    pub(super) fn on_went_back(&mut self, next: backtestd_core::market::BarIndex) -> Handled {
        self.advancing = false;
        self.book.closed_to(next);
        self.catch_up();
        Handled::Started("catch up")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_binance::MarkUpdate;
    use backtestd_core::market::Symbol;

    const SYSTEM: ClockConfig = ClockConfig { source: ClockSource::System, speed: 1.0 };
    const NOON: Ts = Ts(1_790_000_000_000);

    fn frame(event_ts: Ts) -> Update {
        Update::Mark(MarkUpdate {
            symbol: Symbol::new("BTCUSDT").unwrap(),
            mark: 1.0,
            index: 1.0,
            predicted_rate: 0.0,
            next_funding_ts: None,
            event_ts,
        })
    }

    fn answer(at: Ts, host_offset_ms: i64) -> TimeAnswer {
        TimeAnswer { at, within_ms: 5, host_offset_ms, date: None, received: Instant::now() }
    }

    fn keeper(now: Ts) -> (Timekeeper, ExchangeClock) {
        let clock = ExchangeClock::new(1.0);
        clock.set(now);
        (Timekeeper::new(Some(clock.clone()), SYSTEM), clock)
    }

    fn is_about(clock: &ExchangeClock, at: Ts) -> bool {
        (clock.now().0 - at.0).abs() < 200
    }

    #[test]
    fn a_clock_of_the_machine_that_is_years_off_is_named_and_not_used() {
        let clock = ExchangeClock::new(1.0);
        let mut time = Timekeeper::new(Some(clock.clone()), SYSTEM);
        let four_years = 4 * 365 * 86_400_000;
        let trouble = time.told(&answer(NOON, four_years)).unwrap();
        assert_eq!(trouble, "the clock of this machine is +126144000.0 s off the exchange's, which is used");
        assert!(is_about(&clock, NOON));
        assert_eq!(time.told(&answer(NOON, -400)), None);
        assert!(time.told(&answer(NOON, -1_000)).unwrap().contains("-1.0 s"));
    }

    #[test]
    fn streams_that_are_ahead_set_the_clock_right_and_a_single_frame_does_not() {
        let (mut time, clock) = keeper(NOON);
        time.hear(&frame(Ts(NOON.0 + 400 * 86_400_000)));
        (0..20).for_each(|_| time.hear(&frame(clock.now())));
        assert!(is_about(&clock, NOON), "one absurd frame is outvoted");
        (0..20).for_each(|_| time.hear(&frame(Ts(NOON.0 + 60_000))));
        assert!(is_about(&clock, Ts(NOON.0 + 60_000)), "after a sleep of the machine");
        (0..20).for_each(|_| time.hear(&frame(NOON)));
        assert!(is_about(&clock, Ts(NOON.0 + 60_000)), "late frames say nothing");
    }

    #[test]
    fn our_own_clock_proves_nothing_until_the_exchange_has_shown_the_time() {
        let (mut time, clock) = keeper(NOON);
        assert!(!time.proves(NOON));
        time.told(&answer(NOON, 0));
        let later = Ts(NOON.0 + 300_000);
        assert!(time.proves(NOON) && !time.proves(later));
        clock.set(Ts(later.0 + 86_400_000));
        assert!(!time.proves(later), "the machine's monotonic clock jumped");
        (0..9).for_each(|_| time.hear(&frame(later)));
        assert!(time.proves(later));
    }

    #[test]
    fn a_time_that_is_false_by_minutes_or_days_is_not_believed() {
        for off in [-864_000_000, -540_000, -3_000, 3_000, 60_000, 540_000, 864_000_000] {
            let (mut time, clock) = keeper(Ts(NOON.0 + 5_000));
            (0..20).for_each(|_| time.hear(&frame(NOON)));
            let right = TimeAnswer { date: Some(NOON), ..answer(NOON, 0) };
            assert_eq!(time.told(&right), None);
            let trouble = time.told(&TimeAnswer { date: Some(NOON), ..answer(Ts(NOON.0 + off), 0) }).unwrap();
            assert!(trouble.contains(" off the time agreed on before, which is believed"), "{trouble}");
            assert!(is_about(&clock, NOON), "{off}");
            assert!(!time.proves(Ts(NOON.0 + 1_000)), "{off}");
            // Not by frames, nor by a Date: what two have told before stands.
            time.heard = None;
            assert!(time.told(&answer(Ts(NOON.0 + off), off)).is_some(), "{off}");
            assert!(is_about(&clock, NOON), "{off}");
            assert_eq!(time.told(&right), None, "once they agree");
        }
    }

    #[test]
    fn a_machine_that_slept_takes_the_time_that_two_tell() {
        let (mut time, clock) = keeper(NOON);
        let dated = |at: Ts| TimeAnswer { date: Some(at), ..answer(at, 0) };
        assert_eq!(time.told(&dated(NOON)), None);
        let morning = Ts(NOON.0 + 9 * 3_600_000);
        assert_eq!(time.told(&dated(morning)), None);
        assert!(is_about(&clock, morning));
    }
}
