//! The project's own client against it, and troubles on the wire.

use std::time::Duration;

use backtestd_binance::{Rest, RestConfig, Subscription, Update, WsClient, WsConfig};
use backtestd_core::market::{BARS_PER_DAY, Kind, Market, SeriesKey, Symbol, Ts, parse_time};
use backtestd_lab::sim::{Fault, FaultKind};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{config, connect, hear_until, rows, start};

#[tokio::test(flavor = "multi_thread")]
async fn troubles_of_the_scenario_happen_on_the_wire_and_not_in_the_truth() {
    let mut config = config(600.0);
    let first = config.start.bar();
    let rule = |kind, offset: i64, bars, symbols: &[&str]| Fault {
        kind,
        every_bars: 100_000,
        at_bar: (first.0 + offset).rem_euclid(100_000),
        bars,
        symbols: symbols.iter().map(|s| Symbol::new(s).unwrap()).collect(),
        share: 1.0,
        ..Fault::default()
    };
    config.scenario.faults = vec![
        rule(FaultKind::DropClose, 1, 1, &["BTCUSDT"]),
        rule(FaultKind::Halt, 2, 1, &[]),
        rule(FaultKind::Disconnect, 4, 2, &[]),
    ];
    let exchange = start(config).await;
    let url =
        format!("{}/market/stream?streams=btcusdt@kline_5m/ethusdt@kline_5m", exchange.futures_ws_url());
    let mut socket = connect(url.clone()).await;
    let mut closed = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(text.as_str()).unwrap();
        let k = &frame["data"]["k"];
        if k["x"] == true {
            closed.push((k["s"].as_str().unwrap().to_owned(), Ts(k["t"].as_i64().unwrap()).bar() - first));
        }
    }
    assert!(connect_async(&url).await.is_err(), "refused while the trouble lasts");
    assert!(
        !closed.contains(&("BTCUSDT".to_owned(), 1)) && closed.contains(&("ETHUSDT".to_owned(), 1)),
        "{closed:?}"
    );
    let path =
        format!("/fapi/v1/klines?symbol=BTCUSDT&interval=5m&limit=3&startTime={}", (first + 1).open().0);
    let truth = rows(&exchange, &path).await;
    assert_ne!(truth[0][5], "0.000");
    assert_eq!((&truth[1][5], &truth[1][8], &truth[1][2]), (&json!("0.000"), &json!(0), &truth[1][3]));
    // Afterwards the venue is back.
    let back = timeout(Duration::from_secs(5), async {
        loop {
            if let Ok((socket, _)) = connect_async(&url).await {
                return socket;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut socket = back.await.unwrap();
    let _ = hear_until(&mut socket, |f| f["data"]["k"]["x"] == true).await;
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_project_s_own_client_understands_every_answer_and_every_frame() {
    let exchange = start(config(600.0)).await;
    let clock = exchange.clock();
    let btc = Symbol::new("BTCUSDT").unwrap();
    let sol = Symbol::new("SOLUSDT").unwrap();
    let mut wanted = vec![
        (Market::Perp, Subscription::Kline5m(btc.clone())),
        (Market::Perp, Subscription::Kline5m(sol.clone())),
        (Market::Spot, Subscription::Kline5m(btc.clone())),
        (Market::Spot, Subscription::BookTicker(btc.clone())),
        (Market::Perp, Subscription::AllMarkPrices),
        (Market::Perp, Subscription::AllForceOrders),
    ];
    wanted.push((Market::Perp, Subscription::BookTicker(sol.clone())));
    wanted.push((Market::Perp, Subscription::AggTrade(sol.clone())));
    let ws = WsConfig { spot_url: exchange.spot_ws_url(), ..WsConfig::simulated(&exchange.futures_ws_url()) };
    let (client, mut updates) = WsClient::spawn(ws, &wanted, &clock).unwrap();
    let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
    let mut closed = Vec::new();
    let until = Instant::now() + Duration::from_secs(4);
    while let Ok(Some(stamped)) = tokio::time::timeout_at(until, updates.recv()).await {
        let kind = match stamped.update {
            Update::Kline(kline) => {
                if kline.closed {
                    closed.push((kline.market, kline.symbol.clone(), kline.bar));
                }
                if kline.market == Market::Perp { "kline" } else { "spot kline" }
            }
            Update::Mark(_) => "mark",
            Update::ForceOrder(_) => "forced",
            Update::BookTicker(_) => "book",
            Update::AggTrade(_) => "trade",
            _ => "other",
        };
        *kinds.entry(kind).or_default() += 1;
    }
    for kind in ["kline", "spot kline", "mark", "forced", "book", "trade"] {
        assert!(kinds.contains_key(kind), "{kind} in {kinds:?}");
    }
    assert_eq!(client.stats().wire_errors.load(std::sync::atomic::Ordering::Relaxed), 0);
    client.close().await;

    let rest = Rest::new(RestConfig::simulated(&exchange.rest_url()), clock.clone()).unwrap();
    assert!(closed.len() >= 12, "{}", closed.len());
    for (market, symbol, bar) in &closed {
        let range = rest.klines(*market, symbol, bar.bar, bar.bar.next()).await.unwrap();
        assert!(range.bars.len() == 1 && range.bars[0].same_as(bar), "{market} {symbol} {bar:?} {range:?}");
    }
    let first = parse_time("2025-01-20T00:00:00Z").unwrap();
    let last = parse_time("2025-01-25T00:00:00Z").unwrap();
    let days = rest.klines(Market::Perp, &sol, first.bar(), last.bar()).await.unwrap();
    assert_eq!((days.bars.len() as i64, days.holes.len()), (5 * BARS_PER_DAY, 0));
    let marks = rest.mark_bars(&sol, first.bar(), last.bar()).await.unwrap();
    assert!(marks.bars.len() as i64 == 5 * BARS_PER_DAY && marks.bars.iter().all(|m| m.premium.abs() < 0.01));
    let funding = rest.funding_rates(&sol, first, last).await.unwrap();
    assert_eq!(funding.len(), 15);
    for kind in Kind::ALL.iter().copied().filter(|kind| !kind.is_bar_like() && *kind != Kind::Funding) {
        let series = SeriesKey { kind, market: Market::Perp, symbol: sol.clone() };
        let Some(page) = Rest::history_page(kind) else { continue };
        assert!(page >= last.0 - first.0, "one page is enough here");
        let found = rest.history(&series, first.0, last.0, last).await.unwrap();
        let mut known = 0;
        found.records.rows().each(&mut |_, columns, _| {
            known += columns.iter().take(kind.columns().len()).filter(|v| !v.is_nan() && **v > 0.0).count();
        });
        let all = 5 * BARS_PER_DAY as usize * kind.columns().len();
        assert_eq!((found.through, known), (last.0, all), "{}", kind.name());
    }
    for market in [Market::Perp, Market::Spot] {
        let info = rest.exchange_info(market, &[]).await.unwrap();
        assert!(info.symbols.iter().all(|s| s.is_trading()), "{market}");
    }
    exchange.shutdown().await;
}
