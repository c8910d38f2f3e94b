//! Discovery against independent numbers, and against worlds whose truth is known.

#[path = "discovery/examples.rs"]
mod examples;
