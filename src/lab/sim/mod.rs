//! A simulated market: a pure function of (seed, scenario, bar number), which the simulated venue serves and calibration
//! reads without a network.

mod market;
mod moments;
mod scenario;
mod view;

pub use market::{Market, SeriesBar, SimBar, intrabar, tick};
pub use moments::{Book, ForcedOrder};
pub use scenario::{
    DEFAULT_SCENARIO, Fault, FaultKind, Pattern, PlantedEdge, Scenario, ScenarioError, Side, SpotScenario,
    SymbolScenario,
};
pub use view::{Digits, Interval, Kline, Range, Series, mark_at};
