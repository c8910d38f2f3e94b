//! The files of runs: where they are, and what is read of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

use crate::publish::{list_versions, read_version};
use backtestd_store::lake::read_parquet;

/// Folders below the data root that hold a folder of each run's name.
pub(super) const FOLDERS: [&str; 6] = [
    "reports/strategy_blueprints",
    "reports/phase2",
    "reports/promotions",
    "reports/research",
    "reports/walk_forward",
    "runs",
];

/// How a run looked at the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A look of the `research` command.
    Batch,
    /// The daemon's, or the demo's.
    Daemon,
    /// Many looks of `research --walk-forward`.
    Walk,
}

impl Kind {
    /// The word in lists.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Batch => "research",
            Self::Daemon => "daemon",
            Self::Walk => "walk-forward",
        }
    }
}

/// What a run says of itself.
pub(super) struct Run {
    /// Id of the run in lists.
    pub id: String,
    pub kind: Kind,
    /// `blueprint_summary.json`, or `walk_forward.json`: inputs and counts.
    pub summary: Value,
    /// `summary.json` of discovery; null where it is gone, and of a walk.
    pub discovery: Value,
    /// Published versions that the run made, or whose lines it made.
    pub versions: Vec<String>,
    /// When its summary was written.
    pub made: SystemTime,
    root: PathBuf,
}

/// Everything that two runs are compared by.
pub(super) struct Whole {
    /// The inputs and the counts.
    pub summary: Value,
    /// What the stages read, by name; empty for a run without stages.
    pub inputs: BTreeMap<String, String>,
    /// Blueprints by id.
    pub blueprints: BTreeMap<String, Value>,
    /// Candidates by id, each column as text; null is absent.
    pub candidates: BTreeMap<String, Row>,
}

/// One candidate: its columns as text.
pub(super) type Row = BTreeMap<String, String>;

/// The runs below a data root, by the data that they had seen, then by id.
pub(super) fn runs(root: &Path) -> anyhow::Result<Vec<Run>> {
    let named = named_by_versions(root).unwrap_or_default();
    let mut out = Vec::new();
    for (folder, file) in [(FOLDERS[0], "blueprint_summary.json"), (FOLDERS[4], "walk_forward.json")] {
        let folder = root.join(folder);
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry.with_context(|| folder.display().to_string())?;
            let id = entry.file_name().to_string_lossy().into_owned();
            // Names with a dot before them are runs that are being written.
            if id.starts_with('.') || !entry.path().is_dir() {
                continue;
            }
            let path = entry.path().join(file);
            let summary = read_json(&path)?;
            let made = fs::metadata(&path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            let kind = match file {
                "walk_forward.json" => Kind::Walk,
                _ if root.join("runs").join(&id).join("run_manifest.json").exists() => Kind::Batch,
                _ => Kind::Daemon,
            };
            let discovery = root.join("reports/phase2").join(&id).join("summary.json");
            let discovery =
                if kind != Kind::Walk && discovery.exists() { read_json(&discovery)? } else { Value::Null };
            let versions = named.get(&id).into_iter().flatten().cloned().collect();
            out.push(Run { id, kind, summary, discovery, versions, made, root: root.to_owned() });
        }
    }
    out.sort_by_cached_key(|run| (run.seen(), run.id.clone()));
    Ok(out)
}

/// The versions that name a run, by the run's id.
///
/// # Errors
/// When a version cannot be read.
pub(super) fn named_by_versions(root: &Path) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let dir = root.join("blueprints");
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for number in list_versions(&dir)? {
        let version = read_version(&dir, number)?;
        let name = version.manifest.version.clone();
        let runs = version.blueprints.into_iter().map(|b| b.lineage.run_id).chain([version.manifest.run_id]);
        for run in runs {
            named.entry(run).or_default().insert(name.clone());
        }
    }
    Ok(named)
}

/// The run of this id, or the only one whose id holds `name`.
pub(super) fn find(root: &Path, name: &str) -> anyhow::Result<Run> {
    let (mut exact, mut partly) = (None, Vec::new());
    for run in runs(root)? {
        if run.id == name {
            exact = Some(run);
        } else if run.id.contains(name) {
            partly.push(run);
        }
    }
    if let Some(run) = exact {
        return Ok(run);
    }
    match partly.len() {
        1 => Ok(partly.remove(0)),
        0 => bail!("no run '{name}' below {}; `backtestd runs list` names them", root.display()),
        _ => {
            let names: Vec<_> = partly.iter().map(|run| run.id.as_str()).collect();
            bail!("'{name}' is a part of several runs' ids: {}", names.join(", "))
        }
    }
}

impl Run {
    /// Until when it had seen data.
    pub(super) fn seen(&self) -> String {
        let name = if self.kind == Kind::Walk { "end" } else { "data_watermark" };
        self.summary[name].as_str().unwrap_or_default().to_owned()
    }

    /// The records of its stages, in their order; none where it has none.
    pub(super) fn stages(&self) -> anyhow::Result<Vec<Value>> {
        let dir = self.root.join("runs").join(&self.id);
        let manifest = dir.join("run_manifest.json");
        if self.kind == Kind::Walk || !manifest.exists() {
            return Ok(Vec::new());
        }
        let manifest = read_json(&manifest)?;
        let names = manifest["stages"].as_array().into_iter().flatten();
        let paths = names.filter_map(|stage| Some(dir.join(format!("{}.json", stage["stage"].as_str()?))));
        paths.filter(|path| path.exists()).map(|path| read_json(&path)).collect()
    }

    /// The folders that are the run's alone.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        FOLDERS.iter().map(|f| self.root.join(f).join(&self.id)).filter(|f| f.is_dir()).collect()
    }

    /// Reads its blueprints and candidates.
    pub(super) fn load_all(&self) -> anyhow::Result<Whole> {
        let mut inputs = BTreeMap::new();
        for stage in self.stages()? {
            for (name, hash) in stage["inputs"].as_object().into_iter().flatten() {
                // What a run is called and which stages came before are not what it read.
                if name != "run" && !name.starts_with("stage/") {
                    inputs.insert(name.clone(), hash.as_str().unwrap_or_default().to_owned());
                }
            }
            let build = stage["code"]["build"].as_str().unwrap_or_default();
            inputs.insert("the program's build".to_owned(), build.to_owned());
        }
        let blueprints = if self.kind == Kind::Walk { self.walked() } else { self.compiled()? };
        Ok(Whole { summary: self.summary.clone(), inputs, blueprints, candidates: self.candidates()? })
    }

    /// Every blueprint that a walk published, with its end.
    fn walked(&self) -> BTreeMap<String, Value> {
        let mut out = BTreeMap::new();
        for look in self.summary["looks"].as_array().into_iter().flatten() {
            for id in look["added"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                out.insert(id.to_owned(), serde_json::json!({ "published_at": look["published_at"] }));
            }
            for end in look["retired"].as_array().into_iter().flatten() {
                let known = end["id"].as_str().and_then(|id| out.get_mut(id));
                if let Some(Value::Object(known)) = known {
                    known.insert("retired_at".to_owned(), look["published_at"].clone());
                }
            }
        }
        out
    }

    fn compiled(&self) -> anyhow::Result<BTreeMap<String, Value>> {
        let path = self.root.join(FOLDERS[0]).join(&self.id).join("blueprints.jsonl");
        let lines = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut blueprints = BTreeMap::new();
        for (n, line) in lines.lines().enumerate() {
            let at = || format!("{}:{}", path.display(), n + 1);
            let blueprint: Value = serde_json::from_str(line).with_context(at)?;
            let id = blueprint["id"].as_str().with_context(|| format!("{}: no id", at()))?.to_owned();
            blueprints.insert(id, blueprint);
        }
        Ok(blueprints)
    }

    fn candidates(&self) -> anyhow::Result<BTreeMap<String, Row>> {
        let folder = self.root.join("reports/phase2").join(&self.id);
        let mut out = BTreeMap::new();
        if !folder.is_dir() {
            return Ok(out);
        }
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path().join("phase2_candidates.parquet");
            if path.is_file() {
                read_candidates(&path, &mut out)?;
            }
        }
        Ok(out)
    }
}

fn read_candidates(path: &Path, out: &mut BTreeMap<String, Row>) -> anyhow::Result<()> {
    let table = read_parquet(path)?;
    let options = FormatOptions::new();
    let names: Vec<&String> = table.schema.fields().iter().map(|field| field.name()).collect();
    for batch in &table.batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>().with_context(|| path.display().to_string())?;
        for row in 0..batch.num_rows() {
            let cells = names.iter().zip(&columns).zip(batch.columns());
            let cells = cells.filter(|(_, column)| column.is_valid(row));
            let row: Row =
                cells.map(|((name, cell), _)| ((*name).clone(), cell.value(row).to_string())).collect();
            let id = row.get("candidate_id").cloned();
            out.insert(id.with_context(|| format!("{}: a row without candidate_id", path.display()))?, row);
        }
    }
    Ok(())
}

fn read_json(path: &Path) -> anyhow::Result<Value> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}
