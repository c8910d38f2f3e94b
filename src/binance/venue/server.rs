//! Starting and stopping the exchange.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::ScaledClock;
use backtestd_core::clock::Clock;
use backtestd_core::market::{DAY_MS, Ts};

use super::limits::{Limiter, Limits};
use super::state::{Tally, Venue};
use super::{archive, rest, ws};
use backtestd_lab::sim::Market;
use backtestd_lab::sim::Scenario;

/// How to run an exchange.
#[derive(Clone, Debug)]
pub struct ExchangeConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Seed of the market.
    pub seed: u64,
    /// What is simulated.
    pub scenario: Scenario,
    /// What the exchange's clock shows at start.
    pub start: Ts,
    /// Virtual milliseconds per real one.
    pub speed: f64,
    /// Request limits that the exchange enforces.
    pub limits: Limits,
    /// How far back `/futures/data` answers, days (the venue: 30).
    pub futures_data_days: i64,
    /// Real time between server pings; `None` is the venue's (3 min, spot 20 s).
    pub ping_every: Option<Duration>,
    /// Real time between two frames of one periodic stream when the clock runs fast.
    pub frame_gap: Duration,
    /// Virtual life of a websocket connection, milliseconds (the venue: 24 h).
    pub session_ms: i64,
}

impl Default for ExchangeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 1,
            scenario: Scenario::default(),
            start: Ts(1_772_323_200_000), // 2026-03-01T00:00:00Z
            speed: 1.0,
            limits: Limits::default(),
            futures_data_days: 30,
            ping_every: None,
            frame_gap: Duration::from_millis(250),
            session_ms: DAY_MS,
        }
    }
}

/// Why an exchange cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {addr}: {source}; choose a free loopback port, or port 0 for any")]
    Listen {
        /// Address that could not be bound.
        addr: SocketAddr,
        /// What the operating system reported.
        source: std::io::Error,
    },
    /// The clock would start before the market does.
    #[error(
        "start {start} lies before the scenario's genesis {genesis}; choose a later start or an earlier genesis"
    )]
    BeforeGenesis {
        /// Start of the clock that was asked for.
        start: Ts,
        /// First instant there is.
        genesis: Ts,
    },
}

/// A simulated exchange.
#[derive(Debug)]
pub struct Exchange;

/// An exchange that accepts connections. Dropping it without [`RunningExchange::shutdown`] stops it abruptly.
#[derive(Debug)]
pub struct RunningExchange {
    addr: SocketAddr,
    clock: Arc<ScaledClock>,
    market: Arc<Market>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Exchange {
    /// Listens and serves until [`RunningExchange::shutdown`].
    ///
    /// # Errors
    /// When the address cannot be bound or the start lies before genesis.
    pub async fn start(config: ExchangeConfig) -> Result<RunningExchange, ExchangeError> {
        let market = Arc::new(Market::new(config.seed, Arc::new(config.scenario.clone())));
        let genesis = market.genesis().open();
        if config.start < genesis {
            return Err(ExchangeError::BeforeGenesis { start: config.start, genesis });
        }
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|source| ExchangeError::Listen { addr: config.listen, source })?;
        let addr =
            listener.local_addr().map_err(|source| ExchangeError::Listen { addr: config.listen, source })?;
        let warm = Arc::clone(&market);
        let until = config.start.bar();
        if let Err(error) = tokio::task::spawn_blocking(move || warm.prepare(until)).await {
            tracing::warn!(%error, "the market could not be prepared ahead; it will be made on demand");
        }
        let clock = Arc::new(ScaledClock::new(config.start, config.speed));
        let (stop, stopping) = watch::channel(false);
        let names = config.scenario.symbols.iter().enumerate();
        let venue = Arc::new(Venue {
            names: names.map(|(n, s)| (s.name.as_str().to_owned(), n)).collect(),
            tally: Tally::default(),
            market: Arc::clone(&market),
            clock: Arc::clone(&clock),
            limiter: Limiter::new(config.limits),
            config,
            stopping: stopping.clone(),
        });
        let app = rest::routes()
            .merge(ws::routes())
            .merge(archive::routes())
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&venue), rest::dated))
            .with_state(venue)
            .into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move {
            let mut stopping = stopping;
            let stopped = async move {
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "the exchange stopped serving");
            }
        });
        tracing::info!(%addr, "exchange listening");
        Ok(RunningExchange { addr, clock, market, stop, server })
    }
}

impl RunningExchange {
    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The exchange's clock: a daemon in the same process lives by it.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// What is simulated, with the planted edges.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        self.market.scenario()
    }

    /// The market itself, for checks against the truth.
    #[must_use]
    pub fn market(&self) -> &Arc<Market> {
        &self.market
    }

    /// Base URL of REST, futures and spot alike: append `/fapi/...`, `/futures/data/...` or `/api/v3/...`.
    #[must_use]
    pub fn rest_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Base URL of the archive: append `/futures/um/...` or `/spot/...`.
    #[must_use]
    pub fn archive_url(&self) -> String {
        format!("http://{}/data", self.addr)
    }

    /// Base URL of futures websockets: append `/market/stream`, `/public/stream` or the `/ws` forms.
    #[must_use]
    pub fn futures_ws_url(&self) -> String {
        format!("ws://{}", self.addr)
    }

    /// Base URL of spot websockets: append `/ws` or `/stream`.
    #[must_use]
    pub fn spot_ws_url(&self) -> String {
        format!("ws://{}/spot", self.addr)
    }

    /// Closes every websocket, finishes the requests under way and stops. Waits at most five seconds.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        let mut server = self.server;
        if tokio::time::timeout(Duration::from_secs(5), &mut server).await.is_err() {
            server.abort();
        }
    }
}
