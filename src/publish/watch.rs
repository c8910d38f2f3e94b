//! Following a directory of versions: what a consumer does, and what `backtestd watch` prints.
//!
//! The file system's notification only says "look again"; a poll does the same where there is none. What
//! counts is what is read, and a version that does not match its manifest is refused while the last good one
//! stays in force.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use notify_debouncer_mini::notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{DebounceEventResult, Debouncer, new_debouncer};

use super::directory::{DirectoryError, Version, current_version, read_version};

/// Notifications closer together than this are one.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// The directory is looked at this often even without a notification.
const POLL: Duration = Duration::from_millis(500);
/// Wake-ups waiting to be handled; one is enough, more say nothing new.
const WAKE_UPS: usize = 1;

/// What a look at the directory found.
#[derive(Debug)]
pub enum Sighting {
    /// Nothing has changed since the last look.
    Unchanged,
    /// Another version is in force.
    Version(Box<Version>),
    /// The version that `current` names cannot be used; the one seen before stays.
    Refused(DirectoryError),
}

/// Follows one directory.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    seen: Option<u32>,
    refused: Option<String>,
}

impl Follower {
    /// Has seen nothing yet: the first look reports the version in force.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), seen: None, refused: None }
    }

    /// Looks at what `current` names. The same refusal is reported once.
    pub fn look(&mut self) -> Sighting {
        let number = match current_version(&self.dir) {
            Ok(Some(number)) if Some(number) == self.seen => return Sighting::Unchanged,
            Ok(Some(number)) => number,
            Ok(None) => return Sighting::Unchanged,
            Err(error) => return self.refuse(error),
        };
        match read_version(&self.dir, number) {
            Ok(version) => {
                self.seen = Some(number);
                self.refused = None;
                Sighting::Version(Box::new(version))
            }
            Err(error) => self.refuse(error),
        }
    }

    fn refuse(&mut self, error: DirectoryError) -> Sighting {
        let text = error.to_string();
        if self.refused.as_ref() == Some(&text) {
            return Sighting::Unchanged;
        }
        self.refused = Some(text);
        Sighting::Refused(error)
    }

    /// Looks until `handle` says to stop, woken by the file system or by the poll.
    pub fn follow(&mut self, mut handle: impl FnMut(Sighting) -> bool) {
        let (wake, woken) = sync_channel(WAKE_UPS);
        // Without notifications (some network file systems have none) the poll alone does it, half a second
        // later.
        let mut watcher = watch(&self.dir, wake.clone()).ok();
        loop {
            match self.look() {
                Sighting::Unchanged => {}
                sighting => {
                    if !handle(sighting) {
                        return;
                    }
                }
            }
            match woken.recv_timeout(POLL) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) if watcher.is_none() => {
                    // The directory may not have existed yet.
                    watcher = watch(&self.dir, wake.clone()).ok();
                }
                Err(_) => {}
            }
        }
    }
}

fn watch(
    dir: &Path,
    wake: SyncSender<()>,
) -> Result<Debouncer<RecommendedWatcher>, notify_debouncer_mini::notify::Error> {
    let mut debouncer = new_debouncer(DEBOUNCE, move |_: DebounceEventResult| {
        // A full channel already holds a wake-up.
        let _ = wake.try_send(());
    })?;
    debouncer.watcher().watch(dir, RecursiveMode::NonRecursive)?;
    Ok(debouncer)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::publish::tests::{context, example};
    use crate::publish::{PublishContext, publish_version};

    fn publish(dir: &Path, context: &PublishContext) {
        publish_version(dir, &[example()], context).unwrap();
    }

    #[test]
    fn each_version_is_reported_once_and_a_damaged_one_is_refused_once() {
        let root = tempfile::tempdir().unwrap();
        let mut follower = Follower::new(root.path());
        assert!(matches!(follower.look(), Sighting::Unchanged));
        publish(root.path(), &context(1));
        assert!(matches!(follower.look(), Sighting::Version(v) if v.manifest.version == "v000001"));
        assert!(matches!(follower.look(), Sighting::Unchanged));

        publish_version(root.path(), &[], &context(2)).unwrap();
        let lines = root.path().join("v000002/blueprints.jsonl");
        let text = fs::read(&lines).unwrap();
        fs::write(&lines, b"{}\n").unwrap();
        assert!(matches!(follower.look(), Sighting::Refused(_)));
        assert!(matches!(follower.look(), Sighting::Unchanged));
        fs::write(&lines, text).unwrap();
        assert!(matches!(follower.look(), Sighting::Version(v) if v.manifest.version == "v000002"));
    }

    #[test]
    fn a_publication_wakes_the_follower() {
        let root = tempfile::tempdir().unwrap();
        publish(root.path(), &context(1));
        let dir = root.path().to_owned();
        let mut seen = Vec::new();
        Follower::new(root.path()).follow(|sighting| {
            let Sighting::Version(version) = sighting else { panic!("{sighting:?}") };
            seen.push(version.manifest.version);
            if seen.len() == 1 {
                publish_version(&dir, &[], &context(2)).unwrap();
            }
            seen.len() < 2
        });
        assert_eq!(seen, ["v000001", "v000002"]);
    }
}
