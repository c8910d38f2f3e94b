//! `kill -9` in the middle of a bar: what was heard of it so far, and has no history, is there after the
//! restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use backtestd_binance::Update;
use backtestd_binance::aggregate::journal::Batch;
use backtestd_core::market::{BAR_MS, BarIndex, Symbol, Ts};
use backtestd_store::Store;
use serde_json::Value;

use crate::support::{Home, committed, exchange};

/// A bar in seven and a half seconds.
const SPEED: f64 = 40.0;
const KILLS: usize = 3;
/// How far into a bar the daemon is killed.
const KILLED_MS: i64 = BAR_MS * 6 / 10;
/// The exchange sends an order a second after it was filled, to a machine that may be busy. Only what is left
/// out of the bounds depends on it.
const SENT_WITHIN_MS: i64 = 60_000;
/// A batch of the journal is made ten times a real second, and one kill of three at least meets a machine
/// that keeps up.
const JOURNALLED_WITHIN_MS: i64 = 45_000;
const SYMBOLS: [&str; 6] = ["BNBUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"];

struct Kill {
    bar: BarIndex,
    at: Ts,
    /// Until when the journal tells, and how many orders of the bar of each symbol it holds.
    journalled: Ts,
    orders: BTreeMap<Symbol, u64>,
    /// When its streams were seen to be connected again.
    back: Ts,
}

/// What a process that is gone had written of `bar`.
fn journalled(state: &Path, bar: BarIndex) -> (Ts, BTreeMap<Symbol, u64>) {
    let store = Store::open(state).unwrap();
    let batches: Vec<Batch> =
        store.updates().unwrap().iter().map(|(_, bytes)| Batch::from_bytes(bytes).unwrap()).collect();
    let mut orders: BTreeMap<Symbol, BTreeSet<String>> = BTreeMap::new();
    for update in batches.iter().flat_map(|batch| &batch.updates) {
        if let Update::ForceOrder(order) = &update.update
            && order.trade_ts.bar() == bar
        {
            // A batch that begins the journal anew repeats what others hold.
            orders.entry(order.symbol.clone()).or_default().insert(format!("{order:?}"));
        }
    }
    let counts = orders.into_iter().map(|(symbol, orders)| (symbol, orders.len() as u64)).collect();
    (batches.last().map_or(bar.open(), |batch| batch.at), counts)
}

fn all_connected(status: &Value) -> bool {
    let streams = status["streams"].as_array().unwrap();
    let is_up = |name: &str| streams.iter().any(|s| s["name"] == name && s["connected"] == true);
    is_up("futures/market") && is_up("futures/public")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_within_a_bar_loses_no_liquidation_that_was_heard_before_it() {
    let exchange = exchange(SPEED, false).await;
    let clock = exchange.clock();
    let mut home = Home::new(&exchange, SPEED, 1);
    home.set("collect", "liquidations,quotes");
    home.set("symbols", &SYMBOLS.join(","));
    home.set("spot-symbols", "none");
    let mut daemon = home.start();
    home.wait_until_live().await;
    let market = exchange.market();
    let orders = |symbol: &str, bar: BarIndex, from: i64, to: i64| -> u64 {
        let place = market.position(&Symbol::new(symbol).unwrap()).unwrap();
        let inside = |at: Ts| at.0 >= bar.open().0 + from && at.0 < bar.open().0 + to;
        market.forced_orders(place, bar).iter().filter(|order| inside(order.at)).count() as u64
    };
    let mut kills: Vec<Kill> = Vec::new();
    while kills.len() < KILLS {
        // The next bar of which something can be heard before the kill.
        let next = clock.now().bar().next();
        let heard_by = KILLED_MS - SENT_WITHIN_MS - JOURNALLED_WITHIN_MS;
        let is_busy = |bar: &BarIndex| SYMBOLS.iter().any(|s| orders(s, *bar, 0, heard_by) > 0);
        let bar = (0..200).map(|n| next + n).find(is_busy).expect("a liquidation within 200 bars");
        tokio::time::sleep(clock.wall_until(Ts(bar.open().0 + KILLED_MS))).await;
        daemon.assert_alive();
        daemon.kill();
        let at = clock.now();
        let (journalled, orders) = journalled(&home.path("state"), bar);
        daemon = home.start();
        home.wait_for("its streams again", all_connected).await;
        kills.push(Kill { bar, at, journalled, orders, back: clock.now() });
    }
    let last = kills.last().unwrap().back.bar();
    home.wait_for("two ticks more", |s| committed(s).bar() > last + 1).await;
    assert_eq!(daemon.terminate().0.code(), Some(0));

    let store = Store::open(&home.path("state")).unwrap();
    let names: Vec<Symbol> = SYMBOLS.map(|s| Symbol::new(s).unwrap()).to_vec();
    for Kill { bar, journalled, orders: heard, back, .. } in &kills {
        let since_open = |ts: &Ts| (ts.0 - bar.open().0).clamp(0, BAR_MS);
        let (until, back) = (since_open(journalled), since_open(back));
        let raw = store.raw(&names, *bar, 1).unwrap();
        for (name, raw) in raw.by_symbol(&names) {
            let [sum] = raw.liquidations[..] else { panic!("{name} {bar}: {:?}", raw.liquidations) };
            let n = (sum.long_n + sum.short_n) as u64;
            let heard = heard.get(name).copied().unwrap_or(0);
            let before = orders(name.as_str(), *bar, 0, until - SENT_WITHIN_MS);
            let after = orders(name.as_str(), *bar, back, BAR_MS - SENT_WITHIN_MS);
            let all = orders(name.as_str(), *bar, 0, BAR_MS);
            assert!(heard >= before, "{name} {bar}: {heard} of {before} reached the journal");
            assert!((heard + after..=all).contains(&n), "{name} {bar}: {n} of {heard} + {after} to {all}");
            // The outage is told, and no more than the outage: from the last batch until the streams are
            // there.
            let least = (until + BAR_MS - back) as f64 / BAR_MS as f64;
            assert!(
                sum.coverage >= least - 1e-12 && sum.coverage < 1.0,
                "{name} {bar}: coverage {} of {least} to 1, journalled until {until} ms, back by {back} ms",
                sum.coverage
            );
            let [quote] = raw.quotes[..] else { panic!("{name} {bar}: {:?}", raw.quotes) };
            let quoted = least - SENT_WITHIN_MS as f64 / BAR_MS as f64;
            assert!(quote.coverage > quoted, "{name} {bar}: quotes {} of {quoted}", quote.coverage);
        }
    }
    assert!(kills.iter().any(|kill| !kill.orders.is_empty()), "something was heard before a kill");
    let late: Vec<i64> = kills.iter().map(|kill| kill.at.0 - kill.journalled.0).collect();
    assert!(late.iter().any(|ms| *ms < JOURNALLED_WITHIN_MS), "the journal is written late: {late:?} ms");
    // A journal holds the open bar, not the day.
    let batches = store.updates().unwrap();
    assert!(batches.len() < 200, "{} batches", batches.len());
}
