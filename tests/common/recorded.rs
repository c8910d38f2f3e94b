//! Recorded data: extracts in the repository, and the large recordings where somebody has them.
//!
//! `tests/data` is part of every clone; `tests/data/INDEX.md` says what it holds. The recordings that it was
//! cut from are too large for a repository: they lie in `../shared/data` beside the checkout, or where
//! `BACKTESTD_RECORDINGS` says, or nowhere. A test that cannot run without something of this machine says so
//! with [`skipped`] and passes.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Names the folder of the large recordings.
pub(crate) const RECORDINGS: &str = "BACKTESTD_RECORDINGS";

/// A file or folder of the extracts.
pub(crate) fn extract(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

/// Where the large recordings would be.
pub(crate) fn recordings_dir() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    std::env::var_os(RECORDINGS).map_or_else(beside, PathBuf::from)
}

/// A file or folder of the large recordings; where they are not, says so.
pub(crate) fn recording(path: &str) -> Option<PathBuf> {
    let dir = recordings_dir();
    if dir.join("INDEX.md").is_file() {
        return Some(dir.join(path));
    }
    skipped(&format!("no recordings in {} (see {RECORDINGS} in tests/data/INDEX.md)", dir.display()));
    None
}

/// Says that the running test leaves something out.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    say(&format!("skipped: {}: {why}", thread.name().unwrap_or("a test")));
}

/// Past the test harness, which keeps to itself what a passing test prints.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
