//! Which program runs: its version, and the hash of its own file.

use std::sync::OnceLock;

use super::record::Code;
use backtestd_core::blueprints::sha256_hex;

/// The running program. Its file is read once a process.
pub(super) fn code() -> Code {
    static BUILD: OnceLock<String> = OnceLock::new();
    let build = BUILD.get_or_init(|| {
        let program = std::env::current_exe().and_then(std::fs::read);
        // A program that cannot read itself is told from others by its version alone.
        program.map_or_else(|_| sha256_hex(crate::CODE_VERSION.as_bytes()), |bytes| sha256_hex(&bytes))
    });
    Code { version: crate::CODE_VERSION.to_owned(), build: build.clone() }
}
