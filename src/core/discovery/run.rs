//! The whole of phase 2 over an outcome table.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::accounting::Accounting;
use super::begun::{ByUnit, begun};
use super::candidate::{Candidate, PromotionTrack};
use super::catalogue::Catalogue;
use super::catalogue_spec::{CatalogueSpec, TestedFilter, Untested};
use super::conclude::{Context, conclude};
use super::evidence::EvidenceBook;
use super::exclusion::{Exclusion, Lacking, unavailable, untested};
use super::ledger::{Cohort, Tier, date};
use super::membership::{LeftOutSymbol, left_out_of_pools};
use super::table::OutcomeTable;
use crate::market::Ts;
use crate::spec::gates::{FamiliesFile, GatesSpec};

/// What discovery needs to know beside the outcomes.
#[derive(Clone, Debug)]
pub struct DiscoveryConfig {
    /// Thresholds and procedures.
    pub gates: GatesSpec,
    /// What counts as one group.
    pub families: FamiliesFile,
    /// What to test; `None` = whatever the table holds.
    pub catalogue: Option<CatalogueSpec>,
    /// The last UTC day (since the epoch) whose outcomes are all booked; `None` = every day of the table.
    pub closed_through: Option<i64>,
    /// Bars from the deciding bar to the entry (where the catalogue is taken from the table).
    pub entry_lag_bars: u32,
    /// Written into every candidate.
    pub spec_hash: Arc<str>,
    /// Units that stay in the catalogue with p = 1.
    pub excluded: Vec<Exclusion>,
    /// What conditions read and nobody knows. Changes no number: their units are empty.
    pub lacking: Vec<Lacking>,
}

impl DiscoveryConfig {
    /// The numbered catalogue for a table.
    #[must_use]
    pub fn catalogue(&self, table: &OutcomeTable) -> Catalogue {
        match &self.catalogue {
            Some(spec) => Catalogue::new(spec, &self.families),
            None => Catalogue::new(&CatalogueSpec::from_table(table, self.entry_lag_bars), &self.families),
        }
    }

    /// An empty book for a catalogue.
    #[must_use]
    pub fn open_book(&self, catalogue: &Catalogue) -> EvidenceBook {
        EvidenceBook::new(catalogue, &self.gates.evidence).under(&self.spec_hash)
    }
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    /// Every unit with data, in catalogue order.
    pub candidates: Vec<Candidate>,
    /// The run in numbers.
    pub summary: DiscoverySummary,
}

/// A hypothesis that has not been found, and how long it would take at the pace so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    /// Event type of the hypothesis.
    pub event_type: Arc<str>,
    /// Label of its holding period.
    pub horizon: String,
    /// Condition id; empty = none.
    pub state_id: String,
    /// Symbol, or `ALL`.
    pub scope: String,
    /// Calendar days from the last closed day.
    pub days: f64,
}

/// One tier of the budget, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TierSummary {
    /// Which units of a catalogue it is.
    pub tier: Tier,
    /// Units of the catalogue at hand.
    pub hypotheses: usize,
    /// The part of the whole error budget that those of them have whose trials have begun.
    pub budget: f64,
    /// Units with data.
    pub tested: usize,
    /// Of these, units with as many events and days as it takes.
    pub admitted: usize,
    /// Discoveries among them.
    pub discoveries: usize,
}

/// The run in numbers: `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiscoverySummary {
    /// Layout of the file, always `backtestd.discovery/1`.
    pub schema: &'static str,
    /// Hash of the catalogue.
    pub catalogue_hash: String,
    /// Hash of the specs.
    pub ontology_spec_hash: Arc<str>,
    /// Rows of the table (of a book: rows of its closed days).
    pub rows: usize,
    /// Rows that entered the evidence.
    pub rows_used: u64,
    /// Rows whose exit falls on a later day than the entry, and of which nobody knows where they stood at
    /// midnight.
    pub rows_purged: u64,
    /// Of the rows that entered the evidence, those that were marked to market at a midnight and carried over
    /// it.
    pub rows_marked: u64,
    /// Rows that cannot be scored: return, cost or scale unknown, infinite or beyond any market.
    pub rows_dropped: u64,
    /// Rows without a direction.
    pub rows_undirected: u64,
    /// Used rows whose sigma counts as more than it is.
    pub rows_floored: u64,
    /// Used rows that pooled units leave out, their symbol moving less than its round trip costs.
    pub rows_left_out_of_pool: u64,
    /// The same by symbol and holding period.
    pub left_out_of_pool: Vec<LeftOutSymbol>,
    /// Rows of the input that repeated another and were collapsed into it.
    pub rows_repeated: u64,
    /// Events and holding periods whose rows contradicted each other: each counts as one row without a known
    /// return.
    pub rows_contradicting: u64,
    /// Last UTC day that was taken, as a date.
    pub closed_through: Option<String>,
    /// Units in the catalogue.
    pub hypotheses: usize,
    /// Trials ever, units that are gone included: m.
    pub trials: usize,
    /// Trials of the catalogue at hand that have begun: units that can be decided.
    pub begun: usize,
    /// The trials by cohort.
    pub cohorts: Vec<Cohort>,
    /// The budget by tier.
    pub tiers: Vec<TierSummary>,
    /// Units with data.
    pub tested: usize,
    /// Of these, units with as many events and days as it takes: the others have p = 1 in every procedure.
    pub admitted: usize,
    /// Units that hold the same rows as another, which stands for both.
    pub same_series: usize,
    /// What is nearest to being found, soonest first: something to wait by, and nothing to choose a test by.
    pub nearest: Vec<Nearest>,
    /// Units with a day whose score counts as less than it is.
    pub units_with_capped_days: usize,
    /// The procedure and evidence that decided.
    pub publish_with: String,
    /// The evidence that `publish_with` is applied to.
    pub publish_on: String,
    /// Units within `max_q_value` by each procedure.
    pub discoveries_by_procedure: BTreeMap<&'static str, usize>,
    /// Of the discoveries, so many are true at least, with a confidence of `1 - max_q_value` on this evening.
    pub true_discoveries_at_least: usize,
    /// Units within the paper-trading tier's `max_q_value` by the publishing procedure.
    pub candidates_at_fallback: usize,
    /// Discoveries of the publishing procedure.
    pub discoveries: usize,
    /// Discoveries that pass every gate.
    pub survivors: usize,
    /// Units that pass each gate, and all of them.
    pub gates: BTreeMap<&'static str, usize>,
    /// Units per promotion track.
    pub tracks: BTreeMap<String, usize>,
    /// Units in quarantine.
    pub quarantined: usize,
    /// Filter verbs of the events, with the conditions that they are tested as.
    pub filters: Vec<TestedFilter>,
    /// What was asked for and not tested.
    pub untested: Vec<Untested>,
}

/// Runs discovery over a table: the evidence of every closed day, then the conclusions.
#[must_use]
pub fn discover(table: &OutcomeTable, config: &DiscoveryConfig) -> Discovery {
    let catalogue = config.catalogue(table);
    let book = book_of(table, &catalogue, config);
    let mut discovery = conclude_book(&catalogue, &book, config);
    discovery.summary.rows = table.len();
    if config.closed_through.is_none() {
        discovery.summary.closed_through = last_day(table).map(date);
    }
    discovery
}

fn last_day(table: &OutcomeTable) -> Option<i64> {
    table.timestamp.last().map(|t| Ts(*t).day())
}

/// The evidence of every closed day of a table. Where every day counts as closed, the windows that cross the
/// last midnight are counted too.
#[must_use]
pub fn book_of(table: &OutcomeTable, catalogue: &Catalogue, config: &DiscoveryConfig) -> EvidenceBook {
    let mut book = config.open_book(catalogue);
    if let Some(day) = config.closed_through.or_else(|| last_day(table).map(|day| day + 1)) {
        book.advance(table, catalogue, day);
    }
    book
}

/// The conclusions from a book that was advanced before, of a catalogue that is looked at once and alone.
#[must_use]
pub fn conclude_book(catalogue: &Catalogue, book: &EvidenceBook, config: &DiscoveryConfig) -> Discovery {
    conclude_in(catalogue, book, &Accounting::alone(catalogue, &config.gates.multiplicity), config)
}

/// The conclusions from a book, with all trials of a ledger accounted for: what a daemon does after each
/// closed day.
#[must_use]
pub fn conclude_in(
    catalogue: &Catalogue,
    book: &EvidenceBook,
    accounting: &Accounting,
    config: &DiscoveryConfig,
) -> Discovery {
    let begun = begun(catalogue, book, &config.gates);
    let shares = accounting.shares(&begun);
    let context = Context {
        gates: &config.gates,
        accounting,
        shares: &shares,
        spec_hash: &config.spec_hash,
        excluded: &config.excluded,
    };
    let (candidates, beside) = conclude(catalogue, book, &context);
    let mut summary = summarise(catalogue, book, (accounting, &spent(&begun, shares)), config, &candidates);
    let of_others =
        [("closed_bh", beside.closed.bh), ("closed_ebh", beside.closed.ebh), ("tree_bh", beside.in_tree)];
    summary.discoveries_by_procedure.extend(of_others);
    summary.true_discoveries_at_least = beside.closed.true_at_least;
    Discovery { candidates, summary }
}

fn summarise(
    catalogue: &Catalogue,
    book: &EvidenceBook,
    (accounting, spent): (&Accounting, &ByUnit<f64>),
    config: &DiscoveryConfig,
    candidates: &[Candidate],
) -> DiscoverySummary {
    let gates = &config.gates;
    let q = gates.gate_v1_phase2.base.max_q_value;
    let tally = |test: &dyn Fn(&Candidate) -> bool| candidates.iter().filter(|c| test(c)).count();
    let counts = book.counts();
    DiscoverySummary {
        schema: "backtestd.discovery/1",
        catalogue_hash: catalogue.hash.clone(),
        ontology_spec_hash: Arc::clone(&config.spec_hash),
        rows: usize::try_from(counts.used + counts.purged + counts.dropped + counts.undirected).unwrap_or(0),
        rows_used: counts.used,
        rows_purged: counts.purged,
        rows_marked: counts.marked,
        rows_dropped: counts.dropped,
        rows_undirected: counts.undirected,
        rows_floored: counts.floored,
        rows_left_out_of_pool: counts.apart,
        left_out_of_pool: left_out_of_pools(catalogue, book),
        rows_repeated: 0,
        rows_contradicting: 0,
        closed_through: book.through_day().map(date),
        hypotheses: catalogue.units,
        trials: accounting.total,
        cohorts: accounting.cohorts.clone(),
        begun: spent.iter().flatten().filter(|share| **share > 0.0).count(),
        tiers: tiers(catalogue, spent, candidates),
        tested: candidates.len(),
        admitted: tally(&|c| c.measured.influence.is_admitted),
        same_series: tally(&|c| c.measured.influence.same_series_as.is_some()),
        nearest: nearest(candidates),
        units_with_capped_days: tally(&|c| c.measured.influence.capped_days > 0),
        publish_with: name(&gates.multiplicity.publish_with),
        publish_on: name(&gates.evidence.publish_on),
        discoveries_by_procedure: BTreeMap::from([
            ("grouped_bb", tally(&|c| c.measured.q_value_group <= q)),
            ("global", tally(&|c| c.measured.q_value_global <= q)),
            ("strict_by", tally(&|c| c.measured.q_value_by <= q)),
            ("strict_ebh", tally(&|c| c.measured.q_value_ebh <= q)),
            ("seed_compat", tally(&|c| c.measured.q_value_seed.is_some_and(|x| x <= q))),
        ]),
        true_discoveries_at_least: 0,
        candidates_at_fallback: tally(&|c| c.measured.q_value <= gates.gate_v1_fallback.max_q_value),
        discoveries: tally(&|c| c.judgement.is_discovery),
        survivors: tally(&|c| c.judgement.gate_phase2_final),
        gates: BTreeMap::from([
            ("gate_economic", tally(&|c| c.judgement.gate_economic)),
            ("gate_economic_conservative", tally(&|c| c.judgement.gate_economic_conservative)),
            ("gate_stability", tally(&|c| c.judgement.gate_stability)),
            ("gate_state_information", tally(&|c| c.judgement.gate_state_information)),
            ("gate_sample_size", tally(&|c| c.judgement.gate_sample_size)),
            ("gate_lfsr", tally(&|c| c.judgement.gate_lfsr)),
            ("gate_phase2_final", tally(&|c| c.judgement.gate_phase2_final)),
        ]),
        tracks: [PromotionTrack::Standard, PromotionTrack::FallbackOnly, PromotionTrack::None]
            .into_iter()
            .map(|track| (track.to_string(), tally(&|c| c.judgement.promotion_track == track)))
            .collect(),
        quarantined: tally(&|c| c.measured.quarantined),
        filters: catalogue.filters.clone(),
        untested: catalogue
            .untested
            .iter()
            .cloned()
            .chain(unavailable(catalogue, &config.lacking))
            .chain(config.excluded.iter().map(untested))
            .collect(),
    }
}

/// Hypotheses of [`DiscoverySummary::nearest`].
const NEAREST: usize = 5;

/// The candidates with the fewest days to go.
fn nearest(candidates: &[Candidate]) -> Vec<Nearest> {
    let mut all: Vec<Nearest> = candidates
        .iter()
        .filter_map(|c| {
            let days = c.measured.influence.days_to_decision?;
            Some(Nearest {
                event_type: Arc::clone(&c.measured.event_type),
                horizon: c.measured.horizon.label.to_string(),
                state_id: c.state_id().to_owned(),
                scope: c.measured.scope.label().to_owned(),
                days,
            })
        })
        .collect();
    all.sort_by(|a, b| a.days.total_cmp(&b.days));
    all.truncate(NEAREST);
    all
}

/// What the trials that have begun have of the budget; 0 of the others.
fn spent(begun: &ByUnit<Option<i64>>, mut shares: ByUnit<f64>) -> ByUnit<f64> {
    let of_unit = |(share, day): (&mut f64, &Option<i64>)| {
        if day.is_none() {
            *share = 0.0;
        }
    };
    shares.iter_mut().flatten().zip(begun.iter().flatten()).for_each(of_unit);
    shares
}

/// The budget by tier, with what was found under each.
fn tiers(catalogue: &Catalogue, spent: &ByUnit<f64>, candidates: &[Candidate]) -> Vec<TierSummary> {
    let mut out = Tier::ALL.map(|tier| TierSummary {
        tier,
        hypotheses: 0,
        budget: 0.0,
        tested: 0,
        admitted: 0,
        discoveries: 0,
    });
    for place in catalogue.places() {
        let condition = catalogue.condition(place).map_or("", |c| &c.condition.id);
        let tier = &mut out[Tier::of(condition, catalogue.scope(place).label()) as usize];
        tier.hypotheses += 1;
        tier.budget += spent[place.block][catalogue.local(place.block, place.scope, place.condition)];
    }
    for c in candidates {
        let tier = &mut out[Tier::of(c.state_id(), c.measured.scope.label()) as usize];
        tier.tested += 1;
        tier.admitted += usize::from(c.measured.influence.is_admitted);
        tier.discoveries += usize::from(c.judgement.is_discovery);
    }
    out.into()
}

/// The serialised name of a unit variant.
fn name<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
