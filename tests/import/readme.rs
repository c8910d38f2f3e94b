//! The README's example over the data of the repository, word for word.

use std::path::Path;
use std::process::Command;

/// The blocks of the README: what stands behind the opening fence, and the lines.
fn blocks(readme: &str) -> Vec<(&str, Vec<&str>)> {
    let mut out = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in readme.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language, Vec::new())),
            (Some(_), Some(_)) => out.extend(open.take()),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    out
}

#[test]
fn the_commands_of_the_readme_over_the_repositorys_own_data_print_what_it_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let blocks = blocks(&readme);
    let runnable = |(_, lines): &(&str, Vec<&str>)| lines.iter().any(|l| l.contains("tests/data/"));
    let at = blocks.iter().position(runnable).expect("an example over tests/data");
    let ((language, commands), (_, shown)) = (&blocks[at], &blocks[at + 1]);
    assert_eq!(*language, "sh");

    let dir = tempfile::tempdir().unwrap();
    let mut printed = String::new();
    for line in commands.iter().filter(|line| line.starts_with("backtestd ")) {
        let words = line.split('#').next().unwrap_or_default().split_whitespace().skip(1);
        let output = Command::new(env!("CARGO_BIN_EXE_backtestd"))
            .args(words)
            .current_dir(root)
            .env_remove("BACKTESTD_SPEC")
            .env("BACKTESTD_STATE", dir.path().join("state"))
            .env("BACKTEST_DATA_ROOT", dir.path().join("data"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        printed.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    assert!(shown.len() > 3, "{shown:?}");
    for line in shown {
        assert!(printed.lines().any(|l| l == *line), "no line {line:?} in\n{printed}");
    }
    let report = printed.lines().find_map(|l| l.strip_prefix("report ")).expect("a report");
    assert!(Path::new(report.trim()).is_file(), "{report}");
}
