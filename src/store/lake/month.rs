//! Monthly Hive partitions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use jiff::civil::Date;

use super::parquet::{CONTENT_SHA256, read_metadata};
use super::union::with_rows_of;
use super::{LakeError, SCHEMA_KEY, content_sha256, read_parquet, write_parquet};
use backtestd_core::market::{BarIndex, Ts};

/// A calendar month, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    /// Year of the Gregorian calendar.
    pub year: i16,
    /// Month, 1 to 12.
    pub month: i8,
}

/// A partition of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeFile {
    /// Path of the partition's file.
    pub path: PathBuf,
    /// Number of rows in the file.
    pub rows: usize,
    /// Hash of its content, as in its metadata.
    pub content_sha256: String,
    /// False when the file already had this content and was left alone.
    pub written: bool,
}

impl Month {
    /// The month of an instant.
    #[must_use]
    pub fn of(at: Ts) -> Self {
        let (year, month) = at.year_month();
        Self { year, month }
    }

    /// Every month that `[from, to]` touches.
    pub fn between(from: Ts, to: Ts) -> impl Iterator<Item = Self> {
        let last = Self::of(to);
        std::iter::successors(Some(Self::of(from)), |m| Some(m.next())).take_while(move |m| *m <= last)
    }

    /// The month after.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { year: self.year, month: self.month + 1 }
        }
    }

    /// Midnight of its first day.
    #[must_use]
    pub fn start(self) -> Ts {
        let days = Date::new(self.year, self.month, 1).ok().and_then(|d| {
            (d - Date::constant(1970, 1, 1))
                .total((jiff::Unit::Day, jiff::SpanRelativeTo::days_are_24_hours()))
                .ok()
        });
        Ts(days.unwrap_or(0.0) as i64 * backtestd_core::market::DAY_MS)
    }

    /// First bar and the first bar of the next month.
    #[must_use]
    pub fn bars(self) -> (BarIndex, BarIndex) {
        (self.start().bar(), self.next().start().bar())
    }

    /// `year=YYYY/month=MM/part.parquet` under a folder.
    #[must_use]
    pub fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("year={:04}/month={:02}/part.parquet", self.year, self.month))
    }
}

/// Writes the rows of a month, whole: rows of the file that is there stay where `batch` has none at their
/// time. A file that already holds this content under this metadata is left alone.
///
/// # Errors
/// When the file that is there has rows that would be lost and cannot be joined, because its metadata (specs,
/// say) differs; or when the disk refuses.
pub fn write_month(
    path: PathBuf,
    batch: &RecordBatch,
    metadata: &BTreeMap<String, String>,
) -> Result<LakeFile, LakeError> {
    let known = if path.exists() { read_metadata(&path).ok() } else { None };
    let is_same = known.as_ref().is_some_and(|known| metadata.iter().all(|(k, v)| known.get(k) == Some(v)));
    let hash = content_sha256(std::slice::from_ref(batch))?;
    let holds = |hash: &String| is_same && known.as_ref().and_then(|k| k.get(CONTENT_SHA256)) == Some(hash);
    if holds(&hash) {
        return Ok(LakeFile { path, rows: batch.num_rows(), content_sha256: hash, written: false });
    }
    // What cannot be read is no reason to keep a file.
    let old = if known.is_some() { read_parquet(&path).ok() } else { None };
    let whole = match &old {
        Some(old) => with_rows_of(&path, old, batch)?,
        None => batch.clone(),
    };
    let rows = whole.num_rows();
    if !is_same && rows > batch.num_rows() {
        return Err(LakeError::format(
            &path,
            format!(
                "has {} rows at other times that were made with other specs or by another version; move the file away, \
                 or write the whole month",
                rows - batch.num_rows()
            ),
        ));
    }
    let hash = content_sha256(std::slice::from_ref(&whole))?;
    if holds(&hash) {
        return Ok(LakeFile { path, rows, content_sha256: hash, written: false });
    }
    write_parquet(&path, &whole.schema(), std::slice::from_ref(&whole), metadata)?;
    Ok(LakeFile { path, rows, content_sha256: hash, written: true })
}

/// [`write_month`] of a table that is known by its schema alone.
pub(super) fn write_partition(
    path: PathBuf,
    batch: &RecordBatch,
    schema: &str,
) -> Result<LakeFile, LakeError> {
    write_month(path, batch, &BTreeMap::from([(SCHEMA_KEY.to_owned(), schema.to_owned())]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::parse_time;

    #[test]
    fn months_follow_each_other_over_the_turn_of_the_year() {
        let t = |s: &str| parse_time(s).unwrap();
        let months: Vec<_> = Month::between(t("2024-11-30T23:55:00Z"), t("2025-02-01"))
            .map(|m| m.start().to_string())
            .collect();
        assert_eq!(
            months,
            ["2024-11-01T00:00:00Z", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z"]
        );
        let (first, end) = Month::of(t("2024-02-10")).bars();
        assert_eq!(end - first, 29 * 288);
    }
}
