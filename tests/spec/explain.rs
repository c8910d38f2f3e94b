//! Explanations of a bar: the trace says what the pipeline did, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use backtestd_core::explain::{Census, ExplainError, History, Outcome, Trace, Tracer};
use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{BarIndex, Market, RawBlock, Source, Symbol};
use backtestd_core::pipeline::{Facts, Pipeline, PipelineConfig};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::{Delivery, Origin, Store};

use crate::common::{START, collected, market, slice, symbols};
use crate::copy::Copy;
use crate::shipped;

const ROWS: usize = 6_000;
const SYMBOLS: usize = 3;

/// A market with everything, and what the whole pipeline made of it.
struct World {
    raw: RawBlock,
    facts: Facts,
    history: History,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::new(shipped(), vec![collected().into_iter().collect(); SYMBOLS]))
}

impl World {
    fn new(spec: CompiledSpec, collected: Vec<BTreeSet<Source>>) -> Self {
        let raw = market(11, SYMBOLS, ROWS);
        let spec = Arc::new(spec);
        let config = PipelineConfig {
            spec: Arc::clone(&spec),
            symbols: symbols(SYMBOLS),
            collected: collected.clone(),
            engine: EngineOptions::BATCH,
        };
        let facts = Pipeline::new(config, START).unwrap().push(&raw).unwrap();
        let end = START + ROWS as i64;
        let history = History { spec, symbols: symbols(SYMBOLS), collected, first: START, end };
        Self { raw, facts, history }
    }

    /// The rows of the block for some of its symbols, as a store would give them.
    fn raw(&self, wanted: &[Symbol], first: BarIndex, rows: usize) -> RawBlock {
        if first < START {
            return RawBlock::empty(first, rows, wanted.len());
        }
        let from = (first - START) as usize;
        let mut block = slice(&self.raw, from, from + rows);
        let all = symbols(SYMBOLS);
        let keep = |s: &Symbol| all.iter().position(|a| a == s).unwrap();
        block.symbols = wanted.iter().map(|s| block.symbols[keep(s)].clone()).collect();
        block
    }

    fn trace(&self, name: &str, symbol: usize, row: usize) -> Trace {
        self.try_trace(name, symbol, row).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn try_trace(&self, name: &str, symbol: usize, row: usize) -> Result<Trace, ExplainError> {
        let symbol = &self.history.symbols[symbol];
        let mut tracer = Tracer::new(&self.history, name, symbol, START + row as i64)?;
        while let Some(stretch) = tracer.wants() {
            tracer.push(&self.raw(&stretch.symbols, stretch.first, stretch.rows))?;
        }
        Ok(tracer.finish())
    }

    fn row(&self, bar: BarIndex) -> usize {
        (bar - START) as usize
    }
}

/// The first and the last onset of every event type that fires at all: a trace of that bar, under the part of
/// the graph alone, says that it fired, with the direction, severity and named values of the pipeline's
/// record, to the bit.
#[test]
fn a_trace_of_an_onset_has_the_values_of_its_record() {
    let world = world();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut compared = 0;
    for event in &world.facts.events {
        let times = seen.entry(&event.event_type).or_default();
        *times += 1;
        // An early and a later one: the second has spacing and episodes behind it.
        if !matches!(*times, 1 | 4) {
            continue;
        }
        let symbol = world.history.symbols.iter().position(|s| *s == event.symbol).unwrap();
        let trace = world.trace(&event.event_type, symbol, world.row(event.bar));
        let verdict = trace.verdict();
        assert_eq!(verdict.outcome, Outcome::Fired, "{}: {}", event.id(), trace.text(true));
        let direction = format!("fired, direction {:+}", event.direction);
        assert!(verdict.headline.starts_with(&direction), "{}: {}", event.id(), verdict.headline);
        let json = trace.json();
        let nodes = json["nodes"].as_array().unwrap();
        let id = |name: &str| format!("{}:{name}", event.symbol);
        for (name, value) in &event.features {
            let found =
                nodes.iter().find(|n| n["name"] == **name && n["id"].as_str().unwrap().starts_with(&id("")));
            // What an event reads of another symbol only, the own one has no value of in the tree.
            let Some(shown) = found else { continue };
            compared += 1;
            // A truth value is true or false there, 1 or 0 in the record.
            let truth = shown["value"].as_bool().map(|t| f64::from(u8::from(t)));
            let shown = shown["value"].as_f64().or(truth);
            assert_eq!(
                shown.map(f64::to_bits),
                (!value.is_nan()).then_some(value.to_bits()),
                "{} {name}",
                event.id()
            );
        }
    }
    assert!(compared > 200, "{compared} named values");
    assert!(seen.len() > 40, "only {} event types fired in the test market", seen.len());
}

#[test]
fn a_trace_of_any_other_bar_says_that_the_event_did_not_fire() {
    let world = world();
    let fired: BTreeSet<(&str, usize)> =
        world.facts.events.iter().map(|e| (&*e.event_type, world.row(e.bar))).collect();
    let mut outcomes = BTreeMap::new();
    for (ix, name) in
        ["VOL_SPIKE", "BAND_BREAK", "FUNDING_FLIP", "LEAD_LAG_BREAK", "OI_FLUSH"].iter().enumerate()
    {
        for row in (500..ROWS).step_by(1_371 + ix) {
            if fired.contains(&(*name, row)) {
                continue;
            }
            let outcome = world.trace(name, 1, row).verdict().outcome;
            assert_ne!(outcome, Outcome::Fired, "{name} row {row}");
            *outcomes.entry(format!("{outcome:?}")).or_insert(0) += 1;
        }
    }
    assert!(outcomes.contains_key("NotTrue") && outcomes.contains_key("Unknown"), "{outcomes:?}");
}

#[test]
fn features_and_states_have_the_values_of_the_whole_graph() {
    let world = world();
    let graph = &world.history.spec.graph;
    let out = &world.facts.output.symbols[2];
    let features = graph.features.iter().zip(out.features.iter()).step_by(7);
    let states = graph.states.iter().zip(out.states.iter()).step_by(6);
    let mut known = 0;
    for (output, column) in features.chain(states) {
        let row = ROWS - 1;
        let json = world.trace(&output.name, 2, row).json();
        let root = json["nodes"].as_array().unwrap().iter().find(|n| n["id"] == json["root"]).unwrap();
        let truth = root["value"].as_bool().map(|t| f64::from(u8::from(t)));
        let shown = root["value"].as_f64().or(truth);
        let value = column[row];
        assert_eq!(shown.map(f64::to_bits), (!value.is_nan()).then_some(value.to_bits()), "{}", output.name);
        known += usize::from(shown.is_some());
    }
    assert!(known > 12, "{known} known values compared");
}

#[test]
fn a_feature_of_long_short_ratios_reads_the_record_of_the_bar_before() {
    let feature = "features:\n  crowding:\n    expr: ln(ls_ratio_accounts / ls_ratio_top_positions)\n    unit: ln\n    \
                   doc: all accounts against the positions of the top traders\n";
    let spec = Copy::new().edit("features/positioning.yaml", "features:\n", feature).load();
    let world = World::new(spec, vec![collected().into_iter().collect(); SYMBOLS]);
    for row in [700, 3_000, ROWS - 1] {
        // The snapshot at the open of the bar; that of its close is a minute too late for it.
        let at = (START + row as i64).open();
        let record = world.raw.symbols[1].long_short_ratio.iter().find(|r| r.ts == at).unwrap();
        let json = world.trace("crowding", 1, row).json();
        let root = json["nodes"].as_array().unwrap().iter().find(|n| n["id"] == json["root"]).unwrap();
        assert_eq!(
            root["value"].as_f64(),
            Some(libm::log(record.accounts / record.top_positions)),
            "row {row}"
        );
    }
}

/// An event that is as simple as possible: a bar closes above its open.
fn simple(detect: &str, rest: &str) -> World {
    let text = format!(
        "event_type: VOL_SPIKE\nfamily: VOLATILITY_TRANSITION\ndoc: a test\n\
         detect:\n  when: close > open\n{detect}\
         {rest}templates: [fade]\nhorizons: [15m]\n"
    );
    let spec = Copy::new().write("events/vol_spike.yaml", &text).load();
    World::new(spec, vec![collected().into_iter().collect(); SYMBOLS])
}

const UP: &str = "direction: sign(close - open)\nseverity: close / open\n";

impl World {
    /// Rows of BTCUSDT on which the trigger is what the pattern says: `T`, `F`, or `?`.
    fn find(&self, pattern: &str) -> usize {
        let bars: BTreeMap<usize, bool> =
            self.raw.symbols[1].perp.iter().map(|b| (self.row(b.bar), b.close > b.open)).collect();
        let fits = |row: &usize, c: char| match c {
            'T' => bars.get(row) == Some(&true),
            'F' => bars.get(row) == Some(&false),
            _ => !bars.contains_key(row),
        };
        let last = (0..ROWS).find(|row| pattern.chars().enumerate().all(|(i, c)| fits(&(row + i), c)));
        last.unwrap_or_else(|| panic!("no rows {pattern}")) + pattern.len() - 1
    }

    fn words(&self, row: usize) -> (Outcome, String, BTreeMap<&'static str, String>) {
        let verdict = self.trace("VOL_SPIKE", 1, row).verdict();
        (verdict.outcome, verdict.because.join("; "), verdict.rules.into_iter().collect())
    }
}

#[test]
fn a_trigger_that_was_true_before_is_no_rising_edge() {
    let world = simple("  onset: rising\n", UP);
    let (outcome, _, rules) = world.words(world.find("FTTT"));
    assert_eq!(outcome, Outcome::NoEdge);
    assert!(
        rules["onset"].starts_with("`when` is true but was true one bar before: no rising edge (since "),
        "{}",
        rules["onset"]
    );
    assert!(rules["onset"].contains(", 2 bars)"), "{}", rules["onset"]);
    let (outcome, because, rules) = world.words(world.find("FT"));
    assert_eq!(outcome, Outcome::Fired);
    assert!(because.starts_with("`close > open` is true ("), "{because}");
    assert!(
        rules["onset"].starts_with("true now and false one bar before: a rising edge"),
        "{}",
        rules["onset"]
    );
    let (outcome, because, _) = world.words(world.find("TF"));
    assert_eq!(outcome, Outcome::NotTrue);
    assert!(because.starts_with("`close > open` is false ("), "{because}");
}

#[test]
fn a_gap_is_unknown_and_so_is_the_edge_after_it() {
    let world = simple("  onset: rising\n", UP);
    let (outcome, because, _) = world.words(world.find("T?"));
    assert_eq!(outcome, Outcome::Unknown);
    assert!(because.contains("close is unknown for BTCUSDT on this bar (no bar was delivered"), "{because}");
    let (outcome, because, _) = world.words(world.find("?T"));
    assert_eq!(outcome, Outcome::Unknown);
    assert!(because.contains("`when` was unknown one bar before"), "{because}");
}

#[test]
fn a_suppressed_trigger_says_what_suppressed_it() {
    let spaced = simple("  onset: level\n  spacing_bars: 12\n", UP);
    // Level and spacing 12: some onset lies at most 12 rows before any true row late in the history.
    let row = spaced.find("TT");
    let (outcome, because, rules) = spaced.words(row);
    assert_eq!(outcome, Outcome::Suppressed, "{because}");
    assert!(because.ends_with("after the last onset, and the spacing is 12"), "{because}");
    assert!(rules["spacing"].starts_with("blocked: the last onset was "), "{}", rules["spacing"]);

    let open = simple("  onset: rising\n  max_bars: 50\n", UP);
    let (outcome, because, rules) = open.words(open.find("FTFT"));
    assert_eq!(outcome, Outcome::Suppressed);
    assert!(because.starts_with("its own episode is open since "), "{because}");
    assert!(
        rules["episode"].starts_with("open since ") && rules["episode"].ends_with("it lasts 50 bars"),
        "{rules:?}"
    );

    let sideless = simple("  onset: rising\n", "direction: 0 * close\nseverity: close\n");
    let (outcome, because, rules) = sideless.words(sideless.find("FT"));
    assert_eq!(
        (outcome, because.as_str()),
        (Outcome::Suppressed, "the direction is 0, and this event is directed")
    );
    assert!(rules["direction"].starts_with("0: a trigger would be suppressed"), "{}", rules["direction"]);

    let unknown = simple("  onset: rising\n", "direction: sign(lag(close, 5000))\nseverity: close\n");
    let (outcome, because, _) = unknown.words(unknown.find("FT"));
    assert_eq!(outcome, Outcome::Suppressed);
    assert!(
        because.starts_with("the direction is unknown: `close` is read 5000 rows back, and the history"),
        "{because}"
    );
}

#[test]
fn what_is_not_collected_is_named() {
    let quotes = Source::from_name("spread_bps_mean").unwrap();
    let bars: BTreeSet<Source> = collected().into_iter().filter(|s| *s < quotes).collect();
    let world = World::new(shipped(), vec![bars; SYMBOLS]);
    let trace = world.trace("SPREAD_BLOWOUT", 1, 3_000);
    assert_eq!(trace.verdict().outcome, Outcome::Unavailable);
    assert_eq!(trace.verdict().because, ["spread_bps_mean is not collected for BTCUSDT"]);
    assert!(trace.text(false).contains("spread_bps_mean  (not collected)"), "{}", trace.text(false));
}

#[test]
fn a_window_that_is_not_full_says_how_much_it_knows() {
    let world = world();
    let verdict = world.trace("VOL_SHOCK", 1, 1_000).verdict();
    assert_eq!(verdict.outcome, Outcome::Unknown);
    let because = verdict.because.join("\n");
    assert!(
        because.contains("of its last")
            && because.contains("and needs")
            && because.contains("the history begins"),
        "{because}"
    );
}

#[test]
fn the_tree_goes_down_to_the_sources_of_every_symbol_read() {
    let world = world();
    let text = world.trace("LEAD_LAG_BREAK", 0, 5_000).text(false);
    assert!(text.contains("of(LEADER)") && text.contains("BTCUSDT: "), "{text}");
    let universe = world.trace("FND_DISLOC", 0, 5_500).text(false);
    for symbol in ["BNBUSDT: ", "BTCUSDT: ", "ETHUSDT: "] {
        assert!(universe.contains(symbol), "no {symbol} in\n{universe}");
    }
    // Every line begins with a value.
    let tree = text.split("\n\n").last().unwrap();
    for line in tree.lines() {
        let value = line.trim_start().split("  ").next().unwrap();
        let fine = matches!(value, "true" | "false" | "unknown") || value.parse::<f64>().is_ok();
        assert!(fine, "{line}");
    }
}

#[test]
fn a_trace_reads_as_a_person_would_ask() {
    let world = simple("  onset: rising\n  spacing_bars: 12\n", UP);
    let text = world.trace("VOL_SPIKE", 1, world.find("FTTT")).text(false);
    let text = text.replace(&world.history.spec.hash, "sha256:…");
    insta::assert_snapshot!(text);
}

#[test]
fn the_operators_are_listed_with_their_calls_and_in_words() {
    let spec = shipped();
    let list = backtestd_core::spec::explain(&spec, "operators", false).unwrap();
    assert!(list.text.contains("W  hma(x, window=, [min=], [on=])"), "{}", list.text);
    assert!(
        list.text.contains("hma(close, window=16, min=8): the Hull moving average of close over 80 minutes")
    );
    assert_eq!(list.json["operators"].as_array().unwrap().len(), backtestd_core::graph::operators().count());
}

#[test]
fn names_symbols_and_bars_that_do_not_exist_are_refused() {
    let world = world();
    let error = |name: &str, symbol: &str, row: i64| {
        Tracer::new(&world.history, name, &Symbol::new(symbol).unwrap(), START + row).unwrap_err().to_string()
    };
    assert!(error("VOL_SHOK", "BTCUSDT", 10).ends_with("did you mean 'VOL_SHOCK'?"));
    assert!(error("fade", "BTCUSDT", 10).starts_with("'fade' has no value on a bar"));
    assert!(error("VOL_SHOCK", "DOGEUSDT", 10).contains("there are bars of BNBUSDT, BTCUSDT, ETHUSDT"));
    assert!(error("VOL_SHOCK", "BTCUSDT", -1).contains("is not stored: the history runs from"));
}

#[test]
fn a_census_counts_what_the_pipeline_counted() {
    let world = world();
    for name in ["VOL_SPIKE", "FUNDING_FLIP", "LEAD_LAG_BREAK"] {
        let mut census = Census::new(&world.history, name).unwrap();
        while let Some(stretch) = census.wants() {
            census.push(&world.raw(&stretch.symbols, stretch.first, stretch.rows)).unwrap();
        }
        let counts = census.finish();
        let ix = world.history.spec.events.iter().position(|e| e.event_type == name).unwrap();
        for (count, out) in counts.symbols.iter().zip(&world.facts.output.symbols) {
            let onsets =
                world.facts.events.iter().filter(|e| *e.event_type == *name && e.symbol == count.symbol);
            assert_eq!(count.onsets, onsets.count() as u64, "{name} {}", count.symbol);
            assert_eq!(count.known_rows, out.known_rows[ix], "{name} {}", count.symbol);
        }
        assert!(counts.text().contains("onsets per 10 000 known rows"), "{}", counts.text());
    }
}

/// The binary on a store with some bars, and what it said: exit code, stdout, stderr.
fn run(state: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_backtestd"))
        .args(["spec", "explain", "--spec"])
        .arg(crate::shipped_dir())
        .arg("--state")
        .arg(state)
        .args(args)
        .env_remove("BACKTESTD_SOCKET")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn store_with_bars(dir: &Path) -> Store {
    let mut store = Store::open(dir).unwrap();
    let raw = market(11, SYMBOLS, 700);
    for (symbol, records) in symbols(SYMBOLS).iter().zip(&raw.symbols) {
        let delivery = Delivery::new(Origin::Archive, "test");
        store.put_bars(Market::Perp, symbol, &records.perp, delivery).unwrap();
    }
    store
}

#[test]
fn the_command_explains_a_bar_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    drop(store_with_bars(dir.path()));
    let at = (START + 650).open().rfc3339();
    let inside = at.replace(":00Z", ":42Z");
    let (code, text, notes) = run(dir.path(), &["--at", &inside, "--symbol", "BTCUSDT", "VOL_SPIKE"]);
    assert_eq!(code, Some(0), "{notes}");
    assert!(text.starts_with(&format!("VOL_SPIKE (event) on BTCUSDT, bar {at}")), "{text}");
    assert!(notes.contains(&format!("is inside the bar {at}; that bar is explained")), "{notes}");
    // The id of an event is a name and a bar.
    let id = format!("VOL_SPIKE:BTCUSDT:{}", (START + 650).open().compact());
    let (_, by_id, _) = run(dir.path(), &["--json", &id]);
    let json: serde_json::Value = serde_json::from_str(&by_id).unwrap();
    assert_eq!((&json["timestamp"], &json["outcome"]), (&at.into(), &"unknown".into()));
    let (code, _, error) = run(dir.path(), &["--at", "2031-01-01", "--symbol", "BTCUSDT", "VOL_SPIKE"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("is not stored: the history runs from"), "{error}");
    let (_, text, _) = run(dir.path(), &["BAND_BREAK"]);
    assert!(text.contains("\nprevalence over 700 stored bars from "), "{text}");
}

#[test]
fn a_store_in_use_and_a_store_that_is_not_there_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text, _) = run(dir.path(), &["VOL_SPIKE"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("prevalence  not counted: there is no store in"), "{text}");
    assert!(!dir.path().join("db").exists(), "asking creates no store");
    let place = ["--at", "2024-01-05", "--symbol", "BTCUSDT", "VOL_SPIKE"];
    let (code, _, error) = run(dir.path(), &place);
    assert_eq!(code, Some(1));
    assert!(error.contains("import or backfill history, or name the store with --state"), "{error}");

    let _held = store_with_bars(dir.path());
    let (code, _, error) = run(dir.path(), &place);
    assert_eq!(code, Some(1));
    let holder = format!("is in use by process {}", std::process::id());
    assert!(error.contains(&holder) && error.contains("name the daemon's socket with --socket"), "{error}");
}
