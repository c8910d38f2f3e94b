//! What each stage depends on. A stage that reads something which is not named here would be taken from the
//! cache when it must not be: who lets a stage read more names it here.

use super::record::{Inputs, RUN, STAGE};
use crate::nautilus::LISTED_STEPS;
use crate::publish::{DirectoryError, current_version, version_name};
use crate::research::log_digest::LogHashes;
use crate::research::request::Request;
use backtestd_core::blueprints::sha256_hex;
use backtestd_core::market::BarIndex;
use backtestd_core::pipeline::PipelineConfig;
use backtestd_store::{Store, StoreError, trial_to_text};

/// Spec files that neither features nor events nor outcomes read: what is made of outcomes later. Detector
/// health is judged by the gates anew from its counts.
const READ_LATER: [&str; 4] = ["gates.yaml", "multiplicity/", "hypotheses/", "strategies/"];

/// The sources that the store has of each symbol.
pub(super) fn sources(config: &PipelineConfig) -> Inputs {
    let names = config.symbols.iter().zip(&config.collected);
    let text = |(symbol, known): (&_, &_)| (format!("sources/{symbol}"), format!("{known:?}"));
    names.map(text).collect()
}

/// The pipeline: every record, the range, and the specs of features, states, events, costs and calendars.
pub(super) fn pipeline(
    request: &Request,
    read: &Inputs,
    log: &LogHashes,
    sources: Inputs,
    marks: &[BarIndex],
) -> Inputs {
    let mut out = read.clone();
    out.extend(sources);
    out.extend(log.parts.clone());
    out.extend(specs(request, |path| !READ_LATER.iter().any(|later| path.starts_with(later))));
    out.insert("range".to_owned(), format!("{} to {}", request.first.open(), request.end.open()));
    let symbols: Vec<&str> = request.symbols.iter().map(|symbol| symbol.as_str()).collect();
    out.insert("symbols".to_owned(), symbols.join(","));
    out.insert("features".to_owned(), request.write_features.to_string());
    // A walk also keeps what was known of the detectors at each of its looks.
    let looks: Vec<String> = marks.iter().map(|mark| mark.open().rfc3339()).collect();
    if !looks.is_empty() {
        out.insert("looks".to_owned(), looks.join(","));
    }
    out
}

/// The tables: they carry the name of the run and of the specs.
pub(in crate::research) fn tables(request: &Request, pipeline: &str, run_id: &str) -> Inputs {
    let mut out = specs(request, |_| true);
    out.insert(format!("{STAGE}pipeline"), pipeline.to_owned());
    out.insert(RUN.to_owned(), run_id.to_owned());
    out
}

/// The evidence book: its chain begins with the name of the specs.
pub(super) fn evidence(request: &Request, pipeline: &str, day: i64) -> Inputs {
    let mut out = specs(request, |_| true);
    out.insert(format!("{STAGE}pipeline"), pipeline.to_owned());
    out.insert("closed through".to_owned(), day.to_string());
    out
}

/// Discovery, bridge and blueprints: evidence, outcomes and bars, every trial of the ledger, the name of the
/// run.
pub(in crate::research) fn conclude(
    store: &Store,
    request: &Request,
    (pipeline, evidence): (&str, &str),
    run_id: &str,
) -> Result<Inputs, StoreError> {
    let mut out = specs(request, |_| true);
    let trials: Vec<String> = store.trials()?.iter().map(trial_to_text).collect();
    out.insert("trials".to_owned(), sha256_hex(trials.join("\n").as_bytes()));
    let listed = store.meta(LISTED_STEPS)?.unwrap_or_default();
    out.insert("order rules of the exchange".to_owned(), sha256_hex(&listed));
    out.insert(format!("{STAGE}pipeline"), pipeline.to_owned());
    out.insert(format!("{STAGE}evidence"), evidence.to_owned());
    out.insert(RUN.to_owned(), run_id.to_owned());
    Ok(out)
}

/// The report and the version: conclusions, and what is in force beside them.
pub(in crate::research) fn report(request: &Request, conclude: &str) -> Result<Inputs, DirectoryError> {
    let dir = request.data_root.join("blueprints");
    let in_force = current_version(&dir)?.map_or_else(
        || "none".to_owned(),
        |number| {
            let name = version_name(number);
            let manifest = std::fs::read(dir.join(&name).join("manifest.json")).unwrap_or_default();
            format!("{name} {}", sha256_hex(&manifest))
        },
    );
    Ok(Inputs::from([
        (format!("{STAGE}conclude"), conclude.to_owned()),
        ("version in force".to_owned(), in_force),
        ("publish".to_owned(), request.publish.to_string()),
    ]))
}

fn specs(request: &Request, keep: impl Fn(&str) -> bool) -> Inputs {
    let files = request.spec.files.iter().filter(|(path, _)| keep(path));
    files.map(|(path, hash)| (format!("spec/{path}"), hash.clone())).collect()
}
