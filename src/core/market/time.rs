//! Time: integer milliseconds UTC, and the 5-minute grid as an absolute bar number. No float times anywhere.

use std::fmt;
use std::ops::{Add, Sub};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Length of a bar in milliseconds (5 minutes).
pub const BAR_MS: i64 = 300_000;
/// Bars in a UTC day.
pub const BARS_PER_DAY: i64 = 288;
/// Length of a UTC day in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// An instant, milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ts(pub i64);

/// The absolute number of a 5-minute bar: its open time divided by 300 s. Bar `n` covers `[n*5m, (n+1)*5m)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BarIndex(pub i64);

/// A date or time that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {expected}")]
pub struct TimeError {
    /// What was given.
    pub text: String,
    /// What would have been accepted.
    pub expected: &'static str,
}

impl Ts {
    /// The bar whose half-open interval holds this instant.
    #[must_use]
    pub const fn bar(self) -> BarIndex {
        BarIndex(self.0.div_euclid(BAR_MS))
    }

    /// Number of the UTC day since the epoch.
    #[must_use]
    #[inline]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY_MS)
    }

    /// Nanoseconds since the epoch, as NautilusTrader and Arrow columns carry it.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0 * 1_000_000
    }

    /// RFC 3339 with `Z`; milliseconds are shown only where they are not zero.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.to_string()
    }

    /// `yyyymmddThhmm`, as event ids carry it.
    #[must_use]
    pub fn compact(self) -> String {
        let t = self.civil();
        format!("{:04}{:02}{:02}T{:02}{:02}", t.year(), t.month(), t.day(), t.hour(), t.minute())
    }

    /// `yyyymmddThhmmssZ`, as run ids carry it.
    #[must_use]
    pub fn compact_seconds(self) -> String {
        let t = self.civil();
        format!("{}{:02}Z", self.compact(), t.second())
    }

    /// Calendar year and month, UTC: the lake's partition.
    #[must_use]
    pub fn year_month(self) -> (i16, i8) {
        let t = self.civil();
        (t.year(), t.month())
    }

    fn civil(self) -> jiff::civil::DateTime {
        TimeZone::UTC.to_datetime(self.timestamp())
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

impl BarIndex {
    /// Open time of the bar, UTC ms.
    #[must_use]
    pub const fn open(self) -> Ts {
        Ts(self.0 * BAR_MS)
    }

    /// Close boundary = open of the next bar: the first instant at which the bar is known.
    #[must_use]
    pub const fn close(self) -> Ts {
        Ts((self.0 + 1) * BAR_MS)
    }

    /// The next bar.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Add<i64> for BarIndex {
    type Output = Self;
    fn add(self, bars: i64) -> Self {
        Self(self.0 + bars)
    }
}

impl Sub<i64> for BarIndex {
    type Output = Self;
    fn sub(self, bars: i64) -> Self {
        Self(self.0 - bars)
    }
}

impl Sub for BarIndex {
    type Output = i64;
    fn sub(self, other: Self) -> i64 {
        self.0 - other.0
    }
}

impl fmt::Display for Ts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.timestamp())
    }
}

impl fmt::Display for BarIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.open())
    }
}

/// Midnight UTC of `YYYY-MM-DD`.
///
/// # Errors
/// When the text is not a calendar date.
pub fn parse_date(text: &str) -> Result<Ts, TimeError> {
    let fail = || TimeError { text: text.to_owned(), expected: "a date (YYYY-MM-DD)" };
    // The calendar's parser would take a date and time without an offset for its date alone.
    let text = text.trim();
    let is_date = text.chars().all(|c| c.is_ascii_digit() || c == '-');
    let date: Date = if is_date { text.parse().map_err(|_| fail())? } else { return Err(fail()) };
    let zoned = date.to_zoned_datetime(TimeZone::UTC).map_err(|_| fail())?;
    Ok(Ts(zoned.timestamp().as_millisecond()))
}

/// An RFC 3339 instant, a date (midnight UTC), or integer milliseconds since the epoch.
///
/// # Errors
/// When the text is none of these.
pub fn parse_time(text: &str) -> Result<Ts, TimeError> {
    let text = text.trim();
    if let Ok(ts) = text.parse::<Timestamp>() {
        return Ok(Ts(ts.as_millisecond()));
    }
    if let Ok(ts) = parse_date(text) {
        return Ok(ts);
    }
    text.parse::<i64>().map(Ts).map_err(|_| TimeError {
        text: text.to_owned(),
        expected: "a time (2026-03-01T12:00:00Z, 2026-03-01, or milliseconds since the epoch)",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_belongs_to_the_bar_that_opened_last() {
        let t = parse_time("2026-03-01T12:04:59.999Z").unwrap();
        assert_eq!(t.bar().open(), parse_time("2026-03-01T12:00:00Z").unwrap());
        assert_eq!(t.bar().close().to_string(), "2026-03-01T12:05:00Z");
        assert_eq!(Ts(-1).bar(), BarIndex(-1));
    }

    #[test]
    fn compact_forms_follow_the_contract() {
        let t = parse_time("2026-03-01T12:05:00Z").unwrap();
        assert_eq!(t.compact(), "20260301T1205");
        assert_eq!(t.compact_seconds(), "20260301T120500Z");
        assert_eq!(t.year_month(), (2026, 3));
    }

    #[test]
    fn a_time_without_an_offset_is_not_taken_for_its_date() {
        assert!(parse_date("2026-03-01T12:00:00").is_err());
        assert!(parse_time("2026-03-01T12:00:00").is_err());
    }

    #[test]
    fn a_bad_date_names_itself() {
        assert_eq!(
            parse_date("2026-13-01").unwrap_err().to_string(),
            "'2026-13-01' is not a date (YYYY-MM-DD)"
        );
    }
}
