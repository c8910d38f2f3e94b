//! `live:` of `spec/sources.yaml`: what a stream may tell, when the exchange is asked again, and what a tick
//! waits for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ranges::{OutOfRanges, Ranges};

const FILE: &str = "sources.yaml";
/// Bars of a week, seconds of a month: beyond these a rule would never be met.
const MOST_BARS: u32 = 2016;
const MOST_SECONDS: u32 = 31 * 86_400;

/// How a daemon comes to final records: nothing of it changes what a final record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveRules {
    /// Wait before a hole is asked about again, in seconds, by how many answers agree that there is nothing;
    /// the last one repeats.
    pub hole_patience_s: Vec<u32>,
    /// Bars (of statistics labels) before an open stretch that are asked for once more: the newest rows of an
    /// answer are not always final.
    pub asked_again_bars: u32,
    /// Settlements of so many seconds before an open stretch are asked for once more: they may be told late.
    pub settlements_again_s: u32,
    /// What describes an instant may be told this many seconds later: only then its absence means something.
    pub told_within_s: u32,
    /// After so many bars in a row that the exchange does not have either, a tick does not wait for a series
    /// any more.
    pub absent_after_bars: u32,
    /// Closed klines of a series that may wait for the first trade behind them, where trades are collected.
    pub trades_within_bars: u32,
    /// The daily comparison of bars with the exchange.
    pub audit: AuditRules,
    /// What a stream may tell.
    pub streams: StreamRules,
}

/// When bars and marks are compared with the exchange once more: it corrects some days later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditRules {
    /// So many seconds after midnight (UTC).
    pub after_midnight_s: u32,
    /// Which days, counted back from yesterday, which is 0.
    pub days_back: Vec<u32>,
    /// The comparison with the files of the exchange's public archive.
    pub archive: ArchiveRules,
}

/// When daily files of the public archive are asked for, and how fast: they appear hours after the day, may
/// be days late, and some are published once more with other rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveRules {
    /// So many days before today are compared with their files, the newest first; 0 compares none.
    pub days: u32,
    /// A file is asked for from so many seconds after the end of its day on.
    pub after_midnight_s: u32,
    /// Wait before a file that was not there is asked for again, in seconds, by how often it was not; the
    /// last one repeats.
    pub again_after_s: Vec<u32>,
    /// So many days after its end the checksum of a day's file is asked for once more: where it has changed,
    /// the file was published anew and is compared again.
    pub checksum_again_days: Vec<u32>,
    /// Files that are asked for within a minute, at most.
    pub files_per_minute: u32,
    /// Files that are asked for at the same time.
    pub files_at_once: u32,
}

/// What a stream may tell: the bar that has just closed and its few neighbours, and events of the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamRules {
    /// Bars before the one that has just closed that a stream may tell; older ones are for REST to tell.
    pub back_bars: u32,
    /// An event time further from the present than this, in seconds, is no event of the present.
    pub event_within_s: u32,
    /// A bar may be told as closed so many milliseconds before our clock says that it has closed.
    pub ahead_ms: u32,
    /// A frame of an exchange in a hurry (`clock_speed` above 1) may be late by so many milliseconds of real
    /// time.
    pub late_ms: u32,
}

impl LiveRules {
    /// Every value that nothing can be worked out with.
    ///
    /// # Errors
    /// With all of them.
    pub fn validate(&self) -> Result<(), OutOfRanges> {
        let mut ranges = Ranges::of(FILE);
        let seconds = |value: u32| value <= MOST_SECONDS;
        let patience = &self.hole_patience_s;
        ranges.check(!patience.is_empty(), "live.hole_patience_s", "empty", "one wait at least");
        for (at, pair) in patience.windows(2).enumerate() {
            let field = format!("live.hole_patience_s[{}]", at + 1);
            ranges.check(pair[0] < pair[1], &field, pair[1], "longer than the wait before it");
        }
        for (at, wait) in patience.iter().enumerate() {
            ranges.check(seconds(*wait), &format!("live.hole_patience_s[{at}]"), wait, "a month at most");
        }
        for (field, value) in [
            ("settlements_again_s", self.settlements_again_s),
            ("told_within_s", self.told_within_s),
            ("streams.event_within_s", self.streams.event_within_s),
        ] {
            ranges.check(seconds(value), &format!("live.{field}"), value, "a month at most");
        }
        for (field, value, least) in [
            ("asked_again_bars", self.asked_again_bars, 1),
            ("absent_after_bars", self.absent_after_bars, 1),
            ("trades_within_bars", self.trades_within_bars, 1),
            ("streams.back_bars", self.streams.back_bars, 0),
        ] {
            let rule = if least == 0 { "2016 at most" } else { "from 1 to 2016" };
            ranges.check((least..=MOST_BARS).contains(&value), &format!("live.{field}"), value, rule);
        }
        for (field, value) in [("ahead_ms", self.streams.ahead_ms), ("late_ms", self.streams.late_ms)] {
            ranges.check(value <= 60_000, &format!("live.streams.{field}"), value, "a minute at most");
        }
        let after = self.audit.after_midnight_s;
        ranges.check(after < 86_400, "live.audit.after_midnight_s", after, "less than a day");
        for (at, days) in self.audit.days_back.iter().enumerate() {
            let field = format!("live.audit.days_back[{at}]");
            let is_new = !self.audit.days_back[..at].contains(days);
            ranges.check(*days <= 365 && is_new, &field, days, "365 at most, and listed once");
        }
        self.audit.archive.check(&mut ranges);
        ranges.result()
    }
}

impl ArchiveRules {
    fn check(&self, ranges: &mut Ranges) {
        let field = |name: &str| format!("live.audit.archive.{name}");
        ranges.check(self.days <= 90, &field("days"), self.days, "90 at most");
        let after = self.after_midnight_s;
        ranges.check(after < 86_400, &field("after_midnight_s"), after, "less than a day");
        ranges.check(!self.again_after_s.is_empty(), &field("again_after_s"), "empty", "one wait at least");
        for (at, wait) in self.again_after_s.iter().enumerate() {
            let is_longer = at == 0 || self.again_after_s[at - 1] < *wait;
            let is_fine = (600..=MOST_SECONDS).contains(wait) && is_longer;
            let rule = "ten minutes to a month, longer than the wait before it";
            ranges.check(is_fine, &field(&format!("again_after_s[{at}]")), wait, rule);
        }
        let reach = if self.days == 0 { 90 } else { self.days };
        for (at, days) in self.checksum_again_days.iter().enumerate() {
            let is_later = at == 0 || self.checksum_again_days[at - 1] < *days;
            let is_fine = (1..=reach).contains(days) && is_later;
            let rule = "from 1 to `days`, later than the one before it";
            ranges.check(is_fine, &field(&format!("checksum_again_days[{at}]")), days, rule);
        }
        let (rate, at_once) = (self.files_per_minute, self.files_at_once);
        ranges.check((1..=6000).contains(&rate), &field("files_per_minute"), rate, "from 1 to 6000");
        ranges.check((1..=16).contains(&at_once), &field("files_at_once"), at_once, "from 1 to 16");
    }
}
