//! The joiner against rules written out one by one, against a brute-force twin, and against itself in other
//! chunks.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::market::{
    Bar, BarIndex, FundingPrint, Kind, LiquidationBar, LongShortRatio, OpenInterest, RawBlock, RawSymbol,
    Source, Symbol, TickBlock, Ts, parse_time,
};
use crate::spec::{SourceGroup, SourcesSpec};

const MIN: i64 = 60_000;
const HOUR: i64 = 60 * MIN;

fn policy() -> CleanPolicy {
    CleanPolicy {
        funding_lag_ms: MIN,
        funding_grace_ms: HOUR,
        instants: BTreeMap::from([
            (Kind::OpenInterest, Lagged { lag_ms: MIN, hold_ms: 15 * MIN }),
            (Kind::Depth, Lagged { lag_ms: MIN, hold_ms: 10 * MIN }),
            (Kind::LongShortRatio, Lagged { lag_ms: MIN, hold_ms: 15 * MIN }),
        ]),
        min_coverage: BTreeMap::from([(Kind::Liquidations, 0.95), (Kind::Quotes, 0.8)]),
        calendars: CalendarPolicy::default(),
        symbols: vec![SymbolPolicy {
            collected: Source::ALL.iter().copied().collect(),
            interest_rate_8h: 0.0001,
            funding_interval_h: 8.0,
            taker_fee_bps: 4.0,
            maker_fee_bps: f64::NAN,
            fee_steps: Vec::new(),
            tick_size: f64::NAN,
        }],
    }
}

fn symbols() -> Vec<Symbol> {
    vec![Symbol::new("BTCUSDT").unwrap()]
}

fn t(text: &str) -> Ts {
    parse_time(text).unwrap()
}

fn joined(first: BarIndex, rows: usize, raw: RawSymbol) -> TickBlock {
    let mut joiner = Joiner::new(&symbols(), policy(), first).unwrap();
    joiner.push(&RawBlock { first, rows, symbols: vec![raw] }).unwrap()
}

fn column(block: &TickBlock, source: Source) -> &[f64] {
    block.symbols[0].get(source).unwrap()
}

fn print(at: &str, rate: f64) -> FundingPrint {
    FundingPrint::regular(t(at), rate, f64::NAN)
}

fn oi(at: &str, contracts: f64) -> OpenInterest {
    OpenInterest { ts: t(at), contracts, value: contracts * 2.0 }
}

fn ratio(at: &str, accounts: f64, taker_volume: f64) -> LongShortRatio {
    LongShortRatio { ts: t(at), top_accounts: 2.0, top_positions: 3.0, accounts, taker_volume }
}

/// Rows of a column as text, `-` for unknown.
fn shown(values: &[f64]) -> String {
    values
        .iter()
        .map(|v| if v.is_nan() { "-".to_owned() } else { format!("{v}") })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn open_interest_is_used_one_bar_after_its_instant_and_for_fifteen_minutes() {
    let first = t("2025-01-01T12:00:00Z").bar();
    // Bars close at 12:05, 12:10 …; the snapshot of 12:00 is known at 12:01, that of 12:05 at 12:06; then a
    // hole.
    let raw = RawSymbol {
        open_interest: vec![oi("2025-01-01T12:00:00Z", 10.0), oi("2025-01-01T12:05:00Z", 11.0)],
        ..RawSymbol::default()
    };
    let block = joined(first, 6, raw);
    assert_eq!(shown(column(&block, Source::Oi)), "10 11 11 11 - -");
    assert_eq!(shown(column(&block, Source::OiValue)), "20 22 22 22 - -");
}

#[test]
fn what_was_known_when_the_first_bar_opened_is_held_on_it() {
    // The case: settlements at 16:00, 00:00 and 08:00, bars from 00:00 on.
    let first = t("2025-01-01T00:00:00Z").bar();
    let mut joiner = Joiner::new(&symbols(), policy(), first).unwrap();
    let rows = joiner.lead_in_rows();
    let before = RawSymbol {
        funding: vec![print("2024-12-31T16:00:00Z", 0.0003), print("2025-01-01T00:00:00Z", 0.0001)],
        open_interest: vec![oi("2024-12-31T23:55:00Z", 9.0), oi("2025-01-01T00:00:00Z", 10.0)],
        ..RawSymbol::default()
    };
    let lead_in = RawBlock { first: first - rows as i64, rows, symbols: vec![before] };
    let elsewhere = RawBlock { first: first - rows as i64 - 1, ..lead_in.clone() };
    let error = CleanError::NotNext { expected: first, found: first - 1 };
    assert_eq!(joiner.prime(&elsewhere), Err(error));
    joiner.prime(&lead_in).unwrap();
    let raw = RawSymbol { funding: vec![print("2025-01-01T08:00:00Z", 0.0002)], ..RawSymbol::default() };
    let block = joiner.push(&RawBlock { first, rows: 97, symbols: vec![raw] }).unwrap();
    let rate = column(&block, Source::FundingRate);
    assert_eq!((shown(&rate[..2]), shown(&rate[95..])), ("0.0001 0.0001".into(), "0.0001 0.0002".into()));
    let printed = column(&block, Source::IsFundingPrint);
    assert_eq!((shown(&printed[..2]), shown(&printed[95..])), ("1 0".into(), "0 1".into()));
    assert_eq!(shown(&column(&block, Source::FundingIntervalH)[..2]), "8 8");
    assert_eq!(shown(&column(&block, Source::Oi)[..4]), "10 10 10 -");
}

#[test]
fn a_snapshot_without_a_value_is_no_snapshot() {
    let first = t("2025-01-01T12:00:00Z").bar();
    let raw = RawSymbol {
        open_interest: vec![oi("2025-01-01T12:00:00Z", 10.0), oi("2025-01-01T12:05:00Z", f64::NAN)],
        ..RawSymbol::default()
    };
    assert_eq!(shown(column(&joined(first, 4, raw), Source::Oi)), "10 10 10 -");
}

#[test]
fn long_short_ratios_come_one_bar_late_each_record_as_a_whole_and_end_after_fifteen_minutes() {
    let first = t("2025-01-01T12:00:00Z").bar();
    let raw = RawSymbol {
        long_short_ratio: vec![
            ratio("2025-01-01T12:00:00Z", 1.5, 0.5),
            // On the boundary: known at 12:10:00, which is when the second bar closes.
            ratio("2025-01-01T12:09:00Z", 1.25, f64::NAN),
        ],
        ..RawSymbol::default()
    };
    let block = joined(first, 6, raw);
    assert_eq!(shown(column(&block, Source::LsRatioAccounts)), "1.5 1.25 1.25 1.25 - -");
    // A ratio that is missing in the newest record is unknown, though the one before it had it.
    assert_eq!(shown(column(&block, Source::TakerLsRatio)), "0.5 - - - - -");
    assert_eq!(shown(column(&block, Source::LsRatioTopAccounts)), "2 2 2 2 - -");
    assert_eq!(shown(column(&block, Source::LsRatioTopPositions)), "3 3 3 3 - -");
}

#[test]
fn a_record_of_which_nothing_is_known_does_not_replace_the_one_before_it() {
    let first = t("2025-01-01T12:00:00Z").bar();
    let unknown = f64::NAN;
    let nothing = LongShortRatio {
        top_accounts: unknown,
        top_positions: unknown,
        ..ratio("2025-01-01T12:05:00Z", unknown, unknown)
    };
    let raw = RawSymbol {
        long_short_ratio: vec![ratio("2025-01-01T12:00:00Z", 1.5, 0.5), nothing],
        ..RawSymbol::default()
    };
    assert_eq!(shown(column(&joined(first, 4, raw), Source::LsRatioAccounts)), "1.5 1.5 1.5 -");
}

#[test]
fn columns_of_one_record_with_different_lags_are_refused() {
    let mut sources: SourcesSpec =
        serde_saphyr::from_str(include_str!("../../../spec/sources.yaml")).unwrap();
    let group = sources.groups.iter_mut().find(|g| g.name == "long_short_ratio").unwrap();
    let taker = group.columns.pop().unwrap();
    let apart = SourceGroup { name: "taker".into(), columns: vec![taker], lag_s: 300, ..group.clone() };
    sources.groups.push(apart);
    let error = from_spec::instants(&sources).unwrap_err().to_string();
    assert!(error.contains("'taker_ls_ratio'") && error.contains("lag_s and hold"), "{error}");
}

#[test]
fn a_settlement_is_printed_on_one_bar_and_held_for_its_interval_and_an_hour() {
    let first = t("2025-01-01T07:50:00Z").bar();
    let raw = RawSymbol { funding: vec![print("2025-01-01T08:00:00Z", 0.0001)], ..RawSymbol::default() };
    let block = joined(first, 115, raw);
    let rate = column(&block, Source::FundingRate);
    // Rows open at 07:50, 07:55, 08:00: the print is known at 08:01, so on the bar that closes at 08:05.
    assert_eq!(shown(&rate[..4]), "- - 0.0001 0.0001");
    assert_eq!(shown(&column(&block, Source::IsFundingPrint)[..4]), "- - 1 0");
    // 9 hours after 08:00 the last bar that may use it closes at 17:00.
    let last = (t("2025-01-01T16:55:00Z").bar() - first) as usize;
    assert_eq!(shown(&rate[last..last + 2]), "0.0001 -");
    assert_eq!(column(&block, Source::IsFundingPrint)[last + 1], 0.0, "no print is known not to be one");
    let to = column(&block, Source::MinutesToFunding);
    assert_eq!(shown(&to[..3]), "5 0 475");
    assert_eq!(shown(&column(&block, Source::MinutesSinceFunding)[..3]), "475 0 5");
}

#[test]
fn the_interval_is_the_prints_own_else_the_spacing_else_the_contracts() {
    let first = t("2025-01-01T00:00:00Z").bar();
    let own = FundingPrint { interval_hours: 4.0, ..print("2025-01-01T02:00:00Z", 0.0) };
    let raw = RawSymbol {
        funding: vec![
            print("2025-01-01T00:00:00Z", 0.0),
            print("2025-01-01T01:00:00Z", 0.0),
            own,
            print("2025-01-02T03:00:00Z", 0.0),
        ],
        ..RawSymbol::default()
    };
    let block = joined(first, 400, raw);
    let interval = column(&block, Source::FundingIntervalH);
    let at = |text: &str| interval[(t(text).bar() - first) as usize];
    assert_eq!(at("2025-01-01T00:30:00Z"), 8.0, "the first print: the contract's");
    assert_eq!(at("2025-01-01T01:30:00Z"), 1.0, "one hour after the last");
    assert_eq!(at("2025-01-01T02:30:00Z"), 4.0, "its own");
    assert_eq!(at("2025-01-02T03:30:00Z"), 8.0, "25 hours is a hole, not an interval");
}

#[test]
fn a_missed_settlement_does_not_lengthen_the_interval_and_a_longer_one_is_believed_the_second_time() {
    let first = t("2025-01-01T00:00:00Z").bar();
    let raw = |hours: &[&str]| RawSymbol {
        funding: hours.iter().map(|h| print(&format!("2025-01-0{h}:00:00Z"), 0.0)).collect(),
        ..RawSymbol::default()
    };
    let missed = joined(first, 2 * 288, raw(&["1T00", "1T04", "1T08", "1T16", "1T20"]));
    let at = |block: &TickBlock, source: Source, text: &str| {
        column(block, source)[(t(text).bar() - first) as usize]
    };
    for time in ["2025-01-01T08:30:00Z", "2025-01-01T16:30:00Z", "2025-01-01T20:30:00Z"] {
        assert_eq!(at(&missed, Source::FundingIntervalH, time), 4.0, "{time}");
    }
    assert_eq!(at(&missed, Source::MinutesToFunding, "2025-01-01T15:55:00Z"), 0.0);
    assert_eq!(at(&missed, Source::MinutesToFunding, "2025-01-01T16:25:00Z"), 210.0, "the next is at 20:00");
    let longer = joined(first, 3 * 288, raw(&["1T00", "1T04", "1T08", "1T16", "2T00", "2T08"]));
    assert_eq!(at(&longer, Source::FundingIntervalH, "2025-01-01T16:30:00Z"), 4.0);
    assert_eq!(at(&longer, Source::FundingIntervalH, "2025-01-02T00:30:00Z"), 8.0);
    assert_eq!(at(&longer, Source::FundingIntervalH, "2025-01-02T08:30:00Z"), 8.0);
}

#[test]
fn a_special_settlement_is_no_print_of_the_series() {
    let first = t("2025-01-01T00:00:00Z").bar();
    let both = FundingPrint { special_rate: 0.005, ..print("2025-01-01T08:00:00Z", 0.0001) };
    let raw = RawSymbol {
        funding: vec![
            print("2025-01-01T00:00:00Z", 0.0002),
            FundingPrint::special(t("2025-01-01T04:00:00Z"), 0.01),
            both,
        ],
        ..RawSymbol::default()
    };
    let block = joined(first, 100, raw);
    let rate = column(&block, Source::FundingRate);
    assert_eq!((rate[60], rate[98]), (0.0002, 0.0001));
    assert_eq!(column(&block, Source::FundingIntervalH)[98], 8.0);
}

#[test]
fn bars_stand_on_their_slot_and_gaps_are_unknown_not_stale() {
    let first = t("2025-01-01T00:00:00Z").bar();
    let bar = |n: i64, close: f64| {
        Bar::from_values(first + n, [close, close, close, close, 0.0, 0.0, 0.0, 0.0, 0.0])
    };
    let raw = RawSymbol {
        perp: vec![bar(0, 1.0), bar(1, 2.0), bar(3, 4.0)],
        spot: vec![bar(1, 2.5)],
        ..RawSymbol::default()
    };
    let block = joined(first, 4, raw);
    assert_eq!(shown(column(&block, Source::Close)), "1 2 - 4");
    assert_eq!(shown(column(&block, Source::Volume)), "0 0 - 0");
    assert_eq!(shown(column(&block, Source::SpotClose)), "- 2.5 - -");
}

#[test]
fn liquidations_are_unknown_where_the_stream_was_not_connected_long_enough() {
    let first = t("2025-01-01T00:00:00Z").bar();
    let bar = |n: i64, coverage: f64| LiquidationBar {
        bar: first + n,
        long_usd: 5.0,
        short_usd: 0.0,
        long_n: 1.0,
        short_n: 0.0,
        coverage,
    };
    let raw =
        RawSymbol { liquidations: vec![bar(0, 1.0), bar(1, 0.94), bar(2, f64::NAN)], ..RawSymbol::default() };
    let block = joined(first, 4, raw);
    assert_eq!(shown(column(&block, Source::LiqLongUsd)), "5 - - -");
    assert_eq!(shown(column(&block, Source::LiqShortUsd)), "0 - - -");
    assert_eq!(shown(column(&block, Source::LiqCoverage)), "1 0.94 - -");
}

#[test]
fn a_column_that_is_not_collected_is_absent_and_constants_are_there_when_set() {
    let mut policy = policy();
    policy.symbols[0].collected = BTreeSet::from([Source::Close]);
    let first = BarIndex(1000);
    let mut joiner = Joiner::new(&symbols(), policy, first).unwrap();
    let block = joiner.push(&RawBlock::empty(first, 2, 1)).unwrap();
    let present: Vec<_> =
        Source::ALL.iter().filter(|s| block.symbols[0].get(**s).is_some()).map(|s| s.name()).collect();
    assert_eq!(
        present,
        ["close", "interest_rate_8h", "taker_fee_bps", "minutes_since_funding", "minutes_to_funding"]
    );
}

#[test]
fn fees_change_on_the_first_bar_that_closes_at_or_after_the_instant() {
    let mut policy = policy();
    let first = t("2025-03-01T00:00:00Z").bar();
    policy.symbols[0].fee_steps = vec![(t("2025-03-01T00:10:00Z"), [4.5, 1.8])];
    let mut joiner = Joiner::new(&symbols(), policy, first).unwrap();
    let block = joiner.push(&RawBlock::empty(first, 3, 1)).unwrap();
    let columns = &block.symbols[0];
    assert_eq!(columns.get(Source::TakerFeeBps).unwrap(), [4.0, 4.5, 4.5]);
    let maker = columns.get(Source::MakerFeeBps).unwrap();
    assert!(maker[0].is_nan());
    assert_eq!(maker[1..], [1.8, 1.8]);
}

#[test]
fn a_block_that_does_not_continue_the_last_is_refused() {
    let mut joiner = Joiner::new(&symbols(), policy(), BarIndex(10)).unwrap();
    let error = joiner.push(&RawBlock::empty(BarIndex(11), 1, 1)).unwrap_err();
    assert_eq!(error, CleanError::NotNext { expected: BarIndex(10), found: BarIndex(11) });
}

#[test]
fn a_checkpoint_of_today_can_be_read_tomorrow() {
    let mut joiner = Joiner::new(&symbols(), policy(), BarIndex(10)).unwrap();
    let mut block = RawBlock::empty(BarIndex(10), 1, symbols().len());
    block.symbols[0].funding =
        vec![FundingPrint::regular(Ts(BarIndex(10).close().0 - 60_000), 0.0001, f64::NAN)];
    joiner.push(&block).unwrap();
    let golden = "040000001603030708010742544355534454000180c18b032d431cebe2361a3f0000000000002040000000000000f87f0300000000000028187fb6a346aac5";
    assert_eq!(crate::market::hex(&joiner.checkpoint().unwrap()), golden);
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let joiner = Joiner::new(&symbols(), policy(), BarIndex(10)).unwrap();
    let mut bytes = joiner.checkpoint().unwrap();
    assert!(Joiner::restore(&symbols(), policy(), &bytes).is_ok());
    bytes[5] ^= 1;
    assert!(Joiner::restore(&symbols(), policy(), &bytes).is_err());
    let other = [Symbol::new("ETHUSDT").unwrap()];
    assert!(Joiner::restore(&other, policy(), &joiner.checkpoint().unwrap()).is_err());
}

/// Random histories: settlements and snapshots at odd instants, with holes, over `rows` bars from `FIRST`.
const FIRST: BarIndex = BarIndex(6_000_000);

fn history(rows: i64) -> impl Strategy<Value = RawSymbol> {
    let span = rows * 5;
    let funding = prop::collection::btree_map(
        1..=span,
        (-1e-3..1e-3, prop::sample::select(vec![f64::NAN, 1.0, 4.0])),
        0..6,
    );
    let oi = prop::collection::btree_map(1..=span * 4, prop::option::weighted(0.9, 1.0..9.0), 0..120);
    let ratios = prop::collection::btree_map(1..=span * 4, prop::option::weighted(0.9, 1.0..9.0), 0..120);
    (funding, oi, ratios).prop_map(|(funding, oi, ratios)| RawSymbol {
        long_short_ratio: ratios
            .into_iter()
            .map(|(q, v)| LongShortRatio {
                ts: Ts(FIRST.open().0 + q * MIN / 4),
                top_accounts: f64::NAN,
                top_positions: f64::NAN,
                accounts: v.unwrap_or(f64::NAN),
                taker_volume: 0.5,
            })
            .collect(),
        funding: funding
            .into_iter()
            .map(|(m, (rate, hours))| FundingPrint::regular(Ts(FIRST.open().0 + m * MIN), rate, hours))
            .collect(),
        open_interest: oi
            .into_iter()
            .map(|(q, v)| OpenInterest {
                ts: Ts(FIRST.open().0 + q * MIN / 4),
                contracts: v.unwrap_or(f64::NAN),
                value: 1.0,
            })
            .collect(),
        ..RawSymbol::default()
    })
}

/// The stretch `[from, to)` of a history, by the rule of [`RawBlock`].
fn stretch(raw: &RawSymbol, from: i64, to: i64) -> RawBlock {
    let (first, end) = (FIRST + from, FIRST + to);
    let inside = |ts: Ts| first.open() < ts && ts <= end.open();
    let symbol = RawSymbol {
        funding: raw.funding.iter().filter(|p| inside(p.ts)).copied().collect(),
        open_interest: raw.open_interest.iter().filter(|o| inside(o.ts)).copied().collect(),
        long_short_ratio: raw.long_short_ratio.iter().filter(|r| inside(r.ts)).copied().collect(),
        ..RawSymbol::default()
    };
    RawBlock { first, rows: (to - from) as usize, symbols: vec![symbol] }
}

const SEEN: [Source; 8] = [
    Source::FundingRate,
    Source::IsFundingPrint,
    Source::FundingIntervalH,
    Source::Oi,
    Source::LsRatioAccounts,
    Source::TakerLsRatio,
    Source::MinutesSinceFunding,
    Source::MinutesToFunding,
];

fn bits(block: &TickBlock, source: Source) -> Vec<u64> {
    column(block, source).iter().map(|v| v.to_bits()).collect()
}

/// The interval of the last of `prints`, written out as a table of cases.
fn hours_of(prints: &[FundingPrint]) -> f64 {
    let spacing = |i: usize| i.checked_sub(1).map(|j| (prints[i].ts.0 - prints[j].ts.0 + HOUR / 2) / HOUR);
    let valid = |i: usize| spacing(i).filter(|h| (1..=8).contains(h));
    let last = prints.len() - 1;
    let own = prints[last].interval_hours;
    if own > 0.0 {
        return own;
    }
    let Some(now) = spacing(last) else { return 8.0 };
    match valid(last - 1) {
        Some(before) if (before + 1..=16).contains(&now) && now % before == 0 => before as f64,
        _ => valid(last).map_or(8.0, |h| h as f64),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_as_of_join_is_what_a_search_over_all_records_finds(raw in history(250)) {
        let block = joined(FIRST, 250, raw.clone());
        let (rate, oi) = (column(&block, Source::FundingRate), column(&block, Source::Oi));
        for row in 0..250 {
            let close = (FIRST + row).close();
            let want = raw.open_interest.iter().rfind(|o| !o.contracts.is_nan() && o.ts.0 + MIN <= close.0)
                .filter(|o| close.0 - o.ts.0 <= 15 * MIN).map_or(f64::NAN, |o| o.contracts);
            prop_assert_eq!(oi[row as usize].to_bits(), want.to_bits(), "oi, row {}", row);
            let last = raw.funding.iter().rposition(|p| p.ts.0 + MIN <= close.0);
            let want = last.map_or(f64::NAN, |i| {
                let hours = hours_of(&raw.funding[..=i]);
                if close.0 - raw.funding[i].ts.0 <= (hours as i64 + 1) * HOUR { raw.funding[i].rate } else { f64::NAN }
            });
            prop_assert_eq!(rate[row as usize].to_bits(), want.to_bits(), "rate, row {}", row);
        }
    }

    #[test]
    fn what_comes_later_changes_no_row_before_it(raw in history(250), cut in 1..250_i64) {
        let whole = joined(FIRST, 250, raw.clone());
        let mut joiner = Joiner::new(&symbols(), policy(), FIRST).unwrap();
        let part = joiner.push(&stretch(&raw, 0, cut)).unwrap();
        for source in SEEN {
            prop_assert_eq!(&bits(&part, source)[..], &bits(&whole, source)[..cut as usize], "{}", source.name());
        }
    }

    #[test]
    fn chunks_and_restarts_change_no_bit(raw in history(250), cuts in prop::collection::btree_set(1..250_i64, 0..12)) {
        let whole = joined(FIRST, 250, raw.clone());
        let mut joiner = Joiner::new(&symbols(), policy(), FIRST).unwrap();
        let mut parts: Vec<Vec<u64>> = vec![Vec::new(); SEEN.len()];
        let mut from = 0;
        for to in cuts.into_iter().chain([250]) {
            let block = joiner.push(&stretch(&raw, from, to)).unwrap();
            for (part, source) in parts.iter_mut().zip(SEEN) {
                part.extend(bits(&block, source));
            }
            joiner = Joiner::restore(&symbols(), policy(), &joiner.checkpoint().unwrap()).unwrap();
            from = to;
        }
        for (part, source) in parts.iter().zip(SEEN) {
            prop_assert_eq!(part, &bits(&whole, source), "{}", source.name());
        }
    }

    #[test]
    fn a_joiner_that_begins_later_gives_the_rows_of_one_that_began_earlier(raw in history(700), begin in 430..699_i64) {
        let whole = joined(FIRST, 700, raw.clone());
        let mut joiner = Joiner::new(&symbols(), policy(), FIRST + begin).unwrap();
        joiner.prime(&stretch(&raw, begin - joiner.lead_in_rows() as i64, begin)).unwrap();
        let block = joiner.push(&stretch(&raw, begin, 700)).unwrap();
        for source in [Source::FundingRate, Source::FundingIntervalH, Source::Oi] {
            prop_assert_eq!(bits(&block, source), &bits(&whole, source)[begin as usize..], "{}", source.name());
        }
    }
}
