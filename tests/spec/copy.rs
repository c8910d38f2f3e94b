//! A copy of the shipped specs that a test may change.

use backtestd_store::load_specs;
use std::fs;
use std::path::PathBuf;

use backtestd_core::spec::CompiledSpec;
use backtestd_store::spec_files;

use crate::shipped_dir;

/// A copy of the shipped specs that a test may change.
pub(crate) struct Copy {
    pub dir: tempfile::TempDir,
}

impl Copy {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in spec_files(shipped_dir()).unwrap() {
            let to = dir.path().join(&file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(shipped_dir().join(&file), to).unwrap();
        }
        Self { dir }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// Replaces text that must be there.
    pub(crate) fn edit(self, file: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(self.path(file), text.replacen(from, to, 1)).unwrap();
        self
    }

    pub(crate) fn load(&self) -> CompiledSpec {
        load_specs(self.dir.path()).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The errors as drawn, with the directory shown as `spec`.
    pub(crate) fn refused(&self) -> String {
        let errors = load_specs(self.dir.path()).expect_err("these specs are broken");
        errors.to_string().replace(&self.dir.path().display().to_string(), "spec")
    }

    /// Writes a whole file.
    pub(crate) fn write(self, file: &str, text: &str) -> Self {
        fs::write(self.path(file), text).unwrap();
        self
    }

    /// Every file below the directory with its content.
    pub(crate) fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut open = vec![self.dir.path().to_owned()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.push((path.clone(), fs::read(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}
