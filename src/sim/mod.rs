//! A Binance of our own: the venue's public market-data protocol over a seeded market, on loopback.

mod market;
mod rng;
mod scenario;

pub use market::{Market, SeriesBar, SimBar};
pub use scenario::{
    DEFAULT_SCENARIO, Fault, FaultKind, Pattern, PlantedEdge, Scenario, ScenarioError, Side, SpotScenario,
    SymbolScenario,
};
