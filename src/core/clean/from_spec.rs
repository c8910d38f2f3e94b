//! The policy that a set of specs asks for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time};

use super::{
    CalendarPolicy, CleanError, CleanPolicy, Lagged, ReleaseTime, SessionHours, SessionPolicy, SymbolPolicy,
};
use crate::market::{Kind, Source, Symbol, parse_time};
use crate::spec::{Calendars, GlobalDefaults, Hold, SourceGroup, SourcesSpec};

impl CleanPolicy {
    /// Reads lags, holds and coverages from `sources`, terms of contracts from `defaults`, sessions and
    /// releases from `calendars`. `collected` names the columns that the deployment has for each symbol (for
    /// a store: [`backtestd_store::Store::coverage`]).
    ///
    /// # Errors
    /// When a rule is missing or of a kind that its columns cannot follow, or a date or time does not parse.
    pub fn from_spec(
        sources: &SourcesSpec,
        defaults: &GlobalDefaults,
        calendars: &Calendars,
        symbols: &[Symbol],
        collected: &[BTreeSet<Source>],
    ) -> Result<Self, CleanError> {
        if symbols.len() != collected.len() {
            return Err(CleanError::Symbols { expected: symbols.len(), found: collected.len() });
        }
        let funding = rule(sources, Source::FundingRate)?;
        let Hold::IntervalPlusSeconds(grace_s) = funding.hold else {
            return Err(CleanError::Rule {
                column: "funding_rate",
                problem: "hold must be interval_plus_seconds",
            });
        };
        let symbols = symbols
            .iter()
            .zip(collected)
            .map(|(symbol, collected)| SymbolPolicy {
                collected: collected.clone(),
                interest_rate_8h: defaults.funding.interest(symbol),
                funding_interval_h: defaults.funding.interval(symbol),
                taker_fee_bps: defaults.costs.fee_bps(symbol),
                maker_fee_bps: f64::NAN,
                fee_steps: defaults.costs.fee_steps(symbol),
                tick_size: defaults.tick_sizes.get(symbol).copied().unwrap_or(f64::NAN),
            })
            .collect();
        Ok(Self {
            funding_lag_ms: ms(funding.lag_s),
            funding_grace_ms: ms(grace_s),
            instants: instants(sources)?,
            min_coverage: coverages(sources)?,
            calendars: CalendarPolicy::from_spec(calendars)?,
            symbols,
        })
    }
}

fn rule(sources: &SourcesSpec, source: Source) -> Result<&SourceGroup, CleanError> {
    sources.rule(source).ok_or(CleanError::Rule { column: source.name(), problem: "no group lists it" })
}

/// Lag and hold of every kind at instants but funding. A record becomes known as a whole: one rule for its
/// columns.
pub(super) fn instants(sources: &SourcesSpec) -> Result<BTreeMap<Kind, Lagged>, CleanError> {
    let mut out = BTreeMap::new();
    for kind in Kind::ALL.iter().copied().filter(|k| !k.is_bar_like() && *k != Kind::Funding) {
        for source in kind.sources() {
            let rule = lagged(sources, *source)?;
            if *out.entry(kind).or_insert(rule) != rule {
                let problem = "lag_s and hold must be those of the columns that come in the same record";
                return Err(CleanError::Rule { column: source.name(), problem });
            }
        }
    }
    Ok(out)
}

/// Least coverage of every kind that counts it. A bar is observed well enough or not: one bound for its
/// columns.
fn coverages(sources: &SourcesSpec) -> Result<BTreeMap<Kind, f64>, CleanError> {
    let mut out = BTreeMap::new();
    for kind in Kind::ALL.iter().copied().filter(|k| k.facts().coverage.is_some()) {
        for source in kind.sources().iter().filter(|s| Some(**s) != kind.facts().coverage) {
            let least = coverage(sources, *source)?;
            if *out.entry(kind).or_insert(least) != least {
                let problem = "min_coverage must be that of the columns that come in the same record";
                return Err(CleanError::Rule { column: source.name(), problem });
            }
        }
    }
    Ok(out)
}

fn lagged(sources: &SourcesSpec, source: Source) -> Result<Lagged, CleanError> {
    let group = rule(sources, source)?;
    match group.hold {
        Hold::Seconds(s) => Ok(Lagged { lag_ms: ms(group.lag_s), hold_ms: ms(s) }),
        _ => Err(CleanError::Rule { column: source.name(), problem: "hold must be a number of seconds" }),
    }
}

fn coverage(sources: &SourcesSpec, source: Source) -> Result<f64, CleanError> {
    rule(sources, source)?
        .min_coverage
        .ok_or(CleanError::Rule { column: source.name(), problem: "min_coverage is missing" })
}

fn ms(seconds: u32) -> i64 {
    i64::from(seconds) * 1000
}

impl CalendarPolicy {
    /// Resolves dates, times and holiday lists.
    ///
    /// # Errors
    /// When one does not parse or a holiday list is missing.
    pub fn from_spec(spec: &Calendars) -> Result<Self, CleanError> {
        let mut sessions = Vec::new();
        for (name, session) in &spec.sessions.sessions {
            let holidays = spec.holidays.holidays.get(&session.holidays).ok_or_else(|| {
                CleanError::Calendar(format!(
                    "session '{name}' wants the holidays '{}', which are not listed",
                    session.holidays
                ))
            })?;
            let hours = session
                .hours
                .iter()
                .map(|h| {
                    Ok(SessionHours {
                        from: h.from.as_deref().map_or(Ok(Date::MIN), date)?,
                        open: time(&h.open)?,
                        close: time(&h.close)?,
                    })
                })
                .collect::<Result<_, CleanError>>()?;
            sessions.push(SessionPolicy {
                time_zone: session.time_zone.clone(),
                hours,
                holidays: holidays.iter().map(|d| date(d)).collect::<Result<_, _>>()?,
            });
        }
        let instant = |text: &str| parse_time(text).map_err(|e| CleanError::Calendar(e.to_string()));
        let releases = spec
            .releases
            .releases
            .iter()
            .map(|r| Ok(ReleaseTime { at: instant(&r.at)?, announced: instant(&r.announced)? }))
            .collect::<Result<_, CleanError>>()?;
        Ok(Self { sessions, releases })
    }
}

fn date(text: &str) -> Result<Date, CleanError> {
    text.parse().map_err(|_| CleanError::Calendar(format!("'{text}' is not a date (YYYY-MM-DD)")))
}

fn time(text: &str) -> Result<Time, CleanError> {
    text.parse().map_err(|_| CleanError::Calendar(format!("'{text}' is not a time (HH:MM)")))
}
