//! Starting and stopping: what must exist before the loop turns, and what is told to whom.

use backtestd_store::{Origin, load_specs};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::archive::ArchiveAudit;
use super::hosts::{Lines, rest_config, speed};
use super::journal::JournalTimer;
use super::listing;
use super::repair::Rounds;
use super::runs::Runs;
use super::specs::Specs;
use super::stream_state::StreamStates;
use super::universe::{known_universe, show_series};
use super::{Inputs, MainLoop, Signal};
use crate::daemon::api::{self, ApiError};
use crate::daemon::config::{Config, Start};
use crate::daemon::feed::{self, Follow, Listing, Unlisted};
use crate::daemon::live::{Aggregates, TickBook};
use crate::daemon::refused::RefusedFrames;
use crate::daemon::shared::Shared;
use crate::daemon::spec_watch::SpecWatch;
use crate::daemon::status::Phase;
use crate::daemon::storage::{Job, Opened, Storage, StorageError};
use crate::daemon::systemd::ServiceManager;
use crate::daemon::universe::MembersError;
use backtestd_binance::aggregate::TradeAggregator;
use backtestd_binance::clock::{ExchangeClock, SystemClock};
use backtestd_binance::{Rest, RestError, WsClient, WsError, install_tls};
use backtestd_core::clock::Clock;
use backtestd_core::market::{BarIndex, Symbol, Ts};
use backtestd_core::spec::{CompiledSpec, LiveRules, SpecErrors};

/// Signals that may wait to be handled.
const SIGNAL_QUEUE: usize = 8;
/// Statistics are asked for in the course of a bar.
const BAR: Duration = Duration::from_secs(300);
/// How long the start waits for the exchange to say which symbols it lists.
const LISTING_DEADLINE: Duration = Duration::from_secs(5);
/// Time for open API connections to end.
const API_STOP_DEADLINE: Duration = Duration::from_millis(500);

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The spec tree is not valid; at the start there is no older one to stay in force.
    #[error("the specs in {} are not valid:\n{errors}", dir.display())]
    Spec {
        /// Path of the spec directory.
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
    /// The exchange does not know what it is asked to follow.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unlisted(Vec<Unlisted>),
    /// History is to begin at an instant that has not come.
    #[error("start is {start}, and it is {now} now: history cannot begin in the future")]
    FutureStart {
        /// The configured start.
        start: Ts,
        /// The exchange's time.
        now: Ts,
    },
    /// Who is followed by the rule is not readable, or cannot be remembered.
    #[error(transparent)]
    Universe(#[from] MembersError),
    /// A stream does not exist.
    #[error(transparent)]
    Streams(#[from] WsError),
    /// The spec tree cannot be watched.
    #[error("{} cannot be watched: {reason}; check that it exists and that fs.inotify.max_user_watches suffices", dir.display())]
    Watch {
        /// Path of the spec directory.
        dir: PathBuf,
        /// What the file watcher reported.
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
    socket: SocketFile,
    _watch: SpecWatch,
}

/// The API socket's file; it goes with the daemon, however that ends.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Says once when the statistics asked for after each bar are more than the exchange lets through.
fn warn_of_overload(config: &Config, follow: &Follow) {
    let (symbols, limits) = (follow.present().count(), rest_config(config).limits);
    if let Some((wanted, served)) = feed::overload(symbols, config.collect, &limits, BAR) {
        tracing::warn!(
            wanted,
            served,
            "more requests for statistics after each bar than the exchange's limit lets through before the next; \
             follow fewer symbols or leave a statistic out of `collect`"
        );
    }
}

/// The specs on disk.
fn valid_spec(config: &Config) -> Result<Arc<CompiledSpec>, DaemonError> {
    let refused = |errors| DaemonError::Spec { dir: config.spec.clone(), errors: Box::new(errors) };
    load_specs(&config.spec).map(Arc::new).map_err(refused)
}

/// History that begins in the future is no history: a daemon would follow nothing, and say that it does.
fn check_start(start: Start, now: Ts) -> Result<(), DaemonError> {
    match start {
        Start::At(start) if start > now => Err(DaemonError::FutureStart { start, now }),
        _ => Ok(()),
    }
}

/// What the journal says of unfinished bars; those that have closed meanwhile go into the store.
async fn restored(
    config: &Config,
    follow: &Follow,
    now: Ts,
    opened: &Opened,
    storage: &Storage,
) -> Result<Aggregates, DaemonError> {
    let present: Vec<Symbol> = follow.present().cloned().collect();
    let (mut aggregates, closed) =
        Aggregates::restored(&present, now, &config.clock, &opened.journalled, config.collect);
    if !closed.is_empty() {
        let label = "websocket, before the restart";
        let put = |reply| Job::Put { puts: closed, origin: Origin::Stream, label, reply };
        storage.ask(put).await?;
    }
    if !follow.since.is_empty() {
        aggregates.follow(&present, &follow.since);
    }
    Ok(aggregates)
}

/// Serves the API on the Unix socket and, where configured, on a loopback port.
async fn serve(
    config: &Config,
    shared: &Arc<Shared>,
) -> Result<(JoinSet<Result<(), String>>, SocketFile), DaemonError> {
    let listener = api::listen_unix(&config.socket).await?;
    let socket = SocketFile(config.socket.clone());
    let mut api = JoinSet::new();
    let served = api::serve_unix(listener, Arc::clone(shared), shared.stopping());
    api.spawn(async move {
        served.await;
        Ok(())
    });
    if let Some(address) = config.http_listen {
        let served = api::serve_loopback(address, Arc::clone(shared), shared.stopping());
        api.spawn(async move { served.await.map_err(|error| error.to_string()) });
    }
    Ok((api, socket))
}

impl Daemon {
    /// Binds the API, asks the exchange what it lists, opens the store, subscribes the streams and tells the
    /// service manager that it is ready. `clock` is given when the exchange lives in this process; otherwise
    /// the configuration says whose time it is.
    ///
    /// # Errors
    /// See [`DaemonError`]. Nothing is left running.
    pub async fn start(config: Config, clock: Option<Arc<dyn Clock>>) -> Result<Self, DaemonError> {
        install_tls();
        let config = Arc::new(config);
        let spec = valid_spec(&config)?;
        let told = clock.is_none().then(|| ExchangeClock::new(speed(&config)));
        let clock = clock.or_else(|| Some(Arc::new(told.clone()?))).unwrap_or_else(|| Arc::new(SystemClock));
        let (shared, control, queries) = Shared::new(Arc::clone(&clock), Arc::clone(&config));
        show_start(&shared, &spec);
        let (mut api, socket) = serve(&config, &shared).await?;
        let mut service = ServiceManager::default();
        service.ready();
        let rest = Rest::new(rest_config(&config), Arc::clone(&clock))?;
        let rest = shared.rest.get_or_init(|| rest);
        let universe = service.alive_while(&shared, known_universe(&shared, rest)).await?;
        let by_list = || Follow::new(&config);
        let follow = Arc::new(universe.as_ref().map_or_else(by_list, |u| u.follow(config.collect)));
        show_series(&shared, &follow);
        warn_of_overload(&config, &follow);
        let lines = Lines::open(&shared, &follow, &spec, told, &mut service).await?;
        check_start(config.start, clock.now())?;
        show_detail(&shared, "asking the exchange which symbols it lists");
        let listing = service.alive_while(&shared, check_listing(rest, &follow, &shared)).await?;
        show_detail(&shared, "opening the store");
        let storage = Storage::start(shared.clone(), follow.clone(), spec.clone());
        let (storage, opened, storage_ended) = service.alive_while(&shared, storage).await?;
        let forwarded = storage.clone().forward_queries(queries);
        api.spawn(async move {
            forwarded.await;
            Ok(())
        });
        let (watch, spec_changes) = SpecWatch::start(&config.spec)
            .map_err(|e| DaemonError::Watch { dir: config.spec.clone(), reason: e.to_string() })?;
        let (signals, signal_queue) = mpsc::channel(SIGNAL_QUEUE);
        tracing::info!(socket = %config.socket.display(), spec = %spec.hash, "listening");
        let inputs = Inputs {
            control,
            early: lines.early.into(),
            updates: lines.updates,
            spec_changes,
            signals: signal_queue,
            storage_ended,
            next_alive: Instant::now(),
        };
        let aggregates = restored(&config, &follow, clock.now(), &opened, &storage).await?;
        let main_loop = MainLoop {
            book: book(&follow, opened.next, &spec.sources.live),
            aggregates,
            trades: TradeAggregator::new(spec.sources.live.trades_within_bars),
            journal: JournalTimer::new(),
            fetched_to: opened.next,
            phase: Phase::Starting,
            troubles: listing.as_ref().and_then(idle_trouble).into_iter().collect(),
            streams: StreamStates::new(&lines.subscribed, clock.now()),
            control: lines.websocket.control(),
            sieve: lines.sieve,
            refused: RefusedFrames::start(&config.state),
            closing: None,
            advancing: false,
            repair_due: false,
            rounds: Rounds::default(),
            archive: ArchiveAudit::new(&config, &shared),
            time: lines.time,
            universe,
            is_listing_known: listing.is_some(),
            runs: Runs::default(),
            specs: Specs::new(spec),
            tasks: JoinSet::new(),
            outbox: VecDeque::new(),
            shared: Arc::clone(&shared),
            config,
            storage,
            rest: rest.clone(),
            follow,
            service,
            inputs,
        };
        main_loop.show_universe();
        Ok(Self { main_loop, shared, signals, websocket: lines.websocket, api, socket, _watch: watch })
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
        let Self { main_loop, shared, websocket, mut api, signals, socket, _watch } = self;
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
        drop(socket);
        drop(signals);
        result.map_err(DaemonError::Failed)
    }
}

fn show_start(shared: &Shared, spec: &CompiledSpec) {
    let now = shared.clock.now();
    shared.update(|s| {
        s.spec.hash.clone_from(&spec.hash);
        s.spec.loaded_at = Some(now);
    });
}

/// The bars that are awaited from the tick `next` on.
fn book(follow: &Follow, next: BarIndex, rules: &LiveRules) -> TickBook {
    let mut book = TickBook::new(follow.bars.clone(), next, rules.absent_after_bars);
    book.follow(follow.bars.clone(), |(_, symbol)| follow.since.get(symbol).copied());
    book
}

/// Symbols that do not trade, as a cause of degradation.
fn idle_trouble(listing: &Listing) -> Option<(&'static str, String)> {
    Some((listing::TROUBLE, listing.not_trading()?))
}

pub(super) fn show_detail(shared: &Shared, detail: &str) {
    shared.update(|s| detail.clone_into(&mut s.detail));
}

/// Refuses symbols that the exchange does not list. When it does not answer in time, the start goes on
/// without.
async fn check_listing(
    rest: &Rest,
    follow: &Follow,
    shared: &Shared,
) -> Result<Option<Listing>, DaemonError> {
    match tokio::time::timeout(LISTING_DEADLINE, Listing::ask(rest, &follow.bars)).await {
        Ok(Ok(listing)) if listing.unlisted().is_empty() => {
            listing::show(shared, &listing);
            if let Some(idle) = listing.not_trading() {
                tracing::warn!("{idle}");
            }
            Ok(Some(listing))
        }
        // Where a rule says who is followed, whoever is gone leaves as soon as the loop turns.
        Ok(Ok(_)) if shared.config.universe.is_some() => Ok(None),
        Ok(Ok(listing)) => Err(DaemonError::Unlisted(listing.unlisted().to_vec())),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the exchange does not say which symbols it lists; asking again later");
            Ok(None)
        }
        Err(_) => {
            tracing::warn!("the exchange does not say yet which symbols it lists; asking again later");
            Ok(None)
        }
    }
}
