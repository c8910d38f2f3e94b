//! One socket, from dialling to its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::config::WsConfig;
use super::liveness::{Liveness, Patience, Silent};
use super::outlet::{Outlet, ReceiverGone, WsStats};
use super::plan::Shard;
use crate::routes::{Route, StreamKind};
use crate::update::{RefusedFrame, Stamped, Update};
use crate::wire::{Frame, WireError, parse_frame, parse_frame_bytes};
use backtestd_core::clock::Clock;
use backtestd_core::market::Ts;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Largest message read. The largest real ones (a shard of all mark prices) are below 200 kB.
const MESSAGE_CAP_BYTES: usize = 8 << 20;
/// How often silence is looked for.
const WATCH_EVERY: Duration = Duration::from_millis(250);
/// Of a refused frame so much is kept.
const REFUSED_CHARS: usize = 4096;
/// Wire errors logged per socket; further ones are only counted.
const LOGGED_WIRE_ERRORS: u32 = 5;

/// What a session tells its supervisor: at most one `Ready` and one `Silent`, and `Ended` last.
#[derive(Clone, Debug)]
pub(super) enum Report {
    /// Every subscription is acknowledged.
    Ready { at: Ts },
    /// A kind is silent beyond its limit. Said once per socket.
    Silent(Silent),
    /// A kind for which patience had to grow has spoken.
    Heard(StreamKind),
    /// The server announced that it goes.
    Leaving,
    /// The socket is gone.
    Ended(Ended),
}

/// How a socket ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub reason: String,
    /// When anything was last received.
    pub last_heard: Ts,
    /// The daemon no longer listens, or told the client to stop.
    pub is_final: bool,
}

/// Everything a socket needs.
pub(super) struct Session {
    pub config: Arc<WsConfig>,
    pub shard: Arc<Shard>,
    pub clock: Arc<dyn Clock>,
    pub outlet: Outlet,
    pub patience: Patience,
    pub reports: mpsc::Sender<Report>,
    /// Turns true when this socket should go.
    pub stop: watch::Receiver<bool>,
}

/// Why the loop stopped.
enum Stop {
    Asked,
    ReceiverGone,
    Failed(String),
}

impl From<ReceiverGone> for Stop {
    fn from(_: ReceiverGone) -> Self {
        Self::ReceiverGone
    }
}

/// Where a running socket stands.
struct State {
    /// Monotonic origin of the liveness clock.
    started: Instant,
    last_heard: Ts,
    liveness: Liveness,
    sent: usize,
    acknowledged: usize,
    silence_reported: bool,
    wire_errors: u32,
}

impl Session {
    /// Runs the socket to its end and reports it.
    pub(super) async fn run(mut self) {
        let now = self.clock.now();
        let mut state = State {
            started: Instant::now(),
            last_heard: now,
            liveness: Liveness::new(self.shard.kinds.iter().copied(), now, Duration::ZERO),
            sent: 0,
            acknowledged: 0,
            silence_reported: false,
            wire_errors: 0,
        };
        let (reason, is_final) = match self.live(&mut state).await {
            Stop::Asked => ("closed by this client".to_owned(), true),
            Stop::ReceiverGone => ("nobody receives the updates any more".to_owned(), true),
            Stop::Failed(reason) => (reason, false),
        };
        let ended = Ended { reason, last_heard: state.last_heard, is_final };
        // The supervisor is gone only when the whole client is.
        drop(self.reports.send(Report::Ended(ended)).await);
    }

    async fn live(&mut self, state: &mut State) -> Stop {
        let mut stop = self.stop.clone();
        let mut socket = tokio::select! {
            dialled = self.dial() => match dialled {
                Ok(socket) => socket,
                Err(reason) => return Stop::Failed(reason),
            },
            () = asked(&mut stop) => return Stop::Asked,
        };
        WsStats::add(&self.outlet.stats().connects, 1);
        let ended = tokio::select! {
            ended = self.pump(&mut socket, state) => ended,
            () = asked(&mut stop) => Stop::Asked,
        };
        if !matches!(ended, Stop::Failed(_)) {
            // Politeness only: the peer may be gone.
            drop(tokio::time::timeout(Duration::from_millis(500), socket.close(None)).await);
        }
        ended
    }

    async fn dial(&self) -> Result<Socket, String> {
        let url = self.config.url(self.shard.route);
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_CAP_BYTES))
            .max_frame_size(Some(MESSAGE_CAP_BYTES));
        let dialling = connect_async_with_config(&url, Some(limits), true);
        match tokio::time::timeout(self.config.setup_timeout, dialling).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(error)) => Err(format!("cannot connect to {url}: {error}")),
            Err(_) => Err(format!("cannot connect to {url} within {:?}", self.config.setup_timeout)),
        }
    }

    /// Subscribes at half the allowed message rate (pongs need the rest), reads, watches.
    async fn pump(&mut self, socket: &mut Socket, state: &mut State) -> Stop {
        let pace = Duration::from_millis(2000 / u64::from(self.shard.route.messages_per_second()));
        let mut to_send = tokio::time::interval(pace);
        to_send.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = tokio::time::interval(WATCH_EVERY);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shard = self.shard.clone();
        loop {
            tokio::select! {
                message = socket.next() => {
                    let message = match message {
                        Some(Ok(message)) => message,
                        Some(Err(error)) => return Stop::Failed(format!("connection lost: {error}")),
                        None => return Stop::Failed("connection closed by the exchange".to_owned()),
                    };
                    if let Err(stop) = self.take(&message, state).await {
                        return stop;
                    }
                }
                _ = to_send.tick(), if state.sent < shard.messages.len() => {
                    let message = Message::text(shard.messages[state.sent].clone());
                    match tokio::time::timeout(self.config.setup_timeout, socket.send(message)).await {
                        Ok(Ok(())) => state.sent += 1,
                        Ok(Err(error)) => return Stop::Failed(format!("cannot subscribe: {error}")),
                        Err(_) => return Stop::Failed("cannot subscribe: the socket takes no data".to_owned()),
                    }
                }
                flushed = self.outlet.flush_one(), if self.outlet.has_waiting() => {
                    if flushed.is_err() {
                        return Stop::ReceiverGone;
                    }
                }
                _ = watch.tick() => {
                    if let Err(stop) = self.look(state).await {
                        return stop;
                    }
                }
            }
        }
    }

    async fn take(&mut self, message: &Message, state: &mut State) -> Result<(), Stop> {
        let arrival = self.clock.now();
        state.last_heard = arrival;
        let route = self.shard.route;
        let frame = match message {
            Message::Text(text) => parse_frame(text.as_str(), route),
            Message::Binary(bytes) => parse_frame_bytes(bytes, route),
            // The library answers pings by itself.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
            Message::Close(why) => {
                let why = why
                    .as_ref()
                    .map_or_else(String::new, |frame| format!(": {} {}", frame.code, frame.reason));
                return Err(Stop::Failed(format!("connection closed by the exchange{why}")));
            }
        };
        WsStats::add(&self.outlet.stats().frames, 1);
        match frame {
            Ok(Frame::Update(update)) => self.judge(update, message, arrival, state).await?,
            Ok(Frame::Updates(updates)) => {
                for update in updates {
                    self.judge(update, message, arrival, state).await?;
                }
            }
            Ok(Frame::Control(control)) => {
                if control.is_refusal() {
                    let message = control.message.unwrap_or_default();
                    return Err(Stop::Failed(format!("the exchange refused a subscription: {message}")));
                }
                state.acknowledged += 1;
                if state.acknowledged == self.shard.messages.len() {
                    let kinds = self.shard.kinds.iter().copied();
                    state.liveness = Liveness::new(kinds, arrival, state.started.elapsed());
                    self.report(Report::Ready { at: arrival }).await;
                }
            }
            Ok(Frame::ServerShutdown { .. }) => self.report(Report::Leaving).await,
            Ok(Frame::Dropped(_)) => WsStats::add(&self.outlet.stats().dropped, 1),
            Err(error) => {
                self.count(&error, state);
                self.refuse(error.to_string(), message, arrival).await?;
            }
        }
        Ok(())
    }

    /// Hands an update over if it can be true; else the frame goes, with the reason.
    async fn judge(
        &mut self,
        update: Update,
        message: &Message,
        arrival: Ts,
        state: &mut State,
    ) -> Result<(), Stop> {
        match self.config.sieve.as_ref().and_then(|sieve| sieve.doubt(&update)) {
            None => self.hand_over(update, arrival, state).await,
            Some(reason) => {
                WsStats::add(&self.outlet.stats().doubted, 1);
                self.refuse(reason, message, arrival).await
            }
        }
    }

    async fn refuse(&mut self, reason: String, message: &Message, arrival: Ts) -> Result<(), Stop> {
        let text = match message {
            Message::Text(text) => text.as_str().to_owned(),
            other => String::from_utf8_lossy(&other.clone().into_data()).into_owned(),
        };
        let frame = text.chars().take(REFUSED_CHARS).collect();
        let refused = RefusedFrame { route: self.shard.route, reason, frame };
        Ok(self.outlet.push(Stamped { arrival, update: Update::Refused(refused) }).await?)
    }

    async fn hand_over(&mut self, update: Update, arrival: Ts, state: &mut State) -> Result<(), Stop> {
        if let Some(kind) = kind_of(&update) {
            let is_first = state.liveness.heard(kind, arrival, state.started.elapsed());
            if is_first && self.patience.is_stretched(kind) {
                self.report(Report::Heard(kind)).await;
            }
        }
        Ok(self.outlet.push(Stamped { arrival, update }).await?)
    }

    fn count(&self, error: &WireError, state: &mut State) {
        WsStats::add(&self.outlet.stats().wire_errors, 1);
        state.wire_errors = state.wire_errors.saturating_add(1);
        if state.wire_errors <= LOGGED_WIRE_ERRORS {
            tracing::warn!(route = self.shard.route.name(), %error, "unreadable message");
        }
    }

    /// Looks for subscriptions without an answer and for silent kinds.
    async fn look(&mut self, state: &mut State) -> Result<(), Stop> {
        let real = state.started.elapsed();
        if state.acknowledged < self.shard.messages.len() {
            if real > self.config.setup_timeout {
                let (got, of) = (state.acknowledged, self.shard.messages.len());
                return Err(Stop::Failed(format!("{got} of {of} subscriptions acknowledged in {real:.0?}")));
            }
            return Ok(());
        }
        if state.silence_reported {
            return Ok(());
        }
        let wall = |ms: i64| self.clock.wall_until(Ts(self.clock.now().0.saturating_add(ms)));
        if let Some(silent) = state.liveness.silent(&self.patience, wall, real) {
            state.silence_reported = true;
            WsStats::add(&self.outlet.stats().silences, 1);
            self.report(Report::Silent(silent)).await;
        }
        Ok(())
    }

    async fn report(&self, report: Report) {
        // The supervisor is gone only when the whole client is.
        drop(self.reports.send(report).await);
    }
}

/// Resolves when the flag is set, or when whoever could set it is gone.
async fn asked(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

const fn kind_of(update: &Update) -> Option<StreamKind> {
    Some(match update {
        Update::Kline(_) => StreamKind::Kline,
        Update::Mark(_) => StreamKind::MarkPrice,
        Update::ForceOrder(_) => StreamKind::ForceOrder,
        Update::BookTicker(_) => StreamKind::BookTicker,
        Update::AggTrade(_) => StreamKind::AggTrade,
        Update::Trade(_) => StreamKind::Trade,
        Update::Depth(_) => StreamKind::Depth,
        Update::Contract(_) => StreamKind::ContractInfo,
        Update::Stream(_) | Update::Refused(_) => return None,
    })
}

impl Shard {
    /// "futures/market #0", for logs.
    pub(super) fn label(&self) -> String {
        let route: Route = self.route;
        format!("{} #{}", route.name(), self.index)
    }
}
