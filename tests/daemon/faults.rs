//! What goes wrong twice loses nothing: a stream that errs while REST is away, an answer that was false, a
//! clock that lied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backtestd_binance::clock::ScaledClock;
use backtestd_binance::venue::RunningExchange;
use backtestd_binance::{Rest, RestConfig};
use backtestd_core::market::{
    BAR_MS, BarIndex, Columns, Draws, Kind, Market, SeriesKey, Symbol, Ts, parse_time,
};
use backtestd_store::Store;
use serde_json::Value;

use super::proxy::{Proxy, Verdict};
use super::support::{Home, begin, committed, exchange};

const SPEED: f64 = 600.0;
const SYMBOLS: [&str; 2] = ["BTCUSDT", "SOLUSDT"];

/// A daemon behind a proxy, collecting everything that the exchange can be asked for again.
pub(crate) fn home(exchange: &RunningExchange, proxy: &Proxy) -> Home {
    let mut home = Home::new(exchange, SPEED, 1);
    for (key, value) in proxy.settings() {
        home.set(key, &value);
    }
    home.set("collect", "funding,open_interest,mark");
    home
}

/// Time passes on the exchange: so many more ticks are committed.
pub(crate) async fn ticks(home: &Home, more: i64) -> Value {
    let client = backtestd::daemon::client::Client::new(&home.socket()).unwrap();
    let from = committed(&client.get("/v1/status", &[]).await.unwrap());
    home.wait_for("more ticks", |s| committed(s).0 >= from.0 + more * BAR_MS).await
}

/// Everything is confirmed, and nothing is missing.
pub(crate) async fn settled(home: &Home) -> Value {
    let is_quiet = |row: &Value| row["missing"].as_u64().unwrap() <= 4 && row["holes"] == 0;
    final_but_the_newest(home, |s| {
        s["state"] == "live"
            && s["unconfirmed_bars"].as_u64().unwrap() <= 8
            && s["gaps"].as_array().unwrap().iter().all(is_quiet)
    })
    .await
}

/// Waits for a status as `wanted` of which every record but those of the newest three bars is answered for by
/// the exchange.
pub(crate) async fn final_but_the_newest(home: &Home, wanted: impl Fn(&Value) -> bool) -> Value {
    let client = backtestd::daemon::client::Client::new(&home.socket()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(240);
    loop {
        let status = home.wait_for("the ledgers to settle", &wanted).await;
        let last = committed(&status).bar() - 3;
        let gaps = client.get("/v1/gaps", &[]).await.unwrap();
        let series = gaps["series"].as_array().unwrap().iter();
        let ranges = series.flat_map(|s| s["ranges"].as_array().unwrap().iter().map(move |r| (s, r)));
        let is_waiting = |range: &Value| {
            (range["state"] == "open" || range["state"] == "unconfirmed")
                && parse_time(range["from"].as_str().unwrap()).unwrap() < last.open()
        };
        let waiting: Vec<String> = ranges
            .filter(|(_, range)| is_waiting(range))
            .map(|(s, range)| format!("{} {} {range}", s["symbol"], s["kind"]))
            .collect();
        if waiting.is_empty() {
            return status;
        }
        assert!(Instant::now() < deadline, "still waiting for the exchange: {waiting:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A direct line to the exchange.
fn truth(exchange: &RunningExchange) -> Rest {
    Rest::new(RestConfig::simulated(&exchange.rest_url()), Arc::new(ScaledClock::new(begin(), 1.0))).unwrap()
}

/// Every stored record through `last` equals the exchange's own, and none is missing.
pub(crate) async fn assert_equals_the_exchange(home: &Home, exchange: &RunningExchange, last: BarIndex) {
    let rest = truth(exchange);
    let store = Store::open(&home.path("state")).unwrap();
    let first = Ts(begin().0 - 86_400_000).bar();
    for name in SYMBOLS {
        let symbol = Symbol::new(name).unwrap();
        for (kind, market) in [
            (Kind::Bars, Market::Perp),
            (Kind::Bars, Market::Spot),
            (Kind::Mark, Market::Perp),
            (Kind::Funding, Market::Perp),
            (Kind::OpenInterest, Market::Perp),
        ] {
            let series = SeriesKey { kind, market, symbol: symbol.clone() };
            let (from, to) = match kind {
                // The exchange itself keeps open interest for thirty days.
                Kind::OpenInterest => {
                    ((first.open().0 + 1).max(last.open().0 - 29 * 86_400_000), last.open().0)
                }
                _ if kind.is_bar_like() => (first.0, last.0),
                _ => (first.open().0 + 1, last.open().0),
            };
            let page = rest.history(&series, from, to, last.close()).await.unwrap();
            let mut wanted: Vec<(i64, Columns)> = Vec::new();
            page.records.rows().each(&mut |time, columns, _| wanted.push((time, *columns)));
            let stored = store.series_rows(&series, from, to).unwrap();
            let times: Vec<i64> = wanted.iter().map(|(time, _)| *time).collect();
            assert_eq!(stored.times, times, "{name} {market} {}: times", kind.name());
            for (row, (time, columns)) in wanted.iter().enumerate() {
                for (column, name_of) in stored.names.iter().enumerate() {
                    // The predicted rate has no history; an interval is measured by whoever saw the
                    // settlement before.
                    if columns[column].is_nan() || *name_of == "funding_interval_hours" {
                        continue;
                    }
                    let found = stored.columns[column][row];
                    assert_eq!(found, columns[column], "{name} {market} {} {time} {name_of}", kind.name());
                }
            }
        }
    }
}

/// A closed kline with another close and half of its volume, of every bar whose number a draw picks.
pub(crate) fn with_wrong_bars(seed: u64, share: f64) -> impl Fn(&str, String) -> Vec<String> {
    let count = AtomicU64::new(0);
    move |_, text| {
        if !text.contains("\"x\":true") {
            return vec![text];
        }
        let n = count.fetch_add(1, Ordering::Relaxed) as i64;
        if Draws::numbered(seed, n).uniform() >= share {
            return vec![text];
        }
        let mut frame: Value = serde_json::from_str(&text).unwrap();
        let bar = &mut frame["data"]["k"];
        let close: f64 = bar["c"].as_str().unwrap().parse().unwrap();
        bar["c"] = format!("{:.8}", close * 1.0001).into();
        let high: f64 = bar["h"].as_str().unwrap().parse().unwrap();
        bar["h"] = format!("{:.8}", high * 1.0002).into();
        vec![frame.to_string()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bars_of_a_stream_while_rest_is_away_are_all_corrected_when_it_is_back() {
    let exchange = exchange(SPEED, false).await;
    let proxy = Proxy::start(&exchange).await;
    let home = home(&exchange, &proxy);
    let mut daemon = home.start();
    home.wait_until_live().await;
    ticks(&home, 3).await;

    proxy.on_frame(with_wrong_bars(1, 0.7));
    proxy.on_request(|_| Verdict::fail(500));
    let away = ticks(&home, 110).await;
    assert_eq!(away["state"], "degraded");
    let detail = away["detail"].as_str().unwrap();
    assert!(detail.contains("REST fails") && detail.contains("wait for their confirmation"), "{detail}");
    assert!(away["unconfirmed_bars"].as_u64().unwrap() > 300, "{}", away["unconfirmed_bars"]);
    assert_eq!(away["rest"]["state"], "failing");

    // A restart in the middle of it forgets nothing.
    daemon.kill();
    proxy.heal();
    let mut daemon = home.start();
    home.wait_until_live().await;
    ticks(&home, 6).await;
    let status = settled(&home).await;
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    assert_equals_the_exchange(&home, &exchange, committed(&status).bar() - 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_interest_funding_and_marks_of_an_outage_are_fetched_as_soon_as_rest_answers() {
    let exchange = exchange(SPEED, false).await;
    let proxy = Proxy::start(&exchange).await;
    let home = home(&exchange, &proxy);
    let mut daemon = home.start();
    home.wait_until_live().await;
    ticks(&home, 3).await;
    // Neither REST nor the stream of marks, over a settlement (every 8 hours: 96 bars).
    proxy.on_request(|_| Verdict::fail(503));
    proxy.on_frame(|_, text| if text.contains("markPriceUpdate") { Vec::new() } else { vec![text] });
    let away = ticks(&home, 105).await;
    let detail = away["detail"].as_str().unwrap();
    assert!(detail.contains("perp markPrice is silent"), "{detail}");
    proxy.heal();
    let status = settled(&home).await;
    let after = ticks(&home, 6).await;
    assert!(status["live"]["rewinds"].as_u64().unwrap() > 0, "what came late was computed again");
    let printed = home.command(&["gaps", "--json", "--socket"]).arg(home.socket()).output().unwrap();
    let gaps: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let filled = |kind: &str| -> u64 {
        let of_kind = gaps["series"].as_array().unwrap().iter().filter(|s| s["kind"] == kind);
        of_kind.map(|s| s["filled"].as_u64().unwrap()).sum()
    };
    for kind in ["open_interest", "funding", "mark"] {
        assert!(filled(kind) > 0, "{kind} was filled in: {gaps:#}");
    }
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    assert_equals_the_exchange(&home, &exchange, committed(&after).bar() - 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_or_short_page_of_history_is_a_hole_for_minutes_and_not_for_ever() {
    let exchange = exchange(SPEED, false).await;
    let proxy = Proxy::start(&exchange).await;
    let count = AtomicU64::new(0);
    // A third of all pages is empty, a third lacks its second row.
    proxy.on_request(move |target| {
        if target.contains("exchangeInfo") || target.contains("/time") {
            return Verdict::Pass;
        }
        let n = count.fetch_add(1, Ordering::Relaxed) as i64;
        match Draws::numbered(7, n).uniform() {
            u if u < 0.34 => Verdict::Answer(200, Vec::new(), "[]".to_owned()),
            u if u < 0.67 => Verdict::Edit(Box::new(without_second_row)),
            _ => Verdict::Pass,
        }
    });
    let home = home(&exchange, &proxy);
    let mut daemon = home.start();
    home.wait_until_live().await;
    ticks(&home, 3).await;
    proxy.heal();
    let status = settled(&home).await;
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    assert_equals_the_exchange(&home, &exchange, committed(&status).bar() - 3).await;
}

pub(crate) fn without_second_row(body: String) -> String {
    let mut rows: Value = serde_json::from_str(&body).unwrap();
    if let Some(rows) = rows.as_array_mut().filter(|rows| rows.len() > 2) {
        rows.remove(1);
    }
    rows.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_while_banned_and_the_socket_says_until_when() {
    let exchange = exchange(SPEED, false).await;
    let proxy = Proxy::start(&exchange).await;
    let ban = || {
        Verdict::Answer(418, vec![("retry-after", "4".to_owned())], r#"{"code":-1003,"msg":"banned"}"#.into())
    };
    proxy.on_request(move |_| ban());
    let home = home(&exchange, &proxy);
    let mut daemon = home.start();
    let banned = home.wait_for("the ban", |s| s["rest"]["state"] == "banned").await;
    assert_ne!(banned["state"], "live");
    assert!(banned["rest"]["banned_until"].is_string(), "{}", banned["rest"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(proxy.log().len(), 1, "{:?}", proxy.log());
    proxy.heal();
    home.wait_until_live().await;
    ticks(&home, 2).await;

    let before = proxy.log().len();
    proxy.on_request(move |_| ban());
    home.wait_for("the second ban", |s| s["rest"]["state"] == "banned").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let met: Vec<(String, u16)> =
        proxy.log().into_iter().skip(before).filter(|(_, status)| *status == 418).collect();
    assert!(met.len() <= 8, "no more than were on their way: {met:?}");
    proxy.heal();
    home.wait_for("live again", |s| s["state"] == "live").await;
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_clock_was_days_ahead_is_taken_back_and_signals_like_any_other() {
    let exchange = exchange(SPEED, false).await;
    let proxy = Proxy::start(&exchange).await;
    let home = home(&exchange, &proxy);
    // `/time` lies by ten days, and no stream is there to contradict it.
    proxy.on_frame(|_, text| if text.contains("\"result\"") { vec![text] } else { Vec::new() });
    proxy.on_request(|target| {
        if !target.contains("/time") {
            return Verdict::Pass;
        }
        Verdict::Edit(Box::new(|body| {
            let now = serde_json::from_str::<Value>(&body).unwrap()["serverTime"].as_i64().unwrap();
            format!("{{\"serverTime\":{}}}", now + 10 * 86_400_000)
        }))
    });
    let mut daemon = home.start();
    let ahead = home.wait_until_live().await;
    assert!(committed(&ahead).0 > begin().0 + 9 * 86_400_000, "{}", committed(&ahead));
    daemon.kill();
    proxy.heal();
    let mut daemon = home.start();
    home.wait_until_live().await;
    let status = ticks(&home, 6).await;
    let now = parse_time(status["now"].as_str().unwrap()).unwrap();
    assert!(committed(&status) < now && now.0 < begin().0 + 5 * 86_400_000, "{now}");
    let status = settled(&home).await;
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    assert_equals_the_exchange(&home, &exchange, committed(&status).bar() - 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_in_the_future_is_misuse() {
    let exchange = exchange(SPEED, false).await;
    let mut home = Home::new(&exchange, SPEED, 1);
    home.set("start", "2030-01-01");
    let (code, last_words) = home.start_in_vain(&[]);
    assert_eq!(code, Some(2), "{last_words}");
    assert!(last_words.contains("history cannot begin in the future"), "{last_words}");
}
