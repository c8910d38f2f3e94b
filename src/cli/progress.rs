//! Progress on stderr: a bar on a terminal, plain lines elsewhere (logs, CI, systemd).

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A plain line at most this often.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// One stage of long work.
#[derive(Debug)]
pub struct Progress {
    stage: String,
    total: u64,
    done: u64,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
    quiet: bool,
}

impl Progress {
    /// Starts a stage of `total` steps. `quiet` shows nothing (used with `--json`, where stdout is for a machine and
    /// stderr for errors).
    #[must_use]
    pub fn new(stage: &str, total: u64, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{msg:<22} [{bar:30}] {pos}/{len} {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            let bar = ProgressBar::new(total).with_style(style);
            bar.set_message(stage.to_owned());
            bar
        });
        let now = Instant::now();
        Self { stage: stage.to_owned(), total, done: 0, bar, started: now, last_line: now, quiet }
    }

    /// So many steps are done.
    pub fn set(&mut self, done: u64) {
        self.done = done;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        } else if !self.quiet && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            eprintln!("{:<22} {}/{}", self.stage, self.done, self.total);
        }
    }

    /// So many more steps are done.
    pub fn advance(&mut self, steps: u64) {
        self.set(self.done + steps);
    }

    /// Ends the stage with one line that says what came of it.
    pub fn finish(self, outcome: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if !self.quiet {
            eprintln!("{:<22} {outcome} ({:.1} s)", self.stage, self.started.elapsed().as_secs_f64());
        }
    }
}
