//! `backtestd explain`: everything about one published blueprint, in words first. Read from the published
//! directory and the files of the run behind it; a daemon that answers adds the newest events.

mod gather;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use super::client_cmds::Connection;

/// Explain a published blueprint: what it trades, why it is believed, every gate with its number, trades that
/// show it, and what would end it.
///
/// Works on the published files alone, of blueprints that are suspended or retired too; a daemon that answers
/// adds the newest events.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  backtestd explain bp_5f1c9a0e7d2b4c88\n  backtestd explain 5f1c                      # a part of an id that only one blueprint has\n  \
                        backtestd explain 5f1c --blueprints data/demo/blueprints\n  backtestd explain 5f1c --json | jq .as_traded.checks"
)]
pub(super) struct ExplainCmd {
    /// Id of the blueprint, `bp_` and 16 hex digits, or a part of it.
    id: String,
    /// The published directory. Default: `blueprints` below the data root of the configuration.
    #[arg(long, value_name = "DIR")]
    blueprints: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl ExplainCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When nothing of this id was ever published in the directory, or its files cannot be read.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let dir = match &self.blueprints {
            Some(dir) => dir.clone(),
            None => self.connection.data_root()?.join("blueprints"),
        };
        let root = dir.parent().unwrap_or_else(|| Path::new("."));
        let mut found = gather::explain(&dir, root, &self.id)?;
        // A directory that was named need not be the daemon's.
        if self.blueprints.is_none() {
            let id = found["id"].as_str().unwrap_or_default().to_owned();
            let path = format!("/v1/blueprints/{id}/explain");
            found["daemon"] =
                self.connection.get_if_running(&path, &[]).ok().flatten().unwrap_or(Value::Null);
        }
        self.connection.print(&found, text::explanation);
        Ok(ExitCode::SUCCESS)
    }
}
