//! A stop in the specs: what is published with it is what a plain loop over the raw bars earns with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtestd_core::conclude::{Conclusions, Look, conclude, discovery_config, find, outcome_table};
use backtestd_core::discovery::{Accounting, Candidate, DirectionRule, OutcomeTable, PromotionTrack};
use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{
    Bar, BarIndex, DAY_MS, IntrabarPath, RawBlock, RawSymbol, StopGapFill, Symbol, Ts,
};
use backtestd_core::outcomes::Outcome;
use backtestd_core::pipeline::{Pipeline, PipelineConfig};
use backtestd_core::spec::CompiledSpec;
use backtestd_core::tradability::{BridgeResult, Market};

use crate::common::{START, collected, market, spec_dir, symbols};
use crate::{RunFacts, read_files};

const STOP_BPS: f64 = 60.0;
const SYMBOLS: usize = 3;
const ROWS: usize = 9_000;

/// The shipped specs with a stop, and with a bridge that lets losses through: the trades are what is looked
/// at.
fn specs() -> CompiledSpec {
    let mut files = read_files(&spec_dir()).unwrap();
    for (file, from, to) in [
        ("strategies/default.yaml", "stop_bps: null", "stop_bps: 60"),
        ("strategies/default.yaml", "min_positive_symbol_share: 0.5", "min_positive_symbol_share: 0.0"),
        ("gates.yaml", "min_after_cost_bps: 0.0", "min_after_cost_bps: -10000.0"),
        ("gates.yaml", "min_stressed_after_cost_bps: 0.0", "min_stressed_after_cost_bps: -10000.0"),
        ("gates.yaml", "min_edge_cost_ratio: 1.0", "min_edge_cost_ratio: -10000.0"),
    ] {
        let file = files.get_mut(file).unwrap();
        assert!(file.text.contains(from), "no {from}");
        file.text = file.text.replacen(from, to, 1).into();
    }
    CompiledSpec::from_files(&spec_dir(), &files).unwrap_or_else(|errors| panic!("{errors}"))
}

struct World {
    raw: RawBlock,
    outcomes: Vec<Outcome>,
    end: BarIndex,
    conclusions: Conclusions,
}

/// Everything that has data counts as discovered, as the simulated market has no edge in it.
fn world() -> World {
    let spec = Arc::new(specs());
    let raw = market(5, SYMBOLS, ROWS);
    let config = PipelineConfig {
        spec: Arc::clone(&spec),
        symbols: symbols(SYMBOLS),
        collected: vec![collected().into_iter().collect(); SYMBOLS],
        engine: EngineOptions::BATCH,
    };
    let outcomes = Pipeline::new(config, START).unwrap().push(&raw).unwrap().outcomes;
    let watermark = (START + ROWS as i64).open();
    let end = Ts(watermark.day() * DAY_MS);
    let config = discovery_config(&spec, &symbols(SYMBOLS), watermark);
    let catalogue = config.catalogue(&OutcomeTable::default());
    let mut book = config.open_book(&catalogue);
    book.advance(&outcome_table(&spec, &outcomes).unwrap(), &catalogue, watermark.day() - 1);
    let accounting = Accounting::alone(&catalogue, &spec.gates.multiplicity);
    let look =
        Look { catalogue: &catalogue, book: &book, accounting: &accounting, excluded: &[], lacking: &[] };
    let mut discovery = find(&look, &config);
    for candidate in
        discovery.candidates.iter_mut().filter(|c| c.measured.state.is_none() && c.measured.n_events >= 30)
    {
        candidate.judgement.is_discovery = true;
        candidate.judgement.gate_phase2_final = true;
        candidate.judgement.promotion_track = PromotionTrack::Standard;
        candidate.judgement.fail_reasons.clear();
    }
    let facts = RunFacts {
        run_id: "stops".to_owned(),
        code_version: "test".to_owned(),
        data_watermark: watermark,
        discovery_start: START.open(),
        discovery_end: end,
    };
    let mut markets: BTreeMap<Symbol, Market> = BTreeMap::new();
    for (symbol, raw) in raw.by_symbol(&symbols(SYMBOLS)) {
        let (first, end) = (START, START + ROWS as i64);
        markets.insert(
            symbol.clone(),
            Market::on_grid(first, end, &raw.perp, Some(raw.funding.iter().copied())),
        );
    }
    let conclusions =
        conclude(&spec, (&look, &config), discovery, &outcomes, &facts, None, &mut markets).unwrap();
    World { raw, outcomes, end: end.bar(), conclusions }
}

/// What one position came to, in bps.
struct Position {
    gross: f64,
    net: f64,
    stopped: bool,
    late: bool,
}

/// What a plain loop earns on one symbol, entering `lag` bars after each event.
fn positions(world: &World, candidate: &Candidate, at: usize, lag: i64) -> Vec<Position> {
    let raw: &RawSymbol = &world.raw.symbols[at];
    let bars: BTreeMap<i64, &Bar> =
        raw.perp.iter().filter(|b| b.bar < world.end).map(|b| (b.bar.0, b)).collect();
    let hold = i64::from(candidate.measured.horizon.bars);
    let mut events: Vec<&Outcome> = world
        .outcomes
        .iter()
        .filter(|o| {
            o.event.symbol == symbols(SYMBOLS)[at] && o.event.event_type == candidate.measured.event_type
        })
        .filter(|o| o.horizon == candidate.measured.horizon && o.event.direction != 0)
        .filter(|o| o.event.bar.0 + 1 + hold < world.end.0)
        .collect();
    events.sort_by_key(|o| o.event.bar);
    let (mut out, mut last) = (Vec::new(), i64::MIN / 2);
    for outcome in events {
        let event = outcome.event.bar.0;
        if event < last + hold {
            continue;
        }
        last = event;
        let up =
            (outcome.event.direction > 0) == (candidate.measured.direction_rule == DirectionRule::Follow);
        let Some(entry) = bars.get(&(event + lag)) else { continue };
        let (price, due) = (entry.close, event + lag + hold);
        let stop = if up { price * (1.0 - STOP_BPS / 1e4) } else { price * (1.0 + STOP_BPS / 1e4) };
        let mut exit = None;
        for (number, bar) in bars.range(event + lag + 1..) {
            let (jumped, touched) =
                if up { (bar.open <= stop, bar.low <= stop) } else { (bar.open >= stop, bar.high >= stop) };
            exit = match () {
                () if jumped => Some((*number, bar.open, true)),
                () if touched => Some((*number, stop, true)),
                () if *number >= due => Some((*number, bar.close, false)),
                () => continue,
            };
            break;
        }
        let Some((left, at_price, stopped)) = exit else { continue };
        let (from, to) = (BarIndex(event + lag).close(), BarIndex(left).close());
        let funding: f64 = raw.funding.iter().filter(|p| from < p.ts && p.ts < to).map(|p| p.rate).sum();
        let gross = (at_price / price - 1.0) * if up { 1e4 } else { -1e4 };
        let paid = funding * if up { 1e4 } else { -1e4 };
        let net = gross - outcome.cost_bps_round_trip - paid;
        out.push(Position { gross, net, stopped, late: left > due });
    }
    out
}

fn mean(of: impl Iterator<Item = f64>) -> f64 {
    let all: Vec<f64> = of.collect();
    all.iter().sum::<f64>() / all.len() as f64
}

fn close(found: Option<f64>, wanted: f64, what: &str) {
    let found = found.unwrap_or(f64::NAN);
    assert!((found - wanted).abs() < 1e-9 * wanted.abs().max(1.0), "{what}: {found} against {wanted}");
}

#[test]
fn what_is_published_with_a_stop_is_what_a_loop_over_the_raw_bars_earns() {
    let world = world();
    let candidates = &world.conclusions.discovery.candidates;
    let (mut stopped, mut in_time, mut late, mut published) = (0, 0, 0, 0);
    assert!(
        world.conclusions.bridge.len() > 20,
        "{} candidates reach the bridge",
        world.conclusions.bridge.len()
    );
    for (at, result) in &world.conclusions.bridge {
        let candidate = &candidates[*at];
        let all = |lag: i64| -> Vec<Position> {
            let names = symbols(SYMBOLS);
            let scope = candidate.measured.scope.symbols();
            let mine = names.iter().enumerate().filter(|(_, s)| scope.contains(s));
            mine.flat_map(|(at, _)| positions(&world, candidate, at, lag)).collect()
        };
        let own = all(1);
        let what = format!(
            "{} {} {}",
            candidate.measured.event_type,
            candidate.measured.horizon.label,
            candidate.measured.scope.label()
        );
        assert_eq!(result.columns.trades, own.len() as u64, "{what}");
        assert_eq!(result.summary.stopped, own.iter().filter(|p| p.stopped).count() as u64, "{what}");
        close(result.columns.gross_bps, mean(own.iter().map(|p| p.gross)), &what);
        close(result.columns.after_cost_bps, mean(own.iter().map(|p| p.net)), &what);
        later_entries(result, &all, &what);
        stopped += own.iter().filter(|p| p.stopped).count();
        in_time += own.iter().filter(|p| !p.stopped).count();
        late += own.iter().filter(|p| p.late).count();
        let published_as = world.conclusions.compiled.blueprints.iter();
        for blueprint in published_as.filter(|b| b.lineage.candidate_id == candidate.measured.candidate_id) {
            published += 1;
            assert_eq!(blueprint.exit.stop.map(|stop| stop.bps), Some(STOP_BPS));
            assert_eq!(blueprint.exit.intrabar_path, Some(IntrabarPath::Ohlc));
            assert_eq!(blueprint.exit.stop_gap_fill, Some(StopGapFill::Open));
            assert_eq!(blueprint.evidence.bridge.as_ref().unwrap().trades, own.len() as u64);
        }
    }
    assert!(stopped > 100 && in_time > 100 && late > 0, "{stopped} stopped, {in_time} in time, {late} late");
    assert!(published > 10, "{published} blueprints have a stop");
}

fn later_entries(result: &BridgeResult, all: &dyn Fn(i64) -> Vec<Position>, what: &str) {
    let delayed = result.delayed.as_ref().unwrap();
    assert_eq!(delayed.iter().map(|d| d.bars).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    for later in delayed {
        let wanted = mean(all(1 + i64::from(later.bars)).iter().map(|p| p.net));
        close(later.after_cost_bps, wanted, &format!("{what} +{}", later.bars));
    }
}
