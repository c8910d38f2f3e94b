//! Stamps the code into the binary: every run and blueprint says which code made it. A release says the
//! commit; a development build says a digest of its sources, so that a commit alone does not compile it anew.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let code = if release { commit() } else { Some(sources()?) };
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let stamped = code.map_or_else(|| version.clone(), |code| format!("{version}+{code}"));
    println!("cargo::rustc-env=BACKTESTD_CODE_VERSION={stamped}");
    Ok(())
}

fn commit() -> Option<String> {
    let log = Path::new(&git(&["rev-parse", "--git-dir"])?).join("logs/HEAD");
    // A path that does not exist would make every build run this again.
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    git(&["rev-parse", "--short=7", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let out = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    out.status.success().then(|| text.trim().to_owned())
}

fn sources() -> std::io::Result<String> {
    println!("cargo::rerun-if-changed=src");
    let mut files = Vec::new();
    list(Path::new("src"), &mut files)?;
    files.sort();
    let mut digest = DefaultHasher::new();
    for file in files {
        digest.write(&std::fs::read(file)?);
    }
    Ok(format!("dev.{:08x}", digest.finish() >> 32))
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { list(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
