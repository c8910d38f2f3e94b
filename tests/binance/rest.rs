//! The REST client against a server that misbehaves as the real one does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use backtestd_binance::clock::ScaledClock;
use backtestd_binance::{Hole, Limits, Pauses, Rest, RestConfig, RestError};
use backtestd_core::market::{BarIndex, Kind, Market, Records, SeriesKey, Symbol, Ts};
use futures_util::{StreamExt, stream};

use crate::server::{self, ok, parameter, response};

const TIME: &str = r#"{"serverTime":1790000000000}"#;

fn config(url: &str) -> RestConfig {
    RestConfig {
        futures_url: url.to_owned(),
        spot_url: url.to_owned(),
        request_timeout: Duration::from_secs(5),
        max_attempts: 3,
        pauses: Pauses {
            backoff_base: Duration::from_millis(10),
            backoff_cap: Duration::from_millis(50),
            patience: Duration::from_secs(5),
            ..Pauses::default()
        },
        ..RestConfig::default()
    }
}

fn client(config: RestConfig) -> Rest {
    Rest::new(config, Arc::new(ScaledClock::new(Ts(1_790_000_000_000), 1.0))).unwrap()
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

#[tokio::test]
async fn after_429_the_client_waits_as_long_as_it_was_told() {
    let too_many = r#"{"code":-1003,"msg":"Too many requests; current limit is 2400 requests per minute."}"#;
    let http = server::http(move |n, _| match n {
        0 => response(429, &[("retry-after", "1")], too_many),
        _ => ok(TIME),
    })
    .await;
    let rest = client(config(&http.url));
    let started = Instant::now();
    assert_eq!(rest.server_time(Market::Perp).await.unwrap(), Ts(1_790_000_000_000));
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(http.requests().len(), 2);
}

#[tokio::test]
async fn a_stop_shuts_the_host_for_every_request() {
    let http = server::http(|_, _| response(429, &[("Retry-After", "100")], "{}")).await;
    let rest = client(config(&http.url));
    let first = rest.server_time(Market::Perp).await.unwrap_err();
    assert!(first.is_retryable());
    assert_eq!(first.retry_after(), Some(Duration::from_secs(100)));
    let second = rest.exchange_info(Market::Perp, &[]).await.unwrap_err();
    assert!(matches!(second, RestError::Stopped { .. }), "{second}");
    assert_eq!(http.requests().len(), 1, "the second request was not sent");
    // The other host has its own counter.
    assert!(rest.server_time(Market::Spot).await.is_err());
    assert_eq!(http.requests().len(), 2);
}

#[tokio::test]
async fn a_ban_lasts_until_the_instant_in_its_text() {
    // The client's clock stands at 1790000000000.
    let banned = r#"{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 1790000600000. Please use the websocket for live updates to avoid bans."}"#;
    let http = server::http(move |_, _| response(418, &[], banned)).await;
    let error = client(config(&http.url)).server_time(Market::Perp).await.unwrap_err();
    let wait = error.retry_after().unwrap();
    assert!(wait > Duration::from_secs(595) && wait <= Duration::from_secs(600), "{wait:?}");
}

#[tokio::test]
async fn bans_without_a_time_wait_twice_as_long_each_time() {
    let http = server::http(|_, _| response(418, &[], "")).await;
    let mut settings = config(&http.url);
    settings.max_attempts = 1;
    settings.pauses.banned = Duration::from_millis(100);
    let rest = client(settings);
    for expected in [100, 200, 400] {
        let error = rest.server_time(Market::Perp).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_millis(expected)));
    }
}

#[tokio::test]
async fn a_firewall_page_stops_the_host_for_minutes() {
    let page = "<html><head><title>ERROR: The request could not be satisfied</title></head></html>";
    let http = server::http(move |_, _| response(403, &[("content-type", "text/html")], page)).await;
    let error = client(config(&http.url)).server_time(Market::Perp).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(300)));
    assert!(error.to_string().contains("could not be satisfied"), "{error}");
}

#[tokio::test]
async fn what_cannot_succeed_is_asked_once() {
    for (status, body) in [(451, "{}"), (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#), (404, "")] {
        let http = server::http(move |_, _| response(status, &[], body)).await;
        let error = client(config(&http.url)).exchange_info(Market::Perp, &[]).await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        assert_eq!(error.is_unknown_symbol(), status == 400);
        assert_eq!(http.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_failing_backend_is_asked_again_with_growing_waits() {
    for status in [500, 502, 503, 408] {
        let http = server::http(move |n, _| if n < 2 { response(status, &[], "") } else { ok(TIME) }).await;
        client(config(&http.url)).server_time(Market::Perp).await.unwrap();
        assert_eq!(http.requests().len(), 3);
    }
    let http = server::http(|_, _| response(503, &[], "Service Unavailable.")).await;
    let error = client(config(&http.url)).server_time(Market::Perp).await.unwrap_err();
    assert!(matches!(error, RestError::Server { status: 503, .. }), "{error}");
    assert_eq!(http.requests().len(), 3);
}

#[tokio::test]
async fn a_body_cut_in_the_middle_is_asked_again() {
    let http = server::http(|n, _| match n {
        // The connection breaks after half of the body.
        0 => {
            let half = Ok::<_, std::io::Error>(TIME[..10].to_owned());
            ok(Body::from_stream(stream::iter([half, Err(std::io::Error::other("cut"))])))
        }
        // A proxy ends the body early and politely.
        1 => ok(&TIME[..10]),
        _ => ok(TIME),
    })
    .await;
    client(config(&http.url)).server_time(Market::Perp).await.unwrap();
    assert_eq!(http.requests().len(), 3);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let endless = || stream::iter([Ok::<_, std::io::Error>("{".to_owned())]).chain(stream::pending());
    let http = server::http(move |_, _| ok(Body::from_stream(endless()))).await;
    let mut settings = config(&http.url);
    settings.max_attempts = 1;
    settings.request_timeout = Duration::from_millis(400);
    let started = Instant::now();
    let error = client(settings).server_time(Market::Perp).await.unwrap_err();
    assert!(matches!(error, RestError::Transport { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_body_beyond_the_cap_is_refused_announced_or_not() {
    let http = server::http(|n, _| {
        let big = "x".repeat(5000);
        if n == 0 { ok(big) } else { ok(Body::from_stream(stream::iter([Ok::<_, std::io::Error>(big)]))) }
    })
    .await;
    let mut settings = config(&http.url);
    settings.response_cap_bytes = 4096;
    let rest = client(settings);
    for _ in 0..2 {
        let error = rest.server_time(Market::Perp).await.unwrap_err();
        assert!(matches!(error, RestError::TooLarge { cap_bytes: 4096, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_nearly_spent_weight_pauses_until_the_next_minute() {
    let headers = [("X-MBX-USED-WEIGHT-1M", "2300"), ("date", "Wed, 15 Jul 2026 06:51:59 GMT")];
    let http = server::http(move |_, _| response(200, &headers, TIME)).await;
    let rest = client(config(&http.url));
    rest.server_time(Market::Perp).await.unwrap();
    let started = Instant::now();
    rest.server_time(Market::Perp).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(1900), "{:?}", started.elapsed());
}

/// A kline endpoint over slots `[10_000, 20_000)` without those in `missing`; it honours its parameters as
/// the real one does and appends the open bar.
fn klines(target: &str, missing: &[(i64, i64)]) -> axum::http::Response<Body> {
    let number = |name| parameter(target, name).unwrap().parse::<i64>().unwrap();
    assert_eq!(parameter(target, "interval").as_deref(), Some("5m"));
    let (start, end, limit) = (number("startTime"), number("endTime"), number("limit"));
    let slots = (10_000..20_000).filter(|slot| !missing.iter().any(|hole| (hole.0..hole.1).contains(slot)));
    let rows: Vec<String> = slots
        .map(|slot| (slot, slot * 300_000))
        .filter(|(_, open)| (start..=end).contains(open))
        .take(limit as usize)
        .map(|(slot, open)| {
            format!(
                r#"[{open},"{slot}.5","{slot}.5","{slot}.5","{slot}.5","1",{},"2",3,"0.5","1","0"]"#,
                open + 299_999
            )
        })
        .collect();
    ok(format!("[{}]", rows.join(",")))
}

fn time_of_slot(slot: i64, into_ms: i64) -> String {
    format!(r#"{{"serverTime":{}}}"#, slot * 300_000 + into_ms)
}

#[tokio::test]
async fn history_is_paged_at_the_cheapest_size_and_its_holes_are_named() {
    let http = server::http(|_, target| {
        if target.contains("/time") {
            ok(time_of_slot(20_000, 5))
        } else {
            klines(target, &[(10_499, 10_502), (11_000, 11_001)])
        }
    })
    .await;
    let rest = client(config(&http.url));
    let range = rest.klines(Market::Perp, &btc(), BarIndex(9_990), BarIndex(11_200)).await.unwrap();
    let hole = |a, b| Hole { first: BarIndex(a), end: BarIndex(b) };
    assert_eq!(range.holes, [hole(9_990, 10_000), hole(10_499, 10_502), hole(11_000, 11_001)]);
    assert_eq!(range.bars.len(), 1200 - 4);
    assert_eq!(range.through, BarIndex(11_200));
    assert!(range.bars.iter().all(|b| b.close == b.bar.0 as f64 + 0.5));
    let limits: Vec<_> = http.requests().iter().filter_map(|r| parameter(r, "limit")).collect();
    assert_eq!(limits, ["499", "499", "198", "10", "3", "1"], "each hole is asked about a second time");
    assert_eq!(range.answers, 2);
    let again = rest.klines(Market::Perp, &btc(), BarIndex(19_000), BarIndex(19_050)).await.unwrap();
    assert_eq!(again.bars.len(), 50);
    let times = http.requests().iter().filter(|r| r.contains("/time")).count();
    assert_eq!(times, 1, "a known server time proves that older bars are closed");
}

#[tokio::test]
async fn pages_that_lack_rows_are_not_believed_at_once() {
    // Every first answer about a stretch lacks something: the whole page, its end, a row in the middle.
    let http = server::http(|n, target| {
        if target.contains("/time") {
            return ok(time_of_slot(20_000, 5));
        }
        match n {
            1 => ok("[]"),
            3 => klines(target, &[(10_300, 20_000)]),
            5 => klines(target, &[(10_400, 10_402)]),
            _ => klines(target, &[]),
        }
    })
    .await;
    let rest = client(config(&http.url));
    let range = rest.klines(Market::Perp, &btc(), BarIndex(10_000), BarIndex(10_480)).await.unwrap();
    assert_eq!((range.bars.len(), range.holes.len()), (480, 0), "{:?}", http.requests());
    assert!(range.bars.is_sorted_by(|a, b| a.bar < b.bar));
}

#[tokio::test]
async fn a_column_that_the_exchange_appends_one_day_is_skipped() {
    let http = server::http(|_, target| {
        if target.contains("/time") {
            return ok(time_of_slot(20_000, 5));
        }
        let open = parameter(target, "startTime").unwrap().parse::<i64>().unwrap();
        ok(format!(
            r#"[[{open},"1","1","1","1","1",{},"1",3,"0.5","1","0","new",{{"x":1}}]]"#,
            open + 299_999
        ))
    })
    .await;
    let rest = client(config(&http.url));
    let range = rest.klines(Market::Perp, &btc(), BarIndex(10_000), BarIndex(10_001)).await.unwrap();
    assert_eq!((range.bars.len(), range.bars[0].trades), (1, 3.0));
}

#[tokio::test]
async fn settlements_of_all_contracts_come_in_one_request() {
    let hour = 3_600_000_i64;
    let http = server::http(move |_, target| {
        assert!(parameter(target, "symbol").is_none());
        let row = |name: &str, at: i64| {
            format!(r#"{{"symbol":"{name}","fundingTime":{at},"fundingRate":"0.0001","markPrice":"1"}}"#)
        };
        ok(format!("[{},{}]", row("BTCUSDT", 8 * hour + 5), row("ETHUSDT", 8 * hour)))
    })
    .await;
    let all = client(config(&http.url)).funding_of_all(Ts(7 * hour), Ts(9 * hour)).await.unwrap();
    let [print] = all[&btc()][..] else { panic!("{all:?}") };
    assert_eq!((all.len(), print.ts, print.rate), (2, Ts(8 * hour), 0.0001));
    assert!(print.interval_hours.is_nan(), "who knows the settlement before tells it");
    assert_eq!(http.requests().len(), 1);
}

#[tokio::test]
async fn a_ban_of_the_address_holds_for_both_hosts() {
    let http = server::http(|n, _| match n {
        0 => response(418, &[("retry-after", "1")], r#"{"code":-1003,"msg":"banned"}"#),
        _ => ok(TIME),
    })
    .await;
    let mut settings = config(&http.url);
    settings.pauses.patience = Duration::from_millis(100);
    let rest = client(settings);
    assert!(rest.server_time(Market::Perp).await.is_err());
    assert_eq!(rest.health().state(), "banned");
    assert!(rest.server_time(Market::Spot).await.is_err());
    assert_eq!(http.requests().len(), 1, "spot was not asked");
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert!(rest.server_time(Market::Spot).await.is_ok());
    assert_eq!((rest.health().state(), rest.health().requests), ("ok", 2));
}

#[tokio::test]
async fn the_open_bar_is_neither_returned_nor_a_hole() {
    // Slot 15_000 is open: one millisecond before its end.
    let http = server::http(|_, target| {
        if target.contains("/time") { ok(time_of_slot(15_000, 299_999)) } else { klines(target, &[]) }
    })
    .await;
    let range = client(config(&http.url))
        .klines(Market::Spot, &btc(), BarIndex(14_990), BarIndex(15_010))
        .await
        .unwrap();
    assert_eq!(range.through, BarIndex(15_000));
    assert_eq!(range.bars.last().unwrap().bar, BarIndex(14_999));
    assert_eq!(range.holes, []);
    assert!(http.requests().iter().all(|r| r.starts_with("/api/v3/")));
    let nothing = client(config(&http.url))
        .klines(Market::Spot, &btc(), BarIndex(15_000), BarIndex(15_010))
        .await
        .unwrap();
    assert_eq!((nothing.bars.len(), nothing.holes.len(), nothing.through), (0, 0, BarIndex(15_000)));
}

#[tokio::test]
async fn rows_that_contradict_the_request_are_an_error() {
    let http = server::http(|_, target| {
        let row =
            |open: i64| format!(r#"[{open},"1","1","1","1","1",{},"2",3,"0.5","1","0"]"#, open + 299_999);
        if target.contains("/time") {
            ok(time_of_slot(20_000, 0))
        } else {
            ok(format!("[{},{}]", row(10_001 * 300_000), row(10_000 * 300_000)))
        }
    })
    .await;
    let error = client(config(&http.url))
        .klines(Market::Perp, &btc(), BarIndex(10_000), BarIndex(10_010))
        .await
        .unwrap_err();
    assert!(matches!(error, RestError::Answer { .. }) && !error.is_retryable(), "{error}");
}

#[tokio::test]
async fn mark_index_and_premium_are_joined_by_slot() {
    let http = server::http(|_, target| {
        if target.contains("/time") {
            return ok(time_of_slot(20_000, 5));
        }
        if target.contains("indexPriceKlines") {
            assert!(parameter(target, "pair").is_some(), "the index belongs to the pair");
            return klines(target, &[(10_002, 10_003)]);
        }
        assert!(parameter(target, "symbol").is_some());
        if target.contains("premiumIndexKlines") {
            if parameter(target, "startTime").unwrap() != (10_001_i64 * 300_000).to_string() {
                return ok("[]");
            }
            let row = format!(
                r#"[{},"-0.0001","0.0002","-0.0003","-0.0002","0 ",{},"0",12,"0","0","0"]"#,
                10_001_i64 * 300_000,
                10_002_i64 * 300_000 - 1
            );
            return ok(format!("[{row}]"));
        }
        klines(target, &[])
    })
    .await;
    let bars =
        client(config(&http.url)).mark_bars(&btc(), BarIndex(10_001), BarIndex(10_003)).await.unwrap().bars;
    assert_eq!((bars[0].mark, bars[0].index, bars[0].premium), (10_001.5, 10_001.5, -0.0002));
    assert_eq!(bars[1].mark, 10_002.5);
    assert!(bars[1].index.is_nan() && bars[1].premium.is_nan() && bars[1].predicted_rate.is_nan());
}

#[tokio::test]
async fn a_symbol_that_is_not_ascii_is_percent_encoded() {
    let http = server::http(|_, _| ok(r#"{"rateLimits":[],"symbols":[]}"#)).await;
    let symbol = Symbol::new("币安人生USDT").unwrap();
    let info = client(config(&http.url)).exchange_info(Market::Spot, &[symbol]).await.unwrap();
    assert_eq!(info.symbols, []);
    let name = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT";
    assert_eq!(http.requests(), [format!("/api/v3/exchangeInfo?symbols=%5B%22{name}%22%5D")]);
}

#[tokio::test]
async fn funding_is_paged_and_each_settlement_knows_its_interval() {
    // Settlements every 4 hours from hour 0, with jitter, none at hour 4 * 500.
    let http = server::http(|_, target| {
        let number = |name| parameter(target, name).unwrap().parse::<i64>().unwrap();
        let (start, end, limit) = (number("startTime"), number("endTime"), number("limit"));
        let rows: Vec<String> = (0..3000)
            .filter(|n| *n != 500)
            .map(|n| n * 4 * 3_600_000 + n % 7)
            .filter(|t| (start..=end).contains(t))
            .take(limit as usize)
            .map(|t| {
                format!(r#"{{"symbol":"BTCUSDT","fundingTime":{t},"fundingRate":"0.0001","markPrice":""}}"#)
            })
            .collect();
        ok(format!("[{}]", rows.join(",")))
    })
    .await;
    let hours = |n: i64| Ts(n * 3_600_000);
    let records = client(config(&http.url)).funding_rates(&btc(), hours(4), hours(4 * 2500)).await.unwrap();
    assert_eq!(records.len(), 2498);
    assert_eq!(records[0].print.ts, hours(4));
    assert_eq!(records[0].print.interval_hours, 4.0);
    assert!(records.iter().all(|r| r.print.ts.0 % 60_000 == 0 && r.mark_price.is_nan()));
    let after_the_missing = records.iter().find(|r| r.print.ts == hours(4 * 501)).unwrap();
    assert!(after_the_missing.print.interval_hours.is_nan(), "a settlement may be missing: not 8 hours");
    assert_eq!(http.requests().len(), 3);
}

#[tokio::test]
async fn open_interest_history_comes_in_windows_with_defects_as_unknown() {
    let http = server::http(|_, target| {
        let number = |name| parameter(target, name).unwrap().parse::<i64>().unwrap();
        let (start, end) = (number("startTime"), number("endTime"));
        assert!(end - start < 500 * 300_000);
        let rows: Vec<String> = (0..1000)
            .flat_map(|slot| {
                let t = slot * 300_000 + 1000;
                // A late repeat with zero, as recorded in 2025.
                let repeat = (slot == 7).then(|| (t + 20_000, 0.0));
                [Some((t, slot as f64 + 1.0)), repeat].into_iter().flatten()
            })
            .filter(|(t, _)| (start..=end).contains(t))
            .map(|(t, v)| {
                format!(r#"{{"symbol":"BTCUSDT","sumOpenInterest":"{v}","sumOpenInterestValue":"{v}","timestamp":"{t}"}}"#)
            })
            .collect();
        ok(format!("[{}]", rows.join(",")))
    })
    .await;
    let series = SeriesKey { kind: Kind::OpenInterest, market: Market::Perp, symbol: btc() };
    let end = 1000 * 300_000;
    let page = client(config(&http.url)).history(&series, 0, end, Ts(end)).await.unwrap();
    let Records::OpenInterest(values) = page.records else { panic!("{page:?}") };
    assert_eq!(values.len(), 1000);
    assert!(
        values.iter().enumerate().all(|(i, v)| v.ts.0 == i as i64 * 300_000 && v.contracts == i as f64 + 1.0)
    );
    assert_eq!(http.requests().len(), 2);
}

#[tokio::test]
async fn the_client_slows_itself_down_before_the_exchange_must() {
    let http = server::http(|_, _| ok(TIME)).await;
    let mut settings = config(&http.url);
    // 600 a minute: a burst of 72, then 7 a second.
    settings.limits = Limits { futures_weight_per_minute: 600, ..Limits::default() };
    let rest = client(settings);
    let started = Instant::now();
    for _ in 0..79 {
        rest.server_time(Market::Perp).await.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(850), "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_limit_that_the_exchange_states_is_the_one_that_counts() {
    // 600 a minute, as the exchange says; the client was told 60000.
    let limit = r#"{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":600}"#;
    let http = server::http(move |_, target| {
        if target.contains("exchangeInfo") {
            return ok(format!(r#"{{"rateLimits":[{limit}],"symbols":[]}}"#));
        }
        ok(TIME)
    })
    .await;
    for (follows_exchange, at_least) in [(true, Duration::from_millis(850)), (false, Duration::ZERO)] {
        let mut settings = config(&http.url);
        settings.limits = Limits { futures_weight_per_minute: 60_000, follows_exchange, ..Limits::default() };
        let rest = client(settings);
        rest.exchange_info(Market::Perp, &[]).await.unwrap();
        let started = Instant::now();
        for _ in 0..79 {
            rest.server_time(Market::Perp).await.unwrap();
        }
        let took = started.elapsed();
        assert!(took >= at_least && (follows_exchange || took < Duration::from_millis(800)), "{took:?}");
    }
}
