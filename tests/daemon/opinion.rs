//! Bars of aggregated trades beside the klines: on an honest exchange they are the same, and a falsified
//! kline is told.

use backtestd_core::market::Symbol;
use backtestd_lab::sim::{Fault, FaultKind, Scenario};
use serde_json::Value;

use super::faults::ticks;
use super::support::{Home, begin, exchange_of};

const SPEED: f64 = 300.0;
const FALSE_BARS: i64 = 8;

/// What `status` says of second opinions after a while, and the metric beside it.
async fn opinion(faults: Vec<Fault>) -> (Value, String) {
    let exchange = exchange_of(Scenario { faults, ..Scenario::default() }, SPEED).await;
    let mut home = Home::new(&exchange, SPEED, 1);
    home.set("collect", "agg_trades");
    let mut daemon = home.start();
    home.wait_until_live().await;
    while home.wait_for("status", |s| s["now"].is_string()).await["now"].as_str().unwrap()
        < (begin().bar() + FALSE_BARS + 30).open().to_string().as_str()
    {
        ticks(&home, 1).await;
    }
    let compared = |s: &Value| s["live"]["second_opinion"]["compared"].as_u64().unwrap_or(0);
    let status = home.wait_for("opinions", |s| compared(s) >= 20).await;
    let client = reqwest::Client::builder().unix_socket(home.socket()).no_proxy().build().unwrap();
    let metrics = client.get("http://localhost/metrics").send().await.unwrap().text().await.unwrap();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    let lines = metrics.lines().filter(|line| line.starts_with("backtestd_agg_trade_bars_total"));
    (status["live"]["second_opinion"].clone(), lines.collect::<Vec<_>>().join("\n"))
}

/// The number behind a label of the metric.
fn counted(metric: &str, result: &str) -> u64 {
    let label = format!("result=\"{result}\"");
    let line = metric.lines().find(|line| line.contains(&label)).unwrap_or_else(|| panic!("{metric}"));
    line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn on_an_honest_exchange_the_trades_of_every_bar_add_up_to_its_kline() {
    let (opinion, metric) = opinion(Vec::new()).await;
    assert_eq!(opinion["matched"], opinion["compared"], "{opinion}");
    assert_eq!(opinion["last_difference"], Value::Null, "{opinion}");
    assert!(counted(&metric, "matched") >= 20 && counted(&metric, "differs") == 0, "{metric}");
}

#[tokio::test(flavor = "multi_thread")]
async fn klines_that_are_falsified_differ_from_their_trades() {
    let of_btc = Fault {
        symbols: vec![Symbol::new("BTCUSDT").unwrap()],
        ..Fault::once(FaultKind::WrongClose, begin().bar() + 10, FALSE_BARS + 10)
    };
    let (opinion, metric) = opinion(vec![of_btc]).await;
    let (matched, compared) = (opinion["matched"].as_u64().unwrap(), opinion["compared"].as_u64().unwrap());
    assert!(matched > 0 && matched < compared, "the other symbol agrees: {opinion}");
    let difference = opinion["last_difference"].as_str().unwrap();
    assert!(difference.starts_with("BTCUSDT "), "{difference}");
    assert!(counted(&metric, "differs") >= 3, "{metric}");
}
