//! What its websockets send, and how they end.

use std::time::Duration;

use backtestd_binance::venue::ExchangeConfig;
use backtestd_core::market::parse_time;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{config, connect, hear, hear_until, is_ended, rows, say, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_acknowledged_wrapped_served_and_ended() {
    let exchange = start(config(1.0)).await;
    let mut socket = connect(format!("{}/market/stream", exchange.futures_ws_url())).await;
    say(&mut socket, json!({"method": "SUBSCRIBE", "params": ["btcusdt@kline_5m", "no@such_stream", "ethusdt@markPrice@1s"], "id": 1})).await;
    assert_eq!(hear(&mut socket).await, json!({"result": null, "id": 1}));
    let kline = hear_until(&mut socket, |f| f["stream"] == "btcusdt@kline_5m").await;
    let k = &kline["data"]["k"];
    assert_eq!((&kline["data"]["e"], &k["i"], &k["x"]), (&json!("kline"), &json!("5m"), &json!(false)));
    assert_eq!(k["t"], parse_time("2025-02-03T10:00:00Z").unwrap().0);
    let mark = hear_until(&mut socket, |f| f["stream"] == "ethusdt@markPrice@1s").await;
    assert_eq!(mark["data"]["E"].as_i64().unwrap() % 1000, 0);
    assert_eq!(mark["data"]["st"], 1);
    say(&mut socket, json!({"method": "LIST_SUBSCRIPTIONS", "id": 2})).await;
    let listed = hear_until(&mut socket, |f| f["id"] == 2).await;
    assert_eq!(listed["result"].as_array().unwrap().len(), 3);
    say(&mut socket, json!({"method": "SET_PROPERTY", "params": ["combined", false], "id": 3})).await;
    let _ = hear_until(&mut socket, |f| f["id"] == 3).await;
    assert_eq!(hear_until(&mut socket, |f| f["e"] == "kline").await["s"], "BTCUSDT");
    let all = ["btcusdt@kline_5m", "no@such_stream", "ethusdt@markPrice@1s"];
    say(&mut socket, json!({"method": "UNSUBSCRIBE", "params": all, "id": 4})).await;
    let _ = hear_until(&mut socket, |f| f["id"] == 4).await;
    let silence = timeout(Duration::from_millis(1500), socket.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    say(&mut socket, json!({"method": "DANCE", "id": 5})).await;
    assert_eq!(hear(&mut socket).await["code"], 2);
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_route_decides_what_is_served() {
    let exchange = start(config(1.0)).await;
    let kinds_within = |path: &'static str| {
        let url = format!("{}{path}", exchange.futures_ws_url());
        async move {
            let mut socket = connect(url).await;
            say(
                &mut socket,
                json!({"method": "SUBSCRIBE", "id": 1, "params":
                ["btcusdt@kline_5m", "btcusdt@bookTicker", "btcusdt@aggTrade", "btcusdt@markPrice@1s"]}),
            )
            .await;
            let mut kinds = std::collections::BTreeSet::new();
            let until = Instant::now() + Duration::from_millis(2500);
            while let Ok(Some(Ok(message))) = tokio::time::timeout_at(until, socket.next()).await {
                if let Message::Text(text) = message {
                    let frame: Value = serde_json::from_str(text.as_str()).unwrap();
                    if let Some(kind) = frame["e"].as_str() {
                        kinds.insert(kind.to_owned());
                    } else {
                        assert!(frame["result"].is_null());
                    }
                }
            }
            kinds.into_iter().collect::<Vec<_>>()
        }
    };
    let (legacy, market, public) =
        tokio::join!(kinds_within("/ws"), kinds_within("/market/ws"), kinds_within("/public/ws"));
    assert_eq!(legacy, ["bookTicker"]);
    assert_eq!(public, ["bookTicker"]);
    assert_eq!(market, ["aggTrade", "kline", "markPriceUpdate"]);
    // Spot quotes have no event type; streams may be named in the path.
    let mut spot = connect(format!("{}/ws/btcusdt@bookTicker", exchange.spot_ws_url())).await;
    let quote = hear(&mut spot).await;
    assert_eq!(quote["s"], "BTCUSDT");
    assert!(quote.get("e").is_none() && quote.get("E").is_none());
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_closing_frame_is_the_finished_bar_of_rest() {
    // A bar lasts half a second.
    let exchange = start(config(600.0)).await;
    let mut futures = connect(format!(
        "{}/market/stream?streams=btcusdt@kline_5m/solusdt@kline_5m",
        exchange.futures_ws_url()
    ))
    .await;
    let mut spot = connect(format!("{}/stream?streams=btcusdt@kline_5m", exchange.spot_ws_url())).await;
    let mut closes: Vec<(&str, Value)> = Vec::new();
    while closes.len() < 6 {
        let frame = hear_until(&mut futures, |f| f["data"]["k"]["x"] == true).await;
        closes.push(("/fapi/v1/klines", frame["data"].clone()));
    }
    let frame = hear_until(&mut spot, |f| f["data"]["k"]["x"] == true).await;
    closes.push(("/api/v3/klines", frame["data"].clone()));
    let mut seen = std::collections::BTreeSet::new();
    for (path, frame) in &closes {
        let k = &frame["k"];
        let symbol = k["s"].as_str().unwrap();
        assert!(
            seen.insert((path.to_string(), symbol.to_owned(), k["t"].as_i64())),
            "a bar closed twice: {k}"
        );
        let late = frame["E"].as_i64().unwrap() - (k["T"].as_i64().unwrap() + 1);
        assert!((0..1000).contains(&late), "{late}");
        let path = format!("{path}?symbol={symbol}&interval=5m&limit=1&startTime={}", k["t"]);
        let row = &rows(&exchange, &path).await[0];
        for (column, key) in ["t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q"].into_iter().enumerate() {
            assert_eq!(row[column], k[key], "{symbol} {key}");
        }
    }
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_orders_come_one_object_a_frame_and_marks_in_arrays() {
    let exchange = start(config(3000.0)).await;
    let url = format!("{}/market/ws/!forceOrder@arr/!markPrice@arr@1s", exchange.futures_ws_url());
    let mut socket = connect(url).await;
    let forced = hear_until(&mut socket, |f| f["e"] == "forceOrder").await;
    let order = &forced["o"];
    assert!(["SELL", "BUY"].contains(&order["S"].as_str().unwrap()));
    assert_eq!(forced["E"].as_i64().unwrap() - order["T"].as_i64().unwrap(), 1000);
    let ours = hear_until(&mut socket, |f| f.as_array().is_some_and(|rows| rows.len() == 6)).await;
    assert!(ours.as_array().unwrap().iter().all(|row| row["st"] == 1));
    let coin = hear_until(&mut socket, |f| f.as_array().is_some_and(|rows| rows.len() == 1)).await;
    assert_eq!(coin[0]["st"], 2);
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_after_a_virtual_day_and_for_a_client_that_talks_too_much() {
    let day = start(ExchangeConfig { session_ms: 3_600_000, ..config(6000.0) }).await;
    let mut socket = connect(format!("{}/market/ws/btcusdt@kline_5m", day.futures_ws_url())).await;
    assert!(is_ended(&mut socket).await);
    let mut chatty = connect(format!("{}/market/ws", day.futures_ws_url())).await;
    for id in 0..11 {
        let text = json!({"method": "LIST_SUBSCRIPTIONS", "id": id}).to_string();
        if chatty.send(Message::Text(text.into())).await.is_err() {
            break;
        }
    }
    assert!(is_ended(&mut chatty).await);
    day.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_pings_and_a_shutdown_closes_every_socket() {
    let exchange =
        start(ExchangeConfig { ping_every: Some(Duration::from_millis(200)), ..config(1.0) }).await;
    let mut socket = connect(format!("{}/public/ws/btcusdt@bookTicker", exchange.futures_ws_url())).await;
    let is_pinged = timeout(Duration::from_secs(5), async {
        while let Some(Ok(message)) = socket.next().await {
            if message.is_ping() {
                return true;
            }
        }
        false
    });
    assert!(is_pinged.await.unwrap());
    let started = Instant::now();
    let addr = exchange.addr();
    let (ended, ()) = tokio::join!(is_ended(&mut socket), exchange.shutdown());
    assert!(ended && started.elapsed() < Duration::from_secs(4));
    assert!(TcpStream::connect(addr).await.is_err());
}
