//! `docs/extend.md` cannot rot: the files that it lists exist, and what a section follows stands in each of
//! them.

use std::fs;
use std::path::Path;

/// Words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_file(word: &str) -> bool {
    let ends = [".rs", ".yaml", ".md", ".py", ".json", ".csv"];
    word.contains('/') && ends.iter().any(|end| word.ends_with(end))
}

/// The lines of the section's numbered list.
fn items(section: &str) -> impl Iterator<Item = &str> {
    section.lines().scan(false, |inside, line| {
        let begins = line.starts_with(|c: char| c.is_ascii_digit());
        *inside = begins || (*inside && line.starts_with("   "));
        Some(if *inside { line } else { "" })
    })
}

#[test]
fn every_list_of_docs_extend_is_what_grep_finds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/extend.md")).unwrap();
    let mut followed = 0;
    for section in page.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap();
        for file in quoted(section).filter(|word| is_file(word)) {
            assert!(root.join(file).is_file(), "{title}: there is no {file}");
        }
        // Whatever is named between `Follow` and the end of the line.
        let follow = section.split_once("Follow ").map_or("", |(_, rest)| rest.lines().next().unwrap());
        let words: Vec<String> = quoted(follow).map(str::to_lowercase).collect();
        for line in items(section).filter(|_| !words.is_empty()) {
            for file in quoted(line).filter(|word| is_file(word)) {
                let text = fs::read_to_string(root.join(file)).unwrap().to_lowercase();
                assert!(words.iter().any(|w| text.contains(w)), "{title}: {file} has none of {words:?}");
                followed += 1;
            }
        }
    }
    assert!(followed > 30, "only {followed} files were followed");
}
