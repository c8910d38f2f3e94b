//! Stamps the commit into the binary: every run and blueprint says which code made it.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(dir) = git(&["rev-parse", "--git-dir"]) {
        let log = Path::new(&dir).join("logs/HEAD");
        // A path that does not exist would make every build run this again.
        if log.exists() {
            println!("cargo::rerun-if-changed={}", log.display());
        }
    }
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let stamped = git(&["rev-parse", "--short=7", "HEAD"])
        .map_or_else(|| version.clone(), |commit| format!("{version}+{commit}"));
    println!("cargo::rustc-env=BACKTESTD_CODE_VERSION={stamped}");
}

fn git(args: &[&str]) -> Option<String> {
    let out = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    out.status.success().then(|| text.trim().to_owned())
}
