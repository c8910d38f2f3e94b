//! The archive's part of a backfill: files in the order of the plan, fetched ahead while the ones before are imported.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::bail;
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;

use crate::cli::Progress;
use crate::cli::import_cmd::{ImportArgs, PreferArg, import};
use crate::daemon::feed::covered::{asked, extend, slots};
use crate::daemon::feed::{Covered, Stretch};
use backtestd_binance::archive::plan::{ArchiveFile, Span, covers, days_of, files};
use backtestd_binance::archive::{ArchiveHost, FetchError, Fetched};
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

/// Fetches and imports every planned file that the store lacks. A kill costs the files under way at most: parts of them
/// are gone on with, imported ones are not asked for again.
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
                Some(fetched) => {
                    keep(store, &file, &series, &fetched, &mut done)?;
                    done.files += 1;
                    done.bytes += fetched.bytes;
                }
                None if file.span == Span::Monthly => queue.extend(in_its_place(request, &file, &series)),
                None => done.missing.push(file.path),
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
        if store.meta(&mark(&path))?.is_some() || is_known(store, &job)? {
            done.known += 1;
        } else {
            queue.push_back(job);
        }
    }
    Ok(queue)
}

/// Name of the store's note that a file was imported; its value is the SHA-256 of it.
fn mark(path: &str) -> String {
    format!("archive/{path}")
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

/// A batch, in its order; `None` for what the archive does not have.
fn fetch(request: &Request<'_>, batch: Vec<Job>) -> Vec<(Job, Result<Option<Fetched>, FetchError>)> {
    let (host, folder) = (&request.host, request.folder.as_path());
    let work = batch.into_iter().map(|job| async move {
        let path = job.0.path.clone();
        let fetched = match host.checksum(&path).await {
            Ok(Some(sum)) => host.fetch(&path, &sum, folder, &|_| {}).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        (job, fetched)
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
    store.put_meta(&mark(&file.path), fetched.sha256.as_bytes())?;
    remove(&fetched.file);
    Ok(())
}

/// What is left on the disk is overwritten by a later fetch: a failure to remove it costs space only.
fn remove(file: &Path) {
    for path in [file.to_owned(), file.with_extension("zip.CHECKSUM")] {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "an imported file could not be removed");
        }
    }
}
