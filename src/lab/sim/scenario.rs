//! The scenario file: what is listed, which edges are planted, what goes wrong on the wire.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use backtestd_core::market::{BAR_MS, BarIndex, DAY_MS, Symbol, Ts, parse_time};

use super::faults::{Fault, FaultKind};

/// The scenario shipped inside the binary.
pub const DEFAULT_SCENARIO: &str = include_str!("default_scenario.yaml");

/// A market to simulate. The fields are documented in the default scenario file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Free name of the scenario.
    pub name: String,
    /// Open time of the first bar, RFC 3339; on the 5-minute grid.
    pub genesis: String,
    /// Interest component of the funding formula, decimal per 8 h.
    #[serde(default = "default_interest")]
    pub interest_rate_8h: f64,
    /// Sd of the common factor per bar at average volatility, bps.
    pub market_sigma_bps: f64,
    /// Contracts that the exchange lists.
    pub symbols: Vec<SymbolScenario>,
    /// Planted edges; everything else is a martingale.
    #[serde(default)]
    pub edges: Vec<PlantedEdge>,
    /// Troubles on the wire.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// One listed contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymbolScenario {
    /// Name, also of the spot pair.
    pub name: Symbol,
    /// Price at genesis.
    pub price: f64,
    /// Decimals of the tick size.
    pub tick_decimals: usize,
    /// Decimals that the venue prints (at least those of the tick).
    pub price_decimals: usize,
    /// Decimals of the quantity step.
    pub lot_decimals: usize,
    /// Loading on the common factor.
    pub beta: f64,
    /// Own sd per bar at average volatility, bps.
    pub own_sigma_bps: f64,
    /// Typical traded value per bar, quote units.
    pub turnover: f64,
    /// Typical open interest, base units.
    pub open_interest: f64,
    /// The spot pair, if there is one.
    #[serde(default)]
    pub spot: Option<SpotScenario>,
    /// What kind of contract it is.
    #[serde(default)]
    pub contract: Contract,
    /// Asset that it is priced and settled in; the end of the name.
    #[serde(default = "usdt")]
    pub quote: String,
    /// Hours between two settlements, where no fault changes them.
    #[serde(default = "eight_hours")]
    pub funding_hours: i64,
}

/// Kinds of contracts that exchangeInfo knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contract {
    /// A perpetual of a coin.
    #[default]
    Perpetual,
    /// A perpetual of a share or a commodity.
    Tradifi,
    /// A delivery contract of this quarter.
    CurrentQuarter,
    /// A delivery contract of the next quarter.
    NextQuarter,
    /// A perpetual that has been settled.
    Settled,
    /// A perpetual that is announced and does not trade yet.
    Announced,
}

impl Contract {
    /// Whether the exchange lists it and nothing is traded: there is a row of it and no series.
    #[must_use]
    pub const fn is_resting(self) -> bool {
        !matches!(self, Self::Perpetual | Self::Tradifi)
    }
}

/// Where a contract stands at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Nobody has heard of it.
    Unknown,
    /// It trades from this instant on.
    Pending(Ts),
    /// Orders match now.
    Trading,
    /// It was settled at this instant.
    Settled(Ts),
    /// It is a row of exchangeInfo without a market.
    Resting,
}

/// The spot pair of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpotScenario {
    /// Decimals of the tick size.
    pub tick_decimals: usize,
    /// Decimals of the quantity step.
    pub lot_decimals: usize,
}

/// A market pattern that the generator can see as it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Log range above its time-of-day norm and the last day's level, while turnover is ordinary.
    ThinRangeSpike,
    /// Fall of open contracts over 12 bars, in logs.
    OpenInterestDrop,
    /// Change of the perp-spot basis over 3 bars, bps.
    BasisJump,
}

/// Which way the drift goes, relative to the pattern's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Against the pattern's direction.
    Fade,
    /// With the pattern's direction.
    Follow,
}

/// One planted edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlantedEdge {
    /// Short name of the edge.
    pub id: String,
    /// What the edge is, in words.
    pub doc: String,
    /// The catalogue event that fires on the pattern.
    pub event_type: String,
    /// Events that inherit part of the edge by construction.
    #[serde(default)]
    pub also_affects: Vec<String>,
    /// What is watched.
    pub pattern: Pattern,
    /// From which size on it counts (unit: see the pattern).
    pub threshold: f64,
    /// No second onset within so many bars.
    pub spacing_bars: u32,
    /// How often the generator makes it happen, per 10 000 bars and symbol.
    pub injected_per_10k: f64,
    /// Bars from the pattern to the bar on which a reader can detect it.
    #[serde(default)]
    pub detection_delay_bars: u32,
    /// Direction of the drift.
    pub side: Side,
    /// Bars over which the drift is spread.
    pub horizon_bars: u32,
    /// Expected return over the horizon, bps.
    pub drift_bps: f64,
}

impl PlantedEdge {
    /// True if the event is this edge's own or inherits from it.
    #[must_use]
    pub fn touches(&self, event_type: &str) -> bool {
        self.event_type == event_type || self.also_affects.iter().any(|e| e == event_type)
    }
}

/// A scenario that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read the scenario {path}: {source}; give an existing YAML file, or none for the default")]
    Read {
        /// Path of the scenario file.
        path: PathBuf,
        /// What the operating system reported.
        source: std::io::Error,
    },
    /// The text is not a scenario.
    #[error("{origin} is not a scenario: {message}")]
    Parse {
        /// File or "scenario".
        origin: String,
        /// The parser's message with line and column.
        message: String,
    },
    /// A value that the market cannot live with.
    #[error("scenario field {field}: {value} is wrong, {expected}")]
    Value {
        /// Path of the field.
        field: String,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
}

fn usdt() -> String {
    "USDT".to_owned()
}

const fn eight_hours() -> i64 {
    8
}

fn default_interest() -> f64 {
    0.0001
}

impl Default for Scenario {
    #[expect(clippy::expect_used, reason = "the embedded file is checked by a test")]
    fn default() -> Self {
        Self::parse(DEFAULT_SCENARIO).expect("the embedded scenario is valid")
    }
}

impl Scenario {
    /// Reads YAML text and checks it.
    ///
    /// # Errors
    /// When it is not a scenario, or a value cannot work.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_saphyr::from_str(text).map_err(|error| ScenarioError::Parse {
            origin: "the text".to_owned(),
            message: error.to_string(),
        })?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`Scenario::parse`], or when the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|error| match error {
            ScenarioError::Parse { message, .. } => {
                ScenarioError::Parse { origin: path.display().to_string(), message }
            }
            other => other,
        })
    }

    /// First bar of the market.
    #[must_use]
    pub fn genesis_bar(&self) -> BarIndex {
        parse_time(&self.genesis).unwrap_or(Ts(0)).bar()
    }

    /// The rule by which a fault of this kind holds for `symbol` when `bar` begins (`None` asks for
    /// venue-wide ones).
    #[must_use]
    pub fn fault(&self, kind: FaultKind, bar: BarIndex, symbol: Option<&Symbol>) -> Option<&Fault> {
        self.faults_at(kind, bar.open()).find(|fault| fault.hits(symbol))
    }

    /// The rules of a kind that hold at an instant.
    pub fn faults_at(&self, kind: FaultKind, at: Ts) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(move |fault| fault.kind == kind && fault.window(at).is_some())
    }

    /// Whether a contract is known and trades at an instant.
    #[must_use]
    pub fn listing(&self, listing: &SymbolScenario, at: Ts) -> Listing {
        if listing.contract.is_resting() {
            return Listing::Resting;
        }
        let mine = |fault: &&Fault| fault.hits(Some(&listing.name));
        let from = |fault: &Fault| fault.begins().open();
        let listed = self.faults.iter().filter(|f| f.kind == FaultKind::Listing).find(mine).map(from);
        if let Some(listed) = listed.filter(|listed| at < *listed) {
            return if listed.0 - at.0 <= DAY_MS { Listing::Pending(listed) } else { Listing::Unknown };
        }
        let ended = self.faults_at(FaultKind::Delisting, at).find(mine).and_then(|f| f.window(at));
        ended.map_or(Listing::Trading, |(since, _)| Listing::Settled(since))
    }

    /// Hours between settlements of a contract at an instant.
    #[must_use]
    pub fn funding_hours(&self, listing: &SymbolScenario, at: Ts) -> i64 {
        let changes = self.faults_at(FaultKind::FundingInterval, at).filter(|f| f.hits(Some(&listing.name)));
        changes.max_by_key(|f| f.begins()).map_or(listing.funding_hours, |fault| fault.hours)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let wrong =
            |field: String, value: String, expected| Err(ScenarioError::Value { field, value, expected });
        match parse_time(&self.genesis) {
            Ok(ts) if ts.0 >= 0 && ts.0 % BAR_MS == 0 => {}
            _ => {
                return wrong(
                    "genesis".into(),
                    self.genesis.clone(),
                    "it must be a time on the 5-minute grid",
                );
            }
        }
        if self.symbols.is_empty() {
            return wrong("symbols".into(), "[]".into(), "list at least one");
        }
        for (i, s) in self.symbols.iter().enumerate() {
            let numbers = [
                ("price", s.price),
                ("turnover", s.turnover),
                ("open_interest", s.open_interest),
                ("own_sigma_bps", s.own_sigma_bps),
            ];
            for (name, value) in numbers {
                if !(value.is_finite() && value > 0.0) {
                    return wrong(format!("symbols[{i}].{name}"), value.to_string(), "it must be positive");
                }
            }
            if s.price_decimals < s.tick_decimals || s.price_decimals > 8 || s.lot_decimals > 8 {
                return wrong(
                    format!("symbols[{i}].price_decimals"),
                    s.price_decimals.to_string(),
                    "decimals are at most 8, and the printed price has at least those of the tick",
                );
            }
            if !(1..=24).contains(&s.funding_hours) {
                let expected = "a settlement interval has 1 to 24 hours";
                return wrong(format!("symbols[{i}].funding_hours"), s.funding_hours.to_string(), expected);
            }
            if self.symbols[..i].iter().any(|other| other.name == s.name) {
                return wrong(format!("symbols[{i}].name"), s.name.to_string(), "it is listed twice");
            }
        }
        for (i, edge) in self.edges.iter().enumerate() {
            if edge.horizon_bars == 0 || !edge.drift_bps.is_finite() {
                return wrong(
                    format!("edges[{i}].horizon_bars"),
                    edge.horizon_bars.to_string(),
                    "the drift needs at least one bar and a finite size",
                );
            }
            if !(0.0..=1000.0).contains(&edge.injected_per_10k) {
                return wrong(
                    format!("edges[{i}].injected_per_10k"),
                    edge.injected_per_10k.to_string(),
                    "it must lie between 0 and 1000",
                );
            }
        }
        for (i, fault) in self.faults.iter().enumerate() {
            if let Some((name, value, expected)) = fault.problem() {
                return wrong(format!("faults[{i}].{name}"), value, expected);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_scenario_is_valid_and_lists_six_symbols() {
        let scenario = Scenario::parse(DEFAULT_SCENARIO).unwrap();
        assert_eq!(scenario.symbols.len(), 6);
        assert!(scenario.symbols.iter().filter(|s| s.spot.is_some()).count() >= 3);
        assert!(scenario.edges.iter().any(|e| e.touches("VOL_SPIKE")));
    }

    #[test]
    fn a_wrong_value_names_its_field() {
        let text = DEFAULT_SCENARIO.replace("price: 640,", "price: -1,");
        let message = Scenario::parse(&text).unwrap_err().to_string();
        assert!(message.contains("symbols[3].price") && message.contains("-1"), "{message}");
        let message = Scenario::parse("name: x\nsurprise: 1\n").unwrap_err().to_string();
        assert!(message.contains("surprise"), "{message}");
    }

    #[test]
    fn a_fault_repeats_with_its_period_and_lasts_its_bars() {
        let scenario = Scenario::default();
        let btc = Symbol::new("BTCUSDT").unwrap();
        let doge = Symbol::new("DOGEUSDT").unwrap();
        let hit = |n: i64, s| scenario.fault(FaultKind::DropClose, BarIndex(173 * 1000 + n), s).is_some();
        assert!(!hit(76, Some(&btc)) && hit(77, Some(&btc)) && hit(78, Some(&btc)) && !hit(79, Some(&btc)));
        assert!(!hit(77, Some(&doge)));
    }
}
