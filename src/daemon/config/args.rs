//! The keys as command-line flags: generated from the table, so that a flag cannot be forgotten.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::{ConfigError, KEYS, Resolved, resolve};

/// `--config FILE` and one flag for each key.
#[derive(Clone, Debug, Default)]
pub struct ConfigArgs {
    /// The file.
    pub file: Option<PathBuf>,
    /// Flags given, by key name.
    pub flags: BTreeMap<&'static str, String>,
}

impl ConfigArgs {
    /// Resolves against the process environment.
    ///
    /// # Errors
    /// When the file cannot be read or a value cannot be used.
    pub fn resolve(&self) -> Result<Resolved, ConfigError> {
        resolve(&self.flags, &|name| std::env::var(name).ok(), self.file.as_deref())
    }
}

impl Args for ConfigArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("BACKTESTD_CONFIG")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Configuration file (TOML)");
        KEYS.iter().fold(command.arg(file), |command, key| {
            let default =
                if key.default.is_empty() { String::new() } else { format!(" [default: {}]", key.default) };
            let mut arg = Arg::new(key.name)
                .long(key.flag())
                .value_name("VALUE")
                .help(format!("{} [env: {}]{default}", key.help_line(), key.env))
                .help_heading("Configuration (flag > environment > file > default)");
            if key.flag_alias() != key.flag() {
                arg = arg.alias(key.flag_alias());
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ConfigArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = KEYS
            .iter()
            .filter_map(|key| matches.get_one::<String>(key.name).map(|value| (key.name, value.clone())))
            .collect();
        Ok(Self { file: matches.get_one::<PathBuf>("config").cloned(), flags })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_a_flag_in_both_spellings() {
        let command = ConfigArgs::augment_args(Command::new("x"));
        let matches = command.get_matches_from(["x", "--grace-ms", "1", "--max_analyzer_workers", "2"]);
        let args = ConfigArgs::from_arg_matches(&matches).unwrap();
        assert_eq!(args.flags["grace_ms"], "1");
        assert_eq!(args.flags["max_analyzer_workers"], "2");
    }
}
