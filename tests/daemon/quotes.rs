//! Best quotes, collected live: there is no history of them, so what was not heard stays unknown.

use backtestd_core::market::{BarIndex, QuoteBar, Symbol};
use backtestd_lab::sim::{Fault, FaultKind, Scenario};
use backtestd_store::Store;
use serde_json::Value;

use crate::support::{Home, begin, committed, exchange_of};

/// A bar a second.
const SPEED: f64 = 300.0;
/// The websockets are cut this many bars after the exchange starts, for so many bars.
const CUT_AFTER: i64 = 30;
const CUT_BARS: i64 = 5;

fn is_unknown(quote: &QuoteBar) -> bool {
    [
        quote.spread_bps_mean,
        quote.spread_bps_max,
        quote.spread_bps_last,
        quote.bid_depth_usd,
        quote.ask_depth_usd,
        quote.imb_mean,
        quote.imb_last,
    ]
    .iter()
    .all(|value| value.is_nan())
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_reach_the_store_live_and_a_cut_of_the_stream_leaves_them_unknown() {
    let cut = begin().bar() + CUT_AFTER;
    let every_bars = 10_000;
    let fault = Fault {
        kind: FaultKind::Disconnect,
        every_bars,
        at_bar: cut.0.rem_euclid(every_bars),
        bars: CUT_BARS,
        symbols: Vec::new(),
        share: 1.0,
        ..Fault::default()
    };
    let exchange = exchange_of(Scenario { faults: vec![fault], ..Scenario::default() }, SPEED).await;
    let mut home = Home::new(&exchange, SPEED, 1);
    home.set("collect", "quotes");
    home.set("grace-ms", "60000");
    let mut daemon = home.start();
    home.wait_for("ticks after the cut", |s| committed(s).bar() > cut + CUT_BARS + 8).await;
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));

    let store = Store::open(&home.path("state")).unwrap();
    let symbols = [Symbol::new("BTCUSDT").unwrap(), Symbol::new("SOLUSDT").unwrap()];
    let rows = usize::try_from(CUT_AFTER + CUT_BARS + 8).unwrap();
    let block = store.raw(&symbols, begin().bar(), rows).unwrap();
    let history = store.raw(&symbols, begin().bar() - 288, 288).unwrap();
    let mut last_known = cut;
    for ((symbol, raw), before) in block.by_symbol(&symbols).zip(&history.symbols) {
        assert!(before.quotes.is_empty(), "{symbol}: nobody heard quotes before the start");
        let heard = |from: BarIndex, to: BarIndex| {
            let inside = |q: &&QuoteBar| q.bar >= from && q.bar < to;
            raw.quotes.iter().filter(inside).filter(|q| q.coverage > 0.5).collect::<Vec<_>>()
        };
        let known = [heard(begin().bar(), cut), heard(cut + CUT_BARS, begin().bar() + rows as i64)];
        assert!(known.iter().all(|side| side.len() >= 2), "{symbol}: {:#?}", raw.quotes);
        last_known = known[1].last().unwrap().bar;
        for quote in known.iter().flatten() {
            assert!(quote.spread_bps_last > 0.0 && quote.spread_bps_mean < 50.0, "{symbol}: {quote:?}");
            assert!(quote.spread_bps_max >= quote.spread_bps_mean, "{symbol}: {quote:?}");
            assert!(quote.bid_depth_usd > 0.0 && quote.ask_depth_usd > 0.0, "{symbol}: {quote:?}");
            assert!(quote.imb_mean.abs() <= 1.0, "{symbol}: {quote:?}");
        }
        // The last quote before the cut still counts for a minute of the first bar; nothing does after that.
        for bar in (1..CUT_BARS).map(|n| cut + n) {
            for quote in raw.quotes.iter().filter(|q| q.bar == bar) {
                assert!(is_unknown(quote) && quote.coverage == 0.0, "{symbol}: {quote:?}");
            }
            assert!(raw.perp.iter().any(|b| b.bar == bar), "{symbol}: REST has the bar that no stream sent");
        }
    }
    drop(store);

    // What the expressions read is unknown too, not zero and not the last value.
    let read = |bar: BarIndex| {
        let at = bar.open().to_string();
        let output = home
            .command(&[
                "spec",
                "explain",
                "--json",
                "--at",
                &at,
                "--symbol",
                "BTCUSDT",
                "SPREAD_BLOWOUT",
                "--state",
            ])
            .arg(home.path("state"))
            .arg("--spec")
            .arg(crate::support::spec_dir())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
        let nodes = explained["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["name"] == "spread_bps_mean").unwrap()["value"].clone()
    };
    assert_eq!(read(cut + 2), Value::Null);
    assert!(read(last_known).as_f64().unwrap() > 0.0);
}
