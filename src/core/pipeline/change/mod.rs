//! From one spec to another without computing everything again.
//!
//! Nodes are known by their content ([`NodeFacts::hash`](crate::graph::NodeFacts)): operator, literals,
//! inputs. What both graphs have is *kept*: its stored facts stay, its state moves over. The rest is
//! *recomputed*: the part of the new graph that it needs runs once over the raw log.
//!
//! ```text
//! Change::between(old, new)  ─► Everything { why }          costs, lags, sources, calendars: replay from the first bar
//!                            ─► Part(plan)
//!                                 │ plan.needs_history()?   no: Rebuild is not needed, stored events are rewritten
//!                                 ▼
//!                               Rebuild::push(raw rows, stored events) ─► Rebuilt { events, ends, outcomes }
//!                                 ▼
//!                               Pipeline::changed(plan, rebuild)       the new pipeline, standing where the old stands
//! ```
//!
//! **Invariant:** stored facts with those of the [`Rebuild`] in their place, and the changed pipeline, are
//! what a replay of the whole history under the new spec gives, bit for bit.

mod plan;
mod rebuild;
mod summary;

pub use plan::{Change, ChangePlan};
pub use rebuild::{Rebuild, Rebuilt};
pub use summary::ChangeSummary;
