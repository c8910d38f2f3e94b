//! Getting data in: history and repairs over REST, updates over the websocket.

mod backfill;
mod catch;
pub mod covered;
mod listing;
mod page;
mod plan;
mod range;

pub use backfill::{Backfill, backfill};
pub use catch::{Asked, ask_bars, instants};
pub use covered::{Covered, Stretch};
pub use listing::{Listing, Unlisted};
pub use plan::{Follow, subscriptions};
pub use range::{RangeError, RangeEvent, SeriesDone, backfill_range};
