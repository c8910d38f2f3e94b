//! `spec/sources.yaml`: when a source value may be used, and for how long. No lag lives in code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::live::LiveRules;
use super::plausibility::Plausibility;
use crate::market::Source;

/// When source values may be used, and for how long: `spec/sources.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourcesSpec {
    /// Version of this file's layout; 1.
    pub schema_version: u32,
    /// Columns that share a rule. Every [`Source`] is in exactly one group (checked by the loader).
    pub groups: Vec<SourceGroup>,
    /// What a record must be like to be taken for true.
    pub plausibility: Plausibility,
    /// What a stream may tell, and when the exchange is asked again.
    pub live: LiveRules,
}

/// Columns that arrive together and share one availability rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceGroup {
    /// Name of the group.
    pub name: String,
    /// Column names, as specs read them.
    pub columns: Vec<String>,
    /// Unit of the columns.
    pub unit: String,
    /// The instant or stretch that a value describes, in words.
    pub describes: String,
    /// How values meet the grid.
    pub join: Join,
    /// Publication lag in seconds. `instant` and `setting`: a value is known from the described instant plus
    /// this, and joins the first bar whose close is at or after that. `bar`: the value belongs to its own
    /// slot whenever it comes; the lag is then what trials assume of its delivery, part of their definition,
    /// and moves nothing.
    pub lag_s: u32,
    /// How long a value is used after the instant it describes.
    pub hold: Hold,
    /// A `bar` value is unknown when the share of the bar that was observed is below this.
    #[serde(default)]
    pub min_coverage: Option<f64>,
    /// What NaN means.
    pub unknown_when: String,
}

/// How values meet the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// One value per 5-minute slot, attached to that slot.
    Bar,
    /// Values at instants, joined backward as-of.
    Instant,
    /// Settings with a start of validity (fees, tick size, interest), joined backward as-of.
    Setting,
    /// Instants known ahead: calendars and the funding schedule.
    Schedule,
}

/// How long a value is used after the instant it describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Its own bar only.
    Bar,
    /// This many seconds.
    Seconds(u32),
    /// The funding interval that follows, plus this many seconds.
    IntervalPlusSeconds(u32),
    /// Known ahead for good.
    Forever,
}

impl SourcesSpec {
    /// The rule of a column.
    #[must_use]
    pub fn rule(&self, source: Source) -> Option<&SourceGroup> {
        self.groups.iter().find(|g| g.columns.iter().any(|c| c == source.name()))
    }

    /// The rule of a group by its name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&SourceGroup> {
        self.groups.iter().find(|g| g.name == name)
    }
}
