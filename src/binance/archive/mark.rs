//! Mark, index and premium klines: only the close is kept, the last value in the bar.

use std::io::Read;
use std::path::Path;

use super::{ArchiveError, FileKind, Finding, klines};
use backtestd_core::market::MarkBar;

/// Reads one of the three kinds; the columns of the other two stay unknown and merge in from their own files.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    kind: FileKind,
    named_interval: Option<i64>,
    findings: &mut Vec<Finding>,
) -> Result<Vec<MarkBar>, ArchiveError> {
    let bars = klines::read(file, input, named_interval, false, findings)?;
    Ok(bars.into_iter().map(|b| mark_bar(kind, b.bar, b.close)).collect())
}

pub(super) fn mark_bar(kind: FileKind, bar: backtestd_core::market::BarIndex, close: f64) -> MarkBar {
    let of = |wanted| if kind == wanted { close } else { f64::NAN };
    MarkBar {
        bar,
        mark: of(FileKind::MarkKlines),
        index: of(FileKind::IndexKlines),
        premium: of(FileKind::PremiumKlines),
        predicted_rate: f64::NAN,
    }
}
