//! What the live part knows between two ticks. Pure: time and updates come in, decisions go out.

mod tick_book;

pub use tick_book::{Series, TickBook};
