//! The simulated exchange over real sockets: a stranger's client (reqwest, tokio-tungstenite) talks to it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use backtestd::binance::{Rest, RestConfig, Subscription, Update, WsClient, WsConfig};
use backtestd::market::{BAR_MS, BARS_PER_DAY, BarIndex, Market, Symbol, Ts, parse_time};
use backtestd::sim::{Exchange, ExchangeConfig, Fault, FaultKind, Limits, RunningExchange, Scenario, SimBar};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const START: &str = "2025-02-03T10:02:00Z";

fn config(speed: f64) -> ExchangeConfig {
    let mut scenario = Scenario::default();
    scenario.faults.clear();
    ExchangeConfig { scenario, start: parse_time(START).unwrap(), speed, ..ExchangeConfig::default() }
}

async fn start(config: ExchangeConfig) -> RunningExchange {
    Exchange::start(config).await.unwrap()
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn get(exchange: &RunningExchange, path: &str) -> reqwest::Response {
    client().get(format!("{}{path}", exchange.rest_url())).send().await.unwrap()
}

async fn rows(exchange: &RunningExchange, path: &str) -> Vec<Value> {
    let response = get(exchange, path).await;
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

async fn connect(url: String) -> Socket {
    connect_async(url).await.unwrap().0
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::Text(message.to_string().into())).await.unwrap();
}

/// The next text frame within five seconds.
async fn hear(socket: &mut Socket) -> Value {
    loop {
        let message = timeout(Duration::from_secs(5), socket.next()).await.expect("a frame in time");
        if let Message::Text(text) = message.expect("an open socket").expect("a sound frame") {
            return serde_json::from_str(text.as_str()).unwrap();
        }
    }
}

/// Reads until a frame is wanted, at most ten seconds.
async fn hear_until(socket: &mut Socket, wanted: impl Fn(&Value) -> bool) -> Value {
    timeout(Duration::from_secs(10), async {
        loop {
            let frame = hear(socket).await;
            if wanted(&frame) {
                return frame;
            }
        }
    })
    .await
    .expect("the wanted frame")
}

/// True if the server ends the connection within five seconds.
async fn is_ended(socket: &mut Socket) -> bool {
    timeout(Duration::from_secs(5), async {
        loop {
            match socket.next().await {
                None | Some(Err(_) | Ok(Message::Close(_))) => return,
                Some(Ok(_)) => {}
            }
        }
    })
    .await
    .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn klines_page_forward_without_overlap_and_end_with_the_open_bar() {
    let exchange = start(config(1.0)).await;
    let from = parse_time("2025-01-31T00:00:00Z").unwrap().0;
    let mut next = from;
    let mut seen: Vec<Vec<Value>> = Vec::new();
    loop {
        let path = format!("/fapi/v1/klines?symbol=ETHUSDT&interval=5m&limit=499&startTime={next}");
        let page = rows(&exchange, &path).await;
        let Some(last) = page.last() else { break };
        next = last[0].as_i64().unwrap() + 1;
        seen.extend(page.iter().map(|row| row.as_array().unwrap().clone()));
    }
    let open = parse_time("2025-02-03T10:00:00Z").unwrap().0;
    assert_eq!(seen.first().unwrap()[0], from);
    assert_eq!(seen.last().unwrap()[0], open);
    assert_eq!(seen.last().unwrap()[6], open + BAR_MS - 1);
    assert!(seen.windows(2).all(|w| w[1][0].as_i64().unwrap() - w[0][0].as_i64().unwrap() == BAR_MS));
    assert!(seen.iter().all(|row| row.len() == 12));
    assert_eq!(seen.len() as i64, (open - from) / BAR_MS + 1);
    // Without times the newest rows come, still ascending.
    let newest = rows(&exchange, "/fapi/v1/klines?symbol=ETHUSDT&interval=5m&limit=3").await;
    assert_eq!(newest[0][0], open - 2 * BAR_MS);
    // A finished bar is final; startTime and endTime are inclusive.
    let one = format!("/fapi/v1/klines?symbol=ETHUSDT&interval=5m&startTime={from}&endTime={from}");
    assert_eq!(rows(&exchange, &one).await, vec![Value::from(seen[0].clone())]);
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bars_of_other_intervals_are_made_of_the_same_trades() {
    let exchange = start(config(1.0)).await;
    let from = parse_time("2025-02-01T00:00:00Z").unwrap().0;
    let query = |interval: &str, limit: usize| {
        format!("/api/v3/klines?symbol=SOLUSDT&interval={interval}&limit={limit}&startTime={from}")
    };
    let number = |row: &Value, column: usize| row[column].as_str().unwrap().parse::<f64>().unwrap();
    let fine = rows(&exchange, &query("5m", 12)).await;
    let minutes = rows(&exchange, &query("1m", 60)).await;
    let hour = &rows(&exchange, &query("1h", 1)).await[0];
    for parts in [&fine, &minutes] {
        assert_eq!(parts[0][1], hour[1]);
        assert_eq!(parts.last().unwrap()[4], hour[4]);
        let volume: f64 = parts.iter().map(|row| number(row, 5)).sum();
        assert!((volume - number(hour, 5)).abs() < 1e-6, "{volume}");
        let high = parts.iter().map(|row| number(row, 2)).fold(0.0, f64::max);
        assert_eq!(high, number(hour, 2));
    }
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_carry_the_venues_codes() {
    let exchange = start(config(1.0)).await;
    let cases = [
        ("/fapi/v1/klines?symbol=NOPE&interval=5m", -1121),
        ("/fapi/v1/klines?symbol=btcusdt&interval=5m", -1121),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=1s", -1120),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=5m&limit=1501", -1130),
        ("/fapi/v1/klines?interval=5m", -1102),
        ("/fapi/v1/klines?symbol=BTCUSDT", -1102),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=5m&startTime=-1", -1100),
        ("/fapi/v1/indexPriceKlines?symbol=BTCUSDT&interval=5m", -1102),
        ("/fapi/v1/openInterest", -1102),
        ("/futures/data/openInterestHist?symbol=BTCUSDT&period=1m", -1130),
        ("/futures/data/openInterestHist?symbol=BTCUSDT&period=5m&limit=501", -1130),
        ("/api/v3/klines?symbol=DOGEUSDT&interval=5m", -1121),
    ];
    for (path, code) in cases {
        let response = get(&exchange, path).await;
        assert_eq!(response.status(), 400, "{path}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["code"], code, "{path}: {body}");
    }
    // Spot answers a limit that is too large with the maximum.
    assert_eq!(rows(&exchange, "/api/v3/klines?symbol=BTCUSDT&interval=5m&limit=5000").await.len(), 1000);
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weight_is_counted_then_refused_then_banned() {
    let limits = Limits { futures_weight_per_minute: 12, refusals_before_ban: 1, ..Limits::default() };
    let exchange = start(ExchangeConfig { limits, ..config(1.0) }).await;
    let used = |response: &reqwest::Response| {
        response.headers().get("X-MBX-USED-WEIGHT-1M").map(|v| v.to_str().unwrap().to_owned())
    };
    let first = get(&exchange, "/fapi/v1/klines?symbol=BTCUSDT&interval=5m&limit=1000").await;
    assert_eq!((first.status().as_u16(), used(&first).as_deref()), (200, Some("5")));
    let second = get(&exchange, "/fapi/v1/klines?symbol=BTCUSDT&interval=5m&limit=499").await;
    assert_eq!(used(&second).as_deref(), Some("7"));
    // The side pools charge elsewhere and send no header.
    let side = get(&exchange, "/fapi/v1/fundingRate?symbol=BTCUSDT").await;
    assert_eq!((side.status().as_u16(), used(&side)), (200, None));
    let refused = get(&exchange, "/fapi/v1/klines?symbol=BTCUSDT&interval=5m&limit=1500").await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], -1003);
    let banned = get(&exchange, "/fapi/v1/klines?symbol=BTCUSDT&interval=5m&limit=1500").await;
    assert_eq!(banned.status(), 418);
    assert_eq!(banned.headers()["retry-after"], "120");
    let body: Value = banned.json().await.unwrap();
    assert!(body["msg"].as_str().unwrap().contains("banned until"), "{body}");
    assert_eq!(get(&exchange, "/fapi/v1/time").await.status(), 418);
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_does_not_depend_on_when_the_exchange_was_started() {
    let path = format!(
        "/fapi/v1/klines?symbol=XRPUSDT&interval=5m&limit=1000&startTime={}",
        parse_time("2025-01-20T00:00:00Z").unwrap().0
    );
    let mut bodies = Vec::new();
    for (seed, start_at) in
        [(3, "2025-02-03T10:02:00Z"), (3, "2025-03-29T00:00:00Z"), (4, "2025-02-03T10:02:00Z")]
    {
        let start_at = parse_time(start_at).unwrap();
        let exchange = start(ExchangeConfig { seed, start: start_at, ..config(1.0) }).await;
        bodies.push(get(&exchange, &path).await.text().await.unwrap());
        exchange.shutdown().await;
    }
    assert_eq!(bodies[0], bodies[1]);
    assert_ne!(bodies[0], bodies[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn funding_and_open_interest_history_are_paged_and_bounded() {
    let exchange = start(config(1.0)).await;
    let from = parse_time("2025-01-10T00:00:00Z").unwrap().0;
    let path = |start: i64| format!("/fapi/v1/fundingRate?symbol=BTCUSDT&limit=10&startTime={start}");
    let first = rows(&exchange, &path(from)).await;
    assert_eq!(first.len(), 10);
    let times: Vec<i64> = first.iter().map(|row| row["fundingTime"].as_i64().unwrap()).collect();
    assert!(times.windows(2).all(|w| (w[1] - w[0] - 8 * 3_600_000).abs() < 60), "{times:?}");
    assert!(times.iter().all(|t| t.rem_euclid(8 * 3_600_000) < 60));
    assert_eq!(first[0]["rateType"], "Regular");
    let second = rows(&exchange, &path(times[9] + 1)).await;
    assert!(second[0]["fundingTime"].as_i64().unwrap() > times[9] + 7 * 3_600_000);

    let now = parse_time(START).unwrap().0;
    let oi = rows(&exchange, "/futures/data/openInterestHist?symbol=BTCUSDT&period=5m&limit=500").await;
    assert_eq!(oi.len(), 500);
    assert_eq!(oi[499]["timestamp"], now / BAR_MS * BAR_MS);
    let present: Value = get(&exchange, "/fapi/v1/openInterest?symbol=BTCUSDT").await.json().await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    assert_eq!(text(&oi[499]["sumOpenInterest"]), text(&present["openInterest"]));
    let oldest = format!(
        "/futures/data/openInterestHist?symbol=BTCUSDT&period=5m&limit=1&startTime={}",
        now - 30 * BARS_PER_DAY * BAR_MS - 3_600_000
    );
    assert!(rows(&exchange, &oldest).await[0]["timestamp"].as_i64().unwrap() > now - 30 * 86_400_000);
    exchange.shutdown().await;
}

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
        seconds: 0,
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
    assert!(marks.len() as i64 == 5 * BARS_PER_DAY && marks.iter().all(|m| m.premium.abs() < 0.01));
    let funding = rest.funding_rates(&sol, first, last).await.unwrap();
    assert_eq!(funding.len(), 15);
    let oi = rest.open_interest_hist(&sol, first, last).await.unwrap();
    assert_eq!(oi.len() as i64, 5 * BARS_PER_DAY);
    assert!(rest.funding_info().await.unwrap().is_empty());
    assert_eq!(rest.premium_index(None).await.unwrap().len(), 6);
    assert_eq!(rest.book_tickers(Market::Perp).await.unwrap().len(), 6);
    assert_eq!(rest.book_tickers(Market::Spot).await.unwrap().len(), 3);
    for market in [Market::Perp, Market::Spot] {
        let info = rest.exchange_info(market).await.unwrap();
        assert!(info.symbols.iter().all(|s| s.is_trading()), "{market}");
    }
    exchange.shutdown().await;
}

/// Forward return in bps over `bars` after the entry close, signed by `direction`.
fn forward(closes: &[f64], event: usize, direction: f64, bars: usize) -> Option<f64> {
    let (entry, exit) = (closes.get(event + 1)?, closes.get(event + 1 + bars)?);
    Some(direction * (exit / entry - 1.0) * 10_000.0)
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn the_planted_drift_follows_its_pattern_and_nothing_else_drifts() {
    let scenario = Scenario::default();
    let edge = |event: &str| scenario.edges.iter().find(|e| e.event_type == event).unwrap().clone();
    let (basis_edge, flush_edge) = (edge("SPOT_PERP_BASIS_SHOCK"), edge("OI_FLUSH"));
    let thin_edge = edge("VOL_SPIKE");
    let market = backtestd::sim::Market::new(11, std::sync::Arc::new(scenario));
    let bars = 300 * BARS_PER_DAY as usize;
    let (mut after_jump, mut after_flush, mut after_breakout) = (Vec::new(), Vec::new(), Vec::new());
    let (mut after_thin_spike, mut after_busy_spike) = (Vec::new(), Vec::new());
    for symbol in 0..3 {
        let data = market.bars(symbol, market.genesis(), bars);
        let closes: Vec<f64> = data.iter().map(|b| b.perp.close).collect();
        let basis: Vec<f64> =
            data.iter().map(|b| libm::log(b.perp.close / b.spot.unwrap().close) * 10_000.0).collect();
        let (mut last, mut last_flush, mut last_spike) = (0, 0, 0);
        for i in 400..closes.len() {
            // Six times the day's usual range, on the day's usual turnover or on far more than that.
            let day = &data[i - 288..i];
            let typical =
                |f: &dyn Fn(&SimBar) -> f64| day.iter().map(|b| libm::log(f(b))).sum::<f64>() / 288.0;
            let range = |b: &SimBar| libm::log(b.perp.high / b.perp.low).max(1e-5);
            let turnover = |b: &SimBar| b.perp.quote_volume.max(1.0);
            let spike = libm::log(range(&data[i])) - typical(&range) >= libm::log(6.0);
            if spike && i - last_spike > 40 {
                last_spike = i;
                let busy = libm::log(turnover(&data[i])) - typical(&turnover);
                let direction = (closes[i] - closes[i - 1]).signum();
                let after = if busy <= 0.4 { &mut after_thin_spike } else { &mut after_busy_spike };
                if busy <= 0.4 || busy >= 1.2 {
                    after.extend(forward(&closes, i, -direction, 12));
                }
            }
            let jump = basis[i] - basis[i - 3];
            if jump.abs() >= basis_edge.threshold && i - last > 40 {
                last = i;
                after_jump.extend(forward(&closes, i, -jump.signum(), 12));
            }
            // Known one bar later, as the snapshot is published after the close.
            let fall = libm::log(data[i].open_interest / data[i - 12].open_interest);
            if fall <= -flush_edge.threshold && i - last_flush > 40 && i + 1 < closes.len() {
                last_flush = i;
                let direction = (closes[i + 1] - closes[i - 11]).signum();
                after_flush.extend(forward(&closes, i + 1, -direction, 12));
            }
            // A pattern that no edge mentions: a new extreme of the close over eight hours.
            let window = &closes[i - 96..i];
            let (high, low) =
                window.iter().fold((0.0, f64::MAX), |(h, l): (f64, f64), c| (h.max(*c), l.min(*c)));
            if i % 12 == 0 && (closes[i] > high || closes[i] < low) {
                let direction = if closes[i] > high { 1.0 } else { -1.0 };
                after_breakout.extend(forward(&closes, i, direction, 12));
            }
        }
    }
    let (thin, thin_error) = mean_and_error(&after_thin_spike);
    let (busy, busy_error) = mean_and_error(&after_busy_spike);
    assert!(after_thin_spike.len() > 150 && after_busy_spike.len() > 50);
    assert!(
        thin > 50.0 && (thin - thin_edge.drift_bps).abs() < 4.0 * thin_error + 20.0,
        "{thin} ± {thin_error}"
    );
    assert!(busy.abs() < 4.0 * busy_error, "{busy} ± {busy_error}");
    let (jump, jump_error) = mean_and_error(&after_jump);
    let (flush, flush_error) = mean_and_error(&after_flush);
    assert!((flush - flush_edge.drift_bps).abs() < 4.0 * flush_error, "{flush} ± {flush_error}");
    assert!(after_flush.len() > 120 && flush > 25.0, "{flush} ± {flush_error}, {}", after_flush.len());
    let (breakout, breakout_error) = mean_and_error(&after_breakout);
    assert!(after_jump.len() > 150, "{}", after_jump.len());
    assert!((jump - basis_edge.drift_bps).abs() < 4.0 * jump_error, "{jump} ± {jump_error}");
    assert!(jump_error < 8.0 && jump > 15.0, "{jump} ± {jump_error}");
    assert!(breakout.abs() < 4.0 * breakout_error + 2.5, "{breakout} ± {breakout_error}");
}

#[test]
fn without_edges_the_market_is_a_martingale_with_a_market_s_volatility() {
    let scenario = Scenario { edges: Vec::new(), ..Scenario::default() };
    let market = backtestd::sim::Market::new(5, std::sync::Arc::new(scenario));
    for symbol in 0..6 {
        let data = market.bars(symbol, market.genesis(), 200 * BARS_PER_DAY as usize);
        let returns: Vec<f64> = data.iter().map(|b| (b.perp.close / b.perp.open - 1.0) * 10_000.0).collect();
        let (mean, error) = mean_and_error(&returns);
        assert!(mean.abs() < 4.0 * error, "{mean} ± {error}");
        let sd = error * (returns.len() as f64).sqrt();
        assert!((9.0..40.0).contains(&sd), "sd of a bar: {sd} bps");
        let products: Vec<f64> = returns.windows(2).map(|w| w[0] * w[1]).collect();
        let (covariance, error) = mean_and_error(&products);
        assert!(covariance.abs() < 4.0 * error, "{covariance} ± {error}");
        let fourth = returns.iter().map(|r| (r / sd).powi(4)).sum::<f64>() / returns.len() as f64;
        assert!(fourth > 4.5, "tails are fat: {fourth}");
    }
    let btc = market.bars(0, BarIndex(market.genesis().0), 60_000);
    let eth = market.bars(1, BarIndex(market.genesis().0), 60_000);
    let ret = |b: &SimBar| b.perp.close / b.perp.open - 1.0;
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in btc.iter().map(ret).zip(eth.iter().map(ret)) {
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    let correlation = ab / (aa * bb).sqrt();
    assert!((0.4..0.95).contains(&correlation), "{correlation}");
}
