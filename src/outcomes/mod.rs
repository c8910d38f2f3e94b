//! Outcomes: what happened after an event, booked when the last bar of the holding window closes.

mod book;
mod record;

pub use book::{BookConfig, BookError, OutcomeBook, RoundTripCost};
pub use record::{EntryPrice, Horizon, Outcome};
