//! `plausibility:` of `spec/sources.yaml`: what a record must be like to be taken for true. What these bounds
//! say of a record is worked out in `clean/doubt`.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ranges::{OutOfRanges, Ranges};
use crate::market::Kind;

const FILE: &str = "sources.yaml";

/// What cannot be true, or only if the records around it say so. A record that breaks one of these rules is
/// kept and quarantined: unknown for everything downstream, until a better one comes or somebody releases it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plausibility {
    /// A record that describes an instant further ahead of the clock than this, in seconds, cannot have
    /// happened.
    pub beyond_now_s: u32,
    /// Prices of bars, held against the bars around them.
    pub prices: PricePlausibility,
    /// The average price of a bar (quote volume by volume) lies between its low and its high, give or take
    /// this share.
    pub average_price_slack: f64,
    /// A last price leaves the mark price by at most the exchange's own price band (`PERCENT_PRICE`), widened
    /// by this factor: orders that rest in the book are older than the mark price that they are held against.
    pub band_factor: f64,
    /// Bounds of the columns of the raw log. A column that is not listed has none.
    pub columns: Vec<ColumnPlausibility>,
}

/// When the prices of a bar cannot be: trading is continuous, so that a bar opens near where the bar before
/// it closed. A crash keeps to that on its way down and on its way back; a print that never happened does
/// not.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PricePlausibility {
    /// A neighbour is the nearest bar of the same series within so many bars.
    pub reach_bars: u32,
    /// So many bars in a row may leave and return together.
    pub longest_run_bars: u32,
    /// An open or a close leaves both neighbours by this factor, and the bar after opens where the bar before
    /// closed.
    pub close_factor: f64,
    /// A high or a low lies beyond everything that the bar and its neighbours opened and closed at by this
    /// factor.
    pub wick_factor: f64,
    /// With a neighbour on one side only, a close or open that leaves it by this factor is held back until
    /// the other one comes.
    pub alone_factor: f64,
}

/// Bounds of columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnPlausibility {
    /// Names of columns of the raw log, as its tables have them; bars of both markets share a bound.
    pub columns: Vec<String>,
    /// The least value that can be true.
    pub min: f64,
    /// The largest value that can be true.
    pub max: f64,
    /// A value this many times the largest of `prices.reach_bars` bars before it, and of as many behind it,
    /// is a print.
    #[serde(default)]
    pub spike_factor: Option<f64>,
    /// A value this many times below the smallest of the bars on each side is a print.
    #[serde(default)]
    pub dip_factor: Option<f64>,
}

impl Plausibility {
    /// Bounds of a column of the raw log.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnPlausibility> {
        self.columns.iter().find(|group| group.columns.iter().any(|column| column == name))
    }

    /// Every value that the rules cannot be worked out with.
    ///
    /// # Errors
    /// With all of them.
    pub fn validate(&self) -> Result<(), OutOfRanges> {
        let mut ranges = Ranges::of(FILE);
        let p = &self.prices;
        let mut factor = |field: String, value: f64| {
            ranges.check(value > 1.0 && value.is_finite(), &field, value, "above 1");
        };
        for (field, value) in [
            ("close_factor", p.close_factor),
            ("wick_factor", p.wick_factor),
            ("alone_factor", p.alone_factor),
        ] {
            factor(format!("plausibility.prices.{field}"), value);
        }
        for (at, group) in self.columns.iter().enumerate() {
            for (field, value) in [("spike_factor", group.spike_factor), ("dip_factor", group.dip_factor)] {
                factor(format!("plausibility.columns[{at}].{field}"), value.unwrap_or(f64::MAX));
            }
        }
        let count = |value: u32| (1..=288).contains(&value);
        for (field, value) in [("reach_bars", p.reach_bars), ("longest_run_bars", p.longest_run_bars)] {
            ranges.check(count(value), &format!("plausibility.prices.{field}"), value, "from 1 to 288");
        }
        let slack = self.average_price_slack;
        ranges.check((0.0..1.0).contains(&slack), "plausibility.average_price_slack", slack, "from 0 to 1");
        let band = self.band_factor;
        ranges.check(band >= 1.0 && band.is_finite(), "plausibility.band_factor", band, "at least 1");
        self.check_columns(&mut ranges);
        ranges.result()
    }

    fn check_columns(&self, ranges: &mut Ranges) {
        let known: BTreeSet<&str> = Kind::ALL.iter().flat_map(|kind| kind.columns()).copied().collect();
        let mut seen = BTreeSet::new();
        for (at, group) in self.columns.iter().enumerate() {
            let place = format!("plausibility.columns[{at}]");
            for (i, column) in group.columns.iter().enumerate() {
                let field = format!("{place}.columns[{i}]");
                ranges.check(known.contains(column.as_str()), &field, column, "a column of the raw log");
                ranges.check(seen.insert(column), &field, column, "listed once");
            }
            ranges.check(group.min < group.max, &format!("{place}.min"), group.min, "below max");
        }
    }
}
