//! `spec/multiplicity/*.yaml`: what counts as one group, and which events belong together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `spec/multiplicity/families.yaml` and `taxonomy.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiplicitySpec {
    /// `families.yaml`.
    pub families: FamiliesFile,
    /// `taxonomy.yaml`.
    pub taxonomy: TaxonomyFile,
}

/// `spec/multiplicity/families.yaml`: what counts as one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FamiliesFile {
    /// Version of this file's layout; 1.
    pub schema_version: u32,
    /// The keys that make a group of `grouped_bb`, in order.
    pub group_by: Vec<GroupKey>,
    /// Whether a pooled unit over all symbols stands beside the single-symbol units.
    pub pool_symbols: bool,
}

/// A key of a multiplicity group.
#[allow(missing_docs, reason = "columns of phase2_candidates")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupKey {
    CanonicalFamily,
    EventType,
    TemplateVerb,
    Horizon,
    StateId,
    Symbol,
}

/// `spec/multiplicity/taxonomy.yaml`: the families, and which events overlap by construction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxonomyFile {
    /// Version of this file's layout; 1.
    pub schema_version: u32,
    /// Event types of each family.
    pub families: BTreeMap<String, Vec<String>>,
    /// Overlaps declared by construction: `spec explain` shows them with each event.
    pub relations: Vec<Relation>,
}

/// Two event types that share rows by construction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// The event types.
    pub events: Vec<String>,
    /// What holds between them.
    pub relation: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_multiplicity_files_place_every_event_once() {
        let taxonomy: TaxonomyFile =
            serde_saphyr::from_str(include_str!("../../../../spec/multiplicity/taxonomy.yaml")).unwrap();
        let mut events: Vec<_> = taxonomy.families.values().flatten().collect();
        events.sort();
        events.dedup();
        assert_eq!(events.len(), 57);
        assert!(taxonomy.relations.iter().flat_map(|r| &r.events).all(|e| events.contains(&e)));
        let families: FamiliesFile =
            serde_saphyr::from_str(include_str!("../../../../spec/multiplicity/families.yaml")).unwrap();
        assert_eq!(families.group_by.len(), 4);
    }
}
