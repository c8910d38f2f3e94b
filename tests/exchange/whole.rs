//! What makes it whole: books, trades and day statistics that agree with the bars, and as many contracts as
//! are wanted.

use std::collections::BTreeMap;

use backtestd_binance::venue::ExchangeConfig;
use backtestd_core::market::{BAR_MS, parse_time};
use serde_json::{Value, json};

use crate::support::{START, config, connect, get, hear_until, rows, start};

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trades_of_a_bar_are_its_kline() {
    let exchange = start(config(1.0)).await;
    let open = parse_time("2025-02-03T09:55:00Z").unwrap().0;
    for (api, symbol) in [("/fapi/v1", "ETHUSDT"), ("/api/v3", "BTCUSDT")] {
        let mut trades: Vec<Value> = Vec::new();
        loop {
            let next = trades
                .last()
                .map_or(format!("startTime={open}"), |t| format!("fromId={}", t["a"].as_i64().unwrap() + 1));
            let page = rows(&exchange, &format!("{api}/aggTrades?symbol={symbol}&limit=1000&{next}")).await;
            let inside = page.iter().filter(|t| t["T"].as_i64().unwrap() < open + BAR_MS).count();
            trades.extend(page.iter().take(inside).cloned());
            if inside < page.len() {
                break;
            }
        }
        let kline =
            &rows(&exchange, &format!("{api}/klines?symbol={symbol}&interval=5m&limit=1&startTime={open}"))
                .await[0];
        let prices = || trades.iter().map(|t| number(&t["p"]));
        assert_eq!(number(&trades[0]["p"]), number(&kline[1]));
        assert_eq!(prices().fold(0.0, f64::max), number(&kline[2]));
        assert_eq!(prices().fold(f64::INFINITY, f64::min), number(&kline[3]));
        assert_eq!(number(&trades[trades.len() - 1]["p"]), number(&kline[4]));
        let sum = |wanted: &dyn Fn(&Value) -> bool| {
            trades.iter().filter(|t| wanted(t)).map(|t| number(&t["q"])).sum::<f64>()
        };
        assert!((sum(&|_| true) - number(&kline[5])).abs() < 1e-6);
        assert!((sum(&|t| t["m"] == false) - number(&kline[9])).abs() < 1e-6);
        let count: i64 = trades.iter().map(|t| t["l"].as_i64().unwrap() - t["f"].as_i64().unwrap() + 1).sum();
        assert_eq!(count, kline[8]);
    }
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_turn_one_book_into_the_next() {
    let exchange = start(config(1.0)).await;
    let mut socket = connect(format!("{}/public/ws/btcusdt@depth@100ms", exchange.futures_ws_url())).await;
    let first = hear_until(&mut socket, |f| f["e"] == "depthUpdate").await;
    let book: Value = get(&exchange, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000").await.json().await.unwrap();
    let side = |rows: &Value| -> BTreeMap<String, String> {
        let pair = |row: &Value| (row[0].as_str().unwrap().to_owned(), row[1].as_str().unwrap().to_owned());
        rows.as_array().unwrap().iter().map(pair).collect()
    };
    let (mut bids, mut last) = (side(&book["bids"]), book["lastUpdateId"].as_i64().unwrap());
    assert!(last >= first["u"].as_i64().unwrap() && bids.len() == 20);
    for _ in 0..4 {
        let update = hear_until(&mut socket, |f| f["u"].as_i64().is_some_and(|u| u > last)).await;
        assert_eq!(update["pu"].as_i64().unwrap(), last, "no update is missing");
        last = update["u"].as_i64().unwrap();
        for (price, quantity) in side(&update["b"]) {
            if quantity == "0" {
                bids.remove(&price)
            } else {
                bids.insert(price, quantity)
            };
        }
    }
    let book: Value = get(&exchange, "/fapi/v1/depth?symbol=BTCUSDT").await.json().await.unwrap();
    if book["lastUpdateId"] == last {
        assert_eq!(side(&book["bids"]), bids);
    }
    assert_eq!(bids.len(), 20, "levels that are gone were told");
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_find_what_else_they_ask_for() {
    let exchange = start(config(1.0)).await;
    let day: Value = get(&exchange, "/fapi/v1/ticker/24hr?symbol=BTCUSDT").await.json().await.unwrap();
    assert!(number(&day["highPrice"]) >= number(&day["lastPrice"]) && number(&day["volume"]) > 1000.0);
    assert_eq!(rows(&exchange, "/api/v3/ticker/24hr").await.len(), 3, "pairs with a spot market");
    assert_eq!(rows(&exchange, "/fapi/v1/ticker/price").await.len(), 6);
    assert_eq!(rows(&exchange, "/api/v3/uiKlines?symbol=BTCUSDT&interval=1h&limit=3").await.len(), 3);
    assert_eq!(
        rows(&exchange, "/futures/data/basis?pair=BTCUSDT&contractType=PERPETUAL&period=5m&limit=3")
            .await
            .len(),
        3
    );
    assert_eq!(rows(&exchange, "/fapi/v1/trades?symbol=BTCUSDT&limit=7").await.len(), 7);
    assert_eq!(get(&exchange, "/fapi/v1/historicalTrades?symbol=BTCUSDT").await.status(), 401);
    let illegal = get(&exchange, "/api/v3/klines?symbol=BTC%20USDT&interval=5m").await;
    assert_eq!(illegal.json::<Value>().await.unwrap()["code"], -1100);

    let mut market = connect(format!(
        "{}/market/stream?streams=btcusdt_perpetual@continuousKline_5m/btcusdt@ticker/!miniTicker@arr",
        exchange.futures_ws_url()
    ))
    .await;
    let kline = hear_until(&mut market, |f| f["data"]["e"] == "continuous_kline").await;
    assert!(kline["data"]["ct"] == "PERPETUAL" && kline["data"]["k"].get("s").is_none());
    let ticker = hear_until(&mut market, |f| f["data"]["e"] == "24hrTicker").await;
    assert_eq!(ticker["data"]["s"], "BTCUSDT");
    let all = hear_until(&mut market, |f| f["data"].is_array()).await;
    assert_eq!(all["data"].as_array().unwrap().len(), 6);
    let mut private = connect(format!("{}/private/stream", exchange.futures_ws_url())).await;
    crate::support::say(&mut private, json!({"method": "SUBSCRIBE", "params": ["abc"], "id": 1})).await;
    assert_eq!(crate::support::hear(&mut private).await, json!({"result": null, "id": 1}));
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_contracts_has_the_variety_of_the_venue() {
    let mut config = config(1.0);
    config.scenario.genesis = "2025-02-01T00:00:00Z".to_owned();
    config.scenario.crowd(3, 60);
    let exchange = start(ExchangeConfig { start: parse_time(START).unwrap(), ..config }).await;
    let info: Value = get(&exchange, "/fapi/v1/exchangeInfo").await.json().await.unwrap();
    let count = |field: &str, value: &str| {
        info["symbols"].as_array().unwrap().iter().filter(|s| s[field] == value).count()
    };
    assert_eq!((count("contractType", "CURRENT_QUARTER"), count("status", "SETTLING")), (2, 10));
    assert!(count("contractType", "TRADIFI_PERPETUAL") > 5 && count("quoteAsset", "USDC") > 1);
    assert_eq!(rows(&exchange, "/fapi/v1/premiumIndex").await.len(), 60, "those that trade");
    let far =
        rows(&exchange, "/fapi/v1/klines?symbol=%E6%8B%9B%E8%B4%A2%E7%8C%ABUSDT&interval=5m&limit=3").await;
    assert_eq!(far.len(), 3);
    assert!(!rows(&exchange, "/fapi/v1/fundingInfo").await.is_empty());
    exchange.shutdown().await;
}
