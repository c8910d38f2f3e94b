//! Sessions and scheduled releases: minutes from a bar's close to the last and the next instant.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use super::CleanError;
use crate::market::Ts;

/// Calendars in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CalendarPolicy {
    /// Trading sessions; their opens form one calendar, their closes another.
    pub sessions: Vec<SessionPolicy>,
    /// Releases, any order.
    pub releases: Vec<ReleaseTime>,
}

/// A market's trading day, Monday to Friday without its holidays.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionPolicy {
    /// IANA time zone.
    pub time_zone: String,
    /// Opening hours, ascending by their first date.
    pub hours: Vec<SessionHours>,
    /// Local dates without a session.
    pub holidays: BTreeSet<Date>,
}

/// Opening hours from a local date on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionHours {
    /// First local date; [`Date::MIN`] for ever.
    pub from: Date,
    /// Local time of the open.
    pub open: Time,
    /// Local time of the close.
    pub close: Time,
}

/// A scheduled release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReleaseTime {
    /// Scheduled instant of the release, UTC.
    pub at: Ts,
    /// The entry does not exist before.
    pub announced: Ts,
}

/// Instants of a calendar by UTC year, made when a year is first asked for.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    zones: Vec<(TimeZone, SessionPolicy)>,
    opens: bool,
    years: BTreeMap<i16, Vec<Ts>>,
}

impl Sessions {
    pub(super) fn new(policies: &[SessionPolicy], opens: bool) -> Result<Self, CleanError> {
        let zones = policies
            .iter()
            .map(|p| {
                let zone = TimeZone::get(&p.time_zone)
                    .map_err(|e| CleanError::Calendar(format!("time zone '{}': {e}", p.time_zone)))?;
                Ok((zone, p.clone()))
            })
            .collect::<Result<_, CleanError>>()?;
        Ok(Self { zones, opens, years: BTreeMap::new() })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// Minutes since the last instant at or before `at`, and to the next at or after it; NaN where there is
    /// none within a year.
    pub(super) fn minutes(&mut self, at: Ts) -> (f64, f64) {
        let (year, _) = at.year_month();
        for y in year - 1..=year + 1 {
            if !self.years.contains_key(&y) {
                let made = self.make_year(y);
                self.years.insert(y, made);
            }
        }
        let of = |y: i16| self.years.get(&y).map_or(&[][..], Vec::as_slice);
        let this = of(year);
        let after = this.partition_point(|t| *t <= at);
        let from = this.partition_point(|t| *t < at);
        let last = this[..after].last().or_else(|| of(year - 1).last());
        let next = this[from..].first().or_else(|| of(year + 1).first());
        (minutes(last.map(|t| at.0 - t.0)), minutes(next.map(|t| t.0 - at.0)))
    }

    fn make_year(&self, year: i16) -> Vec<Ts> {
        let mut out = BTreeSet::new();
        let (Ok(first), Ok(last)) = (Date::new(year, 1, 1), Date::new(year, 12, 31)) else {
            return Vec::new();
        };
        for (zone, policy) in &self.zones {
            // Local dates reach into the neighbouring UTC years.
            let mut date = first.saturating_sub(1.day());
            let end = last.saturating_add(1.day());
            while date <= end {
                out.extend(self.instant(zone, policy, date).filter(|t| t.year_month().0 == year));
                let Ok(next) = date.tomorrow() else { break };
                date = next;
            }
        }
        out.into_iter().collect()
    }

    fn instant(&self, zone: &TimeZone, policy: &SessionPolicy, date: Date) -> Option<Ts> {
        let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        if weekend || policy.holidays.contains(&date) {
            return None;
        }
        let hours = policy.hours.iter().rev().find(|h| h.from <= date)?;
        let time = if self.opens { hours.open } else { hours.close };
        let at = zone.to_timestamp(date.to_datetime(time)).ok()?;
        Some(Ts(at.as_millisecond()))
    }
}

/// Minutes since the last and to the next release that had been announced by `at`.
pub(super) fn release_minutes(releases: &[ReleaseTime], at: Ts) -> (f64, f64) {
    let known = || releases.iter().filter(|r| r.announced <= at);
    let last = known().filter(|r| r.at <= at).map(|r| at.0 - r.at.0).min();
    let next = known().filter(|r| r.at >= at).map(|r| r.at.0 - at.0).min();
    (minutes(last), minutes(next))
}

pub(super) fn minutes(ms: Option<i64>) -> f64 {
    ms.map_or(f64::NAN, |ms| ms as f64 / 60_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::parse_time;

    fn t(text: &str) -> Ts {
        parse_time(text).unwrap()
    }

    fn policy(zone: &str, hours: &[(&str, &str, &str)], holidays: &[&str]) -> SessionPolicy {
        SessionPolicy {
            time_zone: zone.to_owned(),
            hours: hours
                .iter()
                .map(|(from, open, close)| SessionHours {
                    from: from.parse().unwrap(),
                    open: open.parse().unwrap(),
                    close: close.parse().unwrap(),
                })
                .collect(),
            holidays: holidays.iter().map(|d| d.parse().unwrap()).collect(),
        }
    }

    fn new_york() -> SessionPolicy {
        policy("America/New_York", &[("0001-01-01", "09:30:00", "16:00:00")], &["2025-07-04"])
    }

    #[test]
    fn sessions_follow_daylight_saving_weekends_and_holidays() {
        let mut opens = Sessions::new(&[new_york()], true).unwrap();
        assert_eq!(opens.minutes(t("2025-01-15T14:30:00Z")), (0.0, 0.0));
        assert_eq!(opens.minutes(t("2025-07-15T13:30:00Z")), (0.0, 0.0));
        assert_eq!(opens.minutes(t("2025-07-15T14:30:00Z")).0, 60.0);
        // Friday 4 July is a holiday: from Thursday's open to Monday's.
        let (since, to) = opens.minutes(t("2025-07-04T13:30:00Z"));
        assert_eq!((since, to), (1440.0, 3.0 * 1440.0));
    }

    #[test]
    fn dated_hours_apply_from_their_date() {
        let tokyo = policy(
            "Asia/Tokyo",
            &[("0001-01-01", "09:00:00", "15:00:00"), ("2024-11-05", "09:00:00", "15:30:00")],
            &[],
        );
        let mut closes = Sessions::new(&[tokyo], false).unwrap();
        assert_eq!(closes.minutes(t("2024-11-04T06:00:00Z")).0, 0.0);
        assert_eq!(closes.minutes(t("2024-11-05T06:00:00Z")).1, 30.0);
    }

    #[test]
    fn the_turn_of_the_year_is_not_a_hole() {
        let mut opens = Sessions::new(&[new_york()], true).unwrap();
        let (since, to) = opens.minutes(t("2025-12-31T23:55:00Z"));
        assert_eq!((since, to), (565.0, 875.0));
        let (since, _) = opens.minutes(t("2026-01-01T00:05:00Z"));
        assert_eq!(since, 575.0);
    }

    #[test]
    fn a_release_does_not_exist_before_it_was_announced() {
        let releases = [ReleaseTime { at: t("2025-03-12T12:30:00Z"), announced: t("2025-03-01") }];
        assert!(release_minutes(&releases, t("2025-02-28T12:30:00Z")).1.is_nan());
        assert_eq!(release_minutes(&releases, t("2025-03-12T12:25:00Z")).1, 5.0);
        assert_eq!(release_minutes(&releases, t("2025-03-12T12:30:00Z")), (0.0, 0.0));
    }

    #[test]
    fn an_unknown_time_zone_names_itself() {
        let error = Sessions::new(&[policy("Mars/Olympus", &[], &[])], true).unwrap_err().to_string();
        assert!(error.contains("Mars/Olympus"), "{error}");
    }
}
