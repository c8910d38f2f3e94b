//! The tables of a run as files.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;
use rayon::prelude::*;

use super::ResearchError;
use super::collect::Collected;
use super::request::Request;
use super::tables::{events_table, flags_table, outcomes_table};
use backtestd_store::lake::{SCHEMA_KEY, in_order_of_time, write_parquet};

/// Writes `events/events.parquet`, `events/event_flags.parquet` and the run's `outcomes.parquet`.
pub(super) fn write_tables(
    request: &Request,
    run_id: &str,
    collected: &Collected,
) -> Result<(), ResearchError> {
    let spec = &request.spec;
    let event_types: Vec<String> = spec.events.iter().map(|e| e.event_type.clone()).collect();
    let states: Vec<String> = spec.states.iter().map(|s| s.id.clone()).collect();
    let spec_hash = |event: &str| spec.event(event).map(|e| e.spec_hash.clone()).unwrap_or_default();
    let root = &request.data_root;
    let rows = (request.end - request.first) as usize;

    let events = || {
        let table = events_table(run_id, &spec_hash, &collected.events)?;
        write(&root.join("events/events.parquet"), "backtestd.events/1", &spec.hash, &[table])
    };
    let flags = || {
        let tables: Vec<RecordBatch> = request
            .symbols
            .par_iter()
            .map(|s| flags_table(s, request.first, rows, &event_types, &collected.events))
            .collect::<Result<_, _>>()?;
        write(&root.join("events/event_flags.parquet"), "backtestd.event_flags/1", &spec.hash, &tables)
    };
    let outcomes = || {
        let table = outcomes_table(&states, &collected.outcomes, &collected.measured)?;
        let path = root.join("runs").join(run_id).join("outcomes.parquet");
        write(&path, "backtestd.outcomes/1", &spec.hash, &[table])
    };
    let (flags, (events, outcomes)) = rayon::join(flags, || rayon::join(events, outcomes));
    flags.and(events).and(outcomes)
}

fn write(path: &Path, schema: &str, spec_hash: &str, batches: &[RecordBatch]) -> Result<(), ResearchError> {
    let Some(rows) = in_order_of_time(path, batches)? else { return Ok(()) };
    let metadata = BTreeMap::from([
        (SCHEMA_KEY.to_owned(), schema.to_owned()),
        ("ontology_spec_hash".to_owned(), spec_hash.to_owned()),
    ]);
    write_parquet(path, &rows.schema(), std::slice::from_ref(&rows), &metadata)?;
    Ok(())
}
