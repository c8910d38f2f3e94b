//! `backtestd runs`: what earlier runs found, and what changed between two of them.

mod diff;
mod files;
mod text;

use std::process::ExitCode;

use serde_json::json;

use super::FINDINGS;
use super::dirs::DataRoot;
use diff::Difference;
use files::Run;

/// Look at the runs below the data root: those of `research`, of `demo` and of the daemon.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  backtestd runs list\n  backtestd runs show 20260301T000000Z-9f3c\n  \
                  backtestd runs diff 9f3c 1a2b          # any part of a name that only one run has")]
pub(super) struct RunsCmd {
    #[command(subcommand)]
    what: What,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    data: DataRoot,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// One line for each run, by the data that it had seen.
    List,
    /// What one run looked at, found and published.
    Show {
        /// The run's id, or a part of it that no other run has.
        run: String,
    },
    /// What the second run says otherwise than the first: inputs, discoveries, blueprints, numbers of candidates. Exit code
    /// 0: the same, 3: something differs.
    Diff {
        /// The earlier run.
        before: String,
        /// The later run.
        after: String,
    },
}

impl RunsCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When there is no such run, or its files cannot be read.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let root = &self.data.data_root;
        match &self.what {
            What::List => {
                let runs = files::runs(root)?;
                if self.json {
                    let facts: Vec<_> = runs.iter().map(|run| &run.summary).collect();
                    println!("{}", json!({ "runs": facts }));
                } else {
                    print!("{}", text::list(&runs, root));
                }
            }
            What::Show { run } => {
                let run = files::find(root, run)?;
                if self.json {
                    println!("{}", json!({ "run": run.summary, "discovery": run.discovery }));
                } else {
                    print!("{}", text::show(&run));
                }
            }
            What::Diff { before, after } => return self.diff(before, after),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn diff(&self, before: &str, after: &str) -> anyhow::Result<ExitCode> {
        let root = &self.data.data_root;
        let (before, after) = (files::find(root, before)?, files::find(root, after)?);
        let found = Difference::between(&Run::load_all(&before)?, &Run::load_all(&after)?);
        if self.json {
            println!("{}", serde_json::to_string(&found)?);
        } else {
            print!("{}", text::difference(&before, &after, &found));
        }
        Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
    }
}
