//! A Python with packages, as a second opinion: one virtual environment for all tests, made once in the target folder.
//! Where there is no Python, or a package cannot be installed, the test says so and passes.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// What the environment holds.
const PACKAGES: [&str; 4] = ["numpy", "scipy", "pyarrow", "statsmodels"];

/// The interpreter: `BACKTESTD_TEST_PYTHON` if set, else the virtual environment's.
pub fn python() -> Option<PathBuf> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(|| find().inspect_err(|why| eprintln!("skipped: {why}")).ok()).clone()
}

fn find() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("BACKTESTD_TEST_PYTHON") {
        let given = PathBuf::from(given);
        return has_packages(&given)
            .then_some(given)
            .ok_or("BACKTESTD_TEST_PYTHON lacks a package".to_owned());
    }
    let system = PathBuf::from("python3");
    if has_packages(&system) {
        return Ok(system);
    }
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("oracle-venv");
    let interpreter = home.join("bin/python");
    if has_packages(&interpreter) {
        return Ok(interpreter);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&home), "no python3 with venv")?;
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    run(&mut install, "a package cannot be installed")?;
    Ok(interpreter)
}

fn has_packages(python: &PathBuf) -> bool {
    let script = format!("import {}", PACKAGES.join(", "));
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
