//! The shipped specs through the engine.

use backtestd_store::load_specs;
use std::collections::BTreeSet;
use std::path::Path;

use backtestd_core::graph::engine::EngineOptions;
use backtestd_core::market::BarIndex;

use super::build::{Noise, slice};
use super::market::{market, symbols};
use super::{LIVE, assert_same, run, run_in_pieces};

#[test]
fn the_shipped_graph_gives_the_same_bits_in_any_pieces_and_from_any_prefix() {
    let spec = load_specs(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/spec"))).unwrap();
    let symbols = symbols(3);
    let block = market(BarIndex(5_800_000), 4600, 3, true);
    let whole = run(&spec.graph, &symbols, &block, EngineOptions::BATCH);

    let mut noise = Noise(5);
    let pieces = run_in_pieces(&spec.graph, &symbols, &block, LIVE, |at| {
        let rows = if at < 3900 { 700 } else { [1, 1, 3, 60][(noise.next() % 4) as usize] };
        (rows, noise.next().is_multiple_of(5))
    });
    assert_same(&spec.graph, &whole, &pieces);

    let prefix = run(&spec.graph, &symbols, &slice(&block, 0, 4000), EngineOptions::BATCH);
    for (long, short) in whole.symbols.iter().zip(&prefix.symbols) {
        for (long, short) in (long.features.iter().chain(long.states.iter()))
            .zip(short.features.iter().chain(short.states.iter()))
        {
            assert!(long.iter().zip(short).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
        let known = long.detections.iter().filter(|d| d.bar < block.first + 4000_i64);
        assert!(
            format!("{:?}", known.collect::<Vec<_>>())
                == format!("{:?}", short.detections.iter().collect::<Vec<_>>())
        );
    }

    let fired: BTreeSet<&str> = whole
        .symbols
        .iter()
        .flat_map(|s| &s.detections)
        .map(|d| spec.graph.events[usize::from(d.event.0)].event_type.as_str())
        .collect();
    assert!(fired.len() > 30, "only {fired:?} fired: the comparison says little");
}
