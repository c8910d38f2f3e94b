//! Outcomes: what happened after an event, booked when the last bar of the holding window closes.

mod book;
mod legs;
mod record;

pub use book::{BookConfig, BookError, OutcomeBook, RoundTripCost};
pub use legs::{Leg, LegBook, Measured, RelativePrice};
pub use record::{EntryPrice, Horizon, Outcome};
