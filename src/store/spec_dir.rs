//! Spec directories on disk: the files that the core compiles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backtestd_core::spec::{CompiledSpec, Diagnostic, SourceFile, SpecErrors, parse_yaml};
use serde::de::DeserializeOwned;

/// Reads and compiles a spec directory.
///
/// # Errors
/// When it cannot be read, and as [`CompiledSpec::from_files`].
pub fn load_specs(dir: &Path) -> Result<CompiledSpec, SpecErrors> {
    CompiledSpec::from_files(dir, &read_files(dir)?)
}

/// Every YAML file of a spec directory, by its path relative to it.
///
/// # Errors
/// When the directory or a file cannot be read.
pub fn read_files(dir: &Path) -> Result<BTreeMap<String, SourceFile>, SpecErrors> {
    let files = spec_files(dir).map_err(|e| {
        SpecErrors::one(
            Diagnostic::about(dir, format!("the spec directory cannot be read: {e}"))
                .help("name it with --spec DIR or $BACKTESTD_SPEC"),
        )
    })?;
    let mut errors = Vec::new();
    let mut sources = BTreeMap::new();
    for relative in files {
        match read_source(&dir.join(&relative)) {
            Ok(file) => {
                sources.insert(relative, file);
            }
            Err(SpecErrors(found)) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(sources) } else { Err(SpecErrors(errors)) }
}

/// Every YAML file below `dir`, as relative paths with `/`, sorted. Notes and schemas are not part of the
/// ontology.
///
/// # Errors
/// When a directory cannot be listed.
pub fn spec_files(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        for entry in std::fs::read_dir(dir.join(&relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            if entry.path().is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                let parts: Vec<_> = path.components().map(|c| c.as_os_str().to_string_lossy()).collect();
                found.push(parts.join("/"));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a file of any spec type. Unknown keys are refused where the type says `deny_unknown_fields`.
///
/// # Errors
/// When the file cannot be read, is not YAML, or does not fit the type.
pub fn load_yaml<T: DeserializeOwned>(path: &Path) -> Result<T, SpecErrors> {
    parse_yaml(&read_source(path)?)
}

/// Reads a file's text.
///
/// # Errors
/// When the file cannot be read or is not UTF-8.
pub fn read_source(path: &Path) -> Result<SourceFile, SpecErrors> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        SpecErrors::one(
            Diagnostic::about(path, format!("this file cannot be read: {e}"))
                .help("every spec directory needs it; compare with the one that is shipped"),
        )
    })?;
    Ok(SourceFile { path: path.to_owned(), text: text.into() })
}
