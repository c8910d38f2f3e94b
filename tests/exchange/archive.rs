//! The archive beside REST: what it has when, and what only it has right.

use std::io::Read;

use backtestd_binance::venue::{ExchangeConfig, RunningExchange};
use backtestd_core::market::{Market, Symbol, parse_time};
use backtestd_lab::sim::{Fault, FaultKind};
use serde_json::Value;

use crate::support::{client, config, get, rows, start};

const BAR: &str = "2025-02-01T10:00:00Z";

fn path(day: &str) -> String {
    format!("/data/futures/um/daily/klines/BTCUSDT/5m/BTCUSDT-5m-{day}.zip")
}

async fn at(time: &str, faults: Vec<Fault>) -> RunningExchange {
    let mut config = config(1.0);
    config.scenario.faults = faults;
    start(ExchangeConfig { start: parse_time(time).unwrap(), ..config }).await
}

/// The line of the bar in the file of its day, and the checksum of the file.
async fn archived(exchange: &RunningExchange) -> (Vec<String>, String) {
    let path = path(&BAR[..10]);
    let sum = get(exchange, &format!("{path}.CHECKSUM")).await.text().await.unwrap();
    let bytes = get(exchange, &path).await.bytes().await.unwrap();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut text = String::new();
    zip.by_index(0).unwrap().read_to_string(&mut text).unwrap();
    let open = parse_time(BAR).unwrap().0.to_string();
    let line = text.lines().find(|line| line.starts_with(&open)).unwrap();
    (line.split(',').map(str::to_owned).collect(), sum)
}

async fn told(exchange: &RunningExchange) -> Value {
    let open = parse_time(BAR).unwrap().0;
    let path = format!("/fapi/v1/klines?symbol=BTCUSDT&interval=5m&limit=1&startTime={open}");
    rows(exchange, &path).await[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bar_can_be_right_in_the_archive_alone_at_once_or_when_its_file_is_published_once_more() {
    let fault = |seconds: i64| Fault {
        symbols: vec![Symbol::new("BTCUSDT").unwrap()],
        market: Some(Market::Perp),
        seconds,
        ..Fault::once(FaultKind::CorrectedArchive, parse_time(BAR).unwrap().bar(), 1)
    };
    let right = at("2025-02-03T10:02:00Z", vec![]).await;
    let wrong = at("2025-02-03T10:02:00Z", vec![fault(0)]).await;
    let late = at("2025-02-03T10:02:00Z", vec![fault(30 * 86_400)]).await;
    let (truth, truth_sum) = archived(&right).await;
    let is = |row: &Value, line: &[String]| row[4] == line[4].as_str() && row[5] == line[5].as_str();
    assert!(is(&told(&right).await, &truth));
    assert!(!is(&told(&wrong).await, &truth), "REST goes on telling the first version");
    let (line, sum) = archived(&wrong).await;
    assert_eq!((&line, sum == truth_sum), (&truth, true), "the file is as if nothing had happened");
    let (line, sum) = archived(&late).await;
    assert!(line != truth && sum != truth_sum, "its file has not been corrected yet");
    assert!(is(&told(&late).await, &line), "and says what REST says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_published_two_hours_after_its_end_whatever_troubles_the_other_hosts() {
    let everywhere = Fault::once(FaultKind::ServerError, parse_time("2025-02-01").unwrap().bar(), 2000);
    let exchange = at("2025-02-03T01:30:00Z", vec![everywhere]).await;
    let status = async |path: &str| get(&exchange, path).await.status().as_u16();
    assert_eq!(status("/fapi/v1/time").await, 500);
    assert_eq!(status(&path("2025-02-01")).await, 200);
    assert_eq!(status(&path("2025-02-02")).await, 404, "half past one");
    let named = Fault {
        paths: vec!["/data/".into()],
        ..Fault::once(FaultKind::ServerError, parse_time("2025-02-01").unwrap().bar(), 2000)
    };
    let exchange = at("2025-02-03T02:30:00Z", vec![named]).await;
    assert_eq!(get(&exchange, &path("2025-02-02")).await.status(), 500);
    assert_eq!(get(&exchange, "/fapi/v1/time").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn spot_answers_in_microseconds_to_who_asks_for_them() {
    let exchange = at("2025-02-03T10:02:00Z", vec![]).await;
    let asked = async |path: &str, unit: &str| -> Value {
        let url = format!("{}{path}", exchange.rest_url());
        client().get(url).header("X-MBX-TIME-UNIT", unit).send().await.unwrap().json().await.unwrap()
    };
    let open = parse_time(BAR).unwrap().0;
    let klines = format!("/api/v3/klines?symbol=BTCUSDT&interval=5m&limit=1&startTime={open}");
    let (fine, coarse) = (asked(&klines, "MICROSECOND").await, asked(&klines, "MILLISECOND").await);
    assert_eq!(
        (fine[0][0].as_i64(), fine[0][6].as_i64()),
        (Some(open * 1000), Some(open * 1000 + 299_999_999))
    );
    assert_eq!((coarse[0][0].as_i64(), coarse[0][6].as_i64()), (Some(open), Some(open + 299_999)));
    assert_eq!(fine[0][4], coarse[0][4]);
    let time = asked("/api/v3/time", "microsecond").await["serverTime"].as_i64().unwrap();
    assert!(time / 1000 >= parse_time("2025-02-03T10:02:00Z").unwrap().0 && time % 1000 == 0);
    let trades = asked("/api/v3/aggTrades?symbol=BTCUSDT&limit=1", "MICROSECOND").await;
    assert!(trades[0]["T"].as_i64().unwrap() > open * 1000 && trades[0]["a"].is_i64());
    let futures = asked("/fapi/v1/time", "MICROSECOND").await["serverTime"].as_i64().unwrap();
    assert!(futures < open * 1000, "futures know milliseconds only");
}
