//! What the sources deliver, before it is joined to the grid: the input log of the pipeline.
//!
//! Each record says the instant it *describes*. When it could be *known* is that instant plus the source's
//! publication lag (`clean/`). All of it is kept in the store; a [`RawBlock`] is a stretch of that log.

use super::record::{Columns, Record, record, wide};
use super::{BarIndex, Kind, RawSymbol, Source, Symbol, Ts};

/// The funding settled at one minute: the regular settlement, a special one beside it, or only that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FundingPrint {
    /// Settlement time, to the minute ([`FundingPrint::minute_of`]).
    pub ts: Ts,
    /// Realised rate of the regular settlement, decimal per interval; NaN when there was none.
    pub rate: f64,
    /// Hours of the interval that it settles; NaN when the source does not say.
    pub interval_hours: f64,
    /// Rate of a special settlement, paid beside the regular one and no part of its series; NaN when there
    /// was none.
    pub special_rate: f64,
}

impl FundingPrint {
    /// A regular settlement.
    #[must_use]
    pub const fn regular(ts: Ts, rate: f64, interval_hours: f64) -> Self {
        Self { ts, rate, interval_hours, special_rate: f64::NAN }
    }

    /// A special settlement.
    #[must_use]
    pub const fn special(ts: Ts, rate: f64) -> Self {
        Self { ts, rate: f64::NAN, interval_hours: f64::NAN, special_rate: rate }
    }

    /// What a long pays per unit: the sum of what is known; NaN when nothing is.
    #[must_use]
    pub fn paid(&self) -> f64 {
        match (self.rate.is_nan(), self.special_rate.is_nan()) {
            (false, false) => self.rate + self.special_rate,
            (true, _) => self.special_rate,
            (false, true) => self.rate,
        }
    }

    /// The minute that a stamp of the exchange belongs to: stamps lie some milliseconds off it, mostly
    /// behind.
    #[must_use]
    pub const fn minute_of(stamp: Ts) -> Ts {
        Ts((stamp.0 + 30_000).div_euclid(60_000) * 60_000)
    }
}

record! {
    FundingPrint: Funding, ts: Ts {
        rate "funding_rate" FundingRate,
        interval_hours "funding_interval_hours" FundingIntervalH,
    } beside {
        special_rate "special_funding_rate",
    } known by rate
}

/// One open-interest snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenInterest {
    /// Instant of the snapshot, floored to the 5-minute grid for archive labels.
    pub ts: Ts,
    /// Open contracts, base units. A reported 0 is a defect of the source and is stored as NaN.
    pub contracts: f64,
    /// Value in quote units.
    pub value: f64,
}

record! {
    OpenInterest: OpenInterest, ts: Ts {
        contracts "open_interest" Oi,
        value "open_interest_value" OiValue,
    } known by contracts
}

/// Mark and index price of a bar (last values in it) and what the mark stream predicts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarkBar {
    /// Slot on the grid.
    pub bar: BarIndex,
    /// Last mark price.
    pub mark: f64,
    /// Last index price.
    pub index: f64,
    /// Premium index close (mark/index - 1 by the exchange), NaN where not collected.
    pub premium: f64,
    /// Predicted funding rate, decimal per interval; NaN in history (not archived).
    pub predicted_rate: f64,
}

record! {
    MarkBar: Mark, bar: BarIndex {
        mark "mark_price" Mark,
        index "index_price" Index,
        premium "premium" Premium,
        predicted_rate "predicted_rate" FundingPredBps,
    }
}

/// Forced orders of a bar, aggregated. Sums are lower bounds: the stream samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LiquidationBar {
    /// Slot on the grid.
    pub bar: BarIndex,
    /// Quote value of liquidated longs (order side SELL).
    pub long_usd: f64,
    /// Quote value of liquidated shorts (order side BUY).
    pub short_usd: f64,
    /// Number of long liquidations seen.
    pub long_n: f64,
    /// Number of short liquidations seen.
    pub short_n: f64,
    /// Share of the bar the stream was connected, 0..1.
    pub coverage: f64,
}

record! {
    LiquidationBar: Liquidations, bar: BarIndex {
        long_usd "liq_long_usd" LiqLongUsd,
        short_usd "liq_short_usd" LiqShortUsd,
        long_n "liq_long_n" LiqLongN,
        short_n "liq_short_n" LiqShortN,
        coverage "liq_coverage" LiqCoverage,
    }
}

/// Top of book of a bar from 1 s snapshots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuoteBar {
    /// Slot on the grid.
    pub bar: BarIndex,
    /// Mean quoted spread, bps of mid.
    pub spread_bps_mean: f64,
    /// Widest quoted spread, bps of mid.
    pub spread_bps_max: f64,
    /// Last quoted spread, bps of mid.
    pub spread_bps_last: f64,
    /// Mean value resting at the best bid, quote units.
    pub bid_depth_usd: f64,
    /// Mean value resting at the best ask, quote units.
    pub ask_depth_usd: f64,
    /// Mean of (bid - ask)/(bid + ask) quantity, -1..1.
    pub imb_mean: f64,
    /// Last of the same.
    pub imb_last: f64,
    /// Valid seconds / 300.
    pub coverage: f64,
}

record! {
    QuoteBar: Quotes, bar: BarIndex {
        spread_bps_mean "spread_bps_mean" SpreadBpsMean,
        spread_bps_max "spread_bps_max" SpreadBpsMax,
        spread_bps_last "spread_bps_last" SpreadBpsLast,
        bid_depth_usd "bid_depth_usd" BidDepthUsd,
        ask_depth_usd "ask_depth_usd" AskDepthUsd,
        imb_mean "imb_mean" ImbMean,
        imb_last "imb_last" ImbLast,
        coverage "tob_coverage" TobCoverage,
    }
}

/// Resting value within 1 % of mid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BookDepth {
    /// Instant of the snapshot.
    pub ts: Ts,
    /// Cumulative bid value within 1 %, quote units.
    pub bid_1pct: f64,
    /// Cumulative ask value within 1 %, quote units.
    pub ask_1pct: f64,
}

record! {
    BookDepth: Depth, ts: Ts {
        bid_1pct "depth_bid_1pct" DepthBid1pct,
        ask_1pct "depth_ask_1pct" DepthAsk1pct,
    }
}

/// How many are long for each that is short, and what takers bought for each unit that they sold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongShortRatio {
    /// Instant of the snapshot and end of the takers' 5 minutes, floored to the grid.
    pub ts: Ts,
    /// Accounts of the top traders (the fifth with the largest margin), long over short. A reported 0 is a
    /// defect of the source and is stored as NaN, here and below.
    pub top_accounts: f64,
    /// Positions of the top traders by their size, long over short.
    pub top_positions: f64,
    /// All accounts, long over short.
    pub accounts: f64,
    /// Volume that takers bought over what they sold, in the 5 minutes.
    pub taker_volume: f64,
}

record! {
    LongShortRatio: LongShortRatio, ts: Ts {
        top_accounts "ls_ratio_top_accounts" LsRatioTopAccounts,
        top_positions "ls_ratio_top_positions" LsRatioTopPositions,
        accounts "ls_ratio_accounts" LsRatioAccounts,
        taker_volume "taker_ls_ratio" TakerLsRatio,
    }
}

/// A stretch `[first, first + rows)` of the raw log for all symbols, in the order of the pipeline's symbol
/// list.
///
/// Bar-like records are those whose slot is in the stretch; instants are those with `first.open() < ts <=
/// (first + rows).open()` (known, at the earliest, at the close of a bar of the stretch). Consecutive blocks
/// therefore hand over every record exactly once.
#[derive(Clone, Debug, PartialEq)]
pub struct RawBlock {
    /// First slot of the stretch.
    pub first: BarIndex,
    /// Number of slots.
    pub rows: usize,
    /// One entry per symbol of the pipeline, same order.
    pub symbols: Vec<RawSymbol>,
}

impl RawBlock {
    /// An empty stretch for `symbols` symbols (all gaps).
    #[must_use]
    pub fn empty(first: BarIndex, rows: usize, symbols: usize) -> Self {
        Self { first, rows, symbols: vec![RawSymbol::default(); symbols] }
    }

    /// The names are not part of the block; this pairs them up.
    pub fn by_symbol<'a>(&'a self, names: &'a [Symbol]) -> impl Iterator<Item = (&'a Symbol, &'a RawSymbol)> {
        names.iter().zip(&self.symbols)
    }
}
