//! `backtestd spec check`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::say;
use crate::cli::FINDINGS;
use crate::cli::borrowed::ReadableStore;
use crate::research::opening;
use backtestd_core::discovery::Opening;
use backtestd_core::market::{Market, Symbol};
use backtestd_core::spec::{CompiledSpec, Diagnostic, SpecErrors, SpecReport};

/// Load and compile everything; print what there is. Exit 0: fine, 1: errors, 3: findings.
///
/// Example: backtestd spec check --against ./state   # and how many trials these specs would open there
#[derive(Debug, clap::Args)]
pub(super) struct CheckCmd {
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// State directory whose trial ledger the specs are held against: how many trials they would open, in
    /// which cohort, with which share of the error budget.
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Symbols of these trials, separated by commas. Default: every symbol with perp bars in the store.
    #[arg(long, value_delimiter = ',', value_name = "A,B", requires = "against")]
    symbols: Vec<Symbol>,
}

impl CheckCmd {
    pub(super) fn run(&self, loaded: Result<CompiledSpec, SpecErrors>) -> anyhow::Result<ExitCode> {
        let spec = match loaded {
            Ok(spec) => spec,
            Err(errors) => {
                if self.json {
                    let list: Vec<Value> = errors.0.iter().map(error_json).collect();
                    say(&format!("{}\n", json!({"ok": false, "errors": list})))?;
                } else {
                    eprintln!("{errors}");
                }
                return Ok(ExitCode::from(1));
            }
        };
        let report = SpecReport::of(&spec);
        let opening = self.opening(&spec)?;
        let ok = report.findings.is_empty() && opening.as_ref().is_none_or(|o| o.refusal.is_none());
        if self.json {
            say(&format!("{}\n", json!({"ok": ok, "report": report, "trials": opening})))?;
        } else {
            say(&format!("{report}\n"))?;
            if let Some(opening) = opening {
                say(&format!("trials: {opening}\n"))?;
            }
        }
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
    }

    fn opening(&self, spec: &CompiledSpec) -> anyhow::Result<Option<Opening>> {
        let Some(state) = &self.against else { return Ok(None) };
        let store = ReadableStore::open(state)?;
        let mut symbols =
            if self.symbols.is_empty() { store.symbols(Market::Perp)? } else { self.symbols.clone() };
        symbols.sort();
        symbols.dedup();
        Ok(Some(opening(&store, spec, &symbols)?))
    }
}

fn error_json(error: &Diagnostic) -> Value {
    let place = error.place.as_ref().map(|p| json!({"line": p.line, "column": p.column, "text": p.text}));
    json!({"file": error.file, "place": place, "message": error.message, "help": error.help})
}
