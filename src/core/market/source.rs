//! The named source columns that specs may read (reference: the catalogue's source table).

/// Declares the sources from one table: the variant and its name in specs. The order is stored in checkpoints
/// ([`Source::index`]), so a new source goes to the end.
macro_rules! sources {
    ($($variant:ident $name:literal,)*) => {
        /// A source column. Names in specs are the snake-case strings of [`Source::name`].
        #[allow(missing_docs, reason = "each variant is documented once, by its group in spec/sources.yaml")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Source {
            $($variant,)*
        }

        impl Source {
            /// Every source, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in specs and messages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

sources! {
    Open "open",
    High "high",
    Low "low",
    Close "close",
    Volume "volume",
    QuoteVolume "quote_volume",
    Trades "trades",
    TakerBuyVolume "taker_buy_volume",
    TakerBuyQuote "taker_buy_quote",
    SpotOpen "spot_open",
    SpotHigh "spot_high",
    SpotLow "spot_low",
    SpotClose "spot_close",
    SpotVolume "spot_volume",
    SpotQuoteVolume "spot_quote_volume",
    SpotTrades "spot_trades",
    SpotTakerBuyVolume "spot_taker_buy_volume",
    SpotTakerBuyQuote "spot_taker_buy_quote",
    Mark "mark",
    Index "index",
    Premium "premium",
    FundingRate "funding_rate",
    IsFundingPrint "is_funding_print",
    FundingIntervalH "funding_interval_h",
    InterestRate8h "interest_rate_8h",
    FundingPredBps "funding_pred_bps",
    Oi "oi",
    OiValue "oi_value",
    LiqLongUsd "liq_long_usd",
    LiqShortUsd "liq_short_usd",
    LiqLongN "liq_long_n",
    LiqShortN "liq_short_n",
    LiqCoverage "liq_coverage",
    SpreadBpsMean "spread_bps_mean",
    SpreadBpsMax "spread_bps_max",
    SpreadBpsLast "spread_bps_last",
    BidDepthUsd "bid_depth_usd",
    AskDepthUsd "ask_depth_usd",
    ImbMean "imb_mean",
    ImbLast "imb_last",
    TobCoverage "tob_coverage",
    DepthBid1pct "depth_bid_1pct",
    DepthAsk1pct "depth_ask_1pct",
    TickSize "tick_size",
    TakerFeeBps "taker_fee_bps",
    MakerFeeBps "maker_fee_bps",
    MinutesSinceSessionOpens "minutes_since_session_opens",
    MinutesToSessionOpens "minutes_to_session_opens",
    MinutesSinceSessionCloses "minutes_since_session_closes",
    MinutesToSessionCloses "minutes_to_session_closes",
    MinutesSinceFunding "minutes_since_funding",
    MinutesToFunding "minutes_to_funding",
    MinutesSinceMacro "minutes_since_macro",
    MinutesToMacro "minutes_to_macro",
    LsRatioTopAccounts "ls_ratio_top_accounts",
    LsRatioTopPositions "ls_ratio_top_positions",
    LsRatioAccounts "ls_ratio_accounts",
    TakerLsRatio "taker_ls_ratio",
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

    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Dense index, `0..COUNT`.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The source of a name in specs.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.name() == name)
    }
}
