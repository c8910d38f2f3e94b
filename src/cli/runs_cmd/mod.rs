//! `backtestd runs`: what earlier runs found, and what changed between two of them.

mod diff;
mod files;
mod prune;
mod text;

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;

use super::FINDINGS;
use super::dirs::DataRoot;
use diff::Difference;
use files::Run;

/// Look at the runs below the data root: those of `research`, with and without --walk-forward, of `demo` and
/// of the daemon.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  backtestd runs list\n  backtestd runs show 20260301T000000Z-9f3c\n  \
                  backtestd runs diff 9f3c 1a2b          # any part of a name that only one run has\n  \
                  backtestd runs prune --keep 10 --dry-run")]
pub(super) struct RunsCmd {
    #[command(subcommand)]
    what: What,
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// One line for each run, by the data that it had seen.
    List {
        #[command(flatten)]
        data: DataRoot,
    },
    /// What one run looked at, found and published, and its stages: when they were computed, of what, and how
    /// long it took.
    Show {
        /// The run's id, or a part of it that no other run has.
        run: String,
        #[command(flatten)]
        data: DataRoot,
    },
    /// What the second run says otherwise than the first: records, specs and code that it read, discoveries,
    /// blueprints, numbers of candidates; of two walks, looks and totals. Exit code 0: the same, 3: something
    /// differs.
    Diff {
        /// The earlier run.
        before: String,
        /// The later run.
        after: String,
        #[command(flatten)]
        data: DataRoot,
    },
    /// Remove old runs, with what the stage cache holds of them. A run that a published version names stays.
    Prune {
        /// How many of the newest runs of each kind (research, daemon, walk-forward) are kept.
        #[arg(long, default_value_t = KEPT, value_name = "N")]
        keep: usize,
        /// Remove nothing: say what would go.
        #[arg(long = "dry-run", alias = "dry_run")]
        dry_run: bool,
        #[command(flatten)]
        data: DataRoot,
    },
}

/// Runs of each kind that are kept unless --keep says otherwise.
const KEPT: usize = 20;

impl RunsCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When there is no such run, or its files cannot be read.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.what {
            What::List { data: DataRoot { data_root: root } } => {
                let runs = files::runs(root)?;
                if self.json {
                    let facts: Vec<_> = runs.iter().map(text::listed).collect();
                    println!("{}", json!({ "runs": facts }));
                } else {
                    print!("{}", text::list(&runs, root));
                }
            }
            What::Show { run, data } => {
                let run = files::find(&data.data_root, run)?;
                let stages = run.stages()?;
                if self.json {
                    let run_of = text::listed(&run);
                    println!("{}", json!({ "run": run_of, "discovery": run.discovery, "stages": stages }));
                } else {
                    print!("{}", text::show(&run, &stages));
                }
            }
            What::Prune { keep, dry_run, data } => {
                let pruned = prune::prune(&data.data_root, *keep, *dry_run)?;
                if self.json {
                    println!("{}", serde_json::to_string(&pruned)?);
                } else {
                    print!("{}", text::pruned(&pruned, *dry_run));
                }
            }
            What::Diff { before, after, data } => return self.diff(&data.data_root, before, after),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn diff(&self, root: &Path, before: &str, after: &str) -> anyhow::Result<ExitCode> {
        let (before, after) = (files::find(root, before)?, files::find(root, after)?);
        let is_walk = |run: &Run| run.kind == files::Kind::Walk;
        if is_walk(&before) != is_walk(&after) {
            let (walk, other) = if is_walk(&before) { (&before, &after) } else { (&after, &before) };
            bail!(
                "{} is a walk through history and {} is one look: their numbers mean other things",
                walk.id,
                other.id
            );
        }
        let found = Difference::between(&Run::load_all(&before)?, &Run::load_all(&after)?);
        if self.json {
            println!("{}", serde_json::to_string(&found)?);
        } else {
            print!("{}", text::difference(&before, &after, &found));
        }
        Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
    }
}
