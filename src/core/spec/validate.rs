//! What types cannot say: values that contradict each other, within a file and across files.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::definitions::Definitions;
use super::diagnostic::{Diagnostic, SourceFile};
use super::lexicon::{FilterKind, Lexicon};
use super::load::Settings;
use crate::graph::{LangError, nearest};
use crate::market::{Calendar, Source, parse_time};
use crate::outcomes::Horizon;

/// The version of the layout of every file.
const SCHEMA_VERSION: &str = "1";

/// Where findings go. A finding names its place by a *trail*: words that stand in the file one after the other, the last
/// of which is underlined.
struct Refuse<'a> {
    files: &'a BTreeMap<String, SourceFile>,
    errors: &'a mut Vec<Diagnostic>,
}

impl Refuse<'_> {
    fn at(&mut self, path: &str, trail: &[&str], message: impl Into<String>, help: impl Into<String>) {
        let Some(file) = self.files.get(path) else {
            return self.errors.push(Diagnostic::about(path, message).help(help));
        };
        let place = trail.iter().try_fold(0..0, |found, word| find_word(&file.text, found.end, word));
        let error = match place {
            Some(bytes) if !trail.is_empty() => Diagnostic::at(file, &bytes, message),
            _ => Diagnostic::about(&file.path, message),
        };
        self.errors.push(error.help(help));
    }
}

/// The next place of a whole word outside comments, from byte `from` on.
fn find_word(text: &str, from: usize, word: &str) -> Option<std::ops::Range<usize>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = from;
    loop {
        at += text.get(at..)?.find(word)?;
        let end = at + word.len();
        let line = &text[text[..at].rfind('\n').map_or(0, |i| i + 1)..at];
        let is_comment = line.trim_start().starts_with('#') || line.contains(" #");
        let is_whole = !text[..at].ends_with(is_part) && !text[end..].starts_with(is_part);
        if is_whole && !is_comment {
            return Some(at..end);
        }
        at = end;
    }
}

/// Checks the files that are not definitions.
pub(super) fn settings(all: &Settings, files: &BTreeMap<String, SourceFile>, errors: &mut Vec<Diagnostic>) {
    let mut refuse = Refuse { files, errors };
    versions(&mut refuse);
    sources(all, &mut refuse);
    defaults(all, &mut refuse);
    calendars(all, &mut refuse);
    lexicon(&all.lexicon, &mut refuse);
    for outside in [all.gates.validate(), all.strategies.validate()] {
        for error in outside.err().into_iter().flat_map(|errors| errors.0) {
            let help = format!("{} must be {}", error.field, error.rule);
            refuse.at(error.file, &trail(error.field), error.to_string(), help);
        }
    }
}

/// `gate_v1_phase2.profiles.*.max_q_value` as the words of its keys.
fn trail(field: &str) -> Vec<&str> {
    field.split('.').filter(|key| *key != "*").collect()
}

/// Every file says which layout it has; this program knows one.
fn versions(refuse: &mut Refuse<'_>) {
    for (path, file) in refuse.files {
        let given = file.text.lines().find_map(|line| line.strip_prefix("schema_version:"));
        let given = given.map(|rest| rest.split('#').next().unwrap_or(rest).trim());
        if let Some(given) = given.filter(|given| *given != SCHEMA_VERSION) {
            let message =
                format!("this file has layout {given}, and this program reads layout {SCHEMA_VERSION}");
            let help = format!(
                "write `schema_version: {SCHEMA_VERSION}`, or use the version of backtestd that the file is for"
            );
            refuse.at(path, &["schema_version"], message, help);
        }
    }
}

fn sources(all: &Settings, refuse: &mut Refuse<'_>) {
    const FILE: &str = "sources.yaml";
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for group in &all.sources.groups {
        for column in &group.columns {
            if Source::ALL.iter().all(|s| s.name() != column) {
                let near = nearest(column, Source::ALL.iter().map(|s| s.name()));
                let help = did_you_mean(near, "`backtestd spec explain sources` lists the columns");
                refuse.at(FILE, &["columns", column], format!("'{column}' is not a source column"), help);
            }
            if !seen.insert(column) {
                let help = "leave it in the group whose rule it follows";
                refuse.at(FILE, &["columns", column, column], format!("'{column}' is in two groups"), help);
            }
        }
    }
    for source in Source::ALL.iter().filter(|s| !seen.contains(s.name())) {
        let help = format!("add '{}' to the columns of the group that it arrives with", source.name());
        refuse.at(FILE, &["groups"], format!("the column '{}' has no rule", source.name()), help);
    }
}

fn did_you_mean(near: Option<&str>, otherwise: &str) -> String {
    near.map_or_else(|| otherwise.to_owned(), |near| format!("did you mean '{near}'?"))
}

fn defaults(all: &Settings, refuse: &mut Refuse<'_>) {
    const FILE: &str = "global_defaults.yaml";
    let d = &all.defaults;
    for label in d.horizons.iter().filter(|label| Horizon::parse(label).is_none()) {
        let help = "whole bars of 5 minutes: 5m, 60m, 4h, 1d";
        refuse.at(FILE, &["horizons", label], format!("'{label}' is not a horizon"), help);
    }
    let costs = [
        ("fee_bps_per_side", d.costs.fee_bps_per_side),
        ("slippage_bps_per_side", d.costs.slippage_bps_per_side),
    ];
    for (key, value) in costs {
        if !(value >= 0.0 && value.is_finite()) {
            let help = "a cost is what a trade pays, in bps of notional: 4.0 for 0.04 %";
            refuse.at(FILE, &["costs", key], format!("'{key}' is {value}, but a cost is at least 0"), help);
        }
    }
    let mut last = None;
    for change in &d.costs.fee_schedule {
        let place = ["fee_schedule", change.from.as_str()];
        match parse_time(&change.from) {
            Err(error) => {
                let help = "a quoted date or RFC 3339 instant in UTC";
                refuse.at(FILE, &place, format!("fee_schedule: {error}"), help);
            }
            Ok(at) if last.is_some_and(|last| at <= last) => {
                let help = "move the entry up to where its time belongs";
                refuse.at(FILE, &place, "fee_schedule: entries stand in order of time", help);
            }
            Ok(at) => last = Some(at),
        }
        for (key, value) in [("taker_bps", change.taker_bps), ("maker_bps", change.maker_bps)] {
            // A maker may be paid.
            if !value.is_finite() || (key == "taker_bps" && value < 0.0) {
                let help = "bps of notional a side: a number, for the taker at least 0";
                refuse.at(FILE, &place, format!("fee_schedule: '{key}' is {value}"), help);
            }
        }
    }
    for (symbol, step) in &d.tick_sizes {
        if !(*step > 0.0 && step.is_finite()) {
            let help = "the smallest price step of the contract, in quote currency: 0.1";
            let message = format!("the tick size of {symbol} is {step}");
            refuse.at(FILE, &["tick_sizes", symbol.as_str()], message, help);
        }
    }
    if !(d.funding.interval_hours > 0.0 && d.funding.interval_hours <= 24.0) {
        let message = format!("a funding interval of {} h", d.funding.interval_hours);
        refuse.at(FILE, &["funding", "interval_hours"], message, "contracts settle every 1, 2, 4 or 8 hours");
    }
    if d.leader.symbol == d.leader.other {
        let message = "the benchmark of the benchmark must be another symbol";
        refuse.at(FILE, &["leader", "other"], message, "name the second largest market, as ETHUSDT");
    }
    let (low, high) = d.prevalence_per_10k;
    if !(low >= 0.0 && low <= high) {
        let message = "a prevalence range is [low, high] with 0 <= low <= high";
        refuse.at(FILE, &["prevalence_per_10k"], message, "the smaller number stands first");
    }
}

fn calendars(all: &Settings, refuse: &mut Refuse<'_>) {
    const SESSIONS: &str = "calendars/sessions.yaml";
    const RELEASES: &str = "calendars/macro.yaml";
    for (name, session) in &all.calendars.sessions.sessions {
        if TimeZone::get(&session.time_zone).is_err() {
            let message = format!("'{}' is not an IANA time zone", session.time_zone);
            let help = "a continent and a city, as America/New_York";
            refuse.at(SESSIONS, &[name, "time_zone", &session.time_zone], message, help);
        }
        if !all.calendars.holidays.holidays.contains_key(&session.holidays) {
            let known: Vec<&str> = all.calendars.holidays.holidays.keys().map(String::as_str).collect();
            let message = format!("holidays.yaml has no list '{}'", session.holidays);
            refuse.at(
                SESSIONS,
                &[name, "holidays", &session.holidays],
                message,
                format!("it has {}", known.join(", ")),
            );
        }
        let mut last: Option<Date> = None;
        for (i, hours) in session.hours.iter().enumerate() {
            let open = hours.open.parse::<Time>();
            let close = hours.close.parse::<Time>();
            if !matches!((&open, &close), (Ok(open), Ok(close)) if open < close) {
                let message =
                    format!("session '{name}' opens at '{}' and closes at '{}'", hours.open, hours.close);
                let help = "quoted local times of one day, HH:MM, the open before the close";
                refuse.at(SESSIONS, &[name, "open", &hours.open], message, help);
            }
            let from = hours.from.as_deref().map(str::parse::<Date>);
            match from {
                None if i == 0 => {}
                Some(Ok(date)) if last.is_none_or(|last| last < date) => last = Some(date),
                _ => {
                    let message = format!(
                        "session '{name}': every change of hours has a later date than the one before"
                    );
                    refuse.at(
                        SESSIONS,
                        &[name],
                        message,
                        "give each entry but the first a `from: \"YYYY-MM-DD\"`",
                    );
                }
            }
        }
        if session.hours.is_empty() {
            let message = format!("session '{name}' has no hours");
            refuse.at(SESSIONS, &[name, "hours"], message, "add an entry with `open` and `close`");
        }
    }
    for (market, dates) in &all.calendars.holidays.holidays {
        for date in dates.iter().filter(|d| d.parse::<Date>().is_err()) {
            let message = format!("'{date}' of '{market}' is not a date");
            refuse.at(
                "calendars/holidays.yaml",
                &[market, date],
                message,
                "a day of the calendar, quoted, YYYY-MM-DD",
            );
        }
    }
    let mut last = None;
    for release in &all.calendars.releases.releases {
        let place = ["releases", "at", release.at.as_str()];
        match (parse_time(&release.at), parse_time(&release.announced)) {
            (Ok(at), Ok(announced)) if announced < at => {
                if last.is_some_and(|last| at < last) {
                    let help = "move the entry up to where its time belongs";
                    refuse.at(RELEASES, &place, "releases stand in order of time", help);
                }
                last = Some(at);
            }
            (Ok(_), Ok(_)) => {
                let message = "a release that was announced after the fact cannot be scheduled";
                refuse.at(
                    RELEASES,
                    &place,
                    message,
                    "`announced` is the day on which the date was public, before `at`",
                );
            }
            _ => {
                let message =
                    format!("'{}', announced '{}': one of them is no time", release.at, release.announced);
                let help = "times are quoted RFC 3339 in UTC, as \"2025-01-10T13:30:00Z\"; `announced` may be a date";
                refuse.at(RELEASES, &place, message, help);
            }
        }
    }
}

fn lexicon(lexicon: &Lexicon, refuse: &mut Refuse<'_>) {
    const FILE: &str = "hypotheses/template_verb_lexicon.yaml";
    let mut seen = BTreeSet::new();
    for name in lexicon.names() {
        if !seen.insert(name) {
            let help = "a verb and an alias are names of one test or filter";
            refuse.at(FILE, &[name, name], format!("the verb '{name}' is defined twice"), help);
        }
    }
    for (name, test) in &lexicon.tests {
        if !(-1..=1).contains(&test.side) {
            let message = format!("the side of '{name}' is {}", test.side);
            refuse.at(
                FILE,
                &[name, "side"],
                message,
                "1 with the event's direction, -1 against it, 0 for no side",
            );
        }
        let Some(mirror) = &test.mirror else { continue };
        let back =
            lexicon.tests.get(mirror).filter(|m| m.mirror.as_ref() == Some(name) && m.side == -test.side);
        if back.is_none() {
            let message =
                format!("'{name}' mirrors '{mirror}', which does not mirror it back with the other side");
            let help = "two mirrors name each other, and one side is the other with the opposite sign";
            refuse.at(FILE, &[name, "mirror", mirror], message, help);
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
            let error = LangError::new(span, message).help(format!("give {what} a name of its own"));
            errors.push(definitions.texts.diagnostic(&error));
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
    const LEXICON: &str = "hypotheses/template_verb_lexicon.yaml";
    let program = &definitions.program;
    let mut refuse = Refuse { files, errors };
    let features = || program.features.iter().map(|f| f.name.as_str());
    let states = || program.states.iter().map(|s| s.name.as_str());
    let events = || program.events.iter().filter(|e| e.base.is_none()).map(|e| e.event_type.as_str());
    for regime in all.defaults.conditioning.regimes.keys() {
        if features().all(|f| f != regime) {
            let help = did_you_mean(nearest(regime, features()), "a regime is a feature with few values");
            let message = format!("the regime '{regime}' is not a feature");
            refuse.at("global_defaults.yaml", &["regimes", regime], message, help);
        }
    }
    for (verb, filter) in &all.lexicon.filters {
        for state in &filter.states {
            let id = state.strip_prefix("not ").unwrap_or(state);
            if states().all(|s| s != id) {
                let help = did_you_mean(nearest(id, states()), "the states are in states/*.yaml");
                let message = format!("the filter '{verb}' names '{id}', which is not a state");
                refuse.at(LEXICON, &[verb, "states", id], message, help);
            }
        }
        for feature in filter.agrees_with.iter().filter(|name| features().all(|f| f != **name)) {
            let help = did_you_mean(nearest(feature, features()), "the features are in features/*.yaml");
            let message = format!("the filter '{verb}' names '{feature}', which is not a feature");
            refuse.at(LEXICON, &[verb, "agrees_with", feature], message, help);
        }
        if filter.kind == FilterKind::Condition && filter.states.is_empty() && filter.regimes.is_empty() {
            let help = "name `states` or `regimes`: without either it conditions on nothing";
            refuse.at(
                LEXICON,
                &["filters", verb],
                format!("the filter '{verb}' is an empty condition"),
                help,
            );
        }
        let regimes = &all.defaults.conditioning.regimes;
        for regime in filter.regimes.iter().filter(|r| !regimes.contains_key(*r)) {
            let near = nearest(regime, regimes.keys().map(String::as_str));
            let help = did_you_mean(near, "the regimes are in global_defaults.yaml, under `conditioning`");
            let message = format!("the filter '{verb}' names '{regime}', which is not a conditioning regime");
            refuse.at(LEXICON, &[verb, "regimes", regime], message, help);
        }
    }
    let declared: BTreeMap<&str, BTreeSet<&str>> =
        program.events.iter().filter(|e| e.base.is_none()).fold(BTreeMap::new(), |mut map, e| {
            map.entry(e.family.as_str()).or_insert_with(BTreeSet::new).insert(e.event_type.as_str());
            map
        });
    let not_registered = "remove it here too, or enter it in events/canonical_event_registry.yaml";
    for (family, listed) in &all.multiplicity.taxonomy.families {
        for event in
            listed.iter().filter(|e| !declared.get(family.as_str()).is_some_and(|d| d.contains(e.as_str())))
        {
            let help = did_you_mean(nearest(event, events()), not_registered);
            let message = format!("the registry has no event '{event}' in family '{family}'");
            refuse.at("multiplicity/taxonomy.yaml", &["families", family, event], message, help);
        }
    }
    for profile in all.gates.gate_v1_phase2.profiles.values() {
        for event in profile.events.keys().filter(|e| program.events.iter().all(|d| d.event_type != **e)) {
            let help = did_you_mean(nearest(event, events()), not_registered);
            let message = format!("'{event}' is not an event of the registry");
            refuse.at("gates.yaml", &["profiles", event], message, help);
        }
    }
}
