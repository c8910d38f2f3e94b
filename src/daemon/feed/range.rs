//! History over REST for a date range, without a daemon: the caller's thread owns the store, requests run beside it.
//!
//! A page and the mark that it was asked for are one atomic write, so a kill costs at most the pages under way and the
//! next start goes on behind them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::runtime::Handle;

use super::covered::{extended, next_unasked};
use super::{Covered, RETRY_PAUSE, Stretch};
use backtestd_binance::{HistoryPage, Rest, RestError};
use backtestd_core::clock::Clock;
use backtestd_core::market::{BAR_MS, Ts};
use backtestd_core::market::{RawPut, SeriesKey};
use backtestd_store::{Delivery, Lot, MergeReport, Origin, Store, StoreError};

/// Series fetched at once; the limiter decides the pace.
const CONCURRENT_SERIES: usize = 4;

/// What one series came to.
#[derive(Clone, Debug)]
pub struct SeriesDone {
    /// The series that was fetched.
    pub series: SeriesKey,
    /// What was wanted of it.
    pub wanted: Stretch,
    /// Number of records fetched.
    pub fetched: u64,
    /// What they changed.
    pub report: MergeReport,
    /// Why the exchange refuses it, if it does.
    pub refused: Option<String>,
}

/// What happens on the way.
#[derive(Debug)]
pub enum RangeEvent<'a> {
    /// So many slots of 5 minutes more are dealt with (fetched, or known before).
    Slots {
        /// Of this series.
        series: &'a SeriesKey,
        /// Number of 5-minute slots.
        slots: u64,
    },
    /// A request failed and is made again.
    Waiting {
        /// Of this series.
        series: &'a SeriesKey,
        /// Why the request failed.
        reason: String,
    },
}

/// Why a backfill ended early.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Requests ended without an answer.
    #[error("the requests ended without an answer; run the command again, it goes on where it stopped")]
    Ended,
}

/// What requests report.
enum Message {
    Page(usize, Stretch, Result<HistoryPage, RestError>),
    Failed(usize, String),
}

struct Fetch<'a> {
    rest: &'a Rest,
    clock: &'a Arc<dyn Clock>,
    runtime: &'a Handle,
    answers: SyncSender<Message>,
}

/// Fetches what is neither stored nor was asked for of each wanted stretch. `on_event` hears of progress.
///
/// # Errors
/// When the store fails. Failures of the exchange are waited out; what it refuses for good is in the result.
pub fn backfill_range(
    store: &mut Store,
    rest: &Rest,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
    wanted: Vec<(SeriesKey, Stretch)>,
    on_event: &mut dyn FnMut(RangeEvent<'_>),
) -> Result<Vec<SeriesDone>, RangeError> {
    let (answers, inbox): (_, Receiver<Message>) = sync_channel(2 * CONCURRENT_SERIES);
    let fetch = Fetch { rest, clock, runtime, answers };
    let mut all: Vec<SeriesDone> = wanted
        .into_iter()
        .map(|(series, wanted)| SeriesDone {
            series,
            wanted,
            fetched: 0,
            report: MergeReport::default(),
            refused: None,
        })
        .collect();
    let mut reached: Vec<i64> = all.iter().map(|s| s.wanted.from).collect();
    let mut waiting = 0..all.len();
    let mut running = 0;
    loop {
        while running < CONCURRENT_SERIES {
            let Some(ix) = waiting.next() else { break };
            running += usize::from(go_on(store, &fetch, &all[ix], ix, &mut reached[ix], on_event)?);
        }
        if running == 0 {
            break;
        }
        match inbox.recv().map_err(|_| RangeError::Ended)? {
            Message::Failed(ix, reason) => {
                on_event(RangeEvent::Waiting { series: &all[ix].series, reason });
            }
            Message::Page(ix, stretch, page) => {
                let more = match page {
                    Ok(page) => keep(store, &mut all[ix], stretch, page, clock.now())?,
                    Err(error) => {
                        all[ix].refused = Some(error.to_string());
                        false
                    }
                };
                running -= 1;
                if more {
                    running += usize::from(go_on(store, &fetch, &all[ix], ix, &mut reached[ix], on_event)?);
                } else {
                    tell(&all[ix], &mut reached[ix], all[ix].wanted.to, on_event);
                }
            }
        }
    }
    store.sync()?;
    Ok(all)
}

/// Starts the next request of a series; false when nothing is missing any more.
fn go_on(
    store: &mut Store,
    fetch: &Fetch<'_>,
    done: &SeriesDone,
    ix: usize,
    reached: &mut i64,
    on_event: &mut dyn FnMut(RangeEvent<'_>),
) -> Result<bool, RangeError> {
    let next = match Rest::history_page(done.series.kind) {
        Some(at_most) => next_unasked(store, &done.series, done.wanted, at_most)?,
        None => None,
    };
    tell(done, reached, next.map_or(done.wanted.to, |stretch| stretch.from), on_event);
    let Some(stretch) = next else { return Ok(false) };
    let (rest, clock, answers) = (fetch.rest.clone(), Arc::clone(fetch.clock), fetch.answers.clone());
    let series = done.series.clone();
    fetch.runtime.spawn(async move {
        let page = loop {
            match rest.history(&series, stretch.from, stretch.to, clock.now()).await {
                Err(error) if error.is_retryable() => {
                    let pause = error.retry_after().unwrap_or(RETRY_PAUSE);
                    // A full queue means that the reader has enough to say already.
                    let _ = answers.try_send(Message::Failed(ix, error.to_string()));
                    tokio::time::sleep(pause).await;
                }
                page => break page,
            }
        };
        let _ = tokio::task::spawn_blocking(move || answers.send(Message::Page(ix, stretch, page))).await;
    });
    Ok(true)
}

fn tell(done: &SeriesDone, reached: &mut i64, now: i64, on_event: &mut dyn FnMut(RangeEvent<'_>)) {
    let now = now.max(*reached);
    let step = if done.series.kind.is_bar_like() { 1 } else { BAR_MS };
    // Whole slots only, counted from the start, so that the parts add up to the whole.
    let slots = |at: i64| u64::try_from((at - done.wanted.from) / step).unwrap_or(0);
    on_event(RangeEvent::Slots { series: &done.series, slots: slots(now) - slots(*reached) });
    *reached = now;
}

/// Stores a page with the mark; false when the exchange has nothing further (bars that are not closed yet).
fn keep(
    store: &mut Store,
    done: &mut SeriesDone,
    stretch: Stretch,
    page: HistoryPage,
    now: Ts,
) -> Result<bool, RangeError> {
    let series = done.series.clone();
    let asked = Covered { series: series.clone(), stretch: Stretch { to: page.through, ..stretch } };
    let mark = extended(store, &asked)?;
    done.fetched += page.records.rows().len() as u64;
    let put = RawPut { symbol: series.symbol, records: page.records };
    let delivery = Delivery::answered(Origin::Rest, "rest history", now);
    let lot = Lot { puts: &[put], delivery, completes: None };
    for (_, report) in store.put_history(&[lot], &[mark])? {
        done.report.add(report);
    }
    Ok(page.through > stretch.from)
}
