//! Cost of discovery: evidence from scratch, one more day, the conclusions, and putting a recorded book back.
//!
//! `cargo bench --bench discovery`; numbers and what they were measured on: benches/README.md.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::OnceLock;

use backtestd_core::discovery::{
    Catalogue, DiscoveryConfig, EvidenceBook, Known, OutcomeRow, OutcomeTable, TableBuilder, conclude_book,
    default_exit, label_condition,
};
use backtestd_core::market::{BAR_MS, DAY_MS, Ts};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

const FIRST_DAY: i64 = 19_000;
const DAYS: i64 = 730;
const ROWS: usize = 1_000_000;

struct World {
    table: OutcomeTable,
    config: DiscoveryConfig,
    catalogue: Catalogue,
}

/// 1 M outcomes over two years: 46 event types, 9 symbols (10 scopes), 3 horizons, 6 regimes: 9660 units.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let regimes = ["low", "mid", "high"];
        let conditions =
            ["a", "b"].iter().flat_map(|c| regimes.iter().map(|v| label_condition(c, v))).collect();
        let mut builder = TableBuilder::new(conditions, Known { sigma: true, mark: false });
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let events: Vec<(String, String)> =
            (0..46).map(|e| (format!("EVENT_{e:02}"), format!("FAMILY_{}", e % 9))).collect();
        let symbols: Vec<String> = (0..9).map(|s| format!("SYM{s}USDT")).collect();
        for i in 0..ROWS / 3 {
            let (event_type, family) = &events[(next() % 46) as usize];
            let minute = i as i64 * DAYS * 288 / (ROWS as i64 / 3);
            let timestamp = Ts(FIRST_DAY * DAY_MS + minute * BAR_MS);
            let symbol = &symbols[(next() % 9) as usize];
            let direction = if next() % 2 == 0 { 1 } else { -1 };
            let active = [(next() % 3) as usize, 3 + (next() % 3) as usize];
            for (horizon, bars) in [("5m", 1), ("15m", 3), ("60m", 12)] {
                let noise: f64 = (0..4).map(|_| (next() >> 11) as f64 / (1u64 << 53) as f64 - 0.5).sum();
                let row = OutcomeRow {
                    event_type,
                    family,
                    symbol,
                    timestamp,
                    entry: default_exit(timestamp, 1, 0),
                    exit: default_exit(timestamp, 1, bars),
                    direction,
                    horizon,
                    forward_return: 0.003 * noise * f64::from(bars).sqrt(),
                    mark: f64::NAN,
                    cost_bps: 12.0,
                    sigma_bar: 0.0015,
                };
                builder.push(&row, &active).unwrap();
            }
        }
        let table = builder.finish();
        let config = DiscoveryConfig {
            gates: serde_saphyr::from_str(include_str!("../spec/gates.yaml")).unwrap(),
            families: serde_saphyr::from_str(include_str!("../spec/multiplicity/families.yaml")).unwrap(),
            catalogue: None,
            closed_through: None,
            entry_lag_bars: 1,
            spec_hash: "sha256:bench".into(),
            excluded: Vec::new(),
            lacking: Vec::new(),
        };
        let catalogue = config.catalogue(&table);
        World { table, config, catalogue }
    })
}

fn book(through: i64) -> EvidenceBook {
    let w = world();
    let mut book = w.config.open_book(&w.catalogue);
    book.advance(&w.table, &w.catalogue, through);
    book
}

/// The evidence of two years; items are outcomes.
#[divan::bench(sample_count = 20)]
fn evidence_from_scratch(bencher: Bencher<'_, '_>) {
    world();
    bencher.counter(ItemsCount::new(ROWS)).bench(|| book(FIRST_DAY + DAYS));
}

/// One more closed day on top of two years. The day before makes the room that a copied book lacks.
#[divan::bench(sample_count = 20)]
fn one_more_day(bencher: Bencher<'_, '_>) {
    let w = world();
    let last = FIRST_DAY + DAYS - 1;
    let before = book(last - 2);
    let rows = |day: i64| w.table.timestamp.partition_point(|t| Ts(*t).day() < day);
    let yesterday = || {
        let mut book = before.clone();
        book.advance(&w.table, &w.catalogue, last - 1);
        book
    };
    let today = rows(last + 1) - rows(last);
    bencher.counter(ItemsCount::new(today)).with_inputs(yesterday).bench_values(|mut book| {
        book.advance(&w.table, &w.catalogue, last);
        book
    });
}

/// Estimates, multiplicity and gates over every unit; items are units.
#[divan::bench(sample_count = 10)]
fn conclusions(bencher: Bencher<'_, '_>) {
    let w = world();
    let book = book(FIRST_DAY + DAYS);
    bencher
        .counter(ItemsCount::new(w.catalogue.units))
        .bench(|| conclude_book(&w.catalogue, &book, &w.config));
}

/// Two years of recorded days put back, as after a restart; items are days.
#[divan::bench(sample_count = 10)]
fn restore(bencher: Bencher<'_, '_>) {
    let w = world();
    let mut recorded = w.config.open_book(&w.catalogue);
    recorded.advance(&w.table, &w.catalogue, FIRST_DAY + DAYS);
    let first = recorded.first_link();
    let records = recorded.records(FIRST_DAY - 1, first);
    bencher.counter(ItemsCount::new(records.len())).bench(|| {
        let mut book = w.config.open_book(&w.catalogue);
        assert_eq!(book.restore(&records), records.len());
        book
    });
}
