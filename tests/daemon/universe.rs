//! A universe by rule: who is listed joins, who is delisted leaves, and nobody else notices.

use backtestd_binance::venue::RunningExchange;
use backtestd_core::market::{BAR_MS, BarIndex, Kind, Market, SeriesKey, Symbol, parse_time};
use backtestd_lab::sim::{Fault, FaultKind, Scenario};
use backtestd_store::Store;
use serde_json::Value;

use super::faults::ticks;
use super::support::{Home, begin, committed, exchange_of, spec_dir};

const SPEED: f64 = 600.0;

/// A market in which DOGEUSDT is listed and XRPUSDT delisted so many bars after the start.
async fn exchange(listing: i64, delisting: i64) -> RunningExchange {
    let mut scenario = Scenario::default();
    let of = |name: &str, kind: FaultKind, bars: i64| Fault {
        symbols: vec![Symbol::new(name).unwrap()],
        bars: 0,
        ..Fault::once(kind, begin().bar() + bars, 0)
    };
    scenario.faults =
        vec![of("DOGEUSDT", FaultKind::Listing, listing), of("XRPUSDT", FaultKind::Delisting, delisting)];
    exchange_of(scenario, SPEED).await
}

fn home(exchange: &RunningExchange) -> Home {
    let mut home = Home::new(exchange, SPEED, 2);
    home.set("symbols", "rule");
    home.set("universe-min-quote-volume", "0");
    home.set("collect", "funding,open_interest,mark,liquidations,quotes");
    home
}

fn followed(status: &Value) -> Vec<&str> {
    let all = status["symbols"].as_array().unwrap().iter();
    all.filter(|row| row["market"] == "perp").map(|row| row["symbol"].as_str().unwrap()).collect()
}

/// Bars of a perpetual in the store.
fn bars(home: &Home, name: &str) -> Vec<BarIndex> {
    let store = Store::open(&home.path("state")).unwrap();
    let symbol = Symbol::new(name).unwrap();
    let series = SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol };
    let rows = store.series_rows(&series, 0, begin().bar().0 + 10_000).unwrap();
    rows.times.into_iter().map(BarIndex).collect()
}

fn verified(home: &Home) -> String {
    let output = home
        .command(&["verify", "--live", "--json", "--state"])
        .arg(home.path("state"))
        .arg("--data-root")
        .arg(home.path("data"))
        .arg("--spec")
        .arg(spec_dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_listed_joins_and_who_is_delisted_leaves_while_the_ticks_of_the_others_go_on() {
    let exchange = exchange(40, 80).await;
    let home = home(&exchange);
    let mut daemon = home.start();
    let live = home.wait_until_live().await;
    assert_eq!(followed(&live), ["BNBUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]);
    assert_eq!(live["universe"]["members"], 5);

    let is_followed = |status: &Value, name: &str| followed(status).contains(&name);
    let joined = home.wait_for("the listed one", |s| is_followed(s, "DOGEUSDT")).await;
    assert_eq!(joined["universe"]["members"], 6);
    let left = home.wait_for("the delisted one to leave", |s| !is_followed(s, "XRPUSDT")).await;
    let why = &left["universe"]["left"][0];
    assert_eq!((&why["symbol"], &why["why"]), (&"XRPUSDT".into(), &"it does not trade: SETTLING".into()));
    let status = ticks(&home, 30).await;
    let doge = |row: &&Value| row["symbol"] == "DOGEUSDT";
    let row = status["symbols"].as_array().unwrap().iter().find(doge).unwrap();
    let lag_bars =
        (committed(&status).0 + BAR_MS - parse_time(row["watermark"].as_str().unwrap()).unwrap().0) / BAR_MS;
    assert!(lag_bars <= 1, "{row}");
    assert_eq!(status["state"], "live", "{}", status["detail"]);
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));

    // The one that joined has every bar from its join on, and none before; the one that left keeps its own.
    let of_doge = bars(&home, "DOGEUSDT");
    assert!(of_doge[0] > begin().bar() + 40 && of_doge.len() > 30, "{} from {}", of_doge.len(), of_doge[0]);
    assert!(of_doge.windows(2).all(|pair| pair[1] == pair[0].next()), "without a gap");
    assert_eq!(bars(&home, "XRPUSDT").last(), Some(&(begin().bar() + 79)));
    assert!(
        verified(&home).contains("facts"),
        "live is what batch finds, with six symbols over all of history"
    );

    // A restart knows who is followed without asking.
    let mut daemon = home.start();
    home.wait_until_live().await;
    let again = ticks(&home, 3).await;
    assert_eq!(followed(&again), ["BNBUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT"]);
    let log = std::fs::read_to_string(home.path("log")).unwrap();
    assert!(!log.contains("computing anew"), "the facts are those of the pipeline that has taken over");
    assert_eq!(log.matches("history fetched").count(), 2, "nobody fell behind");
    assert_eq!(daemon.terminate().0.code(), Some(0));
    let printed = home.command(&["config", "--show", "--symbols", "rule"]).output().unwrap();
    assert!(String::from_utf8_lossy(&printed.stdout).contains("universe.max_symbols"));
}
