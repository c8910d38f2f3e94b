//! Events and their outcomes.
//!
//! An [`Event`] is the record of a detection; detection itself runs inside the graph
//! ([`crate::graph::Op::Detect`]) and nothing detects again. An [`Outcome`] is what happened after an event
//! over one horizon, booked by the [`OutcomeBook`] when the last bar of the holding window closes.

mod book;
mod costs;
mod event;
mod legs;
mod record;

pub use book::{BookConfig, BookError, OutcomeBook};
pub use costs::{CostParts, CostSum, ImpactRule, Known, RoundTripCost, TrailingDays};
pub use event::{EpisodeEnd, Event, carry_label, event_id, vol_label};
pub use legs::{Leg, LegBook, Measured, RelativePrice};
pub use record::{EntryPrice, Horizon, Outcome};
