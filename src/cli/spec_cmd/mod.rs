//! `backtestd spec`: check, hash, explain and extend the specs.

mod check;
mod explain;
mod new_event;
mod schema;

use backtestd_store::load_specs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use backtestd_core::spec::CompiledSpec;

/// Check, hash, explain and extend the specs.
///
/// Example: backtestd spec explain VOL_SHOCK
#[derive(Debug, Args)]
pub struct SpecArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(check::CheckCmd),
    /// Print the ontology hash.
    ///
    /// Example: backtestd spec hash
    Hash {
        /// Print JSON, with the hash of every event's file.
        #[arg(long)]
        json: bool,
    },
    Explain(explain::ExplainCmd),
    NewEvent(new_event::NewEventCmd),
    Schema(schema::SchemaCmd),
}

/// Runs it.
///
/// # Errors
/// When the specs do not load, there is no such name, or a file or the store cannot be used.
pub fn run(args: &SpecArgs, spec_dir: &Path) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::Check(cmd) => cmd.run(load_specs(spec_dir)),
        Action::Hash { json } => hash(&load_specs(spec_dir)?, *json),
        Action::Explain(cmd) => cmd.run(spec_dir),
        Action::NewEvent(cmd) => cmd.run(spec_dir),
        Action::Schema(cmd) => cmd.run(),
    }
}

fn hash(spec: &CompiledSpec, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        let events: serde_json::Map<_, _> =
            spec.events.iter().map(|e| (e.event_type.clone(), json!(e.spec_hash))).collect();
        say(&format!("{}\n", json!({"ontology_spec_hash": spec.hash, "events": events})))?;
    } else {
        say(&format!("{}\n", spec.hash))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints. A reader that stops early (`| head`) is not an error.
fn say(text: &str) -> std::io::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}
