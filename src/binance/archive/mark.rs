//! Mark, index and premium klines: only the close is kept, the last value in the bar.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::{ArchiveError, FileKind, FileSpec, Finding, klines};
use backtestd_core::market::{MarkBar, Symbol};

/// Reads one of the three kinds; the columns of the other two stay unknown and merge in from their own files.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<Symbol, Vec<MarkBar>>, ArchiveError> {
    let table = klines::read(file, input, spec, findings)?;
    let bars = |rows: super::kline_rows::Klines| {
        rows.bars.into_iter().map(|b| mark_bar(spec.kind, b.bar, b.close)).collect()
    };
    Ok(table.by_symbol.into_iter().map(|(symbol, rows)| (symbol, bars(rows))).collect())
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
