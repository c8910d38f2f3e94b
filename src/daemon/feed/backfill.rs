//! History over REST: what is missing from the start to now, fetched page by page and stored as it arrives.
//!
//! Each page is one job of the storage thread, which also remembers that the page was asked for. A kill at
//! any moment therefore costs at most the pages under way, and a hole that the exchange really has is not
//! asked for again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::daemon::shared::Shared;
use crate::daemon::storage::{Job, Question, Storage, StorageError, Unasked};
use backtestd_binance::{Rest, RestError};

use super::catch::{ASKED_TOGETHER, all_settlements, apart};
use super::{Answer, RETRY_PAUSE, Stretch};
use backtestd_core::market::{BAR_MS, BarIndex, Kind, SeriesKey};

/// Series of a kind fetched at once. The limiter decides the pace; this only hides the round trips.
const CONCURRENT_SERIES: usize = 4;
/// After so long settlements of all contracts are asked for one by one.
const TOGETHER_WITHIN: Duration = Duration::from_secs(60);

/// What a backfill did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backfill {
    /// Number of records fetched.
    pub records: u64,
    /// Series that the exchange refuses, with its reason.
    pub refused: Vec<(SeriesKey, String)>,
}

/// Fetches everything that is missing before `end` in all series.
///
/// # Errors
/// When the storage thread fails. The exchange's failures are retried for as long as they last; what it
/// refuses for good is reported in the result.
pub async fn backfill(
    shared: &Arc<Shared>,
    storage: &Storage,
    rest: &Rest,
    series: Vec<SeriesKey>,
    end: BarIndex,
) -> Result<Backfill, StorageError> {
    let records = settlements_of_all(shared, storage, rest, &series, end).await?;
    let mut all = Backfill { records, ..Backfill::default() };
    let mut work: BTreeMap<Kind, Vec<_>> = BTreeMap::new();
    for series in series {
        let kind = series.kind;
        let fetched = async move {
            let result = fetch_series(shared, storage, rest, &series, end).await;
            (series, result)
        };
        work.entry(kind).or_default().push(fetched);
    }
    // Each kind has a pool of requests of its own at the exchange: none waits for that of another.
    let mut results = stream::select_all(
        work.into_values().map(|of_kind| stream::iter(of_kind).buffer_unordered(CONCURRENT_SERIES)),
    );
    while let Some((series, result)) = results.next().await {
        match result {
            Ok(records) => all.records += records,
            Err(Failure::Storage(error)) => return Err(error),
            Err(Failure::Refused(error)) => {
                tracing::error!(%error, ?series, "the exchange refuses this series; going on without it");
                all.refused.push((series, error.to_string()));
            }
        }
    }
    Ok(all)
}

/// Settlements that many contracts lack since the last start, by requests for those of all contracts; what
/// these leave is asked for one by one.
async fn settlements_of_all(
    shared: &Shared,
    storage: &Storage,
    rest: &Rest,
    series: &[SeriesKey],
    end: BarIndex,
) -> Result<u64, StorageError> {
    let funding: Vec<&SeriesKey> = series.iter().filter(|series| series.kind == Kind::Funding).collect();
    let Some(at_most) = Rest::history_page(Kind::Funding) else { return Ok(0) };
    if funding.len() < ASKED_TOGETHER {
        return Ok(0);
    }
    let (end, now) = (end.open().0 + 1 - BAR_MS, shared.clock.now());
    let mut questions = Vec::new();
    for series in funding {
        let missing =
            storage.ask(|reply| Job::Missing { series: series.clone(), end, at_most, now, reply }).await?;
        // Of the first settlement of a history the interval is told by the one before, which takes a question
        // of its own.
        let since = missing.filter(|unasked| unasked.ask_from < unasked.stretch.from);
        questions.extend(since.map(|Unasked { stretch, ask_from }| {
            let ask = Stretch { from: ask_from, ..stretch };
            Question { series: series.clone(), ask, settles: ask, how: "rest history" }
        }));
    }
    let (_, together) = apart(questions);
    if together.is_empty() {
        return Ok(0);
    }
    let said = all_settlements(rest, together, Instant::now() + TOGETHER_WITHIN).await;
    let answers: Vec<Answer> = said.into_iter().filter_map(Result::ok).collect();
    let records = answers.iter().map(|answer| answer.records.rows().len() as u64).sum();
    tracing::info!(series = answers.len(), records, "settlements of all contracts");
    storage.ask(|reply| Job::Settle { answers, now, reply }).await?;
    Ok(records)
}

enum Failure {
    Storage(StorageError),
    Refused(RestError),
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

async fn fetch_series(
    shared: &Shared,
    storage: &Storage,
    rest: &Rest,
    series: &SeriesKey,
    end: BarIndex,
) -> Result<u64, Failure> {
    // What describes the last bar's instants may still be on its way: the live part asks for it.
    let end = if series.kind.is_bar_like() { end.0 } else { end.open().0 + 1 - BAR_MS };
    let Some(at_most) = Rest::history_page(series.kind) else { return Ok(0) };
    let mut records = 0;
    let began = shared.clock.now();
    loop {
        let missing = storage
            .ask(|reply| Job::Missing { series: series.clone(), end, at_most, now: began, reply })
            .await?;
        let Some(Unasked { stretch, ask_from }) = missing else { return Ok(records) };
        shared.update(|s| s.backfill.stretches_total += 1);
        let page = loop {
            match rest.history(series, ask_from, stretch.to, shared.clock.now()).await {
                Ok(page) => break page,
                Err(error) if error.is_retryable() => {
                    let pause = error.retry_after().unwrap_or(RETRY_PAUSE);
                    tracing::warn!(%error, ?pause, "history page failed; asking again");
                    shared.update(|s| s.detail = format!("waiting to fetch history: {error}"));
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(Failure::Refused(error)),
            }
        };
        let n = page.records.rows().len() as u64;
        // Only what was closed by the exchange's clock has been asked for; a shorter page ends before `to`.
        let asked = Stretch { from: ask_from, to: page.through.min(stretch.to) };
        let (series, how) = (series.clone(), "rest history");
        let answer = Answer { series, asked, records: page.records, answers: page.answers, how };
        let now = shared.clock.now();
        let done = storage.ask(|reply| Job::Settle { answers: vec![answer], now, reply }).await?;
        for conflict in &done.report.listed {
            if conflict.series.kind == Kind::Mark {
                // The last mark of the stream is a moment older than that of the kline.
                tracing::debug!(%conflict, "history differs from what was stored");
            } else {
                tracing::warn!(%conflict, "history differs from what was stored");
            }
        }
        records += n;
        shared.update(|s| {
            s.backfill.stretches_done += 1;
            s.backfill.records += n;
        });
        if page.through <= stretch.from {
            return Ok(records);
        }
    }
}
