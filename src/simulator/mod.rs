//! A coarse portfolio simulation of one rule: signals and bars in, trades and an equity summary out.
//!
//! Conventions, the same as a blueprint's consumer must follow:
//! - entry at the close (or open, as the rule says) of bar event + lag; time exit at the same price of bar entry +
//!   holding time;
//! - stop and target are checked from the bar after the entry bar; inside a bar the path decides which comes first
//!   (`OHLC`, or the extreme nearer to the open first); a stop that the open has jumped over fills at the open (or at
//!   its trigger, as the rule says), a target always at its price;
//! - a gap row can neither trigger nor fill: a trade whose entry or time exit falls on one is dropped and counted;
//! - an event within the cool-down of the last taken one of its symbol is skipped and counted;
//! - costs are the full round trip; funding is what settled strictly inside the holding window.
//!
//! Pure: no clock, no I/O, no randomness.

mod equity;
mod rule;
mod walk;

pub(crate) use equity::mean;
pub use equity::{Summary, summarize};
pub use rule::{BarSeries, ExitReason, Market, Rule, Signal, Simulation, Trade};
pub use walk::{replay, simulate};
