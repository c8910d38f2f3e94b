//! Matured outcomes.
//!
//! ```text
//! key    time: bar on which it matured | symbol 0x00 | event type 0x00 | time: the event's bar | horizon bars u32 BE
//! value  0x02 | postcard of `StoredOutcome`, postcard of (`midnight_return`, the parts of its cost); 0x01: without them
//! ```
//!
//! The event is not repeated: the key names it, and reading joins it back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::Interner;
use super::{push_time, text_at, time_at};
use backtestd_core::market::BarIndex;
use backtestd_core::outcomes::Event;
use backtestd_core::outcomes::{CostParts, EntryPrice, Horizon, Outcome};

const VERSION: u8 = 2;
/// Written before windows were marked at midnight and costs had parts: such a window over midnight is counted
/// and not tested.
const WITHOUT_PARTS: u8 = 1;

#[derive(Serialize, Deserialize)]
struct StoredOutcome<'a> {
    label: &'a str,
    entry_lag_bars: u32,
    /// 0 close, 1 open.
    entry_price: u8,
    forward_return: f64,
    mfe_bps: f64,
    mae_bps: f64,
    funding_paid: f64,
    cost_bps_round_trip: f64,
}

/// The bar on whose close the outcome was booked.
pub(in crate::db) fn matured_bar(outcome: &Outcome) -> BarIndex {
    outcome.event.bar + i64::from(outcome.entry_lag_bars) + i64::from(outcome.horizon.bars)
}

pub(in crate::db) fn key(outcome: &Outcome) -> Vec<u8> {
    let event = &outcome.event;
    let mut key = super::event::key(matured_bar(outcome), &event.symbol, &event.event_type);
    push_time(&mut key, event.bar.0);
    key.extend_from_slice(&outcome.horizon.bars.to_be_bytes());
    key
}

pub(in crate::db) fn encode(outcome: &Outcome) -> Result<Vec<u8>, postcard::Error> {
    let stored = StoredOutcome {
        label: &outcome.horizon.label,
        entry_lag_bars: outcome.entry_lag_bars,
        entry_price: match outcome.entry_price {
            EntryPrice::Close => 0,
            EntryPrice::Open => 1,
        },
        forward_return: outcome.forward_return,
        mfe_bps: outcome.mfe_bps,
        mae_bps: outcome.mae_bps,
        funding_paid: outcome.funding_paid,
        cost_bps_round_trip: outcome.cost_bps_round_trip,
    };
    postcard::to_extend(
        &(outcome.midnight_return, outcome.costs),
        postcard::to_extend(&stored, vec![VERSION])?,
    )
}

/// Key of the event that an outcome's key names.
pub(in crate::db) fn event_key(key: &[u8]) -> Option<Vec<u8>> {
    let (_, next) = text_at(key, 8)?;
    let (_, next) = text_at(key, next)?;
    let mut event = Vec::with_capacity(next);
    push_time(&mut event, time_at(key, next)?);
    event.extend_from_slice(&key[8..next]);
    Some(event)
}

pub(in crate::db) fn decode(
    key: &[u8],
    value: &[u8],
    event: Arc<Event>,
    names: &mut Interner,
) -> Option<Outcome> {
    let (version, body) = value.split_first()?;
    let (s, rest): (StoredOutcome<'_>, _) = postcard::take_from_bytes(body).ok()?;
    let (midnight_return, costs): (f64, CostParts) = match *version {
        VERSION => postcard::from_bytes(rest).ok()?,
        WITHOUT_PARTS => (f64::NAN, CostParts::whole(s.cost_bps_round_trip)),
        _ => return None,
    };
    let bars = u32::from_be_bytes(key.get(key.len().checked_sub(4)?..)?.try_into().ok()?);
    Some(Outcome {
        event,
        horizon: Horizon { label: names.get(s.label), bars },
        entry_lag_bars: s.entry_lag_bars,
        entry_price: match s.entry_price {
            0 => EntryPrice::Close,
            1 => EntryPrice::Open,
            _ => return None,
        },
        forward_return: s.forward_return,
        midnight_return,
        mfe_bps: s.mfe_bps,
        mae_bps: s.mae_bps,
        funding_paid: s.funding_paid,
        cost_bps_round_trip: s.cost_bps_round_trip,
        costs,
    })
}
