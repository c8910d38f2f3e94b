//! How often every event occurs on recorded history, as a table that is checked in and must not go stale.
//!
//! `REWRITE_PREVALENCE=1 cargo test --test events prevalence` writes `tests/events/prevalence.csv` and
//! `docs/prevalence.md` anew. Reasons are kept in `tests/events/prevalence_notes.yaml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use backtestd_core::clean::{CleanPolicy, Joiner};
use backtestd_core::graph::{Engine, EngineOptions};
use backtestd_core::market::{BarIndex, RawBlock, Source, Symbol, SymbolColumns};
use backtestd_core::pipeline::{Pipeline, PipelineConfig};
use backtestd_store::load_yaml;
use serde::Deserialize;

use crate::common::{slice, spec_dir};
use crate::real::{FIRST, ROWS, present, settlements, year};
use crate::shipped::{graph_of, shipped};

/// Outside of this an event needs a reason, whatever it declares.
const USUAL_PER_10K: (f64, f64) = (1.0, 500.0);
/// From this relative difference on to the catalogue's count a reason is needed.
const EXPLAIN_FROM: f64 = 0.05;
/// Reads other symbols' settlements only, so it is measured on all that are recorded.
const CROSS_SECTIONAL: &str = "FND_DISLOC";

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    event: String,
    symbol: String,
    known_rows: u64,
    onsets: u64,
    clustered: u64,
    /// The column that is not recorded for the symbol.
    missing: Option<&'static str>,
}

impl Line {
    fn per_10k(&self) -> Option<f64> {
        (self.missing.is_none() && self.known_rows > 0)
            .then(|| self.onsets as f64 * 1e4 / self.known_rows as f64)
    }
}

/// Why a number is what it is: per event, or per `EVENT SYMBOL` where the reason is the symbol's.
#[derive(Deserialize)]
#[serde(transparent)]
struct Notes(BTreeMap<String, String>);

impl Notes {
    fn of(&self, line: &Line) -> Option<&str> {
        let own = format!("{} {}", line.event, line.symbol);
        self.0.get(&own).or_else(|| self.0.get(&line.event)).map(String::as_str)
    }
}

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn notes() -> Notes {
    load_yaml(&path("tests/events/prevalence_notes.yaml")).unwrap_or_else(|e| panic!("{e}"))
}

/// The year through the pipeline, as a run would see it.
fn measured() -> &'static [Line] {
    static LINES: OnceLock<Vec<Line>> = OnceLock::new();
    LINES.get_or_init(|| {
        let config = PipelineConfig {
            symbols: year().iter().map(|r| r.symbol.clone()).collect(),
            collected: year().iter().map(|r| r.columns.clone()).collect(),
            engine: EngineOptions::BATCH,
            spec: Arc::new(shipped().clone()),
        };
        let mut raw = RawBlock::empty(FIRST, ROWS, year().len());
        for (to, from) in raw.symbols.iter_mut().zip(year()) {
            *to = from.raw.clone();
        }
        let mut pipeline = Pipeline::new(config, FIRST).unwrap();
        let events = shipped().events.len();
        let mut known_rows = vec![vec![0; events]; year().len()];
        let mut onsets: Vec<Vec<Vec<BarIndex>>> = vec![vec![Vec::new(); events]; year().len()];
        for from in (0..ROWS).step_by(8192) {
            let facts = pipeline.push(&slice(&raw, from, ROWS.min(from + 8192))).unwrap();
            for (s, out) in facts.output.symbols.iter().enumerate() {
                known_rows[s].iter_mut().zip(&out.known_rows).for_each(|(sum, rows)| *sum += rows);
                for d in &out.detections {
                    onsets[s][usize::from(d.event.0)].push(d.bar);
                }
            }
        }
        let mut lines = Vec::new();
        for (ix, meta) in shipped().events.iter().enumerate() {
            for (s, recorded) in year().iter().enumerate() {
                if meta.event_type == CROSS_SECTIONAL {
                    lines.push(cross_sectional(recorded.symbol.as_str()));
                    continue;
                }
                let lacks = pipeline.unavailable(s).into_iter().find(|(id, _)| usize::from(id.0) == ix);
                lines.push(Line {
                    event: meta.event_type.clone(),
                    symbol: recorded.symbol.to_string(),
                    known_rows: known_rows[s][ix],
                    onsets: onsets[s][ix].len() as u64,
                    clustered: clustered(&onsets[s][ix]),
                    missing: lacks.map(|(_, source)| source.name()),
                });
            }
        }
        lines
    })
}

/// Onsets at most five bars after the previous one.
fn clustered(onsets: &[BarIndex]) -> u64 {
    onsets.windows(2).filter(|w| w[1] - w[0] <= 5).count() as u64
}

/// The universe of every symbol whose settlements are recorded. The event reads nothing else of the others
/// but that they are alive, so a price that never moves stands in for bars that are not here.
fn cross_sectional(symbol: &str) -> Line {
    static RUN: OnceLock<Vec<(Symbol, u64, Vec<BarIndex>)>> = OnceLock::new();
    let all = RUN.get_or_init(|| {
        let (symbols, records): (Vec<Symbol>, Vec<_>) = settlements().into_iter().unzip();
        let spec = shipped();
        let columns: BTreeSet<Source> =
            [Source::FundingRate, Source::IsFundingPrint, Source::FundingIntervalH].into();
        let collected = vec![columns; symbols.len()];
        let policy =
            CleanPolicy::from_spec(&spec.sources, &spec.defaults, &spec.calendars, &symbols, &collected)
                .unwrap();
        let raw = RawBlock { first: FIRST, rows: ROWS, symbols: records };
        let mut block = Joiner::new(&symbols, policy, FIRST).unwrap().push(&raw).unwrap();
        let alive = |columns: &mut SymbolColumns| columns.set(Source::Close, vec![1.0; ROWS]);
        block.symbols.iter_mut().for_each(alive);
        let graph = graph_of(&[CROSS_SECTIONAL]);
        let out = Engine::new(graph, &symbols, FIRST, EngineOptions::BATCH).push(&block).unwrap();
        let bars = |s: usize| out.symbols[s].detections.iter().map(|d| d.bar).collect();
        symbols.iter().enumerate().map(|(s, n)| (n.clone(), out.symbols[s].known_rows[0], bars(s))).collect()
    });
    let (_, known_rows, bars) = all.iter().find(|x| x.0.as_str() == symbol).unwrap();
    Line {
        event: CROSS_SECTIONAL.to_owned(),
        symbol: symbol.to_owned(),
        known_rows: *known_rows,
        onsets: bars.len() as u64,
        clustered: clustered(bars),
        missing: None,
    }
}

/// What the catalogue measured: onsets per 10 000 by symbol, from the event's own file ("BTC 18.2, SOL
/// 19.7").
fn catalogue(event: &str) -> BTreeMap<String, f64> {
    #[derive(Deserialize)]
    struct Measured {
        measured_per_10k: String,
    }
    let meta = shipped().event(event).unwrap();
    let found: Measured = load_yaml(&spec_dir().join(&meta.file)).unwrap_or_else(|e| panic!("{e}"));
    let pairs = found.measured_per_10k.split(", ").filter_map(|p| p.split_once(' '));
    pairs.filter_map(|(name, rate)| Some((format!("{name}USDT"), rate.parse().ok()?))).collect()
}

/// Relative difference to the catalogue's count, where it counted this symbol.
fn against_catalogue(line: &Line) -> Option<(f64, f64)> {
    let theirs = *catalogue(&line.event).get(&line.symbol)?;
    Some((theirs, line.per_10k()? / theirs - 1.0))
}

fn csv(lines: &[Line]) -> String {
    let notes = notes();
    let mut out =
        "event,symbol,known_rows,onsets,per_10k,low,high,clustering,catalogue_per_10k,note\n".to_owned();
    for line in lines {
        let (low, high) = shipped().event(&line.event).unwrap().prevalence_per_10k;
        let _ = write!(out, "{},{},", line.event, line.symbol);
        match (line.per_10k(), line.missing) {
            (Some(rate), _) => {
                let share = if line.onsets > 0 { line.clustered as f64 / line.onsets as f64 } else { 0.0 };
                let theirs =
                    against_catalogue(line).map(|(theirs, _)| theirs.to_string()).unwrap_or_default();
                let _ = write!(
                    out,
                    "{},{},{rate:.2},{low},{high},{share:.3},{theirs},",
                    line.known_rows, line.onsets
                );
                if let Some(note) = notes.of(line) {
                    let _ = write!(out, "\"{}\"", note.replace('"', "\"\""));
                }
            }
            (None, missing) => {
                let why = missing.map_or("no row is known".to_owned(), |m| format!("no {m}"));
                let _ = write!(out, ",,,{low},{high},,,{why}");
            }
        }
        out.push('\n');
    }
    out
}

fn markdown(lines: &[Line]) -> String {
    let notes = notes();
    let mut out = String::from(
        "# How often every event occurs\n\n\
         Onsets per 10 000 known rows on recorded Binance history: BTCUSDT and SOLUSDT 2025 with full klines, open\n\
         interest, settlements and spot; ETHUSDT 2025 with prices, volume, open interest, settlements and spot, but without\n\
         quote volume and taker columns. `gate` is the range that the event declares (`prevalence_per_10k`); a rate outside of\n\
         it fails `gate_e1`. `catalogue` is what was measured when the definition was written. `clustered` is the share of\n\
         onsets at most five bars after the previous one.\n\n\
         FND_DISLOC is measured in the universe of all symbols whose settlements are recorded for the whole year.\n\n\
         Generated: `REWRITE_PREVALENCE=1 cargo test --test events prevalence`. A test fails when it is stale.\n\n\
         | event | symbol | known rows | onsets | per 10k | gate | clustered | catalogue | note |\n\
         | --- | --- | --: | --: | --: | --- | --: | --: | :-: |\n",
    );
    let mut reasons: Vec<String> = Vec::new();
    let mut absent: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for line in lines {
        let (low, high) = shipped().event(&line.event).unwrap().prevalence_per_10k;
        let Some(rate) = line.per_10k() else {
            let column = line.missing.unwrap_or("known row");
            absent.entry(column).or_default().entry(&line.event).or_default().push(&line.symbol);
            continue;
        };
        let share = if line.onsets > 0 { line.clustered as f64 / line.onsets as f64 } else { 0.0 };
        let theirs = against_catalogue(line).map(|(t, _)| format!("{t:.1}")).unwrap_or_default();
        let note = notes.of(line).map(|text| {
            let at = reasons.iter().position(|r| r == text).unwrap_or_else(|| {
                reasons.push(text.to_owned());
                reasons.len() - 1
            });
            format!("{}", at + 1)
        });
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {rate:.2} | {low}..{high} | {share:.3} | {theirs} | {} |",
            line.event,
            line.symbol.trim_end_matches("USDT"),
            line.known_rows,
            line.onsets,
            note.unwrap_or_default()
        );
    }
    out.push_str("\n## Notes\n\n");
    for (ix, reason) in reasons.iter().enumerate() {
        let _ = writeln!(out, "{}. {reason}", ix + 1);
    }
    out.push_str("\n## Not measured\n\nNo record of the column, so the event is unavailable, which is something else than rare.\n\n");
    for (column, events) in absent {
        let of = |(event, symbols): (&&str, &Vec<&str>)| {
            let all = symbols.len() == year().len();
            let short: Vec<&str> = symbols.iter().map(|s| s.trim_end_matches("USDT")).collect();
            if all { (*event).to_owned() } else { format!("{event} ({})", short.join(", ")) }
        };
        let names: Vec<String> = events.iter().map(of).collect();
        let _ = writeln!(out, "* `{column}`: {}", names.join(", "));
    }
    out
}

#[test]
fn the_prevalence_table_is_what_the_recorded_year_gives() {
    if !present() {
        return;
    }
    let lines = measured();
    for (file, text) in [("tests/events/prevalence.csv", csv(lines)), ("docs/prevalence.md", markdown(lines))]
    {
        if std::env::var_os("REWRITE_PREVALENCE").is_some() {
            std::fs::create_dir_all(path(file).parent().unwrap()).unwrap();
            std::fs::write(path(file), &text).unwrap();
        }
        let kept = std::fs::read_to_string(path(file)).unwrap_or_default();
        let stale = kept.lines().zip(text.lines()).find(|(a, b)| a != b);
        assert!(
            kept == text,
            "{file} is stale, first at {stale:?}: REWRITE_PREVALENCE=1 cargo test --test events prevalence"
        );
    }
}

#[test]
fn a_prevalence_out_of_the_ordinary_has_a_written_reason() {
    if !present() {
        return;
    }
    let notes = notes();
    let mut problems = Vec::new();
    for line in measured() {
        let Some(rate) = line.per_10k() else { continue };
        let (low, high) = shipped().event(&line.event).unwrap().prevalence_per_10k;
        let mut odd = Vec::new();
        for (a, b, what) in
            [(low, high, "its own gate"), (USUAL_PER_10K.0, USUAL_PER_10K.1, "the usual range")]
        {
            if !(a..=b).contains(&rate) {
                odd.push(format!("outside of {what}"));
            }
        }
        if let Some((theirs, difference)) = against_catalogue(line)
            && difference.abs() > EXPLAIN_FROM
        {
            odd.push(format!("{:+.0} % against the catalogue's {theirs}", 100.0 * difference));
        }
        if !odd.is_empty() && notes.of(line).is_none() {
            problems.push(format!(
                "{} {}: {} onsets, {rate:.2} per 10k: {}",
                line.event,
                line.symbol,
                line.onsets,
                odd.join("; ")
            ));
        }
    }
    for name in notes.0.keys() {
        let event = name.split(' ').next().unwrap();
        assert!(shipped().event(event).is_some(), "a note on '{name}', which is no event");
    }
    assert!(problems.is_empty(), "without a note: {problems:#?}");
}
