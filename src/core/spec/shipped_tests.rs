//! The shipped specs for tests of every room. The core itself reads no files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use crate::spec::{CompiledSpec, SourceFile};

/// The shipped specs, compiled once.
pub(crate) fn shipped_spec() -> &'static CompiledSpec {
    static SPEC: OnceLock<CompiledSpec> = OnceLock::new();
    SPEC.get_or_init(|| {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec");
        let mut files = BTreeMap::new();
        read(&dir, "", &mut files);
        CompiledSpec::from_files(&dir, &files).unwrap()
    })
}

fn read(dir: &Path, below: &str, files: &mut BTreeMap<String, SourceFile>) {
    for entry in std::fs::read_dir(dir.join(below)).unwrap() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            read(dir, &relative, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap().into();
            files.insert(relative, SourceFile { path, text });
        }
    }
}
