//! The laws of the pipeline over every shipped spec: stream = batch, restarts change nothing, cutting the future changes
//! nothing before the cut.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use backtestd::graph::EngineOptions;
use backtestd::market::{RawBlock, Ts};
use backtestd::pipeline::{Facts, Pipeline, PipelineConfig};
use backtestd::spec::CompiledSpec;
use sha2::{Digest, Sha256};

const ROWS: usize = 9_000;
const SYMBOLS: usize = 3;

fn config(slack_rows: usize, threads: bool) -> PipelineConfig {
    let spec = CompiledSpec::load(&common::spec_dir()).unwrap_or_else(|e| panic!("{e}"));
    PipelineConfig {
        spec: Arc::new(spec),
        symbols: common::symbols(SYMBOLS),
        collected: vec![common::collected().into_iter().collect(); SYMBOLS],
        engine: EngineOptions { slack_rows, threads },
    }
}

/// A row-by-row fingerprint of everything that a push says, so that two runs can be compared up to any row.
#[derive(Default, PartialEq, Eq, Debug, Clone)]
struct Trace {
    /// Per row: a hash over all feature and state bits of all symbols.
    rows: Vec<[u8; 32]>,
    /// With the row's close, before which nothing of it may be known.
    facts: Vec<(Ts, String)>,
}

impl Trace {
    fn add(&mut self, facts: &Facts) {
        for row in 0..facts.rows {
            let mut hash = Sha256::new();
            for symbol in &facts.output.symbols {
                for column in symbol.features.iter().chain(&symbol.states) {
                    hash.update(canonical(column[row]).to_le_bytes());
                }
            }
            self.rows.push(hash.finalize().into());
        }
        let events = facts.events.iter().map(|e| (e.detected(), format!("{e:?}")));
        let ends = facts.ends.iter().map(|e| (e.exit.close(), format!("{e:?}")));
        let outcomes = facts.outcomes.iter().map(|o| (o.matured(), format!("{o:?}")));
        let mut all: Vec<_> = events.chain(ends).chain(outcomes).collect();
        // Stable: within one row the pipeline's own order counts, across kinds the row does.
        all.sort_by_key(|(ts, _)| *ts);
        self.facts.extend(all);
    }
}

/// All NaNs are one unknown; everything else is compared by its bits.
fn canonical(x: f64) -> u64 {
    if x.is_nan() { u64::MAX } else { x.to_bits() }
}

fn trace(market: &RawBlock, config: PipelineConfig, cuts: impl IntoIterator<Item = usize>) -> Trace {
    let mut pipeline = Pipeline::new(config, market.first).unwrap();
    let mut out = Trace::default();
    let mut from = 0;
    for to in cuts {
        out.add(&pipeline.push(&common::slice(market, from, to)).unwrap());
        from = to;
    }
    out
}

fn every(step: usize, rows: usize) -> Vec<usize> {
    (1..=rows).filter(|r| r % step == 0 || *r == rows).collect()
}

#[test]
fn one_bar_at_a_time_equals_chunks_of_1000_equals_one_batch() {
    let market = common::market(7, SYMBOLS, ROWS);
    let batch = trace(&market, config(512, true), [ROWS]);
    assert!(batch.facts.len() > 2000, "only {} facts: the test market is too quiet", batch.facts.len());
    assert!(batch == trace(&market, config(512, true), every(1000, ROWS)), "chunks of 1000 differ");
    assert!(batch == trace(&market, config(32, false), every(1, ROWS)), "one bar at a time differs");
}

#[test]
fn a_restart_from_the_checkpoint_at_every_997th_tick_changes_nothing() {
    let market = common::market(8, SYMBOLS, ROWS);
    let whole = trace(&market, config(512, true), [ROWS]);

    let config = config(32, true);
    let mut pipeline = Pipeline::new(config.clone(), market.first).unwrap();
    let mut parts = Trace::default();
    let mut from = 0;
    for to in every(997, ROWS) {
        parts.add(&pipeline.push(&common::slice(&market, from, to)).unwrap());
        let saved = pipeline.checkpoint().unwrap();
        pipeline = Pipeline::restore(config.clone(), &saved).unwrap();
        assert_eq!(saved, pipeline.checkpoint().unwrap(), "saving what was restored gives the same bytes");
        from = to;
    }
    assert!(whole == parts);
}

#[test]
fn cutting_the_future_at_50_random_points_changes_nothing_before_the_cut() {
    const ROWS: usize = 6_500;
    let market = common::market(9, SYMBOLS, ROWS);
    let base = config(512, true);
    let whole = trace(&market, base.clone(), [ROWS]);
    let mut rng = common::Rng(99);
    for _ in 0..50 {
        let cut = 1 + (rng.unit() * (ROWS - 1) as f64) as usize;
        // The cut history ends at `cut`: nothing later exists, and the last row is pushed in the same batch.
        let part = trace(&market, base.clone(), [cut]);
        assert!(part.rows == whole.rows[..cut], "features or states before the cut at {cut} differ");
        let end = (market.first + cut as i64).open();
        let before = whole.facts.partition_point(|(ts, _)| *ts <= end);
        assert!(part.facts == whole.facts[..before], "events or outcomes before the cut at {cut} differ");
    }
}
