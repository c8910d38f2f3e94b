//! A new event: its file from a template, its line in the registry and in the taxonomy. Texts in, texts out:
//! comments and order of what is there stay, and the result has been compiled before anybody writes it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::compiled::CompiledSpec;
use super::definitions::REGISTRY;
use super::diagnostic::{SourceFile, SpecErrors};
use super::files::RegistryFile;
use super::lexicon::{TestStatistic, TestVerb};
use super::report::SpecReport;
use super::yaml::{Ordered, Spanned, byte_range, parse_yaml};
use crate::graph::nearest;

const TAXONOMY: &str = "multiplicity/taxonomy.yaml";
const TEMPLATE: &str = include_str!("new_event.template");
/// Longest line of a list that is written on one line.
const LINE_CHARS: usize = 120;

/// What a new event adds to the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Canonical family that the event joins.
    pub family: String,
    /// Why this one, if it was not given; else empty.
    pub why_family: String,
    /// The new file: path and text.
    pub new: (String, String),
    /// Files that change: path and whole new text.
    pub changed: Vec<(String, String)>,
}

/// Why there is no new event.
#[derive(Debug, thiserror::Error)]
pub enum NewEventError {
    /// The tree is broken already.
    #[error("the specs do not compile as they are, so nothing is added to them:\n\n{0}")]
    Broken(SpecErrors),
    /// Not a name for an event.
    #[error(
        "'{given}' is no name for an event: capitals, digits and underscores, beginning with a letter{}",
        or_rather(suggestion)
    )]
    Name {
        /// Name as the caller gave it.
        given: String,
        /// What would be one.
        suggestion: String,
    },
    /// There is an event of this name.
    #[error("the event '{name}' exists already, in {file}; choose another name, or edit that file")]
    Exists {
        /// Name of the event that exists already.
        name: String,
        /// File that defines the event.
        file: String,
    },
    /// There is a file of this name.
    #[error("the file {0} exists already; name another with --out")]
    FileExists(String),
    /// Not a file name.
    #[error("'{0}' is not a plain name ending in .yaml: the file goes into events/")]
    FileName(String),
    /// No such family.
    #[error("'{given}' is not a family of the registry{}; the families are {}", did_you_mean(near.as_deref()), known.join(", "))]
    Family {
        /// Family as the caller gave it.
        given: String,
        /// What may have been meant.
        near: Option<String>,
        /// What there is.
        known: Vec<String>,
    },
    /// The name does not tell the family.
    #[error("say which family '{name}' belongs to with --family; the families are {}", known.join(", "))]
    WhichFamily {
        /// Name of the new event.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The tree with the event in it does not compile, or `spec check` would find something.
    #[error("the specs with the new event in them would not be fine, so nothing is written:\n\n{0}")]
    Refused(String),
}

fn or_rather(suggestion: &str) -> String {
    if suggestion.is_empty() { String::new() } else { format!("; as in {suggestion}") }
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!(" (did you mean '{near}'?)")).unwrap_or_default()
}

/// The files of a new event. `dir` is only named in messages.
///
/// # Errors
/// When the tree does not compile, the name is taken or ill-formed, there is no such family, or the result
/// would not pass `spec check`.
pub fn new_event(
    dir: &Path,
    files: &BTreeMap<String, SourceFile>,
    name: &str,
    family: Option<&str>,
    file_name: Option<&str>,
) -> Result<Addition, NewEventError> {
    let spec = CompiledSpec::from_files(dir, files).map_err(NewEventError::Broken)?;
    check_name(name)?;
    let registry: RegistryFile = parse_yaml(&files[REGISTRY]).map_err(NewEventError::Broken)?;
    let taken = registry.families.iter().flat_map(|(_, events)| events.iter()).find(|(n, _)| *n == name);
    if let Some((_, file)) = taken {
        let file = format!("events/{}", file.value);
        return Err(NewEventError::Exists { name: name.to_owned(), file });
    }
    let (family, why_family) = choose_family(&registry, name, family)?;
    let file_name = file_name.map_or_else(|| format!("{}.yaml", name.to_lowercase()), str::to_owned);
    let plain = file_name.strip_suffix(".yaml").is_some_and(|stem| !stem.is_empty());
    if !plain || file_name.contains(['/', '\\']) || file_name.starts_with('.') {
        return Err(NewEventError::FileName(file_name));
    }
    let path = format!("events/{file_name}");
    if files.contains_key(&path) {
        return Err(NewEventError::FileExists(path));
    }

    let addition = Addition {
        new: (path, event_text(&spec, name, &family)),
        changed: vec![
            (REGISTRY.to_owned(), registered(&files[REGISTRY], &registry, &family, name, &file_name)),
            (
                TAXONOMY.to_owned(),
                classified(&files[TAXONOMY], &family, name).map_err(NewEventError::Broken)?,
            ),
        ],
        family,
        why_family,
    };
    try_out(dir, files, &spec, &addition)?;
    Ok(addition)
}

fn check_name(name: &str) -> Result<(), NewEventError> {
    let is_word = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if is_word && name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Ok(());
    }
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let suggestion: String = name.chars().map(letter).collect();
    let suggestion = suggestion.trim_start_matches(|c: char| !c.is_ascii_uppercase()).to_owned();
    Err(NewEventError::Name { given: name.to_owned(), suggestion })
}

fn choose_family(
    registry: &RegistryFile,
    name: &str,
    given: Option<&str>,
) -> Result<(String, String), NewEventError> {
    let known = || registry.families.iter().map(|(family, _)| family.to_owned()).collect::<Vec<_>>();
    if let Some(given) = given {
        if registry.families.get(given).is_some() {
            return Ok((given.to_owned(), String::new()));
        }
        let near = nearest(given, registry.families.iter().map(|(f, _)| f)).map(str::to_owned);
        return Err(NewEventError::Family { given: given.to_owned(), near, known: known() });
    }
    let first_word = name.split('_').next().unwrap_or(name);
    let begins = |event: &str| event.split('_').next() == Some(first_word);
    let mut alike =
        registry.families.iter().filter(|(_, events)| events.iter().any(|(event, _)| begins(event)));
    match (alike.next(), alike.next()) {
        (Some((family, _)), None) => {
            Ok((family.to_owned(), format!(" (where the other {first_word}_ events are)")))
        }
        _ => Err(NewEventError::WhichFamily { name: name.to_owned(), known: known() }),
    }
}

/// The template, with verbs and a horizon that the tree has.
fn event_text(spec: &CompiledSpec, name: &str, family: &str) -> String {
    let is_own = |test: &TestVerb| test.statistic == TestStatistic::OwnReturn && test.mirror.is_some();
    let directed = spec.lexicon.tests.iter().find(|(_, test)| is_own(test));
    let templates = match directed {
        Some((verb, test)) => {
            let mirror = test.mirror.as_deref().unwrap_or(verb);
            format!("{verb}, {mirror}")
        }
        None => spec.lexicon.names().next().unwrap_or_default().to_owned(),
    };
    let horizons = &spec.defaults.horizons;
    let horizon = horizons.get(horizons.len() / 2).map_or("", String::as_str);
    let verbs: Vec<&str> =
        spec.lexicon.tests.keys().chain(spec.lexicon.filters.keys()).map(String::as_str).collect();
    TEMPLATE
        .replace("{NAME}", name)
        .replace("{FAMILY}", family)
        .replace("{TEMPLATES}", &templates)
        .replace("{VERBS}", &verbs.join(", "))
        .replace("{HORIZON}", horizon)
        .replace("{HORIZONS}", &horizons.join(", "))
}

/// The registry with a line after the last event of the family.
fn registered(
    file: &SourceFile,
    registry: &RegistryFile,
    family: &str,
    name: &str,
    file_name: &str,
) -> String {
    let events = registry.families.get(family);
    let Some((_, last)) = events.and_then(|events| events.iter().last()) else {
        // A family without events has no line to stand after; `try_out` says that the registry lacks the
        // event.
        return file.text.to_string();
    };
    let line = Line::around(file, byte_range(file, last.referenced).start);
    let mut text = file.text.to_string();
    text.insert_str(line.end, &format!("\n{}{name}: {file_name}", line.indent));
    text
}

/// What is read of the taxonomy here: where each event stands.
#[derive(Deserialize)]
struct Places {
    families: Ordered<Vec<Spanned<String>>>,
}

/// The taxonomy with the event at the end of its family's list.
fn classified(file: &SourceFile, family: &str, name: &str) -> Result<String, SpecErrors> {
    let places: Places = parse_yaml(file)?;
    let Some(last) = places.families.get(family).and_then(|events| events.last()) else {
        return Ok(file.text.to_string());
    };
    let bytes = byte_range(file, last.referenced);
    let line = Line::around(file, bytes.start);
    let mut text = file.text.to_string();
    if line.text.trim_start().starts_with("- ") {
        text.insert_str(line.end, &format!("\n{}- {name}", line.indent));
        return Ok(text);
    }
    let is_short = line.text.chars().count() + name.len() + 2 <= LINE_CHARS;
    let deeper = match line.text.trim_start().chars().next() {
        Some('[') => " ",
        _ if line.text.contains('[') => "  ",
        _ => "",
    };
    let joint = if is_short { " ".to_owned() } else { format!("\n{}{deeper}", line.indent) };
    text.insert_str(bytes.end, &format!(",{joint}{name}"));
    Ok(text)
}

/// A line of a file.
struct Line<'t> {
    text: &'t str,
    indent: &'t str,
    /// Byte of its end.
    end: usize,
}

impl<'t> Line<'t> {
    fn around(file: &'t SourceFile, at: usize) -> Self {
        let start = file.text[..at].rfind('\n').map_or(0, |i| i + 1);
        let end = file.text[at..].find(['\r', '\n']).map_or(file.text.len(), |i| at + i);
        let text = &file.text[start..end];
        Self { text, indent: &text[..text.len() - text.trim_start().len()], end }
    }
}

/// Compiles the tree with the addition in it.
fn try_out(
    dir: &Path,
    files: &BTreeMap<String, SourceFile>,
    before: &CompiledSpec,
    addition: &Addition,
) -> Result<(), NewEventError> {
    let mut files = files.clone();
    for (path, text) in addition.changed.iter().chain([&addition.new]) {
        let file = SourceFile { path: dir.join(path), text: text.as_str().into() };
        files.insert(path.clone(), file);
    }
    let after = CompiledSpec::from_files(dir, &files).map_err(|e| NewEventError::Refused(e.to_string()))?;
    let known = SpecReport::of(before).findings;
    let found: Vec<String> =
        SpecReport::of(&after).findings.into_iter().filter(|finding| !known.contains(finding)).collect();
    if found.is_empty() { Ok(()) } else { Err(NewEventError::Refused(found.join("\n"))) }
}
