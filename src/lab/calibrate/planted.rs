//! What is planted: edges of single cells, known exactly, added to outcomes and not to prices, so that no
//! other cell inherits a part.

use backtestd_core::market::BPS;
use std::ops::RangeInclusive;

use super::lab::{Lab, WorldKind};
use backtestd_core::market::{Draws, derive};

/// Conditions of the lab: hot, rising.
pub(super) const CONDITIONS: usize = 2;

/// Where an outcome lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// Event type number.
    pub event_type: usize,
    /// Position in the list of horizons.
    pub horizon: usize,
    /// Number of the symbol, from 0.
    pub symbol: usize,
    /// Which conditions hold.
    pub holds: [bool; CONDITIONS],
    /// Day of the study.
    pub day: usize,
}

/// An edge on a set of cells.
#[derive(Clone, Debug)]
struct Edge {
    event_type: usize,
    horizon: usize,
    symbols: Vec<bool>,
    /// `None`: whatever holds.
    condition: Option<usize>,
    /// Per trade in the event's direction, decimal.
    size: f64,
    /// The first day without it.
    dies: usize,
}

/// Every edge of a world.
#[derive(Clone, Debug, Default)]
pub(super) struct Planted {
    edges: Vec<Edge>,
    horizons: usize,
    /// By (event type, horizon): positions in `edges`.
    by_cell: Vec<Vec<usize>>,
}

impl Planted {
    pub(super) fn new(seed: u64, kind: WorldKind, lab: &Lab) -> Self {
        let mut draws = Draws::numbered(derive(seed, "edges"), 0);
        let mut edges = match kind {
            WorldKind::Sparse => sparse(&mut draws, lab),
            WorldKind::Struct | WorldKind::Rough => structured(&mut draws, lab),
            WorldKind::Subcost => {
                let mut edges = structured(&mut draws, lab);
                edges.extend(below_cost(&mut draws, lab));
                edges
            }
            WorldKind::Retire => structured(&mut draws, lab),
            _ => Vec::new(),
        };
        if kind == WorldKind::Retire {
            let [first, last] = lab.edges.death_days;
            edges.iter_mut().for_each(|e| e.dies = pick(&mut draws, first..=last));
        }
        let horizons = lab.world.horizons_bars.len();
        let mut by_cell = vec![Vec::new(); lab.world.event_types * horizons];
        for (at, edge) in edges.iter().enumerate() {
            by_cell[edge.event_type * horizons + edge.horizon].push(at);
        }
        Self { edges, horizons, by_cell }
    }

    /// Expected return of a cell's outcome in the event's direction, decimal.
    pub(super) fn at(&self, cell: &Cell) -> f64 {
        let Some(here) = self.by_cell.get(cell.event_type * self.horizons + cell.horizon) else { return 0.0 };
        here.iter()
            .map(|&e| &self.edges[e])
            .filter(|e| e.symbols[cell.symbol] && cell.day < e.dies)
            .filter(|e| e.condition.is_none_or(|c| cell.holds[c]))
            .map(|e| e.size)
            .sum()
    }

    /// By (event type, horizon): the first day on which none of its edges is left; `None` where they do not
    /// end.
    pub(super) fn deaths(&self) -> Vec<Option<usize>> {
        let last =
            |here: &Vec<usize>| here.iter().map(|e| self.edges[*e].dies).max().filter(|d| *d < usize::MAX);
        self.by_cell.iter().map(last).collect()
    }
}

fn pick(draws: &mut Draws, range: RangeInclusive<usize>) -> usize {
    let width = range.end() - range.start() + 1;
    range.start() + (draws.uniform() * width as f64) as usize
}

/// `take` different numbers below `n`, in the order they were drawn.
fn choose(draws: &mut Draws, n: usize, take: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    let take = take.min(n);
    for i in 0..take {
        let j = pick(draws, i..=n - 1);
        all.swap(i, j);
    }
    all.truncate(take);
    all
}

/// One of: whatever holds, hot, rising.
fn condition(draws: &mut Draws) -> Option<usize> {
    pick(draws, 0..=CONDITIONS).checked_sub(1)
}

fn structured(draws: &mut Draws, lab: &Lab) -> Vec<Edge> {
    let world = &lab.world;
    let mut edges = Vec::new();
    for event_type in choose(draws, world.event_types, lab.edges.active_types) {
        let side = draws.sign();
        let count = pick(draws, lab.edges.active_horizons[0]..=lab.edges.active_horizons[1]);
        for horizon in choose(draws, world.horizons_bars.len(), count) {
            let mut symbols = vec![false; world.symbols];
            choose(draws, world.symbols, world.symbols.div_ceil(2))
                .into_iter()
                .for_each(|s| symbols[s] = true);
            let [low, high] = lab.edges.edge_bps;
            edges.push(Edge {
                event_type,
                horizon,
                symbols,
                condition: condition(draws),
                size: side * draws.between(low, high) / BPS,
                dies: usize::MAX,
            });
        }
    }
    edges
}

fn sparse(draws: &mut Draws, lab: &Lab) -> Vec<Edge> {
    let world = &lab.world;
    let mut edges = Vec::new();
    let [low, high] = lab.edges.edge_bps;
    for event_type in 0..world.event_types {
        for horizon in 0..world.horizons_bars.len() {
            for symbol in 0..world.symbols {
                for condition in [None, Some(0), Some(1)] {
                    if draws.uniform() < lab.edges.sparse_share {
                        let mut symbols = vec![false; world.symbols];
                        symbols[symbol] = true;
                        let size = draws.sign() * draws.between(low, high) / BPS;
                        edges.push(Edge { event_type, horizon, symbols, condition, size, dies: usize::MAX });
                    }
                }
            }
        }
    }
    edges
}

fn below_cost(draws: &mut Draws, lab: &Lab) -> Vec<Edge> {
    let world = &lab.world;
    let mut edges = Vec::new();
    let [low, high] = lab.edges.subcost_bps;
    for event_type in 0..world.event_types {
        for horizon in 0..world.horizons_bars.len() {
            if draws.uniform() < 0.5 {
                let size = draws.sign() * draws.between(low, high) / BPS;
                let symbols = vec![true; world.symbols];
                edges.push(Edge { event_type, horizon, symbols, condition: None, size, dies: usize::MAX });
            }
        }
    }
    edges
}
