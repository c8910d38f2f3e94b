//! The table of keys: the only list of what can be configured.

/// What a value looks like in TOML; elsewhere it is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A TOML string.
    Text,
    /// A TOML number.
    Number,
    /// An array of strings; comma-separated text elsewhere.
    List,
}

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted name as in the file.
    pub name: &'static str,
    /// Name of the environment variable.
    pub env: &'static str,
    /// Shape of the value in TOML.
    pub kind: Kind,
    /// The value when nothing is given; `$X/...` and other computed defaults are explained in `help`.
    pub default: &'static str,
    /// One line for `--help`.
    pub help: &'static str,
}

const fn key(
    name: &'static str,
    env: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key { name, env, kind, default, help }
}

use Kind::{List, Number, Text};

/// USD-M REST of the exchange itself.
pub(super) const FUTURES_REST: &str = "https://fapi.binance.com";
/// The archive of the exchange itself.
const ARCHIVE: &str = "https://data.binance.vision/data";

/// Every key, in the order `config --show` prints them.
pub const KEYS: &[Key] = &[
    key(
        "data_root",
        "BACKTEST_DATA_ROOT",
        Text,
        "./data",
        "Root of the data/ tree: lake, runs, reports, blueprints",
    ),
    key("state", "BACKTESTD_STATE", Text, "./state", "Directory of the store [systemd: $STATE_DIRECTORY]"),
    key("spec", "BACKTESTD_SPEC", Text, "./spec", "Directory of the spec tree"),
    key(
        "socket",
        "BACKTESTD_SOCKET",
        Text,
        "",
        "API socket [default: $RUNTIME_DIRECTORY/backtestd.sock, else STATE/backtestd.sock]",
    ),
    key(
        "symbols",
        "BACKTESTD_SYMBOLS",
        List,
        "BTCUSDT",
        "Perpetual contracts to follow, or 'rule': those that fit universe.*, looked at once a day",
    ),
    key("universe.quotes", "BACKTESTD_UNIVERSE_QUOTES", List, "USDT", "With symbols = rule: quote assets"),
    key(
        "universe.contracts",
        "BACKTESTD_UNIVERSE_CONTRACTS",
        List,
        "PERPETUAL",
        "With symbols = rule: contract types, PERPETUAL and TRADIFI_PERPETUAL",
    ),
    key(
        "universe.min_quote_volume",
        "BACKTESTD_UNIVERSE_MIN_QUOTE_VOLUME",
        Number,
        "10000000",
        "With symbols = rule: least value traded within 24 hours, quote currency",
    ),
    key(
        "universe.keep_share",
        "BACKTESTD_UNIVERSE_KEEP_SHARE",
        Number,
        "0.5",
        "With symbols = rule: a symbol leaves below this share of universe.min_quote_volume, 0 to 1",
    ),
    key(
        "universe.min_age_days",
        "BACKTESTD_UNIVERSE_MIN_AGE_DAYS",
        Number,
        "0",
        "With symbols = rule: days since the contract began to trade",
    ),
    key(
        "universe.max_symbols",
        "BACKTESTD_UNIVERSE_MAX_SYMBOLS",
        Number,
        "100",
        "With symbols = rule: so many at once, those of the largest value first",
    ),
    key(
        "spot_symbols",
        "BACKTESTD_SPOT_SYMBOLS",
        List,
        "same",
        "Which of them have a spot pair to follow: a list, 'same' or 'none'",
    ),
    key(
        "collect",
        "BACKTESTD_COLLECT",
        List,
        "funding,open_interest,mark,liquidations,quotes",
        "Series beside bars",
    ),
    key(
        "start",
        "BACKTESTD_START",
        Text,
        "365d",
        "Where history begins: a date, or days before the first start (365d)",
    ),
    key(
        "grace_ms",
        "BACKTESTD_GRACE_MS",
        Number,
        "8000",
        "How long a tick waits for a late bar after the close, ms of exchange time",
    ),
    key(
        "recompute",
        "BACKTESTD_RECOMPUTE",
        Text,
        "1d",
        "Discovery schedule, aligned to UTC midnight: 5m..1d (30m, 6h, 1d) or 'off'",
    ),
    key(
        "spec_watch",
        "BACKTESTD_SPEC_WATCH",
        Text,
        "install",
        "What a changed spec tree does: 'install' puts it in force, 'ask' waits for `backtestd reload`",
    ),
    key(
        "keep_reports",
        "BACKTESTD_KEEP_REPORTS",
        Number,
        "10",
        "HTML reports of the daemon's own runs that are kept, the newest so many; 0 writes none",
    ),
    key(
        "retention.signals_days",
        "BACKTESTD_RETENTION_SIGNALS_DAYS",
        Number,
        "90",
        "Days that entries of the signal stream are kept; what a replay detects further back is not announced",
    ),
    key(
        "retention.arrivals_days",
        "BACKTESTD_RETENTION_ARRIVALS_DAYS",
        Number,
        "400",
        "Days that the arrival of an event is kept (`arrival_ts`)",
    ),
    key(
        "retention.revisions_days",
        "BACKTESTD_RETENTION_REVISIONS_DAYS",
        Number,
        "400",
        "Days that events are kept as they were before a rewind changed or removed them",
    ),
    key(
        "retention.runs",
        "BACKTESTD_RETENTION_RUNS",
        Number,
        "1000",
        "Records of runs that are kept, the newest so many",
    ),
    key(
        "fsync",
        "BACKTESTD_FSYNC",
        Text,
        "every_tick",
        "Durability of a commit: 'every_tick' (fsync) or 'os' (page cache)",
    ),
    key(
        "store.cache_mb",
        "BACKTESTD_STORE_CACHE_MB",
        Number,
        "16",
        "Blocks of the store kept in memory, MiB",
    ),
    key(
        "checkpoint_every_ticks",
        "BACKTESTD_CHECKPOINT_EVERY_TICKS",
        Number,
        "12",
        "Ticks between checkpoints of operator state while live",
    ),
    key(
        "max_analyzer_workers",
        "BACKTESTD_MAX_ANALYZER_WORKERS",
        Number,
        "auto",
        "Threads for discovery and replay: a number, or 'auto' = min(cores, 8)",
    ),
    key(
        "http_listen",
        "BACKTESTD_HTTP_LISTEN",
        Text,
        "none",
        "Read-only HTTP on a loopback address (127.0.0.1:9184) for the page and Prometheus, or 'none'",
    ),
    key("log_format", "BACKTESTD_LOG_FORMAT", Text, "text", "'text' or 'json'; levels through RUST_LOG"),
    key(
        "clock.source",
        "BACKTESTD_CLOCK_SOURCE",
        Text,
        "system",
        "'system', or 'exchange': ask the exchange for the time (simulated exchanges)",
    ),
    key(
        "clock.speed",
        "BACKTESTD_CLOCK_SPEED",
        Number,
        "1",
        "With clock.source = exchange: how fast its time runs",
    ),
    key("binance.futures_rest", "BACKTESTD_BINANCE_FUTURES_REST", Text, FUTURES_REST, "USD-M REST base URL"),
    key(
        "binance.futures_ws",
        "BACKTESTD_BINANCE_FUTURES_WS",
        Text,
        "wss://fstream.binance.com",
        "USD-M websocket base URL, without /public or /market",
    ),
    key(
        "binance.spot_rest",
        "BACKTESTD_BINANCE_SPOT_REST",
        Text,
        "https://data-api.binance.vision",
        "Spot REST base URL",
    ),
    key(
        "binance.spot_ws",
        "BACKTESTD_BINANCE_SPOT_WS",
        Text,
        "wss://data-stream.binance.vision",
        "Spot websocket base URL",
    ),
    key(
        "binance.archive",
        "BACKTESTD_BINANCE_ARCHIVE",
        Text,
        ARCHIVE,
        "Public archive, the folder above futures and spot; with another binance.futures_rest: /data below that",
    ),
    key(
        "archive_audit",
        "BACKTESTD_ARCHIVE_AUDIT",
        Text,
        "on",
        "Whether past days are compared with the archive's daily files, as they appear: 'on' or 'off'",
    ),
];

impl Key {
    /// The flag without dashes: `grace-ms`, `binance-futures-rest`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace(['_', '.'], "-")
    }

    /// The flag spelled with underscores, accepted as an alias.
    #[must_use]
    pub fn flag_alias(&self) -> String {
        self.name.replace('.', "_")
    }

    /// The line for `--help`. What can be collected is up to the table of kinds.
    #[must_use]
    pub fn help_line(&self) -> String {
        match self.name {
            "collect" => format!("{}: {}", self.help, super::Collect::wanted()),
            _ => self.help.to_owned(),
        }
    }

    /// By dotted name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|k| k.name == name)
    }
}
