//! `kill -9` at random moments of a live run: nothing is lost, nothing is done twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use backtestd_core::market::{BarIndex, Symbol, Ts};
use backtestd_store::Store;

use crate::support::{Home, begin, committed, exchange, follow_signals};

const SPEED: f64 = 600.0;
const KILLS: u32 = 50;
const DAYS: i64 = 3;

/// Everything that the store knows through a bar, as text: raw log, events, ends, outcomes.
fn content(state: &Path, through: BarIndex) -> Vec<String> {
    let store = Store::open(state).unwrap();
    let first = Ts(begin().0 - DAYS * 86_400_000).bar();
    let symbols: Vec<Symbol> = ["BTCUSDT", "SOLUSDT"].map(|s| Symbol::new(s).unwrap()).to_vec();
    let end = through.next();
    let raw = store.raw(&symbols, first, (end - first) as usize).unwrap();
    let mut lines = Vec::new();
    for (symbol, raw) in raw.by_symbol(&symbols) {
        lines.extend(raw.perp.iter().map(|x| format!("{symbol} perp {x:?}")));
        lines.extend(raw.spot.iter().map(|x| format!("{symbol} spot {x:?}")));
        lines.extend(raw.funding.iter().map(|x| format!("{symbol} {x:?}")));
        lines.extend(raw.open_interest.iter().map(|x| format!("{symbol} {x:?}")));
    }
    lines.extend(store.events(first, end).unwrap().iter().map(|x| format!("{x:?}")));
    lines.extend(store.episode_ends(first, end).unwrap().iter().map(|x| format!("{x:?}")));
    lines.extend(store.outcomes(first, end).unwrap().iter().map(|x| format!("{x:?}")));
    lines
}

fn event_ids(state: &Path, from: BarIndex, through: BarIndex) -> BTreeSet<String> {
    let store = Store::open(state).unwrap();
    store.events(from, through.next()).unwrap().iter().map(|e| e.id()).collect()
}

/// A small seeded generator: the moments of the kills.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below_ms: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % below_ms)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_leave_what_an_uninterrupted_run_leaves_and_every_signal_comes_once() {
    let exchange = exchange(SPEED, true).await;
    let quiet = Home::new(&exchange, SPEED, DAYS);
    let harassed = Home::new(&exchange, SPEED, DAYS);
    let mut uninterrupted = quiet.start();
    quiet.wait_until_live().await;
    let (seen, reader) = follow_signals(harassed.socket());
    let mut moments = Moments(7);
    let mut daemon = harassed.start();
    harassed.wait_until_live().await;
    for kill in 0..KILLS {
        // Short lives die while opening, replaying or fetching; every fifth one gets to see ticks close.
        if kill % 5 == 0 {
            let before = committed(&harassed.wait_until_live().await);
            harassed.wait_for("a tick", |s| committed(s) > before).await;
        }
        tokio::time::sleep(moments.next(700)).await;
        daemon.assert_alive();
        daemon.kill();
        daemon = harassed.start();
    }
    // Three days of history are few: it takes a while until something is detected.
    let signalled = harassed.wait_for("a signal", |s| s["last_signal_seq"].as_u64() > Some(0)).await;
    let detected = committed(&signalled).bar();
    let target = committed(&quiet.wait_for("ticks after it", |s| committed(s).bar() > detected + 4).await);
    let reached = harassed.wait_for("the other's tick", |s| committed(s) >= target).await;
    let live_from = reached["live"]["live_from"].as_str().unwrap().to_owned();
    let last = reached["last_signal_seq"].as_u64().unwrap();
    harassed
        .wait_for("the reader", |_| seen.lock().unwrap().last().is_some_and(|(seq, ..)| *seq >= last))
        .await;
    reader.abort();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    assert_eq!(uninterrupted.terminate().0.code(), Some(0));

    // A few ticks before the end, so that repairs of the very last ticks have come through in both.
    let through = target.bar() - 4;
    let (left, right) = (content(&quiet.path("state"), through), content(&harassed.path("state"), through));
    let differs = left.iter().zip(&right).find(|(a, b)| a != b);
    assert!(
        differs.is_none() && left.len() == right.len(),
        "{} and {} facts; {differs:#?}",
        left.len(),
        right.len()
    );

    let live_from = backtestd_core::market::parse_time(&live_from).unwrap().bar();
    let seen = seen.lock().unwrap();
    let seqs: Vec<u64> = seen.iter().map(|(seq, ..)| *seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "no number is missing or doubled");
    let ids: Vec<String> =
        seen.iter().filter_map(|(.., d)| d["event_id"].as_str().map(str::to_owned)).collect();
    let unique: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(unique.len(), ids.len(), "an event is announced once");
    let expected = event_ids(&harassed.path("state"), live_from, through);
    assert!(!expected.is_empty(), "something happened while it was live");
    let lost: Vec<&String> = expected.difference(&unique).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    eprintln!(
        "{KILLS} kills, {} facts compared, {} signals, {} of them due",
        left.len(),
        ids.len(),
        expected.len()
    );
}
