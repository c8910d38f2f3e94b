//! A Python with packages, as a second opinion: the system's own where it has them, else a virtual
//! environment that is made once in the target folder. Where there is no Python, or a package cannot be
//! installed, the test says so and passes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::common::recorded::skipped;

/// What a test asks of Python.
pub(crate) struct Wanted {
    /// Name of the virtual environment.
    pub venv: &'static str,
    /// Modules that it imports.
    pub imports: &'static [&'static str],
    /// What pip installs to have them.
    pub install: &'static [&'static str],
}

/// The interpreter: `BACKTESTD_TEST_PYTHON` if set, else the system's or the virtual environment's. Looked
/// for once.
pub(crate) fn python(wanted: &Wanted) -> Option<PathBuf> {
    static FOUND: Mutex<BTreeMap<&'static str, Option<PathBuf>>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let look = || find(wanted).inspect_err(|why| skipped(why)).ok();
    found.entry(wanted.venv).or_insert_with(look).clone()
}

fn find(wanted: &Wanted) -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("BACKTESTD_TEST_PYTHON") {
        let given = PathBuf::from(given);
        let why = || format!("BACKTESTD_TEST_PYTHON lacks one of {}", wanted.imports.join(", "));
        return has_modules(&given, wanted).then_some(given).ok_or_else(why);
    }
    let system = PathBuf::from("python3");
    if has_modules(&system, wanted) {
        return Ok(system);
    }
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(wanted.venv);
    let interpreter = home.join("bin/python");
    if has_modules(&interpreter, wanted) {
        return Ok(interpreter);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&home), "no python3 with venv")?;
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(wanted.install);
    run(&mut install, "a package cannot be installed")?;
    Ok(interpreter)
}

fn has_modules(python: &Path, wanted: &Wanted) -> bool {
    let script = format!("import {}", wanted.imports.join(", "));
    Command::new(python).args(["-c", &script]).output().is_ok_and(|o| o.status.success())
}

fn run(command: &mut Command, what: &str) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(format!("{what}: {}", words.lines().last().unwrap_or_default()))
        }
        Err(error) => Err(format!("{what}: {error}")),
    }
}
