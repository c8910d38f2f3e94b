//! Watching the spec tree: something changed, and nothing else. Whoever is told reads all of it again.

use std::path::Path;
use std::time::Duration;

use notify_debouncer_mini::notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{Config, DebounceEventResult, Debouncer, new_debouncer_opt};
use tokio::sync::mpsc;

/// Changes within this time are one change: an editor saves a file in several steps, a checkout many files.
const QUIET: Duration = Duration::from_millis(300);

/// Watches until dropped.
pub struct SpecWatch {
    _debouncer: Debouncer<RecommendedWatcher>,
}

impl std::fmt::Debug for SpecWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpecWatch")
    }
}

impl SpecWatch {
    /// Watches `dir` and everything below. The channel holds one notice: more would say the same.
    ///
    /// # Errors
    /// When the operating system cannot watch the directory.
    pub fn start(dir: &Path) -> Result<(Self, mpsc::Receiver<()>), notify_debouncer_mini::notify::Error> {
        let (changed, notices) = mpsc::channel(1);
        let handler = move |result: DebounceEventResult| {
            if let Err(error) = &result {
                tracing::warn!(%error, "the watch on the spec tree lost events: reading all of it again");
            }
            // A full channel already holds the notice.
            let _ = changed.try_send(());
        };
        let config = Config::default().with_timeout(QUIET);
        let mut debouncer = new_debouncer_opt::<_, RecommendedWatcher>(config, handler)?;
        debouncer.watcher().watch(dir, RecursiveMode::Recursive)?;
        Ok((Self { _debouncer: debouncer }, notices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_of_changes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (_watch, mut notices) = SpecWatch::start(dir.path()).unwrap();
        for n in 0..5 {
            std::fs::write(dir.path().join(format!("{n}.yaml")), "a: 1\n").unwrap();
        }
        tokio::time::timeout(Duration::from_secs(10), notices.recv()).await.unwrap().unwrap();
    }
}
