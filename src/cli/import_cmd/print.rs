//! What an import came to, for people and for programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ImportSummary;
use backtestd_binance::archive::Finding;
use backtestd_core::market::SeriesKey;

/// How many findings are printed; the rest is only counted.
const SHOWN: usize = 20;

/// Findings for people: counts of the same kind in several files as one line.
fn notes(findings: &[Finding]) -> Vec<String> {
    let mut counts: BTreeMap<&str, (u64, Vec<&Finding>)> = BTreeMap::new();
    let mut alike: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    let mut out = Vec::new();
    for finding in findings {
        let counted = finding.what.split_once(' ').and_then(|(n, kind)| Some((n.parse::<u64>().ok()?, kind)));
        match counted.filter(|_| finding.line.is_none()) {
            Some((n, kind)) => {
                let (sum, files) = counts.entry(kind).or_default();
                *sum += n;
                files.push(finding);
            }
            None if finding.line.is_none() => alike.entry(finding.what.as_str()).or_default().push(finding),
            None => out.push(finding.to_string()),
        }
    }
    for (what, files) in alike {
        out.push(match files.as_slice() {
            [one] => one.to_string(),
            [first, ..] => format!("{what} ({} files, the first {})", files.len(), first.file),
            [] => continue,
        });
    }
    for (kind, (sum, files)) in counts {
        out.push(match files.as_slice() {
            [one] => one.to_string(),
            [first, ..] => format!("{sum} {kind} ({} files, the first {})", files.len(), first.file),
            [] => continue,
        });
    }
    out
}

/// Files that were passed over for people, by reason.
fn passed(files: &[(PathBuf, String)]) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
    for (file, reason) in files {
        by_reason.entry(reason).or_default().push(file);
    }
    by_reason
        .into_iter()
        .map(|(reason, files)| match files.as_slice() {
            [first, _, ..] => format!("{} files ({reason}), the first {}", files.len(), first.display()),
            _ => {
                format!("{} ({reason})", files.first().map_or_else(String::new, |f| f.display().to_string()))
            }
        })
        .collect()
}

fn series_name(key: &SeriesKey) -> String {
    format!("{} {} {}", key.market, key.symbol, key.kind.name())
}

/// Prints a summary for people.
pub(super) fn text(summary: &ImportSummary) {
    for (key, r) in &summary.series {
        println!(
            "{:<32} {:>9} new {:>9} known {:>7} filled {:>6} changed{}",
            series_name(key),
            r.inserted,
            r.unchanged,
            r.filled,
            r.conflicts,
            if r.kept > 0 { format!(" {:>6} refuted", r.kept) } else { String::new() }
        );
    }
    let total = summary.total();
    for conflict in &total.listed {
        println!("conflict: {conflict}");
    }
    let records = total.conflicts + total.kept + total.contradictions;
    if records > 0 {
        println!("conflicts: {records} records said two things; `backtestd conflicts` lists them");
    }
    let notes = notes(&summary.findings);
    for note in notes.iter().take(SHOWN) {
        println!("note: {note}");
    }
    if notes.len() > SHOWN {
        println!("note: and {} more notes (all of them with --json)", notes.len() - SHOWN);
    }
    for record in summary.quarantined.iter().take(SHOWN) {
        println!("quarantined: {}: {} ({})", record.id(), record.reason, record.rule);
    }
    match summary.quarantined.len() {
        0 => {}
        n => println!(
            "quarantined: {n} records in all: stored, and unknown for everything computed from them \
             (`backtestd quarantine list`, `backtestd quarantine release`)"
        ),
    }
    if !summary.is_judged {
        println!(
            "note: no specs, so nothing was held against the rules of plausibility; the next command with specs does it"
        );
    }
    for line in passed(&summary.passed) {
        println!("passed over: {line}");
    }
    for (_, reason) in &summary.refused {
        println!("refused: {reason}");
    }
    print!("{} files read", summary.files);
    if summary.passed_over > 0 {
        print!(", {} passed over", summary.passed_over);
    }
    println!(", {} refused", summary.refused.len());
}

/// A summary as JSON.
pub(super) fn to_json(summary: &ImportSummary) -> String {
    let series: Vec<_> = summary
        .series
        .iter()
        .map(|(key, r)| {
            serde_json::json!({
                "market": key.market.to_string(), "symbol": key.symbol.as_str(), "kind": key.kind.name(),
                "inserted": r.inserted, "unchanged": r.unchanged, "filled": r.filled, "conflicts": r.conflicts,
                "kept": r.kept, "confirmed": r.confirmed,
                "contradictions": r.contradictions,
                "listed": r.listed.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    serde_json::json!({
        "files": summary.files,
        "passed_over": summary.passed_over,
        "passed": summary.passed.iter().map(|(file, reason)| serde_json::json!({
            "file": file.display().to_string(), "reason": reason,
        })).collect::<Vec<_>>(),
        "in_doubt": summary.in_doubt.iter().map(|s| serde_json::json!({
            "market": s.market.to_string(), "symbol": s.symbol.as_str(), "open_time": s.bar.to_string(),
            "reason": s.reason,
        })).collect::<Vec<_>>(),
        "quarantined": summary.quarantined,
        "is_judged": summary.is_judged,
        "refused": summary.refused.iter().map(|(_, reason)| reason).collect::<Vec<_>>(),
        "findings": summary.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "series": series,
        "peak_memory_mib": summary.peak_memory_mib,
    })
    .to_string()
}
