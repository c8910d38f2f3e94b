//! The folders of the public archive and of the lake: what they say about the files in them.
//!
//! Archive: `futures/um/{daily|monthly}/<set>/<SYMBOL>/[<interval>/]<file>`, `spot/…` the same; any tail of
//! it from `<set>` on is known too. Lake: `raw/<market>/<SYMBOL>/[5m/]<table>/[year=…/month=…/]<file>`. A
//! folder that happens to be called like a part of these (`mark`, `funding`, `5m`) but stands elsewhere says
//! nothing.

use super::name::{FileKind, interval_ms};
use backtestd_core::market::{Instrument, Market};

/// What the folders of a file say.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub instrument: Option<Instrument>,
    pub market: Option<Market>,
    pub is_coin_margined: bool,
    pub kind: Option<FileKind>,
    pub interval_ms: Option<i64>,
    /// Why the file cannot be imported.
    pub foreign: Option<String>,
}

/// Reads the folders above a file.
pub(super) fn of(folders: &[&str]) -> Option<Layout> {
    lake(folders).or_else(|| archive(folders))
}

/// Sets of the archive; none of them imports single trades.
fn set_kind(set: &str) -> Option<Option<FileKind>> {
    Some(Some(match set {
        "klines" => FileKind::Klines,
        "markPriceKlines" => FileKind::MarkKlines,
        "indexPriceKlines" => FileKind::IndexKlines,
        "premiumIndexKlines" => FileKind::PremiumKlines,
        "fundingRate" => FileKind::Funding,
        "metrics" => FileKind::Metrics,
        "liquidationSnapshot" => FileKind::Liquidations,
        "bookTicker" => FileKind::BookTicker,
        "bookDepth" => FileKind::BookDepth,
        "aggTrades" | "trades" | "BVOLIndex" | "EOHSummary" => return Some(None),
        _ => return None,
    }))
}

fn archive(folders: &[&str]) -> Option<Layout> {
    let at = folders.iter().rposition(|folder| set_kind(folder).is_some())?;
    let set = folders[at];
    let above = |n: usize| at.checked_sub(n).and_then(|ix| folders.get(ix)).map(|f| f.to_lowercase());
    let is_span = |name: &Option<String>| matches!(name.as_deref(), Some("daily" | "monthly"));
    let below = folders.get(at + 1).and_then(|folder| Instrument::parse(folder).filter(|_| folder.len() > 4));
    // No one calls a folder of his own so: humps are the archive's.
    let has_humps = set.chars().any(char::is_uppercase);
    let has_span = is_span(&above(1));
    if !has_span && below.is_none() && !(has_humps && at + 1 == folders.len()) {
        return None;
    }
    let market = if has_span { above(2) } else { above(1) };
    let kind = set_kind(set).flatten();
    let mut out = Layout { instrument: below, kind, ..Layout::default() };
    match market.as_deref() {
        Some("um") => out.market = Some(Market::Perp),
        Some("spot") => out.market = Some(Market::Spot),
        Some("cm") => out.is_coin_margined = true,
        Some("option") => out.foreign = Some("options are not imported".to_owned()),
        _ => {}
    }
    if out.is_coin_margined && out.instrument.is_none() {
        out.foreign = Some("COIN-M contracts are not imported".to_owned());
    }
    if kind.is_none() {
        out.foreign = Some(format!("{set} of the archive are not imported"));
    }
    out.interval_ms = folders.get(at + 2).and_then(|folder| interval_ms(folder));
    Some(out)
}

fn lake(folders: &[&str]) -> Option<Layout> {
    let table_at = match folders.iter().position(|folder| folder.starts_with("year=")) {
        Some(year) => year.checked_sub(1)?,
        None => folders.len().checked_sub(1)?,
    };
    let is_partitioned = table_at + 1 < folders.len();
    let table = folders[table_at];
    let kind = match table {
        "ohlcv" => Some(FileKind::Klines),
        "funding" => Some(FileKind::Funding),
        "open_interest" => Some(FileKind::Metrics),
        "mark_index" => Some(FileKind::MarkIndex),
        "liquidations" => Some(FileKind::Liquidations),
        "book_ticker_5m" => Some(FileKind::BookTicker),
        "book_depth" => Some(FileKind::BookDepth),
        _ => FileKind::from_lake_folder(|folder| folder == table),
    };
    let symbol_at = if table == "ohlcv" && folders.get(table_at.checked_sub(1)?) == Some(&"5m") {
        table_at.checked_sub(2)?
    } else {
        table_at.checked_sub(1)?
    };
    let market = match *folders.get(symbol_at.checked_sub(1)?)? {
        "perp" => Some(Market::Perp),
        "spot" => Some(Market::Spot),
        _ => None,
    };
    let instrument = Instrument::parse(folders[symbol_at]);
    let is_input = kind.is_some() && market.is_some() && instrument.is_some();
    if !is_input {
        let derived = is_partitioned && folders.iter().any(|f| matches!(*f, "cleaned" | "features"));
        let foreign = Some("a table of the lake that is made from the store, not an input of it".to_owned());
        return derived.then(|| Layout { foreign, ..Layout::default() });
    }
    let interval_ms = (table == "ohlcv").then_some(backtestd_core::market::BAR_MS);
    Some(Layout { instrument, market, kind, interval_ms, ..Layout::default() })
}
