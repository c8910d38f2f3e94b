//! Pending updates as bytes, for the store.
//!
//! Only updates that cannot be downloaded again have a form: mark prices, liquidation orders, quotes, and
//! changes of the liquidation stream. The store keeps them in batches, each with the instant at which it was
//! made: a version (u8), then [`Batch`] in postcard, an update as its arrival and what it is.

use serde::{Deserialize, Serialize};

use crate::update::{BookTicker, ForceOrder, MarkUpdate, Stamped, StreamStatus, Update};
use backtestd_core::market::Ts;

const VERSION: u8 = 2;

/// Bytes that are no batch of updates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Written by another version of the program.
    #[error("pending updates of format {found}, this program reads {VERSION}")]
    Version {
        /// The first byte, if there is one.
        found: u8,
    },
    /// Cut short, damaged, or longer than it says.
    #[error("pending updates: {len} bytes that do not hold a batch ({detail})")]
    Content {
        /// What the decoder says.
        detail: String,
        /// Length of the batch.
        len: usize,
    },
    /// An update has no bytes.
    #[error("pending updates cannot be encoded: {0}")]
    Encode(#[from] postcard::Error),
}

/// Updates that were journalled together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// When it was made: the process was there until then.
    pub at: Ts,
    /// What came since the batch before.
    pub updates: Vec<Stamped>,
}

/// An update that cannot be downloaded again. The order of the variants is part of the format.
#[derive(Serialize, Deserialize)]
enum Kept {
    Mark(MarkUpdate),
    ForceOrder(ForceOrder),
    BookTicker(BookTicker),
    Stream(StreamStatus),
}

/// What is kept of an update; `None` for one that can be downloaded again (klines, trades, books, contract
/// news).
fn kept(stamped: &Stamped) -> Option<(Ts, Kept)> {
    let kept = match &stamped.update {
        Update::Mark(mark) => Kept::Mark(mark.clone()),
        Update::ForceOrder(order) => Kept::ForceOrder(order.clone()),
        Update::BookTicker(quote) => Kept::BookTicker(quote.clone()),
        Update::Stream(status) => Kept::Stream(status.clone()),
        Update::Kline(_)
        | Update::AggTrade(_)
        | Update::Trade(_)
        | Update::Depth(_)
        | Update::Refused(_)
        | Update::Contract(_) => {
            return None;
        }
    };
    Some((stamped.arrival, kept))
}

impl Batch {
    /// The bytes; updates that can be downloaded again are left out.
    ///
    /// # Errors
    /// When postcard cannot encode them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, JournalError> {
        let updates: Vec<(Ts, Kept)> = self.updates.iter().filter_map(kept).collect();
        Ok(postcard::to_extend(&(self.at, updates), vec![VERSION])?)
    }

    /// The inverse of [`Batch::to_bytes`].
    ///
    /// # Errors
    /// When the bytes were not written by it, are cut, or go on too long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, JournalError> {
        let bad = |detail: String| JournalError::Content { detail, len: bytes.len() };
        let Some((found, body)) = bytes.split_first() else { return Err(bad("empty".to_owned())) };
        if *found != VERSION {
            return Err(JournalError::Version { found: *found });
        }
        let ((at, updates), rest): ((Ts, Vec<(Ts, Kept)>), _) =
            postcard::take_from_bytes(body).map_err(|error| bad(error.to_string()))?;
        if !rest.is_empty() {
            return Err(bad(format!("{} bytes are left over", rest.len())));
        }
        let updates = updates.into_iter().map(|(arrival, kept)| {
            let update = match kept {
                Kept::Mark(mark) => Update::Mark(mark),
                Kept::ForceOrder(order) => Update::ForceOrder(order),
                Kept::BookTicker(quote) => Update::BookTicker(quote),
                Kept::Stream(status) => Update::Stream(status),
            };
            Stamped { arrival, update }
        });
        Ok(Self { at, updates: updates.collect() })
    }
}
