//! What types cannot say: values that contradict each other, within a file and across files.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::definitions::Definitions;
use super::diagnostic::{Diagnostic, SourceFile};
use super::lexicon::Lexicon;
use super::load::Settings;
use crate::graph::LangError;
use crate::market::{Calendar, Source, parse_time};
use crate::outcomes::Horizon;

/// Checks the files that are not definitions.
pub(super) fn settings(all: &Settings, files: &BTreeMap<String, SourceFile>, errors: &mut Vec<Diagnostic>) {
    let mut refuse =
        |path: &str, needle: &str, message: String| errors.push(point(files, path, needle, message));
    sources(all, &mut refuse);
    defaults(all, &mut refuse);
    calendars(all, &mut refuse);
    lexicon(&all.lexicon, &mut refuse);
    if let Err(error) = all.gates.validate() {
        let key = error.field.rsplit('.').next().unwrap_or(error.field);
        refuse("gates.yaml", key, error.to_string());
    }
    if let Err(error) = all.strategies.validate() {
        let key = error.field.rsplit('.').next().unwrap_or(error.field);
        refuse("strategies/default.yaml", key, error.to_string());
    }
}

/// A diagnostic at the first occurrence of `needle` in the file.
fn point(files: &BTreeMap<String, SourceFile>, path: &str, needle: &str, message: String) -> Diagnostic {
    let Some(file) = files.get(path) else { return Diagnostic::about(path, message) };
    match file.text.find(needle) {
        Some(at) if !needle.is_empty() => Diagnostic::at(file, &(at..at + needle.len()), message),
        _ => Diagnostic::about(&file.path, message),
    }
}

fn sources(all: &Settings, refuse: &mut dyn FnMut(&str, &str, String)) {
    const FILE: &str = "sources.yaml";
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for group in &all.sources.groups {
        for column in &group.columns {
            if Source::ALL.iter().all(|s| s.name() != column) {
                refuse(FILE, column, format!("'{column}' is not a source column"));
            }
            if !seen.insert(column) {
                refuse(FILE, column, format!("'{column}' is in two groups"));
            }
        }
    }
    for source in Source::ALL.iter().filter(|s| !seen.contains(s.name())) {
        refuse(FILE, "groups:", format!("the column '{}' has no rule", source.name()));
    }
}

fn defaults(all: &Settings, refuse: &mut dyn FnMut(&str, &str, String)) {
    const FILE: &str = "global_defaults.yaml";
    let d = &all.defaults;
    for label in d.horizons.iter().filter(|label| Horizon::parse(label).is_none()) {
        refuse(FILE, label, format!("'{label}' is not a horizon (5m, 60m, 4h, 1d: whole bars)"));
    }
    let costs = [
        ("fee_bps_per_side", d.costs.fee_bps_per_side),
        ("slippage_bps_per_side", d.costs.slippage_bps_per_side),
    ];
    for (key, value) in costs {
        if !(value >= 0.0 && value.is_finite()) {
            refuse(FILE, key, format!("'{key}' is {value}, but a cost is at least 0"));
        }
    }
    let mut last = None;
    for change in &d.costs.fee_schedule {
        match parse_time(&change.from) {
            Err(error) => refuse(FILE, &change.from, format!("fee_schedule: {error}")),
            Ok(at) if last.is_some_and(|last| at <= last) => {
                refuse(FILE, &change.from, "fee_schedule: entries stand in order of time".to_owned());
            }
            Ok(at) => last = Some(at),
        }
        for (key, value) in [("taker_bps", change.taker_bps), ("maker_bps", change.maker_bps)] {
            // A maker may be paid.
            if !value.is_finite() || (key == "taker_bps" && value < 0.0) {
                refuse(FILE, &change.from, format!("fee_schedule: '{key}' is {value}"));
            }
        }
    }
    if !(d.funding.interval_hours > 0.0 && d.funding.interval_hours <= 24.0) {
        refuse(FILE, "interval_hours", format!("a funding interval of {} h", d.funding.interval_hours));
    }
    if d.leader.symbol == d.leader.other {
        refuse(FILE, "leader:", "the benchmark of the benchmark must be another symbol".to_owned());
    }
}

fn calendars(all: &Settings, refuse: &mut dyn FnMut(&str, &str, String)) {
    const SESSIONS: &str = "calendars/sessions.yaml";
    for (name, session) in &all.calendars.sessions.sessions {
        if TimeZone::get(&session.time_zone).is_err() {
            refuse(SESSIONS, &session.time_zone, format!("'{}' is not an IANA time zone", session.time_zone));
        }
        if !all.calendars.holidays.holidays.contains_key(&session.holidays) {
            refuse(SESSIONS, &session.holidays, format!("holidays.yaml has no list '{}'", session.holidays));
        }
        let mut last: Option<Date> = None;
        for (i, hours) in session.hours.iter().enumerate() {
            let open = hours.open.parse::<Time>();
            let close = hours.close.parse::<Time>();
            if !matches!((&open, &close), (Ok(open), Ok(close)) if open < close) {
                let message = format!(
                    "session '{name}' opens at '{}' and closes at '{}': quoted local times, HH:MM",
                    hours.open, hours.close
                );
                refuse(SESSIONS, &hours.open, message);
            }
            let from = hours.from.as_deref().map(str::parse::<Date>);
            match from {
                None if i == 0 => {}
                Some(Ok(date)) if last.is_none_or(|last| last < date) => last = Some(date),
                _ => refuse(
                    SESSIONS,
                    name,
                    format!("session '{name}': every change of hours has a later date than the one before"),
                ),
            }
        }
        if session.hours.is_empty() {
            refuse(SESSIONS, name, format!("session '{name}' has no hours"));
        }
    }
    for (market, dates) in &all.calendars.holidays.holidays {
        for date in dates.iter().filter(|d| d.parse::<Date>().is_err()) {
            refuse(
                "calendars/holidays.yaml",
                date,
                format!("'{date}' of '{market}' is not a date (YYYY-MM-DD)"),
            );
        }
    }
    let mut last = None;
    for release in &all.calendars.releases.releases {
        const FILE: &str = "calendars/macro.yaml";
        match (parse_time(&release.at), parse_time(&release.announced)) {
            (Ok(at), Ok(announced)) if announced < at => {
                if last.is_some_and(|last| at < last) {
                    refuse(FILE, &release.at, "releases stand in order of time".to_owned());
                }
                last = Some(at);
            }
            (Ok(_), Ok(_)) => {
                refuse(
                    FILE,
                    &release.at,
                    "a release that was announced after the fact cannot be scheduled".to_owned(),
                );
            }
            _ => refuse(
                FILE,
                &release.at,
                format!("'{}' / '{}': times are RFC 3339 in UTC", release.at, release.announced),
            ),
        }
    }
}

fn lexicon(lexicon: &Lexicon, refuse: &mut dyn FnMut(&str, &str, String)) {
    const FILE: &str = "hypotheses/template_verb_lexicon.yaml";
    let mut seen = BTreeSet::new();
    for name in lexicon.names() {
        if !seen.insert(name) {
            refuse(FILE, name, format!("the verb '{name}' is defined twice"));
        }
    }
    for (name, test) in &lexicon.tests {
        if !(-1..=1).contains(&test.side) {
            refuse(FILE, name, format!("the side of '{name}' is -1, 0 or 1"));
        }
        let Some(mirror) = &test.mirror else { continue };
        let back =
            lexicon.tests.get(mirror).filter(|m| m.mirror.as_ref() == Some(name) && m.side == -test.side);
        if back.is_none() {
            refuse(
                FILE,
                name,
                format!("'{name}' mirrors '{mirror}', which does not mirror it back with the other side"),
            );
        }
    }
}

/// A name means one thing.
pub(super) fn names(definitions: &Definitions, errors: &mut Vec<Diagnostic>) {
    let program = &definitions.program;
    let mut owner: BTreeMap<&str, &str> = Source::ALL.iter().map(|s| (s.name(), "a source")).collect();
    let calendars = ["session_opens", "session_closes", "funding", "macro"];
    owner.extend(calendars.iter().filter(|c| Calendar::from_name(c).is_some()).map(|c| (*c, "a calendar")));
    let series = program.features.iter().map(|f| (f, "a feature"));
    let states = program.states.iter().map(|s| (s, "a state"));
    let events = program.events.iter().map(|e| (&e.event_type, e.when.span, "an event"));
    let named = series.chain(states).map(|(d, what)| (&d.name, d.span, what)).chain(events);
    for (name, span, what) in named {
        if let Some(first) = owner.insert(name, what) {
            let message = format!("the name '{name}' is taken: it is {first} already");
            errors.push(definitions.texts.diagnostic(&LangError::new(span, message)));
        }
    }
}

/// Names that settings and definitions share.
pub(super) fn across(
    definitions: &Definitions,
    all: &Settings,
    files: &BTreeMap<String, SourceFile>,
    errors: &mut Vec<Diagnostic>,
) {
    let program = &definitions.program;
    let mut refuse =
        |path: &str, needle: &str, message: String| errors.push(point(files, path, needle, message));
    for regime in all.defaults.conditioning.regimes.keys() {
        if program.features.iter().all(|f| f.name != *regime) {
            refuse("global_defaults.yaml", regime, format!("the regime '{regime}' is not a feature"));
        }
    }
    for (verb, filter) in &all.lexicon.filters {
        const FILE: &str = "hypotheses/template_verb_lexicon.yaml";
        for state in &filter.states {
            let id = state.strip_prefix("not ").unwrap_or(state);
            if program.states.iter().all(|s| s.name != id) {
                refuse(FILE, state, format!("the filter '{verb}' names '{id}', which is not a state"));
            }
        }
        for regime in filter.regimes.iter().filter(|r| !all.defaults.conditioning.regimes.contains_key(*r)) {
            refuse(
                FILE,
                regime,
                format!("the filter '{verb}' names '{regime}', which is not a conditioning regime"),
            );
        }
    }
    let declared: BTreeMap<&str, BTreeSet<&str>> =
        program.events.iter().filter(|e| e.base.is_none()).fold(BTreeMap::new(), |mut map, e| {
            map.entry(e.family.as_str()).or_insert_with(BTreeSet::new).insert(e.event_type.as_str());
            map
        });
    for (family, events) in &all.multiplicity.taxonomy.families {
        for event in
            events.iter().filter(|e| !declared.get(family.as_str()).is_some_and(|d| d.contains(e.as_str())))
        {
            refuse(
                "multiplicity/taxonomy.yaml",
                event,
                format!("the registry has no event '{event}' in family '{family}'"),
            );
        }
    }
    for profile in all.gates.gate_v1_phase2.profiles.values() {
        for event in profile.events.keys().filter(|e| program.events.iter().all(|d| d.event_type != **e)) {
            refuse("gates.yaml", event, format!("'{event}' is not an event of the registry"));
        }
    }
}
