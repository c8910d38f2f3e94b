//! Outcomes: what happened after an event, booked when the last bar of the holding window closes.

mod record;

pub use record::{Horizon, Outcome};
