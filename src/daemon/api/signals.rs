//! `GET /v1/signals`: server-sent events that resume without loss or repetition.
//!
//! A connection is a position in the stream log and nothing else. `Last-Event-ID` (or `?after=SEQ`) sets it;
//! without one it starts at the present. Each step sends the next page, from memory or from the store, or
//! waits for the log to grow, sending a heartbeat at least every 5 s meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use super::{Problem, events};
use crate::daemon::shared::{Query, Shared};
use crate::daemon::stream_log::{Page, StreamEntry};

/// A little under the 5 s that the contract allows.
const HEARTBEAT: Duration = Duration::from_millis(4_500);
/// Entries a page.
const PAGE: usize = 256;
/// Pause before the store is asked again after it was busy.
const STORE_BUSY_PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    after: Option<u64>,
}

struct Reader {
    shared: Arc<Shared>,
    next: u64,
    end: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    greeted: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.metrics.signal_readers.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) async fn stream(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    query: Result<UrlQuery<Params>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let given = events::params(query)?;
    let header = headers.get("last-event-id").map(|value| {
        let text = value.to_str().unwrap_or("?").trim();
        text.parse::<u64>()
            .map_err(|_| Problem::bad_request(format!("Last-Event-ID '{text}' is not a number")))
    });
    let last = shared.stream.last();
    // The standard's header, set by a reconnecting client, is newer than the URL it started from.
    let after = header.transpose()?.or(given.after).unwrap_or(last);
    if after > last {
        return Err(Problem::bad_request(format!(
            "position {after} lies ahead of the stream, whose last entry is {last}: was the state directory replaced?"
        )));
    }
    let first = shared.stream.first();
    if after + 1 < first {
        let days = shared.config.retention.signals_days;
        return Err(Problem::new(
            410,
            format!(
                "entries {} to {} are no longer kept (retention.signals_days = {days}); GET /v1/events has the events of \
                 then; go on with after={}",
                after + 1,
                first - 1,
                first - 1
            ),
        ));
    }
    shared.metrics.signal_readers.fetch_add(1, Ordering::Relaxed);
    let reader = Reader {
        next: after + 1,
        end: shared.stream.follow(),
        stopping: shared.stopping(),
        shared,
        greeted: false,
    };
    let pages = stream::unfold(reader, |mut reader| async move {
        let page = reader.page().await?;
        Some((stream::iter(page.into_iter().map(Ok)), reader))
    });
    Ok(Sse::new(pages.flatten()))
}

impl Reader {
    /// The next batch of events; none when the daemon stops.
    async fn page(&mut self) -> Option<Vec<Event>> {
        if !self.greeted {
            // Headers and a first line at once: the client knows that it is connected.
            self.greeted = true;
            return Some(vec![self.heartbeat()]);
        }
        loop {
            // A reader that is overtaken by the retention comes back and is told what it missed.
            if *self.stopping.borrow() || self.next < self.shared.stream.first() {
                return None;
            }
            self.end.mark_unchanged();
            let entries = match self.shared.stream.page(self.next, PAGE) {
                Page::Entries(entries) => entries,
                Page::InStore => match self.stored_page().await {
                    Some(entries) => entries,
                    None => {
                        tokio::time::sleep(STORE_BUSY_PAUSE).await;
                        return Some(vec![self.heartbeat()]);
                    }
                },
            };
            if let Some(newest) = entries.last() {
                self.next = newest.seq + 1;
                return Some(entries.iter().map(event).collect());
            }
            tokio::select! {
                changed = self.end.changed() => changed.ok()?,
                _ = self.stopping.changed() => {}
                () = tokio::time::sleep(HEARTBEAT) => return Some(vec![self.heartbeat()]),
            }
        }
    }

    async fn stored_page(&self) -> Option<Vec<StreamEntry>> {
        let from = self.next;
        let answer = self.shared.query(|reply| Query::Stream { from, limit: PAGE, reply }).await;
        match answer {
            // The first entry must be the one asked for: a hole would be a silent loss.
            Ok(entries) if entries.first().is_some_and(|e| e.seq == from) => Some(entries),
            Ok(_) => {
                tracing::error!(from, "the store does not hold the stream entry that a reader needs");
                None
            }
            Err(error) => {
                tracing::warn!(%error, from, "signal reader waits for the store");
                None
            }
        }
    }

    fn heartbeat(&self) -> Event {
        let data =
            json!({ "now": self.shared.clock.now().to_string(), "last_seq": self.shared.stream.last() });
        Event::default().event("heartbeat").data(data.to_string())
    }
}

fn event(entry: &StreamEntry) -> Event {
    Event::default().id(entry.seq.to_string()).event(entry.kind.name()).data(entry.data.to_string())
}
