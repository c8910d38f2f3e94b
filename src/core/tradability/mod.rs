//! Tradability: what a discovery is worth as the rule that would be published.
//!
//! Discovery asks whether an effect exists. This room asks what the published rule earns on the same events:
//! one position after another with its cool-down, after the full round-trip cost and funding, under higher
//! costs, with later entries, in each half of the time and on each symbol. It adds no evidence (the sample is
//! discovery's own, with the trades over midnight that discovery purges); it can only take candidates away,
//! and it says why.
//!
//! ```text
//! candidate ── sample: its events ── rule: what would be traded
//!                                     │
//!                trading: every candidate's signals, one symbol's bars in memory at a time
//!                   simulate: bars, with stop, target and delay      replay: booked outcomes, where bars are not to be had
//!                                     │
//!                          equity: trades in numbers ── evaluate: gates
//! ```
//!
//! Bars are asked of [`Markets`] for what needs them: a rule with a stop or target, and the report on later
//! entries.
//!
//! Conventions, the same as a blueprint's consumer must follow:
//! - entry at the close (or open, as the rule says) of bar event + lag; time exit at the same price of bar
//!   entry + holding time;
//! - stop and target are checked from the bar after the entry bar; inside a bar the path decides which comes
//!   first (`OHLC`, or the extreme nearer to the open first); a stop that the open has jumped over fills at
//!   the open (or at its trigger, as the rule says), a target always at its price;
//! - a gap row can neither trigger nor fill: a trade whose entry falls on one is dropped and counted, one
//!   whose time exit does leaves at the next bar that there is, as a consumer who has entered must;
//! - an event within the cool-down of the last taken one of its symbol is skipped and counted;
//! - costs are the full round trip; funding is what settled strictly inside the holding window.
//!
//! Pure: no clock, no I/O, no randomness.

mod costs;
mod equity;
mod evaluate;
mod judge;
mod markets;
mod promotion;
mod robustness;
mod rule;
mod sample;
mod thresholds;
mod trading;
mod walk;

pub use costs::evidence_costs;
pub use equity::Summary;
pub use evaluate::{BridgeError, BridgeInputs, BridgeResult, SymbolResult, apply, is_evaluated};
pub use markets::{DetectedAgain, MarketError, Markets, OtherThresholds};
pub use promotion::{
    Overfitting, PromotionReport, PromotionRow, SharpeStatistics, Split, WindowResult, promote,
};
pub use robustness::{Robustness, Shifted};
pub use rule::{BarSeries, ExitReason, Market, OrderRules, Rule, Signal, Simulation, Trade};
pub use sample::{Sample, SampleError};
pub use trading::Delayed;
pub use walk::simulate;

#[cfg(test)]
mod prior_tests;
