//! Relative prices and variance: a run's files against the raw bars of its store.

use backtestd_store::load_specs;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int8Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow::{compute::cast, datatypes::DataType};
use backtestd::research::{Request, RunSummary, run};
use backtestd_core::market::{BAR_MS, BarIndex, DAY_MS, Market, RawBlock, Ts};
use backtestd_core::market::{RawPut, Records};
use backtestd_core::spec::{CompiledSpec, TestStatistic};
use backtestd_store::lake::read_parquet;
use backtestd_store::{Delivery, Fsync, Origin, Store};

use super::common::{START, market, spec_dir, symbols};

/// 60 days: a month warms up, a month is reported.
const ROWS: usize = 17_280;

/// The market with a basis that pays for two legs: a hundred times as wide, reverting by 3 % a bar as before.
fn wide_basis() -> RawBlock {
    let mut raw = market(11, 3, ROWS);
    for symbol in &mut raw.symbols {
        let perp: BTreeMap<i64, f64> = symbol.perp.iter().map(|b| (b.bar.0, b.close)).collect();
        for spot in &mut symbol.spot {
            let Some(close) = perp.get(&spot.bar.0) else { continue };
            let narrow = spot.close / close;
            let wider = (1.0 - 100.0 * (1.0 - narrow)) / narrow;
            for price in [&mut spot.open, &mut spot.high, &mut spot.low, &mut spot.close] {
                *price *= wider;
            }
        }
    }
    raw
}

fn fill(store: &mut Store, raw: &RawBlock) {
    for (symbol, raw) in symbols(3).iter().zip(raw.symbols.clone()) {
        let put = |records| RawPut { symbol: symbol.clone(), records };
        let puts = [
            put(Records::Bars(Market::Perp, raw.perp)),
            put(Records::Bars(Market::Spot, raw.spot)),
            put(Records::Mark(raw.mark)),
        ];
        store.put(&puts, Delivery::new(Origin::Archive, "test")).unwrap();
    }
}

fn research(store: &mut Store, spec: CompiledSpec, data_root: &Path) -> RunSummary {
    let bars = START + 8640..START + ROWS as i64;
    let plain = Request::plain(&Arc::new(spec), symbols(3), bars, data_root.to_owned());
    let request = Request { run_id: Some("measures".to_owned()), ..plain };
    run(store, &request, Ts(0), &mut |_, _, _| {}).unwrap()
}

struct Rows(RecordBatch);

impl Rows {
    fn read(path: &Path) -> Self {
        let table = read_parquet(path).unwrap();
        let [batch] = table.batches.try_into().unwrap();
        Self(batch)
    }

    fn text(&self, name: &str) -> Vec<String> {
        let column = cast(self.0.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
        column.as_string::<i32>().iter().map(|x| x.unwrap_or("").to_owned()).collect()
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        let column = self.0.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        column.iter().map(|x| x.unwrap_or(f64::NAN)).collect()
    }

    fn times(&self, name: &str) -> Vec<i64> {
        let kind = DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, None);
        let column = cast(self.0.column_by_name(name).unwrap(), &kind).unwrap();
        column.as_primitive::<TimestampMillisecondType>().values().to_vec()
    }
}

/// Closes by symbol and bar: perpetual, spot, index.
type Closes = BTreeMap<(String, i64), [f64; 3]>;

fn closes(raw: &RawBlock) -> Closes {
    let mut out = Closes::new();
    for (symbol, raw) in symbols(3).iter().zip(&raw.symbols) {
        let unknown = [f64::NAN; 3];
        let mut put = |bar: BarIndex, leg: usize, x: f64| {
            out.entry((symbol.to_string(), bar.0)).or_insert(unknown)[leg] = x;
        };
        raw.perp.iter().for_each(|b| put(b.bar, 0, b.close));
        raw.spot.iter().for_each(|b| put(b.bar, 1, b.close));
        raw.mark.iter().for_each(|m| put(m.bar, 2, m.index));
    }
    out
}

#[test]
fn relative_prices_and_variance_are_those_of_the_stores_own_bars() {
    let dir = tempfile::tempdir().unwrap();
    let raw = wide_basis();
    let mut store = Store::open_with(&dir.path().join("state"), Fsync::Never).unwrap();
    fill(&mut store, &raw);
    let data = dir.path().join("data");
    let summary = research(&mut store, load_specs(&spec_dir()).unwrap(), &data);
    let closes = closes(&raw);
    let close = |symbol: &str, bar: i64, leg: usize| {
        closes.get(&(symbol.to_owned(), bar)).map_or(f64::NAN, |legs| legs[leg])
    };

    let table = Rows::read(&summary.run_dir.join("outcomes.parquet"));
    let [events, names, horizons] = ["event_type", "symbol", "horizon"].map(|c| table.text(c));
    let [relative, ratio, variance, sigma] =
        ["relative_return", "hedge_ratio", "variance_ratio", "sigma_bar"].map(|c| table.numbers(c));
    let times = table.times("timestamp");
    let bars = table.0.column_by_name("horizon_bars").unwrap().as_primitive::<Int32Type>();
    let sides = table.0.column_by_name("direction").unwrap().as_primitive::<Int8Type>();
    // Per (statistic, event, horizon): sum and number of what discovery may use, event side.
    let mut sums: BTreeMap<(&str, String, String), (f64, u64)> = BTreeMap::new();
    let (mut seen_basis, mut seen_hedged) = (0, 0);
    for i in 0..times.len() {
        let entry = times[i] / BAR_MS + 1;
        let exit = entry + i64::from(bars.value(i));
        let name = names[i].as_str();
        let change = |leg: usize| close(name, exit, leg) / close(name, entry, leg) - 1.0;
        let leader = if name == "BTCUSDT" { "ETHUSDT" } else { "BTCUSDT" };
        let expected = match events[i].as_str() {
            "SPOT_PERP_BASIS_SHOCK" => change(0) - change(1),
            "CROSS_VENUE_DESYNC" | "BASIS_DISLOC" => change(0) - change(2),
            "INDEX_COMPONENT_DIVERGENCE" => change(1) - change(2),
            "COPULA_PAIRS_TRADING" => {
                let led = close(leader, exit, 0) / close(leader, entry, 0) - 1.0;
                change(0) - ratio[i] * led
            }
            _ => f64::NAN,
        };
        assert_eq!(relative[i].is_nan(), expected.is_nan(), "{} {name} {}", events[i], times[i]);
        assert!(expected.is_nan() || (relative[i] - expected).abs() < 1e-12, "{} {name}", events[i]);
        seen_basis += u32::from(events[i] == "SPOT_PERP_BASIS_SHOCK");
        if events[i] == "COPULA_PAIRS_TRADING" {
            seen_hedged += 1;
            assert!(ratio[i].is_nan() || (0.0..3.0).contains(&ratio[i]), "a beta of {}", ratio[i]);
        }
        let squares: f64 = (entry + 1..=exit)
            .map(|bar| libm::log(close(name, bar, 0) / close(name, bar - 1, 0)).powi(2))
            .sum();
        let expected = squares / (f64::from(bars.value(i)) * sigma[i] * sigma[i]) - 1.0;
        assert_eq!(variance[i].is_nan(), expected.is_nan());
        assert!(expected.is_nan() || (variance[i] - expected).abs() < 1e-9 * (1.0 + expected.abs()));
        // The exit on the day of the entry, and that day closed.
        let day = (entry + 1) * BAR_MS / DAY_MS;
        let is_used = ((exit + 1) * BAR_MS - 1) / DAY_MS == day && !sigma[i].is_nan();
        let side = f64::from(sides.value(i));
        for (statistic, value) in [("relative_return", side * relative[i]), ("variance_ratio", variance[i])] {
            if is_used && !value.is_nan() && (side != 0.0 || statistic == "variance_ratio") {
                let sum = sums.entry((statistic, events[i].clone(), horizons[i].clone())).or_default();
                *sum = (sum.0 + value, sum.1 + 1);
            }
        }
    }
    assert!(seen_basis > 20 && seen_hedged > 20, "{seen_basis} {seen_hedged}");

    let tests = Rows::read(&data.join("reports/phase2/measures/measures.parquet"));
    let [statistics, events, horizons, states, scopes, verbs] =
        ["statistic", "event_type", "horizon", "state_id", "symbol", "template_verb"].map(|c| tests.text(c));
    let effects = tests.numbers("effect");
    let counts = tests.0.column_by_name("n_events").unwrap().as_primitive::<Int64Type>();
    let mut compared = 0;
    for i in (0..effects.len()).filter(|i| states[*i].is_empty() && scopes[*i] == "ALL") {
        let statistic = if statistics[i] == "relative_return" { "relative_return" } else { "variance_ratio" };
        let (sum, n) = sums[&(statistic, events[i].clone(), horizons[i].clone())];
        let unit = if statistic == "relative_return" { 1e4 } else { 1.0 };
        let side = match verbs[i].as_str() {
            "convergence" | "volatility_contraction_fade" => -1.0,
            "divergence_continuation" | "volatility_expansion_follow" => 1.0,
            other => panic!("{other}"),
        };
        assert_eq!(counts.value(i) as u64, n, "{statistic} {} {}", events[i], horizons[i]);
        let expected = side * unit * sum / n as f64;
        assert!((effects[i] - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{} {expected}", effects[i]);
        compared += 1;
    }
    assert!(compared >= 8, "{compared} pooled tests");
    // The basis reverts, by more than two round trips in an hour; and nothing of it is a candidate.
    let [costs, errors] = ["cost", "se"].map(|c| tests.numbers(c));
    let pooled =
        |i: &usize| events[*i] == "SPOT_PERP_BASIS_SHOCK" && scopes[*i] == "ALL" && states[*i].is_empty();
    let hour = (0..effects.len()).filter(pooled).find(|i| horizons[*i] == "60m").unwrap();
    assert_eq!(verbs[hour], "convergence");
    // 12 for the perpetual; two spot fees of 10 and two slippages of 2; an hour of 3 bps a day.
    let both = 12.0 + 24.0 + 3.0 / 24.0;
    assert!((costs[hour] - both).abs() < 1e-9, "both legs' round trips: {}", costs[hour]);
    assert!(effects[hour] - costs[hour] > 2.0 * errors[hour], "{} {}", effects[hour], errors[hour]);
    let counted = |statistic| summary.measures.iter().find(|m| m.statistic == statistic).unwrap().tested;
    let tested = counted(TestStatistic::RelativeReturn) + counted(TestStatistic::VarianceRatio);
    assert_eq!(tested, effects.len() as u64);
    let candidates =
        Rows::read(&data.join("reports/phase2/measures/SPOT_PERP_BASIS_SHOCK/phase2_candidates.parquet"));
    assert!(candidates.text("template_verb").iter().all(|verb| verb == "fade" || verb == "follow"));
    // What each candidate's evidence cost, in parts: they add up to what its gates charged.
    let parts = ["fee", "spread", "slippage", "impact", "borrow"];
    let parts = parts.map(|part| candidates.numbers(&format!("cost_{part}_bps")));
    let mut compared = 0;
    for (i, cost) in candidates.numbers("cost_bps").into_iter().enumerate().filter(|(_, c)| c.is_finite()) {
        let sum: f64 = parts.iter().map(|part| part[i]).sum();
        assert!((sum - cost).abs() < 1e-9, "row {i}: {sum} is not {cost}");
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
}

/// Trials by statistic and cohort.
fn trials(store: &Store) -> BTreeMap<(String, u32), usize> {
    let mut out = BTreeMap::new();
    for trial in store.trials().unwrap() {
        *out.entry((trial.statistic.to_string(), trial.cohort)).or_default() += 1;
    }
    out
}

#[test]
fn what_is_tested_beside_discovery_is_counted_in_ledgers_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open_with(&dir.path().join("state"), Fsync::Never).unwrap();
    fill(&mut store, &wide_basis());
    let data = dir.path().join("data");
    let spec = || load_specs(&spec_dir()).unwrap();
    let counts = |summary: &RunSummary| {
        summary.measures.iter().map(|m| (m.statistic, m.trials, m.tested)).collect::<Vec<_>>()
    };
    let first = research(&mut store, spec(), &data);
    let once = trials(&store);
    assert_eq!(once.keys().map(|(_, cohort)| *cohort).max(), Some(1));
    assert_eq!(once[&("own_return".to_owned(), 1)] as u64, first.trials);
    let again = research(&mut store, spec(), &data);
    assert_eq!(trials(&store), once, "the same look adds nothing");
    assert_eq!(counts(&again), counts(&first));

    // Another hedge ratio is another relative price: new trials of that event and statistic, and of nothing
    // else.
    let mut edited = spec();
    let pairs = edited.events.iter_mut().find(|e| e.event_type == "COPULA_PAIRS_TRADING").unwrap();
    pairs.relative.as_mut().unwrap().ratio = None;
    let changed = research(&mut store, edited, &data);
    let mut expected = once.clone();
    let added = trials(&store)[&("relative_return".to_owned(), 2)];
    expected.insert(("relative_return".to_owned(), 2), added);
    assert_eq!(trials(&store), expected);
    let before = once[&("relative_return".to_owned(), 1)];
    assert!(added > 0 && added < before / 2, "{added} of {before}");
    let relative = |s: &RunSummary| {
        s.measures.iter().find(|m| m.statistic == TestStatistic::RelativeReturn).unwrap().trials
    };
    assert_eq!(relative(&changed), relative(&first) + added as u64);
    assert_eq!(changed.trials, first.trials, "discovery's budget is its own");

    // The report says how many trials each statistic ever had, those of the old definition included.
    let page = std::fs::read_to_string(&changed.report).unwrap().replace(',', "");
    for count in &changed.measures {
        let said = format!("among {} ({} trials ever)", count.tested, count.trials);
        assert!(page.contains(&said), "{said}");
    }
    assert!(changed.measures.iter().any(|count| count.trials > count.tested), "{:?}", changed.measures);
}
