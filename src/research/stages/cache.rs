//! The cache on disk: `<data root>/cache/stages/<stage>/<key>.{json,bin}`, an entry and its payload. An entry
//! is used only if its key is that of what it says it read, its payload has its hash, and every file that the
//! stage wrote is still what the stage wrote. Whatever fails is a reason to compute, never an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::record::{Code, FileHash, Inputs, StageRecord, difference, key_of, shared};
use backtestd_core::blueprints::sha256_hex;
use backtestd_store::lake::write_bytes;

/// Below the data root.
pub const STAGE_CACHE: &str = "cache/stages";
/// Digits of the key in a file's name.
const NAME_DIGITS: usize = 16;

/// The entries below one data root.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    root: PathBuf,
}

/// An entry whose payload is whole.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) entry: StageRecord,
    pub(super) payload: Vec<u8>,
    /// The first of its files that is not what the stage wrote.
    pub(super) lost: Option<String>,
}

impl Cache {
    /// The cache of a data root.
    pub(super) fn of(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn path(&self, stage: &str, key: &str, ending: &str) -> PathBuf {
        let name = key.get(..NAME_DIGITS).unwrap_or(key);
        self.root.join(STAGE_CACHE).join(stage).join(format!("{name}.{ending}"))
    }

    /// The entry of these inputs; else why there is none, in words.
    pub(super) fn find(&self, stage: &str, code: &Code, inputs: &Inputs) -> Result<Found, String> {
        let key = key_of(stage, code, inputs);
        let path = self.path(stage, &key, "json");
        if !path.exists() {
            return Err(self.why_not(stage, code, inputs));
        }
        let damaged = |what: String| format!("its entry in the cache is damaged ({what})");
        let entry = read(&path).map_err(damaged)?;
        let is_own = entry.stage == stage && key_of(&entry.stage, &entry.code, &entry.inputs) == key;
        if !is_own {
            return Err(damaged(format!("{}: its key is not that of its inputs", path.display())));
        }
        let mut payload = Vec::new();
        if let Some(expected) = &entry.payload {
            let path = self.path(stage, &key, "bin");
            payload = fs::read(&path).map_err(|e| damaged(format!("{}: {e}", path.display())))?;
            let found = sha256_hex(&payload);
            if found != expected.sha256 {
                return Err(damaged(format!(
                    "{}: its hash is {}, not {}",
                    path.display(),
                    &found[..8],
                    expected.sha256.get(..8).unwrap_or_default()
                )));
            }
        }
        let lost = self.lost(&entry);
        Ok(Found { entry, payload, lost })
    }

    /// Puts an entry in. A cache that cannot be written is a warning: the run is whole without it.
    pub(super) fn put(&self, entry: &StageRecord, payload: Option<&[u8]>) {
        let write = || {
            if let Some(payload) = payload {
                write_bytes(&self.path(&entry.stage, &entry.key, "bin"), payload)?;
            }
            let text = serde_json::to_vec_pretty(entry).unwrap_or_default();
            write_bytes(&self.path(&entry.stage, &entry.key, "json"), &text)
        };
        if let Err(error) = write() {
            tracing::warn!(stage = entry.stage, %error, "the stage cannot be put into the cache");
        }
    }

    /// Hashes of files below the data root; a file that is not there is left out.
    pub(super) fn hash(&self, files: impl IntoIterator<Item = PathBuf>) -> BTreeMap<String, FileHash> {
        let named = files.into_iter().filter_map(|path| {
            let name = path.strip_prefix(&self.root).ok()?.to_string_lossy().into_owned();
            Some((name, hash_file(&path)?))
        });
        named.collect()
    }

    fn lost(&self, entry: &StageRecord) -> Option<String> {
        let changed = |(name, hash): &(&String, &FileHash)| {
            fs::metadata(self.root.join(name)).map_or(true, |m| m.len() != hash.bytes)
                || hash_file(&self.root.join(name)).as_ref() != Some(hash)
        };
        entry.outputs.iter().find(changed).map(|(name, _)| name.clone())
    }

    fn why_not(&self, stage: &str, code: &Code, inputs: &Inputs) -> String {
        let entries = fs::read_dir(self.root.join(STAGE_CACHE).join(stage)).into_iter().flatten().flatten();
        let entries =
            entries.map(|entry| entry.path()).filter(|p| p.extension().is_some_and(|e| e == "json"));
        let age = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
        let known = entries.filter_map(|path| Some((read(&path).ok()?, age(&path))));
        // Of entries that share as much, the newest.
        let nearest = known.max_by_key(|(entry, age)| (shared(inputs, entry), *age));
        nearest.map_or_else(
            || "the cache has nothing of this stage yet".to_owned(),
            |(entry, _)| difference((code, inputs), &entry),
        )
    }
}

fn read(path: &Path) -> Result<StageRecord, String> {
    let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display()))
}

fn hash_file(path: &Path) -> Option<FileHash> {
    let bytes = fs::read(path).ok()?;
    Some(FileHash { bytes: bytes.len() as u64, sha256: sha256_hex(&bytes) })
}

/// Every file below a folder, whatever its depth; none where there is no such folder.
pub(super) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}
