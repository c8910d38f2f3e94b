//! Every operator of the language by its own example, found in the table: whoever adds one is tested here at
//! once.

use std::path::Path;
use std::sync::Arc;

use backtestd_core::graph::engine::EngineOptions;
use backtestd_core::graph::{
    Class, EventDef, Graph, LangError, Onset, Operator, Program, SeriesDef, Span, SymbolRef, compile, facts,
    operators, parse,
};
use backtestd_core::market::{BarIndex, Source, TickBlock};

use super::build::{Noise, slice, symbol};
use super::market::{market, symbols};
use super::twin::weighted;
use super::{LIVE, assert_same, run, run_in_pieces};

fn series(name: &str, text: &str) -> SeriesDef {
    let expr = parse(text, 0).unwrap_or_else(|e| panic!("{text}: {}", e.message));
    SeriesDef { name: name.to_owned(), expr: Some(Arc::new(expr)), span: Span::default() }
}

/// Features beside an event `E`, compiled from their texts.
pub(crate) fn compiled(features: &[(&str, &str)]) -> Arc<Graph> {
    Arc::new(try_compiled(features).unwrap_or_else(|errors| panic!("{features:?}: {errors:?}")))
}

fn try_compiled(features: &[(&str, &str)]) -> Result<Graph, Vec<LangError>> {
    let event = EventDef {
        event_type: "E".into(),
        family: "F".into(),
        enabled: true,
        base: None,
        lets: Vec::new(),
        when: series("when", "close > lag(close, 3)"),
        exit: None,
        direction: series("direction", "sign(close - open)"),
        severity: series("severity", "volume"),
        onset: Onset::Rising,
        spacing_bars: 3,
        max_bars: Some(5),
        undirected: false,
    };
    let program = Program {
        macros: Vec::new(),
        features: features.iter().map(|(name, text)| series(name, text)).collect(),
        states: Vec::new(),
        events: vec![event],
        leader: SymbolRef::Leader { lead: symbol("BTCUSDT"), other: symbol("ETHUSDT") },
        universe_min: 2,
    };
    compile(&program)
}

/// Every example, and where a clock is taken the same on a clock.
fn every_example() -> (Vec<&'static Operator>, Arc<Graph>) {
    let mut texts = Vec::new();
    let mut rows = Vec::new();
    for row in operators() {
        texts.push((row.name, row.example.to_owned()));
        rows.push(row);
        if row.takes_clock {
            let call = row.example.trim_end_matches(')');
            texts.push((row.name, format!("{call}, on=volume > 900)")));
            rows.push(row);
        }
    }
    let features: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    (rows, compiled(&features))
}

fn a_market(rows: usize) -> TickBlock {
    market(BarIndex(5_800_003), rows, 3, true)
}

#[test]
fn no_operator_is_unknown_for_ever_or_the_same_for_ever() {
    let (rows, graph) = every_example();
    let out = run(&graph, &symbols(3), &a_market(1500), EngineOptions::BATCH);
    for (row, values) in rows.iter().zip(out.symbols[1].features.iter()) {
        let known: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        assert!(known.len() > 300, "{}: {} known rows", row.example, known.len());
        assert!(known.iter().any(|v| *v != known[0]), "{} is always {}", row.example, known[0]);
    }
}

#[test]
fn every_example_gives_the_same_bits_in_any_pieces_after_any_restart_and_from_any_prefix() {
    let (_, graph) = every_example();
    let block = a_market(1400);
    let whole = run(&graph, &symbols(3), &block, EngineOptions::BATCH);
    let mut noise = Noise(4);
    let pieces = run_in_pieces(&graph, &symbols(3), &block, LIVE, |_| {
        let rows = [1, 1, 2, 7, 33, 150][(noise.next() % 6) as usize];
        (rows, noise.next().is_multiple_of(4))
    });
    assert_same(&graph, &whole, &pieces);
    for rows in [1, 700, 1399] {
        let prefix = run(&graph, &symbols(3), &slice(&block, 0, rows), EngineOptions::BATCH);
        for (long, short) in whole.symbols.iter().zip(&prefix.symbols) {
            for (long, short) in long.features.iter().zip(short.features.iter()) {
                assert!(long.iter().zip(short).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }
    }
}

#[test]
fn an_operator_of_class_w_forgets_a_hole_once_its_window_has_passed() {
    let (rows, graph) = every_example();
    let facts = facts(&graph);
    let block = a_market(1500);
    let whole = run(&graph, &symbols(3), &block, EngineOptions::BATCH);
    let mut holed = block.clone();
    let hole = 700..712;
    for source in Source::ALL {
        let mut column = block.symbols[0].get(*source).unwrap().to_vec();
        column[hole.clone()].fill(f64::NAN);
        holed.symbols[0].set(*source, column);
    }
    let holed = run(&graph, &symbols(3), &holed, EngineOptions::BATCH);
    let mut compared = 0;
    for (ix, row) in rows.iter().enumerate() {
        let node = &facts[graph.features[ix].node.ix()];
        let (a, b) = (&whole.symbols[0].features[ix], &holed.symbols[0].features[ix]);
        assert!(
            a[..hole.start].iter().zip(b.iter()).all(|(a, b)| a.to_bits() == b.to_bits()),
            "{}",
            row.example
        );
        if matches!(row.class, Class::Point | Class::Window) && !node.stateful {
            let from = hole.end + node.look_back.rows as usize;
            let same = a[from..].iter().zip(&b[from..]).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same && from < 1400, "{} remembers the hole after {from} rows", row.example);
            compared += 1;
        }
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn the_readme_of_the_specs_names_every_operator_with_its_class() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/README.md")).unwrap();
    let (_, table) = readme.split_once("| Operator | Class | Meaning |").unwrap();
    for row in operators() {
        // Operators across symbols have no class in the table.
        let letter = row.class.letter().to_string().replace('X', "");
        // `universe_median mean std rank` share a prefix.
        let name = row.name.strip_prefix("universe_").unwrap_or(row.name);
        let is_named = |line: &str| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (names, class) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            class == letter
                && names
                    .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .any(|word| word == name || word == row.name)
        };
        assert!(
            table.lines().any(is_named),
            "spec/README.md has no row of class '{letter}' for `{}`",
            row.name
        );
    }
}

/// From the definition, with no blocks and no nodes.
fn hull(x: &[f64], window: usize, min: usize) -> Vec<f64> {
    let mean = |x: &[f64], rows: usize| -> Vec<f64> {
        let min = (min * rows).div_ceil(window);
        let padded: Vec<f64> = vec![f64::NAN; rows - 1].into_iter().chain(x.iter().copied()).collect();
        let of = |w: &[f64]| {
            if w.iter().filter(|v| !v.is_nan()).count() < min { f64::NAN } else { weighted(w) }
        };
        padded.windows(rows).map(of).collect()
    };
    let (half, whole) = (mean(x, window / 2), mean(x, window));
    let ahead: Vec<f64> = half.iter().zip(&whole).map(|(half, whole)| 2.0 * half - whole).collect();
    mean(&ahead, (window as f64).sqrt() as usize)
}

#[test]
fn hma_is_what_its_definition_gives() {
    let block = a_market(900);
    let x = block.symbols[0].get(Source::Close).unwrap();
    for (window, min) in [(2, 2), (3, 2), (4, 1), (16, 16), (16, 9), (55, 40), (100, 100), (288, 200)] {
        let graph = compiled(&[("hma", &format!("hma(close, window={window}, min={min})"))]);
        let out = run(&graph, &symbols(3), &block, LIVE);
        let expect = hull(x, window, min);
        let mut known = 0;
        for (t, (got, expect)) in out.symbols[0].features[0].iter().zip(&expect).enumerate() {
            let close = (got.is_nan() && expect.is_nan()) || (got - expect).abs() < 1e-10 * expect.abs();
            assert!(close, "hma({window}, {min}) row {t}: {got}, expected {expect}");
            known += usize::from(!got.is_nan());
        }
        assert!(known > 100, "hma({window}, {min}): {known} known rows");
    }
}

#[test]
fn hma_follows_a_straight_line_without_lag() {
    let mut block = a_market(200);
    let line: Vec<f64> = (0..200).map(|t| 3.0 + 0.5 * f64::from(t)).collect();
    block.symbols[0].set(Source::Close, line.clone());
    let graph = compiled(&[("hma", "hma(close, window=16)")]);
    let out = run(&graph, &symbols(3), &block, LIVE);
    let got = &out.symbols[0].features[0];
    // 2 (x - s (8-1)/3) - (x - s (16-1)/3) = x + s/3, less s (4-1)/3: two thirds of a row behind.
    for (t, got) in got.iter().enumerate().skip(18) {
        assert!((got - (line[t] - 0.5 * 2.0 / 3.0)).abs() < 1e-12, "row {t}: {got} of {}", line[t]);
    }
    assert!(got[..18].iter().all(|v| v.is_nan()));
}

#[test]
fn hma_needs_two_rows_and_no_more_known_ones_than_its_window_holds() {
    let refused = |text: &str| try_compiled(&[("a", text)]).unwrap_err()[0].message.clone();
    assert!(refused("hma(close, window=1)").contains("'window' of `hma` is a whole number, at least 2"));
    assert!(refused("hma(close, window=9, min=10)").contains("more than the window can ever hold (9)"));
}
