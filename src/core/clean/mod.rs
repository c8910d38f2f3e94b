//! From the raw log to source columns on the full grid: what could be known when.
//!
//! Bar-like records stand on their own slot; a slot without a record is NaN, never a stale value. Instants
//! (funding, open interest, depth) join the first bar whose *close* is at or after the instant plus its
//! publication lag, and are held for at most `hold` after the instant. Calendars count minutes from the bar's
//! close. A column that is not collected for a symbol is absent, which is something else than unknown.
//!
//! **Invariant:** a column's value on row t depends only on records available at the close of t, and on
//! nothing about how the rows were chunked. No lag, hold or threshold lives here: they come in as a
//! [`CleanPolicy`].

mod asof;
mod calendar;
mod checkpoint;
pub mod doubt;
mod error;
mod from_spec;
mod joiner;
mod order;
mod policy;
#[cfg(test)]
mod tests;

pub use calendar::{CalendarPolicy, ReleaseTime, SessionHours, SessionPolicy};
pub use error::CleanError;
pub use joiner::Joiner;
pub use policy::{CleanPolicy, Lagged, SymbolPolicy};
