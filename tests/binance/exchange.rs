//! The client against the simulated exchange: both ends of the protocol, written by different hands.

use std::collections::BTreeMap;
use std::time::Duration;

use backtestd_binance::aggregate::{LiquidationAggregator, MarkAggregator};
use backtestd_binance::venue::{Exchange, ExchangeConfig, RunningExchange};
use backtestd_binance::{Rest, RestConfig, Stamped, StreamState, Subscription, Update, WsClient, WsConfig};
use backtestd_core::market::{
    BARS_PER_DAY, Bar, BarIndex, DAY_MS, Kind, Market, Records, SeriesKey, Symbol, Ts, parse_time,
};
use backtestd_lab::sim::{Fault, FaultKind, Scenario};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// A bar of the exchange lasts a third of a second.
const SPEED: f64 = 900.0;

async fn start(faults: Vec<Fault>) -> RunningExchange {
    let scenario = Scenario { faults, ..Scenario::default() };
    let start = parse_time("2025-01-09T10:02:00Z").unwrap();
    let frame_gap = Duration::from_millis(50);
    let config = ExchangeConfig { scenario, start, speed: SPEED, frame_gap, ..ExchangeConfig::default() };
    Exchange::start(config).await.unwrap()
}

fn rest(exchange: &RunningExchange) -> Rest {
    Rest::new(RestConfig::simulated(&exchange.rest_url()), exchange.clock()).unwrap()
}

fn symbols(names: &[&str]) -> Vec<Symbol> {
    names.iter().map(|name| Symbol::new(name).unwrap()).collect()
}

/// Closed bars as the stream said them, by market, symbol and slot.
type Heard = BTreeMap<(Market, Symbol, BarIndex), Bar>;

/// Listens until the exchange's clock has passed `until`.
async fn listen(exchange: &RunningExchange, updates: &mut Receiver<Stamped>, until: Ts) -> Vec<Stamped> {
    let mut all = Vec::new();
    while exchange.clock().now() < until {
        let wait = exchange.clock().wall_until(until);
        match timeout(wait.max(Duration::from_millis(1)), updates.recv()).await {
            Ok(Some(stamped)) => all.push(stamped),
            Ok(None) => panic!("the client ended"),
            Err(_) => break,
        }
    }
    all
}

fn closed_bars(updates: &[Stamped]) -> Heard {
    let mut heard = Heard::new();
    for stamped in updates {
        if let Update::Kline(k) = &stamped.update
            && k.closed
            && k.is_grid_bar()
        {
            let again = heard.insert((k.market, k.symbol.clone(), k.bar.bar), k.bar);
            assert!(again.is_none_or(|bar| bar.same_as(&k.bar)), "a closed bar changed: {k:?}");
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn klines_stay_contiguous_over_a_disconnection() {
    let exchange = start(Vec::new()).await;
    let first = exchange.clock().now().bar() + 6;
    exchange.shutdown().await;
    // Six bars from now every websocket is cut for three bars, and one symbol's closing frames are lost later
    // on.
    let fault = |kind, at_bar: BarIndex, bars, symbols| Fault {
        kind,
        every_bars: 100_000,
        at_bar: at_bar.0.rem_euclid(100_000),
        bars,
        symbols,
        share: 1.0,
        ..Fault::default()
    };
    let sol = symbols(&["SOLUSDT"]);
    let exchange = start(vec![
        fault(FaultKind::Disconnect, first, 3, vec![]),
        fault(FaultKind::DropClose, first + 10, 1, sol),
    ])
    .await;
    let wanted_symbols = symbols(&["BTCUSDT", "SOLUSDT"]);
    let mut wanted = Vec::new();
    for symbol in &wanted_symbols {
        wanted.push((Market::Perp, Subscription::Kline5m(symbol.clone())));
        wanted.push((Market::Spot, Subscription::Kline5m(symbol.clone())));
    }
    let config =
        WsConfig { spot_url: exchange.spot_ws_url(), ..WsConfig::simulated(&exchange.futures_ws_url()) };
    let (client, mut updates) = WsClient::spawn(config, &wanted, &exchange.clock()).unwrap();
    let from = exchange.clock().now().bar().next();
    let to = first + 20;
    let all = listen(&exchange, &mut updates, Ts(to.open().0 + 60_000)).await;
    client.close().await;
    let is_down = |s: &Stamped| matches!(&s.update, Update::Stream(s) if s.state == StreamState::Down);
    assert!(all.iter().any(is_down), "the disconnection was told");

    let heard = closed_bars(&all);
    let rest = rest(&exchange);
    let mut lost = 0;
    for market in [Market::Perp, Market::Spot] {
        for symbol in &wanted_symbols {
            let truth = rest.klines(market, symbol, from, to).await.unwrap();
            assert_eq!((truth.holes.as_slice(), truth.bars.len() as i64), ([].as_slice(), to - from));
            let mut repaired: Vec<Bar> = Vec::new();
            let mut slot = from;
            while slot < to {
                match heard.get(&(market, symbol.clone(), slot)) {
                    Some(bar) => repaired.push(*bar),
                    None => {
                        lost += 1;
                        repaired.extend(rest.klines(market, symbol, slot, slot.next()).await.unwrap().bars);
                    }
                }
                slot = slot.next();
            }
            // What the socket said and what history says is the same, bit for bit, and nothing is missing.
            assert_eq!(repaired.len(), truth.bars.len());
            for (a, b) in repaired.iter().zip(&truth.bars) {
                assert!(a.same_as(b), "{market} {symbol}: {a:?} {b:?}");
            }
        }
    }
    let most = 4 * (to - from) / 2;
    assert!(lost > 4 && lost < most, "{lost} of at most {most} bars had to be fetched again");
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_understood_by_the_other_side() {
    let exchange = start(Vec::new()).await;
    let rest = rest(&exchange);
    let btc = &symbols(&["BTCUSDT"])[0];
    let info = rest.exchange_info(Market::Perp, &[]).await.unwrap();
    let contract = info.symbols.iter().find(|s| s.symbol == *btc).unwrap();
    assert!(contract.is_trading() && contract.is_perpetual() && contract.tick_size > 0.0);
    let pair = rest.exchange_info(Market::Spot, std::slice::from_ref(btc)).await.unwrap();
    assert_eq!(pair.symbols.iter().map(|s| &s.symbol).collect::<Vec<_>>(), [btc]);
    let both = symbols(&["BTCUSDT", "NOSUCHUSDT"]);
    assert!(rest.exchange_info(Market::Spot, &both).await.unwrap_err().is_unknown_symbol());

    let now = rest.server_time(Market::Perp).await.unwrap();
    let (from, to) = (now.bar() - 7 * BARS_PER_DAY, now.bar() + 5);
    for market in [Market::Perp, Market::Spot] {
        let range = rest.klines(market, btc, from, to).await.unwrap();
        assert_eq!(range.holes, []);
        assert_eq!(range.bars.len() as i64, range.through - from);
        assert!(range.through > now.bar() - 1 && range.through < to, "the open bar is not there yet");
    }
    let marks = rest.mark_bars(btc, now.bar() - 100, now.bar()).await.unwrap();
    assert_eq!(marks.bars.len(), 100);
    assert!(marks.bars.iter().all(|m| m.mark > 0.0 && m.index > 0.0 && m.premium.abs() < 0.1));

    let day_ago = Ts(now.0 - DAY_MS);
    let funding = rest.funding_rates(btc, Ts(now.0 - 7 * DAY_MS), now).await.unwrap();
    assert_eq!(funding.len(), 21);
    assert!(funding.iter().all(|f| f.print.interval_hours == 8.0 && f.print.ts.0 % 60_000 == 0));
    let series = SeriesKey { kind: Kind::OpenInterest, market: Market::Perp, symbol: btc.clone() };
    let page = rest.history(&series, day_ago.0, now.0, now).await.unwrap();
    let Records::OpenInterest(open_interest) = page.records else { panic!("{page:?}") };
    assert!(open_interest.len() >= 286, "{}", open_interest.len());
    assert!(open_interest.windows(2).all(|w| w[1].ts.0 - w[0].ts.0 == 300_000));
    let unknown = rest.klines(Market::Perp, &symbols(&["NOSUCHUSDT"])[0], from, to).await.unwrap_err();
    assert!(unknown.is_unknown_symbol(), "{unknown}");
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_belongs_to_its_minute_however_late_in_it_its_time_is() {
    let exchange = start(Vec::new()).await;
    let rest = rest(&exchange);
    let btc = &symbols(&["BTCUSDT"])[0];
    let hour = DAY_MS / 24;
    let last = exchange.clock().now().0.div_euclid(8 * hour) * 8 * hour;
    let mut late = 0;
    for at in (0..24).map(|n| last - n * 8 * hour) {
        // A history that ends with the settlement has it, and one that begins right behind it does not.
        let found = rest.funding_rates(btc, Ts(at - hour), Ts(at + 1)).await.unwrap();
        let times: Vec<i64> = found.iter().map(|record| record.print.ts.0).collect();
        assert_eq!(times, [at], "{:?}", Ts(at));
        if found[0].raw_ts.0 > at {
            late += 1;
            assert_eq!(rest.funding_rates(btc, Ts(at + 1), Ts(at + hour)).await.unwrap(), []);
        }
    }
    assert!(late > 0, "none of them came late in its minute");
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streamed_marks_and_liquidations_become_bars() {
    let exchange = start(Vec::new()).await;
    let wanted_symbols = symbols(&["BTCUSDT", "DOGEUSDT"]);
    let wanted = [(Market::Perp, Subscription::AllMarkPrices), (Market::Perp, Subscription::AllForceOrders)];
    let config = WsConfig::simulated(&exchange.futures_ws_url());
    let (client, mut updates) = WsClient::spawn(config, &wanted, &exchange.clock()).unwrap();
    let from = exchange.clock().now().bar() + 2;
    let all = listen(&exchange, &mut updates, Ts((from + 6).open().0 + 5000)).await;
    client.close().await;

    let mut marks = MarkAggregator::new(&wanted_symbols, from);
    let mut liquidations = LiquidationAggregator::new(&wanted_symbols, from);
    for stamped in &all {
        marks.observe(stamped);
        liquidations.observe(stamped);
    }
    let rest = rest(&exchange);
    for n in 0..6 {
        let bar = from + n;
        let known = marks.finish(bar);
        assert_eq!(known.len(), 2, "{bar}");
        for (symbol, mark) in known {
            let truth = rest.mark_bars(&symbol, bar, bar.next()).await.unwrap().bars[0];
            // The last frame of a bar comes a little before its end.
            assert!((mark.mark / truth.mark - 1.0).abs() < 0.01, "{mark:?} {truth:?}");
            assert!(mark.predicted_rate.is_finite());
        }
        assert!(liquidations.finish(bar).iter().all(|(_, l)| l.coverage == 1.0), "{bar}");
    }
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_nobody_wants_any_more_end_and_those_that_stay_miss_nothing() {
    let exchange = start(Vec::new()).await;
    let names = symbols(&["BTCUSDT", "DOGEUSDT"]);
    let klines = |symbol: &Symbol| (Market::Perp, Subscription::Kline5m(symbol.clone()));
    let quotes = |symbol: &Symbol| (Market::Perp, Subscription::BookTicker(symbol.clone()));
    // Quotes of the one that leaves are alone on their connection, its klines are not.
    let wanted = [klines(&names[0]), klines(&names[1]), quotes(&names[1])];
    let config = WsConfig::simulated(&exchange.futures_ws_url());
    let overlap = config.overlap;
    let (client, mut updates) = WsClient::spawn(config, &wanted, &exchange.clock()).unwrap();
    let from = exchange.clock().now().bar() + 3;
    let before = listen(&exchange, &mut updates, Ts((from + 2).open().0)).await;
    let is_of_doge = |stamped: &Stamped| match &stamped.update {
        Update::Kline(kline) => kline.symbol == names[1],
        Update::BookTicker(quote) => quote.symbol == names[1],
        _ => false,
    };
    assert!(before.iter().any(is_of_doge));
    client.control().keep_only(&wanted[..1]).unwrap();
    // The old connection is left once the new one carries what stays.
    let settled = Ts(exchange.clock().now().0 + ((overlap.as_secs_f64() + 1.0) * 1000.0 * SPEED) as i64);
    let handover = listen(&exchange, &mut updates, settled).await;
    let to = settled.bar() + 8;
    let after = listen(&exchange, &mut updates, Ts(to.open().0 + 60_000)).await;
    assert!(!after.iter().any(is_of_doge), "nothing comes of the one that left");
    let heard = closed_bars(&[before, handover, after].concat());
    let missed: Vec<BarIndex> = (from.0..to.0)
        .map(BarIndex)
        .filter(|bar| !heard.contains_key(&(Market::Perp, names[0].clone(), *bar)))
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
    client.close().await;
    exchange.shutdown().await;
}
