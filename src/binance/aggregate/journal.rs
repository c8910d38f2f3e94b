//! Pending updates as bytes, for the store.
//!
//! Only updates that cannot be downloaded again have a form: mark prices, liquidation orders, quotes, and changes
//! of the liquidation stream. Little-endian, lengths in bytes:
//!
//! ```text
//! version u8 = 1 | kind u8 | arrival i64 | fields
//!   kind 1 mark:        symbol | mark f64 | index f64 | predicted f64 | next_funding i64 (−1 = none) | event i64
//!   kind 2 force order: symbol | side u8 (0 buy, 1 sell) | quantity f64 | filled f64 | price f64 | average f64
//!                       | trade i64 | event i64
//!   kind 3 quote:       symbol | market u8 (0 perp, 1 spot) | id i64 | bid f64 | quantity f64 | ask f64 | quantity f64
//!                       | event i64 (−1 = none)
//!   kind 4 stream:      route u8 | shard u32 | kind u8 | state u8 | since i64     (the reason is not kept)
//! symbol = length u8 | UTF-8
//! ```
//!
//! The store keeps them in batches, each with the instant at which it was made:
//!
//! ```text
//! version u8 = 1 | at i64 | once for each update: length u16, record as above
//! ```

use crate::routes::{Route, StreamKind};
use crate::update::{BookTicker, ForceOrder, MarkUpdate, Side, Stamped, StreamState, StreamStatus, Update};
use backtestd_core::market::{Market, Symbol, Ts};

const VERSION: u8 = 1;
const BATCH_VERSION: u8 = 1;
const NONE: i64 = -1;
const STATES: [StreamState; 3] = [StreamState::Live, StreamState::Stale, StreamState::Down];

/// Bytes that are no journalled update.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pending update: {detail} at byte {at} of {len}")]
pub struct JournalError {
    /// What is wrong.
    pub detail: &'static str,
    /// Byte offset in the record at which it went wrong.
    pub at: usize,
    /// Length of the record.
    pub len: usize,
}

/// The bytes of an update, or `None` for a kind that can be downloaded again (klines, trades, books, contract news).
#[must_use]
pub fn encode(stamped: &Stamped) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(80);
    let head = |out: &mut Vec<u8>, kind: u8| {
        out.extend([VERSION, kind]);
        out.extend(stamped.arrival.0.to_le_bytes());
    };
    let symbol = |out: &mut Vec<u8>, symbol: &Symbol| {
        // Symbols have at most 40 bytes.
        out.push(symbol.as_str().len() as u8);
        out.extend(symbol.as_str().as_bytes());
    };
    let floats = |out: &mut Vec<u8>, values: &[f64]| out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    let times = |out: &mut Vec<u8>, values: &[i64]| out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    match &stamped.update {
        Update::Mark(m) => {
            head(&mut out, 1);
            symbol(&mut out, &m.symbol);
            floats(&mut out, &[m.mark, m.index, m.predicted_rate]);
            times(&mut out, &[m.next_funding_ts.map_or(NONE, |t| t.0), m.event_ts.0]);
        }
        Update::ForceOrder(o) => {
            head(&mut out, 2);
            symbol(&mut out, &o.symbol);
            out.push(o.side as u8);
            floats(&mut out, &[o.quantity, o.filled, o.price, o.average_price]);
            times(&mut out, &[o.trade_ts.0, o.event_ts.0]);
        }
        Update::BookTicker(q) => {
            head(&mut out, 3);
            symbol(&mut out, &q.symbol);
            out.push(q.market as u8);
            times(&mut out, &[q.update_id]);
            floats(&mut out, &[q.bid, q.bid_quantity, q.ask, q.ask_quantity]);
            times(&mut out, &[q.event_ts.map_or(NONE, |t| t.0)]);
        }
        Update::Stream(s) => {
            head(&mut out, 4);
            out.push(s.route as u8);
            out.extend((s.shard as u32).to_le_bytes());
            out.extend([s.kind as u8, s.state as u8]);
            times(&mut out, &[s.since.0]);
        }
        Update::Kline(_)
        | Update::AggTrade(_)
        | Update::Trade(_)
        | Update::Depth(_)
        | Update::Refused(_)
        | Update::Contract(_) => {
            return None;
        }
    }
    Some(out)
}

/// The inverse of [`encode`].
///
/// # Errors
/// When the bytes were not written by [`encode`], are cut, or go on too long.
pub fn decode(bytes: &[u8]) -> Result<Stamped, JournalError> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.byte()? != VERSION {
        return Err(reader.error("unknown version"));
    }
    let kind = reader.byte()?;
    let arrival = Ts(reader.long()?);
    let update = match kind {
        1 => Update::Mark(MarkUpdate {
            symbol: reader.symbol()?,
            mark: reader.float()?,
            index: reader.float()?,
            predicted_rate: reader.float()?,
            next_funding_ts: reader.time_if_any()?,
            event_ts: Ts(reader.long()?),
        }),
        2 => Update::ForceOrder(ForceOrder {
            symbol: reader.symbol()?,
            side: reader.one_of(&[Side::Buy, Side::Sell])?,
            quantity: reader.float()?,
            filled: reader.float()?,
            price: reader.float()?,
            average_price: reader.float()?,
            trade_ts: Ts(reader.long()?),
            event_ts: Ts(reader.long()?),
        }),
        3 => Update::BookTicker(BookTicker {
            symbol: reader.symbol()?,
            market: reader.one_of(&[Market::Perp, Market::Spot])?,
            update_id: reader.long()?,
            bid: reader.float()?,
            bid_quantity: reader.float()?,
            ask: reader.float()?,
            ask_quantity: reader.float()?,
            event_ts: reader.time_if_any()?,
        }),
        4 => Update::Stream(StreamStatus {
            route: reader.one_of(&Route::ALL)?,
            shard: u32::from_le_bytes(reader.take()?) as usize,
            kind: reader.one_of(&StreamKind::ALL)?,
            state: reader.one_of(&STATES)?,
            since: Ts(reader.long()?),
            reason: String::new(),
        }),
        _ => return Err(reader.error("unknown kind")),
    };
    if reader.at != bytes.len() {
        return Err(reader.error("trailing bytes"));
    }
    Ok(Stamped { arrival, update })
}

/// Updates that were journalled together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// When it was made: the process was there until then.
    pub at: Ts,
    /// What came since the batch before.
    pub updates: Vec<Stamped>,
}

/// The bytes of a batch; updates that have no form of their own are left out.
#[must_use]
pub fn encode_batch<'u>(at: Ts, updates: impl IntoIterator<Item = &'u Stamped>) -> Vec<u8> {
    let mut out = vec![BATCH_VERSION];
    out.extend(at.0.to_le_bytes());
    for record in updates.into_iter().filter_map(encode) {
        // A record has at most 112 bytes.
        out.extend((record.len() as u16).to_le_bytes());
        out.extend(record);
    }
    out
}

/// The inverse of [`encode_batch`].
///
/// # Errors
/// When the bytes were not written by [`encode_batch`] or are cut.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch, JournalError> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.byte()? != BATCH_VERSION {
        return Err(reader.error("unknown version of a batch"));
    }
    let at = Ts(reader.long()?);
    let mut updates = Vec::new();
    while reader.at < bytes.len() {
        let len = usize::from(u16::from_le_bytes(reader.take()?));
        let Some(record) = bytes.get(reader.at..reader.at + len) else {
            return Err(reader.error("cut short"));
        };
        updates.push(decode(record)?);
        reader.at += len;
    }
    Ok(Batch { at, updates })
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    const fn error(&self, detail: &'static str) -> JournalError {
        JournalError { detail, at: self.at, len: self.bytes.len() }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], JournalError> {
        let Some(part) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()) else {
            return Err(self.error("cut short"));
        };
        self.at += N;
        Ok(*part)
    }

    fn byte(&mut self) -> Result<u8, JournalError> {
        Ok(self.take::<1>()?[0])
    }

    fn long(&mut self) -> Result<i64, JournalError> {
        self.take().map(i64::from_le_bytes)
    }

    fn float(&mut self) -> Result<f64, JournalError> {
        self.take().map(f64::from_le_bytes)
    }

    fn time_if_any(&mut self) -> Result<Option<Ts>, JournalError> {
        Ok(Some(self.long()?).filter(|t| *t != NONE).map(Ts))
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Result<T, JournalError> {
        let index = usize::from(self.byte()?);
        all.get(index).copied().ok_or_else(|| self.error("unknown code"))
    }

    fn symbol(&mut self) -> Result<Symbol, JournalError> {
        let length = usize::from(self.byte()?);
        let Some(part) = self.bytes.get(self.at..self.at + length) else {
            return Err(self.error("cut short"));
        };
        self.at += length;
        let text = std::str::from_utf8(part).ok().and_then(|text| Symbol::new(text).ok());
        text.ok_or_else(|| self.error("no symbol"))
    }
}
