//! `<file>.CHECKSUM` beside a file of the archive: `<sha256>  <name>`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ArchiveError;

const BUFFER: usize = 1 << 16;

/// Holds a file against its checksum, where there is one.
pub(super) fn check(file: &Path) -> Result<(), ArchiveError> {
    let io = |source| ArchiveError::Io { file: file.to_owned(), source };
    let mut name = file.as_os_str().to_owned();
    name.push(".CHECKSUM");
    let sum = PathBuf::from(name);
    let text = match std::fs::read_to_string(&sum) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ArchiveError::Io { file: sum, source }),
    };
    let expected = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if expected.len() != 64 || !expected.bytes().all(|b| b.is_ascii_hexdigit()) {
        let detail = "no SHA-256 in it; remove it or fetch it again".to_owned();
        return Err(ArchiveError::Container { file: sum, detail });
    }
    let mut input = File::open(file).map_err(io)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match input.read(&mut buffer).map_err(io)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    if found == expected {
        return Ok(());
    }
    Err(ArchiveError::Checksum { file: file.to_owned(), sum, expected, found })
}
