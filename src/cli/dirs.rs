//! Where things are: the same three flags, variables and defaults for every command that needs them.

use std::path::{Path, PathBuf};

use backtestd_core::market::Ts;
use backtestd_core::spec::{CompiledSpec, SourcesSpec};
use backtestd_store::{Judged, Store, StoreError, load_yaml};

/// The embedded store.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StateDir {
    /// Directory of the embedded store.
    #[arg(long = "state", env = "BACKTESTD_STATE", default_value = "./state", value_name = "DIR")]
    pub state: PathBuf,
}

/// The lake, reports and blueprints.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DataRoot {
    /// Root of the lake, the reports and the blueprints.
    #[arg(
        long = "data-root",
        alias = "data_root",
        env = "BACKTEST_DATA_ROOT",
        default_value = "./data",
        value_name = "DIR"
    )]
    pub data_root: PathBuf,
}

/// Where the specs are unless somebody says otherwise.
const DEFAULT_SPEC: &str = "./spec";

/// The spec tree.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SpecDir {
    /// Directory of the specs.
    #[arg(long = "spec", env = "BACKTESTD_SPEC", default_value = DEFAULT_SPEC, value_name = "DIR")]
    pub spec: PathBuf,
}

impl SpecDir {
    /// The tree that was asked for. Where none was and there is no `./spec`, the tree of the checkout in
    /// which `cargo run` found the program or in which it was built; for commands that work on a copy of the
    /// shipped specs.
    #[must_use]
    pub(super) fn or_shipped(&self) -> PathBuf {
        if self.spec.is_dir() || self.spec != Path::new(DEFAULT_SPEC) {
            return self.spec.clone();
        }
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let program = std::env::current_exe().ok();
        shipped(manifest.as_deref(), program.as_deref()).unwrap_or_else(|| self.spec.clone())
    }
}

/// Has the store judge its records by the rules of the specs.
///
/// # Errors
/// When the store cannot be read or written.
pub(super) fn judge(store: &mut Store, spec: &CompiledSpec, now: Ts) -> Result<Judged, StoreError> {
    store.tell_time(now);
    store.judge_by(&spec.sources.plausibility)
}

/// [`judge`] by the rules of a spec tree, where there is one, and these rules: a command that needs nothing
/// else of the specs works without them, by the rules that the store was judged by last.
///
/// # Errors
/// When the rules cannot be used, or the store cannot be read or written.
pub(super) fn judge_from(store: &mut Store, spec: &Path, now: Ts) -> anyhow::Result<Option<SourcesSpec>> {
    store.tell_time(now);
    let path = spec.join("sources.yaml");
    if !path.is_file() {
        return Ok(None);
    }
    let sources: SourcesSpec = load_yaml(&path)?;
    sources.plausibility.validate()?;
    sources.live.validate()?;
    store.judge_by(&sources.plausibility)?;
    Ok(Some(sources))
}

/// The spec tree in a checkout's folder, or in the nearest folder above the program.
fn shipped(manifest: Option<&Path>, program: Option<&Path>) -> Option<PathBuf> {
    let above = program.into_iter().flat_map(Path::ancestors);
    manifest
        .into_iter()
        .chain(above)
        .map(|dir| dir.join("spec"))
        .find(|spec| spec.join("sources.yaml").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_specs_are_found_from_the_manifest_and_from_a_program_in_the_target_folder() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = root.join("target/release/backtestd");
        let elsewhere = std::env::temp_dir();
        assert_eq!(shipped(Some(root), None), Some(root.join("spec")));
        assert_eq!(shipped(None, Some(&program)), Some(root.join("spec")));
        assert_eq!(shipped(Some(&elsewhere), Some(&program)), Some(root.join("spec")));
        assert_eq!(shipped(None, None), None);
    }

    #[test]
    fn a_tree_that_was_asked_for_is_never_replaced_by_the_shipped_one() {
        let asked = SpecDir { spec: PathBuf::from("./no/such/tree") };
        assert_eq!(asked.or_shipped(), asked.spec);
    }
}
