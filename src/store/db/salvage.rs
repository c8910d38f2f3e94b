//! What can still be read of a damaged store, without touching it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::verify::Decoded;
use super::{Fsync, Store, StoreError};
use backtestd_core::market::{BARS_PER_DAY, DAY_MS, SeriesKey, Ts};

/// A stretch of a raw series that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// The series that it belongs to.
    pub series: SeriesKey,
    /// Beginning of its first day.
    pub from: Ts,
    /// End of its last day, exclusive.
    pub to: Ts,
}

/// Examines a copy of the store in `dir`, for opening a damaged one changes it: the engine cuts journals
/// where they end for it. The copy is made in `scratch`, which must not exist, and is removed.
///
/// # Errors
/// When the copy cannot be made, or cannot be opened as a store at all.
pub fn examine(
    dir: &Path,
    scratch: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(Decoded, Vec<LostRange>), StoreError> {
    let io = |source| StoreError::Io { path: scratch.to_owned(), source };
    let _removed = Scratch(scratch);
    copy(&dir.join("db"), &scratch.join("db")).map_err(io)?;
    // Some damage makes the engine panic.
    let examined = std::panic::AssertUnwindSafe(|| -> Result<_, StoreError> {
        let store = Store::open_with(scratch, Fsync::Never)?;
        let decoded = store.verify(progress)?;
        let lost = store.lost_ranges()?;
        Ok((decoded, lost))
    });
    std::panic::catch_unwind(examined).unwrap_or_else(|_| {
        Err(StoreError::Rotten {
            dir: dir.to_owned(),
            files: "files that make the engine give up".to_owned(),
        })
    })
}

/// Removes the copy, whatever came of it.
struct Scratch<'a>(&'a Path);

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0);
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            copy_file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Leaves out blocks of zeros: journals are mostly reserved space.
fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    const BLOCK: usize = 1 << 20;
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let mut block = vec![0; BLOCK];
    let mut length = 0;
    loop {
        let read = from.read(&mut block)?;
        if read == 0 {
            return to.set_len(length);
        }
        if block[..read].iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(length))?;
            to.write_all(&block[..read])?;
        }
        length += read as u64;
    }
}

impl Store {
    /// Stretches of raw series that cannot be read, to the day.
    ///
    /// # Errors
    /// When the list of series cannot be read.
    pub fn lost_ranges(&self) -> Result<Vec<LostRange>, StoreError> {
        let mut out = Vec::new();
        for (series, extent) in self.series()? {
            let day = if series.kind.is_bar_like() { BARS_PER_DAY } else { DAY_MS };
            let mut lost = Vec::new();
            self.bisect(
                &series,
                (extent.first.div_euclid(day), extent.last.div_euclid(day) + 1),
                day,
                &mut lost,
            );
            let instant = |time: i64| series.kind.instant(time);
            out.extend(lost.into_iter().map(|(from, to)| LostRange {
                series: series.clone(),
                from: instant(from * day),
                to: instant(to * day),
            }));
        }
        Ok(out)
    }

    /// Days of `[from, to)` that cannot be read, neighbours joined.
    fn bisect(&self, series: &SeriesKey, (from, to): (i64, i64), day: i64, lost: &mut Vec<(i64, i64)>) {
        let SeriesKey { kind, market, symbol } = series;
        if from >= to || self.scan(*kind, *market, symbol, from * day, to * day, |_, _, _| {}).is_ok() {
            return;
        }
        if to - from > 1 {
            let middle = from + (to - from) / 2;
            self.bisect(series, (from, middle), day, lost);
            self.bisect(series, (middle, to), day, lost);
            return;
        }
        match lost.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => lost.push((from, to)),
        }
    }
}
