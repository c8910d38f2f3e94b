//! A small server on loopback whose behaviour each test writes.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::Response;
use axum::routing::any;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

/// Answers the n-th request (from 0): path and query in, response out.
pub(crate) type Answer = dyn Fn(usize, &str) -> Response<Body> + Send + Sync;

/// Handles the n-th socket (from 0), opened at a path.
pub(crate) type Handle = dyn Fn(usize, String, WebSocket) -> BoxFuture<'static, ()> + Send + Sync;

pub(crate) struct Http {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Http {
    /// Path and query of each request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn listen(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr.to_string()
}

pub(crate) async fn http(answer: impl Fn(usize, &str) -> Response<Body> + Send + Sync + 'static) -> Http {
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let answer: Arc<Answer> = Arc::new(answer);
    let seen = requests.clone();
    let handler = move |request: Request| {
        let target = request.uri().to_string();
        let mut seen = seen.lock().unwrap();
        seen.push(target.clone());
        let n = seen.len() - 1;
        let answer = answer.clone();
        async move { answer(n, &target) }
    };
    let address = listen(Router::new().fallback(handler)).await;
    Http { url: format!("http://{address}"), requests }
}

pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

pub(crate) fn ok(body: impl Into<Body>) -> Response<Body> {
    response(200, &[], body)
}

/// A parameter of a query, decoded only as far as the tests need.
pub(crate) fn parameter(target: &str, name: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    query.split('&').find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

pub(crate) struct Ws {
    pub url: String,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Ws {
    /// Path of each socket so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap().clone()
    }
}

pub(crate) async fn ws<F, T>(handle: F) -> Ws
where
    F: Fn(usize, String, WebSocket) -> T + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let paths = Arc::<Mutex<Vec<String>>>::default();
    let handle: Arc<Handle> = Arc::new(move |n, path, socket| Box::pin(handle(n, path, socket)));
    let shared = (paths.clone(), handle);
    type Shared = (Arc<Mutex<Vec<String>>>, Arc<Handle>);
    let handler = |State((paths, handle)): State<Shared>, upgrade: WebSocketUpgrade, request: Request| {
        let path = request.uri().to_string();
        async move {
            upgrade.on_upgrade(move |socket| {
                let n = {
                    let mut paths = paths.lock().unwrap();
                    paths.push(path.clone());
                    paths.len() - 1
                };
                handle(n, path, socket)
            })
        }
    };
    let address = listen(Router::new().fallback(any(handler)).with_state(shared)).await;
    Ws { url: format!("ws://{address}"), paths }
}

/// Reads one SUBSCRIBE, acknowledges it, and says what was asked; `None` when the client left.
pub(crate) async fn subscribed(socket: &mut WebSocket) -> Option<Vec<String>> {
    loop {
        let Message::Text(text) = socket.recv().await?.ok()? else { continue };
        let request: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(request["method"], "SUBSCRIBE");
        let ack = format!(r#"{{"result":null,"id":{}}}"#, request["id"]);
        socket.send(Message::text(ack)).await.ok()?;
        let names = request["params"].as_array().unwrap();
        return Some(names.iter().map(|n| n.as_str().unwrap().to_owned()).collect());
    }
}
