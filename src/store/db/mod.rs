//! The embedded database (fjall, an LSM tree): the raw input log, the facts computed from it, checkpoints,
//! runs.
//!
//! One thread owns the [`Store`]; its calls block. Keys sort by (market, symbol, time) for the raw log and by
//! (time, symbol, name) for facts; every value starts with a version byte (`kv/` has one file per layout).
//! One [`Store::put`] or [`Store::commit`] is one atomic batch. No module here knows what a feature or an
//! event means.

mod append;
mod checkpoint;
mod commit;
mod digest;
mod error;
mod evidence;
mod facts;
mod facts_marks;
mod judging;
mod kv;
mod law;
mod ledger;
mod likelier;
mod lock;
mod merge;
mod open;
mod provenance;
mod put;
mod quarantine;
mod raw;
mod replace;
mod salvage;
mod seal;
mod snapshot;
mod trim;
mod verify;

pub use checkpoint::{CheckpointLadder, Rewound};
pub use commit::TickCommit;
pub use error::StoreError;
pub use facts::Revision;
pub use facts_marks::{FACTS_DIRTY, FACTS_FIRST};
pub use judging::Judged;
pub use kv::summary::Summary;
pub use ledger::{ConflictSide, Conflicts, NotedConflict, UnlistedConflicts};
pub use merge::{Conflict, Delivery, Lot, MergeReport, Prefer};
pub use open::{Fsync, SCHEMA_VERSION, Store, StoreOptions};
pub use provenance::Made;
pub use put::WouldPut;
pub use quarantine::{Quarantined, Release, release_by_id};
pub use raw::SeriesRows;
pub use replace::{Replaced, Replacement};
pub use salvage::{LostRange, examine};
pub use seal::{BrokenSeal, check_seal};
pub use snapshot::{Frozen, trial_from_text, trial_to_text};
pub use verify::{Damage, Decoded};

pub use backtestd_core::market::Origin;
