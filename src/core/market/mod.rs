//! The plain types every room speaks: time, symbols, bars, raw updates. They hold no logic beyond their own
//! invariants and know nothing about files, sockets or specs.

mod bar;
mod block;
mod draws;
mod instrument;
mod kind;
mod raw;
mod source;
mod symbol;
mod time;
mod trade;

pub use bar::Bar;
pub use block::{SymbolColumns, TickBlock};
pub use draws::{Draws, derive};
pub use instrument::{Contract, Instrument};
pub use kind::{Kind, RawPut, Records, SeriesKey};
pub use raw::{
    BookDepth, FundingPrint, LiquidationBar, MarkBar, OpenInterest, QuoteBar, RawBlock, RawSymbol,
};
pub use source::{Calendar, Source};
pub use symbol::{Market, Symbol, SymbolError};
pub use time::{BAR_MS, BARS_PER_DAY, BarIndex, DAY_MS, TimeError, Ts, parse_date, parse_time};
pub use trade::{IntrabarPath, Side, Sizing, SizingMode, StopGapFill, bar_type};
