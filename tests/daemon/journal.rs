//! `kill -9` in the middle of a bar: what was heard of it so far, and has no history, is there after the restart.

use backtestd_core::market::{BAR_MS, BarIndex, Symbol, Ts};
use backtestd_store::Store;

use crate::support::{Home, committed, exchange};

/// A bar in seven and a half seconds.
const SPEED: f64 = 40.0;
const KILLS: usize = 3;
/// How far into a bar the daemon is killed.
const KILLED_MS: i64 = BAR_MS * 6 / 10;
/// What may be missing before a kill: a batch of the journal is made ten times a real second, and an order comes a second
/// after it was filled. Generous, for a busy machine.
const SLACK_MS: i64 = 45_000;
const SYMBOLS: [&str; 6] = ["BNBUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"];

struct Kill {
    bar: BarIndex,
    at: Ts,
    live_again: Ts,
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
        let is_busy =
            |bar: &BarIndex| SYMBOLS.iter().any(|s| orders(s, *bar, SLACK_MS / 2, KILLED_MS - SLACK_MS) > 0);
        let bar = (0..200).map(|n| next + n).find(is_busy).expect("a liquidation within 200 bars");
        tokio::time::sleep(clock.wall_until(Ts(bar.open().0 + KILLED_MS))).await;
        daemon.assert_alive();
        daemon.kill();
        let at = clock.now();
        daemon = home.start();
        home.wait_until_live().await;
        kills.push(Kill { bar, at, live_again: clock.now() });
    }
    let last = kills.last().unwrap().live_again.bar();
    home.wait_for("two ticks more", |s| committed(s).bar() > last + 1).await;
    assert_eq!(daemon.terminate().0.code(), Some(0));

    let store = Store::open(&home.path("state")).unwrap();
    let names: Vec<Symbol> = SYMBOLS.map(|s| Symbol::new(s).unwrap()).to_vec();
    let mut heard_before = 0;
    for Kill { bar, at, live_again } in kills {
        let since_open = |ts: Ts| (ts.0 - bar.open().0).clamp(0, BAR_MS);
        let (killed, back) = (since_open(at), since_open(live_again));
        let raw = store.raw(&names, bar, 1).unwrap();
        for (name, raw) in raw.by_symbol(&names) {
            let [sum] = raw.liquidations[..] else { panic!("{name} {bar}: {:?}", raw.liquidations) };
            let n = (sum.long_n + sum.short_n) as u64;
            let before = orders(name.as_str(), bar, 0, killed - SLACK_MS);
            let after = orders(name.as_str(), bar, back + SLACK_MS, BAR_MS - SLACK_MS);
            let all = orders(name.as_str(), bar, 0, BAR_MS);
            assert!((before + after..=all).contains(&n), "{name} {bar}: {n} of {before} + {after} to {all}");
            heard_before += before;
            // The outage is told, and no more than the outage.
            let least = (killed - SLACK_MS + (BAR_MS - back - SLACK_MS).max(0)) as f64 / BAR_MS as f64;
            assert!(
                sum.coverage > least && sum.coverage < 1.0,
                "{name} {bar}: coverage {} of {least} to 1, killed at {killed} ms, back by {back} ms",
                sum.coverage
            );
            let [quote] = raw.quotes[..] else { panic!("{name} {bar}: {:?}", raw.quotes) };
            assert!(quote.coverage > least, "{name} {bar}: quotes {} of {least}", quote.coverage);
        }
    }
    assert!(heard_before > 0, "something was heard before a kill");
    // A journal holds the open bar, not the day.
    let batches = store.updates().unwrap();
    assert!(batches.len() < 200, "{} batches", batches.len());
}
