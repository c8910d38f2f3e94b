//! The store of a command that only reads: its own where nobody has it open, else a snapshot that the daemon
//! makes.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::client::{Client, ClientError};
use crate::daemon::config::resolve;
use backtestd_core::discovery::Trial;
use backtestd_store::{Store, StoreError, trial_to_text};

/// Waits between two requests for a snapshot while another one is being made.
const PAUSE: Duration = Duration::from_secs(1);
/// A snapshot is asked for at most so often.
const ATTEMPTS: u32 = 60;

/// A store to read from.
pub(super) struct ReadableStore {
    // Closed before the copy is removed.
    store: Store,
    copy: Option<Copy>,
}

/// A snapshot on disk, removed at the end.
struct Copy {
    dir: PathBuf,
    socket: PathBuf,
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Deref for ReadableStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl DerefMut for ReadableStore {
    fn deref_mut(&mut self) -> &mut Store {
        &mut self.store
    }
}

impl ReadableStore {
    /// Opens the store of a state directory; where a daemon has it open, a snapshot of it.
    ///
    /// # Errors
    /// When there is none, it cannot be opened, or another process than a daemon has it.
    pub(super) fn open(state: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(
            state.join("db").exists(),
            "no store in {}; import or backfill first",
            state.display()
        );
        let locked = match Store::open(state) {
            Ok(store) => return Ok(Self { store, copy: None }),
            Err(error @ StoreError::Locked { .. }) => error,
            Err(error) => return Err(error.into()),
        };
        let flags = BTreeMap::from([("state", state.display().to_string())]);
        let env = |name: &str| std::env::var(name).ok();
        let config = env("BACKTESTD_CONFIG").map(PathBuf::from);
        let socket = resolve(&flags, &env, config.as_deref())?.config.socket;
        let answer = match ask(&socket, "/v1/snapshot", &json!({})) {
            Ok(answer) => answer,
            Err(ClientError::NotRunning { .. }) => return Err(locked.into()),
            Err(error) => return Err(error.into()),
        };
        let dir = answer["path"].as_str().map(PathBuf::from);
        let dir = dir.ok_or_else(|| anyhow::anyhow!("the daemon\'s answer names no snapshot: {answer}"))?;
        let copy = Some(Copy { dir: dir.clone(), socket });
        eprintln!("a daemon has the store open: reading a snapshot of it in {}", dir.display());
        Ok(Self { store: Store::open(&dir)?, copy })
    }

    /// Enters trials into the ledger of the daemon whose snapshot this is, before they are looked at. False:
    /// its ledger has moved on, and a new snapshot has to be taken. Without a daemon there is nothing to do.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(super) fn announce(&self, trials: &[Trial]) -> anyhow::Result<bool> {
        let Some(copy) = self.copy.as_ref().filter(|_| !trials.is_empty()) else { return Ok(true) };
        let texts: Vec<String> = trials.iter().map(trial_to_text).collect();
        match ask(&copy.socket, "/v1/trials", &json!({ "trials": texts })) {
            Ok(_) => Ok(true),
            Err(ClientError::Problem { status: 409, .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// One request; while the daemon is busy, again.
fn ask(socket: &Path, path: &str, body: &Value) -> Result<Value, ClientError> {
    let answer = |error: std::io::Error| ClientError::Answer(error.to_string());
    let client = Client::new(socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(answer)?;
    runtime.block_on(async {
        let mut attempt = 1;
        loop {
            match client.post(path, body).await {
                Err(ClientError::Problem { status: 503, .. }) if attempt < ATTEMPTS => {
                    tokio::time::sleep(PAUSE).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    })
}
