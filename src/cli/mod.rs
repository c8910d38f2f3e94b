//! The command line: one module a command. Arguments in, exit code out; no rule of the domain lives here.
//!
//! Exit codes: 0 done, 1 failed (the reason is the last line on stderr), 2 misuse, 3 done but with findings.

pub mod backfill_cmd;
mod borrowed;
mod calibrate_cmd;
mod client_cmds;
mod config_cmd;
mod conflicts_cmd;
mod demo_cmd;
mod dirs;
mod discover_cmd;
mod doctor_cmd;
pub mod exchange_cmd;
mod explain_cmd;
pub mod export_cmd;
mod gaps_cmd;
pub mod import_cmd;
mod log_fold;
mod misuse;
pub mod nautilus_cmd;
mod progress;
mod quarantine_cmd;
mod research_cmd;
pub mod run_cmd;
mod runs_cmd;
mod simulate_cmd;
pub mod spec_cmd;
mod table;
pub mod verify_cmd;
pub mod watch_cmd;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use misuse::Misuse;
pub use progress::Progress;

/// What was asked for cannot be.
const MISUSE: u8 = 2;
/// Done, but something was found (`verify`, `spec check`).
pub const FINDINGS: u8 = 3;

/// A research daemon: Binance bars in, tested strategy blueprints out.
#[derive(Debug, Parser)]
#[command(name = "backtestd", version = crate::CODE_VERSION, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo_cmd::DemoCmd),
    Research(research_cmd::ResearchCmd),
    Calibrate(calibrate_cmd::CalibrateCmd),
    Import(ImportCmd),
    Backfill(backfill_cmd::BackfillCmd),
    Discover(discover_cmd::DiscoverArgs),
    Doctor(doctor_cmd::DoctorCmd),
    Exchange(exchange_cmd::ExchangeArgs),
    /// Write the store's content for other programs.
    #[command(subcommand)]
    Export(ExportCmd),
    Status(client_cmds::StatusCmd),
    Gaps(gaps_cmd::GapsCmd),
    Events(client_cmds::EventsCmd),
    Blueprints(client_cmds::BlueprintsCmd),
    Explain(explain_cmd::ExplainCmd),
    #[command(subcommand)]
    Quarantine(quarantine_cmd::QuarantineCmd),
    Recompute(client_cmds::RecomputeCmd),
    Reload(client_cmds::ReloadCmd),
    Config(config_cmd::ConfigCmd),
    Conflicts(conflicts_cmd::ConflictsCmd),
    Run(run_cmd::RunCmd),
    Runs(runs_cmd::RunsCmd),
    Simulate(simulate_cmd::SimulateCmd),
    Spec(SpecCmd),
    Verify(verify_cmd::VerifyCmd),
    Watch(watch_cmd::WatchCmd),
}

/// Write what the store holds for other programs.
#[derive(Debug, Subcommand)]
enum ExportCmd {
    Lake(export_cmd::ExportLakeCmd),
    Nautilus(nautilus_cmd::ExportNautilusCmd),
}

#[derive(Debug, clap::Args)]
struct ImportCmd {
    #[command(flatten)]
    state: dirs::StateDir,
    #[command(flatten)]
    spec: dirs::SpecDir,
    #[command(flatten)]
    args: import_cmd::ImportArgs,
}

#[derive(Debug, clap::Args)]
struct SpecCmd {
    /// Directory of the specs.
    #[arg(long, env = "BACKTESTD_SPEC", default_value = "./spec", value_name = "DIR", global = true)]
    spec: std::path::PathBuf,
    #[command(flatten)]
    args: spec_cmd::SpecArgs,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // clap prints help and version to stdout with code 0, misuse to stderr with code 2.
        Err(error) => error.exit(),
    };
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("backtestd: {}", told_once(&error));
            ExitCode::from(if error.downcast_ref::<Misuse>().is_some() { MISUSE } else { 1 })
        }
    }
}

/// An error with its causes, each said once: many messages end with that of their cause.
fn told_once(error: &anyhow::Error) -> String {
    let mut out = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !out.contains(&cause) {
            out = format!("{out}: {cause}");
        }
    }
    out
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => args.run(),
        Command::Research(args) => research_cmd::run(&args),
        Command::Calibrate(args) => calibrate_cmd::run(&args),
        Command::Import(cmd) => {
            import_cmd::run(&cmd.args, &cmd.state.state, &cmd.spec.or_shipped()).map(|()| ExitCode::SUCCESS)
        }
        Command::Backfill(args) => backfill_cmd::run(&args),
        Command::Gaps(args) => gaps_cmd::run(&args),
        Command::Discover(args) => discover_cmd::run(&args),
        Command::Doctor(args) => doctor_cmd::run(&args),
        Command::Export(ExportCmd::Lake(args)) => export_cmd::run(&args),
        Command::Exchange(args) => exchange_cmd::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Status(args) => args.run(),
        Command::Events(args) => args.run(),
        Command::Blueprints(args) => args.run(),
        Command::Explain(args) => args.run(),
        Command::Quarantine(args) => args.run(),
        Command::Recompute(args) => args.run(),
        Command::Reload(args) => args.run(),
        Command::Config(args) => config_cmd::run(&args),
        Command::Conflicts(args) => args.run(),
        Command::Run(args) => args.run(),
        Command::Runs(args) => args.run(),
        Command::Simulate(args) => args.run(),
        Command::Export(ExportCmd::Nautilus(args)) => args.run(),
        Command::Spec(cmd) => spec_cmd::run(&cmd.args, &cmd.spec),
        Command::Verify(args) => verify_cmd::run(&args),
        Command::Watch(args) => args.run(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    #[test]
    fn a_cause_is_said_once() {
        let inner = std::io::Error::other("disk gone");
        let outer = anyhow::Error::new(inner).context("cannot open x: disk gone");
        assert_eq!(super::told_once(&outer), "cannot open x: disk gone");
        let told: anyhow::Result<()> = Err(outer).context("while verifying");
        assert_eq!(super::told_once(&told.unwrap_err()), "while verifying: cannot open x: disk gone");
    }
}
