//! Watching the spec tree: something changed, and nothing else. Whoever is told reads all of it again.
//!
//! The watch also hears files being *opened*, by our own reading too. A path therefore counts as changed only
//! if its size or modification time differs from when it was last looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify_debouncer_mini::notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{Config, DebounceEventResult, Debouncer, new_debouncer_opt};
use tokio::sync::mpsc;

/// Changes within this time are one change: an editor saves a file in several steps, a checkout many files.
const QUIET: Duration = Duration::from_millis(300);

/// Watches until dropped.
pub(super) struct SpecWatch {
    _debouncer: Debouncer<RecommendedWatcher>,
}

impl std::fmt::Debug for SpecWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpecWatch")
    }
}

/// What a path looked like: modification time and size, or nothing if it was not there.
type Look = Option<(SystemTime, u64)>;

fn look(path: &Path) -> Look {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Looks of everything below a directory.
fn look_around(dir: &Path, seen: &mut BTreeMap<PathBuf, Look>) {
    seen.insert(dir.to_owned(), look(dir));
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            look_around(&path, seen);
        } else {
            seen.insert(path.clone(), look(&path));
        }
    }
}

impl SpecWatch {
    /// Watches `dir` and everything below. The channel holds one notice: more would say the same.
    ///
    /// # Errors
    /// When the operating system cannot watch the directory.
    pub(super) fn start(
        dir: &Path,
    ) -> Result<(Self, mpsc::Receiver<()>), notify_debouncer_mini::notify::Error> {
        let (changed, notices) = mpsc::channel(1);
        let mut seen = BTreeMap::new();
        // Events carry absolute paths.
        let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        look_around(&dir, &mut seen);
        let handler = move |result: DebounceEventResult| {
            let is_change = match result {
                Ok(events) => {
                    events
                        .into_iter()
                        .filter(|event| {
                            let now = look(&event.path);
                            seen.insert(event.path.clone(), now) != Some(now)
                        })
                        .count()
                        > 0
                }
                Err(error) => {
                    tracing::warn!(%error, "the watch on the spec tree lost events: reading all of it again");
                    true
                }
            };
            if is_change {
                // A full channel already holds the notice.
                let _ = changed.try_send(());
            }
        };
        let config = Config::default().with_timeout(QUIET);
        let mut debouncer = new_debouncer_opt::<_, RecommendedWatcher>(config, handler)?;
        debouncer.watcher().watch(&dir, RecursiveMode::Recursive)?;
        Ok((Self { _debouncer: debouncer }, notices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writing_is_noticed_and_reading_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("events").join("a.yaml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "a: 1\n").unwrap();
        let (_watch, mut notices) = SpecWatch::start(dir.path()).unwrap();
        std::fs::read(&file).unwrap();
        std::fs::read_dir(dir.path()).unwrap().for_each(drop);
        let quiet = tokio::time::timeout(QUIET * 4, notices.recv()).await;
        assert!(quiet.is_err(), "reading is no change");
        std::fs::write(&file, "a: 22\n").unwrap();
        tokio::time::timeout(Duration::from_secs(10), notices.recv()).await.unwrap().unwrap();
        std::fs::remove_file(&file).unwrap();
        tokio::time::timeout(Duration::from_secs(10), notices.recv()).await.unwrap().unwrap();
    }
}
