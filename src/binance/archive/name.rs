//! What a path says about its content: archive names, lake partitions, and looser names.

use std::path::Path;

use backtestd_core::market::{Kind, Market, Symbol};

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

    /// By a word of a path.
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "klines" | "ohlcv" => Self::Klines,
            "fundingrate" | "funding" => Self::Funding,
            "metrics" | "openinterest" | "oi" => Self::Metrics,
            "markpriceklines" | "mark" => Self::MarkKlines,
            "indexpriceklines" | "index" => Self::IndexKlines,
            "premiumindexklines" | "premium" => Self::PremiumKlines,
            "liquidationsnapshot" | "liquidations" => Self::Liquidations,
            "bookticker" | "bookticker5m" => Self::BookTicker,
            "bookdepth" => Self::BookDepth,
            "markindex" => Self::MarkIndex,
            // Folders of the lake that no kind of the archive is named after.
            _ if Kind::ALL.iter().any(|kind| kind.facts().lake.replace('_', "") == word) => Self::Lake,
            _ => return None,
        })
    }
}

/// What the name of a file says; `None` where it is silent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameFacts {
    /// Symbol that the name gives.
    pub symbol: Option<Symbol>,
    /// Market that the name gives.
    pub market: Option<Market>,
    /// Kind of content that the name gives.
    pub kind: Option<FileKind>,
    /// Width of a kline in milliseconds.
    pub interval_ms: Option<i64>,
}

/// Quote assets by which a word of a path is recognised as a symbol.
const QUOTES: [&str; 8] = ["USDT", "USDC", "BUSD", "FDUSD", "TUSD", "BTC", "ETH", "BNB"];

/// Reads a path, the file name first, then its folders upwards.
#[must_use]
pub fn from_path(path: &Path) -> NameFacts {
    let mut facts = NameFacts::default();
    for part in path.iter().rev() {
        let Some(part) = part.to_str() else { continue };
        let whole = part.to_ascii_lowercase().replace(['_', '-'], "");
        facts.kind = facts.kind.or_else(|| FileKind::from_word(&whole));
        for word in part.split(['-', '_', '.', ' ', '=']) {
            let lower = word.to_ascii_lowercase();
            facts.kind = facts.kind.or_else(|| FileKind::from_word(&lower));
            facts.market = facts.market.or(match lower.as_str() {
                "perp" | "um" | "futures" => Some(Market::Perp),
                "spot" => Some(Market::Spot),
                _ => None,
            });
            facts.interval_ms = facts.interval_ms.or_else(|| interval_ms(word));
            facts.symbol = facts.symbol.take().or_else(|| symbol(word));
        }
    }
    if facts.kind.is_none() && facts.interval_ms.is_some() {
        facts.kind = Some(FileKind::Klines);
    }
    facts
}

fn symbol(word: &str) -> Option<Symbol> {
    let shouted = word.len() > 4 && !word.chars().any(char::is_lowercase);
    let quoted = QUOTES.iter().any(|q| word.len() > q.len() && word.ends_with(q));
    (shouted && quoted).then(|| Symbol::new(word).ok()).flatten()
}

/// `1s`, `1m`, `5m`, `1h`, `1d` in milliseconds.
pub(super) fn interval_ms(word: &str) -> Option<i64> {
    let (digits, unit) = word.split_at_checked(word.len().checked_sub(1)?)?;
    if digits.len() > 3 {
        return None;
    }
    let n: i64 = digits.parse().ok().filter(|n| *n > 0)?;
    let unit_ms = match unit {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(n * unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, symbol: &str, market: Option<Market>, kind: FileKind, minutes: Option<i64>) {
        let facts = from_path(Path::new(path));
        assert_eq!(facts.symbol.as_ref().map_or("", Symbol::as_str), symbol, "{path}");
        assert_eq!(facts.market, market, "{path}");
        assert_eq!(facts.kind, Some(kind), "{path}");
        assert_eq!(facts.interval_ms, minutes.map(|m| m * 60_000), "{path}");
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
        check("perp/BTCUSDT/book_ticker_5m/year=2025/part.parquet", "BTCUSDT", perp, BookTicker, Some(5));
        check(
            "um/daily/markPriceKlines/BTCUSDT/5m/BTCUSDT-5m-2025-01-01.zip",
            "BTCUSDT",
            perp,
            MarkKlines,
            Some(5),
        );
    }
}
