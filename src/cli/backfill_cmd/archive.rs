//! The archive's part of a backfill: files in the order of the plan, fetched ahead while the ones before are
//! imported.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use anyhow::bail;
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;

use crate::cli::Progress;
use crate::cli::import_cmd::{ImportArgs, PreferArg, import};
use crate::daemon::feed::covered::{asked, extend, slots};
use crate::daemon::feed::{Covered, Stretch};
use backtestd_binance::archive::plan::{ArchiveFile, Span, covers, days_of, files, note};
use backtestd_binance::archive::{ArchiveHost, FetchError, Fetched, Had};
use backtestd_core::market::{BarIndex, SeriesKey, Ts};
use backtestd_store::{MergeReport, Store};

/// Files fetched at once, and at most so many ahead of the import.
const CONCURRENT_FILES: usize = 4;
const AHEAD: usize = 8;
/// Assumed size of a file before one has been seen.
const FIRST_GUESS_BYTES: u64 = 20_000;

/// Where the archive is and what is wanted of it.
pub(super) struct Request<'a> {
    pub host: ArchiveHost,
    /// Folder for files under way.
    pub folder: PathBuf,
    pub runtime: &'a Handle,
    pub from: Ts,
    pub to: Ts,
    pub now: Ts,
    pub wanted: &'a [(SeriesKey, Stretch)],
    pub quiet: bool,
}

/// What the archive gave.
#[derive(Debug, Default)]
pub(super) struct Archived {
    pub files: usize,
    pub bytes: u64,
    /// Files whose content the store has already.
    pub known: usize,
    /// Files that should be there and are not.
    pub missing: Vec<String>,
    pub series: BTreeMap<SeriesKey, MergeReport>,
}

/// A file with the series that it fills.
type Job = (ArchiveFile, Vec<SeriesKey>);

/// Fetches and imports every planned file that the store lacks. A kill costs the files under way at most:
/// parts of them are gone on with, imported ones are not asked for again.
pub(super) fn fill(store: &mut Store, request: &Request<'_>) -> anyhow::Result<Archived> {
    let mut done = Archived::default();
    let mut queue = plan(store, request, &mut done)?;
    let mut progress = Progress::bytes("archive", queue.len() as u64 * FIRST_GUESS_BYTES, request.quiet);
    while !queue.is_empty() {
        let batch: Vec<Job> = queue.drain(..queue.len().min(AHEAD)).collect();
        for (job, fetched) in fetch(request, batch) {
            let (file, series) = job;
            progress.item(&file.path);
            match fetched? {
                Had::Known => done.known += 1,
                Had::File(fetched) => {
                    keep(store, &file, &series, &fetched, &mut done)?;
                    done.files += 1;
                    done.bytes += fetched.bytes;
                }
                Had::Nothing if file.span == Span::Monthly => {
                    queue.extend(in_its_place(request, &file, &series));
                }
                Had::Nothing => done.missing.push(file.path),
            }
            let mean = if done.files > 0 { done.bytes / done.files as u64 } else { FIRST_GUESS_BYTES };
            progress.set_total(done.bytes + mean * queue.len() as u64);
            progress.set(done.bytes);
        }
    }
    progress.finish(&format!("{} files, {:.1} MB", done.files, done.bytes as f64 / 1e6));
    Ok(done)
}

/// The files of all series, each once, without those that would tell nothing new.
fn plan(store: &Store, request: &Request<'_>, done: &mut Archived) -> anyhow::Result<VecDeque<Job>> {
    let mut all: BTreeMap<String, Job> = BTreeMap::new();
    for (series, _) in request.wanted {
        for file in files(series, request.from, request.to, request.now) {
            let job = all.entry(file.path.clone()).or_insert_with(|| (file, Vec::new()));
            job.1.push(series.clone());
        }
    }
    let mut queue = VecDeque::new();
    for (path, job) in all {
        if store.meta(&note(&path))?.is_some() || is_known(store, &job)? {
            done.known += 1;
        } else {
            queue.push_back(job);
        }
    }
    Ok(queue)
}

fn is_known(store: &Store, (file, series): &Job) -> anyhow::Result<bool> {
    for series in series {
        let (from, to) = covers(series.kind, file);
        let is_there = if series.kind.is_bar_like() {
            slots(store, series, BarIndex(from), BarIndex(to))?.len() as i64 == to - from
        } else {
            asked(store, series)?.iter().any(|s| s.from <= from && to <= s.to)
        };
        if !is_there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Days instead of a month that has not been published.
fn in_its_place(request: &Request<'_>, month: &ArchiveFile, series: &[SeriesKey]) -> Vec<Job> {
    let Some(first) = series.first() else { return Vec::new() };
    let days = days_of(first, month, request.from, request.to, request.now);
    days.into_iter().map(|file| (file, series.to_vec())).collect()
}

/// A batch, in its order.
fn fetch(request: &Request<'_>, batch: Vec<Job>) -> Vec<(Job, Result<Had, FetchError>)> {
    let (host, folder) = (&request.host, request.folder.as_path());
    let work = batch.into_iter().map(|job| async move {
        let had = host.fetch_other(&job.0.path, None, folder).await;
        (job, had)
    });
    request.runtime.block_on(stream::iter(work).buffered(CONCURRENT_FILES).collect())
}

/// Imports a file, notes its sum, and removes it from the disk.
fn keep(
    store: &mut Store,
    file: &ArchiveFile,
    series: &[SeriesKey],
    fetched: &Fetched,
    done: &mut Archived,
) -> anyhow::Result<()> {
    let args = ImportArgs {
        market: None,
        kind: None,
        symbol: None,
        continuous: false,
        prefer: PreferArg::default(),
        json: true,
        paths: vec![fetched.file.clone()],
    };
    let summary = import(store, &args, false)?;
    if let Some((_, reason)) = summary.refused.first().or(summary.passed.first()) {
        bail!("{}: {reason}", file.path);
    }
    for (series, report) in summary.series {
        done.series.entry(series).or_default().add(report);
    }
    for series in series.iter().filter(|series| !series.kind.is_bar_like()) {
        let (from, to) = covers(series.kind, file);
        extend(store, &Covered { series: series.clone(), stretch: Stretch { from, to } })?;
    }
    store.put_meta(&note(&file.path), fetched.sha256.as_bytes())?;
    if let Err(error) = fetched.remove() {
        tracing::warn!(path = %fetched.file.display(), %error, "an imported file could not be removed");
    }
    Ok(())
}
