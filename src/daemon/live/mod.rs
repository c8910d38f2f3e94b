//! What the live part knows between two ticks. Pure: time and updates come in, decisions go out.

mod aggregate;
mod sieve;
mod tick_book;
mod unsaved;

pub(super) use aggregate::{Aggregates, Journalled};
pub(super) use sieve::LiveSieve;
pub(super) use tick_book::{Delivery, Series, TickBook};
