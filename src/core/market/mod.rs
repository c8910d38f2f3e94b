//! The plain types every room speaks: time, symbols, bars, raw updates. They hold no logic beyond their own
//! invariants and know nothing about files, sockets or specs.

mod bar;
mod block;
mod draws;
mod instrument;
mod kind;
mod origin;
mod raw;
mod record;
mod source;
mod symbol;
mod time;
mod trade;
mod units;

pub use bar::Bar;
pub use block::{SymbolColumns, TickBlock};
pub use draws::{Draws, derive};
pub use instrument::{Contract, Instrument};
pub use kind::{Kind, KindFacts, Live, Log, RawPut, RawSymbol, Records, SeriesKey, TimeKey};
pub use origin::{Origin, Rank};
// Every record type, and the stretch that is made of them.
pub use raw::*;
pub use record::{Columns, MAX_COLUMNS, Record, Rows};
pub use source::{Calendar, Source};
pub use symbol::{Market, Symbol, SymbolError};
pub use time::{BAR_MS, BARS_PER_DAY, BarIndex, DAY_MS, TimeError, Ts, parse_date, parse_time};
pub use trade::{IntrabarPath, Side, Sizing, SizingMode, StopGapFill, bar_type};
pub use units::{BPS, HOUR_MS, hex};
