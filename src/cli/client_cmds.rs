//! `status`, `events`, `blueprints`, `recompute`, `reload`: requests to the running daemon.

mod status;
mod text;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::table::plain;
use crate::daemon::client::{Client, ClientError};
use crate::daemon::config::{Config, resolve};
use backtestd_core::market::{Symbol, parse_time};

use status::status_text;
pub(super) use text::rows;
use text::{blueprints_text, events_text, recompute_text};

/// Which daemon, and how to print.
#[derive(Debug, clap::Args)]
pub(super) struct Connection {
    /// The daemon's socket.
    #[arg(long, env = "BACKTESTD_SOCKET", value_name = "PATH")]
    socket: Option<String>,
    /// The daemon's state directory: where its socket is unless configured otherwise.
    #[arg(long, env = "BACKTESTD_STATE", value_name = "DIR")]
    state: Option<String>,
    /// The daemon's configuration file.
    #[arg(long, env = "BACKTESTD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Show what the daemon is doing: phase, spec, series, streams, store, discovery, blueprints.
///
/// Example: backtestd status --json
#[derive(Debug, clap::Args)]
pub(super) struct StatusCmd {
    #[command(flatten)]
    connection: Connection,
}

/// List events of the registry.
///
/// Example: backtestd events --since 2026-03-01 --symbol BTCUSDT --type VOL_SHOCK
#[derive(Debug, clap::Args)]
pub(super) struct EventsCmd {
    /// Only events detected after this time (RFC 3339, a date, or ms since the epoch); without it, the
    /// newest.
    #[arg(long, value_parser = checked(parse_time))]
    since: Option<String>,
    /// Only this symbol.
    #[arg(long, value_parser = checked(Symbol::new))]
    symbol: Option<String>,
    /// Only this event type.
    #[arg(long = "type", value_name = "EVENT")]
    event_type: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    #[command(flatten)]
    connection: Connection,
}

/// List the published strategy blueprints.
///
/// Example: backtestd blueprints
#[derive(Debug, clap::Args)]
pub(super) struct BlueprintsCmd {
    #[command(flatten)]
    connection: Connection,
}

/// Ask the daemon to run discovery now.
///
/// Example: backtestd recompute --wait --reason "after import"
#[derive(Debug, clap::Args)]
pub(super) struct RecomputeCmd {
    /// Wait for the end of the run.
    #[arg(long)]
    wait: bool,
    /// Why, for the run's record.
    #[arg(long, default_value = "on command")]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

/// Ask the daemon to read its spec tree again.
///
/// Example: backtestd reload --dry-run   # how many trials the tree on disk would open, in which cohort, with
/// which budget
#[derive(Debug, clap::Args)]
pub(super) struct ReloadCmd {
    /// Put nothing in force: say what would change, and which trials it would open.
    #[arg(long = "dry-run", alias = "dry_run")]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A parser that holds a text to its form and passes it on as it is.
fn checked<T, E>(
    parse: fn(&str) -> Result<T, E>,
) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static
where
    T: 'static,
    E: std::fmt::Display + 'static,
{
    move |text| parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl Connection {
    /// The daemon of a state directory.
    pub(super) const fn to(socket: Option<String>, state: String, config: Option<PathBuf>) -> Self {
        Self { socket, state: Some(state), config, json: true }
    }

    /// The answer to a command.
    ///
    /// # Errors
    /// When no daemon answers or it refuses.
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.answer(&Request::Post(path, body.clone()))
    }

    fn config(&self) -> anyhow::Result<Config> {
        let given = [("socket", &self.socket), ("state", &self.state)];
        let flags: BTreeMap<&'static str, String> =
            given.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
        let env = |name: &str| std::env::var(name).ok();
        Ok(resolve(&flags, &env, self.config.as_deref())?.config)
    }

    fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.config()?.socket)?)
    }

    /// The state directory.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub(super) fn state(&self) -> anyhow::Result<PathBuf> {
        Ok(self.config()?.state)
    }

    /// The data root.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub(super) fn data_root(&self) -> anyhow::Result<PathBuf> {
        Ok(self.config()?.data_root)
    }

    /// The daemon's answer.
    ///
    /// # Errors
    /// When no daemon answers or it refuses the request.
    pub(super) fn get(&self, path: &str, query: Vec<(&'static str, String)>) -> anyhow::Result<Value> {
        self.answer(&Request::Get(path, query))
    }

    /// Prints an answer: as JSON where that was asked for.
    pub(super) fn print(&self, answer: &Value, text: fn(&Value) -> String) {
        if self.json {
            println!("{answer}");
        } else {
            print!("{}", text(answer));
        }
    }

    /// The answer to one request; none where no daemon answers.
    pub(super) fn get_if_running(
        &self,
        path: &str,
        query: &[(&'static str, String)],
    ) -> anyhow::Result<Option<Value>> {
        let client = self.client()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(client.get(path, query)) {
            Ok(answer) => Ok(Some(answer)),
            Err(ClientError::NotRunning { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the answer is printed as JSON.
    pub(super) const fn wants_json(&self) -> bool {
        self.json
    }

    /// Sends one request and prints the answer.
    fn ask(&self, request: &Request<'_>, text: fn(&Value) -> String) -> anyhow::Result<ExitCode> {
        self.print(&self.answer(request)?, text);
        Ok(ExitCode::SUCCESS)
    }

    fn answer(&self, request: &Request<'_>) -> anyhow::Result<Value> {
        let client = self.client()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            match request {
                Request::Get(path, query) => client.get(path, query).await,
                Request::Post(path, body) => client.post(path, body).await,
            }
        });
        Ok(answer?)
    }
}

enum Request<'a> {
    Get(&'a str, Vec<(&'static str, String)>),
    Post(&'a str, Value),
}

impl StatusCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When no daemon answers.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        self.connection.ask(&Request::Get("/v1/status", Vec::new()), status_text)
    }
}

impl EventsCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When no daemon answers or it refuses the query.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut query = vec![("limit", self.limit.to_string())];
        let filters = [("since", &self.since), ("symbol", &self.symbol), ("type", &self.event_type)];
        query.extend(filters.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
        self.connection.ask(&Request::Get("/v1/events", query), events_text)
    }
}

impl BlueprintsCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When no daemon answers.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        self.connection.ask(&Request::Get("/v1/blueprints", Vec::new()), blueprints_text)
    }
}

impl RecomputeCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When no daemon answers, it refuses this peer, or the run fails.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let body = json!({ "wait": self.wait, "reason": self.reason });
        self.connection.ask(&Request::Post("/v1/recompute", body), recompute_text)
    }
}

impl ReloadCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When no daemon answers, it refuses this peer, or the spec tree is not valid.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let body = json!({ "dry_run": self.dry_run });
        self.connection.ask(&Request::Post("/v1/reload", body), |answer| {
            if let Some(trials) = answer["text"].as_str() {
                let what = if answer["changed"] == true { "would take over" } else { "is in force already" };
                return format!("spec {} {what}\n{trials}\n", plain(&answer["hash"]));
            }
            let what = if answer["changed"] == true { "now in force" } else { "unchanged" };
            format!("spec {} {what}\n", plain(&answer["hash"]))
        })
    }
}
