//! The typed configuration: parsed once, correct afterwards.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::universe::{BY_RULE, UniverseRule};
use super::{Collect, ConfigError, Key, Value};
use backtestd_core::market::{BARS_PER_DAY, BarIndex, DAY_MS, Symbol, Ts, parse_time};

/// Where history begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At an instant (floored to its bar).
    At(Ts),
    /// This many days before the midnight of the first start.
    DaysBack(u32),
}

impl Start {
    /// The first bar, given the time of the first start.
    #[must_use]
    pub const fn first_bar(self, now: Ts) -> BarIndex {
        match self {
            Self::At(ts) => ts.bar(),
            Self::DaysBack(days) => Ts((now.day() - days as i64) * DAY_MS).bar(),
        }
    }
}

/// When discovery runs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecomputeSchedule {
    /// Only on command or on a spec change.
    Off,
    /// After every close of a tick whose close lies on a multiple of this many bars since midnight UTC.
    EveryBars(u32),
}

/// When a commit counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// fsync in every commit: survives power loss.
    EveryTick,
    /// Left to the operating system: survives `kill -9`, not power loss.
    Os,
}

/// Log lines for people or for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Whose time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSource {
    /// The system clock.
    System,
    /// The exchange's `/time`, extrapolated at a given speed.
    Exchange,
}

/// Which clock the daemon lives by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockConfig {
    /// Where the time comes from.
    pub source: ClockSource,
    /// Virtual ms per real ms; only with [`ClockSource::Exchange`].
    pub speed: f64,
}

/// What a change of the spec tree does while the daemon watches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSpecChange {
    /// It takes over.
    Install,
    /// It waits for a reload, and the status says which trials it would open.
    Ask,
}

/// Base URLs without trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinanceUrls {
    /// Base URL of the USD-M REST API.
    pub futures_rest: String,
    /// USD-M websocket, without `/public` or `/market`.
    pub futures_ws: String,
    /// Base URL of the spot REST API.
    pub spot_rest: String,
    /// Base URL of the spot websocket.
    pub spot_ws: String,
    /// The public archive: the folder above `futures` and `spot`.
    pub archive: String,
}

/// How long the store keeps what would otherwise only grow. Raw records, facts, trials and evidence stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Days of the signal stream.
    pub signals_days: u32,
    /// Days of arrivals.
    pub arrivals_days: u32,
    /// Days of events as they were before a rewind.
    pub revisions_days: u32,
    /// Records of runs.
    pub runs: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { signals_days: 90, arrivals_days: 400, revisions_days: 400, runs: 1000 }
    }
}

/// Everything the daemon can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Root of the `data/` tree.
    pub data_root: PathBuf,
    /// The store's directory.
    pub state: PathBuf,
    /// The spec tree.
    pub spec: PathBuf,
    /// The API socket.
    pub socket: PathBuf,
    /// Perpetuals, sorted and without doubles: the pipeline's symbol order. Empty where a rule says which:
    /// the daemon asks the exchange, and remembers.
    pub symbols: Vec<Symbol>,
    /// The rule that says which symbols are followed, if `symbols` is none.
    pub universe: Option<UniverseRule>,
    /// Which of them have spot bars.
    pub spot_symbols: Vec<Symbol>,
    /// Series beside bars.
    pub collect: Collect,
    /// Where history begins.
    pub start: Start,
    /// How long a tick waits for late bars, ms of the clock.
    pub grace_ms: i64,
    /// When discovery runs by itself.
    pub recompute: RecomputeSchedule,
    /// What a change of the spec tree does.
    pub spec_watch: OnSpecChange,
    /// HTML reports of the daemon's own runs that are kept; 0 writes none.
    pub keep_reports: usize,
    /// How long the store keeps what would otherwise only grow.
    pub retention: Retention,
    /// Durability of commits.
    pub fsync: Fsync,
    /// The store's block cache, MiB.
    pub store_cache_mb: u32,
    /// Ticks between checkpoints while live.
    pub checkpoint_every_ticks: u32,
    /// Number of threads for discovery and replay.
    pub max_analyzer_workers: usize,
    /// Read-only loopback HTTP.
    pub http_listen: Option<SocketAddr>,
    /// Format of the log lines.
    pub log_format: LogFormat,
    /// The clock that the daemon lives by.
    pub clock: ClockConfig,
    /// Base URLs of the exchange.
    pub binance: BinanceUrls,
    /// Whether past days are compared with files of the archive.
    pub archive_audit: bool,
}

/// Access to the resolved values by name, with errors that know the origin.
pub(super) struct Reader<'a>(&'a BTreeMap<&'static str, Value>);

impl Reader<'_> {
    pub(super) fn read<T>(
        &self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let value = self.0.get(name).cloned().unwrap_or_else(|| Value {
            text: Key::find(name).map_or("", |k| k.default).to_owned(),
            origin: super::Origin::Default,
        });
        parse(value.text.trim()).ok_or_else(|| ConfigError::Invalid {
            key: name,
            value: value.text.clone(),
            origin: value.origin.clone(),
            expected: expected.to_owned(),
        })
    }

    fn path(&self, name: &'static str) -> Result<PathBuf, ConfigError> {
        self.read(name, "a path", |t| (!t.is_empty()).then(|| t.into()))
    }

    fn days(&self, name: &'static str) -> Result<u32, ConfigError> {
        self.read(name, "a number of days, 1 to 36500", |t| {
            t.parse().ok().filter(|n| (1..=36_500).contains(n))
        })
    }

    fn url(&self, name: &'static str, schemes: [&str; 2]) -> Result<String, ConfigError> {
        let expected = format!("a URL starting with {} or {}", schemes[0], schemes[1]);
        self.read(name, &expected, |t| {
            let t = t.trim_end_matches('/');
            schemes.iter().any(|s| t.len() > s.len() && t.starts_with(s)).then(|| t.to_owned())
        })
    }
}

pub(super) fn symbols(text: &str) -> Option<Vec<Symbol>> {
    let mut list: Vec<Symbol> = items(text).map(|s| Symbol::new(s).ok()).collect::<Option<_>>()?;
    list.sort();
    list.dedup();
    Some(list)
}

pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn start(text: &str) -> Option<Start> {
    match text.strip_suffix('d').and_then(|days| days.parse().ok()) {
        Some(days) => (days >= 1).then_some(Start::DaysBack(days)),
        None => parse_time(text).ok().map(Start::At),
    }
}

/// `off`, or a length that divides the day.
fn schedule(text: &str) -> Option<RecomputeSchedule> {
    if text == "off" {
        return Some(RecomputeSchedule::Off);
    }
    let bars = backtestd_core::outcomes::Horizon::parse(text)?.bars;
    (BARS_PER_DAY % i64::from(bars) == 0).then_some(RecomputeSchedule::EveryBars(bars))
}

fn workers(text: &str) -> Option<usize> {
    if text == "auto" {
        return Some(std::thread::available_parallelism().map_or(1, usize::from).min(8));
    }
    text.parse().ok().filter(|n| (1..=1024).contains(n))
}

/// Who is followed: by a list, or by a rule.
struct Followed {
    perp: Vec<Symbol>,
    spot: Vec<Symbol>,
    universe: Option<UniverseRule>,
}

impl Followed {
    fn read(r: &Reader<'_>) -> Result<Self, ConfigError> {
        let is_by_rule = r.read("symbols", "", |t| Some(t == BY_RULE))?;
        let universe = if is_by_rule { Some(UniverseRule::read(r)?) } else { None };
        let perp = r.read("symbols", "a list of symbols (BTCUSDT,SOLUSDT) or 'rule'", |t| match t {
            BY_RULE => Some(Vec::new()),
            list => symbols(list).filter(|list| !list.is_empty()),
        })?;
        let spot = r.read("spot_symbols", "'same', 'none', or a list out of `symbols`", |t| match t {
            "same" => Some(perp.clone()),
            "none" | "" => Some(Vec::new()),
            // The rule has read it.
            _ if is_by_rule => Some(Vec::new()),
            list => symbols(list).filter(|list| list.iter().all(|s| perp.contains(s))),
        })?;
        Ok(Self { perp, spot, universe })
    }
}

impl BinanceUrls {
    fn read(r: &Reader<'_>) -> Result<Self, ConfigError> {
        const REST: [&str; 2] = ["https://", "http://"];
        const STREAMS: [&str; 2] = ["wss://", "ws://"];
        Ok(Self {
            futures_rest: r.url("binance.futures_rest", REST)?,
            futures_ws: r.url("binance.futures_ws", STREAMS)?,
            spot_rest: r.url("binance.spot_rest", REST)?,
            spot_ws: r.url("binance.spot_ws", STREAMS)?,
            archive: r.url("binance.archive", REST)?,
        })
    }
}

impl Config {
    /// Types every value.
    ///
    /// # Errors
    /// The first value that cannot be used, with its key, origin and what would be accepted.
    pub fn from_values(values: &BTreeMap<&'static str, Value>) -> Result<Self, ConfigError> {
        let r = Reader(values);
        let Followed { perp, spot, universe } = Followed::read(&r)?;
        Ok(Self {
            data_root: r.path("data_root")?,
            state: r.path("state")?,
            spec: r.path("spec")?,
            socket: r.path("socket")?,
            symbols: perp,
            universe,
            spot_symbols: spot,
            collect: r.read("collect", &Collect::wanted(), |t| Collect::parse(items(t)))?,
            start: r.read("start", "a date (2024-01-01), a time, or a number of days (365d)", start)?,
            grace_ms: r.read("grace_ms", "a number of milliseconds, 0 to 240000", |t| {
                t.parse().ok().filter(|n| (0..=240_000).contains(n))
            })?,
            recompute: r.read(
                "recompute",
                "'off' or a length that divides the day (30m, 6h, 1d)",
                schedule,
            )?,
            spec_watch: r.read("spec_watch", "'install' or 'ask'", |t| match t {
                "install" => Some(OnSpecChange::Install),
                "ask" => Some(OnSpecChange::Ask),
                _ => None,
            })?,
            keep_reports: r
                .read("keep_reports", "a number, 0 to 10000", |t| t.parse().ok().filter(|n| *n <= 10_000))?,
            retention: Retention {
                signals_days: r.days("retention.signals_days")?,
                arrivals_days: r.days("retention.arrivals_days")?,
                revisions_days: r.days("retention.revisions_days")?,
                runs: r.read("retention.runs", "a number, 1 to 100000", |t| {
                    t.parse().ok().filter(|n| (1..=100_000).contains(n))
                })?,
            },
            fsync: r.read("fsync", "'every_tick' or 'os'", |t| match t {
                "every_tick" => Some(Fsync::EveryTick),
                "os" => Some(Fsync::Os),
                _ => None,
            })?,
            store_cache_mb: r.read("store.cache_mb", "a number of MiB, 1 to 4096", |t| {
                t.parse().ok().filter(|n| (1..=4096).contains(n))
            })?,
            checkpoint_every_ticks: r.read("checkpoint_every_ticks", "a number, 1 to 2016", |t| {
                t.parse().ok().filter(|n| (1..=2016).contains(n))
            })?,
            max_analyzer_workers: r.read("max_analyzer_workers", "'auto' or a number, 1 to 1024", workers)?,
            http_listen: r.read(
                "http_listen",
                "'none' or a loopback address (127.0.0.1:9184)",
                |t| match t {
                    "none" | "" => Some(None),
                    _ => t.parse::<SocketAddr>().ok().filter(|a| a.ip().is_loopback()).map(Some),
                },
            )?,
            log_format: r.read("log_format", "'text' or 'json'", |t| match t {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            })?,
            clock: ClockConfig {
                source: r.read("clock.source", "'system' or 'exchange'", |t| match t {
                    "system" => Some(ClockSource::System),
                    "exchange" => Some(ClockSource::Exchange),
                    _ => None,
                })?,
                speed: r.read("clock.speed", "a positive number", |t| {
                    t.parse::<f64>().ok().filter(|x| x.is_finite() && *x > 0.0)
                })?,
            },
            binance: BinanceUrls::read(&r)?,
            archive_audit: r.read("archive_audit", "'on' or 'off'", |t| match t {
                "on" | "true" => Some(true),
                "off" | "false" => Some(false),
                _ => None,
            })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::Kind;

    #[test]
    fn the_defaults_are_valid() {
        let config = Config::from_values(&BTreeMap::from([(
            "socket",
            Value { text: "/run/x.sock".into(), origin: super::super::Origin::Default },
        )]))
        .unwrap();
        assert_eq!(config.spot_symbols, config.symbols);
        assert_eq!(config.recompute, RecomputeSchedule::EveryBars(288));
        assert!(config.collect.has(Kind::Funding) && config.collect.has(Kind::Liquidations));
        assert_eq!(config.retention, Retention::default());
    }

    #[test]
    fn a_schedule_must_divide_the_day() {
        assert_eq!(schedule("6h"), Some(RecomputeSchedule::EveryBars(72)));
        assert_eq!(schedule("7h"), None);
        assert_eq!(schedule("1m"), None);
    }

    #[test]
    fn days_back_count_from_the_midnight_of_the_first_start() {
        let now = parse_time("2026-03-01T12:34:56Z").unwrap();
        assert_eq!(Start::DaysBack(1).first_bar(now).open().to_string(), "2026-02-28T00:00:00Z");
    }

    #[test]
    fn symbols_are_sorted_and_unique() {
        let list = symbols("solusdt, BTCUSDT,SOLUSDT").unwrap();
        assert_eq!(list.iter().map(Symbol::as_str).collect::<Vec<_>>(), ["BTCUSDT", "SOLUSDT"]);
        assert_eq!(symbols("BTC-USDT"), None);
    }
}
