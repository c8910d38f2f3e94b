//! Every field of the compiled settings has a reader beside the checks of the loader.

use std::fs;
use std::path::{Path, PathBuf};

/// Files whose structs are settings as the YAML files hold them, below `src/core/`.
const SETTINGS: [&str; 10] = [
    "spec/calendars.rs",
    "spec/compiled.rs",
    "spec/costs.rs",
    "spec/defaults.rs",
    "spec/gates/mod.rs",
    "spec/gates/multiplicity.rs",
    "spec/lexicon.rs",
    "spec/live.rs",
    "spec/sources.rs",
    "spec/strategies.rs",
];
/// Checks of the loader: what only they read decides nothing.
const CHECKS: [&str; 4] = ["spec/validate.rs", "spec/cost_rules.rs", "spec/gates/check.rs", "spec/ranges.rs"];
/// Read by the loader in the text of the file, before the types.
const LAYOUT: &str = "schema_version";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The production part of every source file, by its path below `src/core/` or `src/`.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "tests" {
                    open.push(path);
                }
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let production = text.split("#[cfg(test)]").next().unwrap().to_owned();
                let below = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((below.strip_prefix("core/").map_or(below.clone(), str::to_owned), production));
            }
        }
    }
    found
}

/// Public fields of the structs of a file, with the struct.
fn fields(text: &str) -> Vec<(String, String)> {
    let (mut out, mut of) = (Vec::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("pub struct ") {
            of = rest.split([' ', '<', '{', ';']).next().unwrap().to_owned();
        } else if let Some(rest) = line.strip_prefix("    pub ")
            && let Some((name, _)) = rest.split_once(": ")
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            out.push((of.clone(), name.to_owned()));
        }
    }
    out
}

/// A file without its functions that check.
fn without_checks(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        inside |=
            line.trim_start().starts_with("pub fn validate") || line.trim_start().starts_with("fn check(");
        if !inside {
            out.push_str(line);
            out.push('\n');
        }
        inside &= line != "    }";
    }
    out
}

fn reads(text: &str, field: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(&format!(".{field}")).any(|(at, found)| {
        let rest = &text[at + found.len()..];
        !rest.starts_with(is_part) && !rest.starts_with('(')
    })
}

/// The fields of a settings file that nobody reads.
fn unread(of: &str, sources: &[(String, String)]) -> Vec<String> {
    let text = &sources.iter().find(|(path, _)| path == of).unwrap_or_else(|| panic!("no {of}")).1;
    let readers: Vec<String> = sources
        .iter()
        .filter(|(path, _)| !CHECKS.contains(&path.as_str()))
        .map(|(path, text)| if path == of { without_checks(text) } else { text.clone() })
        .collect();
    let mut out = Vec::new();
    for (owner, field) in fields(text).into_iter().filter(|(_, field)| field != LAYOUT) {
        if !readers.iter().any(|text| reads(text, &field)) {
            out.push(format!("{of}: {owner}.{field}"));
        }
    }
    out
}

#[test]
fn every_field_of_the_settings_has_a_reader() {
    let sources = sources();
    let unread: Vec<String> = SETTINGS.iter().flat_map(|file| unread(file, &sources)).collect();
    assert!(unread.is_empty(), "make each do what it says, or remove it:\n{}", unread.join("\n"));
}

#[test]
fn a_field_that_only_a_check_reads_is_found() {
    let mut sources = sources();
    let gates = sources.iter_mut().find(|(path, _)| path == "spec/gates/mod.rs").unwrap();
    gates.1.push_str("pub struct Extra {\n    /// Nothing.\n    pub decides_nothing: bool,\n}\n");
    let check = sources.iter_mut().find(|(path, _)| path == "spec/gates/check.rs").unwrap();
    check.1.push_str("fn f(extra: &Extra) -> bool { extra.decides_nothing }");
    assert_eq!(unread("spec/gates/mod.rs", &sources), ["spec/gates/mod.rs: Extra.decides_nothing"]);
}
