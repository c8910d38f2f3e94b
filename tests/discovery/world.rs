//! Outcome tables whose truth is known: a market with common shocks, clustered events, and planted edges.

use std::collections::BTreeSet;

use backtestd_core::discovery::{
    Condition, DiscoveryConfig, Known, OutcomeRow, OutcomeTable, TableBuilder, default_exit, label_condition,
};
use backtestd_core::market::{BAR_MS, DAY_MS, Ts};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub(crate) const EVENTS: [(&str, &str); 6] = [
    ("ALPHA_ONE", "ALPHA"),
    ("ALPHA_TWO", "ALPHA"),
    ("BETA_ONE", "BETA"),
    ("BETA_TWO", "BETA"),
    ("GAMMA_ONE", "GAMMA"),
    ("GAMMA_TWO", "GAMMA"),
];
pub(crate) const SYMBOLS: [&str; 4] = ["AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT"];
pub(crate) const FIRST_DAY: i64 = 19_000;

/// An edge in bps per trade, in the event's direction (negative = fade), on one event type and every horizon.
#[derive(Clone, Copy)]
pub(crate) struct Edge {
    pub event: &'static str,
    pub bps: f64,
}

pub(crate) fn config() -> DiscoveryConfig {
    DiscoveryConfig {
        excluded: Vec::new(),
        lacking: Vec::new(),
        gates: serde_saphyr::from_str(include_str!("../../spec/gates.yaml")).unwrap(),
        families: serde_saphyr::from_str(include_str!("../../spec/multiplicity/families.yaml")).unwrap(),
        catalogue: None,
        closed_through: None,
        entry_lag_bars: 1,
        spec_hash: "sha256:test".into(),
    }
}

pub(crate) fn conditions() -> Vec<Condition> {
    ["low", "mid", "high"].into_iter().map(|v| label_condition("vol_regime", v)).collect()
}

pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform in (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n
    }

    /// Standard normal (Box-Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        libm::sqrt(-2.0 * libm::log(self.uniform())) * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// Heavy tails: a normal over the root of an exponential mix, variance about 1.
    pub(crate) fn heavy(&mut self) -> f64 {
        self.normal() * if self.uniform() < 0.05 { 2.5 } else { 0.85 }
    }
}

/// Every day each event type has a burst: a few events on several symbols within an hour, one direction,
/// sharing the hour's market shock. Returns are martingale differences except for the edge.
pub(crate) fn world(seed: u64, days: i64, edge: Option<Edge>) -> OutcomeTable {
    let mut dice = Dice::new(seed);
    let mut builder = TableBuilder::new(conditions(), Known { sigma: true, mark: false });
    for day in FIRST_DAY..FIRST_DAY + days {
        let regime = dice.below(3) as usize;
        let sigma = [0.0012, 0.0018, 0.0028][regime];
        for (event_type, family) in EVENTS {
            if dice.uniform() < 0.3 {
                continue;
            }
            let direction = if dice.below(2) == 0 { 1 } else { -1 };
            let start = dice.below(278) as i64;
            let common = [dice.heavy(), dice.heavy()];
            let burst = 1 + dice.below(8);
            let mut seen = BTreeSet::new();
            for _ in 0..burst {
                let symbol = SYMBOLS[dice.below(4) as usize];
                let timestamp = Ts(day * DAY_MS + (start + dice.below(8) as i64) * BAR_MS);
                // An event happens once; what is drawn for it is drawn all the same.
                let is_new = seen.insert((symbol, timestamp));
                for (h, (horizon, bars)) in [("15m", 3u32), ("60m", 12)].into_iter().enumerate() {
                    let shock = 0.8 * common[h] + 0.6 * dice.heavy();
                    let edge = edge.filter(|e| e.event == event_type).map_or(0.0, |e| e.bps / 1e4);
                    let r = sigma * f64::from(bars).sqrt() * shock + f64::from(direction) * edge;
                    let row = OutcomeRow {
                        event_type,
                        family,
                        symbol,
                        timestamp,
                        entry: default_exit(timestamp, 1, 0),
                        exit: default_exit(timestamp, 1, bars),
                        direction: direction as i8,
                        horizon,
                        forward_return: r,
                        mark: f64::NAN,
                        cost_bps: 12.0,
                        sigma_bar: sigma * (1.0 + 0.1 * dice.normal()).clamp(0.7, 1.3),
                    };
                    if is_new {
                        builder.push(&row, &[regime]).unwrap();
                    }
                }
            }
        }
    }
    builder.finish()
}
