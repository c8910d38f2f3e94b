//! What only the archive has is found there, told, and stays, though REST goes on telling the first version.

use backtestd::daemon::client::Client;
use backtestd_binance::venue::RunningExchange;
use backtestd_core::market::{BARS_PER_DAY, BarIndex, HOUR_MS, Kind, Market, SeriesKey, Symbol, Ts};
use backtestd_lab::sim::{Fault, FaultKind, Scenario};
use backtestd_store::Store;
use serde_json::Value;

use super::support::{Home, begin, committed, exchange_of, tally};

const SPEED: f64 = 300.0;

/// A bar of the day that the audit over REST looks at an hour after the start, two days before yesterday.
fn bar() -> BarIndex {
    begin().bar() - 2 * BARS_PER_DAY - 60
}

fn symbol() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn close_of(home: &Home) -> f64 {
    let store = Store::open(&home.path("state")).unwrap();
    let series = SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol: symbol() };
    let rows = store.series_rows(&series, bar().0, bar().next().0).unwrap();
    let column = rows.names.iter().position(|name| *name == "close").unwrap();
    rows.columns[column][0]
}

/// An exchange that tells a bar falsely for ever, but for its archive.
async fn with_a_false_bar() -> RunningExchange {
    let correction = Fault {
        symbols: vec![symbol()],
        market: Some(Market::Perp),
        ..Fault::once(FaultKind::CorrectedArchive, bar(), 1)
    };
    exchange_of(Scenario { faults: vec![correction], ..Scenario::default() }, SPEED).await
}

/// Requests of the archive so far.
async fn asked(exchange: &RunningExchange) -> u64 {
    tally(exchange).await["request /data"].as_u64().unwrap_or(0)
}

/// What the ledger of the perpetual's bars says was repaired of the bar.
fn repairs(gaps: &Value) -> Vec<Value> {
    let of_btc = gaps["series"].as_array().unwrap().iter().find(|s| {
        (s["symbol"].as_str(), s["market"].as_str(), s["kind"].as_str())
            == (Some("BTCUSDT"), Some("perp"), Some("bars"))
    });
    let ranges = of_btc.unwrap()["ranges"].as_array().unwrap().iter();
    let is_it = |range: &&Value| range["state"] == "repaired" && range["from"] == bar().open().to_string();
    ranges.filter(is_it).cloned().collect()
}

async fn until(home: &Home, at: Ts) -> Value {
    home.wait_for("time passes", |s| committed(s) >= at).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bar_that_only_the_archive_has_right_is_corrected_told_and_not_undone_by_rest_or_a_restart() {
    let exchange = with_a_false_bar().await;
    let mut home = Home::new(&exchange, SPEED, 4);
    let mut daemon = home.start();
    home.wait_until_live().await;
    until(&home, Ts(begin().0 + HOUR_MS / 6)).await;
    assert_eq!(asked(&exchange).await, 0, "it is switched off");
    assert_eq!(daemon.terminate().0.code(), Some(0));
    let first = close_of(&home);

    home.set("archive-audit", "on");
    let mut daemon = home.start();
    let status = home.wait_for("corrected", |s| s["archive"]["corrected"] == 1).await;
    assert!(status["live"]["rewinds"].as_u64().unwrap() + status["live"]["ticks"].as_u64().unwrap() > 0);
    let client = Client::new(&home.socket()).unwrap();
    let told = repairs(&client.get("/v1/gaps", &[]).await.unwrap());
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!(told["records"].as_u64(), Some(1), "{told}");
    assert!(told["why"].as_str().unwrap().starts_with("corrected by archive audit"), "{told}");

    // REST goes on telling the first version: the answer of its audit contradicts, and changes nothing.
    let log = || std::fs::read_to_string(home.path("log")).unwrap();
    until(&home, Ts(begin().0 + HOUR_MS + HOUR_MS / 3)).await;
    assert!(
        log().lines().any(|line| line.contains("close stays") && line.contains("(archive_daily)")),
        "{}",
        log()
    );
    let status = home.wait_for("all compared", |s| s["archive"]["state"] == "waiting").await;
    assert!(status["archive"]["last"]["path"].as_str().unwrap().ends_with(".zip"), "{}", status["archive"]);
    let text = home.command(&["status", "--socket"]).arg(home.socket()).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.lines().any(|l| l.starts_with("archive ") && l.contains("1 records corrected")), "{text}");
    let before = asked(&exchange).await;
    daemon.kill();

    let mut daemon = home.start();
    home.wait_until_live().await;
    let status = until(&home, Ts(begin().0 + 2 * HOUR_MS)).await;
    assert_eq!(asked(&exchange).await, before, "a restart asks for nothing that was answered");
    assert_eq!(status["archive"]["files"], 0);
    assert!(status["archive"]["last"]["path"].is_string(), "what was compared before the restart is shown");
    // Yesterday's files are asked for three hours after their day.
    let status = home.wait_for("yesterday's", |s| s["archive"]["files"].as_u64() >= Some(4)).await;
    assert!(status["archive"]["last"]["path"].as_str().unwrap().contains("2026-02-28"), "{status}");
    assert!(committed(&status).0 >= begin().0 + 3 * HOUR_MS - HOUR_MS / 6, "{status}");
    let left = home.path("state").join("archive_audit");
    home.wait_for("all compared", |s| s["archive"]["state"] == "waiting").await;
    assert!(!left.exists(), "files are removed when they are read");
    daemon.assert_alive();
    let repaired = repairs(&client.get("/v1/gaps", &[]).await.unwrap());
    assert_eq!(repaired.len(), 1, "{repaired:?}");
    assert_eq!(daemon.terminate().0.code(), Some(0));
    let last = close_of(&home);
    assert!((first / last - 1.001).abs() < 1e-4, "{first} was the first version, {last} is the last");
    home.live_is_batch();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_be_reached_is_told_and_changes_nothing() {
    let exchange = with_a_false_bar().await;
    let mut home = Home::new(&exchange, SPEED, 4);
    home.set("archive-audit", "on");
    home.set("binance-archive", "http://127.0.0.1:9/data");
    let mut daemon = home.start();
    home.wait_until_live().await;
    let status = home.wait_for("told", |s| s["archive"]["state"] == "unreachable").await;
    assert!(status["archive"]["failure"].as_str().unwrap().contains("127.0.0.1:9"), "{}", status["archive"]);
    assert_eq!(status["archive"]["files"], 0);
    let ticks = status["live"]["ticks"].as_u64().unwrap();
    let status = home.wait_for("ticks", |s| s["live"]["ticks"].as_u64().unwrap() >= ticks + 3).await;
    assert!(!status["detail"].as_str().unwrap().contains("archive"), "{}", status["detail"]);
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_archive_does_not_give_is_named_until_it_has_been_asked_for_again() {
    let refused = "/data/futures/um/daily/klines/SOLUSDT";
    let failing = Fault {
        paths: vec![refused.to_owned()],
        ..Fault::once(FaultKind::ServerError, begin().bar(), BARS_PER_DAY / 12)
    };
    let exchange = exchange_of(Scenario { faults: vec![failing], ..Scenario::default() }, SPEED).await;
    let mut home = Home::new(&exchange, SPEED, 2);
    home.set("archive-audit", "on");
    let mut daemon = home.start();
    let status = home.wait_for("told", |s| s["archive"]["state"] == "unreachable").await;
    let is_named = |s: &Value| s["archive"]["failure"].as_str().is_some_and(|why| why.contains(refused));
    assert!(is_named(&status), "{}", status["archive"]);
    // It stays in sight, whatever was answered beside it, and is asked for again three hours later.
    let status = until(&home, Ts(begin().0 + 2 * HOUR_MS)).await;
    assert!(is_named(&status) && status["archive"]["failures"] == 1, "{}", status["archive"]);
    let of_both = |s: &Value| s["archive"]["failure"].is_null() && s["archive"]["state"] == "waiting";
    let status = home.wait_for("answered", of_both).await;
    assert!(committed(&status).0 >= begin().0 + 3 * HOUR_MS - HOUR_MS / 6, "{status}");
    assert_eq!((&status["archive"]["failures"], &status["archive"]["unreadable"]), (&1.into(), &0.into()));
    assert_eq!(daemon.terminate().0.code(), Some(0));
}
