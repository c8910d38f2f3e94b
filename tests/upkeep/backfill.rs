//! History over REST from the simulated exchange, with the real binary.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use backtestd_binance::venue::RunningExchange;
use backtestd_store::Store;
use serde_json::Value;

use crate::support::exchange;

fn command(exchange: &RunningExchange, state: &Path, end: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backtestd"));
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("BACKTEST")) {
        command.env_remove(key);
    }
    command
        .args(["backfill", "--json", "--symbols", "BTCUSDT,SOLUSDT", "--start", "2026-01-25", "--end", end])
        .args(["--clock-source", "exchange", "--clock-speed", "1"])
        .args(["--binance-futures-rest", &exchange.rest_url(), "--binance-spot-rest", &exchange.rest_url()])
        .arg("--state")
        .arg(state)
        .stdin(Stdio::null());
    command
}

fn series(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    json["series"].as_array().unwrap().clone()
}

fn fetched(series: &[Value]) -> u64 {
    series.iter().map(|s| s["fetched"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backfill_goes_on_where_it_stopped_and_asks_for_nothing_twice() {
    let exchange = exchange(1.0, false).await;
    let dir = tempfile::tempdir().unwrap();
    let (quiet, harassed) = (dir.path().join("quiet"), dir.path().join("harassed"));

    let whole = series(&command(&exchange, &quiet, "2026-02-20").output().unwrap());
    assert_eq!(whole.len(), 12, "six series of two symbols");
    for s in whole.iter().filter(|s| s["kind"] == "bars") {
        assert_eq!((s["stored"].as_u64(), s["holes_known"].as_u64()), (Some(27 * 288), Some(0)), "{s}");
        assert_eq!(s["holes_unknown"], 0);
    }
    let funding = whole.iter().find(|s| s["kind"] == "funding" && s["symbol"] == "BTCUSDT").unwrap();
    assert_eq!(funding["stored"], 27 * 3 + 1, "settlements of 27 days, both ends included");
    // The exchange keeps 30 days: of these 27 the last 22 and a little are there, a snapshot at the end of
    // every bar.
    let statistic = |kind: &str| {
        let line = whole.iter().find(|s| s["kind"] == kind && s["symbol"] == "SOLUSDT").unwrap();
        line["stored"].as_u64().unwrap()
    };
    assert!((22 * 288 - 10..=22 * 288 + 1).contains(&statistic("open_interest")), "{whole:?}");
    assert_eq!(statistic("long_short_ratio"), statistic("open_interest"));
    assert_eq!(fetched(&series(&command(&exchange, &quiet, "2026-02-20").output().unwrap())), 0);

    // A part first, then kills at several moments, then the rest.
    let part = fetched(&series(&command(&exchange, &harassed, "2026-01-31").output().unwrap()));
    for ms in [120, 250, 400, 700] {
        let mut child = command(&exchange, &harassed, "2026-02-20")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(ms)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let rest = fetched(&series(&command(&exchange, &harassed, "2026-02-20").output().unwrap()));
    assert!(part > 0 && part + rest <= fetched(&whole), "{part} and {rest} of {}", fetched(&whole));
    let digest = |state: &Path| Store::open(state).unwrap().digest().unwrap();
    assert_eq!(digest(&harassed), digest(&quiet));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_exchange_refuses_is_said_with_its_reason() {
    let exchange = exchange(1.0, false).await;
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(&exchange, &dir.path().join("state"), "2026-01-26");
    let output = command.args(["--symbols", "NOSUCHUSDT"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap();
    assert!(last.contains("the exchange refuses NOSUCHUSDT perp bars"), "{last}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of_btc = json["series"].as_array().unwrap().iter().find(|s| s["symbol"] == "BTCUSDT").unwrap();
    assert_eq!(of_btc["stored"], 2 * 288, "the others are fetched all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_archive_and_rest_make_the_same_store() {
    let exchange = exchange(1.0, false).await;
    let dir = tempfile::tempdir().unwrap();
    let (by_rest, by_files) = (dir.path().join("rest"), dir.path().join("files"));
    let of = |state: &Path, source: &str| {
        let mut command = command(&exchange, state, "2026-02-24");
        command.args(["--source", source, "--archive-url", &exchange.archive_url()]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let rest = of(&by_rest, "rest");
    let auto = of(&by_files, "auto");
    assert!(auto["archive"]["files"].as_u64().unwrap() > 50, "{}", auto["archive"]);
    assert_eq!(auto["archive"]["missing"].as_array().unwrap().len(), 0);
    let stored = |json: &Value, symbol: &str, market: &str, kind: &str| {
        let lines = json["series"].as_array().unwrap().iter();
        let mut found = lines.filter(|s| s["symbol"] == symbol && s["market"] == market && s["kind"] == kind);
        found.next().unwrap()["stored"].as_u64().unwrap()
    };
    for symbol in ["BTCUSDT", "SOLUSDT"] {
        for (market, kind) in [("perp", "bars"), ("spot", "bars"), ("perp", "mark"), ("perp", "funding")] {
            let both = (stored(&auto, symbol, market, kind), stored(&rest, symbol, market, kind));
            assert_eq!(both.0, both.1, "{symbol} {market} {kind}");
        }
        // Files reach further back than the thirty days of REST.
        assert!(
            stored(&auto, symbol, "perp", "open_interest") > stored(&rest, symbol, "perp", "open_interest")
        );
    }
    let (a, b) = (Store::open(&by_rest).unwrap(), Store::open(&by_files).unwrap());
    let (from, to) = ("2026-01-25", "2026-02-25");
    let bar = |day| backtestd_core::market::parse_date(day).unwrap().bar();
    for market in [backtestd_core::market::Market::Perp, backtestd_core::market::Market::Spot] {
        let symbol = backtestd_core::market::Symbol::new("BTCUSDT").unwrap();
        let (a, b) = (
            a.bars(market, &symbol, bar(from), bar(to)).unwrap(),
            b.bars(market, &symbol, bar(from), bar(to)).unwrap(),
        );
        assert!(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.same_as(b)), "{market}");
    }
    drop((a, b));
    let again = of(&by_files, "auto");
    assert_eq!(
        (again["archive"]["files"].as_u64(), fetched(again["series"].as_array().unwrap())),
        (Some(0), 0)
    );
}
