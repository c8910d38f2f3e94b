//! `tests/data/INDEX.md` says what lies beside it: every file with its digest, and none that is not there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::common::recorded::extract;

fn digest(path: &Path) -> String {
    Sha256::digest(fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files below a folder, but those of the cases, which have an index of their own.
fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("tests/data/cases") => {}
            true => files(&path, out),
            false => out.push(path),
        }
    }
}

#[test]
fn the_index_of_the_extracts_lists_every_file_with_its_digest() {
    let root = extract("");
    let index = fs::read_to_string(root.join("INDEX.md")).unwrap();
    let (_, list) = index.split_once("## Files").unwrap();
    let mut listed = BTreeMap::new();
    for line in list.lines() {
        // sha256, rows, path.
        if let [sha, rows, path] = line.split_whitespace().collect::<Vec<_>>()[..] {
            assert!(sha.len() == 64 && rows.parse::<u64>().is_ok_and(|n| n > 0), "{line}");
            listed.insert(root.join(path), sha.to_owned());
        }
    }
    let mut there = Vec::new();
    files(&root, &mut there);
    there.retain(|path| !path.ends_with("INDEX.md") && !path.ends_with("cut.py"));
    let found: BTreeMap<PathBuf, String> =
        there.into_iter().map(|path| (path.clone(), digest(&path))).collect();
    assert!(found.len() > 100, "{} files", found.len());
    assert_eq!(found, listed, "print the list again with tests/data/cut.py");
}

#[test]
fn the_extracts_stay_small() {
    let (mut all, root) = (Vec::new(), extract(""));
    files(&root, &mut all);
    files(&root.join("cases"), &mut all);
    let bytes: u64 = all.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes < 4_000_000, "{bytes} bytes in tests/data");
}
