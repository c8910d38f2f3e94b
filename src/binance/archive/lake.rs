//! Tables of the lake that hold sums over bars or snapshots rather than what the exchange publishes: read back as they
//! were written, any kind by the names of its columns.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::owner::Owner;
use super::table::{Column, Row, Schema, Table, squeeze};
use super::{ArchiveError, FileKind, FileSpec, Finding};
use backtestd_core::market::{BAR_MS, Columns, Kind, MAX_COLUMNS, Market, Records, Symbol, Ts};

const TIME: usize = 0;
const SYMBOL: usize = 1;
/// The values follow time and symbol.
const FIRST: usize = 2;
/// Columns that older tables lack.
const OPTIONAL: [&str; 3] = ["premium", "predicted_rate", "special_funding_rate"];

/// The kind whose table a header (squeezed names) is, for files that are said to be of `kind`. Files of the archive that
/// go by the same word have other columns.
pub(super) fn kind_of(kind: FileKind, header: &[String]) -> Option<Kind> {
    let has = |name: &str| header.contains(&squeeze(name));
    let has_all =
        |kind: &Kind| kind.columns().iter().filter(|name| !OPTIONAL.contains(name)).all(|name| has(name));
    match kind {
        FileKind::BookTicker => Some(Kind::Quotes).filter(|_| has("tob_coverage")),
        FileKind::Liquidations => Some(Kind::Liquidations).filter(|_| has("liq_coverage")),
        FileKind::MarkIndex => Some(Kind::Mark),
        FileKind::BookDepth => Some(Kind::Depth).filter(|_| has("depth_bid_1pct")),
        // Bars do not say which market they are of.
        FileKind::Lake => Kind::ALL.iter().copied().filter(|kind| *kind != Kind::Bars).find(has_all),
        _ => None,
    }
}

/// The columns of a kind's table.
fn columns(kind: Kind) -> Vec<Column> {
    const HEAD: [Column; FIRST] = [
        Column { name: "timestamp", place: usize::MAX, aliases: &["timestamp"], required: true },
        Column { name: "symbol", place: usize::MAX, aliases: &["symbol"], required: false },
    ];
    let values = kind.columns().iter().map(|name| Column {
        name,
        place: usize::MAX,
        aliases: std::slice::from_ref(name),
        required: !OPTIONAL.contains(name),
    });
    HEAD.into_iter().chain(values).collect()
}

/// Reads a table by symbol.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    kind: Kind,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<Symbol, Records>, ArchiveError> {
    let columns = columns(kind);
    let schema = Schema { kind: kind.facts().lake, columns: &columns, ignored: &["source"], more: None };
    let mut table = Table::open(file, input, &schema, findings)?;
    let mut owner = Owner::new(file, spec);
    let mut out: BTreeMap<Symbol, Vec<(i64, Columns)>> = BTreeMap::new();
    while let Some(row) = table.next_row()? {
        let Some(symbol) = owner.of(&row, SYMBOL)? else { continue };
        let ts = row.time(TIME)?;
        let time = if kind.is_bar_like() { on_grid(&row, ts)?.bar().0 } else { ts.0 };
        out.entry(symbol).or_default().push((time, values(&row, kind)?));
    }
    owner.report(findings);
    Ok(out.into_iter().map(|(s, rows)| (s, Records::of(kind, Market::Perp, &rows))).collect())
}

fn values(row: &Row<'_>, kind: Kind) -> Result<Columns, ArchiveError> {
    let mut out = [f64::NAN; MAX_COLUMNS];
    for (at, value) in out.iter_mut().take(kind.columns().len()).enumerate() {
        *value = row.number(FIRST + at)?;
        let coverage = kind.facts().coverage;
        let is_share = coverage.is_some() && kind.sources().get(at).copied() == coverage;
        if is_share && !value.is_nan() && !(0.0..=1.0).contains(value) {
            return Err(row.bad(FIRST + at, row.text(FIRST + at)?, "not a share of 0 to 1"));
        }
    }
    Ok(out)
}

fn on_grid(row: &Row<'_>, ts: Ts) -> Result<Ts, ArchiveError> {
    if ts.0.rem_euclid(BAR_MS) == 0 {
        return Ok(ts);
    }
    Err(row.bad(TIME, row.text(TIME)?, "not on the 5-minute grid"))
}
