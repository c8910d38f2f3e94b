//! Published versions and the runs they come from are whole.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::Area;
use crate::publish::{
    BLUEPRINTS_FILE, CURRENT, DirectoryError, current_version, list_versions, read_version, version_name,
};

/// Checks every version of `data_root/blueprints`, the chain of parents, `current`, and the files that each
/// run under `data_root/reports/strategy_blueprints` lists in its summary.
#[must_use]
pub fn check_blueprints(data_root: &Path) -> Area {
    let mut area = Area::new("blueprints");
    let dir = data_root.join("blueprints");
    let versions = match list_versions(&dir) {
        Ok(versions) => versions,
        Err(error) => {
            report(&mut area, &error);
            Vec::new()
        }
    };
    let mut lines = 0;
    let mut parent: Option<u32> = None;
    for number in &versions {
        match read_version(&dir, *number) {
            Ok(version) => {
                lines += version.blueprints.len();
                let (expected, found) = (parent.map(version_name), version.manifest.parent);
                // The oldest version kept may have lost its parent to housekeeping.
                if parent.is_some() && expected != found {
                    let path = dir.join(version_name(*number)).join("manifest.json");
                    let text = |name: Option<String>| name.unwrap_or_else(|| "none".to_owned());
                    area.find(path.display().to_string(), "parent", text(expected), text(found));
                }
            }
            Err(error) => report(&mut area, &error),
        }
        parent = Some(*number);
    }
    let link = dir.join(CURRENT).display().to_string();
    match (current_version(&dir), versions.last()) {
        (Err(error), _) => report(&mut area, &error),
        (Ok(None), Some(last)) => area.find(link, "target", version_name(*last), "no link"),
        (Ok(Some(number)), Some(last)) if number != *last && versions.contains(&number) => {
            let (number, last) = (version_name(number), version_name(*last));
            area.note = Some(format!("current is {number}, the newest version is {last}: someone went back"));
        }
        (Ok(Some(number)), last) if last != Some(&number) => {
            let newest = last.map_or_else(|| "no version".to_owned(), |n| version_name(*n));
            area.find(link, "target", newest, version_name(number));
        }
        _ => {}
    }
    let runs = check_runs(&mut area, &data_root.join("reports/strategy_blueprints"));
    area.checked = format!("{} versions with {lines} lines, {runs} runs", versions.len());
    area
}

fn report(area: &mut Area, error: &DirectoryError) {
    match error {
        DirectoryError::Differs { path, field, expected, found } => {
            area.find(path.display().to_string(), *field, expected, found);
        }
        DirectoryError::Damaged { path, what } => {
            area.find(path.display().to_string(), "content", "sound", what);
        }
        DirectoryError::Io { path, source } => {
            area.find(path.display().to_string(), "file", "readable", source);
        }
        DirectoryError::BadCurrent { path, target } => {
            area.find(path.display().to_string(), "target", "vNNNNNN", target);
        }
    }
}

/// The files that each run's summary lists, by length and hash.
fn check_runs(area: &mut Area, folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut runs: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    runs.retain(|p| !p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')));
    runs.sort();
    for run in &runs {
        let path = run.join("blueprint_summary.json");
        let summary: Option<serde_json::Value> =
            std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(summary) = summary else {
            area.find(path.display().to_string(), "file", "readable JSON", "not");
            continue;
        };
        let lines = run.join(BLUEPRINTS_FILE);
        let name = lines.display().to_string();
        match std::fs::read(&lines) {
            Ok(bytes) => {
                let found: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
                let expected = summary["files"][BLUEPRINTS_FILE]["sha256"].as_str().unwrap_or("absent");
                if expected.trim_start_matches("sha256:") != found {
                    area.find(name, "sha256", expected, found);
                }
            }
            Err(error) => area.find(name, "file", "readable", error),
        }
    }
    runs.len()
}
