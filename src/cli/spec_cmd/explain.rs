//! `backtestd spec explain`: what a name means, how often it fires, and why it has its value on a bar.

use backtestd_store::load_specs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::say;
use crate::cli::Progress;
use crate::daemon::client::{Client, ClientError};
use crate::daemon::config::resolve;
use backtestd_core::explain::{Census, History, Tracer};
use backtestd_core::market::{BarIndex, Market, Symbol, Ts, parse_time};
use backtestd_core::spec::{CompiledSpec, Explanation, explain};
use backtestd_store::{Store, StoreError};

/// Say what an event, state, feature, source or template verb means; with --at, why it has its value on a
/// bar.
///
/// With `--at` the name's part of the graph is replayed over the stored history by the same engine that runs
/// live, and every node's value on that bar is shown, down to the sources: why an event fired, or why it did
/// not. Where a daemon has the store open it is asked over its socket, and answers under the specs in force.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backtestd spec explain VOL_SHOCK
  backtestd spec explain VOL_SHOCK --dot | dot -Tsvg > vol_shock.svg
  backtestd spec explain --at 2025-03-04T12:35:00Z --symbol BTCUSDT VOL_SHOCK
  backtestd spec explain VOL_SHOCK:BTCUSDT:20250304T1235        (an event's id)")]
pub(super) struct ExplainCmd {
    /// The name, or the id of an event; `sources` lists all source columns.
    name: String,
    /// The bar that holds this time: RFC 3339 (UTC without an offset), a date, or ms since the epoch.
    #[arg(long, value_name = "TIME", requires = "symbol")]
    at: Option<String>,
    /// Symbol whose bar is explained.
    #[arg(long, value_name = "SYMBOL", requires = "at")]
    symbol: Option<Symbol>,
    /// Replay from here instead of from the first stored bar; recursions (class S) depend on it.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// With --at: end branches at named features and states.
    #[arg(long, requires = "at")]
    brief: bool,
    /// Draw the graph down to the sources.
    #[arg(long, conflicts_with = "at")]
    full: bool,
    /// Print the graph as a Graphviz file.
    #[arg(long, conflicts_with_all = ["json", "at"])]
    dot: bool,
    /// Do not count how often the event fires in the store.
    #[arg(long, conflicts_with = "at")]
    no_store: bool,
    /// Print the explanation as JSON.
    #[arg(long)]
    json: bool,
    /// Directory of the embedded store.
    #[arg(long, env = "BACKTESTD_STATE", default_value = "./state", value_name = "DIR")]
    state: PathBuf,
    /// Ask the daemon on this socket instead of opening the store.
    #[arg(long, env = "BACKTESTD_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// A bar of a symbol.
struct Place {
    name: String,
    symbol: Symbol,
    at: Ts,
}

/// Where stored bars can be had.
enum Bars {
    /// The store is ours.
    Open(Box<Store>),
    /// A daemon has it.
    Daemon(PathBuf),
    /// There is none; why.
    None(String),
}

impl ExplainCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When the specs do not load, there is no such name, symbol or bar, or the store cannot be read.
    pub(super) fn run(&self, spec_dir: &Path) -> anyhow::Result<ExitCode> {
        match self.place()? {
            Some(place) => self.on_a_bar(&place, spec_dir)?,
            None => self.in_general(spec_dir)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn place(&self) -> anyhow::Result<Option<Place>> {
        if let (Some(at), Some(symbol)) = (&self.at, &self.symbol) {
            let at = time(at)?;
            return Ok(Some(Place { name: self.name.clone(), symbol: symbol.clone(), at }));
        }
        let parts: Vec<&str> = self.name.split(':').collect();
        let [name, symbol, stamp] = parts.as_slice() else { return Ok(None) };
        let at = parse_stamp(stamp).with_context(|| {
            format!("'{}' looks like an event's id, which ends in yyyymmddThhmm, as VOL_SHOCK:BTCUSDT:20250304T1235", self.name)
        })?;
        Ok(Some(Place { name: (*name).to_owned(), symbol: Symbol::new(symbol)?, at }))
    }

    // -- on a bar ----------------------------------------------------------------------------------------

    fn on_a_bar(&self, place: &Place, spec_dir: &Path) -> anyhow::Result<()> {
        let bar = place.at.bar();
        if bar.open() != place.at && !self.json {
            eprintln!("note: {} is inside the bar {bar}; that bar is explained", place.at);
        }
        let (text, json) = match self.bars()? {
            Bars::Open(store) => {
                let spec = Arc::new(load_specs(spec_dir)?);
                let history = history(&store, spec, self.from()?)?;
                self.trace(&store, &history, place, bar)?
            }
            Bars::Daemon(socket) => {
                anyhow::ensure!(self.from.is_none(), "--from needs the store, and the daemon has it open");
                let query = [
                    ("symbol", place.symbol.to_string()),
                    ("at", bar.open().rfc3339()),
                    ("brief", self.brief.to_string()),
                ];
                ask(&socket, &place.name, &query)?
            }
            Bars::None(why) => bail!("{why}; import or backfill history, or name the store with --state"),
        };
        self.print(&text, &json)
    }

    fn trace(
        &self,
        store: &Store,
        history: &History,
        place: &Place,
        bar: BarIndex,
    ) -> anyhow::Result<(String, Value)> {
        let mut tracer = Tracer::new(history, &place.name, &place.symbol, bar)?;
        let mut progress = Progress::new("replaying", tracer.progress().1, self.json);
        while let Some(stretch) = tracer.wants() {
            tracer.push(&store.raw(&stretch.symbols, stretch.first, stretch.rows)?)?;
            progress.set(tracer.progress().0);
        }
        progress.finish(&format!("{} bars", tracer.progress().1));
        let trace = tracer.finish();
        Ok((trace.text(self.brief), trace.json()))
    }

    // -- in general --------------------------------------------------------------------------------------

    fn in_general(&self, spec_dir: &Path) -> anyhow::Result<()> {
        let spec = Arc::new(load_specs(spec_dir)?);
        let Explanation { mut text, mut json, dot } = explain(&spec, &self.name, self.full)?;
        if self.dot {
            anyhow::ensure!(!dot.is_empty(), "'{}' has no graph", self.name);
            return Ok(say(&dot)?);
        }
        if spec.event(&self.name).is_some() && !self.no_store {
            let (words, counts) = self.prevalence(&spec)?;
            text = format!("{text}\n{words}");
            json["prevalence"] = counts;
        }
        self.print(&text, &json)
    }

    fn prevalence(&self, spec: &Arc<CompiledSpec>) -> anyhow::Result<(String, Value)> {
        let none = |why: String| (format!("prevalence  not counted: {why}\n"), json!({ "not_counted": why }));
        match self.bars()? {
            Bars::None(why) => Ok(none(why)),
            Bars::Open(store) if store.symbols(Market::Perp)?.is_empty() => {
                Ok(none(format!("the store in {} has no perp bars", self.state.display())))
            }
            Bars::Open(store) => {
                let history = history(&store, Arc::clone(spec), self.from()?)?;
                let mut census = Census::new(&history, &self.name)?;
                let mut progress = Progress::new("counting", census.progress().1, self.json);
                while let Some(stretch) = census.wants() {
                    census.push(&store.raw(&stretch.symbols, stretch.first, stretch.rows)?)?;
                    progress.set(census.progress().0);
                }
                progress.finish(&format!("{} bars", census.progress().1));
                let counts = census.finish();
                Ok((counts.text(), serde_json::to_value(&counts)?))
            }
            Bars::Daemon(socket) => match ask(&socket, &self.name, &[]) {
                Ok((text, json)) if json["ontology_spec_hash"] != spec.hash.as_str() => Ok((
                    format!(
                        "{text}  (under the daemon's specs, {}, which are not these)\n",
                        json["ontology_spec_hash"]
                    ),
                    json["prevalence"].clone(),
                )),
                Ok((text, json)) => Ok((text, json["prevalence"].clone())),
                Err(error) => Ok(none(format!("{error:#}"))),
            },
        }
    }

    // -- where the bars are ------------------------------------------------------------------------------

    /// The store itself, or the daemon that has it open.
    fn bars(&self) -> anyhow::Result<Bars> {
        if let Some(socket) = &self.socket {
            return Ok(Bars::Daemon(socket.clone()));
        }
        // Opening would create it.
        if !self.state.join("db").is_dir() {
            return Ok(Bars::None(format!("there is no store in {}", self.state.display())));
        }
        match Store::open(&self.state) {
            Ok(store) => Ok(Bars::Open(Box::new(store))),
            Err(StoreError::Locked { pid, .. }) => {
                let socket = self.socket_beside_the_store()?;
                if socket.exists() {
                    return Ok(Bars::Daemon(socket));
                }
                let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                bail!(
                    "the store in {} is in use by {holder}, and there is no daemon's socket at {}: wait for that \
                     process or stop it, or name the daemon's socket with --socket",
                    self.state.display(),
                    socket.display()
                );
            }
            Err(error) => Err(error.into()),
        }
    }

    fn socket_beside_the_store(&self) -> anyhow::Result<PathBuf> {
        let flags = BTreeMap::from([("state", self.state.display().to_string())]);
        Ok(resolve(&flags, &|name| std::env::var(name).ok(), None)?.config.socket)
    }

    fn from(&self) -> anyhow::Result<Option<BarIndex>> {
        Ok(self.from.as_deref().map(time).transpose()?.map(Ts::bar))
    }

    fn print(&self, text: &str, json: &Value) -> anyhow::Result<()> {
        let out = if self.json { format!("{json}\n") } else { text.to_owned() };
        Ok(say(&out)?)
    }
}

/// Everything that the store has.
fn history(store: &Store, spec: Arc<CompiledSpec>, from: Option<BarIndex>) -> anyhow::Result<History> {
    let symbols = store.symbols(Market::Perp)?;
    let mut ranges = Vec::new();
    for symbol in &symbols {
        ranges.extend(store.range(Market::Perp, symbol)?);
    }
    let (Some(first), Some(last)) = (ranges.iter().map(|r| r.0).min(), ranges.iter().map(|r| r.1).max())
    else {
        bail!("the store in {} has no perp bars; import or backfill first", store.dir().display());
    };
    let collected = symbols
        .iter()
        .map(|s| Ok(store.coverage(s)?.into_iter().collect()))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let first = from.map_or(first, |from| from.max(first));
    Ok(History { spec, symbols, collected, first, end: last.next() })
}

/// Asks the daemon: its words, and its JSON without them.
fn ask(socket: &Path, name: &str, query: &[(&str, String)]) -> anyhow::Result<(String, Value)> {
    let client = Client::new(socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(client.get(&format!("/v1/explain/{name}"), query));
    let mut json = answer.map_err(|error| match error {
        error @ ClientError::NotRunning { .. } => {
            anyhow::Error::new(error).context("the store is in use, so the daemon was asked")
        }
        error => error.into(),
    })?;
    let text = json["text"].take();
    if let Some(object) = json.as_object_mut() {
        object.remove("text");
    }
    Ok((text.as_str().unwrap_or_default().to_owned(), json))
}

/// As [`parse_time`]; a time without an offset is UTC, and seconds may be left out.
fn time(text: &str) -> anyhow::Result<Ts> {
    let text = text.trim();
    let error = match parse_time(text) {
        Ok(ts) => return Ok(ts),
        Err(error) => error,
    };
    Ok(parse_time(&format!("{text}Z")).or_else(|_| parse_time(&format!("{text}:00Z"))).map_err(|_| error)?)
}

/// Parses the time of an event id, such as `20250304T1235` (UTC).
fn parse_stamp(stamp: &str) -> anyhow::Result<Ts> {
    let digits: String = stamp.chars().filter(char::is_ascii_digit).collect();
    anyhow::ensure!(digits.len() == 12 && stamp.len() == 13, "'{stamp}' is not yyyymmddThhmm");
    let (date, clock) = digits.split_at(8);
    let text = format!("{}-{}-{}T{}:{}:00Z", &date[..4], &date[4..6], &date[6..], &clock[..2], &clock[2..]);
    Ok(parse_time(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_without_offset_or_seconds_are_utc() {
        let wanted = parse_time("2025-03-04T12:35:00Z").unwrap();
        for text in
            ["2025-03-04T12:35", "2025-03-04T12:35:00", "2025-03-04T12:35:00Z", "2025-03-04T13:35:00+01:00"]
        {
            assert_eq!(time(text).unwrap(), wanted, "{text}");
        }
        assert_eq!(time("2025-03-04").unwrap(), parse_time("2025-03-04").unwrap());
        assert!(time("yesterday").unwrap_err().to_string().contains("'yesterday' is not a time"));
    }

    #[test]
    fn an_event_id_ends_in_its_bar() {
        assert_eq!(parse_stamp("20250304T1235").unwrap(), parse_time("2025-03-04T12:35:00Z").unwrap());
        assert!(parse_stamp("20250304").is_err());
    }
}
