//! `backtestd spec new-event`: a new event's file, registered.

use std::path::Path;
use std::process::ExitCode;

use super::say;
use backtestd_core::spec::{Addition, new_event};
use backtestd_store::lake::write_bytes;
use backtestd_store::read_files;

/// Write a commented event file that passes `spec check`, and enter it in the registry and the taxonomy.
///
/// Nothing is written unless the tree with the new event compiles, and if a file cannot be written the others
/// are put back as they were. Then edit the file: a daemon that watches the tree takes every valid change
/// over.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  backtestd spec new-event VOL_SQUEEZE --family VOLATILITY_TRANSITION")]
pub(super) struct NewEventCmd {
    /// Name of the event, in capitals.
    name: String,
    /// Its family. Default: the one whose events begin with the same word, if there is exactly one.
    #[arg(long)]
    family: Option<String>,
    /// Name of its file in events/. Default: the event's name in small letters.
    #[arg(long, value_name = "FILE")]
    out: Option<String>,
}

impl NewEventCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When the tree does not compile, the name is taken or ill-formed, there is no such family, or a file
    /// cannot be written; then nothing has changed.
    pub(super) fn run(&self, spec_dir: &Path) -> anyhow::Result<ExitCode> {
        let files = read_files(spec_dir)?;
        let addition = new_event(spec_dir, &files, &self.name, self.family.as_deref(), self.out.as_deref())?;
        write_all(spec_dir, &addition)?;
        let Addition { family, why_family, .. } = &addition;
        say(&format!(
            "{} in {family}{why_family}\nwrote    {}\nentered  {}\n\nedit the file, then: backtestd spec check\n",
            self.name,
            spec_dir.join(&addition.new.0).display(),
            addition.changed.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>().join(", "),
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Every file whole, or none: on a failure what was written is put back.
fn write_all(spec_dir: &Path, addition: &Addition) -> anyhow::Result<()> {
    let mut undo: Vec<(&str, Option<Vec<u8>>)> = Vec::new();
    let new = std::iter::once(&addition.new).chain(&addition.changed);
    for (path, text) in new {
        let target = spec_dir.join(path);
        let before = std::fs::read(&target).ok();
        if let Err(error) = write_bytes(&target, text.as_bytes()) {
            for (path, before) in undo.into_iter().rev() {
                let target = spec_dir.join(path);
                // The first error is the one to report; a second one here leaves a tree that `spec check`
                // names.
                let _ = match before {
                    Some(bytes) => write_bytes(&target, &bytes).map_err(anyhow::Error::from),
                    None => std::fs::remove_file(&target).map_err(anyhow::Error::from),
                };
            }
            return Err(anyhow::Error::from(error).context("nothing was changed"));
        }
        undo.push((path, before));
    }
    Ok(())
}
