//! Events: what a detector found. Detection itself runs inside the graph (`graph/`, [`crate::graph::Op::Detect`]);
//! this room holds the record that everything downstream reads, and nothing re-detects.

mod record;

pub use record::{EpisodeEnd, Event, event_id};
