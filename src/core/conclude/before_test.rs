//! What a look would have published had the test part of its history not been there: the same hypotheses, the
//! same trials and the same gates of discovery over the days of train and validation alone. What it names has
//! a test part that took no part in choosing it.

use std::collections::BTreeSet;

use super::{Look, closed_through, find, outcome_table};
use crate::discovery::{DiscoveryConfig, PromotionTrack, TableError};
use crate::market::Ts;
use crate::outcomes::Outcome;
use crate::spec::CompiledSpec;

/// Ids of the candidates that pass every gate of discovery by the UTC days that were closed when the test
/// part began. Trials, exclusions and what conditions lack are those of the look: more than was known then,
/// never less.
pub(super) fn found_before(
    test_begin: Ts,
    (look, config): (&Look<'_>, &DiscoveryConfig),
    spec: &CompiledSpec,
    outcomes: &[Outcome],
) -> Result<BTreeSet<String>, TableError> {
    let day = closed_through(test_begin);
    let mut book = config.open_book(look.catalogue);
    // What was open at that midnight counts as far as it had come.
    book.advance(&outcome_table(spec, outcomes)?, look.catalogue, day);
    let config = DiscoveryConfig { closed_through: Some(day), ..config.clone() };
    let found = find(&Look { book: &book, ..*look }, &config).candidates;
    let chosen = found.into_iter().filter(|c| c.judgement.promotion_track == PromotionTrack::Standard);
    Ok(chosen.map(|c| c.measured.candidate_id).collect())
}
