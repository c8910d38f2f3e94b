//! `backtestd spec`: check, hash and explain the specs.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::FINDINGS;
use crate::spec::{CompiledSpec, SpecErrors, SpecReport, explain};

/// Check, hash and explain the specs.
///
/// Example: backtestd spec explain VOL_SHOCK
#[derive(Debug, Args)]
pub struct SpecArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Load and compile everything; print what there is. Exit 0: fine, 1: errors, 3: findings.
    ///
    /// Example: backtestd spec check --spec ./spec
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the ontology hash.
    ///
    /// Example: backtestd spec hash
    Hash {
        /// Print JSON, with the hash of every event's file.
        #[arg(long)]
        json: bool,
    },
    /// Say what an event, state, feature, source or template verb means.
    ///
    /// Example: backtestd spec explain VOL_SHOCK --dot | dot -Tsvg > vol_shock.svg
    Explain {
        /// The name; `sources` lists all source columns.
        name: String,
        /// Draw the graph down to the sources.
        #[arg(long)]
        full: bool,
        /// Print the graph as a Graphviz file.
        #[arg(long, conflicts_with = "json")]
        dot: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs it.
///
/// # Errors
/// When the specs do not load (`hash`, `explain`), or there is no such name.
pub fn run(args: &SpecArgs, spec_dir: &Path) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::Check { json } => check(CompiledSpec::load(spec_dir), *json),
        Action::Hash { json } => {
            let spec = CompiledSpec::load(spec_dir)?;
            if *json {
                let events: serde_json::Map<_, _> =
                    spec.events.iter().map(|e| (e.event_type.clone(), json!(e.spec_hash))).collect();
                say(&format!("{}\n", json!({"ontology_spec_hash": spec.hash, "events": events})))?;
            } else {
                say(&format!("{}\n", spec.hash))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Explain { name, full, dot, json } => {
            let spec = CompiledSpec::load(spec_dir)?;
            let found = explain(&spec, name, *full)?;
            if *json {
                say(&format!("{}\n", found.json))?;
            } else if *dot {
                anyhow::ensure!(!found.dot.is_empty(), "'{name}' has no graph");
                say(&found.dot)?;
            } else {
                say(&found.text)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(loaded: Result<CompiledSpec, SpecErrors>, json: bool) -> anyhow::Result<ExitCode> {
    let spec = match loaded {
        Ok(spec) => spec,
        Err(errors) => {
            if json {
                let list: Vec<_> = errors
                    .0
                    .iter()
                    .map(|e| {
                        let place = e
                            .place
                            .as_ref()
                            .map(|p| json!({"line": p.line, "column": p.column, "text": p.text}));
                        json!({"file": e.file, "place": place, "message": e.message, "help": e.help})
                    })
                    .collect();
                say(&format!("{}\n", json!({"ok": false, "errors": list})))?;
            } else {
                eprintln!("{errors}");
            }
            return Ok(ExitCode::from(1));
        }
    };
    let report = SpecReport::of(&spec);
    let ok = report.findings.is_empty();
    if json {
        say(&format!("{}\n", json!({"ok": ok, "report": report})))?;
    } else {
        say(&format!("{report}\n"))?;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

/// Prints. A reader that stops early (`| head`) is not an error.
fn say(text: &str) -> std::io::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}
