//! `backtestd gaps`: what is complete, open, lost and repaired of each series.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client_cmds::Connection;
use super::table;
use crate::daemon::feed::ledger;
use crate::daemon::feed::{GapSpan, SeriesGaps};
use backtestd_core::market::{Kind, Symbol};
use backtestd_store::Store;

/// Show which stretches of each series are complete, unconfirmed, open, lost (and why) or repaired (how and
/// when). Asks the daemon; where none runs, it reads the store.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    backtestd gaps\n  \
    backtestd gaps --symbol BTCUSDT --kind funding --all\n  \
    backtestd gaps --json --state /var/lib/backtestd")]
pub(super) struct GapsCmd {
    /// Only this symbol.
    #[arg(long)]
    symbol: Option<Symbol>,
    /// Only this kind: bars, funding, open_interest, mark, liquidations, quotes, ...
    #[arg(long, value_parser = kind)]
    kind: Option<Kind>,
    /// List complete stretches too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connection: Connection,
}

fn kind(name: &str) -> Result<Kind, String> {
    let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    Kind::from_name(name).ok_or_else(|| format!("expected one of {}", known.join(", ")))
}

/// Runs it.
///
/// # Errors
/// When neither a daemon answers nor the store can be read.
pub(super) fn run(cmd: &GapsCmd) -> anyhow::Result<ExitCode> {
    let mut query = Vec::new();
    query.extend(cmd.symbol.as_ref().map(|symbol| ("symbol", symbol.to_string())));
    query.extend(cmd.kind.map(|kind| ("kind", kind.name().to_owned())));
    let answer = match cmd.connection.get_if_running("/v1/gaps", &query)? {
        Some(answer) => answer,
        None => from_store(cmd)?,
    };
    if cmd.connection.wants_json() {
        println!("{answer}");
    } else {
        print!("{}", text(&answer, cmd.all));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the store says while no daemon has it.
fn from_store(cmd: &GapsCmd) -> anyhow::Result<Value> {
    let state = cmd.connection.state()?;
    anyhow::ensure!(
        state.join("db").is_dir(),
        "no daemon answers, and there is no store in {}; give --state or --socket",
        state.display()
    );
    let store = Store::open(&state)?;
    let committed = store.committed()?;
    let mut series = Vec::new();
    for (key, extent) in store.series()? {
        let is_wanted = cmd.symbol.as_ref().is_none_or(|symbol| *symbol == key.symbol)
            && cmd.kind.is_none_or(|kind| kind == key.kind);
        if !is_wanted {
            continue;
        }
        let first = store.facts_first()?.unwrap_or_else(|| key.kind.instant(extent.first).bar());
        let end = committed.map_or_else(|| key.kind.instant(extent.last).bar().next(), |bar| bar.next());
        let span = GapSpan { first, end, now: end.open() };
        series.push(SeriesGaps::read(&store, &ledger::load(&store, &key)?, &key, span)?);
    }
    Ok(json!({ "now": Value::Null, "series": series }))
}

fn text(answer: &Value, all: bool) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut rows = Vec::new();
    let (mut series, mut whole) = (0, 0);
    for one in answer["series"].as_array().into_iter().flatten() {
        series += 1;
        let ranges = one["ranges"].as_array().cloned().unwrap_or_default();
        let shown: Vec<&Value> = ranges.iter().filter(|r| all || r["state"] != "complete").collect();
        whole += usize::from(ranges.iter().all(|r| r["state"] == "complete" || r["state"] == "repaired"));
        for range in shown {
            rows.push(vec![
                word(&one["symbol"]),
                word(&one["market"]),
                word(&one["kind"]),
                word(&range["state"]),
                word(&range["from"]),
                word(&range["to"]),
                range["records"].to_string(),
                word(&range["when"]),
                word(&range["why"]),
            ]);
        }
    }
    let head = ["symbol", "market", "kind", "state", "from", "to", "records", "when", "why"];
    let mut out = if rows.is_empty() { String::new() } else { table::render(&head, &rows) };
    out.push_str(&format!("{whole} of {series} series are complete\n"));
    out
}
