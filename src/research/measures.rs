//! Relative prices and variance after events: measured while the pipeline runs, tested beside discovery.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};

use super::{ResearchError, look_at, read_ledger};
use backtestd_core::conclude::{Look, state_names};
use backtestd_core::discovery::{
    Accounting, Catalogue, CatalogueSpec, DiscoveryConfig, MeasuredTest, OutcomeTable, Tested, book_of,
    conclude_in, measured_test,
};
use backtestd_core::market::{DAY_MS, Symbol};
use backtestd_core::outcomes::{BookConfig, Leg, LegBook, Measured, Outcome, RelativePrice};
use backtestd_core::pipeline::Facts;
use backtestd_core::spec::{CompiledSpec, TestStatistic};
use backtestd_store::Store;
use backtestd_store::lake::{
    LakeError, SCHEMA_KEY, bool_column, f64_column, i64_column, string_column, table, write_parquet,
};

/// What is tested beside discovery, each for itself.
const STATISTICS: [TestStatistic; 2] = [TestStatistic::RelativeReturn, TestStatistic::VarianceRatio];

/// Measures outcomes as they mature.
pub(super) struct Measures<'a> {
    spec: &'a CompiledSpec,
    legs: LegBook,
    /// Features that say how much of a hedge leg is held, with their place in the graph's list.
    ratios: Vec<(Arc<str>, usize)>,
}

impl<'a> Measures<'a> {
    /// For outcomes as a book books them.
    pub(super) fn new(spec: &'a CompiledSpec, book: &BookConfig) -> Self {
        let named: BTreeSet<&Arc<str>> =
            spec.events.iter().filter_map(|e| e.relative.as_ref()?.ratio.as_ref()).collect();
        let place = |name: &str| spec.graph.features.iter().position(|f| f.name == name);
        let ratios: Vec<_> =
            named.into_iter().filter_map(|name| Some((Arc::clone(name), place(name)?))).collect();
        let symbols: Vec<Symbol> = book.symbols.iter().map(|(symbol, _)| symbol.clone()).collect();
        // One row more: the one before the event.
        let legs = LegBook::new(&symbols, book.entry_price, book.history_rows() + 1, ratios.len());
        Self { spec, legs, ratios }
    }

    /// Takes the rows of a push.
    pub(super) fn push(&mut self, facts: &Facts) {
        let symbols = facts.columns.symbols.iter().zip(&facts.output.symbols).map(|(columns, output)| {
            (columns, self.ratios.iter().map(|(_, feature)| &output.features[*feature]).collect())
        });
        self.legs.push(facts.first, facts.rows, symbols);
    }

    /// Measures an outcome that matured in the last push.
    pub(super) fn of(&self, outcome: &Outcome) -> Measured {
        let relative = self.spec.event(&outcome.event.event_type).and_then(|e| e.relative.as_ref());
        let ratio = |price: &RelativePrice| {
            let name = price.ratio.as_ref()?;
            self.ratios.iter().position(|(n, _)| n == name)
        };
        let leader = self.spec.defaults.leader.of(&outcome.event.symbol);
        self.legs.measure(outcome, relative.map(|p| (p, ratio(p))), leader)
    }
}

/// The tests of one statistic that no single leg can trade, in its trial ledger.
pub(super) struct MeasureLook {
    catalogue: Catalogue,
    pub(super) accounting: Accounting,
}

/// Looks at every such statistic on data closed through `day`: what is new enters its ledger, durably.
///
/// # Errors
/// When a catalogue was declared closed and has grown, or the store cannot be written.
pub(super) fn look_at_measures(
    store: &mut Store,
    spec: &CompiledSpec,
    symbols: &[Symbol],
    day: i64,
) -> Result<Vec<MeasureLook>, ResearchError> {
    let mut looks = Vec::new();
    for statistic in STATISTICS {
        let asked = CatalogueSpec::of(spec, symbols, statistic);
        let catalogue = Catalogue::new(&asked, &spec.multiplicity.families);
        let mut ledger = read_ledger(store, statistic)?;
        let accounting = look_at(store, &mut ledger, &catalogue, &spec.gates.multiplicity, day)?;
        looks.push(MeasureLook { catalogue, accounting });
    }
    Ok(looks)
}

impl MeasureLook {
    pub(super) const fn statistic(&self) -> TestStatistic {
        self.catalogue.statistic
    }

    /// The tests over the closed days of discovery's look.
    ///
    /// # Errors
    /// When the outcomes belong to other specs.
    pub(super) fn tests(
        &self,
        spec: &CompiledSpec,
        (outcomes, measured): (&[Outcome], &[Measured]),
        look: &Look<'_>,
        config: &DiscoveryConfig,
    ) -> Result<Vec<MeasuredTest>, ResearchError> {
        let statistic = self.statistic();
        let types: BTreeSet<&str> =
            self.catalogue.blocks.iter().map(|block| block.event_type.as_ref()).collect();
        let rows = outcomes
            .iter()
            .zip(measured)
            .filter(|(outcome, _)| types.contains(outcome.event.event_type.as_ref()))
            .map(|(outcome, measured)| (outcome, under_test(spec, statistic, outcome, measured)));
        let conditions: Vec<_> =
            self.catalogue.conditions.iter().map(|rule| rule.condition.clone()).collect();
        let table = OutcomeTable::from_tested(rows, &state_names(spec), &conditions)?;
        let config = DiscoveryConfig {
            excluded: look.excluded.to_vec(),
            lacking: look.lacking.to_vec(),
            ..config.clone()
        };
        let book = book_of(&table, &self.catalogue, &config);
        let found = conclude_in(&self.catalogue, &book, &self.accounting, &config);
        Ok(found.candidates.iter().map(|c| measured_test(statistic, c)).collect())
    }
}

/// What a leg on the spot market costs over an outcome's window, bps. One of the two sides that are tested
/// sells it, and the test has one cost for both: both pay the interest on borrowed coins.
fn spot_cost(spec: &CompiledSpec, outcome: &Outcome) -> Option<f64> {
    let days = (outcome.exit().0 - outcome.entry().0) as f64 / DAY_MS as f64;
    spec.defaults.costs.spot_leg(outcome.event.detected(), true, days).map(|parts| parts.total())
}

/// What is tested of an outcome. Each leg pays what its market asks: the spot leg its own fees, slippage and
/// interest (where the specs name them), every other what the perpetual of its symbol pays. A ratio has no
/// side of its own and costs nothing: it is not traded.
fn under_test(
    spec: &CompiledSpec,
    statistic: TestStatistic,
    outcome: &Outcome,
    measured: &Measured,
) -> Tested {
    let own = Tested::own_return(outcome);
    match statistic {
        TestStatistic::VarianceRatio => Tested {
            direction: 1,
            value: measured.variance_ratio,
            mark: f64::NAN,
            cost_bps: 0.0,
            sigma_bar: 1.0,
        },
        _ => {
            let event = &outcome.event;
            let price = spec.event(&event.event_type).and_then(|e| e.relative.as_ref());
            let leg_cost = |leg: Option<Leg>| match leg {
                Some(Leg::Leader) => {
                    let leader = spec.defaults.leader.of(&event.symbol);
                    spec.defaults.costs.round_trips(leader).at(event.detected())
                }
                Some(Leg::Spot) => spot_cost(spec, outcome).unwrap_or(own.cost_bps),
                _ => own.cost_bps,
            };
            let (first, hedge) = (leg_cost(price.map(|p| p.own)), leg_cost(price.map(|p| p.hedge)));
            let cost_bps = first + measured.hedge_ratio.abs() * hedge;
            Tested { value: measured.relative_return, mark: f64::NAN, cost_bps, ..own }
        }
    }
}

/// `measures.parquet`: one row per test.
pub(super) fn write_measures(dir: &Path, tests: &[MeasuredTest], spec_hash: &str) -> Result<(), LakeError> {
    let batch = measures_table(tests)?;
    let metadata = BTreeMap::from([
        (SCHEMA_KEY.to_owned(), "backtestd.measures/1".to_owned()),
        ("ontology_spec_hash".to_owned(), spec_hash.to_owned()),
    ]);
    write_parquet(&dir.join("measures.parquet"), batch.schema_ref(), std::slice::from_ref(&batch), &metadata)
        .map(|_| ())
}

fn measures_table(tests: &[MeasuredTest]) -> Result<RecordBatch, LakeError> {
    let text =
        |f: &dyn Fn(&MeasuredTest) -> String| -> ArrayRef { string_column(tests.iter().map(|t| Some(f(t)))) };
    let number = |f: &dyn Fn(&MeasuredTest) -> Option<f64>| -> ArrayRef {
        f64_column(tests.iter().map(|t| f(t).unwrap_or(f64::NAN)))
    };
    let whole = |f: &dyn Fn(&MeasuredTest) -> u64| -> ArrayRef {
        i64_column(tests.iter().map(|t| i64::try_from(f(t)).ok()))
    };
    let columns = [
        ("statistic", text(&|t| t.statistic.to_string())),
        ("unit", text(&|t| t.unit().to_owned())),
        ("canonical_family", text(&|t| t.canonical_family.to_string())),
        ("event_type", text(&|t| t.event_type.to_string())),
        ("template_verb", text(&|t| t.template_verb.to_string())),
        ("horizon", text(&|t| t.horizon.to_string())),
        ("state_id", text(&|t| t.state_id.clone())),
        ("symbol", text(&|t| t.symbol.clone())),
        ("n_events", whole(&|t| t.n_events)),
        ("n_clusters", whole(&|t| t.n_clusters)),
        ("effect", number(&|t| t.effect)),
        ("se", number(&|t| t.se)),
        ("t_stat", number(&|t| t.t_stat)),
        ("df", number(&|t| t.df)),
        ("cost", number(&|t| t.cost)),
        ("first_half", number(&|t| t.first_half)),
        ("second_half", number(&|t| t.second_half)),
        ("p_any", number(&|t| Some(t.p_any))),
        ("lfsr", number(&|t| t.lfsr)),
        ("q_value", number(&|t| Some(t.q_value))),
        ("is_found", bool_column(tests.iter().map(|t| Some(t.is_found)))),
    ];
    table(columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect())
}
