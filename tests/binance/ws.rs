//! The websocket client against a server that misbehaves as the real one does.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use backtestd_binance::clock::{ScaledClock, SystemClock};
use backtestd_binance::{
    Silence, Stamped, StreamKind, StreamState, Subscription, Update, WsClient, WsConfig,
};
use backtestd_core::clock::Clock;
use backtestd_core::market::{Market, Symbol, Ts};
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use crate::server::{self, subscribed};

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn config(url: &str) -> WsConfig {
    WsConfig {
        spot_url: url.to_owned(),
        backoff_base: Duration::from_millis(20),
        backoff_cap: Duration::from_millis(100),
        overlap: Duration::from_millis(100),
        setup_timeout: Duration::from_secs(20),
        ..WsConfig::simulated(url)
    }
}

fn spawn(config: WsConfig, wanted: &[(Market, Subscription)]) -> (WsClient, Receiver<Stamped>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    WsClient::spawn(config, wanted, &clock).unwrap()
}

fn mark(n: i64) -> Message {
    Message::text(format!(
        r#"{{"stream":"btcusdt@markPrice@1s","data":{{"e":"markPriceUpdate","E":{n},"s":"BTCUSDT","p":"1","i":"1","r":"0","T":0}}}}"#
    ))
}

fn force_order(n: i64) -> Message {
    Message::text(format!(
        r#"{{"stream":"!forceOrder@arr","data":{{"e":"forceOrder","E":{n},"o":{{"s":"BTCUSDT","S":"SELL","q":"1","p":"1","ap":"1","z":"1","T":{n}}}}}}}"#
    ))
}

fn quote(n: i64) -> Message {
    Message::text(format!(
        r#"{{"stream":"btcusdt@bookTicker","data":{{"u":{n},"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}}}}"#
    ))
}

/// Keeps a socket open until the client leaves.
async fn until_closed(mut socket: WebSocket) {
    while let Some(Ok(_)) = socket.recv().await {}
}

/// The next update that `wanted` picks something from.
async fn next<T>(updates: &mut Receiver<Stamped>, mut wanted: impl FnMut(&Update) -> Option<T>) -> T {
    let search = async {
        loop {
            let stamped = updates.recv().await.expect("the client ended");
            if let Some(found) = wanted(&stamped.update) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(20), search).await.expect("the update did not come")
}

async fn next_status(updates: &mut Receiver<Stamped>) -> (StreamKind, StreamState, String) {
    next(updates, |update| match update {
        Update::Stream(s) => Some((s.kind, s.state, s.reason.clone())),
        _ => None,
    })
    .await
}

async fn next_mark(updates: &mut Receiver<Stamped>) -> i64 {
    next(updates, |update| match update {
        Update::Mark(m) => Some(m.event_ts.0),
        _ => None,
    })
    .await
}

const MARKS: (Market, Subscription) = (Market::Perp, Subscription::AllMarkPrices);
const LIQUIDATIONS: (Market, Subscription) = (Market::Perp, Subscription::AllForceOrders);

#[tokio::test]
async fn each_stream_is_asked_on_its_own_route_and_never_on_the_retired_one() {
    let asked = Arc::<Mutex<BTreeSet<(String, String)>>>::default();
    let seen = asked.clone();
    let ws = server::ws(move |_, path, mut socket| {
        let seen = seen.clone();
        async move {
            while let Some(names) = subscribed(&mut socket).await {
                seen.lock().unwrap().extend(names.into_iter().map(|name| (path.clone(), name)));
            }
        }
    })
    .await;
    let wanted = [
        MARKS,
        LIQUIDATIONS,
        (Market::Perp, Subscription::Kline5m(btc())),
        (Market::Perp, Subscription::BookTicker(btc())),
        (Market::Spot, Subscription::Kline5m(btc())),
    ];
    let (client, mut updates) = spawn(config(&ws.url), &wanted);
    for _ in 0..5 {
        assert_eq!(next_status(&mut updates).await.1, StreamState::Live);
    }
    let asked: Vec<(String, String)> = asked.lock().unwrap().iter().cloned().collect();
    let pair = |path: &str, name: &str| (path.to_owned(), name.to_owned());
    assert_eq!(
        asked,
        [
            pair("/market/stream", "!forceOrder@arr"),
            pair("/market/stream", "!markPrice@arr@1s"),
            pair("/market/stream", "btcusdt@kline_5m"),
            pair("/public/stream", "btcusdt@bookTicker"),
            pair("/stream", "btcusdt@kline_5m"),
        ]
    );
    client.close().await;
    while updates.recv().await.is_some() {}
}

#[tokio::test]
async fn after_a_disconnection_everything_is_subscribed_again_and_the_hole_is_told() {
    let ws = server::ws(|n, _, mut socket| async move {
        subscribed(&mut socket).await;
        drop(socket.send(mark(n as i64 * 10)).await);
        if n == 0 {
            // Gone without a word.
            return;
        }
        until_closed(socket).await;
    })
    .await;
    let (_client, mut updates) = spawn(config(&ws.url), &[MARKS]);
    let mut story = Vec::new();
    while story.len() < 5 {
        let word = next(&mut updates, |update| match update {
            Update::Stream(s) => Some(s.state.name().to_owned()),
            Update::Mark(m) => Some(m.event_ts.0.to_string()),
            _ => None,
        })
        .await;
        story.push(word);
    }
    let states: Vec<&str> = story.iter().map(String::as_str).filter(|w| w.len() > 2).collect();
    assert_eq!(states, ["live", "down", "live"], "{story:?}");
    assert!(story.contains(&"0".to_owned()) && story.contains(&"10".to_owned()), "{story:?}");
}

#[tokio::test]
async fn a_kind_that_stays_silent_while_others_flow_is_stale_and_the_socket_is_replaced() {
    // The first socket acknowledges everything and sends mark prices only, as the retired path did.
    let ws = server::ws(|n, _, mut socket| async move {
        subscribed(&mut socket).await;
        for i in 0.. {
            if socket.send(mark(i)).await.is_err() {
                return;
            }
            if n > 0 && socket.send(force_order(i)).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let silence = Silence { force_order_ms: 1000, floor: Duration::from_millis(800), ..Silence::default() };
    let (client, mut updates) = spawn(WsConfig { silence, ..config(&ws.url) }, &[MARKS, LIQUIDATIONS]);
    let stale = next(&mut updates, |update| match update {
        Update::Stream(s) if s.state != StreamState::Live => Some(s.clone()),
        _ => None,
    })
    .await;
    assert_eq!((stale.kind, stale.state), (StreamKind::ForceOrder, StreamState::Stale));
    // Mark prices were never interrupted: the old socket stayed until the new one was ready.
    let again = next_status(&mut updates).await;
    assert_eq!((again.0, again.1), (StreamKind::ForceOrder, StreamState::Live));
    next(&mut updates, |u| matches!(u, Update::ForceOrder(_)).then_some(())).await;
    assert_eq!(ws.paths().len(), 2);
    assert_eq!(client.stats().silences.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_old_socket_is_replaced_without_a_moment_of_darkness() {
    let open = Arc::<Mutex<Vec<(usize, &'static str)>>>::default();
    let log = open.clone();
    let ws = server::ws(move |n, _, mut socket| {
        let log = log.clone();
        async move {
            subscribed(&mut socket).await;
            log.lock().unwrap().push((n, "open"));
            drop(socket.send(mark(n as i64)).await);
            until_closed(socket).await;
            log.lock().unwrap().push((n, "closed"));
        }
    })
    .await;
    // A clock that makes 23 hours of 300 ms.
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(Ts(0), 23.0 * 3_600_000.0 / 300.0));
    let settings = WsConfig { lifetime_floor: Duration::ZERO, ..config(&ws.url) };
    let (client, mut updates) = WsClient::spawn(settings, &[MARKS], &clock).unwrap();
    assert_eq!(next_status(&mut updates).await.1, StreamState::Live);
    for n in 0..3 {
        assert_eq!(next_mark(&mut updates).await, n);
    }
    client.close().await;
    while let Some(stamped) = updates.recv().await {
        assert!(!matches!(stamped.update, Update::Stream(_)), "never down: {stamped:?}");
    }
    timeout(Duration::from_secs(5), async {
        while open.lock().unwrap().iter().filter(|(_, what)| *what == "closed").count() < 3 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("all sockets are closed in the end");
    let log = open.lock().unwrap().clone();
    let at = |entry| log.iter().position(|e| *e == entry).unwrap();
    assert!(at((1, "open")) < at((0, "closed")), "{log:?}");
    assert!(at((2, "open")) < at((1, "closed")), "{log:?}");
}

#[tokio::test]
async fn a_server_that_announces_its_shutdown_is_left_at_once() {
    let ws = server::ws(|n, _, mut socket| async move {
        subscribed(&mut socket).await;
        if n == 0 {
            drop(socket.send(Message::text(r#"{"e":"serverShutdown","E":1}"#)).await);
        }
        until_closed(socket).await;
    })
    .await;
    let (client, mut updates) = spawn(config(&ws.url), &[(Market::Spot, Subscription::BookTicker(btc()))]);
    assert_eq!(next_status(&mut updates).await.1, StreamState::Live);
    timeout(Duration::from_secs(5), async {
        while client.stats().handovers.load(Ordering::Relaxed) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(ws.paths().len(), 2);
}

#[tokio::test]
async fn a_refused_subscription_is_down_with_its_reason_and_tried_again() {
    let ws = server::ws(|n, _, mut socket| async move {
        if n == 0 {
            drop(socket.recv().await);
            let refusal = r#"{"error":{"code":2,"msg":"Invalid request: too many parameters"},"id":1}"#;
            drop(socket.send(Message::text(refusal)).await);
        } else {
            subscribed(&mut socket).await;
        }
        until_closed(socket).await;
    })
    .await;
    let (_client, mut updates) = spawn(config(&ws.url), &[MARKS]);
    let (_, state, reason) = next_status(&mut updates).await;
    assert_eq!(state, StreamState::Down);
    assert!(reason.contains("too many parameters"), "{reason}");
    assert_eq!(next_status(&mut updates).await.1, StreamState::Live);
}

#[tokio::test]
async fn a_socket_that_never_acknowledges_is_given_up() {
    let ws = server::ws(|n, _, mut socket| async move {
        if n > 0 {
            subscribed(&mut socket).await;
        }
        until_closed(socket).await;
    })
    .await;
    let settings = WsConfig { setup_timeout: Duration::from_millis(300), ..config(&ws.url) };
    let (_client, mut updates) = spawn(settings, &[MARKS]);
    let (_, state, reason) = next_status(&mut updates).await;
    assert_eq!(state, StreamState::Down);
    assert!(reason.contains("0 of 1 subscriptions acknowledged"), "{reason}");
    assert_eq!(next_status(&mut updates).await.1, StreamState::Live);
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let (pong_in, mut pong) = tokio::sync::mpsc::channel(1);
    let ws = server::ws(move |_, _, mut socket| {
        let pong_in = pong_in.clone();
        async move {
            subscribed(&mut socket).await;
            drop(socket.send(Message::Ping("1790000000000".into())).await);
            while let Some(Ok(message)) = socket.recv().await {
                if let Message::Pong(payload) = message {
                    drop(pong_in.send(payload).await);
                }
            }
        }
    })
    .await;
    let (_client, _updates) = spawn(config(&ws.url), &[MARKS]);
    let payload = timeout(Duration::from_secs(5), pong.recv()).await.unwrap().unwrap();
    assert_eq!(&payload[..], b"1790000000000");
}

#[tokio::test]
async fn a_slow_consumer_loses_no_liquidation_and_gets_the_latest_quote() {
    const N: i64 = 30_000;
    let ws = server::ws(|_, path, mut socket| async move {
        subscribed(&mut socket).await;
        for n in 0..N {
            let message = if path.starts_with("/public") { quote(n) } else { force_order(n) };
            if socket.send(message).await.is_err() {
                return;
            }
        }
        until_closed(socket).await;
    })
    .await;
    let wanted = [LIQUIDATIONS, (Market::Perp, Subscription::BookTicker(btc()))];
    let (client, mut updates) = spawn(config(&ws.url), &wanted);
    // More than the queue holds is on its way before anything is read.
    sleep(Duration::from_millis(500)).await;
    let (mut liquidations, mut quotes) = (Vec::new(), Vec::new());
    while liquidations.len() < N as usize || quotes.last() != Some(&(N - 1)) {
        let stamped = timeout(Duration::from_secs(20), updates.recv()).await.unwrap().unwrap();
        match stamped.update {
            Update::ForceOrder(f) => liquidations.push(f.trade_ts.0),
            Update::BookTicker(b) => quotes.push(b.update_id),
            _ => {}
        }
    }
    assert_eq!(liquidations, (0..N).collect::<Vec<_>>());
    assert!(quotes.is_sorted(), "an older quote never follows a newer one");
    let merged = client.stats().merged_quotes.load(Ordering::Relaxed);
    assert_eq!(quotes.len() as u64 + merged, N as u64, "every quote was handed over or merged");
}

#[tokio::test]
async fn an_unreadable_message_is_counted_and_the_rest_goes_on() {
    let ws = server::ws(|_, _, mut socket| async move {
        subscribed(&mut socket).await;
        drop(socket.send(Message::text("{\"stream\":\"btcusdt@markPrice\",\"data\":{}}")).await);
        drop(socket.send(Message::Binary(vec![0xff, 0xfe].into())).await);
        drop(socket.send(mark(5)).await);
        until_closed(socket).await;
    })
    .await;
    let (client, mut updates) = spawn(config(&ws.url), &[MARKS]);
    assert_eq!(next_mark(&mut updates).await, 5);
    assert_eq!(client.stats().wire_errors.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn many_streams_are_subscribed_slower_than_the_exchange_allows() {
    let stamps = Arc::<Mutex<Vec<std::time::Instant>>>::default();
    let log = stamps.clone();
    let ws = server::ws(move |_, _, mut socket| {
        let log = log.clone();
        async move {
            while subscribed(&mut socket).await.is_some() {
                log.lock().unwrap().push(std::time::Instant::now());
            }
        }
    })
    .await;
    let symbol = |i: usize| Symbol::new(&format!("COIN{i}USDT")).unwrap();
    let wanted: Vec<_> = (0..900).map(|i| (Market::Perp, Subscription::AggTrade(symbol(i)))).collect();
    let settings = WsConfig { streams_per_connection: 1024, ..config(&ws.url) };
    let (_client, mut updates) = spawn(settings, &wanted);
    assert_eq!(next_status(&mut updates).await.1, StreamState::Live);
    let stamps = stamps.lock().unwrap().clone();
    assert!(stamps.len() >= 5, "{} messages", stamps.len());
    let span = *stamps.last().unwrap() - stamps[0];
    let per_second = (stamps.len() - 1) as f64 / span.as_secs_f64();
    assert!(per_second < 8.0, "{per_second} messages a second");
}
