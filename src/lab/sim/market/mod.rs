//! The market: a seeded, pure function of (seed, scenario, bar). What happened in a bar never depends on when
//! the exchange was started or on who asked: the same question always has the same answer.
//!
//! A common factor and one recursion per symbol run from the scenario's genesis. A [`Market`] keeps the
//! recursion's state at every UTC midnight and makes the days in between again on demand, so months of
//! history cost little memory. Inside a bar the price runs along a fixed path ([`intrabar`]), from which open
//! bars, quotes, trades and 1-minute bars are cut.

mod diurnal;
mod edges;
mod factor;
pub mod intrabar;
mod step;
mod symbol;
mod tape;

pub(crate) use symbol::round_to;
pub use symbol::{SeriesBar, SimBar, tick};
pub use tape::Market;
