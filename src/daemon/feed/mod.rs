//! Getting data in: history and repairs over REST, updates over the websocket.

pub mod archive;
mod backfill;
mod catch;
pub mod covered;
mod gaps;
pub mod ledger;
mod listing;
mod plan;
mod proof;
mod range;

use std::time::Duration;

/// Wait before a failed page of history is asked for again, unless the exchange says how long.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

pub use backfill::{Backfill, backfill};
pub use catch::{Answers, about_bar, ask};
pub use covered::{Answer, Covered};
pub use gaps::{SeriesGaps, Span as GapSpan};
pub use ledger::Stretch;
pub use listing::{Listing, Unlisted};
pub use plan::{Follow, overload, subscriptions};
pub use proof::check_gaps;
pub use range::{Asker, RangeError, RangeEvent, SeriesDone, backfill_range};
