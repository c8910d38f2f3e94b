//! A Binance of our own: the venue's public market-data protocol over a seeded market, on loopback.

mod limits;
mod market;
mod moments;
mod rest;
mod rng;
mod scenario;
mod server;
mod text;
mod venue;
mod view;
mod ws;

pub use limits::Limits;
pub use market::{Market, SeriesBar, SimBar};
pub use scenario::{
    DEFAULT_SCENARIO, Fault, FaultKind, Pattern, PlantedEdge, Scenario, ScenarioError, Side, SpotScenario,
    SymbolScenario,
};
pub use server::{Exchange, ExchangeConfig, ExchangeError, RunningExchange};
