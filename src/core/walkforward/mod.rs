//! Walk-forward: history lived through as a daemon would have lived it, so that what was published at an
//! instant can be held against what came after that instant.
//!
//! ```text
//! Walker::look (a closed midnight) ── version, with its instant ── events after it ── trades ── Record
//! ```
//!
//! A look is the daemon's: the book takes the days that have closed, `find` and `conclude` decide, monitoring
//! ends what it ends. Nothing here decides anything of its own, and nothing reads a bar, an event or an
//! outcome that lies after the look: cutting the future off changes no look, no version and no trade that was
//! over by then.
//!
//! Conventions:
//! - a look at midnight is published one bar later: a run takes less than a bar;
//! - an event meets the version that is in force at its detection, and trades only what that version lets
//!   trade;
//! - the claim of a blueprint is that of its first publication, and is held against every event since,
//!   whether or not the blueprint was still listed: a retirement does not make the record better.
//!
//! Pure: no clock, no I/O, no randomness. Writing versions to disk is the shell's.

mod life;
mod record;
#[cfg(test)]
mod shelf;
mod tally;

pub use life::{Step, Walker, look_days};
pub use record::{LivedTrade, Past, PointInTime};
pub use tally::{LifeRecord, Record, WalkTotals};

#[cfg(test)]
mod tests;
