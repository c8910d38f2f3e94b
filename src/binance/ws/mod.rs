//! The websocket client.
//!
//! ```text
//! subscriptions ─ plan ─► shard: one route, ≤ n streams ─► supervisor ─► session (one socket)
//!                                                              │            │ frames → updates, stamped
//!                                                              │            ▼
//!                                                              └─ status ─► bounded queue ─► daemon
//! ```
//! A supervisor keeps its shard connected: it replaces a socket that ended (waiting longer after each failure), that is
//! near the exchange's 24 h limit (new one first, then the old one goes), or on which a kind of stream went silent. What a
//! disconnection costs is not hidden: it appears as [`StreamStatus`](crate::StreamStatus) among the updates.

mod config;
mod liveness;
mod outlet;
mod plan;
mod session;
mod supervisor;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use config::QUEUE_UPDATES;
pub use config::{Sieve, WsConfig};
pub use liveness::Silence;
pub use outlet::WsStats;

use super::rest::install_tls;
use super::routes::Subscription;
use super::update::Stamped;
use backtestd_core::clock::Clock;
use backtestd_core::market::Market;
use outlet::Outlet;
use supervisor::Supervisor;

/// Time for all sockets to say goodbye when the client closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What cannot be subscribed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WsError {
    /// The market does not serve such a stream.
    #[error("the {market} market has no stream `{stream}`")]
    NoSuchStream {
        /// The market asked.
        market: Market,
        /// The stream asked for.
        stream: String,
    },
}

/// The running client. Dropping it ends all connections.
#[derive(Debug)]
pub struct WsClient {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    stats: Arc<WsStats>,
    control: WsControl,
}

/// Tells the connections what their listener misses. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WsControl {
    shards: Arc<[(Arc<plan::Shard>, mpsc::Sender<()>)]>,
}

impl WsControl {
    /// Replaces the connection that carries a stream, though other streams of it flow: the new one first.
    pub fn replace(&self, market: Market, missed: &Subscription) {
        let Some(route) = missed.kind().route(market) else { return };
        let name = missed.stream_name();
        let carries = |shard: &plan::Shard| shard.route == route && shard.streams.contains(&name);
        for (_, asked) in self.shards.iter().filter(|(shard, _)| carries(shard)) {
            // A full queue has said it already.
            let _ = asked.try_send(());
        }
    }
}

impl WsClient {
    /// Opens the connections that the subscriptions need. Updates and status changes come out of the receiver.
    ///
    /// Must be called within a tokio runtime. The clock stamps arrivals and scales cadences (silence, socket age);
    /// waits between attempts and the exchange's message rate are real time.
    ///
    /// # Errors
    /// When a market does not have a stream that is asked for.
    pub fn spawn(
        config: WsConfig,
        wanted: &[(Market, Subscription)],
        clock: &Arc<dyn Clock>,
    ) -> Result<(Self, mpsc::Receiver<Stamped>), WsError> {
        install_tls();
        let shards = plan::plan(wanted, config.streams_per_connection)?;
        let config = Arc::new(config);
        let stats = Arc::<WsStats>::default();
        let (queue, receiver) = mpsc::channel(QUEUE_UPDATES);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        let mut asks = Vec::new();
        for (n, shard) in shards.into_iter().enumerate() {
            let (ask, asked) = mpsc::channel(1);
            let shard = Arc::new(shard);
            let outlet = Outlet::new(queue.clone(), stats.clone());
            let seed = config.seed.wrapping_add(n as u64);
            let (config, clock) = (config.clone(), clock.clone());
            let supervisor =
                Supervisor::new(config, shard.clone(), clock, outlet, stopped.clone(), asked, seed);
            asks.push((shard, ask));
            tasks.push(tokio::spawn(supervisor.run()));
        }
        let control = WsControl { shards: asks.into() };
        Ok((Self { stop, tasks, stats, control }, receiver))
    }

    /// Counters over all connections.
    #[must_use]
    pub const fn stats(&self) -> &Arc<WsStats> {
        &self.stats
    }

    /// Tells the connections what is missed.
    #[must_use]
    pub fn control(&self) -> WsControl {
        self.control.clone()
    }

    /// Closes all sockets properly.
    pub async fn close(mut self) {
        self.stop.send_replace(true);
        for mut task in std::mem::take(&mut self.tasks) {
            if tokio::time::timeout(CLOSE_TIMEOUT, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for WsClient {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for task in &self.tasks {
            task.abort();
        }
    }
}
