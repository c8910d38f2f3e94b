//! The troubles of a scenario, each seen by a stranger's client: what breaks, and what stays true.

use std::collections::BTreeMap;
use std::time::Duration;

use backtestd_binance::venue::{ExchangeConfig, RunningExchange};
use backtestd_core::market::{BAR_MS, BarIndex, Symbol, Ts, parse_time};
use backtestd_lab::sim::{Fault, FaultKind as K};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{START, config, connect, get, hear_until, rows, say, start};

fn start_bar() -> BarIndex {
    parse_time(START).unwrap().bar()
}

async fn troubled(speed: f64, faults: Vec<Fault>) -> RunningExchange {
    let mut config = config(speed);
    config.scenario.faults = faults;
    start(ExchangeConfig { frame_gap: Duration::from_millis(50), ..config }).await
}

/// A rule that holds from before the start for a day.
fn rule(kind: K, path: &str) -> Fault {
    Fault { paths: vec![path.to_owned()], ..Fault::once(kind, start_bar() + -1, 288) }
}

fn of(symbol: &str, fault: Fault) -> Fault {
    Fault { symbols: vec![Symbol::new(symbol).unwrap()], ..fault }
}

async fn tally(exchange: &RunningExchange) -> BTreeMap<String, u64> {
    get(exchange, "/_exchange/tally").await.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_refused_broken_empty_or_late_as_the_rules_say() {
    let klines = |kind| rule(kind, "/fapi/v1/klines");
    let exchange = troubled(
        1.0,
        vec![
            Fault { seconds: 7, ..rule(K::TooManyRequests, "/fapi/v1/premiumIndex") },
            rule(K::Banned, "/fapi/v1/openInterest"),
            Fault { seconds: -1, ..rule(K::Banned, "/fapi/v1/depth") },
            rule(K::ServerError, "/fapi/v1/ticker/price"),
            rule(K::Unavailable, "/fapi/v1/ticker/24hr"),
            rule(K::HtmlAnswer, "/fapi/v1/ticker/bookTicker"),
            rule(K::EmptyAnswer, "/fapi/v1/fundingRate"),
            Fault { share: 0.2, ..klines(K::MissingRows) },
            klines(K::ExtraColumn),
            Fault { seconds: 1, ..rule(K::SlowAnswer, "/api/v3/ping") },
            Fault { seconds: 86_400, ..rule(K::WrongClock, "/fapi/v1/time") },
            rule(K::TruncatedAnswer, "/fapi/v1/exchangeInfo"),
        ],
    )
    .await;
    let refused = get(&exchange, "/fapi/v1/premiumIndex").await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    let banned = get(&exchange, "/fapi/v1/openInterest?symbol=BTCUSDT").await;
    assert_eq!(banned.status(), 418);
    assert!(banned.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 80_000);
    let told = get(&exchange, "/fapi/v1/depth?symbol=BTCUSDT").await;
    assert!(told.headers().get("retry-after").is_none());
    assert!(told.text().await.unwrap().contains("banned until"));
    assert_eq!(get(&exchange, "/fapi/v1/ticker/price").await.status(), 500);
    let overloaded = get(&exchange, "/fapi/v1/ticker/24hr").await;
    assert_eq!(overloaded.status(), 503);
    assert_eq!(overloaded.json::<Value>().await.unwrap()["code"], -1008);
    let page = get(&exchange, "/fapi/v1/ticker/bookTicker").await;
    assert_eq!(
        (page.status().as_u16(), &page.headers()["content-type"]),
        (200, &"text/html".parse().unwrap())
    );
    assert_eq!(rows(&exchange, "/fapi/v1/fundingRate?symbol=BTCUSDT").await.len(), 0);
    let some = rows(&exchange, "/fapi/v1/klines?symbol=BTCUSDT&interval=5m&limit=400").await;
    assert!((270..370).contains(&some.len()), "{}", some.len());
    assert!(some.iter().all(|row| row.as_array().unwrap().len() == 13));
    let began = Instant::now();
    assert_eq!(get(&exchange, "/api/v3/ping").await.status(), 200);
    assert!(began.elapsed() >= Duration::from_secs(1));
    let time: Value = get(&exchange, "/fapi/v1/time").await.json().await.unwrap();
    let spot: Value = get(&exchange, "/api/v3/time").await.json().await.unwrap();
    let ahead = time["serverTime"].as_i64().unwrap() - spot["serverTime"].as_i64().unwrap();
    assert!((ahead - 86_400_000).abs() < 5_000, "{ahead}");
    let broken = get(&exchange, "/fapi/v1/exchangeInfo").await.text().await;
    assert!(broken.is_err() || serde_json::from_str::<Value>(&broken.unwrap()).is_err());
    let counts = tally(&exchange).await;
    for word in
        ["too_many_requests", "banned", "missing_rows", "wrong_clock", "truncated_answer", "slow_answer"]
    {
        assert!(counts.contains_key(&format!("fault {word}")), "{word} in {counts:?}");
    }
    assert_eq!(counts["request /fapi/v1/klines"], 1);
    exchange.shutdown().await;
}

/// Everything that a socket says until `until`, or until it ends.
async fn listen(exchange: &RunningExchange, path: &str, until: Ts) -> Vec<String> {
    let mut socket = connect(format!("{}{path}", exchange.futures_ws_url())).await;
    let mut texts = Vec::new();
    while exchange.clock().now() < until {
        match timeout(Duration::from_millis(100), socket.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => texts.push(text.as_str().to_owned()),
            Ok(Some(Ok(_))) | Err(_) => {}
            Ok(None | Some(Err(_))) => break,
        }
    }
    texts
}

fn closes(texts: &[String], symbol: &str) -> Vec<Value> {
    let frames = texts.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let klines = frames.map(|frame| frame["data"].clone()).filter(|data| data["k"]["x"] == true);
    klines.filter(|data| data["s"] == symbol).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_lost_doubled_late_broken_and_strange_as_the_rules_say() {
    let first = start_bar() + 2;
    let frames =
        |kind, symbol| of(symbol, Fault { streams: vec!["kline".into()], ..Fault::once(kind, first, 200) });
    let exchange = troubled(
        1500.0,
        vec![
            frames(K::DropFrames, "BTCUSDT"),
            frames(K::DuplicateFrames, "ETHUSDT"),
            Fault { seconds: 900, ..frames(K::DelayFrames, "SOLUSDT") },
            frames(K::CorruptFrames, "BNBUSDT"),
            frames(K::StrangeFrames, "XRPUSDT"),
            of(
                "DOGEUSDT",
                Fault { streams: vec!["markPrice".into()], ..Fault::once(K::SilentStreams, first, 200) },
            ),
        ],
    )
    .await;
    let names = ["btc", "eth", "sol", "bnb", "xrp", "doge"];
    let klines: Vec<String> = names.iter().map(|name| format!("{name}usdt@kline_5m")).collect();
    let path = format!("/market/stream?streams={}/!markPrice@arr@1s", klines.join("/"));
    let texts = listen(&exchange, &path, (first + 9).open()).await;
    let after = |data: &Value| data["k"]["t"].as_i64().unwrap() >= first.open().0;
    assert_eq!(closes(&texts, "BTCUSDT").iter().filter(|d| after(d)).count(), 0, "lost");
    let doubled: Vec<Value> = closes(&texts, "ETHUSDT").into_iter().filter(after).collect();
    assert!(doubled.len() >= 8 && doubled.chunks_exact(2).all(|pair| pair[0] == pair[1]), "{doubled:?}");
    let seen = |symbol| closes(&texts, symbol).into_iter().filter(after).count();
    assert!(seen("SOLUSDT") < seen("DOGEUSDT"), "{} {}", seen("SOLUSDT"), seen("DOGEUSDT"));
    assert!(seen("DOGEUSDT") >= 6, "the others are as ever");
    let broken = texts.iter().filter(|text| serde_json::from_str::<Value>(text).is_err()).count();
    let spoilt = texts.iter().filter(|text| text.contains("\":\"x")).count();
    assert!(broken > 0 && spoilt > 0, "{broken} {spoilt}");
    assert!(texts.iter().any(|text| text.contains("surpriseUpdate")));
    let strange = closes(&texts, "XRPUSDT");
    assert!(strange.iter().filter(|d| after(d)).all(|d| d["k"]["zz"] == "new"), "{strange:?}");
    let arrays = texts.iter().filter(|text| text.contains("\"data\":[") && text.contains("BTCUSDT"));
    let (with, without): (Vec<_>, Vec<_>) = arrays.partition(|text| text.contains("DOGEUSDT"));
    assert!(!with.is_empty() && !without.is_empty(), "one symbol falls out of the array");
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_frames_lie_and_history_tells_the_truth_at_once_or_later() {
    let first = start_bar() + 2;
    let at = |kind, symbol| of(symbol, Fault::once(kind, first, 2));
    let exchange = troubled(
        600.0,
        vec![
            at(K::WrongClose, "BTCUSDT"),
            at(K::StaleClose, "ETHUSDT"),
            at(K::FutureClose, "SOLUSDT"),
            at(K::AbsurdClose, "BNBUSDT"),
            Fault { seconds: 900, ..at(K::CorrectedKline, "XRPUSDT") },
        ],
    )
    .await;
    let names = ["btc", "eth", "sol", "bnb", "xrp"].map(|name| format!("{name}usdt@kline_5m"));
    let path = format!("/market/stream?streams={}", names.join("/"));
    let row = |symbol: &str| {
        format!("/fapi/v1/klines?symbol={symbol}&interval=5m&limit=1&startTime={}", first.open().0)
    };
    let texts = listen(&exchange, &path, Ts(first.close().0 + BAR_MS)).await;
    let false_row = rows(&exchange, &row("XRPUSDT")).await;
    let told = |symbol, open: Ts| {
        closes(&texts, symbol)
            .into_iter()
            .find(|d| d["k"]["t"] == open.0)
            .unwrap_or_else(|| panic!("{symbol}"))
    };
    let truth = rows(&exchange, &row("BTCUSDT")).await;
    let wrong = told("BTCUSDT", first.open());
    assert_ne!(wrong["k"]["c"], truth[0][4]);
    assert_ne!(wrong["k"]["v"], truth[0][5]);
    assert!(
        closes(&texts, "ETHUSDT")
            .iter()
            .any(|d| d["k"]["t"].as_i64().unwrap() < start_bar().open().0 - 30 * BAR_MS)
    );
    assert!(
        closes(&texts, "SOLUSDT")
            .iter()
            .any(|d| d["k"]["t"].as_i64().unwrap() > first.open().0 + 30 * BAR_MS)
    );
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let absurd = closes(&texts, "BNBUSDT");
    assert!(absurd.iter().any(|d| number(&d["k"]["V"]) > number(&d["k"]["v"]) && number(&d["k"]["c"]) < 1.0));
    assert_eq!(told("XRPUSDT", first.open())["k"]["c"], false_row[0][4], "both tell the first version");
    let corrected = timeout(Duration::from_secs(10), async {
        loop {
            let row = rows(&exchange, &row("XRPUSDT")).await;
            if row[0][4] != false_row[0][4] {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let corrected = corrected.await.expect("the venue corrects the bar");
    assert!((number(&corrected[0][5]) / number(&false_row[0][5]) - 2.0).abs() < 0.01);
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_socket_says_nothing_and_lives_on() {
    let first = start_bar() + 1;
    let rule = Fault { paths: vec!["/market".into()], ..Fault::once(K::HalfOpen, first, 2) };
    let exchange = troubled(300.0, vec![rule]).await;
    let mut socket =
        connect(format!("{}/market/stream?streams=btcusdt@kline_5m", exchange.futures_ws_url())).await;
    let _ = hear_until(&mut socket, |f| f["stream"] == "btcusdt@kline_5m").await;
    tokio::time::sleep(exchange.clock().wall_until(Ts(first.open().0 + 20_000))).await;
    while timeout(Duration::from_millis(1), socket.next()).await.is_ok() {}
    say(&mut socket, json!({"method": "LIST_SUBSCRIPTIONS", "id": 1})).await;
    let silence = timeout(exchange.clock().wall_until(Ts(first.close().0)), socket.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    let back = hear_until(&mut socket, |f| f["data"]["e"] == "kline").await;
    assert!(back["data"]["E"].as_i64().unwrap() >= (first + 2).open().0);
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contracts_come_go_come_back_and_change_their_funding() {
    let now = start_bar();
    let when = |bars: i64| now + bars;
    let exchange = troubled(
        600.0,
        vec![
            of("DOGEUSDT", Fault { bars: 0, ..Fault::once(K::Listing, when(4), 0) }),
            of("XRPUSDT", Fault::once(K::Delisting, when(4), 6)),
            of("ETHUSDT", Fault { hours: 4, ..Fault::once(K::FundingInterval, when(-2000), 0) }),
            of(
                "SOLUSDT",
                Fault::once(
                    K::SpecialSettlement,
                    BarIndex(parse_time("2025-02-03T08:55:00Z").unwrap().bar().0),
                    1,
                ),
            ),
        ],
    )
    .await;
    assert_eq!(
        get(&exchange, "/fapi/v1/klines?symbol=DOGEUSDT&interval=5m").await.status(),
        200,
        "announced"
    );
    let status = |info: &Value, symbol: &str| {
        let list = info["symbols"].as_array().unwrap();
        list.iter().find(|s| s["symbol"] == symbol).map(|s| s["status"].as_str().unwrap().to_owned())
    };
    let info: Value = get(&exchange, "/fapi/v1/exchangeInfo").await.json().await.unwrap();
    assert_eq!(status(&info, "DOGEUSDT").as_deref(), Some("PENDING_TRADING"));
    assert_eq!(status(&info, "XRPUSDT").as_deref(), Some("TRADING"));
    let mut news = connect(format!("{}/market/ws/!contractInfo", exchange.futures_ws_url())).await;
    let gone = hear_until(&mut news, |f| f["s"] == "XRPUSDT").await;
    assert_eq!((&gone["cs"], &gone["dt"]), (&json!("SETTLING"), &json!(when(4).open().0)));
    let info: Value = get(&exchange, "/fapi/v1/exchangeInfo").await.json().await.unwrap();
    assert_eq!(status(&info, "XRPUSDT").as_deref(), Some("SETTLING"));
    assert_eq!(status(&info, "DOGEUSDT").as_deref(), Some("TRADING"));
    let back = hear_until(&mut news, |f| f["s"] == "XRPUSDT").await;
    assert_eq!(back["cs"], "TRADING");
    tokio::time::sleep(exchange.clock().wall_until(when(12).open())).await;
    let path = format!("/fapi/v1/klines?symbol=XRPUSDT&interval=5m&limit=4&startTime={}", when(2).open().0);
    let opens =
        |rows: &[Value]| rows.iter().map(|row| Ts(row[0].as_i64().unwrap()).bar() - now).collect::<Vec<_>>();
    assert_eq!(opens(&rows(&exchange, &path).await), [2, 3, 10, 11], "rows after the gap fill the page");
    let newest = rows(&exchange, "/fapi/v1/klines?symbol=DOGEUSDT&interval=5m&limit=500").await;
    assert_eq!(opens(&newest)[0], 4, "nothing before the listing");

    let settled = |symbol: &str| format!("/fapi/v1/fundingRate?symbol={symbol}&limit=1000");
    let times = |rows: &[Value]| {
        rows.iter().map(|row| row["fundingTime"].as_i64().unwrap() / 3_600_000).collect::<Vec<_>>()
    };
    let eth = times(&rows(&exchange, &settled("ETHUSDT")).await);
    assert_eq!((eth[1] - eth[0], eth[eth.len() - 1] - eth[eth.len() - 2]), (8, 4));
    let special = rows(&exchange, &settled("SOLUSDT")).await;
    let special: Vec<&Value> = special.iter().filter(|row| row["rateType"] == "Special").collect();
    assert_eq!(special.len(), 1);
    assert_eq!(
        special[0]["fundingTime"].as_i64().unwrap() / 60_000,
        parse_time("2025-02-03T09:00:00Z").unwrap().0 / 60_000
    );
    let adjusted = rows(&exchange, "/fapi/v1/fundingInfo").await;
    assert_eq!((adjusted.len(), &adjusted[0]["fundingIntervalHours"]), (1, &json!(4)));
    let all = rows(&exchange, "/fapi/v1/fundingRate?limit=12").await;
    assert!(all.len() == 12 && all.iter().any(|row| row["symbol"] == "BTCUSDT"), "all symbols in one answer");
    exchange.shutdown().await;
}
