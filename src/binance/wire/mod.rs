//! Binance's wire format: stream frames and REST bodies, decoded at the border into values that cannot be
//! wrong.
//!
//! Decimals arrive as text and are read to the nearest f64 (exactly what `str::parse` gives). COIN-M
//! contracts that the merged all-market streams carry (`st` = 2) are dropped here, by their flag.

mod error;
mod frames;
mod parse;
mod rows;
mod scalar;

pub use error::WireError;
pub use parse::{parse_frame, parse_frame_bytes};
pub use rows::{
    DayRow, ExchangeInfo, FundingRow, KlineRow, Prices, RateLimit, RateType, StatisticsRow, SymbolInfo,
    parse_days, parse_exchange_info, parse_funding_rates, parse_klines, parse_premium_index, parse_refusal,
    parse_server_time, parse_statistics,
};

use super::update::Update;
use backtestd_core::market::{Bar, Ts};

/// What one websocket message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// A message with a single update.
    Update(Update),
    /// Several updates of one message (mark prices of a shard of the market).
    Updates(Vec<Update>),
    /// Answer to a request of ours.
    Control(Control),
    /// The spot server is going away: reconnect at once.
    ServerShutdown {
        /// Event time that the exchange stamped, UTC ms.
        event_ts: Ts,
    },
    /// Understood and left out.
    Dropped(Dropped),
}

/// Why a payload was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// A COIN-M contract on a merged stream.
    CoinMargined,
    /// A stream that this client does not read.
    OtherStream,
    /// A `trade` that is not one: insurance fund, auto-deleveraging.
    NotATrade,
}

/// Answer to SUBSCRIBE and the like. `result: null` does not prove that the stream exists or will send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Number of the request, if the answer repeats it.
    pub id: Option<i64>,
    /// `result`: `None` = absent, `Some(None)` = null.
    pub result: Option<Option<String>>,
    /// Error code of the exchange, where there is one.
    pub code: Option<i64>,
    /// Error text of the exchange, where there is one.
    pub message: Option<String>,
}

impl Control {
    /// Whether the request was refused.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        self.code.is_some()
    }
}

/// Refuses a bar whose prices contradict each other.
fn check_range(bar: &Bar, what: &'static str) -> Result<(), WireError> {
    let shown = || format!("open {} high {} low {} close {}", bar.open, bar.high, bar.low, bar.close);
    let fits = bar.low <= bar.open.min(bar.close) && bar.high >= bar.open.max(bar.close);
    if fits { Ok(()) } else { Err(WireError::field(what, "o/h/l/c", shown(), "low <= open, close <= high")) }
}
