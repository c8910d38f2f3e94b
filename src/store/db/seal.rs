//! The seal: what every file of the database was when it was closed. Rot of any byte shows, also where the
//! engine would take it for the end of a journal and drop what follows.
//!
//! ```text
//! SEAL   line 1   backtestd-seal/1 <SHA-256 of the lines below>
//!        line n   <SHA-256 of the file> <length> <path below db/>
//! ```
//!
//! It is written when a store is closed and removed when one is opened: a process that is killed leaves none,
//! and then there is nothing to compare. Tables are never rewritten by the engine, so what a seal said of one
//! stays true. Blocks of zeros (the engine reserves space) are left out of the hashes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::StoreError;
use crate::files::write_whole;
use backtestd_core::market::hex;

const NAME: &str = "SEAL";
const HEAD: &str = "backtestd-seal/1 ";
/// Files that say nothing.
const UNSEALED: [&str; 1] = ["lock"];
const BLOCK: usize = 1 << 20;

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Print {
    sha256: String,
    bytes: u64,
}

/// A file that is not what it was when the store was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenSeal {
    /// Path below the state directory.
    pub file: String,
    /// What it was.
    pub expected: String,
    /// What it is.
    pub found: String,
}

/// Holds every file of a closed store against its seal. `None` when there is no seal: the store is open, or
/// the process that had it was killed.
///
/// # Errors
/// When a file cannot be read for another reason than that it is not there.
pub fn check_seal(dir: &Path) -> Result<Option<Vec<BrokenSeal>>, StoreError> {
    let path = dir.join(NAME);
    let Some(seal) = read(dir)? else {
        let lost = BrokenSeal {
            file: NAME.to_owned(),
            expected: "the seal of a closed store".to_owned(),
            found: "something else; if nothing else is found, delete it".to_owned(),
        };
        return Ok(path.exists().then(|| vec![lost]));
    };
    compare(dir, &seal, |_| true).map(Some)
}

/// Before a store is opened: lengths of all files, and the content of all but the tables (of which the engine
/// checks each block that it reads).
pub(super) fn check_before_opening(dir: &Path) -> Result<(), StoreError> {
    let Some(seal) = read(dir)? else { return Ok(()) };
    let broken = compare(dir, &seal, |name| !is_immutable(name))?;
    if broken.is_empty() {
        return Ok(());
    }
    let files = broken.into_iter().map(|b| b.file).collect::<Vec<_>>().join(", ");
    Err(StoreError::Rotten { dir: dir.to_owned(), files })
}

fn compare(
    dir: &Path,
    seal: &BTreeMap<String, Print>,
    is_hashed: impl Fn(&str) -> bool,
) -> Result<Vec<BrokenSeal>, StoreError> {
    let mut out = Vec::new();
    for (name, print) in seal {
        let path = dir.join("db").join(name);
        let mut broken = |expected: String, found: String| {
            out.push(BrokenSeal { file: format!("db/{name}"), expected, found });
        };
        let Ok(metadata) = path.metadata() else {
            broken("present".to_owned(), "absent".to_owned());
            continue;
        };
        if metadata.len() != print.bytes {
            broken(format!("{} bytes", print.bytes), format!("{} bytes", metadata.len()));
        } else if is_hashed(name) {
            let found = hash(&path).map_err(|source| StoreError::Io { path, source })?;
            if found != print.sha256 {
                broken(format!("sha256 {}", print.sha256), found);
            }
        }
    }
    Ok(out)
}

/// Written once, under a name that is never used again.
fn is_immutable(name: &str) -> bool {
    name.split('/').any(|part| matches!(part, "tables" | "blobs"))
}

/// The seal of a directory; `None` when there is none, or it is not one.
fn read(dir: &Path) -> Result<Option<BTreeMap<String, Print>>, StoreError> {
    let path = dir.join(NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::Io { path, source }),
    };
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Option<BTreeMap<String, Print>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, lines) = text.split_once('\n')?;
    if head.strip_prefix(HEAD)? != hex(&Sha256::digest(lines)) {
        return None;
    }
    let print = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let (sha256, bytes, name) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        Some((name.to_owned(), Print { sha256: sha256.to_owned(), bytes }))
    };
    lines.lines().map(print).collect()
}

/// Writes the seal when it is dropped, which must be after the database and before the lock.
#[derive(Debug)]
pub(super) struct Sealer {
    dir: PathBuf,
    /// What the last seal said: true of tables for ever.
    before: BTreeMap<String, Print>,
}

impl Sealer {
    /// Breaks the seal of a store that is being opened, and seals it anew at its end.
    pub(super) fn breaking(dir: &Path) -> Result<Self, StoreError> {
        let before = read(dir)?.unwrap_or_default();
        let path = dir.join(NAME);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::Io { path, source }),
        }
        Ok(Self { dir: dir.to_owned(), before })
    }

    fn seal(&self) -> std::io::Result<()> {
        let mut lines = String::new();
        for (name, path) in files(&self.dir.join("db"))? {
            let bytes = path.metadata()?.len();
            let known = self.before.get(&name).filter(|_| is_immutable(&name));
            let print = match known {
                Some(known) => known.clone(),
                None => Print { sha256: hash(&path)?, bytes },
            };
            lines.push_str(&format!("{} {} {name}\n", print.sha256, print.bytes));
        }
        let text = format!("{HEAD}{}\n{lines}", hex(&Sha256::digest(&lines)));
        write_whole(&self.dir.join(NAME), |file| file.write_all(text.as_bytes()), |error| error)
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A store without a seal is not checked against one: nothing else depends on it.
            let _ = self.seal();
        }
    }
}

/// Files below a folder by their path from there, with `/`.
fn files(root: &Path) -> std::io::Result<BTreeMap<String, PathBuf>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![(String::new(), root.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
                continue;
            };
            if entry.file_type()?.is_dir() {
                folders.push((format!("{name}/"), entry.path()));
            } else if !UNSEALED.contains(&name.as_str()) {
                out.insert(name, entry.path());
            }
        }
    }
    Ok(out)
}

/// SHA-256 of the blocks that are not all zero, each with its number.
fn hash(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    for number in 0_u64.. {
        let mut filled = 0;
        while filled < block.len() {
            match file.read(&mut block[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        let read = &block[..filled];
        if read.is_empty() {
            break;
        }
        if read.iter().any(|byte| *byte != 0) {
            hash.update(number.to_le_bytes());
            hash.update(read);
        }
    }
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_shortened_or_lost_file_breaks_the_seal_and_a_reopened_store_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = dir.path().join("db").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let mut journal = vec![0; 3 * BLOCK];
        journal[..3].copy_from_slice(b"jnl");
        put("0.jnl", &journal);
        put("keyspaces/1/tables/7", b"table");
        put("lock", b"");
        assert_eq!(check_seal(dir.path()).unwrap(), None);
        drop(Sealer::breaking(dir.path()).unwrap());
        assert_eq!(check_seal(dir.path()).unwrap(), Some(Vec::new()));
        for at in [1, BLOCK + 5, 3 * BLOCK - 1] {
            let mut bad = journal.clone();
            bad[at] ^= 4;
            put("0.jnl", &bad);
            let broken = check_seal(dir.path()).unwrap().unwrap();
            assert_eq!((broken.len(), broken[0].file.as_str()), (1, "db/0.jnl"));
            assert!(matches!(check_before_opening(dir.path()), Err(StoreError::Rotten { .. })));
        }
        put("0.jnl", &journal);
        check_before_opening(dir.path()).unwrap();
        // A table that rots while the store is open keeps its old print.
        let open = Sealer::breaking(dir.path()).unwrap();
        assert_eq!(check_seal(dir.path()).unwrap(), None);
        put("keyspaces/1/tables/7", b"tablf");
        drop(open);
        let broken = check_seal(dir.path()).unwrap().unwrap();
        assert_eq!(broken[0].file, "db/keyspaces/1/tables/7");
        std::fs::remove_file(dir.path().join("db/keyspaces/1/tables/7")).unwrap();
        assert_eq!(check_seal(dir.path()).unwrap().unwrap()[0].found, "absent");
        std::fs::write(dir.path().join(NAME), "x").unwrap();
        assert_eq!(check_seal(dir.path()).unwrap().unwrap()[0].file, NAME);
    }
}
