//! Portfolio: what all rules of a version earn together, one account, under caps.
//!
//! The bridge asks what one rule earns per trade; this room asks what an account earns that trades all of
//! them: how much is open at once, how deep it falls, what caps cost. It decides nothing: no gate reads it.
//!
//! ```text
//! position: a trade with its way from bar to bar ── allocate: how much of what is asked for fits ── account: bar by bar
//! ```
//!
//! Conventions:
//! - what is decided at a bar's close happens in this order: positions are marked, those that are due leave,
//!   then those that are asked for enter; room that a leaving position frees is there for an entering one;
//! - the size of a position is fixed at its entry: a share of the starting equity, so that results add and do
//!   not compound;
//! - caps scale what is asked for at one instant together and in proportion, never what is open already;
//! - the drawdown throttle reads the equity at the close before: no decision reads what it brings about;
//! - quantities are whole steps of the exchange, stops and targets lie on its ticks, and what is worth less
//!   than its least order is not placed and counted by the reason;
//! - costs are half at the entry, half at the exit; funding is paid when it settles;
//! - for every account: equity = start + price + funding - costs, to the last digit that addition keeps.
//!
//! Pure: no clock, no I/O, no randomness.

mod account;
mod allocate;
mod filters;
mod position;

pub use account::{Account, Closed, Day, Month, NotPlaced, Totals, run};
pub use filters::{Filters, Unfit, Unplaced};
pub use position::{Position, positions_of};
