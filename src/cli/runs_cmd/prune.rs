//! `runs prune`: old runs make room. What a published version stands on stays, whatever its age.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::files::{Kind, named_by_versions, runs};
use crate::research::STAGE_CACHE;

/// What was removed, or would be.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Pruned {
    /// Ids of the runs that are gone, oldest first.
    pub removed: Vec<String>,
    /// Runs beyond the number to keep that published versions name, with the versions.
    pub held: Vec<(String, Vec<String>)>,
    /// Runs that are left.
    pub kept: usize,
    /// Entries of the stage cache that no kept run had computed.
    pub cache_entries: usize,
    /// Bytes that were freed.
    pub bytes: u64,
}

/// Removes all but the newest `keep` runs of each kind, and what the stage cache holds of the runs that go.
/// `dry`: only says what would go.
///
/// # Errors
/// When a run or a version cannot be read (nothing is removed then), or a file cannot be removed.
pub(super) fn prune(root: &Path, keep: usize, dry: bool) -> anyhow::Result<Pruned> {
    // A version that cannot be read may stand on any run.
    named_by_versions(root)?;
    let mut all = runs(root)?;
    all.sort_by(|a, b| b.made.cmp(&a.made).then_with(|| b.id.cmp(&a.id)));
    let (mut out, mut left, mut going) = (Pruned::default(), BTreeSet::new(), Vec::new());
    for kind in [Kind::Batch, Kind::Daemon, Kind::Walk] {
        for (at, run) in all.iter().filter(|run| run.kind == kind).enumerate() {
            if at < keep {
                left.insert(run.id.as_str());
            } else if run.versions.is_empty() {
                going.push(run);
            } else {
                left.insert(run.id.as_str());
                out.held.push((run.id.clone(), run.versions.clone()));
            }
        }
    }
    going.sort_by_key(|run| run.made);
    for run in going {
        for folder in run.folders() {
            out.bytes += remove(&folder, dry)?;
        }
        out.removed.push(run.id.clone());
    }
    out.kept = left.len();
    for (entry, payload) in cache_of_others(root, &left)? {
        out.cache_entries += 1;
        for path in [payload, entry].iter().filter(|path| path.exists()) {
            out.bytes += remove(path, dry)?;
        }
    }
    Ok(out)
}

/// Entries of the stage cache, each with its payload's place, that none of these runs had computed. What
/// cannot be read is of use to nobody.
fn cache_of_others(root: &Path, left: &BTreeSet<&str>) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let mut out = Vec::new();
    let cache = root.join(STAGE_CACHE);
    for stage in list(&cache)? {
        for entry in list(&stage)?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "json")) {
            let value: Option<Value> = fs::read(&entry).ok().and_then(|b| serde_json::from_slice(&b).ok());
            let run = value.as_ref().and_then(|v| v["run_id"].as_str());
            if !run.is_some_and(|run| left.contains(run)) {
                out.push((entry.clone(), entry.with_extension("bin")));
            }
        }
    }
    Ok(out)
}

fn list(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let at = || dir.display().to_string();
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).with_context(at)? {
        paths.push(entry.with_context(at)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Bytes of a file or of everything below a folder; removes it unless `dry`.
fn remove(path: &Path, dry: bool) -> anyhow::Result<u64> {
    let at = || path.display().to_string();
    let meta = fs::symlink_metadata(path).with_context(at)?;
    if !meta.is_dir() {
        if !dry {
            fs::remove_file(path).with_context(at)?;
        }
        return Ok(meta.len());
    }
    let mut bytes = 0;
    for inner in list(path)? {
        bytes += remove(&inner, dry)?;
    }
    if !dry {
        fs::remove_dir(path).with_context(at)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::publish::tests::context;
    use crate::publish::{PublishContext, publish_version};

    fn publish(root: &Path, run: &str) {
        let context = PublishContext { run_id: run.to_owned(), ..context(1) };
        publish_version(&root.join("blueprints"), &[], &context).unwrap();
    }

    /// A run of the daemon, made so many hours after the epoch.
    fn run(root: &Path, id: &str, hour: u64) {
        let dir = root.join("reports/strategy_blueprints").join(id);
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("blueprint_summary.json");
        fs::write(&path, format!(r#"{{"data_watermark":"2026-01-01T{hour:02}:00:00Z"}}"#)).unwrap();
        let made = SystemTime::UNIX_EPOCH + Duration::from_secs(3600 * hour);
        fs::File::options().write(true).open(&path).unwrap().set_modified(made).unwrap();
        let report = root.join("reports/research").join(id);
        fs::create_dir_all(&report).unwrap();
        fs::write(report.join("report.html"), "page").unwrap();
    }

    fn cached(root: &Path, run: &str) -> PathBuf {
        let dir = root.join(STAGE_CACHE).join("pipeline");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("{run}.bin")), "payload").unwrap();
        let entry = dir.join(format!("{run}.json"));
        fs::write(&entry, format!(r#"{{"run_id":"{run}"}}"#)).unwrap();
        entry
    }

    #[test]
    fn the_newest_stay_with_their_cache_and_what_a_version_names_stays_too() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (hour, id) in [(1, "published"), (2, "old"), (3, "older-data"), (4, "new")] {
            run(root, id, hour);
        }
        let (of_old, of_new) = (cached(root, "old"), cached(root, "new"));
        publish(root, "published");

        let would = prune(root, 1, true).unwrap();
        assert_eq!(would.removed, ["old", "older-data"]);
        assert_eq!(would.held, [("published".to_owned(), vec!["v000001".to_owned()])]);
        assert_eq!((would.kept, would.cache_entries), (2, 1));
        assert!(of_old.exists() && root.join("reports/research/old").exists(), "only said");

        assert_eq!(prune(root, 1, false).unwrap(), would);
        assert!(!of_old.exists() && !of_old.with_extension("bin").exists() && of_new.exists());
        let left: Vec<String> = runs(root).unwrap().into_iter().map(|run| run.id).collect();
        assert_eq!(left, ["published", "new"]);
        assert!(!root.join("reports/research/old").exists() && root.join("reports/research/new").exists());
        assert_eq!(prune(root, 1, false).unwrap().removed, [""; 0]);
    }

    #[test]
    fn nothing_goes_while_a_version_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        run(root, "old", 1);
        run(root, "new", 2);
        publish(root, "old");
        let manifest = root.join("blueprints/v000001/manifest.json");
        fs::write(&manifest, "{").unwrap();
        let error = prune(root, 0, false).unwrap_err().to_string();
        assert!(error.contains("manifest.json"), "{error}");
        assert_eq!(runs_on_disk(root), 2);
    }

    fn runs_on_disk(root: &Path) -> usize {
        fs::read_dir(root.join("reports/strategy_blueprints")).unwrap().count()
    }
}
