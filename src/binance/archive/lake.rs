//! Tables of the lake's raw log: read back as they were written, any kind by the names of its columns, and
//! with what each row says of where it came from.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::owner::Owner;
use super::table::{Column, Row, Schema, Table, squeeze};
use super::{ArchiveError, FileKind, FileSpec, Finding, Told, funding, klines};
use backtestd_core::market::{BAR_MS, Columns, Kind, MAX_COLUMNS, Origin, Records, Symbol, Ts};

const TIME: usize = 0;
const SYMBOL: usize = 1;
/// The values follow time and symbol.
const FIRST: usize = 2;
/// When the source of a row was made.
const MADE_TS: &str = "made_ts";
/// Whether the exchange's record agrees: follows from the source.
const CONFIRMED: &str = "confirmed";
/// Columns that older tables lack.
const OPTIONAL: [&str; 3] = ["premium", "predicted_rate", "special_funding_rate"];

/// The kind whose table a header (squeezed names) is, for files that are said to be of `kind`. Files of the
/// archive that go by the same word have other columns.
pub(super) fn kind_of(kind: FileKind, header: &[String]) -> Option<Kind> {
    let has = |name: &str| header.contains(&squeeze(name));
    let has_all =
        |kind: &Kind| kind.columns().iter().filter(|name| !OPTIONAL.contains(name)).all(|name| has(name));
    if let Some(own) = Kind::ALL.iter().copied().find(|own| is_own(*own, header))
        && may_be(kind, own)
    {
        return Some(own);
    }
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

/// Whether a header is that of the lake's own table of a kind, column by column.
fn is_own(kind: Kind, header: &[String]) -> bool {
    let mut names = header.iter().map(String::as_str).peekable();
    let mut take = |name: &str| names.next_if_eq(&squeeze(name).as_str()).is_some();
    let starts = take("timestamp") && take("symbol");
    let has_values = kind.columns().iter().all(|name| take(name) || OPTIONAL.contains(name));
    let has_source = take("source");
    // What newer tables have behind it.
    let _ = (take(MADE_TS), take(CONFIRMED));
    starts && has_values && has_source && names.next().is_none()
}

/// Whether files that are said to be of `kind` may be the lake's own tables of `own`.
const fn may_be(kind: FileKind, own: Kind) -> bool {
    match own {
        Kind::Bars => matches!(kind, FileKind::Klines),
        Kind::Funding => matches!(kind, FileKind::Funding | FileKind::Lake),
        Kind::OpenInterest | Kind::LongShortRatio => matches!(kind, FileKind::Metrics | FileKind::Lake),
        Kind::Mark => matches!(kind, FileKind::MarkIndex | FileKind::Lake),
        Kind::Liquidations => matches!(kind, FileKind::Liquidations | FileKind::Lake),
        Kind::Quotes => matches!(kind, FileKind::BookTicker | FileKind::Lake),
        Kind::Depth => matches!(kind, FileKind::BookDepth | FileKind::Lake),
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
    let provenance = ["source", MADE_TS].map(|name| Column {
        name,
        place: usize::MAX,
        aliases: if name == "source" { &["source"] } else { &[MADE_TS] },
        required: false,
    });
    HEAD.into_iter().chain(values).chain(provenance).collect()
}

/// Where each record came from, as far as the table says.
type Sources = Vec<(i64, Told)>;
/// Records of one symbol with their sources.
pub(super) type Sourced = (Records, Sources);
/// Rows of one symbol with their sources.
type Rows = (Vec<(i64, Columns)>, Sources);

/// Reads a table by symbol.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    kind: Kind,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<Symbol, Sourced>, ArchiveError> {
    let columns = columns(kind);
    let schema = Schema { kind: kind.facts().lake, columns: &columns, ignored: &[CONFIRMED], more: None };
    let mut table = Table::open(file, input, &schema, findings)?;
    let mut owner = Owner::new(file, spec);
    let mut out: BTreeMap<Symbol, Rows> = BTreeMap::new();
    while let Some(row) = table.next_row()? {
        let Some(symbol) = owner.of(&row, SYMBOL)? else { continue };
        let ts = row.time(TIME)?;
        let time = if kind.is_bar_like() { on_grid(&row, ts)?.bar().0 } else { ts.0 };
        let (records, sources) = out.entry(symbol).or_default();
        records.push((time, values(&row, kind)?));
        if let Some(told) = told(&row, kind)? {
            sources.push((time, told));
        }
    }
    owner.report(findings);
    let of_symbol = |(symbol, (rows, mut told)): (Symbol, Rows)| {
        told.sort_unstable();
        (symbol, (Records::of(kind, spec.market, &rows), told))
    };
    Ok(out.into_iter().map(of_symbol).collect())
}

/// Where a row came from before it was in the lake; nothing where the column has a word that is not ours.
fn told(row: &Row<'_>, kind: Kind) -> Result<Option<Told>, ArchiveError> {
    let source = FIRST + kind.columns().len();
    let Some(origin) = Origin::from_name(row.text(source)?) else { return Ok(None) };
    let made = if row.text(source + 1)?.is_empty() { None } else { Some(row.time(source + 1)?) };
    Ok(Some(Told { origin, made }))
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
    check(row, kind, &out)?;
    Ok(out)
}

/// What must hold of a record, whoever wrote the table.
fn check(row: &Row<'_>, kind: Kind, values: &Columns) -> Result<(), ArchiveError> {
    let found = match kind {
        Kind::Bars => klines::check(values),
        Kind::Funding => [0, 2]
            .into_iter()
            .filter(|column| !values[*column].is_nan())
            .try_for_each(|column| funding::check_rate(values[column]).map_err(|problem| (column, problem))),
        Kind::OpenInterest | Kind::LongShortRatio => match values.iter().position(|v| *v < 0.0) {
            Some(column) => Err((column, "amounts cannot be negative".to_owned())),
            None => Ok(()),
        },
        _ => Ok(()),
    };
    found.map_err(|(column, problem)| {
        row.bad(FIRST + column, row.text(FIRST + column).unwrap_or_default(), &problem)
    })
}

fn on_grid(row: &Row<'_>, ts: Ts) -> Result<Ts, ArchiveError> {
    if ts.0.rem_euclid(BAR_MS) == 0 {
        return Ok(ts);
    }
    Err(row.bad(TIME, row.text(TIME)?, "not on the 5-minute grid"))
}
