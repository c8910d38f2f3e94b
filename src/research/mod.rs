//! One batch run: store → clean → … → blueprints, written as a run directory.

pub mod tables;
