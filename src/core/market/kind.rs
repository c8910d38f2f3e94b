//! Kinds of raw series and where records come from.

use super::{
    Bar, BarIndex, BookDepth, FundingPrint, LiquidationBar, MarkBar, Market, OpenInterest, QuoteBar, Source,
    Symbol, Ts,
};

/// What a raw series records. Each kind is a keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// 5-minute bars, perp or spot.
    Bars,
    /// Funding settlements.
    Funding,
    /// Open interest snapshots.
    OpenInterest,
    /// Mark, index, premium and predicted funding per bar.
    Mark,
    /// Liquidations per bar.
    Liquidations,
    /// Top of book per bar.
    Quotes,
    /// Depth snapshots.
    Depth,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Bars,
        Self::Funding,
        Self::OpenInterest,
        Self::Mark,
        Self::Liquidations,
        Self::Quotes,
        Self::Depth,
    ];

    /// Stable number in stored keys.
    pub const fn code(self) -> u8 {
        match self {
            Self::Bars => 1,
            Self::Funding => 2,
            Self::OpenInterest => 3,
            Self::Mark => 4,
            Self::Liquidations => 5,
            Self::Quotes => 6,
            Self::Depth => 7,
        }
    }

    /// The kind of a stored number; `None` for a number that no kind has.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.code() == code)
    }

    /// Position in [`Kind::ALL`].
    pub const fn index(self) -> usize {
        self.code() as usize - 1
    }

    /// Name of the keyspace, in messages too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bars => "bars",
            Self::Funding => "funding",
            Self::OpenInterest => "open_interest",
            Self::Mark => "mark",
            Self::Liquidations => "liquidations",
            Self::Quotes => "quotes",
            Self::Depth => "depth",
        }
    }

    /// Whether records are keyed by bar number rather than by an instant.
    #[must_use]
    pub const fn is_bar_like(self) -> bool {
        matches!(self, Self::Bars | Self::Mark | Self::Liquidations | Self::Quotes)
    }

    /// The instant that a key's time stands for: a bar's open, or the instant itself.
    #[must_use]
    pub const fn instant(self, time: i64) -> Ts {
        if self.is_bar_like() { BarIndex(time).open() } else { Ts(time) }
    }

    /// Source columns that each stored column of the kind feeds, in column order (perp names; see
    /// [`backtestd_store::Store::coverage`] for spot).
    #[must_use]
    pub const fn sources(self) -> &'static [Source] {
        match self {
            Self::Bars => &Source::PERP_BAR,
            Self::Funding => &[Source::FundingRate, Source::FundingIntervalH],
            Self::OpenInterest => &[Source::Oi, Source::OiValue],
            Self::Mark => &[Source::Mark, Source::Index, Source::Premium, Source::FundingPredBps],
            Self::Liquidations => &[
                Source::LiqLongUsd,
                Source::LiqShortUsd,
                Source::LiqLongN,
                Source::LiqShortN,
                Source::LiqCoverage,
            ],
            Self::Quotes => &[
                Source::SpreadBpsMean,
                Source::SpreadBpsMax,
                Source::SpreadBpsLast,
                Source::BidDepthUsd,
                Source::AskDepthUsd,
                Source::ImbMean,
                Source::ImbLast,
                Source::TobCoverage,
            ],
            Self::Depth => &[Source::DepthBid1pct, Source::DepthAsk1pct],
        }
    }
}

/// Names a raw series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    /// What it records.
    pub kind: Kind,
    /// Market; everything but bars is [`Market::Perp`].
    pub market: Market,
    /// Symbol.
    pub symbol: Symbol,
}

/// Records of one series, any kind.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is the record type it names")]
pub enum Records {
    Bars(Market, Vec<Bar>),
    Funding(Vec<FundingPrint>),
    OpenInterest(Vec<OpenInterest>),
    Mark(Vec<MarkBar>),
    Liquidations(Vec<LiquidationBar>),
    Quotes(Vec<QuoteBar>),
    Depth(Vec<BookDepth>),
}

impl Records {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::Bars(_, r) => r.is_empty(),
            Self::Funding(r) => r.is_empty(),
            Self::OpenInterest(r) => r.is_empty(),
            Self::Mark(r) => r.is_empty(),
            Self::Liquidations(r) => r.is_empty(),
            Self::Quotes(r) => r.is_empty(),
            Self::Depth(r) => r.is_empty(),
        }
    }
}

/// Records to store for a symbol.
#[derive(Clone, Debug, PartialEq)]
pub struct RawPut {
    /// The symbol.
    pub symbol: Symbol,
    /// Its records, any order; of two for the same place the later in the list wins.
    pub records: Records,
}

impl RawPut {
    /// The series the records belong to.
    #[must_use]
    pub fn series(&self) -> SeriesKey {
        let (kind, market) = match &self.records {
            Records::Bars(market, _) => (Kind::Bars, *market),
            Records::Funding(_) => (Kind::Funding, Market::Perp),
            Records::OpenInterest(_) => (Kind::OpenInterest, Market::Perp),
            Records::Mark(_) => (Kind::Mark, Market::Perp),
            Records::Liquidations(_) => (Kind::Liquidations, Market::Perp),
            Records::Quotes(_) => (Kind::Quotes, Market::Perp),
            Records::Depth(_) => (Kind::Depth, Market::Perp),
        };
        SeriesKey { kind, market, symbol: self.symbol.clone() }
    }
}
