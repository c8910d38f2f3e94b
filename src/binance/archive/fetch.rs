//! Fetching files of the public archive: checksum first, the file behind it, resumed where an earlier try
//! ended.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Client, StatusCode, header};
use sha2::{Digest, Sha256};

/// Waits between tries of one file; after the last one the failure is told.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];
/// Time without a byte after which a transfer counts as dead.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The connection or the server failed, and again.
    #[error("{url}: {reason}; asked again, it goes on where it stopped")]
    Network {
        /// Address of the file.
        url: String,
        /// What failed, in the words of the transport.
        reason: String,
    },
    /// The file is not the one of which the checksum speaks, twice.
    #[error(
        "{url}: its SHA-256 is {found}, the .CHECKSUM beside it says {expected}; it was not imported, ask again later"
    )]
    Checksum {
        /// Address of the file.
        url: String,
        /// Sum that the archive states.
        expected: String,
        /// Sum of what was fetched.
        found: String,
    },
    /// The file cannot be written.
    #[error("{}: {source}; free space or choose another --state", file.display())]
    Disk {
        /// Path that cannot be written.
        file: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// A file on this disk, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it lies, its checksum beside it.
    pub file: PathBuf,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Fetched {
    /// Removes it and its checksum from the disk.
    ///
    /// # Errors
    /// When the system refuses: what is left costs space only, a later fetch overwrites it.
    pub fn remove(&self) -> std::io::Result<()> {
        std::fs::remove_file(&self.file)?;
        std::fs::remove_file(checksum_beside(&self.file))
    }
}

fn checksum_beside(file: &Path) -> PathBuf {
    file.with_extension("zip.CHECKSUM")
}

/// What the archive has of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Had {
    /// Nothing, as yet or for good: the archive does not say which.
    Nothing,
    /// The file that is known already, by its checksum.
    Known,
    /// A file, which is on this disk now.
    File(Fetched),
}

/// The archive at some address.
#[derive(Clone, Debug)]
pub struct ArchiveHost {
    client: Client,
    base_url: String,
}

impl ArchiveHost {
    /// `base_url` is the folder above `futures` and `spot`.
    ///
    /// # Errors
    /// When no client can be made (TLS).
    pub fn new(base_url: &str) -> Result<Self, reqwest::Error> {
        crate::install_tls();
        let client =
            Client::builder().connect_timeout(Duration::from_secs(10)).read_timeout(SILENCE).build()?;
        Ok(Self { client, base_url: base_url.trim_end_matches('/').to_owned() })
    }

    /// The stated SHA-256 of a file; `None` while the archive does not have it.
    ///
    /// # Errors
    /// When the archive does not answer, or not with a checksum.
    pub async fn checksum(&self, path: &str) -> Result<Option<String>, FetchError> {
        let url = format!("{}/{path}.CHECKSUM", self.base_url);
        let mut reason = String::new();
        for pause in tries() {
            tokio::time::sleep(pause).await;
            let answer = match self.client.get(&url).send().await {
                Ok(answer) => answer,
                Err(error) => {
                    reason = error.to_string();
                    continue;
                }
            };
            // S3 says 403 instead of 404 to those who may not list.
            if matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) {
                return Ok(None);
            }
            reason = format!("HTTP {}", answer.status());
            let Ok(text) = answer.text().await else { continue };
            let sum = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
            if sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Ok(Some(sum));
            }
            reason = format!("{reason} without a SHA-256 in it");
        }
        Err(FetchError::Network { url, reason })
    }

    /// Fetches a file into `folder`, unless its checksum is `known`.
    ///
    /// # Errors
    /// As [`ArchiveHost::checksum`] and [`ArchiveHost::fetch`].
    pub async fn fetch_other(
        &self,
        path: &str,
        known: Option<&str>,
        folder: &Path,
    ) -> Result<Had, FetchError> {
        match self.checksum(path).await? {
            None => Ok(Had::Nothing),
            Some(sum) if known == Some(sum.as_str()) => Ok(Had::Known),
            Some(sum) => self.fetch(path, &sum, folder, &|_| {}).await.map(Had::File),
        }
    }

    /// Fetches a file into `folder` (by its path) and holds it against `sha256`. `on_bytes` hears of every
    /// piece.
    ///
    /// # Errors
    /// When the archive fails for good, the sum is another one, or the disk refuses.
    pub async fn fetch(
        &self,
        path: &str,
        sha256: &str,
        folder: &Path,
        on_bytes: &(dyn Fn(u64) + Sync),
    ) -> Result<Fetched, FetchError> {
        let url = format!("{}/{path}", self.base_url);
        let file = folder.join(path);
        let disk = |source| FetchError::Disk { file: file.clone(), source };
        std::fs::create_dir_all(file.parent().unwrap_or(folder)).map_err(disk)?;
        let part = file.with_extension("zip.part");
        let (mut reason, mut found) = (String::new(), None);
        for pause in tries() {
            tokio::time::sleep(pause).await;
            match self.transfer(&url, &part, on_bytes).await {
                Ok(()) => {}
                Err(Broken::Disk(source)) => return Err(disk(source)),
                Err(Broken::Network(why)) => {
                    reason = why;
                    continue;
                }
            }
            let bytes = std::fs::read(&part).map_err(disk)?;
            let sum: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
            if sum == sha256 {
                let name = path.rsplit('/').next().unwrap_or(path);
                std::fs::write(checksum_beside(&file), format!("{sum}  {name}\n")).map_err(disk)?;
                std::fs::rename(&part, &file).map_err(disk)?;
                return Ok(Fetched { file, sha256: sum, bytes: bytes.len() as u64 });
            }
            std::fs::remove_file(&part).map_err(disk)?;
            found = Some(sum);
        }
        Err(match found {
            Some(found) => FetchError::Checksum { url, expected: sha256.to_owned(), found },
            None => FetchError::Network { url, reason },
        })
    }

    /// Appends to what an earlier try left.
    async fn transfer(&self, url: &str, part: &Path, on_bytes: &(dyn Fn(u64) + Sync)) -> Result<(), Broken> {
        let have = part.metadata().map_or(0, |m| m.len());
        let mut request = self.client.get(url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let answer = request.send().await.map_err(|e| Broken::Network(e.to_string()))?;
        let is_rest = answer.status() == StatusCode::PARTIAL_CONTENT;
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(());
        }
        if !answer.status().is_success() {
            return Err(Broken::Network(format!("HTTP {}", answer.status())));
        }
        let mut out = std::fs::OpenOptions::new();
        let mut out = out.create(true).write(true).append(is_rest).truncate(!is_rest).open(part)?;
        let mut body = answer.bytes_stream();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|e| Broken::Network(e.to_string()))?;
            out.write_all(&piece)?;
            on_bytes(piece.len() as u64);
        }
        out.sync_all()?;
        Ok(())
    }
}

enum Broken {
    Network(String),
    Disk(std::io::Error),
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error)
    }
}

/// The wait before each try, none before the first.
fn tries() -> impl Iterator<Item = Duration> {
    std::iter::once(Duration::ZERO).chain(PAUSES)
}
