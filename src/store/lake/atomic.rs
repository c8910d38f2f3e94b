//! Files of the lake are written whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::LakeError;
use crate::files::write_whole;

/// Writes a file through `fill` so that `path` is never seen half-written, also after a power loss. Creates
/// folders.
///
/// # Errors
/// When `fill` or the file system fails; the old file, if any, is then still there.
pub fn write_atomically<T>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, LakeError>,
) -> Result<T, LakeError> {
    write_whole(path, fill, |source| LakeError::Io { path: path.to_owned(), source })
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

/// Writes a file and waits until it is on the disk. For files of a folder that is renamed to its place as a
/// whole; a file that stands for itself is written by [`write_bytes`].
///
/// # Errors
/// When the file system fails.
pub fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
