//! One websocket connection: reads control messages, sends what is due, keeps the venue's manners.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};

use crate::venue::state::Venue;
use backtestd_core::clock::Clock;
use backtestd_core::market::Ts;

use super::control::Subscriptions;
use super::faults;
use super::frames::{Frame, due, next_instant};
use super::micro::in_microseconds;
use super::stream::{Kind, Route};

/// Client messages of any kind per real second: futures and spot.
const MESSAGES_PER_SECOND: (usize, usize) = (10, 5);
/// A loop turn waits at most so long, so that a stop or a fault is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// A client that takes nothing for so long is cut, so that it cannot hold up a stop.
const SEND_PATIENCE: Duration = Duration::from_secs(4);

/// The other side's end of a goodbye is waited for so long.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);

/// Why a connection ends.
#[derive(Debug)]
enum End {
    Gone,
    Close(u16, &'static str),
}

/// A stream being served.
#[derive(Clone, Copy, Debug)]
struct Served {
    kind: Kind,
    period_ms: i64,
    name: usize,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    mut socket: WebSocket,
    venue: Arc<Venue>,
    route: Route,
    subscriptions: Subscriptions,
) {
    let mut session = Session::new(&venue, route, subscriptions);
    let end = session.run(&mut socket).await;
    if let End::Close(code, reason) = end {
        if route == Route::Spot && reason == GOING_AWAY {
            let notice = format!("{{\"e\":\"serverShutdown\",\"E\":{}}}", venue.now().0);
            let _ = socket.send(Message::Text(notice.into())).await;
        }
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = socket.send(Message::Close(Some(frame))).await;
    }
}

const GOING_AWAY: &str = "server shutdown";

struct Session<'a> {
    venue: &'a Venue,
    route: Route,
    subscriptions: Subscriptions,
    served: Vec<Served>,
    /// Everything up to this virtual instant has been sent.
    cursor: Ts,
    ends_at: Ts,
    ping_every: Duration,
    pong_within: Duration,
    last_ping: Instant,
    last_pong: Instant,
    received: VecDeque<Instant>,
    /// Frames that faults hold back, with the instant at which they go out.
    held: Vec<(Ts, String)>,
}

impl<'a> Session<'a> {
    fn new(venue: &'a Venue, route: Route, subscriptions: Subscriptions) -> Self {
        let (ping, pong) = match route {
            Route::Spot => (20, 60),
            _ => (180, 600),
        };
        let ping_every = venue.config.ping_every.unwrap_or(Duration::from_secs(ping));
        let now = Instant::now();
        let cursor = venue.now();
        let mut session = Self {
            venue,
            route,
            subscriptions,
            served: Vec::new(),
            cursor,
            ends_at: Ts(cursor.0 + venue.config.session_ms),
            ping_every,
            pong_within: ping_every * u32::try_from(pong / ping).unwrap_or(3),
            last_ping: now,
            last_pong: now,
            received: VecDeque::new(),
            held: Vec::new(),
        };
        session.resolve();
        session
    }

    /// Looks up what the subscribed names mean on this route.
    fn resolve(&mut self) {
        let (speed, gap) = (self.venue.clock.speed(), self.venue.config.frame_gap);
        self.served = self
            .subscriptions
            .names()
            .iter()
            .enumerate()
            .filter_map(|(name, text)| {
                let kind = Kind::parse(self.venue, self.route, text)?;
                Some(Served { kind, period_ms: kind.period_ms(self.route, speed, gap), name })
            })
            .collect();
    }

    async fn run(&mut self, socket: &mut WebSocket) -> End {
        let mut stopping = self.venue.stopping.clone();
        loop {
            let wait = self.wait();
            // Awaited inside a block so that no guard of the channel lives across the handlers below.
            let stopped = async {
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            tokio::select! {
                biased;
                () = stopped => return End::Close(1001, GOING_AWAY),
                message = socket.recv() => {
                    let Some(Ok(message)) = message else { return End::Gone };
                    if let Err(end) = self.receive(socket, &message).await {
                        return end;
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
            if let Err(end) = self.send_due(socket).await {
                return end;
            }
        }
    }

    /// Real time until something may be due.
    fn wait(&self) -> Duration {
        let next = self
            .served
            .iter()
            .map(|s| next_instant(self.venue, self.route, s.kind, s.period_ms, self.cursor))
            .min()
            .unwrap_or(Ts(i64::MAX));
        // A disconnect begins with a bar.
        let held = self.held.iter().map(|(at, _)| *at).min().unwrap_or(Ts(i64::MAX));
        let next = next.min(self.cursor.bar().close()).min(self.ends_at).min(held);
        self.venue.clock.wall_until(next).min(LONGEST_WAIT).min(self.ping_every)
    }

    async fn receive(&mut self, socket: &mut WebSocket, message: &Message) -> Result<(), End> {
        let now = Instant::now();
        self.received.push_back(now);
        while self.received.front().is_some_and(|at| now - *at > Duration::from_secs(1)) {
            self.received.pop_front();
        }
        let allowed = if self.route == Route::Spot { MESSAGES_PER_SECOND.1 } else { MESSAGES_PER_SECOND.0 };
        if self.received.len() > allowed {
            return Err(End::Close(1008, "Too many requests"));
        }
        if faults::is_half_open(self.venue, self.route, self.venue.now()) {
            self.last_pong = now;
            return Ok(());
        }
        match message {
            Message::Text(text) => {
                let answer = self.subscriptions.handle(text.as_str());
                self.resolve();
                send(socket, answer.to_string()).await
            }
            Message::Pong(_) => {
                self.last_pong = now;
                Ok(())
            }
            Message::Close(_) => {
                // The answer to a goodbye is written when the socket is read once more.
                let _ = tokio::time::timeout(GOODBYE_PATIENCE, socket.recv()).await;
                Err(End::Gone)
            }
            Message::Ping(_) | Message::Binary(_) => Ok(()),
        }
    }

    async fn send_due(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        let now = Instant::now();
        let until = self.venue.now();
        if faults::is_half_open(self.venue, self.route, until) {
            (self.cursor, self.last_ping, self.last_pong) = (until, now, now);
            return Ok(());
        }
        if now - self.last_ping >= self.ping_every {
            self.last_ping = now;
            let payload = self.venue.now().0.to_string();
            socket.send(Message::Ping(payload.into())).await.map_err(|_| End::Gone)?;
        }
        if now - self.last_pong > self.pong_within + self.ping_every {
            return Err(End::Close(1008, "Pong timeout"));
        }
        if faults::is_cut(self.venue, self.route, until) {
            return Err(End::Gone);
        }
        let mut frames: Vec<(Frame, usize)> = Vec::new();
        for served in &self.served {
            let made = due(self.venue, self.route, served.kind, served.period_ms, self.cursor, until);
            frames.extend(made.into_iter().map(|frame| (frame, served.name)));
        }
        self.cursor = until;
        frames.sort_by_key(|(frame, name)| (frame.at, *name));
        for text in self.texts(frames, until) {
            send(socket, text).await?;
        }
        if until >= self.ends_at {
            return Err(End::Close(1000, "Connection has lived 24 hours"));
        }
        Ok(())
    }
}

impl Session<'_> {
    /// The frames as they go out now: wrapped where the client wants it, after what the scenario does to
    /// them.
    fn texts(&mut self, frames: Vec<(Frame, usize)>, until: Ts) -> Vec<String> {
        let (due, held) = std::mem::take(&mut self.held).into_iter().partition(|(at, _)| *at <= until);
        self.held = held;
        let due: Vec<(Ts, String)> = due;
        let mut texts: Vec<String> = due.into_iter().map(|(_, text)| text).collect();
        for (mut frame, name) in frames {
            let name = &self.subscriptions.names()[name];
            let mut text = std::mem::take(&mut frame.json);
            if self.subscriptions.in_microseconds {
                text = in_microseconds(&text);
            }
            if self.subscriptions.is_combined {
                text = format!("{{\"stream\":{},\"data\":{text}}}", serde_json::Value::from(name.as_str()));
            }
            let mut sent = faults::pass(self.venue, self.route, name, &frame, text);
            texts.append(&mut sent.now);
            self.held.append(&mut sent.later);
        }
        if texts.len() > 1 && faults::is_shuffled(self.venue, self.route, until) {
            faults::shuffle(&mut texts, until, self.venue.market.seed());
        }
        texts
    }
}

async fn send(socket: &mut WebSocket, text: String) -> Result<(), End> {
    let sent = tokio::time::timeout(SEND_PATIENCE, socket.send(Message::Text(text.into()))).await;
    if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(End::Gone) }
}
