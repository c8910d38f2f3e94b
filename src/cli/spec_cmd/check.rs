//! `backtestd spec check`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::say;
use crate::cli::FINDINGS;
use backtestd_core::spec::{CompiledSpec, Diagnostic, SpecErrors, SpecReport};

pub(super) fn run(loaded: Result<CompiledSpec, SpecErrors>, json: bool) -> anyhow::Result<ExitCode> {
    let spec = match loaded {
        Ok(spec) => spec,
        Err(errors) => {
            if json {
                let list: Vec<Value> = errors.0.iter().map(error_json).collect();
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

fn error_json(error: &Diagnostic) -> Value {
    let place = error.place.as_ref().map(|p| json!({"line": p.line, "column": p.column, "text": p.text}));
    json!({"file": error.file, "place": place, "message": error.message, "help": error.help})
}
