//! Definition files to a [`Program`] and the metadata beside it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::compiled::{EventMeta, FeatureMeta, StateMeta};
use super::diagnostic::{Diagnostic, SourceFile, SpecErrors};
use super::files::{
    EventFile, FeaturesFile, MacrosFile, OnsetEntry, RegistryFile, RelativeEntry, ScopeEntry, StatesFile,
    Text, VariantEntry,
};
use super::hash::content_hash;
use super::texts::Texts;
use super::yaml::{Ordered, Spanned, byte_range, parse_yaml};
use super::{GlobalDefaults, Lexicon, TestStatistic};
use crate::graph::{EventDef, MacroDef, Onset, Program, SeriesDef, SymbolRef, nearest, parse_macro_head};
use crate::outcomes::{Horizon, RelativePrice};

/// The registry inside the spec directory.
pub(super) const REGISTRY: &str = "events/canonical_event_registry.yaml";

/// Everything read from the definition files.
pub(super) struct Definitions {
    pub program: Program,
    pub texts: Texts,
    pub features: Vec<FeatureMeta>,
    pub states: Vec<StateMeta>,
    /// Of the program's events, enabled or not.
    pub events: Vec<EventMeta>,
}

/// Where definitions are collected; errors pile up.
pub(super) struct Collector<'a> {
    pub sources: &'a BTreeMap<String, SourceFile>,
    pub defaults: &'a GlobalDefaults,
    pub lexicon: &'a Lexicon,
    pub errors: Vec<Diagnostic>,
    /// A file could not be read, so names may be missing through no fault of their readers.
    pub incomplete: bool,
    texts: Texts,
    feature_names: Vec<String>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        sources: &'a BTreeMap<String, SourceFile>,
        defaults: &'a GlobalDefaults,
        lexicon: &'a Lexicon,
    ) -> Self {
        Self {
            sources,
            defaults,
            lexicon,
            errors: Vec::new(),
            incomplete: false,
            texts: Texts::default(),
            feature_names: Vec::new(),
        }
    }

    /// Reads every definition file. Errors of structure are in `self.errors`, of expressions in the texts.
    pub(super) fn collect(&mut self) -> Definitions {
        let macros = self.macros();
        let (features, feature_metas) = self.features();
        self.feature_names = feature_metas.iter().map(|f| f.name.clone()).collect();
        let families = self.registry();
        let (states, state_metas) = self.states(&families);
        let (events, event_metas) = self.events(&families);
        let leader = &self.defaults.leader;
        let program = Program {
            macros,
            features,
            states,
            events,
            leader: SymbolRef::Leader { lead: leader.symbol.clone(), other: leader.other.clone() },
            universe_min: self.defaults.universe.min_symbols,
        };
        Definitions {
            program,
            texts: std::mem::take(&mut self.texts),
            features: feature_metas,
            states: state_metas,
            events: event_metas,
        }
    }

    fn read<T: serde::de::DeserializeOwned>(&mut self, path: &str) -> Option<(&'a SourceFile, T)> {
        let file = self.sources.get(path)?;
        match parse_yaml(file) {
            Ok(value) => Some((file, value)),
            Err(SpecErrors(errors)) => {
                self.errors.extend(errors);
                self.incomplete = true;
                None
            }
        }
    }

    fn below(&self, folder: &str) -> Vec<&'a str> {
        let prefix = format!("{folder}/");
        self.sources.keys().filter(|p| p.starts_with(&prefix)).map(String::as_str).collect()
    }

    fn refuse(&mut self, file: &SourceFile, text: &Spanned<String>, message: String) -> &mut Diagnostic {
        let bytes = byte_range(file, text.referenced);
        self.errors.push(Diagnostic::at(file, &bytes, message));
        let last = self.errors.len() - 1;
        &mut self.errors[last]
    }

    /// `text` must be one of `known`.
    fn expect_known<'k>(
        &mut self,
        file: &SourceFile,
        text: &Spanned<String>,
        what: &str,
        known: impl IntoIterator<Item = &'k str> + Clone,
    ) {
        if known.clone().into_iter().any(|k| k == text.value) {
            return;
        }
        let help = match nearest(&text.value, known.clone()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("there are {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        };
        self.refuse(file, text, format!("'{}' is not {what}", text.value)).help.push(help);
    }

    fn series(&mut self, file: &SourceFile, name: &str, text: &Text) -> SeriesDef {
        let parsed = self.texts.parse(file, text);
        SeriesDef { name: name.to_owned(), expr: parsed.expr, span: parsed.span }
    }

    fn macros(&mut self) -> Vec<MacroDef> {
        let Some((file, found)) = self.read::<MacrosFile>("macros.yaml") else { return Vec::new() };
        let mut macros: Vec<MacroDef> = Vec::new();
        for (head, body) in found.macros.iter() {
            let parsed = self.texts.parse(file, body);
            match parse_macro_head(head, parsed.span.text) {
                Ok((name, params)) => {
                    macros.push(MacroDef { name, params, body: parsed.expr, span: parsed.span });
                }
                Err(error) => {
                    let refused = self.refuse(file, body, format!("'{head}': {}", error.message));
                    refused.help.push("write the head as a name with its parameters, as tq(x, p)".to_owned());
                    self.incomplete = true;
                }
            }
        }
        macros
    }

    fn features(&mut self) -> (Vec<SeriesDef>, Vec<FeatureMeta>) {
        let (mut defs, mut metas) = (Vec::new(), Vec::new());
        for path in self.below("features") {
            let Some((file, found)) = self.read::<FeaturesFile>(path) else { continue };
            for (name, entry) in found.features.iter() {
                defs.push(self.series(file, name, &entry.expr));
                metas.push(FeatureMeta {
                    name: name.to_owned(),
                    unit: entry.unit.clone(),
                    doc: entry.doc.clone(),
                    expr: entry.expr.value.clone(),
                    file: path.into(),
                });
            }
        }
        (defs, metas)
    }

    fn registry(&mut self) -> Ordered<Ordered<Spanned<String>>> {
        self.read::<RegistryFile>(REGISTRY).map(|(_, found)| found.families).unwrap_or_default()
    }

    fn states(&mut self, families: &Ordered<Ordered<Spanned<String>>>) -> (Vec<SeriesDef>, Vec<StateMeta>) {
        let (mut defs, mut metas) = (Vec::new(), Vec::new());
        let family_names: Vec<&str> = families.iter().map(|(name, _)| name).collect();
        let event_names: Vec<&str> = families.iter().flat_map(|(_, e)| e.iter().map(|(n, _)| n)).collect();
        for path in self.below("states") {
            let Some((file, found)) = self.read::<StatesFile>(path) else { continue };
            for (name, entry) in found.states.iter() {
                if !family_names.is_empty() {
                    let (families, events) = (family_names.iter().copied(), event_names.iter().copied());
                    self.expect_known(file, &entry.family, "a family of the registry", families);
                    self.expect_known(file, &entry.source_event, "an event of the registry", events);
                }
                defs.push(self.series(file, name, &entry.expr));
                metas.push(StateMeta {
                    id: name.to_owned(),
                    family: entry.family.value.clone(),
                    source_event: entry.source_event.value.clone(),
                    family_wide: entry.scope == ScopeEntry::Family,
                    min_events: entry.min_events.unwrap_or(self.defaults.conditioning.min_events),
                    doc: entry.doc.clone(),
                    expr: entry.expr.value.clone(),
                    file: path.into(),
                });
            }
        }
        (defs, metas)
    }

    fn events(&mut self, families: &Ordered<Ordered<Spanned<String>>>) -> (Vec<EventDef>, Vec<EventMeta>) {
        let mut out = (Vec::new(), Vec::new());
        let Some(registry) = self.sources.get(REGISTRY) else { return out };
        if families.iter().next().is_none() {
            // It could not be read, which has been said: every event would seem to be missing there.
            return out;
        }
        let mut registered: Vec<String> = vec![REGISTRY.to_owned()];
        let mut family_of: BTreeMap<&str, &str> = BTreeMap::new();
        for (family, events) in families.iter() {
            for (event_type, file_name) in events.iter() {
                if let Some(first) = family_of.insert(event_type, family) {
                    let message = format!("'{event_type}' is registered in '{first}' already");
                    let help = "an event has one family; keep one of the two lines";
                    self.refuse(registry, file_name, message).help.push(help.to_owned());
                    continue;
                }
                let path = format!("events/{}", file_name.value);
                if self.sources.contains_key(&path) {
                    self.event(family, event_type, &path, &mut out);
                } else {
                    let message = format!("the file '{path}' of event '{event_type}' does not exist");
                    let help = "write the file, or remove this line and what else names the event";
                    self.refuse(registry, file_name, message).help.push(help.to_owned());
                    self.incomplete = true;
                }
                registered.push(path);
            }
        }
        for path in self.below("events") {
            if !registered.iter().any(|r| r == path) {
                let file = &self.sources[path];
                let name = file.text.find("event_type").unwrap_or(0);
                let line = name..file.text[name..].find('\n').map_or(file.text.len(), |end| name + end);
                let help = format!("add it to its family in {REGISTRY}, or remove the file");
                self.errors.push(Diagnostic::at(file, &line, "this event is not in the registry").help(help));
            }
        }
        out
    }

    fn event(
        &mut self,
        family: &str,
        event_type: &str,
        path: &str,
        out: &mut (Vec<EventDef>, Vec<EventMeta>),
    ) {
        let Some((file, found)) = self.read::<EventFile>(path) else { return };
        if found.event_type.value != event_type {
            let message = format!(
                "this file is registered for '{event_type}', but defines '{}'",
                found.event_type.value
            );
            let help =
                format!("rename it in {REGISTRY}, multiplicity/taxonomy.yaml and where it is read, too");
            self.refuse(file, &found.event_type, message).help.push(help);
        }
        if found.family.value != family {
            let message = format!(
                "the registry has '{event_type}' in family '{family}', this file in '{}'",
                found.family.value
            );
            let near = nearest(&found.family.value, [family]);
            let help = near.map_or_else(
                || format!("an event stands under its family in {REGISTRY}, in multiplicity/taxonomy.yaml and here"),
                |near| format!("did you mean '{near}'?"),
            );
            self.refuse(file, &found.family, message).help.push(help);
        }
        let lets: Vec<SeriesDef> =
            found.lets.iter().map(|(name, text)| self.series(file, name, text)).collect();
        let detect = &found.detect;
        let base = EventDef {
            event_type: event_type.to_owned(),
            family: family.to_owned(),
            enabled: true,
            base: None,
            lets,
            when: self.series(file, "when", &detect.when),
            exit: detect.exit.as_ref().map(|exit| self.series(file, "exit", exit)),
            direction: self.series(file, "direction", &found.direction),
            severity: self.series(file, "severity", &found.severity),
            onset: match detect.onset {
                OnsetEntry::Rising => Onset::Rising,
                OnsetEntry::Level => Onset::Level,
            },
            spacing_bars: detect.spacing_bars,
            max_bars: self.max_bars(file, detect.max_bars.as_ref()),
            undirected: found.undirected,
        };
        let meta = EventMeta {
            event_type: event_type.to_owned(),
            family: family.to_owned(),
            draft: found.draft,
            templates: self.templates(file, &found),
            relative: found.relative.as_ref().map(|entry| self.relative(file, entry)),
            horizons: self.horizons(file, &found.horizons),
            prevalence_per_10k: self.prevalence(file, found.prevalence_per_10k.as_ref()),
            spec_hash: content_hash(&file.text),
            file: PathBuf::from(path),
            doc: found.doc.clone(),
            confounders: found.confounders.clone(),
            parts: parts(&found),
        };
        let base_ix = out.0.len();
        out.0.push(base.clone());
        out.1.push(meta.clone());
        let proxy = found.proxy.iter().map(|p| ("proxy", p));
        for (name, variant) in proxy.chain(found.variants.iter()) {
            out.0.push(self.variant(file, (base_ix, &base), name, variant));
            let mut meta = variant_meta(&meta, name, variant);
            if let Some(entry) = &variant.relative {
                meta.relative = Some(self.relative(file, entry));
            }
            out.1.push(meta);
        }
    }

    fn variant(
        &mut self,
        file: &SourceFile,
        (ix, base): (usize, &EventDef),
        name: &str,
        entry: &VariantEntry,
    ) -> EventDef {
        let mut def = base.clone();
        def.event_type = format!("{}.{name}", base.event_type);
        def.enabled = entry.enabled;
        def.base = Some(ix);
        for (binding, text) in entry.lets.iter() {
            let binding = self.series(file, binding, text);
            match def.lets.iter_mut().find(|l| l.name == binding.name) {
                Some(replaced) => *replaced = binding,
                None => def.lets.push(binding),
            }
        }
        let given = [&entry.when, &entry.exit, &entry.direction, &entry.severity];
        let [when, exit, direction, severity] =
            given.map(|text| text.as_ref().map(|text| self.series(file, name, text)));
        def.when = when.unwrap_or(def.when);
        def.exit = exit.or(def.exit);
        def.direction = direction.unwrap_or(def.direction);
        def.severity = severity.unwrap_or(def.severity);
        def
    }

    fn max_bars(&mut self, file: &SourceFile, max: Option<&Spanned<u32>>) -> Option<u32> {
        let max = max?;
        if max.value == 0 {
            let bytes = byte_range(file, max.referenced);
            let error = Diagnostic::at(file, &bytes, "an episode lasts at least one bar");
            self.errors.push(error.help("leave 'max_bars' out for an episode of the onset row alone"));
        }
        Some(max.value)
    }

    fn templates(&mut self, file: &SourceFile, found: &EventFile) -> Vec<String> {
        let known: Vec<&str> = self.lexicon.names().collect();
        for verb in &found.templates {
            self.expect_known(file, verb, "a template verb of the lexicon", known.iter().copied());
            let test = self.lexicon.test(&verb.value).map(|(_, test)| test);
            if found.relative.is_none() && test.is_some_and(|t| t.statistic == TestStatistic::RelativeReturn)
            {
                let message = format!("'{}' tests a relative price, and this event names none", verb.value);
                self.refuse(file, verb, message)
                    .help
                    .push("add 'relative: { hedge: spot }', or index, or leader with a ratio".to_owned());
            }
            let directed = test.is_some_and(|test| test.directed);
            if found.undirected && directed {
                let message = format!("'{}' needs a direction, and this event is undirected", verb.value);
                self.refuse(file, verb, message)
                    .help
                    .push("an undirected event admits filters and overlays only".to_owned());
            }
        }
        found.templates.iter().map(|t| t.value.clone()).collect()
    }

    fn relative(&mut self, file: &SourceFile, entry: &RelativeEntry) -> RelativePrice {
        if entry.own == entry.hedge.value {
            let bytes = byte_range(file, entry.hedge.referenced);
            let error = Diagnostic::at(file, &bytes, "a leg is held against itself");
            self.errors
                .push(error.help("'own' (perp where it is left out) and 'hedge' are two different legs"));
        }
        if let Some(ratio) = &entry.ratio {
            let names = self.feature_names.clone();
            self.expect_known(file, ratio, "a feature", names.iter().map(String::as_str));
        }
        RelativePrice {
            own: entry.own,
            hedge: entry.hedge.value,
            ratio: entry.ratio.as_ref().map(|ratio| ratio.value.as_str().into()),
        }
    }

    fn horizons(&mut self, file: &SourceFile, labels: &[Spanned<String>]) -> Vec<Horizon> {
        let mut out = Vec::new();
        for label in labels {
            let known: Vec<&str> = self.defaults.horizons.iter().map(String::as_str).collect();
            self.expect_known(file, label, "a horizon of global_defaults.yaml", known.iter().copied());
            out.extend(Horizon::parse(&label.value));
        }
        out
    }

    fn prevalence(&mut self, file: &SourceFile, range: Option<&Spanned<(f64, f64)>>) -> (f64, f64) {
        let Some(range) = range else { return self.defaults.prevalence_per_10k };
        let (low, high) = range.value;
        if !(low >= 0.0 && low <= high) {
            let bytes = byte_range(file, range.referenced);
            let error =
                Diagnostic::at(file, &bytes, "a prevalence range is [low, high] with 0 <= low <= high");
            self.errors.push(error.help("the smaller number stands first"));
        }
        range.value
    }
}

fn parts(found: &EventFile) -> Vec<(String, String)> {
    let part = |name: &str, text: &Text| (name.to_owned(), text.value.clone());
    let mut parts: Vec<_> = found.lets.iter().map(|(name, text)| part(name, text)).collect();
    parts.push(part("when", &found.detect.when));
    parts.extend(found.detect.exit.iter().map(|exit| part("exit", exit)));
    parts.push(part("direction", &found.direction));
    parts.push(part("severity", &found.severity));
    parts
}

fn variant_meta(base: &EventMeta, name: &str, entry: &VariantEntry) -> EventMeta {
    let mut meta = base.clone();
    meta.event_type = format!("{}.{name}", base.event_type);
    meta.doc.clone_from(&entry.doc);
    let given = [
        ("when", &entry.when),
        ("exit", &entry.exit),
        ("direction", &entry.direction),
        ("severity", &entry.severity),
    ];
    let given = given.into_iter().filter_map(|(part, text)| Some((part, text.as_ref()?)));
    for (part, text) in entry.lets.iter().chain(given) {
        match meta.parts.iter_mut().find(|(name, _)| name == part) {
            Some((_, old)) => old.clone_from(&text.value),
            None => meta.parts.insert(0, (part.to_owned(), text.value.clone())),
        }
    }
    meta
}
