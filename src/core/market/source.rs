//! The named source columns that specs may read (reference: the catalogue's source table).

/// A source column. Names in specs are the snake-case strings of [`Source::name`].
#[allow(missing_docs, reason = "each variant is documented once, by the source table in spec/README.md")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Source {
    Open,
    High,
    Low,
    Close,
    Volume,
    QuoteVolume,
    Trades,
    TakerBuyVolume,
    TakerBuyQuote,
    SpotOpen,
    SpotHigh,
    SpotLow,
    SpotClose,
    SpotVolume,
    SpotQuoteVolume,
    SpotTrades,
    SpotTakerBuyVolume,
    SpotTakerBuyQuote,
    Mark,
    Index,
    Premium,
    FundingRate,
    IsFundingPrint,
    FundingIntervalH,
    InterestRate8h,
    FundingPredBps,
    Oi,
    OiValue,
    LiqLongUsd,
    LiqShortUsd,
    LiqLongN,
    LiqShortN,
    LiqCoverage,
    SpreadBpsMean,
    SpreadBpsMax,
    SpreadBpsLast,
    BidDepthUsd,
    AskDepthUsd,
    ImbMean,
    ImbLast,
    TobCoverage,
    DepthBid1pct,
    DepthAsk1pct,
    TickSize,
    TakerFeeBps,
    MakerFeeBps,
    MinutesSinceSessionOpens,
    MinutesToSessionOpens,
    MinutesSinceSessionCloses,
    MinutesToSessionCloses,
    MinutesSinceFunding,
    MinutesToFunding,
    MinutesSinceMacro,
    MinutesToMacro,
}

/// A calendar that `minutes_since(..)` and `minutes_to(..)` can read.
#[allow(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Calendar {
    SessionOpens,
    SessionCloses,
    Funding,
    Macro,
}

impl Calendar {
    /// By its name in specs.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "session_opens" => Self::SessionOpens,
            "session_closes" => Self::SessionCloses,
            "funding" => Self::Funding,
            "macro" => Self::Macro,
            _ => return None,
        })
    }

    /// The column with minutes from the last instant at or before the bar's close (0 on it).
    #[must_use]
    pub const fn minutes_since(self) -> Source {
        match self {
            Self::SessionOpens => Source::MinutesSinceSessionOpens,
            Self::SessionCloses => Source::MinutesSinceSessionCloses,
            Self::Funding => Source::MinutesSinceFunding,
            Self::Macro => Source::MinutesSinceMacro,
        }
    }

    /// The column with minutes to the next instant at or after the bar's close (0 on it).
    #[must_use]
    pub const fn minutes_to(self) -> Source {
        match self {
            Self::SessionOpens => Source::MinutesToSessionOpens,
            Self::SessionCloses => Source::MinutesToSessionCloses,
            Self::Funding => Source::MinutesToFunding,
            Self::Macro => Source::MinutesToMacro,
        }
    }
}

impl Source {
    /// The columns of a perp bar, in the order of [`super::Bar::values`].
    pub const PERP_BAR: [Self; 9] = [
        Self::Open,
        Self::High,
        Self::Low,
        Self::Close,
        Self::Volume,
        Self::QuoteVolume,
        Self::Trades,
        Self::TakerBuyVolume,
        Self::TakerBuyQuote,
    ];
    /// The columns of a spot bar, in the same order.
    pub const SPOT_BAR: [Self; 9] = [
        Self::SpotOpen,
        Self::SpotHigh,
        Self::SpotLow,
        Self::SpotClose,
        Self::SpotVolume,
        Self::SpotQuoteVolume,
        Self::SpotTrades,
        Self::SpotTakerBuyVolume,
        Self::SpotTakerBuyQuote,
    ];

    /// Every source, in declaration order.
    pub const ALL: &'static [Self] = &[
        Self::Open,
        Self::High,
        Self::Low,
        Self::Close,
        Self::Volume,
        Self::QuoteVolume,
        Self::Trades,
        Self::TakerBuyVolume,
        Self::TakerBuyQuote,
        Self::SpotOpen,
        Self::SpotHigh,
        Self::SpotLow,
        Self::SpotClose,
        Self::SpotVolume,
        Self::SpotQuoteVolume,
        Self::SpotTrades,
        Self::SpotTakerBuyVolume,
        Self::SpotTakerBuyQuote,
        Self::Mark,
        Self::Index,
        Self::Premium,
        Self::FundingRate,
        Self::IsFundingPrint,
        Self::FundingIntervalH,
        Self::InterestRate8h,
        Self::FundingPredBps,
        Self::Oi,
        Self::OiValue,
        Self::LiqLongUsd,
        Self::LiqShortUsd,
        Self::LiqLongN,
        Self::LiqShortN,
        Self::LiqCoverage,
        Self::SpreadBpsMean,
        Self::SpreadBpsMax,
        Self::SpreadBpsLast,
        Self::BidDepthUsd,
        Self::AskDepthUsd,
        Self::ImbMean,
        Self::ImbLast,
        Self::TobCoverage,
        Self::DepthBid1pct,
        Self::DepthAsk1pct,
        Self::TickSize,
        Self::TakerFeeBps,
        Self::MakerFeeBps,
        Self::MinutesSinceSessionOpens,
        Self::MinutesToSessionOpens,
        Self::MinutesSinceSessionCloses,
        Self::MinutesToSessionCloses,
        Self::MinutesSinceFunding,
        Self::MinutesToFunding,
        Self::MinutesSinceMacro,
        Self::MinutesToMacro,
    ];
    /// How many there are.
    pub const COUNT: usize = 54;

    /// Dense index, `0..COUNT`.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in specs and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Close => "close",
            Self::Volume => "volume",
            Self::QuoteVolume => "quote_volume",
            Self::Trades => "trades",
            Self::TakerBuyVolume => "taker_buy_volume",
            Self::TakerBuyQuote => "taker_buy_quote",
            Self::SpotOpen => "spot_open",
            Self::SpotHigh => "spot_high",
            Self::SpotLow => "spot_low",
            Self::SpotClose => "spot_close",
            Self::SpotVolume => "spot_volume",
            Self::SpotQuoteVolume => "spot_quote_volume",
            Self::SpotTrades => "spot_trades",
            Self::SpotTakerBuyVolume => "spot_taker_buy_volume",
            Self::SpotTakerBuyQuote => "spot_taker_buy_quote",
            Self::Mark => "mark",
            Self::Index => "index",
            Self::Premium => "premium",
            Self::FundingRate => "funding_rate",
            Self::IsFundingPrint => "is_funding_print",
            Self::FundingIntervalH => "funding_interval_h",
            Self::InterestRate8h => "interest_rate_8h",
            Self::FundingPredBps => "funding_pred_bps",
            Self::Oi => "oi",
            Self::OiValue => "oi_value",
            Self::LiqLongUsd => "liq_long_usd",
            Self::LiqShortUsd => "liq_short_usd",
            Self::LiqLongN => "liq_long_n",
            Self::LiqShortN => "liq_short_n",
            Self::LiqCoverage => "liq_coverage",
            Self::SpreadBpsMean => "spread_bps_mean",
            Self::SpreadBpsMax => "spread_bps_max",
            Self::SpreadBpsLast => "spread_bps_last",
            Self::BidDepthUsd => "bid_depth_usd",
            Self::AskDepthUsd => "ask_depth_usd",
            Self::ImbMean => "imb_mean",
            Self::ImbLast => "imb_last",
            Self::TobCoverage => "tob_coverage",
            Self::DepthBid1pct => "depth_bid_1pct",
            Self::DepthAsk1pct => "depth_ask_1pct",
            Self::TickSize => "tick_size",
            Self::TakerFeeBps => "taker_fee_bps",
            Self::MakerFeeBps => "maker_fee_bps",
            Self::MinutesSinceSessionOpens => "minutes_since_session_opens",
            Self::MinutesToSessionOpens => "minutes_to_session_opens",
            Self::MinutesSinceSessionCloses => "minutes_since_session_closes",
            Self::MinutesToSessionCloses => "minutes_to_session_closes",
            Self::MinutesSinceFunding => "minutes_since_funding",
            Self::MinutesToFunding => "minutes_to_funding",
            Self::MinutesSinceMacro => "minutes_since_macro",
            Self::MinutesToMacro => "minutes_to_macro",
        }
    }

    /// By name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.name() == name)
    }
}
