//! The policy that a set of specs asks for.
//!
//! The loader of specs refuses a file with a missing rule, a date that is none, or a time zone that does not exist. Should
//! one get here all the same, what it governs is never known, which is the one mistake that cannot look ahead.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::{CalendarPolicy, CleanPolicy, Lagged, ReleaseTime, SessionHours, SessionPolicy, SymbolPolicy};
use crate::market::{Source, Symbol, parse_time};
use crate::spec::{Calendars, CompiledSpec, Hold, Session, SourcesSpec};

/// Longer than any history: a value with this lag is never known.
const NEVER_MS: i64 = i64::MAX / 4;

impl CleanPolicy {
    /// Lags, holds and coverages from `sources.yaml`, terms of contracts from `global_defaults.yaml`, sessions and
    /// releases from the calendars. `collected` names the columns that the deployment has, for each symbol (for a
    /// store: [`crate::store::Store::coverage`]).
    #[must_use]
    pub fn from_spec(spec: &CompiledSpec, symbols: &[Symbol], collected: &[Vec<Source>]) -> Self {
        let defaults = &spec.defaults;
        let symbol = |(symbol, collected): (&Symbol, &Vec<Source>)| SymbolPolicy {
            collected: collected.iter().copied().collect(),
            interest_rate_8h: defaults.funding.interest(symbol),
            funding_interval_h: defaults.funding.interval(symbol),
            taker_fee_bps: defaults.costs.fee_bps(symbol),
            maker_fee_bps: f64::NAN,
            tick_size: f64::NAN,
        };
        Self {
            symbols: symbols.iter().zip(collected).map(symbol).collect(),
            calendars: CalendarPolicy::from_spec(&spec.calendars),
            ..Self::from_sources(&spec.sources)
        }
    }

    /// The rules alone, without symbols and calendars.
    pub(super) fn from_sources(sources: &SourcesSpec) -> Self {
        let (funding_lag_ms, funding_grace_ms) = match sources.rule(Source::FundingRate) {
            Some(group) => match group.hold {
                Hold::IntervalPlusSeconds(s) => (ms(group.lag_s), ms(s)),
                _ => (NEVER_MS, 0),
            },
            None => (NEVER_MS, 0),
        };
        let coverage = |source| sources.rule(source).and_then(|g| g.min_coverage).unwrap_or(f64::INFINITY);
        Self {
            funding_lag_ms,
            funding_grace_ms,
            open_interest: lagged(sources, Source::Oi),
            depth: lagged(sources, Source::DepthBid1pct),
            min_liq_coverage: coverage(Source::LiqLongUsd),
            min_tob_coverage: coverage(Source::SpreadBpsMean),
            calendars: CalendarPolicy::default(),
            symbols: Vec::new(),
        }
    }
}

fn lagged(sources: &SourcesSpec, source: Source) -> Lagged {
    match sources.rule(source).map(|g| (g.lag_s, g.hold)) {
        Some((lag_s, Hold::Seconds(hold_s))) => Lagged { lag_ms: ms(lag_s), hold_ms: ms(hold_s) },
        _ => Lagged { lag_ms: NEVER_MS, hold_ms: 0 },
    }
}

fn ms(seconds: u32) -> i64 {
    i64::from(seconds) * 1000
}

impl CalendarPolicy {
    /// Dates, times, zones and holiday lists, resolved.
    #[must_use]
    pub fn from_spec(spec: &Calendars) -> Self {
        let session = |s: &Session| {
            Some(SessionPolicy {
                time_zone: TimeZone::get(&s.time_zone).ok()?,
                hours: s
                    .hours
                    .iter()
                    .filter_map(|h| {
                        let from = match &h.from {
                            None => Date::MIN,
                            Some(text) => text.parse().ok()?,
                        };
                        Some(SessionHours { from, open: time(&h.open)?, close: time(&h.close)? })
                    })
                    .collect(),
                holidays: spec.holidays.holidays.get(&s.holidays).map_or_else(Default::default, |days| {
                    days.iter().filter_map(|d| d.parse().ok()).collect()
                }),
            })
        };
        let release = |r: &crate::spec::Release| {
            Some(ReleaseTime { at: parse_time(&r.at).ok()?, announced: parse_time(&r.announced).ok()? })
        };
        Self {
            sessions: spec.sessions.sessions.values().filter_map(session).collect(),
            releases: spec.releases.releases.iter().filter_map(release).collect(),
        }
    }
}

fn time(text: &str) -> Option<Time> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_shipped_file_are_the_ones_of_the_catalogue() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/sources.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        let sources: SourcesSpec = serde_saphyr::from_str(&text).unwrap();
        let policy = CleanPolicy::from_sources(&sources);
        assert_eq!((policy.funding_lag_ms, policy.funding_grace_ms), (60_000, 3_600_000));
        assert_eq!(policy.open_interest, Lagged { lag_ms: 60_000, hold_ms: 900_000 });
        assert_eq!(policy.depth, Lagged { lag_ms: 60_000, hold_ms: 600_000 });
        assert_eq!((policy.min_liq_coverage, policy.min_tob_coverage), (0.95, 0.8));
    }

    #[test]
    fn hours_and_holidays_are_read_as_local_dates_and_times() {
        let mut spec = Calendars::default();
        let hours = crate::spec::SessionHours { from: None, open: "09:30".into(), close: "16:00".into() };
        let session =
            Session { time_zone: "America/New_York".into(), holidays: "nyse".into(), hours: vec![hours] };
        spec.sessions.sessions.insert("new_york".into(), session);
        spec.holidays.holidays.insert("nyse".into(), vec!["2025-07-04".into()]);
        let policy = CalendarPolicy::from_spec(&spec);
        assert_eq!(policy.sessions[0].hours[0].open, jiff::civil::time(9, 30, 0, 0));
        assert!(policy.sessions[0].holidays.contains(&jiff::civil::date(2025, 7, 4)));
    }
}
