//! Export to a NautilusTrader catalog, written with Arrow alone.
//!
//! ```text
//! data/bar/<BAR_TYPE>/<first>_<last>.parquet              bars of perpetuals and spot pairs
//! data/funding_rate_update/<INSTRUMENT>/…                 settlements
//! data/mark_price_update/<INSTRUMENT>/…  data/index_price_update/…
//! backtestd/catalog.json                                  what was written: files with hashes, a precision per instrument
//! backtestd/instruments.json                              steps, least notional, fees: what an instrument is made of
//! backtestd/signals.jsonl  backtestd/trades.jsonl         what is announced of each detection; what the rules make of it
//! ```
//!
//! Above is the layout of NautilusTrader 1.x: prices and quantities as 128-bit little-endian integers of
//! value x 10^16 in fixed 16-byte binaries, times as unsigned nanoseconds. That of 2.x has the folders
//! `bars`, `funding_rates`, `mark_prices` and `index_prices`, the same integers as decimals (38 digits, 16 of
//! them behind the point), and timestamps. A bar is named by its close boundary. Gaps are absent rows:
//! NautilusTrader has no unknown bar. Its instruments are made by the consumer, whose classes for them differ
//! by version.
//!
//! **Invariant: files of a series never overlap.** An export adds files for what is missing before, between
//! and after those that are there, and writes a file anew only where the store says something else for its
//! stretch.

mod bars;
mod catalog;
mod columns;
mod fixed;
mod instruments;
mod layout;
mod lines;
mod updates;

pub use bars::write_bars;
pub use catalog::{Catalog, ExportError, SeriesExport};
pub use fixed::{FixedError, decimals, to_fixed};
pub use instruments::{InstrumentFacts, LISTED_STEPS, ListedSteps, Precision, order_rules};
pub use layout::Layout;
pub use lines::{SIGNALS, TRADES, account_line, not_placed_line, trade_line, write_lines};
pub use updates::{write_funding, write_prices};
