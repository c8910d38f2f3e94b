//! `backtestd watch`: follow a blueprint directory and print what changed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use crate::publish::{Follower, Sighting, Version};
use backtestd_core::blueprints::{Blueprint, Change};

/// Follow a blueprint directory: print each version that comes into force, checked against its manifest
///
/// A version whose files do not match its manifest is refused, and the one before stays in force.
///
/// Example: backtestd watch data/blueprints
#[derive(Debug, Args)]
pub struct WatchCmd {
    /// Directory with the versions and the link `current`
    dir: PathBuf,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Print the version in force and stop
    #[arg(long)]
    once: bool,
}

impl WatchCmd {
    /// Runs the command.
    ///
    /// # Errors
    /// When the directory is not there, or with `--once` when its version in force is damaged.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        if !self.dir.is_dir() {
            bail!("{}: no such directory (it is created by the first publication)", self.dir.display());
        }
        let mut follower = Follower::new(&self.dir);
        if self.once {
            match follower.look() {
                Sighting::Version(version) => self.print(&self.version_text(&version))?,
                Sighting::Unchanged => self.print(&self.nothing_text())?,
                Sighting::Refused(error) => return Err(error.into()),
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut outcome = Ok(());
        follower.follow(|sighting| {
            let text = match sighting {
                Sighting::Version(version) => self.version_text(&version),
                Sighting::Refused(error) if self.json => {
                    json!({"event": "refused", "reason": error.to_string()}).to_string()
                }
                Sighting::Refused(error) => format!("refused: {error}"),
                Sighting::Unchanged => return true,
            };
            outcome = self.print(&text);
            outcome.is_ok()
        });
        outcome.map(|()| ExitCode::SUCCESS)
    }

    fn print(&self, text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).context("stdout")
    }

    fn nothing_text(&self) -> String {
        if self.json {
            json!({"event": "none"}).to_string()
        } else {
            format!("{}: no version published yet", self.dir.display())
        }
    }

    fn version_text(&self, version: &Version) -> String {
        if self.json {
            let manifest = &version.manifest;
            return json!({
                "event": "version", "version": manifest.version, "parent": manifest.parent,
                "published_at": manifest.published_at, "published_at_ns": manifest.published_at_ns,
                "run_id": manifest.run_id, "counts": manifest.counts, "added": manifest.added,
                "changed": manifest.changed, "retired": manifest.retired, "reasons": manifest.reasons,
            })
            .to_string();
        }
        describe(version)
    }
}

/// A version in words, without the last line feed.
fn describe(version: &Version) -> String {
    let manifest = &version.manifest;
    let counts = manifest.counts;
    let mut out = format!(
        "{} published {} by run {}: {} active, {} watch, {} retired",
        manifest.version, manifest.published_at, manifest.run_id, counts.active, counts.watch, counts.retired
    );
    let changes = [("+", &manifest.added), ("~", &manifest.changed), ("-", &manifest.retired)];
    for (sign, change) in changes.iter().flat_map(|(sign, list)| list.iter().map(move |c| (sign, c))) {
        let Change { id, why, .. } = change;
        let rule = version.blueprints.iter().find(|b| b.id == *id).map(rule).unwrap_or_default();
        out.push_str(&format!("\n  {sign} {id}  {rule}  ({why})"));
    }
    if version.blueprints.is_empty() {
        for reason in &manifest.reasons {
            out.push_str(&format!("\n    {reason}"));
        }
    }
    out
}

/// `fade VOL_SHOCK 60m on BTCUSDT when vol_regime == 'high'`
fn rule(blueprint: &Blueprint) -> String {
    let symbols: Vec<&str> = blueprint.symbol_scope.symbols.iter().map(|s| s.as_str()).collect();
    let condition = blueprint.entry.conditions.first();
    format!(
        "{} {} {} on {}{}",
        blueprint.direction_rule,
        blueprint.event_type,
        blueprint.exit.horizon,
        symbols.join(","),
        condition.map(|c| format!(" when {c}")).unwrap_or_default()
    )
}
