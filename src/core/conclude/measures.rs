//! How many tests there were of what no single leg can trade: relative prices and variance.

use serde::{Deserialize, Serialize};

use crate::discovery::{Accounting, MeasuredTest};
use crate::spec::TestStatistic;

/// Tests of one statistic that no single leg can trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureCount {
    /// What is measured.
    pub statistic: TestStatistic,
    /// Trials of the statistic's ledger: every such test ever looked at.
    pub trials: u64,
    /// Tests with data.
    pub tested: u64,
    /// Within the q that a discovery must reach.
    pub found: u64,
}

impl MeasureCount {
    /// Counts the tests of one statistic and the trials of its ledger.
    #[must_use]
    pub fn of(statistic: TestStatistic, accounting: &Accounting, tests: &[MeasuredTest]) -> Self {
        Self {
            statistic,
            trials: accounting.total as u64,
            tested: tests.len() as u64,
            found: tests.iter().filter(|t| t.is_found).count() as u64,
        }
    }
}

/// The statistic in words, as reports name it.
#[must_use]
pub const fn statistic_words(statistic: TestStatistic) -> &'static str {
    match statistic {
        TestStatistic::OwnReturn => "the symbol's own return",
        TestStatistic::RelativeReturn => "relative prices (two legs)",
        TestStatistic::VarianceRatio => "realised over expected variance",
        TestStatistic::ExcursionQuantile => "the tail of the excursion",
    }
}
