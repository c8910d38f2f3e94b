//! The tree as text: every Rust file with its crate, its room and its lines.

use std::path::{Path, PathBuf};

/// A Rust file below `src/`, `tests/` or `benches/`.
pub(crate) struct Source {
    /// Path from the root of the repository.
    pub path: String,
    /// `core`, `store`, `binance`, `lab` or `shell`; empty for tests and benches.
    pub member: &'static str,
    /// First folder (or file) below the member's root.
    pub room: String,
    pub text: String,
}

impl Source {
    /// Whether the file holds nothing but tests.
    pub(crate) fn is_test(&self) -> bool {
        self.member.is_empty() || self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    /// The production code: neither comments nor the test modules at the end of a file.
    pub(crate) fn code(&self) -> String {
        let mut out = String::new();
        let lines: Vec<&str> = self.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let next = lines[at..].iter().find(|l| !l.starts_with("#["));
            if *line == "#[cfg(test)]" && next.is_some_and(|l| l.starts_with("mod ") && l.ends_with('{')) {
                break;
            }
            if !line.trim_start().starts_with("//") {
                out.push_str(line);
                out.push('\n');
            }
        }
        out
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every file below `dir` whose name ends so, in the order of paths.
pub(crate) fn files(dir: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(dir)];
    while let Some(relative) = open.pop() {
        for entry in std::fs::read_dir(root().join(&relative)).unwrap() {
            let entry = entry.unwrap();
            let path = relative.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else if entry.file_name().to_string_lossy().ends_with(ending) {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every Rust file of the repository.
pub(crate) fn sources() -> Vec<Source> {
    let rust = ["src", "tests", "benches"].into_iter().flat_map(|dir| files(dir, ".rs"));
    rust.map(|path| {
        let parts: Vec<&str> = path.split('/').collect();
        let (member, below) = match parts[0] {
            "src" => match ["core", "store", "binance", "lab"].into_iter().find(|m| *m == parts[1]) {
                Some(member) => (member, 2),
                None => ("shell", 1),
            },
            _ => ("", 1),
        };
        let room = parts[below].trim_end_matches(".rs").to_owned();
        let text = read(&path);
        Source { path, member, room, text }
    })
    .collect()
}
