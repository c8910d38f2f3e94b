//! The house rules that no compiler holds: which room may know which, how long things may be, and that pages
//! say what the tree says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "tidy/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sources::{Source, files, read, root, sources};

/// The rooms of each crate, from the bottom up: a room may name those before it and never one after it.
const ROOMS: [(&str, &[&str]); 5] = [
    (
        "core",
        &[
            "market",
            "clock",
            "normal",
            "graph",
            "outcomes",
            "spec",
            "clean",
            "explain",
            "pipeline",
            "discovery",
            "tradability",
            "blueprints",
            "portfolio",
            "conclude",
            "walkforward",
        ],
    ),
    ("store", &["files", "db", "lake", "spec_dir"]),
    ("lab", &["sim", "calibrate"]),
    (
        "binance",
        &[
            "limits",
            "routes",
            "update",
            "backoff",
            "clock",
            "wire",
            "aggregate",
            "archive",
            "rest",
            "ws",
            "venue",
        ],
    ),
    ("shell", &["nautilus", "report", "publish", "verify", "research", "daemon", "cli", "lib", "main"]),
];

/// What each crate may depend on.
const CRATES: [(&str, &[&str]); 5] = [
    ("core", &[]),
    ("store", &["core"]),
    ("lab", &["core"]),
    ("binance", &["core", "lab"]),
    ("shell", &["core", "store", "lab", "binance"]),
];

/// What must never reach the core, by any way.
const NEVER_IN_CORE: [&str; 7] =
    ["tokio", "fjall", "arrow", "parquet", "reqwest", "notify-debouncer-mini", "tracing"];

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 80;

/// Longer than a screen, each with the length that it must not exceed. The list may only get shorter.
const LONG_FUNCTIONS: [(&str, usize); 1] = [
    // One struct literal with a line a column.
    ("src/core/discovery/conclude/mod.rs::measure", 100),
];

fn fail_if_any(findings: &[String], advice: &str) {
    assert!(findings.is_empty(), "{advice}\n  {}", findings.join("\n  "));
}

fn manifest(member: &str) -> String {
    read(&if member == "shell" { "Cargo.toml".to_owned() } else { format!("src/{member}/Cargo.toml") })
}

/// Names of the table `[dependencies]` of a manifest.
fn dependencies(manifest: &str, table: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| line.trim() != table).skip(1);
    let names = lines.take_while(|line| !line.starts_with('[')).filter(|l| !l.trim().is_empty());
    names
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.split(['.', ' ', '=']).next().unwrap().to_owned())
        .collect()
}

/// The identifiers of a text, each with the path before it stripped.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect()
}

#[test]
fn crates_depend_downwards_only() {
    let mut findings = Vec::new();
    for (member, allowed) in CRATES {
        for name in dependencies(&manifest(member), "[dependencies]") {
            let Some(other) = name.strip_prefix("backtestd-") else { continue };
            if !allowed.contains(&other) {
                findings.push(format!("backtestd-{member} depends on {name}"));
            }
        }
    }
    fail_if_any(&findings, "arrows between crates go down only (see CRATES):");
}

#[test]
fn the_core_has_no_runtime_no_store_and_no_network_in_its_dependency_tree() {
    // The lock file knows the tree without asking a registry; what it lists for tests may not hold any of
    // them either.
    let lock = read("Cargo.lock");
    let mut tree: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let quoted = |line: &'static str| package.lines().find_map(|l| l.strip_prefix(line));
        let name = quoted("name = ").expect("a package has a name").trim_matches('"');
        let listed = package.split_once("dependencies = [").map_or("", |(_, list)| list);
        let listed = listed.split_once(']').map_or("", |(list, _)| list).split('"').skip(1).step_by(2);
        // A name that several versions share is followed by its version.
        tree.entry(name).or_default().extend(listed.filter_map(|entry| entry.split(' ').next()));
    }
    let (mut names, mut open) = (BTreeSet::new(), vec!["backtestd-core"]);
    while let Some(name) = open.pop() {
        if names.insert(name) {
            open.extend(tree.get(name).unwrap_or_else(|| panic!("{name} is not in Cargo.lock")));
        }
    }
    assert!(names.contains("serde"), "the tree is read: {names:?}");
    let found: Vec<String> =
        NEVER_IN_CORE.iter().filter(|name| names.contains(*name)).map(ToString::to_string).collect();
    fail_if_any(&found, "the core may not depend on:");
}

#[test]
fn the_core_reads_no_file_and_no_clock() {
    let banned =
        ["std::fs", "std::env", "std::net", "std::process", "Instant::now", "SystemTime", "Timestamp::now"];
    let mut findings = Vec::new();
    for source in sources().iter().filter(|s| s.member == "core" && !s.is_test() && s.room != "examples") {
        let code = source.code();
        findings.extend(banned.iter().filter(|b| code.contains(*b)).map(|b| format!("{}: {b}", source.path)));
    }
    fail_if_any(&findings, "time, files and the environment come in as arguments:");
}

#[test]
fn rooms_know_only_rooms_below_them() {
    let mut findings = Vec::new();
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let all = sources();
    for source in all.iter().filter(|s| !s.is_test() && s.room != "examples") {
        let rooms = ROOMS.iter().find(|(member, _)| *member == source.member).unwrap().1;
        seen.entry(source.member).or_default().insert(source.room.clone());
        let Some(at) = rooms.iter().position(|room| *room == source.room) else { continue };
        let code = source.code();
        for part in code.split("crate::").skip(1) {
            let name = part.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
            if rooms.iter().position(|room| *room == name).is_some_and(|other| other > at) {
                findings
                    .push(format!("{}: {} names {name}, which stands above it", source.path, source.room));
            }
        }
    }
    for (member, rooms) in ROOMS {
        let known: BTreeSet<String> = rooms.iter().map(ToString::to_string).collect();
        findings.extend(
            seen[member]
                .difference(&known)
                .filter(|r| *r != "lib")
                .map(|r| format!("{member} has a room {r} that ROOMS lacks")),
        );
    }
    findings.sort();
    findings.dedup();
    fail_if_any(&findings, "arrows between rooms go down only (see ROOMS):");
}

#[test]
fn a_file_is_read_in_one_sitting() {
    let long = sources().into_iter().filter(|s| s.text.lines().count() > LONGEST_FILE);
    let findings: Vec<String> =
        long.map(|s| format!("{}: {} lines", s.path, s.text.lines().count())).collect();
    fail_if_any(&findings, &format!("files have at most {LONGEST_FILE} lines, one idea each:"));
}

/// rustfmt wraps code and leaves comments alone. Drawings and tables may be wider.
#[test]
fn a_comment_is_no_wider_than_the_code() {
    let rustfmt = read("rustfmt.toml");
    let width = rustfmt.lines().find_map(|line| line.strip_prefix("max_width = ")).unwrap();
    let width: usize = width.parse().unwrap();
    let mut findings = Vec::new();
    for source in sources() {
        let mut is_drawing = false;
        for line in source.text.lines().filter(|line| line.trim_start().starts_with("//")) {
            let text = line.trim_start().trim_start_matches(['/', '!']).trim_start();
            is_drawing ^= text.starts_with("```");
            if !is_drawing && !text.starts_with('|') && line.chars().count() > width {
                findings.push(format!("{}: {line}", source.path));
            }
        }
    }
    fail_if_any(&findings, &format!("comments have at most {width} characters a line:"));
}

/// Functions of a formatted file with their lengths: from the line of `fn` to the line that closes at its
/// indent.
fn functions(source: &Source) -> Vec<(String, usize)> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let mut rest = line.trim_start();
        for word in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async "] {
            rest = rest.strip_prefix(word).unwrap_or(rest);
        }
        let Some(name) = rest.strip_prefix("fn ") else { continue };
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let close = format!("{indent}}}");
        if let Some(length) = lines[at..].iter().position(|l| **l == close) {
            found.push((name, length + 1));
        }
    }
    found
}

#[test]
fn a_function_fits_on_a_screen() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test()) {
        for (name, length) in functions(source) {
            let id = format!("{}::{name}", source.path);
            let limit =
                LONG_FUNCTIONS.iter().find(|(known, _)| *known == id).map_or(LONGEST_FUNCTION, |(_, l)| *l);
            if length > limit {
                findings.push(format!("{id}: {length} lines, at most {limit}"));
            }
        }
    }
    fail_if_any(&findings, "functions are too long:");
}

#[test]
fn what_a_room_shows_somebody_outside_uses() {
    let all = sources();
    let production: Vec<String> = all.iter().filter(|s| !s.is_test()).map(Source::code).collect();
    let mut lines_with: BTreeMap<&str, usize> = BTreeMap::new();
    for word in production.iter().flat_map(|code| code.lines()).flat_map(words) {
        *lines_with.entry(word).or_default() += 1;
    }
    let mut findings = Vec::new();
    for (member, rooms) in ROOMS.iter().filter(|(member, _)| *member != "shell") {
        for room in *rooms {
            let face = match *member {
                "binance" | "store" | "lab" | "core" => format!("src/{member}/{room}/mod.rs"),
                _ => continue,
            };
            let Some(face) = all.iter().find(|s| s.path == face) else { continue };
            let is_inside = |s: &Source| s.member == *member && (s.room == *room || s.room == "lib");
            let outside: Vec<String> = all.iter().filter(|s| !is_inside(s)).map(Source::code).collect();
            let outside: BTreeSet<&str> = outside.iter().flat_map(|code| words(code)).collect();
            for name in shown(&face.code()) {
                // A type may be public because a function that is used gives it; a function or constant may
                // not.
                if name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase) {
                    continue;
                }
                let uses = lines_with.get(name.as_str()).copied().unwrap_or(0);
                // One of them is its definition, one is the list of the face.
                if !outside.contains(name.as_str()) || uses < 3 {
                    findings.push(format!("{}: {name}", face.path));
                }
            }
        }
    }
    fail_if_any(&findings, "public means used outside the room, and by more than tests:");
}

/// The names in the `pub use` lists of a face.
fn shown(face: &str) -> Vec<String> {
    let mut names = Vec::new();
    for list in face.split("pub use ").skip(1) {
        let list = list.split(';').next().unwrap_or_default();
        let inner =
            list.split_once('{').map_or(list.rsplit("::").next().unwrap_or_default(), |(_, inner)| inner);
        names.extend(words(inner).into_iter().filter(|w| *w != "self").map(str::to_owned));
    }
    names
}

#[test]
fn every_document_is_linked_from_somewhere() {
    let mut documents: Vec<String> = files("docs", ".md");
    documents
        .extend(["benches", "spec", "systemd", "state", "tests"].iter().flat_map(|dir| files(dir, ".md")));
    let mut pages: Vec<String> = documents.clone();
    pages.extend(std::fs::read_dir(root()).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        name.ends_with(".md").then_some(name)
    }));
    let texts: Vec<(String, String)> = pages.iter().map(|page| (page.clone(), read(page))).collect();
    let mut findings = Vec::new();
    for document in &documents {
        let name = document.rsplit('/').next().unwrap();
        let ending = if name == "README.md" { document.as_str() } else { name };
        let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_linked = texts.iter().any(|(page, text)| {
            page != document
                && (text.contains(&format!("{ending})"))
                    || text.contains(&format!("`{document}`"))
                    || name == "README.md" && text.contains(&format!("`{folder}/")))
        });
        if !is_linked {
            findings.push(document.clone());
        }
    }
    fail_if_any(&findings, "no page links to:");
}

#[test]
fn the_page_names_every_dependency_and_no_other() {
    let page = read("ARCHITECTURE.md");
    let table = page.split("## Dependencies").nth(1).expect("a section on dependencies");
    let mut named = BTreeSet::new();
    for row in table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| crate"))
    {
        let cell = row.split('|').nth(1).unwrap();
        let cell = cell
            .split('(')
            .map(|part| part.split_once(')').map_or(part, |(_, rest)| rest))
            .collect::<String>();
        named.extend(cell.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
    }
    let workspace = dependencies(&manifest("shell"), "[workspace.dependencies]");
    let used: BTreeSet<String> =
        workspace.into_iter().filter(|name| !name.starts_with("backtestd-")).collect();
    let mut findings: Vec<String> = used.difference(&named).map(|n| format!("{n} has no row")).collect();
    findings.extend(named.difference(&used).map(|n| format!("{n} is no dependency")));
    fail_if_any(&findings, "ARCHITECTURE.md, Dependencies:");
}

#[test]
fn every_dependency_is_named_by_the_crate_that_asks_for_it() {
    let all = sources();
    let mut findings = Vec::new();
    for (member, _) in CRATES {
        let manifest = manifest(member);
        for (table, tests) in [("[dependencies]", false), ("[dev-dependencies]", true)] {
            for name in dependencies(&manifest, table) {
                let ident = name.replace('-', "_");
                let names = |s: &Source| {
                    s.text.contains(&format!("{ident}::")) || s.text.contains(&format!("use {ident}"))
                };
                let of_member = |s: &&Source| s.member == member || member == "shell" && s.member.is_empty();
                if !all.iter().filter(of_member).any(|s| (tests || !s.member.is_empty()) && names(s)) {
                    findings.push(format!("backtestd-{member}: {name} in {table}"));
                }
            }
        }
    }
    fail_if_any(&findings, "dependencies that nothing names:");
}

/// Words of each doc comment of a public item, the comment's lines taken together.
fn short_docs(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut doc = String::new();
    for line in source.text.lines().map(str::trim_start) {
        if let Some(text) = line.strip_prefix("///") {
            let _ = write!(doc, "{text} ");
        } else {
            if !doc.is_empty() && doc.split_whitespace().count() < 3 && !line.starts_with("#[") {
                found.push(format!("{}: \"{}\" on `{line}`", source.path, doc.trim()));
            }
            if !line.starts_with("#[") {
                doc.clear();
            }
        }
    }
    found
}

#[test]
fn a_doc_comment_says_more_than_a_name() {
    let findings: Vec<String> = sources().iter().filter(|s| !s.is_test()).flat_map(short_docs).collect();
    fail_if_any(&findings, "doc comments of one or two words (a sentence or nothing):");
}
