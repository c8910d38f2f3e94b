//! Getting data in: history and repairs over REST, updates over the websocket.

mod backfill;
mod catch;
mod plan;

pub use backfill::{Backfill, backfill};
pub use catch::{Asked, ask_bars, instants};
pub use plan::{Follow, subscriptions};
