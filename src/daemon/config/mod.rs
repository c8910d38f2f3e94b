//! The daemon's configuration: a table of keys, four places a value may come from, one typed struct.
//!
//! Precedence is flag > environment > file > default. Every key of [`KEYS`] is a flag (`--grace-ms`, also
//! `--grace_ms`), an environment variable (`BACKTESTD_GRACE_MS`) and a TOML key (`grace_ms`, or `[binance]
//! futures_rest` for dotted names), so there is one list to keep. A key that is not in the table is an error
//! with file and line. Lists are TOML arrays, or comma-separated text elsewhere.

mod args;
mod collect;
mod file;
mod keys;
mod resolve;
mod typed;
mod universe;

pub use args::ConfigArgs;
pub use collect::Collect;
pub use keys::{KEYS, Key, Kind};
pub use resolve::{Origin, Resolved, Value, resolve};
pub use typed::{
    BinanceUrls, ClockConfig, ClockSource, Config, Fsync, LogFormat, OnSpecChange, RecomputeSchedule,
    Retention, Start,
};
pub use universe::{SpotRule, UniverseRule};

use std::path::PathBuf;

/// What can be wrong with a configuration. Messages name the key, the place and what would be accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: {source}; check the path given with --config", path.display())]
    Read {
        /// Path of the configuration file.
        path: PathBuf,
        /// What the operating system reported.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// Path of the configuration file.
        path: PathBuf,
        /// Line number in the file, from 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// A key nobody reads.
    #[error("{}:{line}: unknown key '{key}'{}; `backtestd config --show` lists every key", path.display(), hint.as_ref().map(|h| format!(" (did you mean '{h}'?)")).unwrap_or_default())]
    UnknownKey {
        /// Path of the configuration file.
        path: PathBuf,
        /// Line number in the file, from 1.
        line: usize,
        /// The dotted key.
        key: String,
        /// The nearest known key, if near.
        hint: Option<String>,
    },
    /// A value that cannot be used.
    #[error("{origin}: {key} = '{value}' is not {expected}")]
    Invalid {
        /// The dotted key.
        key: &'static str,
        /// The text given.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// What would have been accepted.
        expected: String,
    },
}
