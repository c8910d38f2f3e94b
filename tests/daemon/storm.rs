//! Every fault at once, over many bars: afterwards the stored records are the exchange's own, and every
//! signal was sent once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use backtestd_core::market::{BAR_MS, Draws};
use serde_json::Value;

use super::faults::{assert_equals_the_exchange, home, settled, ticks, with_wrong_bars, without_second_row};
use super::month::announced_once;
use super::proxy::{Proxy, Verdict};
use super::support::{committed, exchange, follow_signals};

const SPEED: f64 = 600.0;

/// What REST does to a request, by a draw.
fn bad_request(seed: u64) -> impl Fn(&str) -> Verdict + Send + Sync {
    let count = AtomicU64::new(0);
    move |_| {
        let mut draws = Draws::numbered(seed, count.fetch_add(1, Ordering::Relaxed) as i64);
        match (draws.uniform() * 20.0) as u32 {
            0 | 1 => Verdict::fail(500),
            2 => Verdict::Answer(
                503,
                Vec::new(),
                r#"{"code":-1008,"msg":"Server is currently overloaded"}"#.into(),
            ),
            3 => Verdict::Answer(200, Vec::new(), "<html>a firewall</html>".into()),
            4 | 5 => Verdict::Edit(Box::new(|body| if body.starts_with('[') { "[]".into() } else { body })),
            6 => Verdict::Edit(Box::new(without_second_row_of_arrays)),
            7 => Verdict::Edit(Box::new(|body| body[..body.len() / 2].to_owned())),
            8 => Verdict::Edit(Box::new(with_thirteenth_column)),
            _ => Verdict::Pass,
        }
    }
}

fn without_second_row_of_arrays(body: String) -> String {
    if body.starts_with('[') { without_second_row(body) } else { body }
}

fn with_thirteenth_column(body: String) -> String {
    let mut value: Value = serde_json::from_str(&body).unwrap();
    for row in value.as_array_mut().into_iter().flatten().filter_map(Value::as_array_mut) {
        row.push("new".into());
    }
    value.to_string()
}

/// What the streams do to a frame, by a draw.
fn bad_frame(seed: u64) -> impl Fn(&str, String) -> Vec<String> + Send + Sync {
    let count = AtomicU64::new(0);
    let wrong = with_wrong_bars(seed, 0.5);
    let held = Mutex::new(None::<String>);
    move |path, text| {
        if text.contains("\"result\"") {
            return vec![text];
        }
        let mut draws = Draws::numbered(seed ^ 0xf, count.fetch_add(1, Ordering::Relaxed) as i64);
        match (draws.uniform() * 12.0) as u32 {
            0 => Vec::new(),
            1 => vec![text.clone(), text],
            2 => vec![text.replace(':', ";"), text[..text.len() / 3].to_owned(), "[]".into(), "null".into()],
            3 => held.lock().unwrap().replace(text).into_iter().collect(),
            4 => vec![text.replacen('{', r#"{"unknown":{"a":[1]},"#, 1)],
            5 => vec![text.replace("\"x\":false", "\"x\":true")],
            6 | 7 => wrong(path, text),
            _ => vec![text],
        }
    }
}

async fn weather(seed: u64) {
    let exchange = exchange(SPEED, false).await;
    let proxy = Proxy::start(&exchange).await;
    let home = home(&exchange, &proxy);
    let mut daemon = home.start();
    home.wait_until_live().await;
    let (seen, reader) = follow_signals(home.socket());
    for phase in 0..5 {
        proxy.on_request(bad_request(seed + phase));
        proxy.on_frame(bad_frame(seed + phase));
        ticks(&home, 15).await;
        if phase == 2 {
            proxy.on_request(|_| Verdict::fail(502));
            ticks(&home, 15).await;
            daemon.kill();
            daemon = home.start();
            proxy.heal();
            home.wait_until_live().await;
        }
    }
    proxy.heal();
    let status = settled(&home).await;
    daemon.assert_alive();
    assert!(status["refused"]["frames"].as_u64().unwrap() > 0, "{}", status["refused"]);
    assert_eq!(daemon.terminate().0.code(), Some(0));
    reader.abort();
    assert_equals_the_exchange(&home, &exchange, committed(&status).bar() - 3).await;

    assert!(!announced_once(&seen.lock().unwrap()).is_empty());
    home.live_is_batch();
    the_ledger_explains_every_repair(&home, BAR_MS);
}

/// Something was corrected or filled in, and the ledger says how and when.
pub(crate) fn the_ledger_explains_every_repair(home: &super::support::Home, bar_ms: i64) {
    let printed = home.command(&["gaps", "--json", "--state"]).arg(home.path("state")).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let gaps: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let series = gaps["series"].as_array().unwrap();
    let mut repaired = 0;
    for one in series {
        let count = one["filled"].as_u64().unwrap() + one["corrected"].as_u64().unwrap();
        let told: u64 = one["ranges"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|range| range["state"] == "repaired")
            .map(|range| {
                assert!(
                    range["when"].is_string() && range["why"].as_str().unwrap().contains(" by "),
                    "{range}"
                );
                range["records"].as_u64().unwrap()
            })
            .sum();
        assert_eq!(told, count, "{one}");
        repaired += count;
    }
    assert!(repaired > 0 && bar_ms > 0, "nothing was repaired in {} series", series.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_storm_every_record_is_the_exchanges_own_and_every_signal_was_sent_once() {
    weather(11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_another_storm_too() {
    weather(5_000).await;
}
