//! `backtestd quarantine`: records that are not taken for true, and letting them go.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client_cmds::Connection;
use super::dirs::StateDir;
use super::table::plain;
use super::{Misuse, table};
use backtestd_binance::clock::SystemClock;
use backtestd_core::clock::Clock;
use backtestd_store::{Quarantined, Store, StoreError, release_by_id};

/// List or release records that cannot be true: kept in the log, unknown for everything computed from it.
#[derive(Debug, Subcommand)]
pub(super) enum QuarantineCmd {
    List(ListCmd),
    Release(ReleaseCmd),
}

/// List the records in quarantine with the rule that each breaks, and those that were released, with the
/// reason. Asks the daemon where one has the store open.
///
/// Example: backtestd quarantine list --symbol BTCUSDT
#[derive(Debug, clap::Args)]
pub(super) struct ListCmd {
    /// Only records of this symbol.
    #[arg(long, value_name = "SYMBOL")]
    symbol: Option<backtestd_core::market::Symbol>,
    #[command(flatten)]
    place: Place,
}

/// Take records in quarantine for true. The release is of the value that the record has now; it stays when
/// the rules doubt the record again. What was computed without it is computed anew, by a daemon at its next
/// tick.
///
/// Example: backtestd quarantine release perp/bars/BTCUSDT/2025-10-10T21:15:00Z --reason "seen on two
/// exchanges"
#[derive(Debug, clap::Args)]
pub(super) struct ReleaseCmd {
    /// Ids as `quarantine list` shows them.
    #[arg(required = true, value_name = "ID", value_parser = known_form)]
    ids: Vec<String>,
    /// Why the records are true; kept with them.
    #[arg(long, value_parser = said)]
    reason: String,
    #[command(flatten)]
    place: Place,
}

/// The store, or the daemon that has it open.
#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    state: StateDir,
    /// The daemon's socket.
    #[arg(long, env = "BACKTESTD_SOCKET", value_name = "PATH")]
    socket: Option<String>,
    /// The daemon's configuration file.
    #[arg(long, env = "BACKTESTD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the records as JSON.
    #[arg(long)]
    json: bool,
}

fn known_form(text: &str) -> Result<String, String> {
    match Quarantined::place(text) {
        Some(_) => Ok(text.to_owned()),
        None => {
            Err("expected market/kind/symbol/time, as in perp/bars/BTCUSDT/2025-10-10T21:15:00Z".to_owned())
        }
    }
}

fn said(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("say why the records are true".to_owned()) } else { Ok(text.to_owned()) }
}

impl Place {
    /// The store, or the daemon where it has the store open.
    fn open(&self) -> anyhow::Result<Result<Store, Connection>> {
        if !self.state.state.join("db").exists() {
            return Err(Misuse::new(format!(
                "there is no store in {}; --state says where it is",
                self.state.state.display()
            ))
            .into());
        }
        match Store::open(&self.state.state) {
            Ok(store) => Ok(Ok(store)),
            Err(StoreError::Locked { .. }) => {
                let state = self.state.state.display().to_string();
                Ok(Err(Connection::to(self.socket.clone(), state, self.config.clone())))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl QuarantineCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When there is no store, it cannot be read, its daemon does not answer, or an id is not in quarantine.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(cmd) => cmd.run(),
            Self::Release(cmd) => cmd.run(),
        }
    }
}

impl ListCmd {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let mut records = match self.place.open()? {
            Ok(store) => json!(store.quarantine()?),
            Err(daemon) => daemon.get("/v1/quarantine", Vec::new())?["quarantine"].take(),
        };
        if let (Some(symbol), Value::Array(list)) = (&self.symbol, &mut records) {
            list.retain(|record| record["symbol"] == symbol.as_str());
        }
        if self.place.json {
            println!("{}", json!({ "quarantine": records }));
        } else {
            print!("{}", text(&records));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl ReleaseCmd {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let released = match self.place.open()? {
            Ok(mut store) => {
                let released = release_by_id(&mut store, &self.ids, &self.reason, SystemClock.now())?;
                json!(released.map_err(anyhow::Error::msg)?)
            }
            Err(daemon) => {
                let body = json!({ "ids": self.ids, "reason": self.reason });
                daemon.post("/v1/quarantine/release", &body)?["released"].take()
            }
        };
        if self.place.json {
            println!("{}", json!({ "released": released }));
        } else {
            print!("{}", text(&released));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn text(records: &Value) -> String {
    let list = records.as_array().map(Vec::as_slice).unwrap_or_default();
    let held = list.iter().filter(|record| record["released"].is_null()).count();
    let row = |record: &Value| {
        let released = record["released"].as_str().map_or("-".to_owned(), str::to_owned);
        vec![plain(&record["id"]), plain(&record["rule"]), released, plain(&record["reason"])]
    };
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    let mut out = String::new();
    if !rows.is_empty() {
        out.push_str(&table::render(&["record", "rule", "released", "what is wrong"], &rows));
    }
    out.push_str(&format!("{held} in quarantine, {} released\n", list.len() - held));
    out
}
