//! One connection of the API: time for a request's head, room for so many connections, an end when the daemon
//! stops.
//!
//! A client that opens a connection and says nothing, or half a head, is cut after [`HEAD_DEADLINE`]; one
//! that waits for an answer (a run, the signal stream) is not. Bodies have a deadline of their own where they
//! are read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::Peer;

/// A request's head has to be here within this time of the connection, or of the answer before.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Largest head, bytes.
const HEAD_BYTES: usize = 32 << 10;
/// Connections at once; a further one waits to be accepted.
const CONNECTIONS: usize = 512;
/// Pause after an accept that failed (too many files): trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves what `accept` gives until `stop` turns true, then lets the requests under way end.
pub(super) async fn serve<I, F>(accept: impl Fn() -> F, app: Router, mut stop: watch::Receiver<bool>)
where
    F: Future<Output = io::Result<(I, Peer)>>,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        let accepted = async {
            // The semaphore is never closed.
            let place = Arc::clone(&room).acquire_owned().await.ok();
            (place, accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stopped(&mut stop) => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let app = app.clone().layer(Extension(ConnectInfo(peer)));
                let stop = stop.clone();
                open.spawn(async move {
                    one(stream, app, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the API could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while open.join_next().await.is_some() {}
}

async fn one<I>(stream: I, app: Router, mut stop: watch::Receiver<bool>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, "an API connection ended");
            }
            return;
        }
        () = stopped(&mut stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A closed channel means that the daemon is gone: stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}
