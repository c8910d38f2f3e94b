//! Opening, options, durability, size.

use std::path::{Path, PathBuf};

use fjall::config::BlockSizePolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode};

use super::StoreError;
use super::error::During;
use super::judging::Judging;
use super::lock::DirLock;
use super::seal::{Sealer, check_before_opening};
use backtestd_core::market::Kind;

/// Version of the layout of keys and values. Bumped when a reader of the old one would misread the new one.
pub const SCHEMA_VERSION: u32 = 1;

/// The engine's flushes hang when there is a single worker, so never fewer than two.
const WORKER_THREADS: usize = 2;
/// The engine replays journals at open: small ones keep the restart short. 64 MiB is its minimum.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Each of some twenty keyspaces may hold as much as this, and a flushed one stays until the next is full.
const MEMTABLE_BYTES: u64 = 2 << 20;
/// Raw series and facts are read in long scans: larger blocks compress better and seek less.
const SCAN_BLOCK_BYTES: u32 = 16 << 10;

/// When a commit is made to survive power loss. It always survives `kill -9`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before every commit returns.
    #[default]
    EveryCommit,
    /// When the operating system gets round to it, and on [`Store::sync`].
    Never,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Durability of commits.
    pub fsync: Fsync,
    /// Blocks of the database kept in memory, MiB. Reads are long scans, which a larger cache hardly helps.
    pub cache_mb: u32,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { fsync: Fsync::default(), cache_mb: 16 }
    }
}

/// The database: raw input log, facts, checkpoints, runs. Calls block; one thread owns it.
pub struct Store {
    pub(super) db: Database,
    pub(super) spaces: Spaces,
    dir: PathBuf,
    fsync: Fsync,
    /// What records are judged by.
    pub(super) judging: Judging,
    /// How often the store was rewound.
    pub(super) rewinds: i64,
    // In this order: the files are sealed when the engine has closed them, and before anybody else may open
    // them.
    _sealer: Sealer,
    _lock: DirLock,
}

impl Drop for Store {
    fn drop(&mut self) {
        // What is sealed must be on disk; an error means that the disk is gone, and with it the seal.
        let _ = self.sync();
    }
}

/// Handles of all keyspaces.
pub(super) struct Spaces {
    pub(super) meta: Keyspace,
    pub(super) summaries: Keyspace,
    pub(super) deliveries: Keyspace,
    pub(super) conflicts: Keyspace,
    /// One for each kind, in the order of [`Kind::ALL`].
    pub(super) raw: Vec<Keyspace>,
    pub(super) events: Keyspace,
    pub(super) episode_ends: Keyspace,
    pub(super) outcomes: Keyspace,
    pub(super) revisions: Keyspace,
    pub(super) checkpoints: Keyspace,
    pub(super) trials: Keyspace,
    pub(super) evidence: Keyspace,
    pub(super) signals: Keyspace,
    pub(super) updates: Keyspace,
    pub(super) runs: Keyspace,
    pub(super) arrivals: Keyspace,
    pub(super) quarantine: Keyspace,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).field("fsync", &self.fsync).finish_non_exhaustive()
    }
}

fn small() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
}

fn scanned() -> KeyspaceCreateOptions {
    small().data_block_size_policy(BlockSizePolicy::all(SCAN_BLOCK_BYTES))
}

/// Values of megabytes that are soon replaced: kept apart from the keys, so that compaction does not copy
/// them.
fn blobs() -> KeyspaceCreateOptions {
    small().with_kv_separation(Some(KvSeparationOptions::default()))
}

impl Spaces {
    fn open(db: &Database) -> Result<Self, StoreError> {
        let open = |name: &str, options: fn() -> KeyspaceCreateOptions| {
            db.keyspace(name, options).during("open a keyspace")
        };
        let raw = |kind: Kind| open(kind.name(), scanned);
        Ok(Self {
            meta: open("meta", small)?,
            summaries: open("summaries", small)?,
            deliveries: open("deliveries", small)?,
            conflicts: open("conflicts", small)?,
            events: open("events", scanned)?,
            episode_ends: open("episode_ends", small)?,
            outcomes: open("outcomes", scanned)?,
            revisions: open("revisions", small)?,
            checkpoints: open("checkpoints", blobs)?,
            trials: open("trials", small)?,
            evidence: open("evidence", scanned)?,
            signals: open("signals", small)?,
            updates: open("updates", small)?,
            runs: open("runs", small)?,
            arrivals: open("arrivals", small)?,
            quarantine: open("quarantine", small)?,
            raw: Kind::ALL.iter().copied().map(raw).collect::<Result<_, _>>()?,
        })
    }
}

impl Spaces {
    /// Every keyspace with its name, in one order.
    pub(super) fn all(&self) -> Vec<(&'static str, &Keyspace)> {
        let named = [
            ("meta", &self.meta),
            ("summaries", &self.summaries),
            ("deliveries", &self.deliveries),
            ("conflicts", &self.conflicts),
            ("events", &self.events),
            ("episode_ends", &self.episode_ends),
            ("outcomes", &self.outcomes),
            ("revisions", &self.revisions),
            ("checkpoints", &self.checkpoints),
            ("trials", &self.trials),
            ("evidence", &self.evidence),
            ("signals", &self.signals),
            ("updates", &self.updates),
            ("runs", &self.runs),
            ("arrivals", &self.arrivals),
            ("quarantine", &self.quarantine),
        ];
        let raw = Kind::ALL.iter().map(|kind| kind.name()).zip(&self.raw);
        named.into_iter().chain(raw).collect()
    }
}

impl Store {
    /// Opens the store in `dir`, creating it if it is not there. Durable at every commit.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it, [`StoreError::Schema`] when its layout is not
    /// ours.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_tuned(dir, StoreOptions::default())
    }

    /// [`Store::open`] with a durability policy.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(dir: &Path, fsync: Fsync) -> Result<Self, StoreError> {
        Self::open_tuned(dir, StoreOptions { fsync, ..StoreOptions::default() })
    }

    /// [`Store::open`] with options.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_tuned(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let io = |source| StoreError::Io { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(io)?;
        let lock = DirLock::take(dir)?;
        check_before_opening(dir)?;
        let sealer = Sealer::breaking(dir)?;
        let readme = dir.join("README.md");
        if !readme.exists() {
            std::fs::write(&readme, README).map_err(|source| StoreError::Io { path: readme, source })?;
        }
        let db = Database::builder(dir.join("db"))
            .worker_threads(WORKER_THREADS)
            .max_journaling_size(JOURNAL_BYTES)
            .cache_size(u64::from(options.cache_mb) << 20)
            .open()
            .map_err(|e| match e {
                fjall::Error::Locked => StoreError::Locked { dir: dir.to_owned(), pid: None },
                e => StoreError::Engine { action: "open the database", source: Box::new(e) },
            })?;
        let spaces = Spaces::open(&db)?;
        let mut store = Self {
            db,
            spaces,
            dir: dir.to_owned(),
            fsync: options.fsync,
            judging: Judging::default(),
            rewinds: 0,
            _sealer: sealer,
            _lock: lock,
        };
        store.check_schema()?;
        store.judging.rules = store.known_rules()?;
        store.rewinds = store.meta_i64(super::checkpoint::REWINDS)?.unwrap_or(0);
        store.drop_uncommitted_checkpoints()?;
        Ok(store)
    }

    /// Says whether a process has the store in `dir` open, without opening it. A store that is not there is
    /// free.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when one has, [`StoreError::Io`] when that cannot be seen.
    pub fn check_free(dir: &Path) -> Result<(), StoreError> {
        if dir.join(super::lock::FILE).exists() { DirLock::take(dir).map(drop) } else { Ok(()) }
    }

    fn check_schema(&self) -> Result<(), StoreError> {
        const KEY: &str = "schema";
        match self.spaces.meta.get(KEY).during("read the schema version")? {
            Some(bytes) => {
                let found = <[u8; 4]>::try_from(&bytes[..]).map_or(u32::MAX, u32::from_le_bytes);
                if found == SCHEMA_VERSION {
                    return Ok(());
                }
                Err(StoreError::Schema { dir: self.dir.clone(), found, expected: SCHEMA_VERSION })
            }
            None => {
                let version = SCHEMA_VERSION.to_le_bytes();
                self.spaces.meta.insert(KEY, version).during("write the schema version")?;
                self.sync()
            }
        }
    }

    /// The state directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes everything written so far survive power loss.
    ///
    /// # Errors
    /// When the disk refuses; the process must then end.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.db.persist(PersistMode::SyncAll).during("sync the journal")
    }

    /// Bytes on disk, journal included.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.db.disk_space().during("measure disk use")
    }

    /// Writes a batch under the durability policy.
    pub(super) fn write_durably(
        &mut self,
        batch: OwnedWriteBatch,
        action: &'static str,
    ) -> Result<(), StoreError> {
        let sync = match self.fsync {
            Fsync::EveryCommit => true,
            Fsync::Never => false,
        };
        let mode = if sync { PersistMode::SyncAll } else { PersistMode::Buffer };
        batch.durability(Some(mode)).commit().during(action)
    }
}

/// Written into the state directory for whoever looks there.
const README: &str = include_str!("state_readme.md");
