//! The guide cannot rot: every expression in it compiles, every example is in the file it names, and every
//! worked table is what the engine computes.
//!
//! Fences of the guide:
//! * `expr FILE`: an expression of that shipped file.
//! * `expr`: an expression that compiles in the shipped specs.
//! * `yaml FILE`: lines of that shipped file.
//! * `rows`: a table, a series a line, cells apart by blanks, name and cells by at least two. `x y z` are
//!   numbers, `c d` truth values (`T F ?`); what is not one of them is an expression over them, or over `at`
//!   (the first bar's time), and its cells are what comes out. `x@ETHUSDT` is another symbol's input; outputs
//!   are BTCUSDT's. A line `E: ...` is an event's detector, `key=value` apart by `;`, which outputs may read
//!   as `fired(E)`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use backtestd_core::clean::{CleanPolicy, Joiner};
use backtestd_core::graph::{Engine, EngineOptions, EventDef, Onset, SeriesDef, Span, compile, parse};
use backtestd_core::market::{Bar, BarIndex, RawBlock, Source, Symbol, parse_time};
use backtestd_core::spec::CompiledSpec;

use crate::{shipped, shipped_dir};

/// A fenced block: page, info string, content.
struct Fence {
    page: String,
    line: usize,
    info: String,
    text: String,
}

impl Fence {
    fn at(&self) -> String {
        format!("spec/{}:{}", self.page, self.line)
    }
}

fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(shipped_dir().join("guide")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("guide/{}", path.file_name().unwrap().to_str().unwrap());
        pages.insert(name, fs::read_to_string(path).unwrap());
    }
    pages
}

fn fences() -> Vec<Fence> {
    let mut found = Vec::new();
    for (page, text) in pages() {
        let mut open: Option<Fence> = None;
        for (ix, line) in text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(info)) => {
                    let info = info.trim().to_owned();
                    open = Some(Fence { page: page.clone(), line: ix + 1, info, text: String::new() });
                }
                (Some(_), Some(_)) => found.extend(open.take()),
                (Some(fence), None) => fence.text.push_str(&format!("{line}\n")),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{page}: a fence stays open");
    }
    found
}

#[test]
fn every_fence_is_of_a_known_kind() {
    for fence in fences() {
        let kind = fence.info.split(' ').next().unwrap();
        assert!(matches!(kind, "expr" | "yaml" | "rows"), "{}: '{}'", fence.at(), fence.info);
    }
    let rows = fences().iter().filter(|f| f.info == "rows").count();
    assert!(rows >= 9, "{rows} worked tables");
}

#[test]
fn every_group_of_operators_has_a_page_and_the_entry_names_it() {
    let entry = fs::read_to_string(shipped_dir().join("README.md")).unwrap();
    let pages = pages();
    assert_eq!(pages.len(), 9);
    for page in pages.keys() {
        assert!(entry.contains(&format!("({page})")), "spec/README.md does not link {page}");
    }
}

/// Each operator of the language's table stands on some page.
#[test]
fn every_operator_is_in_the_guide() {
    let all: String = pages().into_values().collect();
    let entry = fs::read_to_string(shipped_dir().join("README.md")).unwrap();
    let (_, entry) = entry.split_once("| Operator | Class | Meaning |").unwrap();
    let (entry, _) = entry.split_once("`plausibility:`").unwrap();
    let table = entry.lines().filter(|l| l.starts_with("| `")).filter_map(|l| l.split('|').nth(1));
    let names: BTreeSet<&str> = table
        .flat_map(|cell| cell.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .filter(|word| word.len() > 2 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    let not_operators = [
        "window", "min", "max", "days", "half", "bucket", "buckets", "halflife", "cal", "before", "after",
        "unary", "set", "reset", "enter", "exit", "buy", "total", "yaml",
    ];
    let missing: Vec<&str> = names
        .into_iter()
        .filter(|name| !not_operators.contains(name))
        .filter(|name| !all.contains(&format!("{name}(")) && !all.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

fn series(name: &str, text: &str, at: &str) -> SeriesDef {
    let expr = parse(text, 0).unwrap_or_else(|e| panic!("{at}: {text}: {}", e.message));
    SeriesDef { name: name.to_owned(), expr: Some(Arc::new(expr)), span: Span::default() }
}

#[test]
fn every_fenced_expression_compiles() {
    let spec = shipped();
    let mut checked = 0;
    for fence in fences().iter().filter(|f| f.info.starts_with("expr")) {
        let example = series("guide_example", fence.text.trim(), &fence.at());
        let mut program = (*spec.program).clone();
        let file = fence.info.split_once(' ').map_or("", |(_, file)| file);
        // A binding may be a number or a truth value, and an event's example reads the event's own bindings.
        let event = spec.events.iter().find(|e| e.file == Path::new(file)).map(|e| e.event_type.as_str());
        let event = event.map_or(0, |name| program.events.iter().position(|e| e.event_type == name).unwrap());
        program.events[event].lets.push(example);
        if let Err(errors) = compile(&program) {
            panic!("{}: {}: {errors:?}", fence.at(), fence.text);
        }
        checked += 1;
    }
    assert!(checked >= 9, "{checked} expressions");
}

/// Without blanks, so that folded lines compare.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn every_example_is_in_the_shipped_file_that_it_names() {
    let mut per_page: BTreeMap<String, usize> = BTreeMap::new();
    for fence in fences() {
        let Some((_, file)) = fence.info.split_once(' ') else { continue };
        let text = fs::read_to_string(shipped_dir().join(file))
            .unwrap_or_else(|e| panic!("{}: {file}: {e}", fence.at()));
        assert!(
            squeezed(&text).contains(&squeezed(&fence.text)),
            "{}: {file} does not have\n{}",
            fence.at(),
            fence.text
        );
        *per_page.entry(fence.page.clone()).or_default() += 1;
    }
    assert_eq!(per_page.len(), pages().len(), "a page has no example of a shipped spec: {per_page:?}");
}

#[test]
fn every_worked_table_is_what_the_engine_computes() {
    let spec = shipped();
    for fence in fences().iter().filter(|f| f.info == "rows") {
        Table::read(fence).check(&spec);
    }
}

/// A worked table.
struct Table {
    at: String,
    first: BarIndex,
    /// By symbol and input name.
    inputs: BTreeMap<(String, String), Vec<f64>>,
    event: Option<String>,
    outputs: Vec<(String, Vec<String>)>,
}

const OWN: &str = "BTCUSDT";
const NUMBERS: [(&str, &str); 3] = [("x", "open"), ("y", "high"), ("z", "volume")];
const TRUTHS: [(&str, &str); 2] = [("c", "low"), ("d", "quote_volume")];

impl Table {
    fn read(fence: &Fence) -> Self {
        let mut table = Self {
            at: fence.at(),
            first: parse_time("2026-03-02T00:00:00Z").unwrap().bar(),
            inputs: BTreeMap::new(),
            event: None,
            outputs: Vec::new(),
        };
        for line in fence.text.lines().filter(|l| !l.trim().is_empty()) {
            if let Some(event) = line.strip_prefix("E: ") {
                table.event = Some(event.to_owned());
                continue;
            }
            let (name, cells) = line.split_once("  ").unwrap_or_else(|| panic!("{}: {line}", table.at));
            let (name, cells) =
                (name.trim(), cells.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
            if name == "at" {
                table.first = parse_time(&cells[0]).unwrap().bar();
                continue;
            }
            let (bare, symbol) = name.split_once('@').unwrap_or((name, OWN));
            if NUMBERS.iter().chain(&TRUTHS).any(|(input, _)| *input == bare) {
                let values = cells.iter().map(|c| value(c)).collect();
                table.inputs.insert((symbol.to_owned(), bare.to_owned()), values);
            } else {
                table.outputs.push((name.to_owned(), cells));
            }
        }
        assert!(!table.outputs.is_empty(), "{}: nothing comes out", table.at);
        table
    }

    fn rows(&self) -> usize {
        self.inputs.values().map(Vec::len).chain(self.outputs.iter().map(|(_, c)| c.len())).max().unwrap()
    }

    fn check(&self, spec: &CompiledSpec) {
        let rows = self.rows();
        for (name, cells) in &self.outputs {
            assert_eq!(cells.len(), rows, "{}: {name} has another number of cells", self.at);
            // Numbers and truth values are different kinds of series: whichever compiles.
            let run = |is_truth| self.run(spec, name, is_truth);
            let got =
                run(false).or_else(|_| run(true)).unwrap_or_else(|e| panic!("{}: {name}: {e}", self.at));
            let shown: Vec<String> = got.iter().map(|v| text(*v, cells)).collect();
            assert_eq!(&shown, cells, "{}: {name}", self.at);
        }
    }

    fn run(&self, spec: &CompiledSpec, output: &str, is_truth: bool) -> Result<Vec<f64>, String> {
        let mut program = (*spec.program).clone();
        program.features = NUMBERS.iter().map(|(name, source)| series(name, source, &self.at)).collect();
        program.states =
            TRUTHS.iter().map(|(name, source)| series(name, &format!("{source} == 1"), &self.at)).collect();
        program.macros.clear();
        program.events = self.event.iter().map(|text| self.detector(text)).collect();
        let out = series("out", output, &self.at);
        if is_truth {
            program.states.push(out);
        } else {
            program.features.push(out);
        }
        let graph = compile(&program).map_err(|errors| errors[0].message.clone())?;

        let mut names: BTreeSet<&str> = self.inputs.keys().map(|(symbol, _)| symbol.as_str()).collect();
        names.insert(OWN);
        let symbols: Vec<Symbol> = names.iter().map(|s| Symbol::new(s).unwrap()).collect();
        let mut raw = RawBlock::empty(self.first, self.rows(), symbols.len());
        for (symbol, records) in symbols.iter().zip(&mut raw.symbols) {
            records.perp = (0..self.rows()).map(|row| self.bar(symbol.as_str(), row)).collect();
        }
        let collected = vec![Source::ALL.iter().copied().collect(); symbols.len()];
        let policy =
            CleanPolicy::from_spec(&spec.sources, &spec.defaults, &spec.calendars, &symbols, &collected)
                .unwrap();
        let block = Joiner::new(&symbols, policy, self.first).unwrap().push(&raw).unwrap();
        let mut engine = Engine::new(Arc::new(graph), &symbols, self.first, EngineOptions::BATCH);
        let result = engine.push(&block).unwrap();
        let own = &result.symbols[symbols.iter().position(|s| s.as_str() == OWN).unwrap()];
        let columns = if is_truth { &own.states } else { &own.features };
        Ok(columns.iter().next_back().unwrap().to_vec())
    }

    fn bar(&self, symbol: &str, row: usize) -> Bar {
        let get = |name: &str| {
            let values = self.inputs.get(&(symbol.to_owned(), name.to_owned()));
            values.and_then(|v| v.get(row)).copied().unwrap_or(f64::NAN)
        };
        Bar {
            bar: self.first + row as i64,
            open: get("x"),
            high: get("y"),
            low: get("c"),
            // Known, so that the symbol is live.
            close: 1.0,
            volume: get("z"),
            quote_volume: get("d"),
            trades: 1.0,
            taker_buy_volume: 1.0,
            taker_buy_quote: 1.0,
        }
    }

    /// `when=c; exit=d; onset=rising; spacing_bars=3; max_bars=4; direction=x`
    fn detector(&self, text: &str) -> EventDef {
        let given: BTreeMap<&str, &str> = text.split(';').filter_map(|p| p.trim().split_once('=')).collect();
        let get = |key: &str, default: &'static str| given.get(key).copied().unwrap_or(default).to_owned();
        EventDef {
            event_type: "E".into(),
            family: "F".into(),
            enabled: true,
            base: None,
            lets: Vec::new(),
            when: series("when", &get("when", "c"), &self.at),
            exit: given.get("exit").map(|exit| series("exit", exit, &self.at)),
            direction: series("direction", &get("direction", "1"), &self.at),
            severity: series("severity", &get("severity", "1"), &self.at),
            onset: if get("onset", "rising") == "level" { Onset::Level } else { Onset::Rising },
            spacing_bars: get("spacing_bars", "0").parse().unwrap(),
            max_bars: given.get("max_bars").map(|n| n.parse().unwrap()),
            undirected: false,
        }
    }
}

/// A cell of the table.
fn value(cell: &str) -> f64 {
    match cell {
        "?" => f64::NAN,
        "T" => 1.0,
        "F" => 0.0,
        number => number.parse().unwrap_or_else(|_| panic!("'{number}' is not a cell")),
    }
}

/// As the table writes it: truth values where the line has some, else numbers with at most three decimals.
fn text(value: f64, line: &[String]) -> String {
    if value.is_nan() {
        return "?".to_owned();
    }
    if line.iter().any(|c| c == "T" || c == "F") {
        return if value == 1.0 { "T" } else { "F" }.to_owned();
    }
    let rounded = format!("{value:.3}");
    rounded.trim_end_matches('0').trim_end_matches('.').to_owned()
}
