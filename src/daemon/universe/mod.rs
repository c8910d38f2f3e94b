//! The universe: which symbols are followed when a rule says it (`symbols = rule`), and who was when.
//!
//! ```text
//! exchangeInfo, ticker/24hr ─► offers ─► decide(rule, members) ─► joins, leaves, refused
//! ```
//! A symbol that joins is known from its join on: its features warm up as those of a contract that has just
//! been listed, so that nothing was chosen with hindsight. One that leaves keeps its history. The same name
//! with another onboarding date is another instrument, and is not taken for the one before it.

mod members;
mod offers;
mod rule;

pub use members::{Left, Member, Members, MembersError};
pub use offers::{Offer, Offers};
pub use rule::{Decision, decide};
