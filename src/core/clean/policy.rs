//! When values may be used: the numbers of `spec/sources.yaml`, and what a deployment collects.

use std::collections::{BTreeMap, BTreeSet};

use super::CalendarPolicy;
use super::joiner::{LONGEST_GAP_H, LONGEST_INTERVAL_H};
use crate::market::HOUR_MS;
use crate::market::{BAR_MS, Kind, Source, Ts};

/// Availability of values at instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged {
    /// Known this long after the instant it describes, ms.
    pub lag_ms: i64,
    /// Used at most this long after the instant it describes, ms.
    pub hold_ms: i64,
}

/// How the raw log becomes columns.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanPolicy {
    /// Lag of settlements, ms.
    pub funding_lag_ms: i64,
    /// A settlement is used for its interval and this long, ms.
    pub funding_grace_ms: i64,
    /// Of every other kind at instants, when its records may be used.
    pub instants: BTreeMap<Kind, Lagged>,
    /// Of every kind that counts its coverage, the share of a bar below which its columns are unknown.
    pub min_coverage: BTreeMap<Kind, f64>,
    /// Sessions and releases.
    pub calendars: CalendarPolicy,
    /// One entry per symbol of the pipeline, same order.
    pub symbols: Vec<SymbolPolicy>,
}

/// What a settlement is held for and what says for how long, at their longest: its interval, the spacing to
/// the settlement before it and the spacing before that. Spacings are rounded to whole hours, which is an
/// hour in all.
const REACH_H: i64 = LONGEST_INTERVAL_H + LONGEST_GAP_H + LONGEST_INTERVAL_H + 1;

impl CleanPolicy {
    /// As [`super::Joiner::lead_in_rows`] says.
    pub(super) fn lead_in_rows(&self) -> usize {
        let funding_ms = REACH_H * HOUR_MS + self.funding_grace_ms + self.funding_lag_ms;
        let held_ms = self.instants.values().map(|rule| rule.hold_ms + rule.lag_ms).max().unwrap_or(0);
        let reach_ms = funding_ms.max(held_ms);
        usize::try_from(reach_ms / BAR_MS + 1).unwrap_or(0)
    }
}

/// What holds for one symbol. Two policies are equal if they say the same: what neither configures, NaN, is
/// no difference.
#[derive(Clone, Debug)]
pub struct SymbolPolicy {
    /// Columns that are collected. Constants below and calendars count as collected when they are set.
    pub collected: BTreeSet<Source>,
    /// Interest component of the funding formula, decimal per 8 h; NaN: not configured.
    pub interest_rate_8h: f64,
    /// Hours between settlements where neither a print nor the spacing of prints says.
    pub funding_interval_h: f64,
    /// Taker fee, bps; NaN: not configured.
    pub taker_fee_bps: f64,
    /// Maker fee, bps; NaN: not configured.
    pub maker_fee_bps: f64,
    /// Changes of both fees: instant, taker and maker fee in bps, ascending. From the first one on they take
    /// the place of the two above.
    pub fee_steps: Vec<(Ts, [f64; 2])>,
    /// Tick size, quote currency; NaN: never fetched.
    pub tick_size: f64,
}

impl PartialEq for SymbolPolicy {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |p: &Self| {
            [p.interest_rate_8h, p.funding_interval_h, p.taker_fee_bps, p.maker_fee_bps, p.tick_size]
                .map(f64::to_bits)
        };
        self.collected == other.collected
            && numbers(self) == numbers(other)
            && self.fee_steps == other.fee_steps
    }
}
