//! A spec directory to a [`CompiledSpec`], or to everything that is wrong with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::compiled::CompiledSpec;
use super::definitions::{Collector, REGISTRY};
use super::diagnostic::{Diagnostic, SourceFile, SpecErrors};
use super::gates::{FamiliesFile, GatesSpec, MultiplicitySpec, TaxonomyFile};
use super::hash::{content_hash, ontology_hash};
use super::strategies::StrategiesSpec;
use super::validate;
use super::yaml::parse_yaml;
use super::{Calendars, GlobalDefaults, Lexicon, SourcesSpec};
use crate::graph::compile;

/// Files that every spec directory has.
const REQUIRED: [&str; 12] = [
    "macros.yaml",
    "sources.yaml",
    "global_defaults.yaml",
    "gates.yaml",
    "multiplicity/families.yaml",
    "multiplicity/taxonomy.yaml",
    "hypotheses/template_verb_lexicon.yaml",
    "calendars/sessions.yaml",
    "calendars/holidays.yaml",
    "calendars/macro.yaml",
    "strategies/default.yaml",
    REGISTRY,
];

impl CompiledSpec {
    /// Compiles the files of a spec directory, by their paths relative to it. `dir` is only named in
    /// messages.
    ///
    /// # Errors
    /// Everything that is wrong with it: files that are missing or do not fit their type, expressions that do
    /// not parse, check or end in a cycle, and values that contradict each other across files.
    pub fn from_files(dir: &Path, sources: &BTreeMap<String, SourceFile>) -> Result<Self, SpecErrors> {
        let mut errors: Vec<Diagnostic> = REQUIRED
            .iter()
            .filter(|required| !sources.contains_key(**required))
            .map(|required| {
                let error = Diagnostic::about(dir.join(required), "this file is missing");
                error.help("every spec directory needs it; compare with the one that is shipped")
            })
            .collect();
        if !errors.is_empty() {
            return Err(SpecErrors(errors));
        }
        let settings = Settings::read(sources, &mut errors);
        let Some(settings) = settings else { return Err(SpecErrors(errors)) };
        validate::settings(&settings, sources, &mut errors);

        let mut collector = Collector::new(sources, &settings.defaults, &settings.lexicon);
        let mut definitions = collector.collect();
        let complete = !collector.incomplete;
        errors.append(&mut collector.errors);
        let texts = &definitions.texts;
        errors.extend(texts.errors.iter().map(|e| texts.diagnostic(e)));
        validate::names(&definitions, &mut errors);
        // A file that could not be read would make every reader of its names report an unknown name.
        let graph = if complete {
            compile(&definitions.program)
                .map_err(|found| errors.extend(found.iter().map(|e| texts.diagnostic(e))))
                .ok()
        } else {
            None
        };
        if complete {
            validate::across(&definitions, &settings, sources, &mut errors);
        }
        let (Some(graph), true) = (graph, errors.is_empty()) else {
            errors.sort_by_key(|e| (e.file.clone(), e.place.as_ref().map(|p| (p.line, p.column))));
            errors.dedup();
            return Err(SpecErrors(errors));
        };
        let enabled: Vec<bool> = definitions.program.events.iter().map(|e| e.enabled).collect();
        let mut keep = enabled.iter();
        definitions.events.retain(|_| keep.next().copied().unwrap_or(true));
        Ok(Self {
            hash: ontology_hash(sources.iter().map(|(path, file)| (path.as_str(), &*file.text))),
            files: sources.iter().map(|(path, file)| (path.clone(), content_hash(&file.text))).collect(),
            graph: Arc::new(graph),
            events: definitions.events,
            states: definitions.states,
            features: definitions.features,
            program: Arc::new(definitions.program),
            defaults: settings.defaults,
            sources: settings.sources,
            gates: settings.gates,
            multiplicity: settings.multiplicity,
            lexicon: settings.lexicon,
            calendars: settings.calendars,
            strategies: settings.strategies,
        })
    }
}

/// Everything that is not a definition.
pub(super) struct Settings {
    pub defaults: GlobalDefaults,
    pub sources: SourcesSpec,
    pub gates: GatesSpec,
    pub multiplicity: MultiplicitySpec,
    pub lexicon: Lexicon,
    pub calendars: Calendars,
    pub strategies: StrategiesSpec,
}

impl Settings {
    fn read(sources: &BTreeMap<String, SourceFile>, errors: &mut Vec<Diagnostic>) -> Option<Self> {
        let defaults = one(sources, "global_defaults.yaml", errors);
        let source_rules = one(sources, "sources.yaml", errors);
        let gates = one(sources, "gates.yaml", errors);
        let families: Option<FamiliesFile> = one(sources, "multiplicity/families.yaml", errors);
        let taxonomy: Option<TaxonomyFile> = one(sources, "multiplicity/taxonomy.yaml", errors);
        let lexicon = one(sources, "hypotheses/template_verb_lexicon.yaml", errors);
        let sessions = one(sources, "calendars/sessions.yaml", errors);
        let holidays = one(sources, "calendars/holidays.yaml", errors);
        let releases = one(sources, "calendars/macro.yaml", errors);
        let strategies = one(sources, "strategies/default.yaml", errors);
        Some(Self {
            defaults: defaults?,
            sources: source_rules?,
            gates: gates?,
            multiplicity: MultiplicitySpec { families: families?, taxonomy: taxonomy? },
            lexicon: lexicon?,
            calendars: Calendars { sessions: sessions?, holidays: holidays?, releases: releases? },
            strategies: strategies?,
        })
    }
}

fn one<T: serde::de::DeserializeOwned>(
    sources: &BTreeMap<String, SourceFile>,
    path: &str,
    errors: &mut Vec<Diagnostic>,
) -> Option<T> {
    parse_yaml(sources.get(path)?).map_err(|SpecErrors(found)| errors.extend(found)).ok()
}
