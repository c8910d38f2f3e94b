//! Discovery against independent numbers, and against worlds whose truth is known.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "test code: a failed unwrap is a failed test, and counts are small"
)]

#[path = "discovery/book.rs"]
mod book;
#[path = "discovery/cases.rs"]
mod cases;
#[path = "common/mod.rs"]
mod common;
#[path = "discovery/conditions.rs"]
mod conditions;
#[path = "discovery/examples.rs"]
mod examples;
#[path = "discovery/files.rs"]
mod files;
#[path = "discovery/ledger.rs"]
mod ledger;
#[path = "discovery/measures.rs"]
mod measures;
#[path = "discovery/oracle.rs"]
mod oracle;
#[path = "discovery/prints.rs"]
mod prints;
#[path = "discovery/promotion.rs"]
mod promotion;
#[path = "common/python.rs"]
mod python;
#[path = "discovery/robust_worlds.rs"]
mod robust_worlds;
#[path = "discovery/stages.rs"]
mod stages;
#[path = "discovery/thresholds.rs"]
mod thresholds;
#[path = "discovery/world.rs"]
mod world;
#[path = "discovery/worlds.rs"]
mod worlds;
