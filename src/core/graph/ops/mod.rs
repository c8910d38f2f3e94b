//! The operators, one implementation each, for batch and live alike.
//!
//! An operator sees its inputs as [`View`]s: a stretch of history, then the rows of the current chunk. It
//! writes one value per row of the chunk. How many rows arrive at once never changes a bit of the result.
//!
//! | class | rule | what it keeps |
//! | --- | --- | --- |
//! | P pointwise ([`pointwise`], [`clock`]) | a function of the row | nothing |
//! | W window ([`shift`] [`moments`] [`pairs`] [`wma`] [`order`] [`extremes`] [`counts`] [`tod`]) | a function of the window's content and the absolute row number | structures that `rebuild` derives again from history |
//! | S stateful ([`memory`] [`vpin`] [`detect`]) | a recursion over rows | state that goes into the checkpoint |
//! | other symbols ([`across`]) | a function of all symbols' rows | nothing |
//!
//! The file of a family holds all of it: the rows of the language's table (`OPERATORS`: name, parameters,
//! nodes, words), the sheets of the nodes (text, class, reach, cost, needs, how it is computed), and the
//! kernels. `docs/extend.md` adds one.
//!
//! **Invariant:** no operator knows files, time zones or what a spec calls its series; no sum is ever
//! decreased by subtraction (counts, being integers, are).

pub mod across;
pub mod blocks;
pub mod bytes;
pub mod clock;
pub mod counts;
pub mod detect;
pub mod extremes;
pub(crate) mod kernel;
pub mod memory;
pub mod moments;
pub mod order;
pub mod pairs;
pub mod pointwise;
pub mod quantile;
pub mod shift;
pub mod sorted;
pub mod tod;
mod view;
pub mod vpin;
pub mod wma;

pub use view::{FALSE, Rows, TRUE, View, clean, is_false, is_true, truth};
