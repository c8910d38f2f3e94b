//! From outcomes to blueprints: the core decision of the product, in one place.
//!
//! ```text
//! outcomes ── evidence book ── find: candidates ── conclude: tradability, blueprints, verdicts
//!                 │                                        │
//!            trial ledger                        funnel, placebo: how it came about
//! ```
//!
//! The daemon's recompute, a batch run and calibration call the same functions; with the same evidence they
//! get the same lines.

mod before_test;
mod error;
mod funnel;
mod measures;
mod placebo;
mod placement;
mod portfolio;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::blueprints::{CompileInputs, Compiled, RunFacts, SelectionFacts, SideCosts, compile};
use crate::discovery::{
    Accounting, Catalogue, CatalogueSpec, Discovery, DiscoveryConfig, EvidenceBook, Exclusion, Lacking,
    OutcomeTable, TableError, conclude_in,
};
use crate::market::{Symbol, Ts};
use crate::outcomes::{CostParts, Outcome};
use crate::pipeline::{LackingSeries, QualityReport};
use crate::portfolio::Filters;
use crate::spec::CompiledSpec;
use crate::tradability::{self, BridgeError, BridgeInputs, BridgeResult, Markets, PromotionReport, Split};

use before_test::found_before;
pub use error::ConcludeError;
pub use funnel::{Stage, funnel};
pub use measures::{MeasureCount, statistic_words};
pub use placebo::{NullTwin, Placebo, PlaceboInputs, PlaceboRequest, placebo};
pub use placement::{DayMap, History, PRICES, SymbolHistory, TwinMarkets};
pub use portfolio::Portfolio;

/// What follows from the outcomes.
#[derive(Clone, Debug)]
pub struct Conclusions {
    /// Candidates with their bridge columns, and the run in numbers.
    pub discovery: Discovery,
    /// The bridge's results by candidate index.
    pub bridge: BTreeMap<usize, BridgeResult>,
    /// Blueprints, verdicts and reasons.
    pub compiled: Compiled,
    /// The record of what the bridge traded, cut in time, with what was found before the test part.
    pub promotion: PromotionReport,
    /// What one account earns that trades the blueprints together; `None` without trades.
    pub portfolio: Option<Portfolio>,
    /// Mean cost of each candidate's evidence in its parts; `None` before [`Conclusions::split_costs`], and
    /// where the outcomes were not at hand.
    pub costs: Vec<Option<CostParts>>,
}

impl Conclusions {
    /// Splits the cost of every candidate's evidence into its parts, by the outcomes that it was tested on.
    pub fn split_costs(&mut self, spec: &CompiledSpec, outcomes: &[Outcome], closed_end: Ts) {
        let closed = outcomes.iter().filter(|o| o.matured() <= closed_end);
        self.costs = tradability::evidence_costs(&self.discovery.candidates, closed, &state_names(spec));
    }

    /// Where the hypotheses stopped, from the catalogue to the blueprints.
    #[must_use]
    pub fn funnel(&self) -> Vec<Stage> {
        let hypotheses = self.discovery.summary.hypotheses as u64;
        funnel(hypotheses, &self.discovery.candidates, &self.bridge, self.compiled.blueprints.len())
    }
}

/// How discovery runs under compiled specs. Only UTC days that are closed at `watermark` enter the evidence.
#[must_use]
pub fn discovery_config(spec: &CompiledSpec, symbols: &[Symbol], watermark: Ts) -> DiscoveryConfig {
    DiscoveryConfig {
        gates: spec.gates.clone(),
        families: spec.multiplicity.families.clone(),
        catalogue: Some(CatalogueSpec::from_spec(spec, symbols)),
        closed_through: Some(closed_through(watermark)),
        entry_lag_bars: spec.defaults.entry_lag_bars.get(),
        spec_hash: spec.hash.as_str().into(),
        excluded: Vec::new(),
        lacking: Vec::new(),
    }
}

/// The last UTC day that is closed at an instant.
#[must_use]
pub const fn closed_through(watermark: Ts) -> i64 {
    watermark.day() - 1
}

/// Booked outcomes as discovery reads them, and positions that were open at a midnight and are open still
/// (see [`crate::outcomes::OutcomeBook::marked`]): the last closed day has what they had brought by then.
///
/// # Errors
/// When the outcomes belong to other specs.
pub fn outcome_table<'a>(
    spec: &CompiledSpec,
    outcomes: impl IntoIterator<Item = &'a Outcome>,
) -> Result<OutcomeTable, TableError> {
    OutcomeTable::from_outcomes(outcomes, &state_names(spec), &CatalogueSpec::conditions_of(spec))
}

/// The ids of the states, in the order in which tables hold them.
#[must_use]
pub fn state_names(spec: &CompiledSpec) -> Vec<Arc<str>> {
    spec.states.iter().map(|s| s.id.as_str().into()).collect()
}

/// The evidence that a run looks at, with every trial of the ledger accounted for.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// What is tested.
    pub catalogue: &'a Catalogue,
    /// What it has shown.
    pub book: &'a EvidenceBook,
    /// Every trial so far.
    pub accounting: &'a Accounting,
    /// Detector health up to the watermark: what it excludes stays in the catalogue with p = 1.
    pub excluded: &'a [Exclusion],
    /// What conditions read and nobody knows.
    pub lacking: &'a [Lacking],
}

/// The candidates of a look, before the bridge.
#[must_use]
pub fn find(look: &Look<'_>, config: &DiscoveryConfig) -> Discovery {
    let config = DiscoveryConfig {
        excluded: look.excluded.to_vec(),
        lacking: look.lacking.to_vec(),
        ..config.clone()
    };
    conclude_in(look.catalogue, look.book, look.accounting, &config)
}

/// The order of booking: sums over outcomes have one order of addition, wherever the outcomes come from.
fn order(o: &Outcome) -> (Ts, &Symbol, &str, u32) {
    (o.matured(), &o.event.symbol, &o.event.event_type, o.horizon.bars)
}

/// Whether the bridge has anything to look at: only then are outcomes needed.
#[must_use]
pub fn needs_outcomes(discovery: &Discovery) -> bool {
    discovery.candidates.iter().any(tradability::is_evaluated)
}

/// Runs bridge and compiler over the discovery of a look. The bridge trades the outcomes that are booked on
/// closed days: what it decides changes when a day closes, like everything else. What outcomes do not say,
/// which is how a stop, a target or a later entry fares, it reads from the bars of closed days in `markets`.
/// `replay` names the history in the publications.
///
/// # Errors
/// When the outcomes belong to other specs, or the bars cannot be read.
pub fn conclude(
    spec: &CompiledSpec,
    look: (&Look<'_>, &DiscoveryConfig),
    mut discovery: Discovery,
    outcomes: &[Outcome],
    run: &RunFacts,
    replay: Option<String>,
    markets: &mut dyn Markets,
) -> Result<Conclusions, ConcludeError> {
    let inputs = BridgeInputs {
        gate: &spec.gates.gate_v1_bridge,
        strategies: &spec.strategies,
        price: spec.defaults.entry_price,
        end: run.discovery_end.bar(),
    };
    let mut bridge = if needs_outcomes(&discovery) {
        let mut closed: Vec<Outcome> =
            outcomes.iter().filter(|o| o.matured() <= run.discovery_end).cloned().collect();
        closed.sort_by(|a, b| order(a).cmp(&order(b)));
        tradability::apply(&mut discovery.candidates, &closed, &state_names(spec), &inputs, markets)?
    } else {
        BTreeMap::new()
    };
    let rules = &spec.strategies.promotion;
    let split = Split::new(run.discovery_start, run.discovery_end, rules);
    let before_test = if bridge.is_empty() {
        BTreeSet::new()
    } else {
        found_before(split.validation_end, look, spec, outcomes)?
    };
    let trials = discovery.summary.trials as u64;
    let promotion =
        PromotionReport::of(&discovery.candidates, &bridge, &split, &before_test, (trials, rules));
    tradability::promote(&mut discovery.candidates, &mut bridge, &promotion, rules);
    let costs = &spec.defaults.costs;
    let max_q = spec.gates.gate_v1_phase2.base.max_q_value;
    let compiled = compile(
        &discovery.candidates,
        &bridge,
        &CompileInputs {
            ontology_spec_hash: &spec.hash,
            strategies: &spec.strategies,
            price: spec.defaults.entry_price,
            costs: &|s| {
                let [fee_bps, slippage_bps] = costs.per_side(s, run.data_watermark);
                SideCosts { fee_bps, slippage_bps }
            },
            event_spec_hash: &|event| spec.event(event).map(|e| e.spec_hash.clone()),
            run,
            selection: &SelectionFacts::of(&discovery.summary, max_q, replay),
        },
    )?;
    let portfolio = Portfolio::of(&compiled, &discovery, &bridge, &inputs, markets, &Filters::of(spec))
        .map_err(BridgeError::from)?;
    Ok(Conclusions { discovery, bridge, compiled, promotion, portfolio, costs: Vec::new() })
}

/// All of it over other outcomes, looked at as `look` is: the same catalogue, budgets of the cohorts and
/// exclusions. What a null twin of a run is judged by. The book of the look is not read. `markets` is where
/// these outcomes were booked.
///
/// # Errors
/// As [`conclude`].
pub fn conclude_like(
    look: &Look<'_>,
    spec: &CompiledSpec,
    config: &DiscoveryConfig,
    outcomes: &[Outcome],
    run: &RunFacts,
    markets: &mut dyn Markets,
) -> Result<Conclusions, ConcludeError> {
    let mut book = config.open_book(look.catalogue);
    book.advance(&outcome_table(spec, outcomes)?, look.catalogue, closed_through(run.data_watermark));
    let look = Look { book: &book, ..*look };
    conclude(spec, (&look, config), find(&look, config), outcomes, run, None, markets)
}

/// All of it over outcomes whose trials no ledger counts: a simulated world.
///
/// # Errors
/// As [`conclude`].
pub fn conclude_alone(
    spec: &CompiledSpec,
    symbols: &[Symbol],
    outcomes: &[Outcome],
    quality: &QualityReport,
    run: &RunFacts,
    markets: &mut dyn Markets,
) -> Result<Conclusions, ConcludeError> {
    let config = discovery_config(spec, symbols, run.data_watermark);
    let catalogue = config.catalogue(&OutcomeTable::default());
    let accounting = Accounting::alone(&catalogue, &spec.gates.multiplicity);
    let look = Look {
        catalogue: &catalogue,
        book: &config.open_book(&catalogue),
        accounting: &accounting,
        excluded: &exclusions(quality),
        lacking: &lacking(quality),
    };
    conclude_like(&look, spec, &config, outcomes, run, markets)
}

/// What `gate_e1` excludes, by event and scope: a symbol, or all of them for the pooled hypotheses.
#[must_use]
pub fn exclusions(quality: &QualityReport) -> Vec<Exclusion> {
    let excluded = quality.events.iter().filter(|q| q.excluded);
    excluded
        .flat_map(|q| {
            q.findings.iter().map(|f| Exclusion {
                event_type: q.event_type.as_str().into(),
                scope: q.symbol.clone(),
                metric: f.metric,
                value: f.value,
                relation: f.relation,
                threshold: f.threshold,
                text: f.to_string(),
            })
        })
        .collect()
}

/// The states and regimes that conditions read and that cannot be known on some symbols.
#[must_use]
pub fn lacking(quality: &QualityReport) -> Vec<Lacking> {
    let of = |l: &LackingSeries| Lacking {
        series: l.series.clone(),
        column: l.column.to_owned(),
        symbols: l.symbols.clone(),
    };
    quality.lacking_series.iter().map(of).collect()
}
