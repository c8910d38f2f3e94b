//! The operators, one implementation each, for batch and live alike.
//!
//! An operator sees its inputs as [`View`]s: a stretch of history, then the rows of the current chunk. It writes one
//! value per row of the chunk. How many rows arrive at once never changes a bit of the result.
//!
//! | class | rule | what it keeps |
//! | --- | --- | --- |
//! | P pointwise ([`pointwise`], [`normal`]) | a function of the row | nothing |
//! | W window ([`shift`] [`moments`] [`order`] [`extremes`] [`counts`] [`tod`]) | a function of the window's content and the absolute row number | structures that `rebuild` derives again from history |
//! | S stateful ([`memory`] [`vpin`] [`detect`]) | a recursion over rows | state that goes into the checkpoint |
//!
//! **Invariant:** nothing here knows names, files, time zones or other symbols; no sum is ever decreased by
//! subtraction (counts, being integers, are).

pub mod blocks;
pub mod bytes;
pub mod counts;
pub mod detect;
pub mod extremes;
pub mod memory;
pub mod moments;
#[expect(clippy::excessive_precision, reason = "coefficients as published")]
pub mod normal;
pub mod order;
pub mod pointwise;
pub mod quantile;
pub mod shift;
pub mod sorted;
pub mod tod;
mod view;
pub mod vpin;

pub use view::{FALSE, Rows, TRUE, View, clean, is_false, is_true, truth};
