//! The websocket client.
//!
//! ```text
//! subscriptions ─ plan ─► shard: one route, ≤ n streams ─► supervisor ─► session (one socket)
//!                                                              │            │ frames → updates, stamped
//!                                                              │            ▼
//!                                                              └─ status ─► bounded queue ─► daemon
//! ```
//! A supervisor keeps its shard connected: it replaces a socket that ended (waiting longer after each
//! failure), that is near the exchange's 24 h limit (new one first, then the old one goes), or on which a
//! kind of stream went silent. What a disconnection costs is not hidden: it appears as
//! [`StreamStatus`](crate::StreamStatus) among the updates.

mod config;
mod liveness;
mod outlet;
mod plan;
mod session;
mod supervisor;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use supervisor::{Asked, Supervisor};

/// Time for all sockets to say goodbye when the client closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What may be asked of a connection before it has done it.
const ASKED: usize = 4;

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
    control: WsControl,
}

/// Tells the connections what their listener misses, and opens further ones. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WsControl(Arc<Connections>);

/// Everything that a further connection needs.
#[derive(Debug)]
struct Connections {
    config: Arc<WsConfig>,
    clock: Arc<dyn Clock>,
    outlet: Outlet,
    stats: Arc<WsStats>,
    stopped: watch::Receiver<bool>,
    lines: Mutex<Vec<Line>>,
}

/// A connection that is kept up.
#[derive(Debug)]
struct Line {
    shard: Arc<plan::Shard>,
    asked: mpsc::Sender<Asked>,
    task: JoinHandle<()>,
}

impl Connections {
    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WsControl {
    /// Replaces the connection that carries a stream, though other streams of it flow: the new one first.
    pub fn replace(&self, market: Market, missed: &Subscription) {
        let Some(route) = missed.kind().route(market) else { return };
        let name = missed.stream_name();
        let carries = |line: &&Line| line.shard.route == route && line.shard.streams.contains(&name);
        for line in self.0.lines().iter().filter(carries) {
            // A full queue has said it already.
            let _ = line.asked.try_send(Asked::Replace);
        }
    }

    /// Leaves the streams that nobody wants any more: a connection is replaced by one with those that stay,
    /// the new one first, and one that carries nothing else ends.
    ///
    /// # Errors
    /// When a market does not have a stream that is asked for; then everything goes on as it was.
    pub fn keep_only(&self, wanted: &[(Market, Subscription)]) -> Result<(), WsError> {
        let mut lines = self.0.lines();
        for line in lines.iter_mut() {
            let of_line = |(market, wanted): &&(Market, Subscription)| {
                wanted.kind().route(*market) == Some(line.shard.route)
                    && line.shard.streams.contains(&wanted.stream_name())
            };
            let staying: Vec<_> = wanted.iter().filter(of_line).cloned().collect();
            match plan::plan(&staying, usize::MAX)?.pop() {
                None => {
                    // A full queue is asked again when somebody else leaves.
                    let _ = line.asked.try_send(Asked::End);
                }
                Some(shard) if shard.streams.len() < line.shard.streams.len() => {
                    let shard = Arc::new(plan::Shard { index: line.shard.index, ..shard });
                    if line.asked.try_send(Asked::Narrow(Arc::clone(&shard))).is_ok() {
                        line.shard = shard;
                    }
                }
                Some(_) => {}
            }
        }
        lines.retain(|line| !line.task.is_finished());
        Ok(())
    }

    /// Opens further connections for what none carries yet; those that there are go on as they are. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// When a market does not have a stream that is asked for; then nothing is opened.
    pub fn add(&self, wanted: &[(Market, Subscription)]) -> Result<(), WsError> {
        let all = &self.0;
        let mut lines = all.lines();
        let is_carried = |(market, wanted): &&(Market, Subscription)| {
            let (route, name) = (wanted.kind().route(*market), wanted.stream_name());
            lines.iter().any(|line| Some(line.shard.route) == route && line.shard.streams.contains(&name))
        };
        let missing: Vec<_> = wanted.iter().filter(|wanted| !is_carried(wanted)).cloned().collect();
        for mut shard in plan::plan(&missing, all.config.streams_per_connection)? {
            let before = lines.iter().filter(|line| line.shard.route == shard.route).map(|l| l.shard.index);
            shard.index += before.max().map_or(0, |last| last + 1 - shard.index);
            let shard = Arc::new(shard);
            let (asked, asks) = mpsc::channel(ASKED);
            let seed = all.config.seed.wrapping_add(lines.len() as u64);
            let (config, clock) = (all.config.clone(), all.clock.clone());
            let (outlet, stopped) = (all.outlet.clone(), all.stopped.clone());
            let supervisor = Supervisor::new(config, shard.clone(), clock, outlet, stopped, asks, seed);
            lines.push(Line { shard, asked, task: tokio::spawn(supervisor.run()) });
        }
        Ok(())
    }
}

impl WsClient {
    /// Opens the connections that the subscriptions need. Updates and status changes come out of the
    /// receiver.
    ///
    /// Must be called within a tokio runtime. The clock stamps arrivals and scales cadences (silence, socket
    /// age); waits between attempts and the exchange's message rate are real time.
    ///
    /// # Errors
    /// When a market does not have a stream that is asked for.
    pub fn spawn(
        config: WsConfig,
        wanted: &[(Market, Subscription)],
        clock: &Arc<dyn Clock>,
    ) -> Result<(Self, mpsc::Receiver<Stamped>), WsError> {
        install_tls();
        let (queue, receiver) = mpsc::channel(QUEUE_UPDATES);
        let (stop, stopped) = watch::channel(false);
        let stats = Arc::<WsStats>::default();
        let connections = Connections {
            config: Arc::new(config),
            clock: Arc::clone(clock),
            outlet: Outlet::new(queue, stats.clone()),
            stats,
            stopped,
            lines: Mutex::default(),
        };
        let control = WsControl(Arc::new(connections));
        control.add(wanted)?;
        Ok((Self { stop, control }, receiver))
    }

    /// Counters over all connections.
    #[must_use]
    pub fn stats(&self) -> &Arc<WsStats> {
        &self.control.0.stats
    }

    /// Tells the connections what is missed.
    #[must_use]
    pub fn control(&self) -> WsControl {
        self.control.clone()
    }

    /// Closes all sockets properly.
    pub async fn close(self) {
        self.stop.send_replace(true);
        let lines = std::mem::take(&mut *self.control.0.lines());
        for mut line in lines {
            if tokio::time::timeout(CLOSE_TIMEOUT, &mut line.task).await.is_err() {
                line.task.abort();
            }
        }
    }
}

impl Drop for WsClient {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for line in self.control.0.lines().iter() {
            line.task.abort();
        }
    }
}
