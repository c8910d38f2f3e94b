//! The trial ledger between the store and a look: what is new is stored before anything is looked at.

use super::ResearchError;
use backtestd_core::conclude::discovery_config;
use backtestd_core::discovery::{
    Accounting, Catalogue, EvidenceBook, Opening, OutcomeTable, TrialLedger, begun,
};
use backtestd_core::market::{Symbol, Ts};
use backtestd_core::spec::CompiledSpec;
use backtestd_core::spec::TestStatistic;
use backtestd_core::spec::gates::{CatalogueKind, GatesSpec, ProcedureSpec};
use backtestd_store::{Store, StoreError};

/// Under this name the store remembers that the catalogue was declared closed.
fn closed(statistic: TestStatistic) -> String {
    match statistic {
        TestStatistic::OwnReturn => "trials/closed".to_owned(),
        other => format!("trials/closed/{other}"),
    }
}

/// Reads the ledger of a statistic.
///
/// # Errors
/// When the store cannot be read.
pub fn read_ledger(store: &Store, statistic: TestStatistic) -> Result<TrialLedger, StoreError> {
    let trials = store.trials()?.into_iter().filter(|trial| trial.statistic == statistic);
    Ok(TrialLedger::new(trials, store.meta(&closed(statistic))?.is_some()))
}

/// The trials that a look at these specs and symbols would open. Nothing is looked at and nothing is stored.
///
/// # Errors
/// When the store cannot be read.
pub fn opening(store: &Store, spec: &CompiledSpec, symbols: &[Symbol]) -> Result<Opening, StoreError> {
    let catalogue = discovery_config(spec, symbols, Ts(0)).catalogue(&OutcomeTable::default());
    Ok(read_ledger(store, catalogue.statistic)?.opening(&catalogue, &spec.gates.multiplicity))
}

/// Remembers which trials have begun, by the evidence at hand (see `discovery::begun`), and says whether any
/// is new. Called with every look.
///
/// # Errors
/// When the store cannot be written.
pub fn remember_begun(
    store: &mut Store,
    ledger: &mut TrialLedger,
    (catalogue, book): (&Catalogue, &EvidenceBook),
    gates: &GatesSpec,
) -> Result<bool, StoreError> {
    let new = ledger.begin(catalogue, &begun(catalogue, book, gates));
    if !new.is_empty() {
        store.begin_trials(&new)?;
    }
    Ok(!new.is_empty())
}

/// Looks at a catalogue on data closed through `day`: its new units go into the ledger, durably, as one
/// cohort; then all trials are accounted for. Looking again at the same catalogue adds nothing.
///
/// # Errors
/// When the catalogue was declared closed and has grown, or the store cannot be written. Nothing may then be
/// looked at.
pub fn look_at(
    store: &mut Store,
    ledger: &mut TrialLedger,
    catalogue: &Catalogue,
    procedure: &ProcedureSpec,
    day: i64,
) -> Result<Accounting, ResearchError> {
    let new = ledger.admit(catalogue, procedure, day)?;
    let kind = procedure.catalogue;
    if let Some(first) = new.first() {
        let statistic = catalogue.statistic;
        tracing::info!(%statistic, cohort = first.cohort, units = new.len(), "hypotheses enter the trial ledger");
        store.add_trials(&new)?;
    }
    if kind == CatalogueKind::Closed && !ledger.is_closed() {
        store.put_meta(&closed(catalogue.statistic), b"1")?;
    }
    ledger.extend(new, kind);
    Ok(ledger.account(catalogue))
}
