//! The kline-only events against an implementation of their own in numpy and pandas (`twin/twin.py`), on real
//! history: the same bars, the same sides, the same severities.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use backtestd_core::clean::{CleanPolicy, Joiner};
use backtestd_core::graph::{Engine, EngineOptions};
use backtestd_core::market::{RawBlock, Source, Symbol};

use crate::common::recorded::{say, skipped};
use crate::python::{Wanted, python};
use crate::real::{FIRST, present, year};
use crate::shipped::{graph_of, shipped};

/// January to June; the first months fill the longest windows (52 days), then more than three are compared
/// warm.
const ROWS: usize = 181 * 288;
const COLUMNS: [Source; 8] = [
    Source::Open,
    Source::High,
    Source::Low,
    Source::Close,
    Source::Volume,
    Source::QuoteVolume,
    Source::Trades,
    Source::TakerBuyQuote,
];

const PYTHON: Wanted = Wanted {
    venv: "twin-python",
    imports: &["numpy", "pandas"],
    install: &["-r", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/events/twin/requirements.txt")],
};

/// Direction and severity by (event, symbol, bar).
type Onsets = BTreeMap<(String, String, i64), (i8, f64)>;

fn twin_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/events/twin")
}

/// The engine's onsets of the events that the twin knows; writes what the twin reads into `folder`.
fn engine_onsets(folder: &Path, known: &[&str]) -> Onsets {
    let symbols: Vec<Symbol> = year().iter().map(|r| r.symbol.clone()).collect();
    let collected: Vec<_> = year().iter().map(|r| r.columns.clone()).collect();
    let mut raw = RawBlock::empty(FIRST, ROWS, symbols.len());
    for (to, from) in raw.symbols.iter_mut().zip(year()) {
        to.perp = from.raw.perp.iter().filter(|b| b.bar < FIRST + ROWS as i64).copied().collect();
    }
    let spec = shipped();
    let policy =
        CleanPolicy::from_spec(&spec.sources, &spec.defaults, &spec.calendars, &symbols, &collected).unwrap();
    let block = Joiner::new(&symbols, policy, FIRST).unwrap().push(&raw).unwrap();
    for (symbol, columns) in symbols.iter().zip(&block.symbols) {
        let mut text = "bar".to_owned();
        for source in COLUMNS {
            let _ = write!(text, ",{}", source.name());
        }
        for row in 0..ROWS {
            let _ = write!(text, "\n{}", FIRST.0 + row as i64);
            for source in COLUMNS {
                match columns.get(source).map(|c| c[row]).filter(|v| !v.is_nan()) {
                    Some(value) => write!(text, ",{value}").unwrap(),
                    None => text.push(','),
                }
            }
        }
        std::fs::write(folder.join(format!("{symbol}.csv")), text).unwrap();
    }
    let graph = graph_of(known);
    let mut engine = Engine::new(graph.clone(), &symbols, FIRST, EngineOptions::BATCH);
    let out = engine.push(&block).unwrap();
    let mut onsets = Onsets::new();
    for (s, symbol) in symbols.iter().enumerate().filter(|(_, s)| s.as_str() != "ETHUSDT") {
        for d in &out.symbols[s].detections {
            let event = graph.events[usize::from(d.event.0)].event_type.clone();
            onsets.insert((event, symbol.to_string(), d.bar.0), (d.direction, d.severity));
        }
    }
    onsets
}

fn read_twin(path: &Path) -> Onsets {
    let text = std::fs::read_to_string(path).unwrap();
    let mut onsets = Onsets::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let key = (cells[0].to_owned(), cells[1].to_owned(), cells[2].parse().unwrap());
        onsets.insert(key, (cells[3].parse().unwrap(), cells[4].parse().unwrap()));
    }
    onsets
}

/// Events that read nothing but klines of one or two symbols.
fn kline_only() -> Vec<&'static str> {
    let bars = |source: &Source| COLUMNS.contains(source) || matches!(source, Source::TakerBuyVolume);
    let events = shipped().graph.events.iter();
    events.filter(|e| e.needs.iter().all(bars)).map(|e| e.event_type.as_str()).collect()
}

#[test]
fn kline_only_events_have_the_bars_sides_and_severities_of_an_independent_implementation() {
    if !present() {
        return;
    }
    let Some(python) = python(&PYTHON) else {
        skipped(
            "the twin needs python3 with numpy and pandas, and neither the system nor pip \
             (tests/events/twin/requirements.txt) has them",
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let known = kline_only();
    let engine = engine_onsets(folder.path(), &known);
    let ran =
        Command::new(python).arg("-B").arg(twin_dir().join("twin.py")).arg(folder.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let twin = read_twin(&folder.path().join("twin.csv"));

    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for (key, (direction, severity)) in &engine {
        *counts.entry(&key.0).or_default() += 1;
        match twin.get(key) {
            None => problems.push(format!("{key:?}: the engine only")),
            Some((d, s)) if d != direction || (s - severity).abs() > 1e-6 * severity.abs().max(1e-3) => {
                problems.push(format!("{key:?}: {direction} {severity}, the twin {d} {s}"));
            }
            Some(_) => {}
        }
    }
    problems.extend(twin.keys().filter(|k| !engine.contains_key(k)).map(|k| format!("{k:?}: the twin only")));
    problems.truncate(40);
    assert!(problems.is_empty(), "of {} onsets: {problems:#?}", engine.len());
    let silent: Vec<_> = known.iter().filter(|e| !counts.contains_key(*e)).collect();
    assert!(silent.is_empty(), "never fired, so nothing was compared: {silent:?}");
    say(&format!("{} onsets of {} events are the twin's", engine.len(), counts.len()));
}
