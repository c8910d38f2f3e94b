//! Whole files or none: written beside their place, synced, renamed.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Writes a file through `fill` so that `path` is never seen half-written, also after a power loss. Creates
/// folders. `failed` makes the caller's error of one of the file system.
///
/// # Errors
/// When `fill` or the file system fails; the old file, if any, is then still there.
pub(crate) fn write_whole<T, E>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<T, E>,
    failed: impl Fn(io::Error) -> E,
) -> Result<T, E> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(&failed)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside).map_err(&failed)?;
    let filled = fill(&mut file);
    let done = filled.and_then(|out| {
        file.sync_all().map_err(&failed)?;
        fs::rename(&beside, path).map_err(&failed)?;
        sync_folder(folder).map_err(&failed)?;
        Ok(out)
    });
    if done.is_err() {
        // The reason is in `done`; a leftover would only confuse.
        let _ = fs::remove_file(&beside);
    }
    done
}

/// Waits until the names in a folder are on the disk.
///
/// # Errors
/// When the file system fails.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
