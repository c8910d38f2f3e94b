//! One look after another: what a daemon decides at a midnight of the past.

use sha2::{Digest, Sha256};

use crate::blueprints::RunFacts;
use crate::conclude::{
    ConcludeError, Conclusions, Look, conclude, discovery_config, exclusions, find, lacking, outcome_table,
};
use crate::discovery::{Accounting, Catalogue, DiscoveryConfig, EvidenceBook, OutcomeTable, TableError};
use crate::market::{BAR_MS, BarIndex, DAY_MS, Symbol, Ts, hex};
use crate::outcomes::Outcome;
use crate::pipeline::QualityReport;
use crate::spec::CompiledSpec;
use crate::tradability::Markets;

/// The UTC days (since the epoch) whose closing is looked at: the day before `from`, and every `step` days
/// after it, as far as the history before `end` has closed days.
#[must_use]
pub fn look_days(from: Ts, step: u32, end: BarIndex) -> Vec<i64> {
    let last = end.open().day() - 1;
    (from.day() - 1..=last).step_by(step.max(1) as usize).collect()
}

/// Lives through a history, look by look.
#[derive(Debug)]
pub struct Walker<'a> {
    spec: &'a CompiledSpec,
    symbols: &'a [Symbol],
    config: DiscoveryConfig,
    catalogue: Catalogue,
    accounting: Accounting,
    table: OutcomeTable,
    outcomes: &'a [Outcome],
    first: BarIndex,
    book: EvidenceBook,
    link: [u8; 32],
    code_version: &'a str,
}

/// What a look decided.
#[derive(Clone, Debug)]
pub struct Step {
    /// The last UTC day in the evidence.
    pub day: i64,
    /// The instant from which its version is in force.
    pub published_at: Ts,
    /// What is known about the run.
    pub facts: RunFacts,
    /// What it concluded.
    pub conclusions: Conclusions,
}

impl<'a> Walker<'a> {
    /// Before the first look. `outcomes` may reach beyond any look: only those of closed days are ever read.
    /// `accounting` is of the ledger that the hypotheses of these specs were entered into.
    ///
    /// # Errors
    /// When the outcomes belong to other specs.
    pub fn new(
        spec: &'a CompiledSpec,
        symbols: &'a [Symbol],
        outcomes: &'a [Outcome],
        first: BarIndex,
        accounting: impl FnOnce(&Catalogue) -> Accounting,
        code_version: &'a str,
    ) -> Result<Self, TableError> {
        let config = discovery_config(spec, symbols, first.open());
        let catalogue = config.catalogue(&OutcomeTable::default());
        let book = config.open_book(&catalogue);
        Ok(Self {
            accounting: accounting(&catalogue),
            table: outcome_table(spec, outcomes)?,
            link: book.first_link(),
            spec,
            symbols,
            config,
            catalogue,
            outcomes,
            first,
            book,
            code_version,
        })
    }

    /// The catalogue that is tested, and what it has shown up to the last look.
    #[must_use]
    pub const fn evidence(&self) -> (&Catalogue, &EvidenceBook) {
        (&self.catalogue, &self.book)
    }

    /// Looks when a UTC day has closed. `quality` is what detectors showed up to then.
    ///
    /// # Errors
    /// When the bars cannot be read.
    pub fn look(
        &mut self,
        day: i64,
        quality: &QualityReport,
        markets: &mut dyn Markets,
    ) -> Result<Step, ConcludeError> {
        let after = self.book.through_day().unwrap_or_else(|| self.first.open().day() - 1);
        self.book.advance(&self.table, &self.catalogue, day);
        if let Some(record) = self.book.records(after, self.link).last() {
            self.link = record.link;
        }
        let (excluded, lacking) = (exclusions(quality), lacking(quality));
        let look = Look {
            catalogue: &self.catalogue,
            book: &self.book,
            accounting: &self.accounting,
            excluded: &excluded,
            lacking: &lacking,
        };
        let discovery = find(&look, &self.config);
        let watermark = Ts((day + 1) * DAY_MS);
        let facts = RunFacts {
            run_id: self.run_id(watermark, &look),
            code_version: self.code_version.to_owned(),
            data_watermark: watermark,
            discovery_start: self.first.open(),
            discovery_end: watermark,
        };
        let replay = Some(hex(&self.link));
        let conclusions =
            conclude(self.spec, (&look, &self.config), discovery, self.outcomes, &facts, replay, markets)?;
        Ok(Step { day, published_at: Ts(watermark.0 + BAR_MS), facts, conclusions })
    }

    /// `<watermark>-<8 hex>`: of everything that the look saw, and of nothing that came later.
    fn run_id(&self, watermark: Ts, look: &Look<'_>) -> String {
        let mut sha = Sha256::new();
        sha.update(&self.spec.hash);
        for symbol in self.symbols {
            sha.update([0]);
            sha.update(symbol.as_str());
        }
        sha.update(self.first.0.to_le_bytes());
        for cohort in &self.accounting.cohorts {
            sha.update((cohort.units as u64).to_le_bytes());
        }
        for x in look.excluded {
            sha.update(format!("{} {} {}", x.event_type, x.scope, x.metric));
        }
        sha.update(self.link);
        sha.update(self.code_version);
        format!("{}-{}", watermark.compact_seconds(), hex(&sha.finalize()[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::parse_date;

    #[test]
    fn looks_are_at_the_midnights_from_the_first_day_on_as_far_as_days_are_closed() {
        let day = |text: &str| parse_date(text).unwrap();
        let looks = |from: &str, step, end: &str| look_days(day(from), step, day(end).bar());
        let first = day("2025-03-01").day() - 1;
        assert_eq!(looks("2025-03-01", 7, "2025-03-15"), [first, first + 7, first + 14]);
        assert_eq!(looks("2025-03-01", 7, "2025-03-14"), [first, first + 7]);
        assert!(looks("2025-03-01", 7, "2025-02-01").is_empty());
        // A day that has not closed is not looked at.
        let noon = day("2025-03-01").bar() + 144;
        assert_eq!(look_days(day("2025-03-01"), 7, noon), [first]);
    }
}
