//! Kinds of raw series and where records come from.

use crate::market::{BarIndex, Source, Ts};

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
    pub(super) const fn code(self) -> u8 {
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

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.code() == code)
    }

    /// Position in [`Kind::ALL`].
    pub(super) const fn index(self) -> usize {
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
    /// [`crate::store::Store::coverage`] for spot).
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

/// Where a record came from: provenance, not part of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A file of the public archive.
    Archive,
    /// A REST answer.
    Rest,
    /// The websocket stream.
    Stream,
    /// A parquet or csv table of other provenance.
    Table,
}

impl Origin {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Archive => 1,
            Self::Rest => 2,
            Self::Stream => 3,
            Self::Table => 4,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Archive),
            2 => Some(Self::Rest),
            3 => Some(Self::Stream),
            4 => Some(Self::Table),
            _ => None,
        }
    }

    /// Name in the lake's `source` column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Rest => "rest",
            Self::Stream => "stream",
            Self::Table => "table",
        }
    }
}
