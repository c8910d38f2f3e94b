//! The files of runs: where they are, and what is read of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

use backtestd_store::lake::read_parquet;

/// What a run says of itself.
pub(super) struct Run {
    /// Its id.
    pub id: String,
    /// `blueprint_summary.json`: inputs and counts.
    pub summary: Value,
    /// `summary.json` of discovery; null where it is gone.
    pub discovery: Value,
    reports: PathBuf,
}

/// Everything that two runs are compared by.
pub(super) struct Whole {
    /// The inputs and the counts.
    pub summary: Value,
    /// Blueprints by id.
    pub blueprints: BTreeMap<String, Value>,
    /// Candidates by id, each column as text; null is absent.
    pub candidates: BTreeMap<String, Row>,
}

/// One candidate: its columns as text.
pub(super) type Row = BTreeMap<String, String>;

/// The runs below a data root, by the data that they had seen, then by id.
pub(super) fn runs(root: &Path) -> anyhow::Result<Vec<Run>> {
    let reports = root.join("reports");
    let folder = reports.join("strategy_blueprints");
    let mut out = Vec::new();
    if !folder.is_dir() {
        return Ok(out);
    }
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry.with_context(|| folder.display().to_string())?;
        let id = entry.file_name().to_string_lossy().into_owned();
        // Names with a dot before them are runs that are being written.
        if id.starts_with('.') || !entry.path().is_dir() {
            continue;
        }
        let summary = read_json(&entry.path().join("blueprint_summary.json"))?;
        let discovery = reports.join("phase2").join(&id).join("summary.json");
        let discovery = if discovery.exists() { read_json(&discovery)? } else { Value::Null };
        out.push(Run { id, summary, discovery, reports: reports.clone() });
    }
    let watermark = |run: &Run| run.summary["data_watermark"].as_str().unwrap_or_default().to_owned();
    out.sort_by_cached_key(|run| (watermark(run), run.id.clone()));
    Ok(out)
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
    /// Reads its blueprints and candidates.
    pub(super) fn load_all(&self) -> anyhow::Result<Whole> {
        let path = self.reports.join("strategy_blueprints").join(&self.id).join("blueprints.jsonl");
        let lines = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut blueprints = BTreeMap::new();
        for (n, line) in lines.lines().enumerate() {
            let at = || format!("{}:{}", path.display(), n + 1);
            let blueprint: Value = serde_json::from_str(line).with_context(at)?;
            let id = blueprint["id"].as_str().with_context(|| format!("{}: no id", at()))?.to_owned();
            blueprints.insert(id, blueprint);
        }
        Ok(Whole { summary: self.summary.clone(), blueprints, candidates: self.candidates()? })
    }

    fn candidates(&self) -> anyhow::Result<BTreeMap<String, Row>> {
        let folder = self.reports.join("phase2").join(&self.id);
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
