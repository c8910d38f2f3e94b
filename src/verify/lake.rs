//! The lake's files hold what their metadata says, and are the very bytes that this program writes for it.

use std::path::{Path, PathBuf};

use super::Area;
use backtestd_store::lake::{LakeError, metadata_hashes, parquet_bytes, verify_parquet};

/// Every parquet file under a folder, sorted; none when it is not there.
///
/// # Errors
/// When a folder cannot be listed.
pub fn parquet_files(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                out.push(path);
            }
        }
    }
    out.sort();
    Ok(out)
}

/// Checks files. With `quick` only the hash of the content, which leaves out what a reader does not see as
/// content (statistics, padding). `progress` hears each file with its size.
#[must_use]
pub fn check_lake(files: &[PathBuf], quick: bool, progress: &mut dyn FnMut(&Path, u64)) -> Area {
    let mut area = Area::new("lake");
    let mut bytes = 0;
    for path in files {
        let size = path.metadata().map_or(0, |m| m.len());
        bytes += size;
        let name = path.display().to_string();
        match verify_parquet(path) {
            Ok(_) => {
                if has_own_metadata(&mut area, path) && !quick {
                    is_verbatim(&mut area, path);
                }
            }
            Err(LakeError::Altered { expected, found, .. }) => {
                area.find(name, "content_sha256", expected, found);
            }
            Err(error) => area.find(name, "file", "a readable parquet file", error),
        }
        progress(path, size);
    }
    area.checked = format!("{} parquet files, {} MB", files.len(), bytes / 1_000_000);
    area
}

/// Whether schema, hashes and versions are those that were written.
fn has_own_metadata(area: &mut Area, path: &Path) -> bool {
    match metadata_hashes(path) {
        Ok((Some(expected), found)) if expected == found => return true,
        Ok((expected, found)) => {
            let expected = expected.unwrap_or_else(|| "absent".to_owned());
            area.find(path.display().to_string(), "metadata_sha256", expected, found);
        }
        Err(error) => area.find(path.display().to_string(), "metadata", "readable", error),
    }
    false
}

/// The rows are right; are the bytes too?
fn is_verbatim(area: &mut Area, path: &Path) {
    let name = path.display().to_string();
    let found = match std::fs::read(path) {
        Ok(found) => found,
        Err(error) => return area.find(name, "file", "readable", error),
    };
    match parquet_bytes(path) {
        Ok(expected) if expected == found => {}
        Ok(expected) => {
            let at = expected
                .iter()
                .zip(&found)
                .position(|(a, b)| a != b)
                .unwrap_or(expected.len().min(found.len()));
            let what = "bytes outside the rows (statistics, metadata), or written by another version";
            let text = |bytes: &[u8]| {
                bytes
                    .get(at)
                    .map_or_else(|| format!("end at {}", bytes.len()), |b| format!("0x{b:02x} at {at}"))
            };
            area.find(name, what, text(&expected), text(&found));
        }
        Err(error) => area.find(name, "file", "a readable parquet file", error),
    }
}
