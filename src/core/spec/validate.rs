//! What types cannot say: values that contradict each other, within a file and across files.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::cost_rules::{Finding, findings};
use super::definitions::Definitions;
use super::diagnostic::{Diagnostic, SourceFile};
use super::lexicon::{FilterKind, Lexicon};
use super::load::Settings;
use super::outline::Outline;
use super::source_rules::{Misfit, misfits};
use crate::graph::{LangError, Program, nearest};
use crate::market::{Calendar, Source, parse_time};
use crate::outcomes::{EntryPrice, Horizon};

/// The version of the layout of every file.
const SCHEMA_VERSION: &str = "1";

/// Where findings go. A finding names its place by the path of a key: `costs.fee_schedule[2].from`.
struct Refuse<'a> {
    outlines: BTreeMap<&'a str, Outline<'a>>,
    files: &'a BTreeMap<String, SourceFile>,
    errors: &'a mut Vec<Diagnostic>,
}

impl<'a> Refuse<'a> {
    const fn into(files: &'a BTreeMap<String, SourceFile>, errors: &'a mut Vec<Diagnostic>) -> Self {
        Self { outlines: BTreeMap::new(), files, errors }
    }

    fn at(&mut self, path: &str, key: &str, message: impl Into<String>, help: impl Into<String>) {
        let Some((path, file)) = self.files.get_key_value(path) else {
            return self.errors.push(Diagnostic::about(path, message).help(help));
        };
        let outline = self.outlines.entry(path.as_str()).or_insert_with(|| Outline::of(file));
        let error = match outline.bytes(key) {
            Some(bytes) => Diagnostic::at(file, &bytes, message),
            None => Diagnostic::about(&file.path, message),
        };
        self.errors.push(error.help(help));
    }
}

/// Checks the files that are not definitions.
pub(super) fn settings(all: &Settings, files: &BTreeMap<String, SourceFile>, errors: &mut Vec<Diagnostic>) {
    let mut refuse = Refuse::into(files, errors);
    versions(&mut refuse);
    sources(all, &mut refuse);
    defaults(all, &mut refuse);
    calendars(all, &mut refuse);
    lexicon(&all.lexicon, &mut refuse);
    let of_sources = [all.sources.plausibility.validate(), all.sources.live.validate()];
    for outside in [all.gates.validate(), all.strategies.validate()].into_iter().chain(of_sources) {
        for error in outside.err().into_iter().flat_map(|errors| errors.0) {
            let help = format!("{} must be {}", error.field, error.rule);
            refuse.at(error.file, &error.field, error.to_string(), help);
        }
    }
}

/// Every file says which layout it has; this program knows one.
fn versions(refuse: &mut Refuse<'_>) {
    for (path, file) in refuse.files {
        let given = Outline::of(file).scalar("schema_version");
        if let Some(given) = given.filter(|given| *given != SCHEMA_VERSION) {
            let message =
                format!("this file has layout {given}, and this program reads layout {SCHEMA_VERSION}");
            let help = format!(
                "write `schema_version: {SCHEMA_VERSION}`, or use the version of backtestd that the file is for"
            );
            refuse.at(path, "schema_version", message, help);
        }
    }
}

fn sources(all: &Settings, refuse: &mut Refuse<'_>) {
    for Misfit { place, message, help } in misfits(&all.sources) {
        refuse.at("sources.yaml", &place, message, help);
    }
}

fn did_you_mean(near: Option<&str>, otherwise: &str) -> String {
    near.map_or_else(|| otherwise.to_owned(), |near| format!("did you mean '{near}'?"))
}

fn defaults(all: &Settings, refuse: &mut Refuse<'_>) {
    const FILE: &str = "global_defaults.yaml";
    let d = &all.defaults;
    for (at, label) in d.horizons.iter().enumerate().filter(|(_, label)| Horizon::parse(label).is_none()) {
        let help = "whole bars of 5 minutes: 5m, 60m, 4h, 1d";
        refuse.at(FILE, &format!("horizons[{at}]"), format!("'{label}' is not a horizon"), help);
    }
    if d.entry_price == EntryPrice::Open && d.entry_lag_bars.get() < 2 {
        let message = "an entry at the open of the next bar is at the instant at which the event is detected";
        let help = "nobody can trade at it: write `entry_lag_bars: 2`, or `entry_price: close`";
        refuse.at(FILE, "entry_price", message, help);
    }
    for Finding { place, message, help } in findings(&d.costs) {
        refuse.at(FILE, &place, message, help);
    }
    for (symbol, step) in &d.tick_sizes {
        if !(*step > 0.0 && step.is_finite()) {
            let help = "the smallest price step of the contract, in quote currency: 0.1";
            let message = format!("the tick size of {symbol} is {step}");
            refuse.at(FILE, &format!("tick_sizes.{symbol}"), message, help);
        }
    }
    let of_symbols = d.funding.symbols.iter().filter_map(|(symbol, terms)| {
        Some((format!("funding.symbols.{symbol}.interval_hours"), terms.interval_hours?))
    });
    let intervals = std::iter::once(("funding.interval_hours".to_owned(), d.funding.interval_hours));
    for (place, hours) in intervals.chain(of_symbols) {
        if !(hours > 0.0 && hours <= 24.0) {
            let message = format!("a funding interval of {hours} h");
            refuse.at(FILE, &place, message, "contracts settle every 1, 2, 4 or 8 hours");
        }
    }
    if d.leader.symbol == d.leader.other {
        let message = "the benchmark of the benchmark must be another symbol";
        refuse.at(FILE, "leader.other", message, "name the second largest market, as ETHUSDT");
    }
    let (low, high) = d.prevalence_per_10k;
    if !(low >= 0.0 && low <= high) {
        let message = "a prevalence range is [low, high] with 0 <= low <= high";
        refuse.at(FILE, "prevalence_per_10k", message, "the smaller number stands first");
    }
}

fn calendars(all: &Settings, refuse: &mut Refuse<'_>) {
    const SESSIONS: &str = "calendars/sessions.yaml";
    const RELEASES: &str = "calendars/macro.yaml";
    for (name, session) in &all.calendars.sessions.sessions {
        let place = |key: &str| format!("sessions.{name}.{key}");
        if TimeZone::get(&session.time_zone).is_err() {
            let message = format!("'{}' is not an IANA time zone", session.time_zone);
            let help = "a continent and a city, as America/New_York";
            refuse.at(SESSIONS, &place("time_zone"), message, help);
        }
        if !all.calendars.holidays.holidays.contains_key(&session.holidays) {
            let known: Vec<&str> = all.calendars.holidays.holidays.keys().map(String::as_str).collect();
            let message = format!("holidays.yaml has no list '{}'", session.holidays);
            refuse.at(SESSIONS, &place("holidays"), message, format!("it has {}", known.join(", ")));
        }
        let mut last: Option<Date> = None;
        for (i, hours) in session.hours.iter().enumerate() {
            let open = hours.open.parse::<Time>();
            let close = hours.close.parse::<Time>();
            if !matches!((&open, &close), (Ok(open), Ok(close)) if open < close) {
                let message =
                    format!("session '{name}' opens at '{}' and closes at '{}'", hours.open, hours.close);
                let help = "quoted local times of one day, HH:MM, the open before the close";
                refuse.at(SESSIONS, &place(&format!("hours[{i}].open")), message, help);
            }
            let from = hours.from.as_deref().map(str::parse::<Date>);
            match from {
                None if i == 0 => {}
                Some(Ok(date)) if last.is_none_or(|last| last < date) => last = Some(date),
                _ => {
                    let message = format!(
                        "session '{name}': every change of hours has a later date than the one before"
                    );
                    let help = "give each entry but the first a `from: \"YYYY-MM-DD\"`";
                    refuse.at(SESSIONS, &place(&format!("hours[{i}].from")), message, help);
                }
            }
        }
        if session.hours.is_empty() {
            let message = format!("session '{name}' has no hours");
            refuse.at(SESSIONS, &place("hours"), message, "add an entry with `open` and `close`");
        }
    }
    for (market, dates) in &all.calendars.holidays.holidays {
        for (at, date) in dates.iter().enumerate().filter(|(_, d)| d.parse::<Date>().is_err()) {
            let message = format!("'{date}' of '{market}' is not a date");
            let help = "a day of the calendar, quoted, YYYY-MM-DD";
            refuse.at("calendars/holidays.yaml", &format!("holidays.{market}[{at}]"), message, help);
        }
    }
    let mut last = None;
    for (i, release) in all.calendars.releases.releases.iter().enumerate() {
        let place = |key: &str| format!("releases[{i}].{key}");
        match (parse_time(&release.at), parse_time(&release.announced)) {
            (Ok(at), Ok(announced)) if announced < at => {
                if last.is_some_and(|last| at < last) {
                    let help = "move the entry up to where its time belongs";
                    refuse.at(RELEASES, &place("at"), "releases stand in order of time", help);
                }
                last = Some(at);
            }
            (Ok(_), Ok(_)) => {
                let message = "a release that was announced after the fact cannot be scheduled";
                let help = "`announced` is the day on which the date was public, before `at`";
                refuse.at(RELEASES, &place("announced"), message, help);
            }
            (at, _) => {
                let key = if at.is_err() { "at" } else { "announced" };
                let message =
                    format!("'{}', announced '{}': one of them is no time", release.at, release.announced);
                let help = "times are quoted RFC 3339 in UTC, as \"2025-01-10T13:30:00Z\"; `announced` may be a date";
                refuse.at(RELEASES, &place(key), message, help);
            }
        }
    }
}

fn lexicon(lexicon: &Lexicon, refuse: &mut Refuse<'_>) {
    const FILE: &str = "hypotheses/template_verb_lexicon.yaml";
    let tests = lexicon.tests.keys().map(|name| (name, format!("tests.{name}")));
    let filters = lexicon.filters.keys().map(|name| (name, format!("filters.{name}")));
    let aliases = lexicon.tests.iter().flat_map(|(test, verb)| {
        let place = move |at: usize| format!("tests.{test}.aliases[{at}]");
        verb.aliases.iter().enumerate().map(move |(at, name)| (name, place(at)))
    });
    let mut seen = BTreeSet::new();
    for (name, place) in tests.chain(filters).chain(aliases) {
        if !seen.insert(name) {
            let help = "a verb and an alias are names of one test or filter";
            refuse.at(FILE, &place, format!("the verb '{name}' is defined twice"), help);
        }
    }
    for (name, test) in &lexicon.tests {
        if !(-1..=1).contains(&test.side) {
            let message = format!("the side of '{name}' is {}", test.side);
            let help = "1 with the event's direction, -1 against it, 0 for no side";
            refuse.at(FILE, &format!("tests.{name}.side"), message, help);
        }
        let Some(mirror) = &test.mirror else { continue };
        let back =
            lexicon.tests.get(mirror).filter(|m| m.mirror.as_ref() == Some(name) && m.side == -test.side);
        if back.is_none() {
            let message =
                format!("'{name}' mirrors '{mirror}', which does not mirror it back with the other side");
            let help = "two mirrors name each other, and one side is the other with the opposite sign";
            refuse.at(FILE, &format!("tests.{name}.mirror"), message, help);
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

/// What to do about an event that the registry does not have.
const NOT_REGISTERED: &str = "remove it here too, or enter it in events/canonical_event_registry.yaml";

/// Families and relations name events of the registry.
fn taxonomy(program: &Program, all: &Settings, refuse: &mut Refuse<'_>) {
    const TAXONOMY: &str = "multiplicity/taxonomy.yaml";
    let events = || program.events.iter().filter(|e| e.base.is_none()).map(|e| e.event_type.as_str());
    let declared: BTreeMap<&str, BTreeSet<&str>> =
        program.events.iter().filter(|e| e.base.is_none()).fold(BTreeMap::new(), |mut map, e| {
            map.entry(e.family.as_str()).or_insert_with(BTreeSet::new).insert(e.event_type.as_str());
            map
        });
    for (family, listed) in &all.multiplicity.taxonomy.families {
        let of_family = declared.get(family.as_str());
        let known = |event: &str| of_family.is_some_and(|declared| declared.contains(event));
        for (at, event) in listed.iter().enumerate().filter(|(_, event)| !known(event)) {
            let help = did_you_mean(nearest(event, events()), NOT_REGISTERED);
            let message = format!("the registry has no event '{event}' in family '{family}'");
            refuse.at(TAXONOMY, &format!("families.{family}[{at}]"), message, help);
        }
    }
    for (i, relation) in all.multiplicity.taxonomy.relations.iter().enumerate() {
        let named = relation.events.iter().enumerate();
        for (at, event) in named.filter(|(_, event)| events().all(|known| known != *event)) {
            let help = did_you_mean(nearest(event, events()), NOT_REGISTERED);
            let message = format!("a relation names '{event}', which is not an event of the registry");
            refuse.at(TAXONOMY, &format!("relations[{i}].events[{at}]"), message, help);
        }
        if relation.events.len() < 2 {
            let help = "name the events that share rows; `spec explain` shows the relation with each";
            refuse.at(TAXONOMY, &format!("relations[{i}].events"), "a relation is between events", help);
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
    let mut refuse = Refuse::into(files, errors);
    let features = || program.features.iter().map(|f| f.name.as_str());
    let states = || program.states.iter().map(|s| s.name.as_str());
    let events = || program.events.iter().filter(|e| e.base.is_none()).map(|e| e.event_type.as_str());
    for regime in all.defaults.conditioning.regimes.keys() {
        if features().all(|f| f != regime) {
            let help = did_you_mean(nearest(regime, features()), "a regime is a feature with few values");
            let message = format!("the regime '{regime}' is not a feature");
            refuse.at("global_defaults.yaml", &format!("conditioning.regimes.{regime}"), message, help);
        }
    }
    for (verb, filter) in &all.lexicon.filters {
        let place = |key: &str| format!("filters.{verb}.{key}");
        for (at, state) in filter.states.iter().enumerate() {
            let id = state.strip_prefix("not ").unwrap_or(state);
            if states().all(|s| s != id) {
                let help = did_you_mean(nearest(id, states()), "the states are in states/*.yaml");
                let message = format!("the filter '{verb}' names '{id}', which is not a state");
                refuse.at(LEXICON, &place(&format!("states[{at}]")), message, help);
            }
        }
        for feature in filter.agrees_with.iter().filter(|name| features().all(|f| f != **name)) {
            let help = did_you_mean(nearest(feature, features()), "the features are in features/*.yaml");
            let message = format!("the filter '{verb}' names '{feature}', which is not a feature");
            refuse.at(LEXICON, &place("agrees_with"), message, help);
        }
        if filter.kind == FilterKind::Condition && filter.states.is_empty() && filter.regimes.is_empty() {
            let help = "name `states` or `regimes`: without either it conditions on nothing";
            let message = format!("the filter '{verb}' is an empty condition");
            refuse.at(LEXICON, &format!("filters.{verb}"), message, help);
        }
        let regimes = &all.defaults.conditioning.regimes;
        for (at, regime) in filter.regimes.iter().enumerate().filter(|(_, r)| !regimes.contains_key(*r)) {
            let near = nearest(regime, regimes.keys().map(String::as_str));
            let help = did_you_mean(near, "the regimes are in global_defaults.yaml, under `conditioning`");
            let message = format!("the filter '{verb}' names '{regime}', which is not a conditioning regime");
            refuse.at(LEXICON, &place(&format!("regimes[{at}]")), message, help);
        }
    }
    taxonomy(program, all, &mut refuse);
    for (profile, overrides) in &all.gates.gate_v1_phase2.profiles {
        for event in overrides.events.keys().filter(|e| program.events.iter().all(|d| d.event_type != **e)) {
            let help = did_you_mean(nearest(event, events()), NOT_REGISTERED);
            let message = format!("'{event}' is not an event of the registry");
            let place = format!("gate_v1_phase2.profiles.{}.events.{event}", profile.name());
            refuse.at("gates.yaml", &place, message, help);
        }
    }
}
