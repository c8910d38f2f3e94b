//! `spec/hypotheses/template_verb_lexicon.yaml`: what a template verb means.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What template verbs mean: `spec/hypotheses/template_verb_lexicon.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lexicon {
    /// Version of this file's layout; 1.
    pub schema_version: u32,
    /// Verbs that are a statistical test of their own.
    pub tests: BTreeMap<String, TestVerb>,
    /// Verbs that condition or overlay a test.
    pub filters: BTreeMap<String, FilterVerb>,
}

/// A test, run once whatever it is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestVerb {
    /// What is measured.
    pub statistic: TestStatistic,
    /// Sign on the event's direction: +1 with it, -1 against it, 0 no side.
    pub side: i8,
    /// The verb whose statistic is this one with the opposite sign: both are one two-sided test.
    #[serde(default)]
    pub mirror: Option<String>,
    /// Needs an event with a direction.
    pub directed: bool,
    /// Older names of the same test.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What the test asks, in words.
    pub doc: String,
}

/// What a test measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestStatistic {
    /// Forward return of the symbol.
    OwnReturn,
    /// Change of the price relative to the leg that the event names.
    RelativeReturn,
    /// Realised variance over its expectation, minus 1.
    VarianceRatio,
    /// Upper quantile of the favourable excursion in sigma.
    ExcursionQuantile,
}

impl TestStatistic {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::OwnReturn, Self::RelativeReturn, Self::VarianceRatio, Self::ExcursionQuantile];
}

impl fmt::Display for TestStatistic {
    /// As the lexicon writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnReturn => "own_return",
            Self::RelativeReturn => "relative_return",
            Self::VarianceRatio => "variance_ratio",
            Self::ExcursionQuantile => "excursion_quantile",
        })
    }
}

/// A condition or overlay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterVerb {
    /// What it adds.
    pub kind: FilterKind,
    /// States that must be known and active (`STATE`) or known and not (`not STATE`) on the deciding bar, all
    /// together.
    #[serde(default)]
    pub states: Vec<String>,
    /// Regime features: each value is a condition of its own, beside that of the states.
    #[serde(default)]
    pub regimes: Vec<String>,
    /// Feature whose sign must be that of the trade: with the event's direction on the follow side, against
    /// it on the other.
    #[serde(default)]
    pub agrees_with: Option<String>,
    /// What the filter asks, in words.
    pub doc: String,
}

/// What a filter adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterKind {
    /// A condition at entry, part of the hypothesis.
    Condition,
    /// A rule of execution on inputs known before the trade.
    Execution,
    /// Judged by what it does to other strategies' risk.
    Overlay,
}

impl Lexicon {
    /// The test that a verb or an alias names, with its canonical name.
    #[must_use]
    pub fn test(&self, verb: &str) -> Option<(&str, &TestVerb)> {
        let (name, test) = match self.tests.get_key_value(verb) {
            Some(found) => found,
            None => self.tests.iter().find(|(_, t)| t.aliases.iter().any(|a| a == verb))?,
        };
        Some((name, test))
    }

    /// Every name that an event may list.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let aliases = self.tests.values().flat_map(|t| t.aliases.iter().map(String::as_str));
        self.tests.keys().chain(self.filters.keys()).map(String::as_str).chain(aliases)
    }
}
