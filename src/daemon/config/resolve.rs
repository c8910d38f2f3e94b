//! Precedence: which of the four places a value comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::keys::FUTURES_REST;
use super::{Config, ConfigError, KEYS, file};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A command-line flag.
    Flag(String),
    /// An environment variable.
    Env(&'static str),
    /// A line of the configuration file.
    File {
        /// Path of the configuration file.
        path: PathBuf,
        /// Line number in the file, from 1.
        line: usize,
    },
    /// The built-in default: the value was given nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Env(name) => write!(f, "${name}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as text, and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value as text.
    pub text: String,
    /// Where it was given.
    pub origin: Origin,
}

/// Every key with its effective value, and the typed configuration made of them.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// By key name; holds every key of [`KEYS`].
    pub values: BTreeMap<&'static str, Value>,
    /// The typed form.
    pub config: Config,
}

/// Combines the places. `flags` maps key names to text; `env` answers for environment variables (a function,
/// so that tests need not touch the process).
///
/// # Errors
/// When the file cannot be read or a value cannot be used.
pub fn resolve(
    flags: &BTreeMap<&'static str, String>,
    env: &dyn Fn(&str) -> Option<String>,
    path: Option<&Path>,
) -> Result<Resolved, ConfigError> {
    let mut in_file: BTreeMap<&'static str, Value> = BTreeMap::new();
    if let Some(path) = path {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        for setting in file::parse(path, &text)? {
            let origin = Origin::File { path: path.to_owned(), line: setting.line };
            in_file.insert(setting.key, Value { text: setting.value, origin });
        }
    }
    let mut values = BTreeMap::new();
    for key in KEYS {
        let value = if let Some(text) = flags.get(key.name) {
            Value { text: text.clone(), origin: Origin::Flag(key.flag()) }
        } else if let Some(text) = env(key.env).filter(|text| !text.is_empty()) {
            Value { text, origin: Origin::Env(key.env) }
        } else if let Some(value) = in_file.remove(key.name) {
            value
        } else {
            computed_default(key.name, key.default, env, &values)
        };
        values.insert(key.name, value);
    }
    let config = Config::from_values(&values)?;
    Ok(Resolved { values, config })
}

/// Defaults that depend on systemd's environment or on another key.
fn computed_default(
    name: &str,
    default: &str,
    env: &dyn Fn(&str) -> Option<String>,
    earlier: &BTreeMap<&'static str, Value>,
) -> Value {
    let from_env = |variable: &'static str, suffix: &str| {
        let dir = env(variable)?;
        // systemd separates several directories with colons; the unit declares one.
        let first = dir.split(':').next().unwrap_or_default().to_owned();
        (!first.is_empty()).then(|| Value { text: format!("{first}{suffix}"), origin: Origin::Env(variable) })
    };
    let computed = match name {
        "state" => from_env("STATE_DIRECTORY", ""),
        "socket" => from_env("RUNTIME_DIRECTORY", "/backtestd.sock").or_else(|| {
            let state = earlier.get("state").map_or("./state", |v| v.text.as_str());
            Some(Value {
                text: format!("{}/backtestd.sock", state.trim_end_matches('/')),
                origin: Origin::Default,
            })
        }),
        // Files of the exchange itself say nothing of another one.
        "binance.archive" => earlier
            .get("binance.futures_rest")
            .map(|rest| rest.text.trim().trim_end_matches('/'))
            .filter(|rest| *rest != FUTURES_REST)
            .map(|rest| Value { text: format!("{rest}/data"), origin: Origin::Default }),
        _ => None,
    };
    computed.unwrap_or_else(|| Value { text: default.to_owned(), origin: Origin::Default })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(pairs: &[(&'static str, &str)]) -> BTreeMap<&'static str, String> {
        pairs.iter().map(|(k, v)| (*k, (*v).to_owned())).collect()
    }

    #[test]
    fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "grace_ms = 1\nstart = \"2024-01-01\"\nrecompute = \"6h\"\n").unwrap();
        let env = |name: &str| match name {
            "BACKTESTD_GRACE_MS" => Some("2".to_owned()),
            "BACKTESTD_START" => Some("2025-01-01".to_owned()),
            _ => None,
        };
        let resolved = resolve(&flags(&[("grace_ms", "3")]), &env, Some(&path)).unwrap();
        let seen = |key: &str| {
            let value = &resolved.values[key];
            (value.text.clone(), value.origin.to_string())
        };
        assert_eq!(seen("grace_ms"), ("3".into(), "--grace-ms".into()));
        assert_eq!(seen("start"), ("2025-01-01".into(), "$BACKTESTD_START".into()));
        assert_eq!(seen("recompute"), ("6h".into(), format!("{}:3", path.display())));
        assert_eq!(seen("fsync"), ("every_tick".into(), "default".into()));
    }

    #[test]
    fn the_socket_follows_the_runtime_directory_then_the_state() {
        let none = |_: &str| None;
        let state = flags(&[("state", "/var/x/")]);
        assert_eq!(resolve(&state, &none, None).unwrap().values["socket"].text, "/var/x/backtestd.sock");
        let systemd = |name: &str| (name == "RUNTIME_DIRECTORY").then(|| "/run/backtestd".to_owned());
        let value = &resolve(&state, &systemd, None).unwrap().values["socket"];
        assert_eq!(value.text, "/run/backtestd/backtestd.sock");
        assert_eq!(value.origin.to_string(), "$RUNTIME_DIRECTORY");
    }

    #[test]
    fn the_archive_is_that_of_the_exchange_that_is_followed() {
        let archive = |pairs: &[(&'static str, &str)]| {
            resolve(&flags(pairs), &|_| None, None).unwrap().config.binance.archive
        };
        assert_eq!(archive(&[]), "https://data.binance.vision/data");
        assert_eq!(archive(&[("binance.futures_rest", "https://fapi.binance.com/")]), archive(&[]));
        let simulated = ("binance.futures_rest", "http://127.0.0.1:8901");
        assert_eq!(archive(&[simulated]), "http://127.0.0.1:8901/data");
        assert_eq!(archive(&[simulated, ("binance.archive", "http://h/a/")]), "http://h/a");
    }

    #[test]
    fn a_bad_value_names_the_place_it_came_from() {
        let env = |name: &str| (name == "BACKTESTD_GRACE_MS").then(|| "soon".to_owned());
        let error = resolve(&BTreeMap::new(), &env, None).unwrap_err().to_string();
        assert!(error.starts_with("$BACKTESTD_GRACE_MS: grace_ms = 'soon' is not"), "{error}");
    }
}
