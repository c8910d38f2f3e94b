//! `backtestd doctor`: everything that a daemon needs, looked at one by one; what is wrong, and what to do.

mod exchange;
mod machine;

use std::process::ExitCode;

use serde_json::json;

use super::FINDINGS;
use crate::daemon::config::{Config, ConfigArgs};

/// Look at everything a daemon needs: configuration, specs, directories and rights, disk and memory, the
/// store, the socket, and (unless --offline) the clock, the exchange, its limits and its streams. Says what
/// is wrong and what to do. Exit codes: 0 nothing found, 2 the configuration cannot be used, 3 something was
/// found.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  backtestd doctor --config /etc/backtestd/backtestd.toml\n  \
    backtestd doctor --offline --json\n  \
    sudo -u backtestd backtestd doctor --config /etc/backtestd/backtestd.toml    # with the rights of the service")]
pub(super) struct DoctorCmd {
    /// Do not ask the exchange: only this machine is looked at.
    #[arg(long)]
    offline: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Fine,
    /// It works, and will hurt some day.
    Warning,
    /// The daemon will not start or not do its work.
    Wrong,
}

impl Grade {
    const fn name(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

/// What one look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    /// What was looked at.
    subject: &'static str,
    grade: Grade,
    /// What was seen.
    seen: String,
    /// What to do about it; empty when all is well.
    advice: String,
}

impl Finding {
    fn fine(subject: &'static str, seen: impl Into<String>) -> Self {
        Self { subject, grade: Grade::Fine, seen: seen.into(), advice: String::new() }
    }

    fn warning(subject: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject, grade: Grade::Warning, seen: seen.into(), advice: advice.into() }
    }

    fn wrong(subject: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject, grade: Grade::Wrong, seen: seen.into(), advice: advice.into() }
    }
}

/// Runs it.
///
/// # Errors
/// When the runtime cannot be made.
pub(super) fn run(cmd: &DoctorCmd) -> anyhow::Result<ExitCode> {
    let config = match cmd.config.resolve() {
        Ok(resolved) => resolved.config,
        Err(error) => {
            let advice = "`backtestd config --show` prints every key and where its value comes from";
            print(cmd.json, &[Finding::wrong("configuration", error.to_string(), advice)]);
            return Ok(ExitCode::from(2));
        }
    };
    let mut findings = vec![configuration(&config)];
    findings.extend(machine::look(&config));
    if !cmd.offline {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        findings.extend(runtime.block_on(exchange::look(&config)));
        runtime.shutdown_background();
    }
    print(cmd.json, &findings);
    let is_well = findings.iter().all(|f| f.grade == Grade::Fine);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

fn configuration(config: &Config) -> Finding {
    if let Some(rule) = &config.universe {
        return Finding::fine("configuration", format!("symbols by rule: {}", rule.in_words()));
    }
    let names: Vec<&str> = config.symbols.iter().map(|symbol| symbol.as_str()).collect();
    let spot = config.spot_symbols.len();
    Finding::fine(
        "configuration",
        format!("{} perpetuals ({}), {spot} spot pairs", names.len(), shortened(&names)),
    )
}

fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let text = names[..names.len().min(SHOWN)].join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

fn print(as_json: bool, findings: &[Finding]) {
    if as_json {
        let rows: Vec<_> = findings
            .iter()
            .map(|f| json!({ "subject": f.subject, "grade": f.grade.name(), "seen": f.seen, "advice": f.advice }))
            .collect();
        let worst = findings.iter().map(|f| f.grade).max().unwrap_or(Grade::Fine);
        println!("{}", json!({ "worst": worst.name(), "findings": rows }));
        return;
    }
    for finding in findings {
        println!("{:<8} {:<14} {}", finding.grade.name(), finding.subject, finding.seen);
        if !finding.advice.is_empty() {
            println!("{:<8} {:<14} -> {}", "", "", finding.advice);
        }
    }
    let count = |grade| findings.iter().filter(|f| f.grade == grade).count();
    println!(
        "{} wrong, {} warnings, {} fine",
        count(Grade::Wrong),
        count(Grade::Warning),
        count(Grade::Fine)
    );
}
