//! Publishing a version: whole or not at all.
//!
//! 1. The files are written in `.new-vNNNNNN/` and synced, then that folder.
//! 2. `.new-current -> vNNNNNN` states the intent.
//! 3. The folder is renamed to `vNNNNNN/`, and the parent synced: the version exists.
//! 4. The link is renamed over `current`, and the parent synced.
//!
//! A reader of `current` sees the old version until the last rename and the new one after it. After a crash,
//! the next publication undoes steps 1 and 2, and completes step 4 if step 3 was done; an operator who points
//! `current` back at an older version leaves no such link and is not overruled.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::directory::{
    BLUEPRINTS_FILE, CURRENT, DirectoryError, MANIFEST_FILE, Version, current_version, list_versions,
    read_version, version_name, version_number,
};
use backtestd_core::blueprints::Blueprint;
use backtestd_core::blueprints::{FileEntry, MANIFEST_SCHEMA, Manifest};
use backtestd_core::blueprints::{Lives, OverlapFacts, Standings, diff};
use backtestd_core::blueprints::{canonical_json, sha256_hex};
use backtestd_core::market::Ts;
use backtestd_store::lake::{sync_folder, write_bytes, write_synced};

/// Prefix of everything that is not finished.
const UNFINISHED: &str = ".new-";
/// The highest number that was published here.
const HIGHEST_FILE: &str = ".highest";
/// Held while publishing, so that two processes never publish into one directory at once.
const LOCK_FILE: &str = ".lock";

/// What a publication is about, besides the blueprints.
#[derive(Clone, Debug)]
pub struct PublishContext {
    /// The instant of publication.
    pub published_at: Ts,
    /// Id of the run that is published.
    pub run_id: String,
    /// Hash of the specs in force.
    pub ontology_spec_hash: String,
    /// Close of the last bar that the run had seen.
    pub data_watermark: Ts,
    /// Version and commit of the program.
    pub code_version: String,
    /// Why known blueprints are not among the compiled ones.
    pub verdicts: Standings,
    /// What monitoring says about known blueprints.
    pub lives: Lives,
    /// Which blueprints trade the same moves.
    pub overlap: OverlapFacts,
    /// Why there are no blueprints, or what else a reader should know; not a reason to publish on its own.
    pub reasons: Vec<String>,
    /// A file outside of the published directory that remembers the highest number, so that it is not used
    /// again when the directory is lost.
    pub memory: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// The version now in force.
    pub version: String,
    /// Whether it is new.
    pub changed: bool,
    /// The manifest of the version in force.
    pub manifest: Manifest,
    /// Blueprints of the version in force, by id.
    pub blueprints: Vec<Blueprint>,
}

/// A publication that did not happen. The version in force before it still is.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The version in force cannot be read; nothing is published on top of it.
    #[error("{0}; restore that version (or remove '{CURRENT}' to start over) and publish again")]
    Directory(#[from] DirectoryError),
    /// A file that could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file that could not be written.
        path: PathBuf,
        /// What the operating system reported.
        source: io::Error,
    },
}

/// The steps of a publication, in order: where a crash can fall between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    FilesWritten,
    FolderSynced,
    LinkWritten,
    FolderRenamed,
    LinkSwapped,
}

/// Publishes `compiled` as the next version of `dir` if it differs in content from the version in force, or
/// if there is none yet (an empty first version is a valid statement, with its reasons).
///
/// # Errors
/// When the version in force is damaged or a file cannot be written; the directory is then as before.
pub fn publish_version(
    dir: &Path,
    compiled: &[Blueprint],
    context: &PublishContext,
) -> Result<Publication, PublishError> {
    publish_stepwise(dir, compiled, context, &mut |_| Ok(()))
}

/// As [`publish_version`], telling `at` after each step; an error from it stops there as a crash would.
pub(super) fn publish_stepwise(
    dir: &Path,
    compiled: &[Blueprint],
    context: &PublishContext,
    at: &mut dyn FnMut(Step) -> io::Result<()>,
) -> Result<Publication, PublishError> {
    fs::create_dir_all(dir).map_err(|e| io_error(dir, e))?;
    let lock_path = dir.join(LOCK_FILE);
    let lock = File::create(&lock_path).map_err(|e| io_error(&lock_path, e))?;
    lock.lock().map_err(|e| io_error(&lock_path, e))?;
    recover(dir)?;

    let current = current_version(dir)?;
    let before = current.map(|number| read_version(dir, number)).transpose()?;
    let number = 1 + highest_used(dir, current, context)?;
    let name = version_name(number);
    let (lines, departed) = before
        .as_ref()
        .map_or((&[][..], BTreeMap::new()), |v| (v.blueprints.as_slice(), v.manifest.departed.clone()));
    let next = diff(&name, lines, &departed, compiled, &context.verdicts, &context.lives, &context.overlap);
    if let Some(Version { manifest, blueprints }) = before
        && !next.is_change()
    {
        return Ok(Publication { version: manifest.version.clone(), changed: false, manifest, blueprints });
    }

    let lines = jsonl(&next.blueprints);
    let manifest = Manifest {
        schema: MANIFEST_SCHEMA.to_owned(),
        version: name.clone(),
        parent: current.map(version_name),
        published_at: context.published_at.rfc3339(),
        published_at_ns: context.published_at.nanos(),
        run_id: context.run_id.clone(),
        ontology_spec_hash: context.ontology_spec_hash.clone(),
        data_watermark: context.data_watermark.rfc3339(),
        files: BTreeMap::from([(BLUEPRINTS_FILE.to_owned(), file_entry(&lines, next.blueprints.len()))]),
        added: next.added,
        changed: next.changed,
        retired: next.retired,
        counts: next.counts,
        reasons: context
            .reasons
            .iter()
            .cloned()
            .chain(next.held_back.iter().map(|c| format!("{} is not published: {}", c.id, c.why)))
            .collect(),
        departed: next.departed,
        code_version: context.code_version.clone(),
    };
    write_version(dir, &name, &lines, &manifest, at)?;
    swap_current(dir)?;
    for memory in memories(dir, context) {
        remember(&memory, number)?;
    }
    at(Step::LinkSwapped).map_err(|e| io_error(dir, e))?;
    Ok(Publication { version: name, changed: true, manifest, blueprints: next.blueprints })
}

/// Where the highest number is remembered: in the directory, for versions that somebody removed from it, and
/// outside.
fn memories(dir: &Path, context: &PublishContext) -> Vec<PathBuf> {
    std::iter::once(dir.join(HIGHEST_FILE)).chain(context.memory.clone()).collect()
}

/// The highest number that any version had, as far as anything that is still there knows.
fn highest_used(dir: &Path, current: Option<u32>, context: &PublishContext) -> Result<u32, PublishError> {
    let mut highest = list_versions(dir)?.last().copied().max(current).unwrap_or(0);
    for memory in memories(dir, context) {
        let text = match fs::read_to_string(&memory) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(io_error(&memory, error)),
        };
        let number = version_number(text.trim()).ok_or_else(|| DirectoryError::Damaged {
            path: memory,
            what: format!("'{}' is no version (vNNNNNN)", text.trim()),
        })?;
        highest = highest.max(number);
    }
    Ok(highest)
}

/// Writes the number down, whole or not at all.
fn remember(memory: &Path, number: u32) -> Result<(), PublishError> {
    let text = format!("{}\n", version_name(number));
    write_bytes(memory, text.as_bytes()).map_err(|e| io_error(memory, io::Error::other(e)))
}

/// Lines of `blueprints.jsonl`.
pub(super) fn jsonl(blueprints: &[Blueprint]) -> String {
    blueprints.iter().fold(String::new(), |mut text, blueprint| {
        text.push_str(&blueprint.line());
        text.push('\n');
        text
    })
}

/// How a manifest lists a text file.
pub(super) fn file_entry(text: &str, rows: usize) -> FileEntry {
    FileEntry { sha256: sha256_hex(text.as_bytes()), bytes: text.len() as u64, rows: rows as u64 }
}

fn write_version(
    dir: &Path,
    name: &str,
    lines: &str,
    manifest: &Manifest,
    at: &mut dyn FnMut(Step) -> io::Result<()>,
) -> Result<(), PublishError> {
    let unfinished = dir.join(format!("{UNFINISHED}{name}"));
    fs::create_dir(&unfinished).map_err(|e| io_error(&unfinished, e))?;
    let content = canonical_json(manifest) + "\n";
    for (name, text) in [(BLUEPRINTS_FILE, lines), (MANIFEST_FILE, &content)] {
        let path = unfinished.join(name);
        write_synced(&path, text.as_bytes()).map_err(|e| io_error(&path, e))?;
    }
    at(Step::FilesWritten).map_err(|e| io_error(dir, e))?;
    sync_folder(&unfinished).map_err(|e| io_error(&unfinished, e))?;
    at(Step::FolderSynced).map_err(|e| io_error(dir, e))?;
    let link = dir.join(format!("{UNFINISHED}{CURRENT}"));
    symlink(name, &link).map_err(|e| io_error(&link, e))?;
    at(Step::LinkWritten).map_err(|e| io_error(dir, e))?;
    let finished = dir.join(name);
    fs::rename(&unfinished, &finished).map_err(|e| io_error(&finished, e))?;
    sync_folder(dir).map_err(|e| io_error(dir, e))?;
    at(Step::FolderRenamed).map_err(|e| io_error(dir, e))
}

/// Puts the version that the unfinished link names in force.
fn swap_current(dir: &Path) -> Result<(), PublishError> {
    let current = dir.join(CURRENT);
    fs::rename(dir.join(format!("{UNFINISHED}{CURRENT}")), &current).map_err(|e| io_error(&current, e))?;
    sync_folder(dir).map_err(|e| io_error(dir, e))
}

/// Completes or undoes what a crash interrupted.
fn recover(dir: &Path) -> Result<(), PublishError> {
    let link = dir.join(format!("{UNFINISHED}{CURRENT}"));
    let intended = fs::read_link(&link).ok().and_then(|target| version_number(&target.to_string_lossy()));
    if let Some(number) = intended.filter(|n| dir.join(version_name(*n)).is_dir()) {
        read_version(dir, number)?;
        swap_current(dir)?;
    }
    for entry in fs::read_dir(dir).map_err(|e| io_error(dir, e))? {
        let entry = entry.map_err(|e| io_error(dir, e))?;
        if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            continue;
        }
        let path = entry.path();
        let is_folder = entry.file_type().map_err(|e| io_error(&path, e))?.is_dir();
        let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|e| io_error(&path, e))?;
    }
    Ok(())
}

pub(super) fn io_error(path: &Path, source: io::Error) -> PublishError {
    PublishError::Io { path: path.to_owned(), source }
}
