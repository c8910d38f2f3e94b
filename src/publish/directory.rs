//! Reading the versioned directory, checking every byte of it: `vNNNNNN/{blueprints.jsonl, manifest.json}`
//! and `current -> vNNNNNN`. A version that does not match its manifest is refused, whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use backtestd_core::blueprints::count;
use backtestd_core::blueprints::sha256_hex;
use backtestd_core::blueprints::{BLUEPRINT_SCHEMA, Blueprint};
use backtestd_core::blueprints::{MANIFEST_SCHEMA, Manifest};

/// Name of the lines' file.
pub const BLUEPRINTS_FILE: &str = "blueprints.jsonl";
/// Name of the manifest's file.
pub(super) const MANIFEST_FILE: &str = "manifest.json";
/// Name of the link to the version in force.
pub const CURRENT: &str = "current";

/// A version that was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// The manifest of the version.
    pub manifest: Manifest,
    /// Its lines, by id.
    pub blueprints: Vec<Blueprint>,
}

/// A directory or a version that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file or directory that cannot be read.
        path: PathBuf,
        /// What the operating system reported.
        source: io::Error,
    },
    /// A file that does not hold what it should.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// Path of the damaged file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A field that contradicts what is written elsewhere.
    #[error("{}: {field} is {found}, but should be {expected}", path.display())]
    Differs {
        /// Path of the file that contradicts itself or another.
        path: PathBuf,
        /// Name of the field.
        field: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// `current` points nowhere useful.
    #[error("{}: points to '{target}', which is no version of this directory (vNNNNNN)", path.display())]
    BadCurrent {
        /// Path of the link `current`.
        path: PathBuf,
        /// Where it points.
        target: String,
    },
}

/// The number in `vNNNNNN`; `None` for any other name.
#[must_use]
pub fn version_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix('v')?;
    (digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// Name of the version with this number, `vNNNNNN`.
#[must_use]
pub fn version_name(number: u32) -> String {
    format!("v{number:06}")
}

/// Numbers of the versions in `dir`, ascending. A directory that does not exist has none.
///
/// # Errors
/// When it cannot be listed.
pub fn list_versions(dir: &Path) -> Result<Vec<u32>, DirectoryError> {
    let io_error = |source| DirectoryError::Io { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_error(e)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        numbers.extend(entry.map_err(io_error)?.file_name().to_str().and_then(version_number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The version that `current` names; `None` before the first publication.
///
/// # Errors
/// When the link cannot be read or names no version.
pub fn current_version(dir: &Path) -> Result<Option<u32>, DirectoryError> {
    let path = dir.join(CURRENT);
    match fs::read_link(&path) {
        Ok(target) => {
            let target = target.to_string_lossy().into_owned();
            version_number(&target).map(Some).ok_or(DirectoryError::BadCurrent { path, target })
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DirectoryError::Io { path, source }),
    }
}

/// The version in force, checked; `None` before the first publication.
///
/// # Errors
/// When it cannot be read or is damaged.
pub fn read_current(dir: &Path) -> Result<Option<Version>, DirectoryError> {
    current_version(dir)?.map(|number| read_version(dir, number)).transpose()
}

/// Reads version `number` and checks hash, length, line count, ids and counts.
///
/// # Errors
/// Naming the file and what is wrong with it.
pub fn read_version(dir: &Path, number: u32) -> Result<Version, DirectoryError> {
    let name = version_name(number);
    let folder = dir.join(&name);
    let manifest_path = folder.join(MANIFEST_FILE);
    let lines_path = folder.join(BLUEPRINTS_FILE);
    let text = read(&manifest_path)?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|e| damaged(&manifest_path, e.to_string()))?;
    expect(&manifest_path, "schema", MANIFEST_SCHEMA, &manifest.schema)?;
    expect(&manifest_path, "version", &name, &manifest.version)?;
    let entry = manifest
        .files
        .get(BLUEPRINTS_FILE)
        .ok_or_else(|| damaged(&manifest_path, format!("'files' does not list {BLUEPRINTS_FILE}")))?;

    let bytes = read(&lines_path)?;
    expect(&lines_path, "length", &entry.bytes.to_string(), &bytes.len().to_string())?;
    expect(&lines_path, "sha256", &entry.sha256, &sha256_hex(&bytes))?;
    let blueprints = parse_lines(&lines_path, &bytes)?;
    expect(&lines_path, "line count", &entry.rows.to_string(), &blueprints.len().to_string())?;
    if count(&blueprints) != manifest.counts {
        return Err(damaged(&manifest_path, "'counts' do not match the lines".to_owned()));
    }
    Ok(Version { manifest, blueprints })
}

fn parse_lines(path: &Path, bytes: &[u8]) -> Result<Vec<Blueprint>, DirectoryError> {
    let text = std::str::from_utf8(bytes).map_err(|e| damaged(path, e.to_string()))?;
    let mut blueprints: Vec<Blueprint> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let fail = |what: String| damaged(path, format!("line {}: {what}", at + 1));
        let blueprint: Blueprint = serde_json::from_str(line).map_err(|e| fail(e.to_string()))?;
        if blueprint.schema != BLUEPRINT_SCHEMA {
            return Err(fail(format!(
                "schema is '{}', this program reads {BLUEPRINT_SCHEMA}",
                blueprint.schema
            )));
        }
        if blueprint.id != blueprint.identity() {
            return Err(fail(format!(
                "id is {}, but its content makes {}",
                blueprint.id,
                blueprint.identity()
            )));
        }
        if blueprints.last().is_some_and(|last| last.id >= blueprint.id) {
            return Err(fail(format!("id {} is out of order or listed twice", blueprint.id)));
        }
        blueprints.push(blueprint);
    }
    Ok(blueprints)
}

fn read(path: &Path) -> Result<Vec<u8>, DirectoryError> {
    fs::read(path).map_err(|source| DirectoryError::Io { path: path.to_owned(), source })
}

fn expect(path: &Path, field: &'static str, wanted: &str, got: &str) -> Result<(), DirectoryError> {
    if wanted == got {
        return Ok(());
    }
    let (expected, found) = (wanted.to_owned(), got.to_owned());
    Err(DirectoryError::Differs { path: path.to_owned(), field, expected, found })
}

fn damaged(path: &Path, what: String) -> DirectoryError {
    DirectoryError::Damaged { path: path.to_owned(), what }
}
