//! History over REST for a date range, without a daemon: the caller's thread owns the store, requests run
//! beside it.
//!
//! A page and the mark that it was asked for are one atomic write, so a kill costs at most the pages under
//! way and the next start goes on behind them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::runtime::Handle;

use super::covered::next_unasked;
use super::ledger::{load, mark};
use super::{Answer, RETRY_PAUSE, Stretch};
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

/// Who asks the exchange, and by which rules.
#[derive(Debug)]
pub struct Asker<'a> {
    /// The exchange's REST client.
    pub rest: &'a Rest,
    /// The clock by which a bar has closed.
    pub clock: &'a Arc<dyn Clock>,
    /// Where the requests run.
    pub runtime: &'a Handle,
    /// Wait before a hole is asked about again, in seconds, by how many answers agree; empty: whoever comes
    /// next asks again.
    pub patience_s: Vec<u32>,
}

struct Fetch<'a> {
    /// When the whole began: a hole that is asked about meanwhile is not due again.
    began: Ts,
    asker: &'a Asker<'a>,
    answers: SyncSender<Message>,
}

/// Fetches what is neither stored nor was asked for of each wanted stretch. `on_event` hears of progress.
///
/// # Errors
/// When the store fails. Failures of the exchange are waited out; what it refuses for good is in the result.
pub fn backfill_range(
    store: &mut Store,
    asker: &Asker<'_>,
    wanted: Vec<(SeriesKey, Stretch)>,
    on_event: &mut dyn FnMut(RangeEvent<'_>),
) -> Result<Vec<SeriesDone>, RangeError> {
    let (answers, inbox): (_, Receiver<Message>) = sync_channel(2 * CONCURRENT_SERIES);
    let fetch = Fetch { began: asker.clock.now(), asker, answers };
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
                    Ok(page) => keep(store, asker, &mut all[ix], stretch, page)?,
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
        Some(at_most) => {
            let mut ledger = load(store, &done.series)?;
            next_unasked(store, &mut ledger, &done.series, done.wanted, at_most, fetch.began)?
        }
        None => None,
    };
    tell(done, reached, next.map_or(done.wanted.to, |stretch| stretch.from), on_event);
    let Some(stretch) = next else { return Ok(false) };
    let asker = fetch.asker;
    let (rest, clock, answers) = (asker.rest.clone(), Arc::clone(asker.clock), fetch.answers.clone());
    let series = done.series.clone();
    asker.runtime.spawn(async move {
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
    asker: &Asker<'_>,
    done: &mut SeriesDone,
    stretch: Stretch,
    page: HistoryPage,
) -> Result<bool, RangeError> {
    let now = asker.clock.now();
    let series = done.series.clone();
    let asked = Stretch { to: page.through.min(stretch.to), ..stretch };
    let how = "rest history";
    let answer = Answer { series: series.clone(), asked, records: page.records, answers: page.answers, how };
    let mut ledger = load(store, &series)?;
    answer.settle(&mut ledger, store, now, &asker.patience_s)?;
    done.fetched += answer.records.rows().len() as u64;
    let put = RawPut { symbol: series.symbol.clone(), records: answer.records };
    let delivery = Delivery::answered(Origin::Rest, how, now);
    let lot = Lot { puts: &[put], delivery, completes: None };
    for (_, report) in store.put_history(&[lot], &[mark(&series, &ledger)])? {
        done.report.add(report);
    }
    Ok(page.through > stretch.from)
}
