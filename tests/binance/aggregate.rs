//! Aggregators against brute force, and their laws: repeats, order and restarts change nothing.

use std::path::Path;

use backtestd_binance::aggregate::journal::Batch;
use backtestd_binance::aggregate::{LiquidationAggregator, MarkAggregator, QuoteAggregator};
use backtestd_binance::wire::{Frame, parse_frame};
use backtestd_binance::{
    BookTicker, ForceOrder, MarkUpdate, Route, Side, Stamped, StreamKind, StreamState, StreamStatus, Update,
};
use backtestd_core::market::{
    BAR_MS, BarIndex, LiquidationBar, MarkBar, Market, QuoteBar, Symbol, Ts, hex, parse_time,
};
use proptest::prelude::*;

use crate::payloads::{USDM, unzipped};
use crate::recorded::{extract, recording};

const BAR: BarIndex = BarIndex(5_900_000);

fn symbol() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

/// An instant in the tested bar.
fn into_bar(ms: i64) -> Ts {
    Ts(BAR.open().0 + ms)
}

fn quote(ts: Ts, id: i64, bid: f64, ask: f64, bid_quantity: f64, ask_quantity: f64) -> Stamped {
    let ticker = BookTicker {
        market: Market::Perp,
        symbol: symbol(),
        update_id: id,
        bid,
        bid_quantity,
        ask,
        ask_quantity,
        event_ts: Some(ts),
    };
    Stamped { arrival: Ts(ts.0 + 70), update: Update::BookTicker(ticker) }
}

fn mark(ts: Ts, price: f64) -> Stamped {
    let update = MarkUpdate {
        symbol: symbol(),
        mark: price,
        index: price + 1.0,
        predicted_rate: price * 1e-6,
        next_funding_ts: Some(Ts(ts.0 + 1)),
        event_ts: ts,
    };
    Stamped { arrival: Ts(ts.0 + 70), update: Update::Mark(update) }
}

fn order(ts: Ts, side: Side, filled: f64, average_price: f64) -> Stamped {
    let order = ForceOrder {
        symbol: symbol(),
        side,
        quantity: filled * 2.0,
        filled,
        price: average_price * 0.99,
        average_price,
        trade_ts: ts,
        event_ts: Ts(ts.0 + 1000),
    };
    Stamped { arrival: Ts(ts.0 + 1070), update: Update::ForceOrder(order) }
}

fn status(shard: usize, state: StreamState, since: Ts) -> Stamped {
    let status = StreamStatus {
        route: Route::FuturesMarket,
        shard,
        kind: StreamKind::ForceOrder,
        state,
        since,
        reason: String::new(),
    };
    Stamped { arrival: since, update: Update::Stream(status) }
}

fn quotes_of(updates: &[Stamped]) -> QuoteBar {
    quotes_in(BAR, updates)
}

fn quotes_in(bar: BarIndex, updates: &[Stamped]) -> QuoteBar {
    let mut aggregator = QuoteAggregator::new(&[symbol()], bar);
    updates.iter().for_each(|u| _ = aggregator.observe(u));
    aggregator.finish(bar).remove(0).1
}

fn marks_of(updates: &[Stamped]) -> Option<MarkBar> {
    let mut aggregator = MarkAggregator::new(&[symbol()], BAR);
    updates.iter().for_each(|u| _ = aggregator.observe(u));
    aggregator.finish(BAR).pop().map(|(_, bar)| bar)
}

fn liquidations_of(updates: &[Stamped]) -> LiquidationBar {
    let mut aggregator = LiquidationAggregator::new(&[symbol()], BAR);
    updates.iter().for_each(|u| _ = aggregator.observe(u));
    aggregator.finish(BAR).remove(0).1
}

/// The definition, word for word: for each second of the bar look for the last quote before its end.
fn brute_force_quotes(bar: BarIndex, updates: &[Stamped]) -> QuoteBar {
    let tickers: Vec<&BookTicker> = updates
        .iter()
        .filter_map(|u| if let Update::BookTicker(b) = &u.update { Some(b) } else { None })
        .collect();
    let mut valid = Vec::new();
    for second in 1..=300 {
        let snapshot = bar.open().0 + second * 1000;
        let last = tickers
            .iter()
            .filter(|t| t.event_ts.unwrap().0 < snapshot)
            .max_by_key(|t| (t.event_ts.unwrap(), t.update_id));
        let Some(t) = last else { continue };
        let sides = [t.bid, t.ask, t.bid_quantity, t.ask_quantity];
        if snapshot - t.event_ts.unwrap().0 <= 5000 && sides.iter().all(|x| *x > 0.0) && t.bid <= t.ask {
            valid.push(*t);
        }
    }
    let of = |f: &dyn Fn(&BookTicker) -> f64| valid.iter().map(|t| f(t)).collect::<Vec<f64>>();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let spreads = of(&|t| (t.ask - t.bid) / ((t.bid + t.ask) / 2.0) * 10_000.0);
    let imbalances = of(&|t| (t.bid_quantity - t.ask_quantity) / (t.bid_quantity + t.ask_quantity));
    let last = |values: &[f64]| values.last().copied().unwrap_or(f64::NAN);
    QuoteBar {
        bar,
        spread_bps_mean: mean(&spreads),
        spread_bps_max: spreads.iter().copied().fold(f64::NAN, f64::max),
        spread_bps_last: last(&spreads),
        bid_depth_usd: mean(&of(&|t| t.bid * t.bid_quantity)),
        ask_depth_usd: mean(&of(&|t| t.ask * t.ask_quantity)),
        imb_mean: mean(&imbalances),
        imb_last: last(&imbalances),
        coverage: valid.len() as f64 / 300.0,
    }
}

fn same_quotes(a: &QuoteBar, b: &QuoteBar) -> bool {
    let values = |q: &QuoteBar| {
        [
            q.spread_bps_mean,
            q.spread_bps_max,
            q.spread_bps_last,
            q.bid_depth_usd,
            q.ask_depth_usd,
            q.imb_mean,
            q.imb_last,
            q.coverage,
        ]
    };
    let close = |x: f64, y: f64| (x - y).abs() <= 1e-12 * x.abs().max(1.0) || (x.is_nan() && y.is_nan());
    values(a).iter().zip(values(b)).all(|(x, y)| close(*x, y))
}

/// Quotes around the bar, some of them one-sided or crossed, in bursts and with long silences.
fn some_quotes() -> impl Strategy<Value = Vec<Stamped>> {
    let one = (-8000i64..310_000, 0i64..3, 90u32..110, -1i32..6, 0u32..5, 0u32..5);
    prop::collection::vec(one, 0..400).prop_map(|mut rows| {
        rows.sort_unstable();
        rows.into_iter()
            .enumerate()
            .map(|(id, (ms, burst, bid, gap, bq, aq))| {
                let (bid, ask) = (f64::from(bid), f64::from(bid as i32 + gap));
                quote(into_bar(ms / 7 * 7 + burst), id as i64, bid, ask, f64::from(bq), f64::from(aq))
            })
            .collect()
    })
}

fn some_orders() -> impl Strategy<Value = Vec<Stamped>> {
    let one = (-1000i64..601_000, any::<bool>(), 1u32..50, 1u32..50);
    prop::collection::vec(one, 0..60).prop_map(|rows| {
        let side = |buys| if buys { Side::Buy } else { Side::Sell };
        rows.into_iter()
            .map(|(ms, buys, q, p)| order(into_bar(ms), side(buys), f64::from(q) / 8.0, f64::from(p)))
            .collect()
    })
}

/// The same updates in another order, some of them twice.
fn disturbed(updates: &[Stamped], seed: u64) -> Vec<Stamped> {
    let mut state = seed | 1;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut all = updates.to_vec();
    for update in updates {
        if draw() % 3 == 0 {
            all.push(update.clone());
        }
    }
    for i in (1..all.len()).rev() {
        let j = draw() % (i + 1);
        all.swap(i, j);
    }
    all
}

/// Through bytes and back.
fn journalled(updates: &[Stamped]) -> Vec<Stamped> {
    let batch = Batch { at: into_bar(0), updates: updates.to_vec() };
    Batch::from_bytes(&batch.to_bytes().unwrap()).unwrap().updates
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn quote_bars_equal_brute_force(quotes in some_quotes()) {
        let (got, want) = (quotes_of(&quotes), brute_force_quotes(BAR, &quotes));
        prop_assert!(same_quotes(&got, &want), "{got:?}\n{want:?}");
    }

    #[test]
    fn repeated_and_reordered_quotes_change_no_bit(quotes in some_quotes(), seed in any::<u64>()) {
        let (a, b) = (quotes_of(&quotes), quotes_of(&disturbed(&quotes, seed)));
        prop_assert_eq!(format!("{a:?}"), format!("{b:?}"));
    }

    #[test]
    fn a_quote_aggregator_restarts_from_its_pending_updates(quotes in some_quotes(), cut in 0usize..400) {
        let cut = cut.min(quotes.len());
        let mut before = QuoteAggregator::new(&[symbol()], BAR);
        quotes[..cut].iter().for_each(|u| _ = before.observe(u));
        let mut replayed = journalled(&before.pending());
        replayed.extend_from_slice(&quotes[cut..]);
        prop_assert_eq!(format!("{:?}", quotes_of(&replayed)), format!("{:?}", quotes_of(&quotes)));
    }

    #[test]
    fn liquidation_bars_equal_brute_force_whatever_the_order(orders in some_orders(), seed in any::<u64>()) {
        let got = liquidations_of(&disturbed(&orders, seed));
        // Each distinct order of the bar once.
        let mut distinct: Vec<&ForceOrder> = Vec::new();
        for update in &orders {
            let Update::ForceOrder(o) = &update.update else { continue };
            if o.trade_ts.bar() == BAR && !distinct.contains(&o) {
                distinct.push(o);
            }
        }
        let sum = |side| distinct.iter().filter(|o| o.side == side).map(|o| o.notional()).sum::<f64>();
        let count = |side| distinct.iter().filter(|o| o.side == side).count() as f64;
        prop_assert!((got.long_usd - sum(Side::Sell)).abs() < 1e-9);
        prop_assert!((got.short_usd - sum(Side::Buy)).abs() < 1e-9);
        prop_assert_eq!((got.long_n, got.short_n), (count(Side::Sell), count(Side::Buy)));
        // To the bit, without the disturbance.
        prop_assert_eq!(got, liquidations_of(&orders));
    }

    #[test]
    fn a_liquidation_aggregator_restarts_from_its_pending_updates(
        orders in some_orders(),
        cut in 0usize..60,
        ups in prop::collection::vec(1i64..40_000, 1..12),
    ) {
        // Orders and changes of the connection, interleaved.
        let mut updates = vec![];
        let mut at = -20_000;
        for (n, span) in ups.iter().enumerate() {
            let state = [StreamState::Live, StreamState::Down][n % 2];
            updates.push(status(0, state, into_bar(at)));
            at += span;
        }
        updates.splice(0..0, orders);
        let cut = cut.min(updates.len());
        let mut before = LiquidationAggregator::new(&[symbol()], BAR);
        updates[..cut].iter().for_each(|u| _ = before.observe(u));
        let mut after = LiquidationAggregator::new(&[symbol()], BAR);
        journalled(&before.pending()).iter().chain(&updates[cut..]).for_each(|u| _ = after.observe(u));
        let mut whole = LiquidationAggregator::new(&[symbol()], BAR);
        updates.iter().for_each(|u| _ = whole.observe(u));
        for bar in [BAR, BAR.next()] {
            prop_assert_eq!(after.finish(bar), whole.finish(bar));
        }
    }

    #[test]
    fn coverage_is_the_time_connected(spans in prop::collection::vec((1i64..90_000, 1i64..90_000), 0..12)) {
        let mut updates = vec![status(0, StreamState::Down, into_bar(-30_000))];
        let mut covered = vec![false; BAR_MS as usize];
        let mut at = -20_000i64;
        for (up, down) in spans {
            updates.push(status(0, StreamState::Live, into_bar(at)));
            updates.push(status(0, StreamState::Down, into_bar(at + up)));
            for ms in at.max(0)..(at + up).min(BAR_MS) {
                covered[ms as usize] = true;
            }
            at += up + down;
        }
        let want = covered.iter().filter(|c| **c).count() as f64 / BAR_MS as f64;
        prop_assert_eq!(liquidations_of(&updates).coverage, want);
    }

    #[test]
    fn the_last_mark_of_the_last_minute_counts(marks in prop::collection::vec((0i64..310_000, 1u32..1000), 0..50), seed in any::<u64>()) {
        let updates: Vec<Stamped> = marks.iter().map(|(ms, p)| mark(into_bar(*ms), f64::from(*p))).collect();
        let got = marks_of(&disturbed(&updates, seed));
        let in_bar = marks.iter().filter(|(ms, _)| *ms < BAR_MS);
        let want = in_bar.max().filter(|(ms, _)| *ms >= BAR_MS - 60_000).map(|(_, p)| f64::from(*p));
        prop_assert_eq!(got.map(|bar| bar.mark), want);
    }

    #[test]
    fn any_bytes_are_a_batch_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let bytes: Vec<u8> = std::iter::once(2).chain(bytes).collect();
        if let Ok(batch) = Batch::from_bytes(&bytes) {
            prop_assert_eq!(Batch::from_bytes(&batch.to_bytes().unwrap()).unwrap(), batch);
        }
    }
}

/// Futures quotes of 2024-08-08 from 23:54, stamped by a recorder whose clock ran 1.27 s behind the
/// exchange's: the bar of 23:55 by the aggregator, which must be that of brute force.
fn bar_of_recorded_quotes(path: &Path) -> QuoteBar {
    let quotes: Vec<Stamped> = unzipped(path)
        .lines()
        .filter(|line| line.contains("@bookTicker"))
        .map(|line| {
            let (nanos, raw) = line.split_once(' ').unwrap();
            let Ok(Frame::Update(update)) = parse_frame(raw, Route::FuturesPublic) else { panic!("{raw}") };
            Stamped { arrival: Ts(nanos.parse::<i64>().unwrap() / 1_000_000), update }
        })
        .collect();
    let bar = parse_time("2024-08-08T23:55:00Z").unwrap().bar();
    let got = quotes_in(bar, &quotes);
    assert!(same_quotes(&got, &brute_force_quotes(bar, &quotes)), "{got:?}");
    assert_eq!(format!("{got:?}"), format!("{:?}", quotes_in(bar, &disturbed(&quotes, 5))));
    got
}

#[test]
fn real_recorded_quotes_make_the_bar_that_brute_force_makes() {
    let bar = bar_of_recorded_quotes(&extract(USDM));
    // The last quote is of 23:55:11.265 and counts for five seconds. The numbers come from a script over the
    // messages.
    assert_eq!(bar.coverage, 16.0 / 300.0);
    assert!((bar.spread_bps_mean / 0.016_175_702_400_258_965 - 1.0).abs() < 1e-9, "{bar:?}");
    assert!((bar.imb_mean / 0.162_279_470_462_075_16 - 1.0).abs() < 1e-9, "{bar:?}");
    assert!((bar.bid_depth_usd / 311_837.120_918_75 - 1.0).abs() < 1e-9, "{bar:?}");
    if let Some(whole) = recording(USDM) {
        let bar = bar_of_recorded_quotes(&whole);
        assert!(bar.coverage > 0.8 && bar.spread_bps_mean < 0.1, "{bar:?}");
    }
}

#[test]
fn a_silent_feed_gives_no_mark_and_no_coverage() {
    assert_eq!(marks_of(&[mark(into_bar(239_999), 5.0)]), None);
    assert_eq!(marks_of(&[mark(into_bar(240_000), 5.0)]).unwrap().index, 6.0);
    let nothing = quotes_of(&[]);
    assert!(nothing.coverage == 0.0 && nothing.spread_bps_mean.is_nan() && nothing.spread_bps_max.is_nan());
    assert_eq!(liquidations_of(&[order(into_bar(5), Side::Sell, 1.0, 2.0)]).coverage, 0.0);
}

#[test]
fn connected_and_nothing_seen_is_a_true_zero() {
    let bar = liquidations_of(&[status(0, StreamState::Live, into_bar(-1))]);
    assert_eq!((bar.long_usd, bar.short_usd, bar.long_n, bar.coverage), (0.0, 0.0, 0.0, 1.0));
}

#[test]
fn with_several_connections_all_must_be_up() {
    let updates = [
        status(0, StreamState::Live, into_bar(-5)),
        status(1, StreamState::Live, into_bar(-5)),
        status(1, StreamState::Stale, into_bar(60_000)),
        status(0, StreamState::Down, into_bar(270_000)),
        status(1, StreamState::Live, into_bar(120_000)),
    ];
    assert_eq!(liquidations_of(&updates).coverage, 0.7);
}

#[test]
fn the_time_between_two_processes_is_not_covered() {
    let mut aggregator = LiquidationAggregator::new(&[symbol()], BAR);
    aggregator.observe(&status(0, StreamState::Live, into_bar(0)));
    let pending = journalled(&aggregator.pending());
    let mut restarted = LiquidationAggregator::new(&[symbol()], BAR);
    pending.iter().for_each(|u| _ = restarted.observe(u));
    restarted.interrupted(into_bar(30_000));
    restarted.observe(&status(0, StreamState::Live, into_bar(90_000)));
    assert_eq!(restarted.finish(BAR)[0].1.coverage, 0.8);
}

#[test]
fn notional_is_filled_quantity_times_average_price_by_the_liquidated_side() {
    let updates = [
        status(0, StreamState::Live, into_bar(-1)),
        order(into_bar(10), Side::Sell, 0.19, 82_651.9),
        order(into_bar(20), Side::Buy, 0.001, 83_598.5),
        order(into_bar(20), Side::Buy, 0.001, 83_598.5),
        order(Ts(BAR.close().0), Side::Buy, 9.0, 9.0),
    ];
    let bar = liquidations_of(&updates);
    assert_eq!((bar.long_usd, bar.long_n), (0.19 * 82_651.9, 1.0));
    assert_eq!((bar.short_usd, bar.short_n), (0.001 * 83_598.5, 1.0));
}

#[test]
fn other_symbols_and_spot_quotes_are_not_ours() {
    let mut aggregator = QuoteAggregator::new(&[symbol()], BAR);
    let mut spot = quote(into_bar(5), 1, 1.0, 2.0, 1.0, 1.0);
    if let Update::BookTicker(b) = &mut spot.update {
        b.market = Market::Spot;
    }
    aggregator.observe(&spot);
    let mut other = quote(into_bar(5), 1, 1.0, 2.0, 1.0, 1.0);
    if let Update::BookTicker(b) = &mut other.update {
        b.symbol = Symbol::new("ETHUSDT").unwrap();
    }
    aggregator.observe(&other);
    assert_eq!(aggregator.pending(), []);
}

#[test]
fn a_quote_reaches_into_the_next_bar_for_five_seconds() {
    let mut aggregator = QuoteAggregator::new(&[symbol()], BAR);
    aggregator.observe(&quote(Ts(BAR.close().0 - 1500), 1, 100.0, 101.0, 1.0, 1.0));
    assert_eq!(aggregator.finish(BAR)[0].1.coverage, 2.0 / 300.0);
    // Age 2.5, 3.5 and 4.5 s at the first three snapshots.
    assert_eq!(aggregator.finish(BAR.next())[0].1.coverage, 3.0 / 300.0);
    assert_eq!(aggregator.pending(), []);
}

#[test]
fn a_thinned_feed_may_be_given_more_time() {
    let mut aggregator = QuoteAggregator::new(&[symbol()], BAR).with_oldest_quote_ms(60_000);
    for minute in 0..5 {
        aggregator.observe(&quote(into_bar(minute * 60_000), minute, 100.0, 101.0, 1.0, 1.0));
    }
    assert_eq!(aggregator.finish(BAR)[0].1.coverage, 1.0);
}

#[test]
fn what_can_be_downloaded_again_has_no_journal_form() {
    let depth = parse_frame(r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#, Route::Spot);
    let Ok(Frame::Update(update)) = depth else { panic!("{depth:?}") };
    let batch = Batch { at: Ts(0), updates: vec![Stamped { arrival: Ts(0), update }] };
    assert_eq!(Batch::from_bytes(&batch.to_bytes().unwrap()).unwrap().updates, []);
}

#[test]
fn a_batch_holds_its_instant_and_what_has_a_form_of_its_own() {
    let kept = [order(into_bar(10), Side::Buy, 1.0, 2.0), status(0, StreamState::Live, into_bar(0))];
    let batch = Batch { at: into_bar(20), updates: kept.to_vec() };
    let bytes = batch.to_bytes().unwrap();
    let read = Batch::from_bytes(&bytes).unwrap();
    assert_eq!((read.at, read.updates.len()), (into_bar(20), 2));
    assert_eq!(read.to_bytes().unwrap(), bytes);
    let empty = Batch { at: into_bar(30), updates: vec![] };
    assert_eq!(Batch::from_bytes(&empty.to_bytes().unwrap()).unwrap(), empty);
    for cut in 0..bytes.len() {
        assert!(Batch::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn damaged_journal_bytes_say_what_is_wrong() {
    let batch = Batch { at: into_bar(20), updates: vec![order(into_bar(10), Side::Buy, 1.0, 2.0)] };
    let mut bytes = batch.to_bytes().unwrap();
    bytes.push(0);
    let error = Batch::from_bytes(&bytes).unwrap_err().to_string();
    let want =
        format!("pending updates: {} bytes that do not hold a batch (1 bytes are left over)", bytes.len());
    assert_eq!(error, want);
    bytes[0] = 1;
    let error = Batch::from_bytes(&bytes).unwrap_err().to_string();
    assert_eq!(error, "pending updates of format 1, this program reads 2");
}

#[test]
fn a_batch_of_today_can_be_read_tomorrow() {
    let updates = vec![
        mark(into_bar(1), 64_000.5),
        order(into_bar(10), Side::Buy, 1.0, 2.0),
        quote(into_bar(20), 7, 100.0, 101.0, 1.0, 2.0),
        status(0, StreamState::Live, into_bar(0)),
    ];
    let golden = "02bc90c5c38367048e91c5c38367000742544355534454000000001040ef40000000003040ef40577a6d365662b03f018490c5c383678290c5c38367f0a0c5c38367010742544355534454000000000000000040000000000000f03fae47e17a14aeff3f00000000000000409490c5c38367e49fc5c38367b491c5c38367020007425443555344540e0000000000005940000000000000f03f0000000000405940000000000000004001a890c5c383678090c5c3836703010004008090c5c38367";
    assert_eq!(hex(&Batch { at: into_bar(30), updates }.to_bytes().unwrap()), golden);
}
