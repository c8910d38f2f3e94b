//! Who takes part: which units may be rejected, and which symbols a pool holds. Both are decided by counts,
//! costs and past volatility, never by a return that is tested.
//!
//! A unit with fewer events or active days than every gate asks for has p = 1 (and e = 0) in every procedure:
//! it could not be accepted, so it may not raise the k of the others. Its trial has not begun (see
//! [`super::begun`]). Counts only grow, so a p falls from 1 to what the evidence says on the day on which the
//! counts suffice, and never rises.
//!
//! The same series twice is one hypothesis. While a condition has held on every event of a unit, the unit
//! with the condition is the unit without it; while a pool holds the rows of one symbol, it is that symbol.
//! The wider name of the former and the narrower of the latter stands for both, and the other has p = 1.
//! Counts say so, and once a row tells them apart they are two for ever: such a p falls too, and never rises.

use std::collections::BTreeMap;

use serde::Serialize;

use super::catalogue::{Catalogue, UnitPlace};
use super::evidence::EvidenceBook;
use crate::market::Symbol;
use crate::spec::TestStatistic;
use crate::spec::gates::GatesSpec;

/// The counts that a unit needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeastCounts {
    /// Events with a known return.
    pub events: u64,
    /// Active UTC days.
    pub days: u64,
}

impl LeastCounts {
    /// Of a unit, under the profile in force.
    #[must_use]
    pub fn of(catalogue: &Catalogue, gates: &GatesSpec, place: UnitPlace) -> Self {
        let event_type = &catalogue.blocks[place.block].event_type;
        let limits = gates.gate_v1_phase2.resolve(gates.profile, event_type);
        // What a state needs to be published; a statistic that is only reported does not.
        let is_published = catalogue.statistic == TestStatistic::OwnReturn;
        let of_state = catalogue.condition(place).filter(|_| is_published).map_or(0, |c| c.min_events);
        Self { events: u64::from(limits.min_sample_size.max(of_state)), days: u64::from(limits.min_clusters) }
    }

    /// Whether these are enough.
    #[must_use]
    pub const fn admit(self, events: u64, days: u64) -> bool {
        events >= self.events && days >= self.days
    }
}

/// How far single days, rows and symbols could move a unit, and whether its counts let it take part.
#[derive(Clone, Debug, PartialEq)]
pub struct Influence {
    /// As many events and days as it takes; without them its p is 1 in every procedure.
    pub is_admitted: bool,
    /// Day scores of the traded side that were larger than they count.
    pub capped_days: u64,
    /// Share of the largest day in the summed net score of the traded side; `None` where the sum is no gain.
    /// From 1 on the evidence rests on that one day.
    pub top_day_share: Option<f64>,
    /// Events whose sigma counts as more than it is.
    pub n_floored: u64,
    /// Events that a pooled unit leaves out.
    pub n_left_out_of_pool: u64,
    /// Symbols that it leaves out as things stand. They are not traded: [`super::Candidate::scope`] is
    /// without them.
    pub left_out_symbols: Vec<Symbol>,
    /// The candidate that holds the very same rows and stands for both; this one's p is 1 in every procedure.
    pub same_series_as: Option<String>,
    /// Calendar days until the evidence suffices, if it goes on as it has on average; `None` of what is
    /// found, does not take part, or does not gain. A number to wait by: what is tested is chosen without it.
    pub days_to_decision: Option<f64>,
    /// `ln` of [`super::Candidate::e_value`], which ends at 1e304.
    pub log_e_value: f64,
    /// `ln` of [`super::Candidate::e_sup`], which ends at 1e304.
    pub log_e_sup: f64,
}

impl Default for Influence {
    /// Of a unit that takes part and that nothing had to be bounded for.
    fn default() -> Self {
        Self {
            is_admitted: true,
            capped_days: 0,
            top_day_share: None,
            n_floored: 0,
            n_left_out_of_pool: 0,
            left_out_symbols: Vec::new(),
            same_series_as: None,
            days_to_decision: None,
            log_e_value: 0.0,
            log_e_sup: 0.0,
        }
    }
}

/// The unit that holds the very same rows as a unit of its block and stands for both. `events` says how many
/// rows a scope and condition of the block have used.
#[must_use]
pub fn twin(
    catalogue: &Catalogue,
    place: UnitPlace,
    events: &dyn Fn(usize, usize) -> u64,
) -> Option<UnitPlace> {
    let UnitPlace { block, scope, condition } = place;
    let own = events(scope, condition);
    if own == 0 {
        return None;
    }
    // The rows of a condition are among those without one.
    if condition > 0 && events(scope, 0) == own {
        return Some(UnitPlace { block, scope, condition: 0 });
    }
    // The rows of a pool are among those of its symbols, each a symbol's.
    let symbols = catalogue.symbols.len();
    let of_symbols = || (0..symbols).map(|symbol| events(symbol, condition));
    let alone = (0..symbols).find(|symbol| events(*symbol, condition) == own)?;
    (scope == symbols && of_symbols().sum::<u64>() == own).then_some(UnitPlace {
        block,
        scope: alone,
        condition,
    })
}

/// A symbol that pooled units of a holding period leave out, at least for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOutSymbol {
    /// The symbol that is left out.
    pub symbol: Symbol,
    /// The holding period.
    pub horizon: String,
    /// Event types where it is left out of some rows.
    pub event_types: usize,
    /// Rows left out.
    pub rows: u64,
    /// Event types where it is left out as things stand.
    pub event_types_now: usize,
}

/// Every symbol that is left out of a pool somewhere, by symbol and holding period.
pub(super) fn left_out_of_pools(catalogue: &Catalogue, book: &EvidenceBook) -> Vec<LeftOutSymbol> {
    let mut found: BTreeMap<(usize, u32), LeftOutSymbol> = BTreeMap::new();
    for (block, evidence) in catalogue.blocks.iter().zip(&book.blocks).filter(|_| catalogue.has_pooled) {
        for (symbol, rows) in evidence.apart().into_iter().enumerate().filter(|(_, rows)| *rows > 0) {
            let entry = found.entry((symbol, block.horizon.bars)).or_insert_with(|| LeftOutSymbol {
                symbol: catalogue.symbols[symbol].clone(),
                horizon: block.horizon.label.as_ref().to_owned(),
                event_types: 0,
                rows: 0,
                event_types_now: 0,
            });
            entry.event_types += 1;
            entry.rows += rows;
            entry.event_types_now += usize::from(evidence.is_apart(symbol));
        }
    }
    found.into_values().collect()
}

/// The symbols of a pooled unit that are not left out of it as things stand.
pub(super) fn pool_members(catalogue: &Catalogue, book: &EvidenceBook, block: usize) -> Vec<Symbol> {
    let members = catalogue.symbols.iter().enumerate();
    members
        .filter(|(symbol, _)| !book.blocks[block].is_apart(*symbol))
        .map(|(_, name)| name.clone())
        .collect()
}
