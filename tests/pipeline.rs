//! The laws of the pipeline over every shipped spec: stream = batch, restarts change nothing, cutting the
//! future changes nothing before the cut.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use backtestd_store::load_specs;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backtestd_core::conclude::{discovery_config, outcome_table};
use backtestd_core::discovery::OutcomeTable;
use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{BARS_PER_DAY, RawBlock, Ts};
use backtestd_core::pipeline::{Facts, POOLED, Pipeline, PipelineConfig};
use sha2::{Digest, Sha256};

const ROWS: usize = 9_000;
const SYMBOLS: usize = 3;

fn config(slack_rows: usize, threads: bool) -> PipelineConfig {
    let spec = load_specs(&common::spec_dir()).unwrap_or_else(|e| panic!("{e}"));
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
                for column in symbol.features.iter().chain(symbol.states.iter()) {
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

#[test]
fn a_position_that_is_open_at_midnight_is_the_same_evidence_on_that_evening_as_when_all_is_known() {
    const ROWS: usize = 26 * 288;
    let market = common::market(11, SYMBOLS, ROWS);
    let base = config(512, true);
    let (spec, symbols) = (Arc::clone(&base.spec), base.symbols.clone());
    let discovery = discovery_config(&spec, &symbols, Ts(0));
    let catalogue = discovery.catalogue(&OutcomeTable::default());
    let first_midnight = (-market.first.0).rem_euclid(BARS_PER_DAY) as usize;
    let day_before = market.first.open().day() - i64::from(first_midnight == 0);

    let mut whole = Pipeline::new(base.clone(), market.first).unwrap();
    let all = whole.push(&market).unwrap().outcomes;
    let known = outcome_table(&spec, &all).unwrap();
    // Looks at midnight and some hours later, when some of what was open has been booked.
    for hours in [0, 3] {
        let mut pipeline = Pipeline::new(base.clone(), market.first).unwrap();
        let (mut live, mut batch) = (discovery.open_book(&catalogue), discovery.open_book(&catalogue));
        let (mut outcomes, mut from) = (Vec::new(), 0);
        for evening in 0..24 {
            let to = first_midnight + evening * BARS_PER_DAY as usize + hours * 12;
            if to > from {
                outcomes.extend(pipeline.push(&common::slice(&market, from, to)).unwrap().outcomes);
                from = to;
            }
            let day = day_before + evening as i64;
            let marked = pipeline.marked_outcomes();
            live.advance(&outcome_table(&spec, outcomes.iter().chain(&marked)).unwrap(), &catalogue, day);
            batch.advance(&known, &catalogue, day);
            assert!(live == batch, "{hours} hours after the end of day {day}");
        }
        let counts = live.counts();
        assert!(counts.marked > 50 && counts.purged == 0, "{counts:?}");
    }
}

#[test]
fn detector_health_is_the_same_however_rows_were_pushed_and_counts_from_where_it_is_told() {
    const ROWS: usize = 4_000;
    let market = common::market(10, SYMBOLS, ROWS);
    let mut batch = Pipeline::new(config(512, true), market.first).unwrap();
    let mut tallies: BTreeMap<(String, String), u64> = BTreeMap::new();
    let facts = batch.push(&market).unwrap();
    for e in &facts.events {
        *tallies.entry((e.event_type.to_string(), e.symbol.to_string())).or_default() += 1;
    }
    let whole = batch.quality();
    for q in whole.events.iter().filter(|q| q.symbol != POOLED) {
        let counted = tallies.get(&(q.event_type.clone(), q.symbol.clone())).copied().unwrap_or(0);
        assert_eq!(q.tally.onsets, counted, "{} {}", q.event_type, q.symbol);
    }
    let outcomes: u64 = whole.events.iter().filter(|q| q.symbol == POOLED).map(|q| q.tally.outcomes).sum();
    assert_eq!(outcomes, facts.outcomes.len() as u64);

    let config = config(32, false);
    let mut parts = Pipeline::new(config.clone(), market.first).unwrap();
    let mut from = 0;
    for to in every(331, ROWS) {
        parts.push(&common::slice(&market, from, to)).unwrap();
        parts = Pipeline::restore(config.clone(), &parts.checkpoint().unwrap()).unwrap();
        from = to;
    }
    assert_eq!(parts.quality(), whole);

    let mut late = Pipeline::new(config, market.first).unwrap();
    late.push(&common::slice(&market, 0, 2_500)).unwrap();
    late.count_quality_from(market.first + 2_500);
    let rest = late.push(&common::slice(&market, 2_500, ROWS)).unwrap();
    let counted: u64 =
        late.quality().events.iter().filter(|q| q.symbol == POOLED).map(|q| q.tally.onsets).sum();
    assert_eq!(counted, rest.events.len() as u64);
}

#[test]
fn a_source_that_begins_late_or_never_is_named_with_its_stretch_and_its_events() {
    const ROWS: usize = 2_000;
    let mut market = common::market(11, SYMBOLS, ROWS);
    let later = (market.first + 900).open();
    market.symbols[0].open_interest.retain(|o| o.ts >= later);
    // Recorded without knowing when the recorder was there.
    market.symbols[1].liquidations.iter_mut().for_each(|l| l.coverage = f64::NAN);
    let mut pipeline = Pipeline::new(config(512, true), market.first).unwrap();
    pipeline.push(&market).unwrap();
    let quality = pipeline.quality();
    let names = common::symbols(SYMBOLS);
    let oi: Vec<_> = quality.partial_sources.iter().filter(|p| p.column == "oi").collect();
    assert_eq!(oi.len(), 1, "{oi:?}");
    assert_eq!(oi[0].symbol, names[0].as_str());
    assert!(oi[0].events.iter().any(|e| e == "OI_FLUSH"), "{oi:?}");
    // Day boundaries: the market begins at midnight, rows 900 on are late on the fourth day.
    assert_eq!((oi[0].days_without, oi[0].days), (3, 6));
    let cascade = |symbol: &str| {
        let found =
            quality.events.iter().find(|q| q.event_type == "LIQUIDATION_CASCADE" && q.symbol == symbol);
        found.unwrap().unavailable.clone()
    };
    assert_eq!(cascade(names[1].as_str()).as_deref(), Some("liq_long_usd"));
    assert_eq!(cascade(names[0].as_str()), None);
    assert_eq!(cascade(POOLED), None, "it is there for the others");
}

#[test]
fn a_dated_fee_schedule_makes_the_fee_event_available_and_prices_outcomes_at_their_own_time() {
    const ROWS: usize = 1_200;
    let market = common::market(12, SYMBOLS, ROWS);
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (market.first + 600, market.first + 800);
    copy_tree(&common::spec_dir(), dir.path());
    let file = dir.path().join("global_defaults.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let entry = |at: Ts, taker: f64, maker: f64| {
        format!("    - {{ from: \"{at}\", taker_bps: {taker:?}, maker_bps: {maker:?} }}\n")
    };
    let schedule = format!(
        "  fee_schedule:\n{}{}{}",
        entry(market.first.open(), 4.0, 2.0),
        entry(from.open(), 5.0, 2.0),
        entry(to.open(), 5.0, 1.0)
    );
    std::fs::write(&file, text.replace("  fee_schedule: []\n", &schedule)).unwrap();
    let spec = load_specs(dir.path()).unwrap_or_else(|e| panic!("{e}"));
    let config = PipelineConfig { spec: Arc::new(spec), ..config(512, true) };
    let mut pipeline = Pipeline::new(config, market.first).unwrap();
    let facts = pipeline.push(&market).unwrap();
    let fee = "FEE_REGIME_CHANGE_EVENT";
    let seen: Vec<_> =
        facts.events.iter().filter(|e| &*e.event_type == fee).map(|e| (e.bar, e.severity)).collect();
    // The bar that closes at the instant is the first to know; all symbols share the account.
    assert_eq!(seen, [[(from - 1, 1.0); SYMBOLS], [(to - 1, 1.0); SYMBOLS]].concat());
    for o in &facts.outcomes {
        let taker = if o.event.detected() >= from.open() { 5.0 } else { 4.0 };
        assert_eq!((o.costs.fee_bps, o.costs.slippage_bps), (2.0 * taker, 2.0), "{}", o.event.id());
        assert_eq!(o.cost_bps_round_trip, o.costs.total(), "{}", o.event.id());
        // Nothing of the first day is known on the first day.
        let is_first = o.event.bar.open().day() == market.first.open().day();
        assert!(!is_first || (o.costs.spread_bps, o.costs.measured_share) == (2.0, 0.0), "{}", o.event.id());
    }
    let on_quotes = facts.outcomes.iter().filter(|o| o.costs.measured_share == 1.0).count();
    assert!(on_quotes > 100, "{on_quotes} outcomes after a day with quotes pay a measured spread");
    for o in facts.outcomes.iter().filter(|o| o.costs.measured_share == 0.0) {
        assert_eq!(o.costs.spread_bps, 2.0, "{}", o.event.id());
    }
    let mut plain = Pipeline::new(self::config(512, true), market.first).unwrap();
    plain.push(&market).unwrap();
    let lacks = plain.quality().events.into_iter().find(|q| q.event_type == fee).unwrap().unavailable;
    assert_eq!(lacks.as_deref(), Some("maker_fee_bps"));
}

#[test]
fn detectors_with_shifted_thresholds_are_the_same_at_one_and_see_less_with_higher_ones() {
    let market = common::market(7, SYMBOLS, 6_000);
    let spec = load_specs(&common::spec_dir()).unwrap_or_else(|e| panic!("{e}"));
    let events = ["VOL_SHOCK", "BAND_BREAK"];
    let states = [spec.states[0].id.as_str()];
    let outcomes = |spec: Arc<backtestd_core::spec::CompiledSpec>| {
        let mut pipeline = Pipeline::new(PipelineConfig { spec, ..config(512, true) }, market.first).unwrap();
        let mut found = pipeline.push(&market).unwrap().outcomes;
        found.retain(|o| events.contains(&&*o.event.event_type));
        found
    };
    let shifted = |factor: f64| {
        let spec = spec.shifted(&events.into(), &states.into(), factor).unwrap();
        assert!(events.iter().all(|event| spec.event(event).is_some()));
        assert!(spec.states.iter().any(|s| s.id == states[0]));
        outcomes(Arc::new(spec))
    };
    let whole = outcomes(Arc::new(spec.clone()));
    // Multiplying by one changes no bit of an outcome; the states of the event are fewer.
    let same = shifted(1.0);
    assert_eq!(whole.len(), same.len());
    for (a, b) in whole.iter().zip(&same) {
        assert_eq!((a.event.id(), a.forward_return.to_bits()), (b.event.id(), b.forward_return.to_bits()));
        assert_eq!((a.costs.values(), a.event.vol_regime), (b.costs.values(), b.event.vol_regime));
    }
    let shocks = |found: &[backtestd_core::outcomes::Outcome]| {
        found.iter().filter(|o| &*o.event.event_type == "VOL_SHOCK").count()
    };
    let (fewer, more) = (shocks(&shifted(1.3)), shocks(&shifted(0.9)));
    assert!(
        0 < fewer && fewer < shocks(&whole) && shocks(&whole) < more,
        "{fewer} {} {more}",
        shocks(&whole)
    );
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
