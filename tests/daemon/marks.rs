//! Marks while their stream is muted: the predicted rate has no history, so it is asked for before the bar
//! closes.

use backtestd_core::market::Symbol;
use backtestd_lab::sim::{Fault, FaultKind, Scenario};
use backtestd_store::Store;

use super::support::{Home, begin, committed, exchange_of, tally};

/// A bar in five seconds.
const SPEED: f64 = 60.0;
/// The stream of marks says nothing for so many bars from the third on.
const MUTED_BARS: i64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_predicted_rate_that_no_stream_brought_is_asked_for_before_its_bar_closes() {
    let first = begin().bar() + 3;
    let muted = Fault {
        streams: vec!["markPrice".to_owned()],
        ..Fault::once(FaultKind::SilentStreams, first, MUTED_BARS)
    };
    let exchange = exchange_of(Scenario { faults: vec![muted], ..Scenario::default() }, SPEED).await;
    let mut home = Home::new(&exchange, SPEED, 1);
    home.set("collect", "funding,mark");
    let mut daemon = home.start();
    let asked = || async { tally(&exchange).await["request /fapi/v1/premiumIndex"].as_i64().unwrap_or(0) };
    home.wait_for("the bar before", |s| committed(s).bar() >= first - 1).await;
    let before = asked().await;
    home.wait_for("the bar after", |s| committed(s).bar() > first + MUTED_BARS).await;
    assert_eq!(daemon.terminate().0.code(), Some(0));

    // Once a bar at most: those that were muted, and the ones beside them whose last minute was.
    let asked = asked().await - before;
    assert!((MUTED_BARS - 1..=MUTED_BARS + 2).contains(&asked), "{asked} questions");
    let store = Store::open(&home.path("state")).unwrap();
    let symbols = ["BTCUSDT", "SOLUSDT"].map(|name| Symbol::new(name).unwrap());
    let block = store.raw(&symbols, first, usize::try_from(MUTED_BARS).unwrap()).unwrap();
    for (symbol, raw) in block.by_symbol(&symbols) {
        assert_eq!(raw.mark.len(), usize::try_from(MUTED_BARS).unwrap(), "{symbol}");
        for mark in &raw.mark {
            assert!(mark.predicted_rate.is_finite() && mark.mark > 0.0, "{symbol}: {mark:?}");
        }
    }
}
