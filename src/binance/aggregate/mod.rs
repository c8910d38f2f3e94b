//! From stream updates to the bar-like records of the raw log.
//!
//! Pure and free of clocks: an aggregator is a function of the stamped updates it saw. What it keeps for open
//! bars is a set, not a sum: seeing an update twice (two sockets during a handover, a replay after a crash)
//! or in another order changes nothing. [`QuoteAggregator::pending`] and its kin give the few updates that
//! would rebuild that set; the [`journal`] writes them as bytes, so that a process that dies in the middle of
//! a bar loses none of them.

pub mod journal;
mod liquidations;
mod marks;
mod quote_seconds;
mod quotes;
mod trades;

pub use liquidations::LiquidationAggregator;
pub use marks::MarkAggregator;
pub use quote_seconds::{OLDEST_QUOTE_MS, Quote, QuoteSeconds};
pub use quotes::QuoteAggregator;
pub use trades::{Opinion, SecondOpinion, TradeAggregator};
