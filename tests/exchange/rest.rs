//! What it answers over REST: pages, refusals, limits.

use backtestd_binance::venue::{ExchangeConfig, Limits};
use backtestd_core::market::{BAR_MS, BARS_PER_DAY, parse_time};
use serde_json::Value;

use crate::support::{START, config, get, rows, start};

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
