//! `status`, `events`, `blueprints`, `explain`, `recompute`, `reload`: requests to the running daemon.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::table;
use crate::daemon::client::Client;
use crate::daemon::config::resolve;

/// Which daemon, and how to print.
#[derive(Debug, clap::Args)]
pub struct Connection {
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
pub struct StatusCmd {
    #[command(flatten)]
    connection: Connection,
}

/// List events of the registry.
///
/// Example: backtestd events --since 2026-03-01 --symbol BTCUSDT --type VOL_SHOCK
#[derive(Debug, clap::Args)]
pub struct EventsCmd {
    /// Only events detected after this time (RFC 3339, a date, or ms since the epoch); without it, the newest.
    #[arg(long)]
    since: Option<String>,
    /// Only this symbol.
    #[arg(long)]
    symbol: Option<String>,
    /// Only this event type.
    #[arg(long = "type", value_name = "EVENT")]
    event_type: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

/// List the published strategy blueprints.
///
/// Example: backtestd blueprints
#[derive(Debug, clap::Args)]
pub struct BlueprintsCmd {
    #[command(flatten)]
    connection: Connection,
}

/// Show where a blueprint comes from: version, run, spec, evidence, newest events, files.
///
/// Example: backtestd explain bp_5f1c9a0e7d2b4c88
#[derive(Debug, clap::Args)]
pub struct ExplainCmd {
    /// Blueprint id.
    id: String,
    #[command(flatten)]
    connection: Connection,
}

/// Ask the daemon to run discovery now.
///
/// Example: backtestd recompute --wait --reason "after import"
#[derive(Debug, clap::Args)]
pub struct RecomputeCmd {
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
/// Example: backtestd reload
#[derive(Debug, clap::Args)]
pub struct ReloadCmd {
    #[command(flatten)]
    connection: Connection,
}

impl Connection {
    fn client(&self) -> anyhow::Result<Client> {
        let given = [("socket", &self.socket), ("state", &self.state)];
        let flags: BTreeMap<&'static str, String> =
            given.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
        let env = |name: &str| std::env::var(name).ok();
        let resolved = resolve(&flags, &env, self.config.as_deref())?;
        Ok(Client::new(&resolved.config.socket)?)
    }

    /// Sends one request and prints the answer.
    fn ask(&self, request: &Request<'_>, text: fn(&Value) -> String) -> anyhow::Result<ExitCode> {
        let client = self.client()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            match request {
                Request::Get(path, query) => client.get(path, query).await,
                Request::Post(path, body) => client.post(path, body).await,
            }
        })?;
        if self.json {
            println!("{answer}");
        } else {
            print!("{}", text(&answer));
        }
        Ok(ExitCode::SUCCESS)
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
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.connection.ask(&Request::Get("/v1/status", Vec::new()), status_text)
    }
}

impl EventsCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When no daemon answers or it refuses the query.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
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
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.connection.ask(&Request::Get("/v1/blueprints", Vec::new()), blueprints_text)
    }
}

impl ExplainCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When no daemon answers or the blueprint is not in the current version.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let id_is_plain = self.id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        anyhow::ensure!(id_is_plain, "'{}' is not a blueprint id (as in bp_5f1c9a0e7d2b4c88)", self.id);
        let path = format!("/v1/blueprints/{}/explain", self.id);
        self.connection.ask(&Request::Get(&path, Vec::new()), explain_text)
    }
}

impl RecomputeCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When no daemon answers, it refuses this peer, or the run fails.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let body = json!({ "wait": self.wait, "reason": self.reason });
        self.connection.ask(&Request::Post("/v1/recompute", body), recompute_text)
    }
}

impl ReloadCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When no daemon answers, it refuses this peer, or the spec tree is not valid.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.connection.ask(&Request::Post("/v1/reload", json!({})), |answer| {
            let what = if answer["changed"] == true { "now in force" } else { "unchanged" };
            format!("spec {} {what}\n", plain(&answer["hash"]))
        })
    }
}

/// A JSON value as a table cell.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Number(n) if n.is_f64() => format!("{:.4}", n.as_f64().unwrap_or(f64::NAN)),
        other => other.to_string(),
    }
}

fn seconds(ms: &Value) -> String {
    ms.as_i64().map_or("-".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1000.0))
}

fn rows(list: &Value, cells: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().map(|items| items.iter().map(cells).collect()).unwrap_or_default()
}

fn status_text(s: &Value) -> String {
    let mut facts = vec![
        vec!["state".to_owned(), format!("{}: {}", plain(&s["state"]), plain(&s["detail"]))],
        vec![
            "version".to_owned(),
            format!("{} (pid {}, up {} s)", plain(&s["version"]), s["pid"], s["uptime_s"]),
        ],
        vec!["clock".to_owned(), plain(&s["now"])],
        vec![
            "spec".to_owned(),
            format!("{} since {}", plain(&s["spec"]["hash"]), plain(&s["spec"]["loaded_at"])),
        ],
        vec![
            "store".to_owned(),
            format!(
                "committed {}, checkpoint {}, {} MB",
                plain(&s["store"]["committed_tick"]),
                plain(&s["store"]["checkpoint"]),
                s["store"]["bytes"].as_u64().unwrap_or(0) / 1_000_000
            ),
        ],
        vec![
            "discovery".to_owned(),
            format!(
                "last {} ({} hypotheses, {} discoveries), next {}{}",
                plain(&s["discovery"]["last_run_id"]),
                s["discovery"]["hypotheses"],
                s["discovery"]["discoveries"],
                plain(&s["discovery"]["next_at"]),
                s["discovery"]["running"].as_str().map(|id| format!(", running {id}")).unwrap_or_default()
            ),
        ],
        vec![
            "blueprints".to_owned(),
            format!(
                "{} ({} active, {} watch)",
                plain(&s["blueprints"]["version"]),
                s["blueprints"]["active"],
                s["blueprints"]["watch"]
            ),
        ],
    ];
    if let Some(error) = s["discovery"]["last_error"].as_str() {
        facts.push(vec!["run error".to_owned(), error.to_owned()]);
    }
    let mut text: String = facts.iter().map(|f| format!("{:<11} {}\n", f[0], f[1])).collect();
    if let Some(error) = s["spec"]["error"].as_str() {
        text.push_str(&format!("spec error  the tree on disk is not in force:\n{error}\n"));
    }
    text.push_str(&change_text(&s["spec"]["change"]));
    text.push('\n');
    let series = rows(&s["symbols"], |x| {
        vec![
            plain(&x["symbol"]),
            plain(&x["market"]),
            plain(&x["watermark"]),
            seconds(&x["lag_ms"]),
            plain(&x["gaps_open"]),
        ]
    });
    text.push_str(&table::render(&["symbol", "market", "watermark", "lag", "gaps"], &series));
    text.push('\n');
    let streams = rows(&s["streams"], |x| {
        vec![
            plain(&x["name"]),
            plain(&x["connected"]),
            seconds(&x["last_message_ms"]),
            plain(&x["reconnects"]),
        ]
    });
    text.push_str(&table::render(&["stream", "connected", "silent for", "reconnects"], &streams));
    text.push_str(&quality_text(s));
    text
}

/// Event types outside `gate_e1`, sources known in part, and event types that cannot occur; nothing where all is well.
fn quality_text(s: &Value) -> String {
    let mut text = String::new();
    let worst = rows(&s["quality"]["worst"], |f| {
        let number = f["value"].as_f64().unwrap_or(f64::NAN);
        vec![
            plain(&f["event_type"]),
            plain(&f["symbol"]),
            format!(
                "{} {number:.3}, wanted {} {}",
                plain(&f["metric"]),
                plain(&f["relation"]),
                f["threshold"]
            ),
            if f["excluded"] == true { "left out".to_owned() } else { "tested".to_owned() },
        ]
    });
    if !worst.is_empty() {
        let head = ["unfit event", "worst on", "finding", "discovery"];
        text.push_str(&format!("\n{}", table::render(&head, &worst)));
    }
    let partial = rows(&s["quality"]["partial_sources"], |p| {
        vec![
            plain(&p["column"]),
            plain(&p["symbol"]),
            plain(&p["known_from"]),
            plain(&p["known_through"]),
            format!("{} of {}", p["days_without"], p["days"]),
            plain(&p["events"]),
        ]
    });
    if !partial.is_empty() {
        let head = ["source in part", "symbol", "known from", "through", "days without", "events"];
        text.push_str(&format!("\n{}", table::render(&head, &partial)));
    }
    let mut lacking: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for x in s["spec"]["unavailable"].as_array().into_iter().flatten() {
        lacking.entry((plain(&x["event_type"]), plain(&x["missing"]))).or_default().push(plain(&x["symbol"]));
    }
    if !lacking.is_empty() {
        let lines: Vec<Vec<String>> =
            lacking.into_iter().map(|((event, column), on)| vec![event, column, on.join(" ")]).collect();
        text.push_str(&format!("\n{}", table::render(&["unavailable event", "no source", "on"], &lines)));
    }
    text
}

/// The last spec change, if there was one: what it touches, how far it is.
fn change_text(change: &Value) -> String {
    let what = &change["what"];
    let Some(state) = change["state"].as_str() else { return String::new() };
    let mut text = format!(
        "spec change {}: {} of {} nodes kept, {} recomputed over {} of {} rows{}\n",
        state.replace('_', " "),
        what["nodes_kept"],
        what["nodes"],
        what["nodes_recomputed"],
        change["rows_done"],
        change["rows_total"],
        change["duration_ms"].as_u64().map(|ms| format!(", {ms} ms")).unwrap_or_default()
    );
    if let Some(why) = change["why_everything"].as_str() {
        text.push_str(&format!("            all of history, because {why}\n"));
    }
    for key in ["events", "states", "features"]
        .iter()
        .flat_map(|noun| ["added", "changed", "removed", "renamed"].map(|verb| format!("{noun}_{verb}")))
    {
        let names = rows(&what[key.as_str()], |name| {
            let pair: Vec<&str> = name.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if pair.is_empty() { vec![plain(name)] } else { vec![pair.join(" -> ")] }
        });
        if !names.is_empty() {
            let label = key.replace('_', " ");
            text.push_str(&format!("            {label}: {}\n", names.concat().join(", ")));
        }
    }
    text
}

fn events_text(answer: &Value) -> String {
    let cells = |e: &Value| {
        ["detected_ts", "event_type", "symbol", "direction", "severity", "event_id"]
            .map(|k| plain(&e[k]))
            .to_vec()
    };
    let list = rows(&answer["events"], cells);
    table::render(&["detected", "event", "symbol", "direction", "severity", "id"], &list)
}

fn blueprints_text(answer: &Value) -> String {
    let Some(version) = answer["version"].as_str() else {
        return "nothing published yet; `backtestd recompute --wait` runs discovery\n".to_owned();
    };
    let list = rows(&answer["blueprints"], |b| {
        vec![
            plain(&b["id"]),
            plain(&b["status"]),
            plain(&b["event_type"]),
            plain(&b["direction_rule"]),
            plain(&b["symbol_scope"]["symbols"]),
            plain(&b["exit"]["horizon"]),
            plain(&b["condition"]),
            plain(&b["evidence"]["after_cost_expectancy_bps"]),
            plain(&b["evidence"]["q_value"]),
        ]
    });
    let head = ["id", "status", "event", "rule", "symbols", "horizon", "condition", "after cost bps", "q"];
    format!("{version}, published {}\n\n{}", plain(&answer["published_at"]), table::render(&head, &list))
}

fn explain_text(answer: &Value) -> String {
    let pretty = serde_json::to_string_pretty(answer).unwrap_or_default();
    format!("{pretty}\n")
}

fn recompute_text(answer: &Value) -> String {
    let run = plain(&answer["run_id"]);
    if answer.get("changed").is_none() {
        return format!("run {run} accepted; `backtestd status` shows its end\n");
    }
    let outcome = match (answer["changed"].as_bool(), answer["version"].as_str()) {
        (Some(true), Some(version)) => format!("published {version}"),
        (_, Some(version)) => format!("nothing changed, {version} stays"),
        (_, None) => "nothing published".to_owned(),
    };
    format!(
        "run {run}: {} hypotheses, {} discoveries in {} ms; {outcome}\n",
        answer["hypotheses"], answer["discoveries"], answer["duration_ms"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_readable_and_shows_a_spec_error() {
        let mut status = crate::daemon::status::Status {
            detail: "opening the store".into(),
            ..crate::daemon::status::Status::default()
        };
        status.spec.error = Some("events/X.yaml:3:7: unknown name".into());
        let text = status_text(&serde_json::to_value(status).unwrap());
        assert!(text.starts_with("state       starting: opening the store\n"), "{text}");
        assert!(text.contains("the tree on disk is not in force:\nevents/X.yaml:3:7"), "{text}");
    }

    #[test]
    fn a_waited_recompute_says_what_it_published() {
        let answer = json!({ "run_id": "r1", "version": "v000002", "changed": false, "hypotheses": 9,
            "discoveries": 1, "duration_ms": 120 });
        let text = recompute_text(&answer);
        assert_eq!(text, "run r1: 9 hypotheses, 1 discoveries in 120 ms; nothing changed, v000002 stays\n");
    }
}
