//! JSON Schemas of every kind of spec file, generated from the types that read them, so that an editor
//! completes and checks keys. They are not part of the ontology.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::calendars::{HolidaysFile, MacroFile, SessionsFile};
use super::definitions::REGISTRY;
use super::files::{EventFile, FeaturesFile, MacrosFile, RegistryFile, StatesFile};
use super::gates::{FamiliesFile, GatesSpec, TaxonomyFile};
use super::strategies::StrategiesSpec;
use super::{GlobalDefaults, Lexicon, SourcesSpec};

/// A kind of spec file.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecSchema {
    /// `event`: the schema's file is `event.schema.json`.
    pub kind: &'static str,
    /// Which files it is for: a path below the spec directory, or a folder's files (`features/*.yaml`).
    pub files: &'static str,
    /// The schema, draft 2020-12.
    pub schema: Value,
}

impl SpecSchema {
    /// The name of its file in `spec/schemas/`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.schema.json", self.kind)
    }

    /// The content of that file.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}\n", self.schema)
    }
}

/// Makes the schema of a type.
type Make = fn(SchemaGenerator) -> Schema;

/// The kinds: name, files, and how the schema is made.
const KINDS: [(&str, &str, Make); 15] = [
    ("event", "events/*.yaml", SchemaGenerator::into_root_schema_for::<EventFile>),
    ("event_registry", REGISTRY, SchemaGenerator::into_root_schema_for::<RegistryFile>),
    ("features", "features/*.yaml", SchemaGenerator::into_root_schema_for::<FeaturesFile>),
    ("states", "states/*.yaml", SchemaGenerator::into_root_schema_for::<StatesFile>),
    ("macros", "macros.yaml", SchemaGenerator::into_root_schema_for::<MacrosFile>),
    ("sources", "sources.yaml", SchemaGenerator::into_root_schema_for::<SourcesSpec>),
    ("gates", "gates.yaml", SchemaGenerator::into_root_schema_for::<GatesSpec>),
    ("global_defaults", "global_defaults.yaml", SchemaGenerator::into_root_schema_for::<GlobalDefaults>),
    ("families", "multiplicity/families.yaml", SchemaGenerator::into_root_schema_for::<FamiliesFile>),
    ("taxonomy", "multiplicity/taxonomy.yaml", SchemaGenerator::into_root_schema_for::<TaxonomyFile>),
    ("lexicon", "hypotheses/template_verb_lexicon.yaml", SchemaGenerator::into_root_schema_for::<Lexicon>),
    ("strategies", "strategies/*.yaml", SchemaGenerator::into_root_schema_for::<StrategiesSpec>),
    ("sessions", "calendars/sessions.yaml", SchemaGenerator::into_root_schema_for::<SessionsFile>),
    ("holidays", "calendars/holidays.yaml", SchemaGenerator::into_root_schema_for::<HolidaysFile>),
    ("releases", "calendars/macro.yaml", SchemaGenerator::into_root_schema_for::<MacroFile>),
];

/// The schema of every kind of spec file.
#[must_use]
pub fn schemas() -> Vec<SpecSchema> {
    let one = |(kind, files, make): &(&'static str, &'static str, Make)| SpecSchema {
        kind,
        files,
        schema: make(settings().into_generator()).to_value(),
    };
    KINDS.iter().map(one).collect()
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with_transform(RecursiveTransform(unwrap_description))
}

/// A description is wrapped in the source as wide as the code; an editor wraps it as wide as its window.
fn unwrap_description(schema: &mut Schema) {
    let Some(Value::String(text)) = schema.get_mut("description") else { return };
    let paragraphs: Vec<String> = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
    *text = paragraphs.join("\n\n");
}
