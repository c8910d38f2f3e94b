//! Whole files or none: written beside their place, synced, renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::LakeError;

/// Writes a file through `fill` so that `path` is never seen half-written, also after a power loss. Creates folders.
///
/// # Errors
/// When `fill` or the file system fails; the old file, if any, is then still there.
pub fn write_atomically<T>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, LakeError>,
) -> Result<T, LakeError> {
    let io = |source| LakeError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(io)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside).map_err(io)?;
    let filled = fill(&mut file);
    let done = filled.and_then(|out| {
        file.sync_all().map_err(io)?;
        fs::rename(&beside, path).map_err(io)?;
        sync_folder(folder).map_err(io)?;
        Ok(out)
    });
    if done.is_err() {
        // The reason is in `done`; a leftover would only confuse.
        let _ = fs::remove_file(&beside);
    }
    done
}

/// Writes bytes as [`write_atomically`] does.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), LakeError> {
    write_atomically(path, |file| {
        file.write_all(bytes).map_err(|source| LakeError::Io { path: path.to_owned(), source })
    })
}

/// Writes a file and waits until it is on the disk. For files of a folder that is renamed to its place as a whole; a file that
/// stands for itself is written by [`write_bytes`].
///
/// # Errors
/// When the file system fails.
pub fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until the names in a folder are on the disk.
///
/// # Errors
/// When the file system fails.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
