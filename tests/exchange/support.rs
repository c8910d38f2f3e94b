//! A stranger's client: reqwest and tokio-tungstenite.

use std::time::Duration;

use backtestd_binance::venue::{Exchange, ExchangeConfig, RunningExchange};
use backtestd_core::market::parse_time;
use backtestd_lab::sim::Scenario;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) const START: &str = "2025-02-03T10:02:00Z";

pub(crate) fn config(speed: f64) -> ExchangeConfig {
    let mut scenario = Scenario::default();
    scenario.faults.clear();
    ExchangeConfig { scenario, start: parse_time(START).unwrap(), speed, ..ExchangeConfig::default() }
}

pub(crate) async fn start(config: ExchangeConfig) -> RunningExchange {
    Exchange::start(config).await.unwrap()
}

pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub(crate) async fn get(exchange: &RunningExchange, path: &str) -> reqwest::Response {
    client().get(format!("{}{path}", exchange.rest_url())).send().await.unwrap()
}

pub(crate) async fn rows(exchange: &RunningExchange, path: &str) -> Vec<Value> {
    let response = get(exchange, path).await;
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

pub(crate) async fn connect(url: String) -> Socket {
    connect_async(url).await.unwrap().0
}

pub(crate) async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::Text(message.to_string().into())).await.unwrap();
}

/// The next text frame within five seconds.
pub(crate) async fn hear(socket: &mut Socket) -> Value {
    loop {
        let message = timeout(Duration::from_secs(5), socket.next()).await.expect("a frame in time");
        if let Message::Text(text) = message.expect("an open socket").expect("a sound frame") {
            return serde_json::from_str(text.as_str()).unwrap();
        }
    }
}

/// Reads until a frame is wanted, at most ten seconds.
pub(crate) async fn hear_until(socket: &mut Socket, wanted: impl Fn(&Value) -> bool) -> Value {
    timeout(Duration::from_secs(10), async {
        loop {
            let frame = hear(socket).await;
            if wanted(&frame) {
                return frame;
            }
        }
    })
    .await
    .expect("the wanted frame")
}

/// True if the server ends the connection within five seconds.
pub(crate) async fn is_ended(socket: &mut Socket) -> bool {
    timeout(Duration::from_secs(5), async {
        loop {
            match socket.next().await {
                None | Some(Err(_) | Ok(Message::Close(_))) => return,
                Some(Ok(_)) => {}
            }
        }
    })
    .await
    .is_ok()
}
