//! What all connections share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::ScaledClock;
use backtestd_core::clock::Clock;
use backtestd_core::market::{DAY_MS, Draws, Market as Side, Symbol, Ts, derive};

use super::limits::Limiter;
use super::server::ExchangeConfig;
use backtestd_lab::sim::{Fault, FaultKind, Listing, Market};

/// The shared state of a running exchange.
#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) market: Arc<Market>,
    pub(crate) clock: Arc<ScaledClock>,
    pub(crate) limiter: Limiter,
    pub(crate) config: ExchangeConfig,
    /// Positions of the contracts by name.
    pub(crate) names: BTreeMap<String, usize>,
    /// What was asked and what went wrong, counted.
    pub(crate) tally: Tally,
    /// Turns true when the exchange stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Venue {
    pub(crate) fn now(&self) -> Ts {
        self.clock.now()
    }

    /// Position of a contract by its upper-case name, if anybody knows it now.
    pub(crate) fn symbol(&self, name: &str) -> Option<usize> {
        let symbol = *self.names.get(name)?;
        (self.listing(symbol, self.now()) != Listing::Unknown).then_some(symbol)
    }

    /// Where a contract stands at an instant.
    pub(crate) fn listing(&self, symbol: usize, at: Ts) -> Listing {
        let scenario = self.market.scenario();
        scenario.listing(&scenario.symbols[symbol], at)
    }

    pub(crate) fn is_trading(&self, symbol: usize, at: Ts) -> bool {
        self.listing(symbol, at) == Listing::Trading
    }

    /// The stretches during which a contract trades, in order; the last one has no end if it is never
    /// settled.
    pub(crate) fn traded(&self, symbol: usize) -> Vec<(Ts, Ts)> {
        let scenario = self.market.scenario();
        let genesis = self.market.genesis().open();
        let mut edges = vec![genesis];
        let name = self.key(symbol);
        for fault in scenario.faults.iter().filter(|fault| fault.hits(Some(name))) {
            if matches!(fault.kind, FaultKind::Listing | FaultKind::Delisting) && fault.every_bars == 0 {
                let (begin, end) = fault.window(fault.begins().open()).unwrap_or((genesis, genesis));
                edges.extend([begin, end]);
            }
        }
        edges.sort_unstable();
        edges.dedup();
        edges.retain(|edge| *edge >= genesis);
        let ends = edges[1..].iter().copied().chain([Ts(i64::MAX / 2)]);
        let stretches: Vec<(Ts, Ts)> = edges.iter().copied().zip(ends).collect();
        stretches.into_iter().filter(|(from, _)| self.is_trading(symbol, *from)).collect()
    }

    /// The contracts that trade at an instant.
    pub(crate) fn trading(&self, at: Ts) -> impl Iterator<Item = usize> {
        (0..self.market.scenario().symbols.len()).filter(move |&symbol| self.is_trading(symbol, at))
    }

    pub(crate) fn key(&self, symbol: usize) -> &Symbol {
        &self.market.scenario().symbols[symbol].name
    }

    /// The rule of the scenario by which a bar's kline goes wrong.
    pub(crate) fn kline_fault(&self, kind: FaultKind, symbol: usize, side: Side, bar: Ts) -> Option<&Fault> {
        let mut rules = self.market.scenario().faults_at(kind, bar);
        rules.find(|fault| fault.hits(Some(self.key(symbol))) && fault.hits_market(side))
    }

    /// Time between two books, and between two prints of trades: a grid that streams and answers share.
    pub(crate) fn depth_step_ms(&self) -> i64 {
        period_ms(500, 60_000, self.clock.speed(), self.config.frame_gap)
    }

    pub(crate) fn print_step_ms(&self) -> i64 {
        period_ms(1000, 60_000, self.clock.speed(), self.config.frame_gap)
    }

    /// The draws of the next request.
    pub(crate) fn draws(&self) -> Draws {
        let number = self.tally.requests.fetch_add(1, Ordering::Relaxed);
        Draws::numbered(derive(self.market.seed(), "requests"), number)
    }

    pub(crate) fn name(&self, symbol: usize) -> &str {
        self.market.scenario().symbols[symbol].name.as_str()
    }

    pub(crate) fn has_spot(&self, symbol: usize) -> bool {
        self.market.scenario().symbols[symbol].spot.is_some()
    }

    /// Hours between settlements of a contract.
    pub(crate) fn funding_hours(&self, symbol: usize, at: Ts) -> i64 {
        let scenario = self.market.scenario();
        scenario.funding_hours(&scenario.symbols[symbol], at)
    }

    /// Settlement after `at`.
    pub(crate) fn next_funding(&self, symbol: usize, at: Ts) -> Ts {
        let step = self.funding_hours(symbol, at) * DAY_MS / 24;
        Ts((at.0.div_euclid(step) + 1) * step)
    }
}

/// Counts of what happened, for whoever wants to know whether a client behaved.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    requests: AtomicI64,
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    pub(crate) fn count(&self, what: impl Into<String>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what.into()).or_default() += 1;
    }

    /// Counts a fault that took effect, under its word in the scenario.
    pub(crate) fn fault(&self, kind: FaultKind) {
        let word = serde_json::to_value(kind).unwrap_or_default();
        self.count(format!("fault {}", word.as_str().unwrap_or_default()));
    }

    pub(crate) fn json(&self) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_string(&*counts).unwrap_or_default()
    }
}

/// Virtual time between two periodic frames of a stream. In real time the venue's own; when the clock runs
/// fast, stretched so that a stream sends about one frame per `gap` of real time, but never beyond `most`,
/// which keeps several frames in each bar (the last minute of a bar always has a mark and a quote).
pub(crate) fn period_ms(natural: i64, most: i64, speed: f64, gap: Duration) -> i64 {
    let stretched = if speed > 1.0 { (gap.as_secs_f64() * 1000.0 * speed) as i64 } else { 0 };
    let wanted = stretched.clamp(natural, most.max(natural));
    // Periods divide the bar, so that frames fall on the same seconds of every bar.
    const DIVISORS_MS: [i64; 13] =
        [250, 500, 1000, 2000, 3000, 5000, 10_000, 15_000, 20_000, 30_000, 60_000, 100_000, 150_000];
    DIVISORS_MS.iter().copied().find(|&p| p >= wanted).unwrap_or(most)
}
