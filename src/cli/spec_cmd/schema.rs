//! `backtestd spec schema`: the JSON Schemas of the spec files.

use std::path::PathBuf;
use std::process::ExitCode;

use super::say;
use backtestd_core::spec::schemas;
use backtestd_store::lake::write_bytes;

/// Write the JSON Schemas of every kind of spec file: what an editor completes and checks keys with.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  backtestd spec schema --out spec/schemas\n  backtestd spec schema --json | jq .event"
)]
pub(super) struct SchemaCmd {
    /// Directory for the files, one a kind (`event.schema.json`).
    #[arg(long, value_name = "DIR", required_unless_present = "json")]
    out: Option<PathBuf>,
    /// Print all of them as one JSON object by kind.
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

impl SchemaCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let all = schemas();
        let Some(dir) = &self.out else {
            let by_kind: serde_json::Map<_, _> =
                all.into_iter().map(|s| (s.kind.to_owned(), s.schema)).collect();
            say(&format!("{}\n", serde_json::Value::Object(by_kind)))?;
            return Ok(ExitCode::SUCCESS);
        };
        for schema in &all {
            let path = dir.join(schema.file_name());
            write_bytes(&path, schema.text().as_bytes())?;
            say(&format!("{:<52} {}\n", path.display(), schema.files))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
