//! Progress on stderr: a bar on a terminal, plain lines elsewhere (logs, CI, systemd).

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A plain line at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);
const MEGABYTE: u64 = 1_000_000;

/// One stage of long work.
#[derive(Debug)]
pub struct Progress {
    stage: String,
    item: String,
    total: u64,
    done: u64,
    unit: Unit,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Steps,
    Bytes,
}

impl Progress {
    /// Starts a stage of `total` steps. `quiet` shows nothing (used with `--json`, where stdout is for a
    /// machine and stderr for errors).
    #[must_use]
    pub fn new(stage: &str, total: u64, quiet: bool) -> Self {
        Self::start(stage, total, quiet, Unit::Steps)
    }

    /// Starts a stage that is measured in bytes.
    #[must_use]
    pub fn bytes(stage: &str, total: u64, quiet: bool) -> Self {
        Self::start(stage, total, quiet, Unit::Bytes)
    }

    fn start(stage: &str, total: u64, quiet: bool, unit: Unit) -> Self {
        let template = match unit {
            Unit::Steps => "{prefix:<22} [{bar:30}] {pos}/{len} {eta}  {wide_msg}",
            Unit::Bytes => "{prefix:<22} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}  {wide_msg}",
        };
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            ProgressBar::new(total).with_style(style).with_prefix(stage.to_owned())
        });
        let (stage, item, now) = (stage.to_owned(), String::new(), Instant::now());
        Self { stage, item, total, done: 0, unit, bar, started: now, last_line: now, quiet }
    }

    /// What is being worked on now.
    pub fn item(&mut self, name: &str) {
        name.clone_into(&mut self.item);
        if let Some(bar) = &self.bar {
            bar.set_message(self.item.clone());
        }
    }

    /// So many steps are done.
    pub fn set(&mut self, done: u64) {
        self.done = done;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        } else if !self.quiet && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let line = match self.unit {
                Unit::Steps => format!("{:<22} {}/{}  {}", self.stage, self.done, self.total, self.item),
                Unit::Bytes => {
                    let (done, total) = (self.done / MEGABYTE, self.total.div_ceil(MEGABYTE));
                    let seconds = self.started.elapsed().as_secs_f64();
                    let rate = self.done as f64 / seconds.max(1e-3);
                    let left = self.total.saturating_sub(self.done) as f64 / rate.max(1.0);
                    let rate = rate / MEGABYTE as f64;
                    format!(
                        "{:<22} {done}/{total} MB, {rate:.1} MB/s, {left:.0} s left  {}",
                        self.stage, self.item
                    )
                }
            };
            eprintln!("{}", line.trim_end());
        }
    }

    /// Grows or shrinks what there is to do.
    pub fn set_total(&mut self, total: u64) {
        self.total = total;
        if let Some(bar) = &self.bar {
            bar.set_length(total);
        }
    }

    /// So many more steps are done.
    pub fn advance(&mut self, steps: u64) {
        self.set(self.done + steps);
    }

    /// Prints a line above the bar, or just prints it.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.quiet => {}
            None => eprintln!("{line}"),
        }
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
