//! `files.json` in the lake's root: which files were written, with their rows and content. Without it nobody
//! could tell a month that was deleted from one that was never exported.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use backtestd_core::market::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{LakeError, LakeFile, write_bytes};

const NAME: &str = "files.json";
const SCHEMA: &str = "backtestd.lake_files/1";

/// What a file of the lake holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// Number of rows.
    pub rows: usize,
    /// Hash of the content, as in the file's own metadata.
    pub content_sha256: String,
}

/// The files of a lake by their path below its root, with `/`.
pub type FileList = BTreeMap<String, ListedFile>;

#[derive(Serialize, Deserialize)]
struct Page {
    schema: String,
    /// SHA-256 of the list as JSON.
    sha256: String,
    files: FileList,
}

/// Where the list of a lake is.
#[must_use]
pub fn file_list_path(lake: &Path) -> PathBuf {
    lake.join(NAME)
}

/// The list of a lake; `None` when it has none.
///
/// # Errors
/// When it cannot be read, or is not what was written.
pub fn read_file_list(lake: &Path) -> Result<Option<FileList>, LakeError> {
    let path = file_list_path(lake);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LakeError::Io { path, source }),
    };
    let page: Page = serde_json::from_slice(&bytes).map_err(|e| LakeError::format(&path, e))?;
    if page.schema != SCHEMA || page.sha256 != hash(&page.files) {
        return Err(LakeError::format(&path, "not the list that was written"));
    }
    Ok(Some(page.files))
}

/// Enters files that were written, or found to hold what would have been written.
///
/// # Errors
/// When the list cannot be written. A list that cannot be read begins anew.
pub fn list_files(lake: &Path, written: &[LakeFile]) -> Result<(), LakeError> {
    let io = |path: &Path, source| LakeError::Io { path: path.to_owned(), source };
    std::fs::create_dir_all(lake).map_err(|e| io(lake, e))?;
    // One writer at a time: an export and a run may end together.
    let lock_path = lake.join(".files.lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|e| io(&lock_path, e))?;
    lock.lock().map_err(|e| io(&lock_path, e))?;
    let mut files = read_file_list(lake).ok().flatten().unwrap_or_default();
    let before = files.clone();
    for file in written {
        let Ok(name) = file.path.strip_prefix(lake) else { continue };
        let listed = ListedFile { rows: file.rows, content_sha256: file.content_sha256.clone() };
        files.insert(name.to_string_lossy().replace('\\', "/"), listed);
    }
    if files == before && file_list_path(lake).exists() {
        return Ok(());
    }
    let page = Page { schema: SCHEMA.to_owned(), sha256: hash(&files), files };
    let mut bytes = serde_json::to_vec_pretty(&page).unwrap_or_default();
    bytes.push(b'\n');
    write_bytes(&file_list_path(lake), &bytes)
}

fn hash(files: &FileList) -> String {
    hex(&Sha256::digest(serde_json::to_vec(files).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_entered_once_and_a_changed_list_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, rows| LakeFile {
            path: dir.path().join(name),
            rows,
            content_sha256: format!("{rows:x}"),
            written: true,
        };
        assert_eq!(read_file_list(dir.path()).unwrap(), None);
        list_files(dir.path(), &[file("raw/a.parquet", 3), file("raw/b.parquet", 4)]).unwrap();
        list_files(dir.path(), &[file("raw/a.parquet", 5)]).unwrap();
        let rows: Vec<_> =
            read_file_list(dir.path()).unwrap().unwrap().into_values().map(|f| f.rows).collect();
        assert_eq!(rows, [5, 4]);
        let path = file_list_path(dir.path());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"rows\": 4", "\"rows\": 6")).unwrap();
        assert!(read_file_list(dir.path()).is_err());
    }
}
