//! What a file's own name says about its content; [`super::layout`] knows the folders of the archive and the
//! lake.
//!
//! Only these two decide a kind or a width. A folder that people named (`mark`, `last_30d`, `spot`) may say a
//! market or a symbol when nothing better does, and never outweighs a flag.

use std::path::Path;

use super::layout::{self, Layout};
use backtestd_core::market::{Contract, Instrument, Kind, Market, Origin};

/// Kinds of file that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum FileKind {
    /// Klines of trades (1s, 1m, 5m), or `ohlcv` tables.
    Klines,
    /// Funding settlements of perpetuals.
    Funding,
    /// The daily metrics files: open interest and other statistics.
    Metrics,
    /// Mark price klines.
    MarkKlines,
    /// Index price klines.
    IndexKlines,
    /// Premium index klines.
    PremiumKlines,
    /// Recorded liquidation orders.
    Liquidations,
    /// Best quotes, every change of them (`bookTicker`).
    BookTicker,
    /// Resting value by distance from mid (`bookDepth`).
    BookDepth,
    /// Mark, index and premium per bar in one table, as the lake has them.
    MarkIndex,
    /// A table of the lake's raw log, of the kind that its columns name.
    Lake,
}

impl FileKind {
    /// Name in flags and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Klines => "klines",
            Self::Funding => "funding",
            Self::Metrics => "metrics",
            Self::MarkKlines => "mark_klines",
            Self::IndexKlines => "index_klines",
            Self::PremiumKlines => "premium_klines",
            Self::Liquidations => "liquidations",
            Self::BookTicker => "book_ticker",
            Self::BookDepth => "book_depth",
            Self::MarkIndex => "mark_index",
            Self::Lake => "lake",
        }
    }

    /// By a word of a name, in lower case without separators.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "klines" | "kline" | "ohlcv" | "candles" => Self::Klines,
            "fundingrate" | "fundingrates" | "funding" => Self::Funding,
            "metrics" | "openinterest" | "oi" => Self::Metrics,
            "markpriceklines" | "markklines" | "markprice" | "mark" => Self::MarkKlines,
            "indexpriceklines" | "indexklines" | "indexprice" | "index" => Self::IndexKlines,
            "premiumindexklines" | "premiumklines" | "premiumindex" | "premium" => Self::PremiumKlines,
            "liquidationsnapshot" | "liquidations" | "liquidation" | "forceorder" | "forceorders" => {
                Self::Liquidations
            }
            "bookticker" | "bookticker5m" => Self::BookTicker,
            "bookdepth" => Self::BookDepth,
            "markindex" => Self::MarkIndex,
            // Tables of the lake that no kind of the archive is named after.
            _ => Self::from_lake_folder(|folder| folder.replace('_', "") == word)?,
        })
    }

    /// [`FileKind::Lake`] when some kind of record has such a folder in the lake.
    pub(super) fn from_lake_folder(is_it: impl Fn(&str) -> bool) -> Option<Self> {
        Kind::ALL.iter().any(|kind| is_it(kind.facts().lake)).then_some(Self::Lake)
    }
}

/// A fact, and whether it is the file's own (its name, the archive's or the lake's layout, or a folder below
/// the one that is searched) rather than that of a folder above it. A flag outweighs only the latter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact<T> {
    /// What is said.
    pub value: T,
    /// Whether it is the file's own.
    pub is_own: bool,
}

/// What a path says; `None` where it is silent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameFacts {
    /// The instrument that the path names.
    pub instrument: Option<Fact<Instrument>>,
    /// The market that it belongs to.
    pub market: Option<Fact<Market>>,
    /// The kind of content that the name gives.
    pub kind: Option<FileKind>,
    /// Whether the kind is named, rather than guessed from a width: then no flag may say another.
    pub kind_is_named: bool,
    /// Width of a kline in milliseconds.
    pub interval_ms: Option<i64>,
    /// Why the file cannot be imported at all.
    pub foreign: Option<String>,
}

/// Reads a path: the file's own name, then the layouts that are known, then the folders of people, the
/// nearest first. `root` is the file or folder that the user named.
#[must_use]
pub fn from_path(path: &Path, root: &Path) -> NameFacts {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let Some((name, folders)) = parts.split_last() else { return NameFacts::default() };
    let mut facts = own_name(stem(name));
    if let Some(found) = layout::of(folders) {
        merge_layout(&mut facts, found);
    }
    let above = root.iter().count();
    for (depth, folder) in folders.iter().enumerate().rev() {
        let is_own = depth >= above;
        if facts.market.is_none() {
            facts.market = market_word(&folder.to_lowercase()).map(|value| Fact { value, is_own });
        }
        if facts.instrument.is_none() {
            let named = Instrument::find(folder).filter(|i| i.to_string().len() + 8 >= folder.len());
            facts.instrument = named.map(|value| Fact { value, is_own });
        }
    }
    if let Some(market) = facts.instrument.as_ref().and_then(|i| i.value.market)
        && facts.market.as_ref().is_none_or(|m| !m.is_own)
    {
        facts.market = Some(Fact { value: market, is_own: true });
    }
    facts
}

/// Where a file comes from by its own name: a zip named after a day or a month is the archive's, anything
/// else is a table.
#[must_use]
pub fn origin_of(path: &Path) -> Origin {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip")) {
        return Origin::Table;
    }
    let parts: Vec<&str> = stem(name).split('-').collect();
    let is = |part: &str, digits: usize| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
    match parts[..] {
        [_, .., year, month, day] if is(year, 4) && is(month, 2) && is(day, 2) => Origin::ArchiveDaily,
        [_, .., year, month] if is(year, 4) && is(month, 2) => Origin::ArchiveMonthly,
        _ => Origin::Table,
    }
}

/// A name without the endings of containers.
pub(super) fn stem(name: &str) -> &str {
    let mut name = name;
    while let Some((rest, ending)) = name.rsplit_once('.') {
        let known = ["zip", "gz", "csv", "parquet", "pq", "feather", "arrow", "ipc", "txt"];
        if rest.is_empty() || !known.iter().any(|k| k.eq_ignore_ascii_case(ending)) {
            break;
        }
        name = rest;
    }
    name
}

/// What a name says on its own.
pub(super) fn own_name(stem: &str) -> NameFacts {
    let words: Vec<String> = stem.split(['-', '_', '.', ' ', '=', '(', ')']).map(str::to_lowercase).collect();
    let pairs = words.windows(2).map(|pair| pair.concat());
    let triples = words.windows(3).map(|three| three.concat());
    let whole = std::iter::once(words.concat());
    let named = whole.chain(triples).chain(pairs).find_map(|word| FileKind::from_word(&word));
    let named = named.or_else(|| words.iter().find_map(|word| FileKind::from_word(word)));
    let interval_ms = words.iter().find_map(|word| interval_ms(word));
    let instrument = Instrument::find(stem).map(|value| Fact { value, is_own: true });
    let market = words.iter().find_map(|word| market_word(word)).map(|value| Fact { value, is_own: true });
    let is_trades = words.iter().any(|w| w == "aggtrades" || w == "trades") && interval_ms.is_none();
    let foreign = (is_trades && named.is_none()).then(|| "single trades are not imported".to_owned());
    NameFacts {
        instrument,
        market,
        kind: named.or_else(|| interval_ms.map(|_| FileKind::Klines)),
        kind_is_named: named.is_some(),
        interval_ms,
        foreign,
    }
}

/// A layout says the kind and the market better than the name does (the names of mark price klines are those
/// of klines), the name says the instrument better.
fn merge_layout(facts: &mut NameFacts, layout: Layout) {
    facts.foreign = layout.foreign.or(facts.foreign.take());
    if layout.kind.is_some() {
        facts.kind = layout.kind;
        facts.kind_is_named = true;
    }
    facts.interval_ms = facts.interval_ms.or(layout.interval_ms);
    let own = |value| Fact { value, is_own: true };
    facts.market = layout.market.map(own).or(facts.market.take());
    if facts.instrument.is_none() {
        facts.instrument = layout.instrument.map(|value| Fact { value, is_own: true });
    }
    if layout.is_coin_margined
        && let Some(fact) = &mut facts.instrument
        && fact.value.problem().is_none()
    {
        fact.value.contract = Contract::CoinMargined(None);
    }
}

fn market_word(word: &str) -> Option<Market> {
    match word {
        "perp" | "um" | "futures" | "swap" => Some(Market::Perp),
        "spot" => Some(Market::Spot),
        _ => None,
    }
}

/// The widths of candles that exchanges and their libraries know, in milliseconds. Other numbers with a
/// letter behind them (`30d`) are no widths.
pub(super) fn interval_ms(word: &str) -> Option<i64> {
    let word = word.strip_suffix("in").filter(|w| w.ends_with('m')).unwrap_or(word);
    let (digits, unit) = word.split_at_checked(word.len().checked_sub(1)?)?;
    let n: i64 = digits.parse().ok()?;
    let (unit_ms, known): (i64, &[i64]) = match unit {
        "s" => (1000, &[1, 5, 10, 15, 30]),
        "m" => (60_000, &[1, 3, 5, 15, 30]),
        "h" => (3_600_000, &[1, 2, 4, 6, 8, 12]),
        "d" => (86_400_000, &[1, 3]),
        "w" => (7 * 86_400_000, &[1]),
        _ => return None,
    };
    known.contains(&n).then_some(n * unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(path: &str) -> NameFacts {
        from_path(Path::new(path), Path::new(""))
    }

    fn check(path: &str, symbol: &str, market: Option<Market>, kind: FileKind, minutes: Option<i64>) {
        let facts = facts(path);
        assert_eq!(facts.instrument.map_or_else(String::new, |i| i.value.to_string()), symbol, "{path}");
        assert_eq!(facts.market.map(|m| m.value), market, "{path}");
        assert_eq!(facts.kind, Some(kind), "{path}");
        assert_eq!(facts.interval_ms, minutes.map(|m| m * 60_000), "{path}");
        assert_eq!(facts.foreign, None, "{path}");
    }

    #[test]
    fn a_zip_that_is_named_after_a_day_or_a_month_is_of_the_archive() {
        for (name, origin) in [
            ("a/BTCUSDT-5m-2020-12-21.zip", Origin::ArchiveDaily),
            ("BTCUSDT-5m-2020-12.ZIP", Origin::ArchiveMonthly),
            ("BTCUSDT-fundingRate-2020-12.zip", Origin::ArchiveMonthly),
            ("BTCUSDT-5m-2020-12-21.csv", Origin::Table),
            ("BTCUSDT-5m-2020.zip", Origin::Table),
            ("2020-12.zip", Origin::Table),
            ("data.zip", Origin::Table),
        ] {
            assert_eq!(origin_of(Path::new(name)), origin, "{name}");
        }
    }

    #[test]
    fn archive_lake_and_loose_names_are_understood() {
        use FileKind::{BookDepth, BookTicker, Funding, Klines, MarkIndex, MarkKlines, Metrics};
        let (perp, spot) = (Some(Market::Perp), Some(Market::Spot));
        check(
            "futures/um/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01.zip",
            "BTCUSDT",
            perp,
            Klines,
            Some(5),
        );
        check("spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2020-01-01.zip", "BTCUSDT", spot, Klines, Some(1));
        check("BTCUSDT-5m-2025-01.zip", "BTCUSDT", None, Klines, Some(5));
        check("SOLUSDT-metrics-2025-09-27.zip", "SOLUSDT", None, Metrics, None);
        check("SOLUSDT-fundingRate-2025-09.zip", "SOLUSDT", None, Funding, None);
        check("frames/perp_BTCUSDT_5m_ohlcv_2025_2026.parquet", "BTCUSDT", perp, Klines, Some(5));
        check("frames/mark_SOLUSDT_1h_2025_2026.parquet", "SOLUSDT", None, MarkKlines, Some(60));
        check("perp_funding_16_symbols_2025_2026.parquet", "", perp, Funding, None);
        check(
            "lake/raw/perp/ETHUSDT/open_interest/year=2025/month=03/part.parquet",
            "ETHUSDT",
            perp,
            Metrics,
            None,
        );
        check(
            "lake/raw/spot/ETHUSDT/5m/ohlcv/year=2025/month=03/part.parquet",
            "ETHUSDT",
            spot,
            Klines,
            Some(5),
        );
        check(
            "um/daily/bookTicker/SOLUSDT/SOLUSDT-bookTicker-2024-03-01.zip",
            "SOLUSDT",
            perp,
            BookTicker,
            None,
        );
        check("BTCUSDT-bookDepth-2024-03-01.zip", "BTCUSDT", None, BookDepth, None);
        check(
            "raw/perp/BTCUSDT/mark_index/year=2025/month=03/part.parquet",
            "BTCUSDT",
            perp,
            MarkIndex,
            None,
        );
        check(
            "raw/perp/BTCUSDT/long_short_ratio/year=2025/month=03/part.parquet",
            "BTCUSDT",
            perp,
            FileKind::Lake,
            None,
        );
        check("BTCUSDT_long_short_ratio.csv", "BTCUSDT", None, FileKind::Lake, None);
        check("perp/BTCUSDT/book_ticker_5m/year=2025/part.parquet", "BTCUSDT", perp, BookTicker, None);
        check(
            "um/daily/markPriceKlines/BTCUSDT/5m/BTCUSDT-5m-2025-01-01.zip",
            "BTCUSDT",
            perp,
            MarkKlines,
            Some(5),
        );
    }

    #[test]
    fn a_word_in_a_folder_of_people_decides_neither_kind_nor_width() {
        for path in ["mark/BTCUSDT-5m-2025-01.csv", "oi/index/BTCUSDT-5m.csv", "metrics/BTCUSDT-5m.csv"] {
            let facts = facts(path);
            assert_eq!((facts.kind, facts.kind_is_named), (Some(FileKind::Klines), false), "{path}");
        }
        let facts = facts("last_30d/BTCUSDT.csv");
        assert_eq!((facts.kind, facts.interval_ms), (None, None));
        assert_eq!(facts.instrument.map(|i| i.value.to_string()).as_deref(), Some("BTCUSDT"));
    }

    #[test]
    fn another_contract_is_known_by_its_name_or_its_place() {
        for (path, symbol) in [
            ("futures/um/monthly/klines/BTCUSDT_250328/5m/BTCUSDT_250328-5m-2025-01.zip", "BTCUSDT_250328"),
            ("BTCUSDT_250328-5m-2025-01.csv", "BTCUSDT_250328"),
            ("futures/cm/daily/klines/BNBUSD_PERP/5m/BNBUSD_PERP-5m-2025-01-01.zip", "BNBUSD_PERP"),
            ("futures/cm/daily/indexPriceKlines/DOTUSD/5m/DOTUSD-5m-2025-01-01.zip", "DOTUSD"),
        ] {
            let found = facts(path).instrument.unwrap().value;
            assert_eq!(found.to_string(), symbol);
            assert!(found.problem().is_some(), "{path}");
        }
    }

    #[test]
    fn what_is_no_input_is_known_as_such() {
        for path in [
            "futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2025-01-01.zip",
            "lake/cleaned/perp/BTCUSDT/5m/ohlcv_clean/year=2025/month=01/part.parquet",
            "lake/features/perp/BTCUSDT/5m/features_v1/year=2025/month=01/part.parquet",
        ] {
            assert!(facts(path).foreign.is_some(), "{path}");
        }
    }

    #[test]
    fn what_libraries_call_their_files_is_understood() {
        use FileKind::{Funding, Klines, MarkKlines};
        check(
            "binance/futures/BTC_USDT_USDT-5m-futures.feather",
            "BTCUSDT",
            Some(Market::Perp),
            Klines,
            Some(5),
        );
        check("STETH_USDT_USDT-8h-mark.feather", "STETHUSDT", Some(Market::Perp), MarkKlines, Some(480));
        check("BTC_USDT_USDT-1h-funding_rate.feather", "BTCUSDT", Some(Market::Perp), Funding, Some(60));
        check("Binance_BTCUSDT_5min.CSV", "BTCUSDT", None, Klines, Some(5));
        check("btcusdt_1m.csv.gz", "BTCUSDT", None, Klines, Some(1));
    }
}
