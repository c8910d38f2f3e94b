//! Starting and stopping: what must exist before the loop turns, and what is told to whom.

use backtestd_store::load_specs;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::runs::Runs;
use super::specs::Specs;
use super::stream_state::StreamStates;
use super::ticks::Gaps;
use super::{Inputs, MainLoop, Signal};
use crate::daemon::api::{self, ApiError};
use crate::daemon::config::{ClockSource, Config};
use crate::daemon::feed::{self, Follow};
use crate::daemon::live::{Aggregates, TickBook};
use crate::daemon::shared::Shared;
use crate::daemon::spec_watch::SpecWatch;
use crate::daemon::status::{Phase, SeriesStatus};
use crate::daemon::storage::{Storage, StorageError};
use crate::daemon::systemd::ServiceManager;
use backtestd_binance::clock::{ScaledClock, SystemClock};
use backtestd_binance::{Rest, RestConfig, RestError, WsClient, WsConfig, WsError, install_tls};
use backtestd_core::clock::Clock;
use backtestd_core::market::Market;
use backtestd_core::spec::{CompiledSpec, SpecErrors};

/// Signals that may wait to be handled.
const SIGNAL_QUEUE: usize = 8;
/// How long the exchange may take to say what time it is, at the start.
const CLOCK_DEADLINE: Duration = Duration::from_secs(30);
/// Time for open API connections to end.
const API_STOP_DEADLINE: Duration = Duration::from_millis(500);

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The spec tree is not valid; at the start there is no older one to stay in force.
    #[error("the specs in {} are not valid:\n{errors}", dir.display())]
    Spec {
        /// The tree.
        dir: PathBuf,
        /// What is wrong.
        errors: Box<SpecErrors>,
    },
    /// The store could not be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The API cannot listen.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The REST client could not be made, or the exchange did not say what time it is.
    #[error("the exchange cannot be reached: {0}; check binance.futures_rest")]
    Rest(#[from] RestError),
    /// A stream does not exist.
    #[error(transparent)]
    Streams(#[from] WsError),
    /// The spec tree cannot be watched.
    #[error("{} cannot be watched: {reason}; check that it exists and that fs.inotify.max_user_watches suffices", dir.display())]
    Watch {
        /// The tree.
        dir: PathBuf,
        /// Why.
        reason: String,
    },
    /// The operating system refused a signal handler.
    #[error("signals cannot be handled: {0}")]
    Signals(std::io::Error),
    /// Something that must not fail failed while running.
    #[error("{0}")]
    Failed(String),
}

/// Stops a daemon from within the process, as SIGTERM does from outside.
#[derive(Clone, Debug)]
pub struct Stopper(mpsc::Sender<Signal>);

impl Stopper {
    /// Asks it to stop; returns at once.
    pub fn stop(&self) {
        // A full queue already holds a reason to act.
        let _ = self.0.try_send(Signal::Stop);
    }
}

/// A daemon that is about to run.
#[derive(Debug)]
pub struct Daemon {
    main_loop: MainLoop,
    shared: Arc<Shared>,
    signals: mpsc::Sender<Signal>,
    websocket: WsClient,
    api: JoinSet<Result<(), String>>,
    _watch: SpecWatch,
}

impl Daemon {
    /// Opens the store, binds the API, subscribes the streams and tells the service manager that it is ready.
    /// `clock` is given when the exchange lives in this process; otherwise the configuration says whose time it is.
    ///
    /// # Errors
    /// See [`DaemonError`]. Nothing is left running.
    pub async fn start(config: Config, clock: Option<Arc<dyn Clock>>) -> Result<Self, DaemonError> {
        install_tls();
        let config = Arc::new(config);
        let spec = load_specs(&config.spec)
            .map_err(|errors| DaemonError::Spec { dir: config.spec.clone(), errors: Box::new(errors) })?;
        let spec = Arc::new(spec);
        let clock = match clock {
            Some(clock) => clock,
            None => exchange_clock(&config).await?,
        };
        let rest = Rest::new(rest_config(&config), Arc::clone(&clock))?;
        let follow = Arc::new(Follow::new(&config));
        let (shared, control, queries) = Shared::new(Arc::clone(&clock), Arc::clone(&config));
        show_start(&shared, &follow, &spec);
        let (storage, opened, storage_ended) =
            Storage::start(Arc::clone(&shared), Arc::clone(&follow), Arc::clone(&spec)).await?;
        let listener = api::listen_unix(&config.socket).await?;
        let mut api = JoinSet::new();
        let served = api::serve_unix(listener, Arc::clone(&shared), shared.stopping());
        api.spawn(async move { served.await.map_err(|error| format!("the API socket failed: {error}")) });
        if let Some(address) = config.http_listen {
            let served = api::serve_loopback(address, Arc::clone(&shared), shared.stopping());
            api.spawn(async move { served.await.map_err(|error| error.to_string()) });
        }
        api.spawn({
            let storage = storage.clone();
            async move {
                storage.forward_queries(queries).await;
                Ok(())
            }
        });
        let (watch, spec_changes) = SpecWatch::start(&config.spec)
            .map_err(|e| DaemonError::Watch { dir: config.spec.clone(), reason: e.to_string() })?;
        let (websocket, updates) =
            WsClient::spawn(ws_config(&config), &feed::subscriptions(&config), &clock)?;
        let (signals, signal_queue) = mpsc::channel(SIGNAL_QUEUE);
        let service = ServiceManager::default();
        service.ready();
        tracing::info!(socket = %config.socket.display(), spec = %spec.hash, "listening");
        let inputs = Inputs {
            control,
            updates,
            spec_changes,
            signals: signal_queue,
            storage_ended,
            next_alive: Instant::now(),
        };
        let main_loop = MainLoop {
            book: TickBook::new(follow.bars.clone(), opened.next),
            aggregates: Aggregates::new(&follow.symbols, clock.now().bar(), &config.clock),
            fetched_to: opened.next,
            phase: Phase::Starting,
            troubles: std::collections::BTreeMap::new(),
            streams: StreamStates::default(),
            closing: None,
            advancing: false,
            repair_due: false,
            gaps: Gaps::default(),
            runs: Runs::default(),
            specs: Specs::new(spec),
            tasks: JoinSet::new(),
            outbox: VecDeque::new(),
            shared: Arc::clone(&shared),
            config,
            storage,
            rest,
            follow,
            service,
            inputs,
        };
        Ok(Self { main_loop, shared, signals, websocket, api, _watch: watch })
    }

    /// The shared state: status and stream, for callers in this process.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// A handle that stops it.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.signals.clone())
    }

    /// Passes SIGTERM, SIGINT and SIGHUP to the main loop.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn handle_signals(&self) -> Result<(), DaemonError> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [
            (SignalKind::terminate(), Signal::Stop),
            (SignalKind::interrupt(), Signal::Stop),
            (SignalKind::hangup(), Signal::Reload),
        ];
        for (kind, meaning) in kinds {
            let mut stream = signal(kind).map_err(DaemonError::Signals)?;
            let signals = self.signals.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    let _ = signals.try_send(meaning);
                }
            });
        }
        Ok(())
    }

    /// Runs until stopped.
    ///
    /// # Errors
    /// When something that must not fail has failed.
    pub async fn run(self) -> Result<(), DaemonError> {
        let Self { main_loop, shared, websocket, mut api, signals, _watch } = self;
        let (failed, api_failed) = oneshot::channel();
        let api_watch = tokio::spawn(async move {
            while let Some(ended) = api.join_next().await {
                match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(reason)) => return drop(failed.send(reason)),
                    Err(error) => return drop(failed.send(format!("an API task panicked: {error}"))),
                }
            }
        });
        let result = tokio::select! {
            result = main_loop.run() => result,
            Ok(reason) = api_failed => Err(reason),
        };
        shared.stop();
        websocket.close().await;
        let _ = tokio::time::timeout(API_STOP_DEADLINE, api_watch).await;
        let _ = std::fs::remove_file(&shared.config.socket);
        drop(signals);
        result.map_err(DaemonError::Failed)
    }
}

fn show_start(shared: &Shared, follow: &Follow, spec: &CompiledSpec) {
    let now = shared.clock.now();
    let series = |(market, symbol): &(Market, backtestd_core::market::Symbol)| SeriesStatus {
        symbol: symbol.clone(),
        market: *market,
        watermark: None,
        lag_ms: None,
        gaps_open: 0,
        last_update: None,
    };
    shared.update(|s| {
        "opening the store".clone_into(&mut s.detail);
        s.symbols = follow.bars.iter().map(series).collect();
        s.spec.hash.clone_from(&spec.hash);
        s.spec.loaded_at = Some(now);
    });
}

/// The clock that the configuration asks for: the system's, or the exchange's, extrapolated.
///
/// # Errors
/// When the exchange does not say what time it is.
pub async fn exchange_clock(config: &Config) -> Result<Arc<dyn Clock>, RestError> {
    let system: Arc<dyn Clock> = Arc::new(SystemClock);
    if config.clock.source == ClockSource::System {
        return Ok(system);
    }
    let rest = Rest::new(rest_config(config), system)?;
    let deadline = Instant::now() + CLOCK_DEADLINE;
    loop {
        match rest.server_time(Market::Perp).await {
            Ok(now) => return Ok(Arc::new(ScaledClock::new(now, config.clock.speed))),
            Err(error) if error.is_retryable() && Instant::now() < deadline => {
                tracing::warn!(%error, "the exchange does not say what time it is yet");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A loopback exchange is a simulated one: its limits are for real clients in real time.
fn is_simulated(config: &Config) -> bool {
    config.clock.source == ClockSource::Exchange
}

/// Hosts, limits and patience of the REST client.
#[must_use]
pub fn rest_config(config: &Config) -> RestConfig {
    let urls = &config.binance;
    let base =
        if is_simulated(config) { RestConfig::simulated(&urls.futures_rest) } else { RestConfig::default() };
    RestConfig { futures_url: urls.futures_rest.clone(), spot_url: urls.spot_rest.clone(), ..base }
}

fn ws_config(config: &Config) -> WsConfig {
    let urls = &config.binance;
    let base = if is_simulated(config) { WsConfig::simulated(&urls.futures_ws) } else { WsConfig::default() };
    WsConfig { futures_url: urls.futures_ws.clone(), spot_url: urls.spot_ws.clone(), ..base }
}
