//! Repeated log lines, folded: of lines that differ in nothing but numbers a few are written, the rest is
//! counted.
//!
//! An outage otherwise writes the same sentence a hundred times a minute, and what matters drowns in it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

use crate::daemon::config::LogFormat;

/// Lines of one kind that are written within [`WINDOW`].
const WRITTEN: u32 = 5;
/// After so long the count is told and begins anew.
const WINDOW: Duration = Duration::from_secs(60);
/// Kinds remembered at once; the oldest are forgotten first.
const KINDS: usize = 512;

/// What is known about lines of one kind.
#[derive(Clone, Copy, Debug)]
struct Kind {
    since: Instant,
    seen: u32,
}

/// The rule, without its output.
#[derive(Debug, Default)]
struct Fold {
    kinds: BTreeMap<String, Kind>,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Written,
    /// Written, after so many of its kind were left out.
    After(u32),
    LeftOut,
}

impl Fold {
    fn judge(&mut self, line: &str, now: Instant) -> Fate {
        let kind = self.kinds.entry(without_numbers(line)).or_insert(Kind { since: now, seen: 0 });
        if now.saturating_duration_since(kind.since) >= WINDOW {
            let left_out = kind.seen.saturating_sub(WRITTEN);
            *kind = Kind { since: now, seen: 1 };
            return if left_out > 0 { Fate::After(left_out) } else { Fate::Written };
        }
        kind.seen += 1;
        let fate = if kind.seen <= WRITTEN { Fate::Written } else { Fate::LeftOut };
        if self.kinds.len() > KINDS {
            let oldest = self.kinds.iter().min_by_key(|(_, kind)| kind.since).map(|(key, _)| key.clone());
            self.kinds.retain(|key, _| Some(key) != oldest.as_ref());
        }
        fate
    }
}

/// The line with every run of digits (and what stands inside numbers and times) as one mark, and names of
/// symbols kept.
fn without_numbers(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut in_number = false;
    for c in line.chars() {
        let is_part = c.is_ascii_digit() || in_number && matches!(c, '.' | ':' | '-' | 'T' | 'Z' | '_');
        if is_part && !in_number {
            out.push('#');
        } else if !is_part {
            out.push(c);
        }
        in_number = is_part;
    }
    out
}

/// Standard error with the rule before it.
#[derive(Clone, Debug)]
pub(super) struct FoldedStderr {
    fold: Arc<Mutex<Fold>>,
    format: LogFormat,
}

impl FoldedStderr {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { fold: Arc::default(), format }
    }

    /// The sentence about what was left out, in the format of the log.
    fn note(&self, left_out: u32) -> String {
        let text = format!("{left_out} lines like the next one were left out in the minute before");
        match self.format {
            LogFormat::Text => format!("     {text}\n"),
            LogFormat::Json => {
                let note = serde_json::json!({ "level": "INFO", "target": "backtestd::log", "fields": { "message": text } });
                format!("{note}\n")
            }
        }
    }
}

impl Write for FoldedStderr {
    /// The formatter hands over one whole line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let fate = self.fold.lock().unwrap_or_else(PoisonError::into_inner).judge(&text, Instant::now());
        let mut out = io::stderr().lock();
        if let Fate::After(left_out) = fate {
            out.write_all(self.note(left_out).as_bytes())?;
        }
        if fate != Fate::LeftOut {
            out.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for FoldedStderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_in_numbers_only_are_of_one_kind() {
        let line =
            |ts: &str, ms: u32| format!("{ts}  WARN backtestd::feed: asking BTCUSDT again took {ms}ms");
        let kind = without_numbers(&line("2026-11-28T05:10:00.123Z", 7));
        assert_eq!(kind, without_numbers(&line("2026-11-29T15:11:59.9Z", 12_345)));
        assert_ne!(kind, without_numbers(&line("2026-11-28T05:10:00.123Z", 7).replace("BTC", "ETH")));
    }

    #[test]
    fn a_few_are_written_the_rest_is_counted_and_told() {
        let mut fold = Fold::default();
        let begin = Instant::now();
        let fates: Vec<Fate> = (0..20).map(|n| fold.judge(&format!("again {n}"), begin)).collect();
        assert_eq!(fates.iter().filter(|f| **f == Fate::Written).count(), WRITTEN as usize);
        assert_eq!(fold.judge("another", begin), Fate::Written);
        assert_eq!(fold.judge("again 21", begin + WINDOW), Fate::After(15));
        assert_eq!(fold.judge("again 22", begin + WINDOW), Fate::Written);
    }

    #[test]
    fn the_memory_of_kinds_is_bounded() {
        let mut fold = Fold::default();
        let begin = Instant::now();
        for n in 0..2000_u32 {
            let name: String = n.to_string().bytes().map(|b| char::from(b + 50)).collect();
            let _ = fold.judge(&name, begin + Duration::from_millis(u64::from(n)));
        }
        assert!(fold.kinds.len() <= KINDS + 1);
    }
}
