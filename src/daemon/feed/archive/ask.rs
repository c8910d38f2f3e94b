//! Asking for one file of the archive: its checksum, the file behind it, and the records in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::DueFile;
use backtestd_binance::archive::plan::covers;
use backtestd_binance::archive::{ArchiveHost, FetchError, FileContent, Had, read_file};
use backtestd_core::market::{RawPut, Records, Ts};

/// What the archive said of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// It does not have it, as yet or for good.
    Nothing,
    /// It has the file that was taken before.
    Known,
    /// It has a file that does not fit, for this reason.
    Unreadable(String),
    /// It has these records of the series that were asked about.
    Records {
        /// Checksum of the file, which is that of its bytes.
        sha256: String,
        /// Its records, by series.
        puts: Vec<RawPut>,
        /// When the file was made, where it says so.
        made: Option<Ts>,
    },
}

/// An answer of the archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// What was asked for.
    pub due: DueFile,
    /// What came of it.
    pub said: Said,
}

/// Asks for a file; nothing of it stays in `folder`.
///
/// # Errors
/// When the archive does not answer, or the disk refuses: the file is asked for again.
pub async fn ask(host: &ArchiveHost, due: DueFile, folder: &Path) -> Result<Told, FetchError> {
    // A folder of its own: whatever is left of it goes with it.
    let own = folder.join(due.file.path.replace('/', "_"));
    let had = host.fetch_other(&due.file.path, due.known.as_deref(), &own).await;
    let said = match had {
        Ok(Had::Nothing) => Said::Nothing,
        Ok(Had::Known) => Said::Known,
        Ok(Had::File(fetched)) => {
            let (file, sha256, asked) = (fetched.file.clone(), fetched.sha256, due.clone());
            let read = tokio::task::spawn_blocking(move || read(&file, sha256, &asked)).await;
            read.unwrap_or_else(|error| Said::Unreadable(error.to_string()))
        }
        Err(error @ FetchError::Checksum { .. }) => Said::Unreadable(error.to_string()),
        Err(error) => {
            clear(own).await;
            return Err(error);
        }
    };
    clear(own).await;
    Ok(Told { due, said })
}

/// A failure leaves bytes that the next start of a daemon removes.
async fn clear(folder: PathBuf) {
    if folder.exists() {
        let _ = tokio::fs::remove_dir_all(folder).await;
    }
}

fn read(file: &Path, sha256: String, due: &DueFile) -> Said {
    let Some(first) = due.series.first() else { return Said::Nothing };
    match read_file(file, &due.file.spec(first), &mut |_| {}) {
        Ok(content) => {
            for finding in &content.findings {
                tracing::debug!(file = due.file.path, what = finding.what, "a file of the archive");
            }
            let made = content.provenance.made;
            Said::Records { sha256, puts: wanted(content, due), made }
        }
        Err(error) => Said::Unreadable(error.to_string()),
    }
}

/// The records of the series and the span that were asked about. A bar that looks as if it had been stored
/// before it closed is left out: where nobody else has one, REST is asked.
fn wanted(content: FileContent, due: &DueFile) -> Vec<RawPut> {
    let doubted: BTreeSet<i64> = content.suspects.iter().map(|suspect| suspect.bar.0).collect();
    let mut puts = Vec::new();
    for put in content.puts {
        let series = put.series();
        if !due.series.contains(&series) {
            continue;
        }
        let (from, to) = covers(series.kind, &due.file);
        let mut rows = Vec::new();
        put.records.rows().each(&mut |time, columns, _| {
            let is_doubted = series.kind.is_bar_like() && doubted.contains(&time);
            if (from..to).contains(&time) && !is_doubted {
                rows.push((time, *columns));
            }
        });
        let records = Records::of(series.kind, series.market, &rows);
        puts.push(RawPut { symbol: put.symbol, records });
    }
    puts
}
