//! A simulated market: a pure function of (seed, scenario, bar number), which the simulated venue serves and
//! calibration reads without a network.

mod crowd;
mod faults;
mod market;
mod moments;
mod prints;
mod scenario;
mod view;

pub use faults::{Fault, FaultKind};
pub use market::{Market, SeriesBar, SimBar, intrabar, tick};
pub use moments::{Book, ForcedOrder};
pub use prints::Print;
pub use scenario::{
    Contract, DEFAULT_SCENARIO, Listing, Pattern, PlantedEdge, Scenario, ScenarioError, Side, SpotScenario,
    SymbolScenario,
};
pub use view::{Digits, Interval, Kline, Range, Series, mark_at};
