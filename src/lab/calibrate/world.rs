//! One simulated world as discovery sees it: an outcome table, and beside every row what it was worth on
//! average.

use std::sync::Arc;

use super::lab::{Lab, WorldKind};
use super::nasty::Nasty;
use super::onsets::{Onset, onsets};
use super::planted::{CONDITIONS, Cell, Planted};
use super::prices::{DAY, Path, paths};
use backtestd_core::discovery::definition::Definitions;
use backtestd_core::discovery::{
    Catalogue, CatalogueSpec, ConditionRule, ConditionScope, EventEntry, Known, OutcomeRow, OutcomeTable,
    SideLabel, TableBuilder, TableError, default_exit, state_condition,
};
use backtestd_core::market::derive;
use backtestd_core::market::{BAR_MS, DAY_MS, Symbol, SymbolError, Ts};
use backtestd_core::outcomes::Horizon;
use backtestd_core::spec::TestStatistic;
use backtestd_core::spec::gates::FamiliesFile;

/// UTC day on which every study begins.
pub const FIRST_DAY: i64 = 19_000;
/// Bars from the deciding bar to the entry.
const LAG: u32 = 1;

/// A simulated world of outcomes.
#[derive(Clone, Debug)]
pub struct World {
    /// What discovery is given.
    pub table: OutcomeTable,
    /// Expected return of each row in the event's direction, decimal.
    pub truth: Vec<f64>,
    /// Days of the study.
    pub days: usize,
    /// Round trip, bps.
    pub cost_bps: f64,
    /// By (event type, horizon), as the blocks of the catalogue: the first day without its edge, if it has
    /// one that ends.
    pub deaths: Vec<Option<usize>>,
}

/// A world that cannot be written as a table; cannot happen with names made here.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A row that the outcome table refuses.
    #[error(transparent)]
    Row(#[from] TableError),
    /// A name that cannot be a symbol.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// A horizon that is no whole number of bars above 0.
    #[error("lab.yaml: world.horizons_bars holds {0}, which is no whole number of bars above 0")]
    Horizon(u32),
}

/// Names that worlds of one lab share.
#[derive(Clone, Debug)]
pub struct Names {
    event_types: Vec<Arc<str>>,
    families: Vec<Arc<str>>,
    symbols: Vec<Symbol>,
    horizons: Vec<Horizon>,
    conditions: Vec<Arc<str>>,
}

impl Names {
    /// For a lab.
    ///
    /// # Errors
    /// When a horizon is no holding period.
    pub fn new(lab: &Lab) -> Result<Self, WorldError> {
        let world = &lab.world;
        let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).unwrap_or(0));
        let per_family = world.event_types.div_ceil(world.families.max(1)).max(1);
        Ok(Self {
            event_types: (0..world.event_types).map(|n| format!("LAB_{n:02}").into()).collect(),
            families: (0..world.event_types)
                .map(|n| format!("FAMILY_{}", letter(n / per_family)).into())
                .collect(),
            symbols: (0..world.symbols)
                .map(|n| Symbol::new(&format!("LAB{}USDT", letter(n))))
                .collect::<Result<_, _>>()?,
            horizons: world
                .horizons_bars
                .iter()
                .map(|&bars| Horizon::parse(&format!("{}m", 5 * bars)).ok_or(WorldError::Horizon(bars)))
                .collect::<Result<_, _>>()?,
            conditions: vec!["HOT".into(), "RISING".into()],
        })
    }

    /// Every hypothesis of the lab, whether or not a world has data for it.
    #[must_use]
    pub fn catalogue(&self, families: &FamiliesFile) -> Catalogue {
        let label = |verb: &str| SideLabel { verb: verb.into(), aliases: Arc::from([]) };
        let events = self
            .event_types
            .iter()
            .zip(&self.families)
            .map(|(event_type, family)| EventEntry {
                event_type: Arc::clone(event_type),
                family: Arc::clone(family),
                horizons: self.horizons.clone(),
                follow: label("continuation"),
                fade: label("mean_reversion"),
            })
            .collect();
        let any = |id| ConditionRule {
            condition: state_condition(id),
            scopes: vec![ConditionScope::Any],
            min_events: 0,
        };
        let spec = CatalogueSpec {
            statistic: TestStatistic::OwnReturn,
            events,
            symbols: self.symbols.clone(),
            conditions: self.conditions.iter().map(any).collect(),
            entry_lag_bars: LAG,
            filters: Vec::new(),
            untested: Vec::new(),
            definitions: Definitions::default(),
        };
        Catalogue::new(&spec, families)
    }
}

/// Simulates a world. The same arguments give the same bits.
///
/// # Errors
/// Never with the names of the same lab.
pub fn simulate(seed: u64, kind: WorldKind, lab: &Lab, names: &Names) -> Result<World, WorldError> {
    let days = lab.days(kind);
    let paths = paths(derive(seed, "prices"), kind, lab, days);
    let onsets = onsets(derive(seed, "events"), &lab.world, &paths);
    let planted = Planted::new(seed, kind, lab);
    let mut nasty = Nasty::new(seed, kind, lab);
    let cost_bps = lab.cost_bps(kind);
    let mut builder = TableBuilder::new(
        names.conditions.iter().map(state_condition).collect(),
        Known { sigma: true, mark: false },
    );
    let mut truth = Vec::new();
    for onset in &onsets {
        let path = &paths[usize::from(onset.symbol)];
        let bar = onset.bar as usize;
        let holds = holds(path, bar);
        let active: Vec<usize> = (0..CONDITIONS).filter(|c| holds[*c]).collect();
        let timestamp = Ts(FIRST_DAY * DAY_MS + i64::from(onset.bar) * BAR_MS);
        let spoiled = nasty.at(onset);
        for (at, horizon) in names.horizons.iter().enumerate() {
            let entry = bar + LAG as usize;
            let exit = entry + horizon.bars as usize;
            let (Some(from), Some(to)) = (path.close.get(entry), path.close.get(exit)) else { continue };
            let edge = planted.at(&cell(onset, at, holds));
            let (plain, sigma) = (to / from - 1.0, path.sigma[bar]);
            let (spoilt, sigma) = spoiled.outcome(plain, sigma, onset.direction, horizon.bars);
            builder.push(
                &OutcomeRow {
                    event_type: &names.event_types[usize::from(onset.event_type)],
                    family: &names.families[usize::from(onset.event_type)],
                    symbol: names.symbols[usize::from(onset.symbol)].as_str(),
                    timestamp,
                    entry: default_exit(timestamp, LAG, 0),
                    exit: default_exit(timestamp, LAG, horizon.bars),
                    direction: onset.direction,
                    horizon: &horizon.label,
                    forward_return: spoilt + f64::from(onset.direction) * edge,
                    mark: f64::NAN,
                    cost_bps,
                    sigma_bar: sigma,
                },
                &active,
            )?;
            truth.push(edge);
        }
    }
    // Onsets are in the table's own order, so that rows and truths stay side by side.
    Ok(World { table: builder.finish(), truth, days, cost_bps, deaths: planted.deaths() })
}

fn cell(onset: &Onset, horizon: usize, holds: [bool; CONDITIONS]) -> Cell {
    Cell {
        event_type: usize::from(onset.event_type),
        horizon,
        symbol: usize::from(onset.symbol),
        holds,
        day: onset.bar as usize / DAY,
    }
}

/// Hot: more variance than the symbol's mean. Rising: above the price of a day ago. Both known at the close
/// of the bar.
fn holds(path: &Path, bar: usize) -> [bool; CONDITIONS] {
    [path.heat[bar] > 1.0, path.close[bar] > path.close[bar.saturating_sub(DAY)]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_their_truths_stay_side_by_side() {
        let lab = Lab::default().over_days(60);
        let names = Names::new(&lab).unwrap();
        let world = simulate(4, WorldKind::Struct, &lab, &names).unwrap();
        let t = &world.table;
        assert_eq!(t.len(), world.truth.len());
        let null = simulate(4, WorldKind::Null, &lab, &names).unwrap();
        // The same prices and events: the difference of the outcomes is the planted edge, row by row.
        let mut planted = 0;
        for row in 0..t.len() {
            let difference = t.forward_return[row] - null.table.forward_return[row];
            let edge = f64::from(t.direction[row]) * world.truth[row];
            assert!((difference - edge).abs() < 1e-12);
            planted += usize::from(edge != 0.0);
        }
        assert!(planted > 0 && planted < t.len() / 4, "{planted} of {}", t.len());
    }

    #[test]
    fn the_catalogue_does_not_depend_on_the_data() {
        let lab = Lab::default();
        let names = Names::new(&lab).unwrap();
        let families: FamiliesFile =
            serde_saphyr::from_str(include_str!("../../../spec/multiplicity/families.yaml")).unwrap();
        assert_eq!(names.catalogue(&families).units, 1620);
    }
}
