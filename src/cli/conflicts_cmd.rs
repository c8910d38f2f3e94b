//! `backtestd conflicts`: records of which two deliveries said different things.

use std::process::ExitCode;

use serde_json::Value;

use super::client_cmds::{Connection, rows};
use super::table::{self, plain};
use crate::verify::{ConflictQuery, conflicts_json};
use backtestd_core::market::{Kind, Symbol, Ts, parse_time};
use backtestd_store::{Store, StoreError};

/// List the records of which two deliveries (files, answers, streams) said different things: both values,
/// where they came from, and which of them stands. Read from the store, or from the daemon that has it open.
/// The rule: a table never overwrites the stream, nor either of them the archive or REST; of equals the bar
/// with more trades, the daily file, the later publication stands. `import --prefer new` decides otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  backtestd conflicts --symbol BTCUSDT --since 2025-01-01\n  \
                        backtestd conflicts --kind funding --json")]
pub(super) struct ConflictsCmd {
    /// Only this symbol.
    #[arg(long)]
    symbol: Option<Symbol>,
    /// Only this kind of record: bars, funding, open_interest, mark, liquidations, quotes, depth,
    /// long_short_ratio.
    #[arg(long, value_parser = parse_kind)]
    kind: Option<Kind>,
    /// Only records of bars that open, or of instants, at or after this time (RFC 3339, or a date).
    #[arg(long, value_parser = parse_time)]
    since: Option<Ts>,
    /// The newest so many.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    #[command(flatten)]
    connection: Connection,
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    let names = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    Kind::from_name(text).ok_or_else(|| format!("no such kind; one of {}", names()))
}

impl ConflictsCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When there is no store, it cannot be read, or the daemon that has it does not answer.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let query = ConflictQuery {
            symbol: self.symbol.clone(),
            kind: self.kind,
            since: self.since,
            limit: self.limit as usize,
        };
        let state = self.connection.state()?;
        anyhow::ensure!(
            state.join("db").exists(),
            "no store in {}; import or backfill first",
            state.display()
        );
        let answer = match Store::open(&state) {
            Ok(store) => conflicts_json(&store, &query)?,
            Err(StoreError::Locked { .. }) => self.connection.get("/v1/conflicts", self.parameters())?,
            Err(error) => return Err(error.into()),
        };
        self.connection.print(&answer, text);
        Ok(ExitCode::SUCCESS)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("symbol", self.symbol.as_ref().map(ToString::to_string)),
            ("kind", self.kind.map(|kind| kind.name().to_owned())),
            ("since", self.since.map(|since| since.to_string())),
            ("limit", Some(self.limit.to_string())),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn text(answer: &Value) -> String {
    let listed = &answer["conflicts"];
    if listed.as_array().is_none_or(Vec::is_empty) && answer["unlisted"].as_array().is_none_or(Vec::is_empty)
    {
        return "no two deliveries contradict each other\n".to_owned();
    }
    let lines = rows(listed, |c| {
        let all = c["fields"].as_array().map_or(&[][..], Vec::as_slice);
        let change = |f: &Value| format!("{} {} | {}", plain(&f["field"]), f["old"], f["new"]);
        let source = |side: &Value| match side["file"].as_str() {
            Some(file) => format!("{} {file}", plain(&side["source"])),
            None => plain(&side["source"]),
        };
        vec![
            plain(&c["market"]),
            plain(&c["symbol"]),
            plain(&c["kind"]),
            plain(&c["timestamp"]),
            plain(&c["stands"]),
            all.iter().map(change).collect::<Vec<_>>().join(", "),
            source(&c["old"]),
            source(&c["new"]),
        ]
    });
    let head =
        ["market", "symbol", "kind", "record", "stands", "old | new", "old came with", "new came with"];
    let mut out = table::render(&head, &lines);
    let (total, shown) = (answer["total"].as_u64().unwrap_or(0), lines.len() as u64);
    if total > shown {
        out.push_str(&format!("the newest {shown} of {total}; --limit shows more\n"));
    }
    for u in answer["unlisted"].as_array().into_iter().flatten() {
        out.push_str(&format!(
            "and {} more records of {} {} {}, of {}\n",
            u["records"],
            plain(&u["market"]),
            plain(&u["symbol"]),
            plain(&u["kind"]),
            plain(&u["delivery"]["file"]),
        ));
    }
    out
}
