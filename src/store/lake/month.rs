//! Monthly Hive partitions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use jiff::civil::Date;

use super::parquet::CONTENT_SHA256;
use super::{LakeError, SCHEMA_KEY, content_sha256, parquet::read_metadata, write_parquet};
use backtestd_core::market::{BarIndex, Ts};

/// A calendar month, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    /// Year.
    pub year: i16,
    /// Month, 1 to 12.
    pub month: i8,
}

/// A partition of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeFile {
    /// The file.
    pub path: PathBuf,
    /// Rows.
    pub rows: usize,
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

/// Writes a partition unless the file already holds this content under this schema.
pub(super) fn write_partition(
    path: PathBuf,
    batch: &RecordBatch,
    schema: &str,
) -> Result<LakeFile, LakeError> {
    let rows = batch.num_rows();
    let hash = content_sha256(std::slice::from_ref(batch))?;
    let same = |m: BTreeMap<String, String>| {
        m.get(CONTENT_SHA256) == Some(&hash) && m.get(SCHEMA_KEY).is_some_and(|s| s == schema)
    };
    if path.exists() && read_metadata(&path).is_ok_and(same) {
        return Ok(LakeFile { path, rows, written: false });
    }
    let metadata = BTreeMap::from([(SCHEMA_KEY.to_owned(), schema.to_owned())]);
    write_parquet(&path, &batch.schema(), std::slice::from_ref(batch), &metadata)?;
    Ok(LakeFile { path, rows, written: true })
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
