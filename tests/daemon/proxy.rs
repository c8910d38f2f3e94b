//! A proxy between daemon and exchange that does to requests and frames what a test tells it to.

use std::sync::{Arc, Mutex, RwLock};

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::Response;
use backtestd_binance::venue::RunningExchange;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message as Upstream;

/// What becomes of a request.
pub(crate) enum Verdict {
    /// It goes to the exchange and its answer comes back.
    Pass,
    /// It is answered here: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The exchange's body, changed.
    Edit(Box<dyn FnOnce(String) -> String + Send>),
}

impl Verdict {
    /// A failure without further words.
    pub(crate) fn fail(status: u16) -> Self {
        Self::Answer(status, Vec::new(), "<html>not now</html>".to_owned())
    }
}

type OnRequest = dyn Fn(&str) -> Verdict + Send + Sync;
type OnFrame = dyn Fn(&str, String) -> Vec<String> + Send + Sync;

struct Shared {
    rest_url: String,
    ws_url: String,
    client: reqwest::Client,
    on_request: RwLock<Arc<OnRequest>>,
    on_frame: RwLock<Arc<OnFrame>>,
    /// Every request with the status of its answer.
    log: Mutex<Vec<(String, u16)>>,
}

/// The running proxy.
pub(crate) struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// In front of an exchange, without a fault.
    pub(crate) async fn start(exchange: &RunningExchange) -> Self {
        backtestd_binance::install_tls();
        let shared = Arc::new(Shared {
            rest_url: exchange.rest_url(),
            ws_url: exchange.futures_ws_url(),
            client: reqwest::Client::new(),
            on_request: RwLock::new(Arc::new(|_: &str| Verdict::Pass)),
            on_frame: RwLock::new(Arc::new(|_: &str, text: String| vec![text])),
            log: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, shared }
    }

    /// The settings of a daemon that goes through it.
    pub(crate) fn settings(&self) -> [(&'static str, String); 4] {
        let (http, ws) = (format!("http://{}", self.address), format!("ws://{}", self.address));
        [
            ("binance-futures-rest", http.clone()),
            ("binance-spot-rest", http),
            ("binance-futures-ws", ws.clone()),
            ("binance-spot-ws", format!("{ws}/spot")),
        ]
    }

    /// From now on requests fare so.
    pub(crate) fn on_request(&self, verdict: impl Fn(&str) -> Verdict + Send + Sync + 'static) {
        *self.shared.on_request.write().unwrap() = Arc::new(verdict);
    }

    /// From now on frames to the daemon fare so: path and text in, what is sent on out.
    pub(crate) fn on_frame(&self, change: impl Fn(&str, String) -> Vec<String> + Send + Sync + 'static) {
        *self.shared.on_frame.write().unwrap() = Arc::new(change);
    }

    /// No more faults.
    pub(crate) fn heal(&self) {
        self.on_request(|_| Verdict::Pass);
        self.on_frame(|_, text| vec![text]);
    }

    /// Every request so far, with the status of its answer.
    pub(crate) fn log(&self) -> Vec<(String, u16)> {
        self.shared.log.lock().unwrap().clone()
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let target = request.uri().to_string();
    let (mut parts, _) = request.into_parts();
    if parts.headers.contains_key("upgrade") {
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &shared).await.unwrap();
        return upgrade.on_upgrade(move |socket| relay(shared, target, socket));
    }
    let verdict = (shared.on_request.read().unwrap().clone())(&target);
    let (status, headers, body) = match verdict {
        Verdict::Answer(status, headers, body) => (status, headers, body),
        verdict => {
            let answer = shared.client.get(format!("{}{target}", shared.rest_url)).send().await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.text().await.unwrap();
            let body = if let Verdict::Edit(edit) = verdict { edit(body) } else { body };
            (status, Vec::new(), body)
        }
    };
    shared.log.lock().unwrap().push((target, status));
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(Body::from(body)).unwrap()
}

async fn relay(shared: Arc<Shared>, path: String, socket: WebSocket) {
    let url = format!("{}{path}", shared.ws_url);
    let Ok((upstream, _)) = tokio_tungstenite::connect_async(&url).await else { return };
    let (mut to_exchange, mut from_exchange) = upstream.split();
    let (mut to_daemon, mut from_daemon) = socket.split();
    loop {
        tokio::select! {
            message = from_daemon.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if to_exchange.send(Upstream::text(text.as_str())).await.is_err() { return }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            message = from_exchange.next() => match message {
                Some(Ok(Upstream::Text(text))) => {
                    let change = shared.on_frame.read().unwrap().clone();
                    for text in change(&path, text.as_str().to_owned()) {
                        if to_daemon.send(Message::text(text)).await.is_err() { return }
                    }
                }
                Some(Ok(Upstream::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}
