//! `backtestd config`: what is in force, and who said so.

use std::process::ExitCode;

use serde_json::json;

use crate::daemon::config::{ConfigArgs, Key};

/// Print the effective configuration and where each value comes from.
///
/// Example: backtestd config --show --config /etc/backtestd.toml --grace-ms 5000
#[derive(Debug, clap::Args)]
pub(super) struct ConfigCmd {
    /// Print every key (the default and only action).
    #[arg(long)]
    show: bool,
    /// Print the configuration as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs it.
///
/// # Errors
/// When the configuration is not valid.
pub(super) fn run(args: &ConfigCmd) -> anyhow::Result<ExitCode> {
    let resolved = args.config.resolve()?;
    if args.json {
        let keys: serde_json::Map<_, _> = resolved
            .values
            .iter()
            .map(|(key, value)| {
                ((*key).to_owned(), json!({ "value": value.text, "from": value.origin.to_string() }))
            })
            .collect();
        println!("{}", serde_json::Value::Object(keys));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = crate::daemon::config::KEYS
        .iter()
        .filter_map(|Key { name, .. }| {
            let value = resolved.values.get(name)?;
            Some(vec![(*name).to_owned(), value.text.clone(), value.origin.to_string()])
        })
        .collect();
    print!("{}", super::table::render(&["key", "value", "from"], &rows));
    Ok(ExitCode::SUCCESS)
}
