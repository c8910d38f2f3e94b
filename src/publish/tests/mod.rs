//! Publishing, crashes, diffs and what ends a publication, on a blueprint like the contract's example.

#[path = "../../core/blueprints/tests/fixtures.rs"]
mod fixtures;
mod lives;
mod versions;

use std::fs;
use std::path::Path;

use backtestd_core::blueprints::*;
use backtestd_core::market::Ts;

use super::*;

pub(crate) use fixtures::{candidate, example, published, with_horizon};

pub(crate) fn context(at: i64) -> PublishContext {
    PublishContext {
        published_at: Ts(at),
        run_id: format!("run-{at}"),
        ontology_spec_hash: "sha256:00".to_owned(),
        data_watermark: Ts(at),
        code_version: "test".to_owned(),
        verdicts: Standings::new(),
        lives: Lives::new(),
        reasons: vec!["no candidate passed".to_owned()],
        memory: None,
    }
}

fn ids(version: &Version) -> Vec<&str> {
    version.blueprints.iter().map(|b| b.id.as_str()).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
