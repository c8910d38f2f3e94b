//! Markets without any news: nothing may happen in them but by the clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtestd_core::{
    Bar, BarIndex, EngineOptions, Facts, Pipeline, PipelineConfig, RawBlock, Source, Symbol,
};

use crate::shipped::shipped;

/// Events by type of a market whose price grows by the same factor in every bar.
fn events_of(growth: f64) -> BTreeMap<String, usize> {
    let (first, rows) = (BarIndex(5_680_800), 40 * 288);
    let config = PipelineConfig {
        spec: Arc::new(shipped().clone()),
        symbols: vec![Symbol::new("BTCUSDT").unwrap()],
        collected: vec![Source::PERP_BAR.into_iter().collect()],
        engine: EngineOptions::BATCH,
    };
    let mut raw = RawBlock::empty(first, rows, 1);
    let at = |n: usize| 100.0 * libm::exp(growth * n as f64);
    for (n, bar) in (0..rows).zip((0..).map(|n| first + n)) {
        let (open, close) = (at(n), at(n + 1));
        raw.symbols[0].perp.push(Bar {
            bar,
            open,
            high: open.max(close),
            low: open.min(close),
            close,
            volume: 100.0,
            quote_volume: 100.0 * close,
            trades: 1000.0,
            taker_buy_volume: 50.0,
            taker_buy_quote: 50.0 * close,
        });
    }
    let facts: Facts = Pipeline::new(config, first).unwrap().push(&raw).unwrap();
    let mut by_type = BTreeMap::new();
    for event in &facts.events {
        *by_type.entry(event.event_type.to_string()).or_default() += 1;
    }
    by_type
}

/// What the clock says, and what compares a difference with its own history or is a rank in it: those
/// differences are rounding here, and which of them is among the largest is chance. Ranks take no margin,
/// because prices of real symbols have ratios that tie but for rounding, and an independent implementation
/// ranks them by it.
const MAY_HAPPEN: [&str; 7] = [
    "SCHEDULED_NEWS_WINDOW_EVENT",
    "SESSION_CLOSE_EVENT",
    "SESSION_OPEN_EVENT",
    "CLIMAX_VOLUME_BAR",
    "VOL_REGIME_SHIFT_EVENT",
    "VOL_SPIKE",
    "ZSCORE_STRETCH",
];

#[test]
fn a_ramp_that_never_changes_its_pace_never_ends_a_compression() {
    for growth in [1e-4, -1e-4, 3.3e-5, 7e-4] {
        let mut events = events_of(growth);
        assert!(events["SESSION_OPEN_EVENT"] > 50, "the market is alive: {events:?}");
        events.retain(|name, _| !MAY_HAPPEN.contains(&name.as_str()));
        assert!(events.is_empty(), "{growth}: {events:?}");
    }
    assert!(events_of(0.0).is_empty(), "a price that never moves");
}
