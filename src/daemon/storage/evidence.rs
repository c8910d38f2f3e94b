//! The evidence book of the daemon: in memory between runs, in the store across restarts.
//!
//! The store keeps one record per closed day (`discovery::record`). A rewind of the facts removes the records
//! of the days that it opened again, in the same batch; what is in memory is then rebuilt from the records
//! that are left, and the days that follow are taken again: a *replay*, counted for everybody to see.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::StorageError;
use crate::research::{ResearchError, look_at, read_ledger, remember_begun};
use backtestd_core::conclude::{closed_through, discovery_config, exclusions, lacking, outcome_table};
use backtestd_core::discovery::{
    Accounting, Catalogue, DiscoveryConfig, EvidenceBook, Exclusion, Lacking, OutcomeTable, TrialLedger,
};
use backtestd_core::market::hex;
use backtestd_core::market::{BarIndex, DAY_MS, Symbol, Ts};
use backtestd_core::outcomes::Outcome;
use backtestd_core::pipeline::QualityReport;
use backtestd_core::spec::{CompiledSpec, TestStatistic};
use backtestd_store::Store;

/// What a run looks at.
#[derive(Clone, Debug)]
pub struct Looked {
    /// Configuration of discovery: thresholds, catalogue and exclusions.
    pub config: Arc<DiscoveryConfig>,
    /// What is tested.
    pub catalogue: Arc<Catalogue>,
    /// What it has shown.
    pub book: Arc<EvidenceBook>,
    /// Every trial so far.
    pub accounting: Arc<Accounting>,
    /// Units whose detector is not healthy.
    pub excluded: Vec<Exclusion>,
    /// What conditions read and nobody knows.
    pub lacking: Vec<Lacking>,
    /// End of the last closed day: the watermark of everything that a run decides.
    pub closed_end: BarIndex,
    /// Link of the book's chain.
    pub link: [u8; 32],
    /// Equal fingerprints, equal conclusions.
    pub fingerprint: String,
    /// How often closed days were taken again.
    pub replays: i64,
}

impl Looked {
    /// Without the units whose detector is not healthy, and with a word on those that nobody can know:
    /// another look.
    #[must_use]
    pub fn under(mut self, quality: &QualityReport) -> Self {
        (self.excluded, self.lacking) = (exclusions(quality), lacking(quality));
        let mut sha = Sha256::new();
        sha.update(&self.fingerprint);
        for x in &self.excluded {
            sha.update(format!(" {} {} {}", x.event_type, x.scope, x.metric));
        }
        for l in &self.lacking {
            sha.update(format!(" {} {} {}", l.series, l.column, l.symbols.join(",")));
        }
        self.fingerprint = hex(&sha.finalize());
        self
    }
}

/// Where the facts stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing<'a> {
    /// The first row that is not committed.
    pub(super) next: BarIndex,
    /// Positions that were open at a midnight and are open still.
    pub(super) marked: &'a [Outcome],
}

/// The book under the specs in force.
#[derive(Debug)]
pub(super) struct Evidence {
    spec_hash: String,
    symbols: Vec<Symbol>,
    config: Arc<DiscoveryConfig>,
    catalogue: Arc<Catalogue>,
    book: Arc<EvidenceBook>,
    /// Link of the chain at the book's last day.
    link: [u8; 32],
    ledger: TrialLedger,
    accounting: Option<Arc<Accounting>>,
    /// The last day of the book by which trials were seen to begin.
    begun_through: Option<i64>,
}

/// Why there is nothing to look at: in words where the look is refused, else the store has failed.
pub(super) enum LookError {
    Refused(String),
    Failed(StorageError),
}

impl<E: Into<StorageError>> From<E> for LookError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Evidence {
    /// An empty book.
    pub(super) fn new(store: &Store, spec: &CompiledSpec, symbols: &[Symbol]) -> Result<Self, StorageError> {
        let config = discovery_config(spec, symbols, Ts(0));
        let catalogue = config.catalogue(&OutcomeTable::default());
        let book = config.open_book(&catalogue);
        Ok(Self {
            spec_hash: spec.hash.clone(),
            symbols: symbols.to_vec(),
            link: book.first_link(),
            config: Arc::new(config),
            catalogue: Arc::new(catalogue),
            book: Arc::new(book),
            ledger: read_ledger(store, TestStatistic::OwnReturn)?,
            accounting: None,
            begun_through: None,
        })
    }

    /// Whether it belongs to these specs and symbols.
    pub(super) fn fits(&self, spec: &CompiledSpec, symbols: &[Symbol]) -> bool {
        self.spec_hash == spec.hash && self.symbols == symbols
    }

    /// Brings the book to the last closed day and the ledger up to date.
    pub(super) fn look(
        &mut self,
        store: &mut Store,
        spec: &CompiledSpec,
        first: BarIndex,
        facts: Standing<'_>,
    ) -> Result<Looked, LookError> {
        let next = facts.next;
        let day = closed_through(next.open());
        let procedure = &spec.gates.multiplicity;
        if self.accounting.is_none() {
            let accounting = look_at(store, &mut self.ledger, &self.catalogue, procedure, day);
            self.accounting = Some(Arc::new(accounting.map_err(|error| match error {
                ResearchError::Store(error) => LookError::Failed(error.into()),
                refused => LookError::Refused(refused.to_string()),
            })?));
        }
        self.agree_with(store, day)?;
        self.advance(store, spec, first, (day, facts))?;
        if self.begun_through != self.book.through_day() {
            let evidence = (&*self.catalogue, &*self.book);
            if remember_begun(store, &mut self.ledger, evidence, &spec.gates)? {
                self.accounting = Some(Arc::new(self.ledger.account(&self.catalogue)));
            }
            self.begun_through = self.book.through_day();
        }
        let accounting = Arc::clone(self.accounting.get_or_insert_default());
        let closed_end = Ts((day + 1) * DAY_MS).bar().max(first);
        Ok(Looked {
            config: Arc::clone(&self.config),
            catalogue: Arc::clone(&self.catalogue),
            book: Arc::clone(&self.book),
            fingerprint: self.fingerprint(first, closed_end, &accounting),
            accounting,
            excluded: Vec::new(),
            lacking: Vec::new(),
            closed_end,
            link: self.link,
            replays: store.replays()?,
        })
    }

    /// The book in memory goes as far as the records in the store, and not beyond the closed days.
    fn agree_with(&mut self, store: &mut Store, day: i64) -> Result<(), StorageError> {
        let last = store.last_evidence()?;
        let here = self.book.through_day().map(|day| (day, self.link));
        if here == last && last.is_none_or(|(through, _)| through <= day) {
            return Ok(());
        }
        let mut records = store.evidence()?;
        records.retain(|r| r.day <= day);
        let mut book = self.config.open_book(&self.catalogue);
        self.link = book.first_link();
        let fit = book.restore(&records);
        if let Some(record) = fit.checked_sub(1).map(|last| &records[last]) {
            self.link = record.link;
        }
        let kept = book.through_day();
        if last.is_some_and(|(through, _)| kept.is_none_or(|kept| kept < through)) {
            // Damaged, of another catalogue, or ahead of the facts: those days are taken again.
            tracing::warn!(kept, through = last.map(|l| l.0), "days of the evidence book are taken again");
            store.replace_evidence(kept.map_or(i64::MIN, |kept| kept + 1), &[])?;
            store.count_replay()?;
        }
        self.book = Arc::new(book);
        Ok(())
    }

    /// Takes the days that have closed since.
    fn advance(
        &mut self,
        store: &mut Store,
        spec: &CompiledSpec,
        first: BarIndex,
        (day, facts): (i64, Standing<'_>),
    ) -> Result<(), LookError> {
        let after = self.book.through_day().unwrap_or_else(|| first.open().day() - 1);
        if day <= after {
            return Ok(());
        }
        let from = Ts((after + 1) * DAY_MS).bar().max(first);
        // What was open at the last midnight has been booked since, or is open still.
        let outcomes = store.outcomes(from, facts.next)?;
        let known = outcomes.iter().chain(facts.marked);
        let table = outcome_table(spec, known).map_err(|error| LookError::Refused(error.to_string()))?;
        // A run that still reads the book keeps its own; otherwise nothing is copied.
        let book = Arc::make_mut(&mut self.book);
        book.advance(&table, &self.catalogue, day);
        let records = book.records(after, self.link);
        store.replace_evidence(after + 1, &records)?;
        if let Some(record) = records.last() {
            self.link = record.link;
        }
        Ok(())
    }

    fn fingerprint(&self, first: BarIndex, closed_end: BarIndex, accounting: &Accounting) -> String {
        let mut sha = Sha256::new();
        sha.update(&self.spec_hash);
        sha.update(crate::CODE_VERSION);
        for symbol in &self.symbols {
            sha.update(symbol.as_str());
            sha.update([0]);
        }
        sha.update(first.0.to_le_bytes());
        sha.update(closed_end.0.to_le_bytes());
        for cohort in &accounting.cohorts {
            sha.update((cohort.units as u64).to_le_bytes());
        }
        sha.update(self.link);
        hex(&sha.finalize())
    }
}
