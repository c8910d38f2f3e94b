//! Publishing: blueprints as files. [`publish_version`] writes a version whole or not at all,
//! [`read_current`] and its siblings check every byte that they read, [`Follower`] follows a directory, and
//! [`write_run`] and [`write_promotion_audit`] leave a run's own record.

mod audit;
mod columns;
mod directory;
mod run;
mod run_files;
mod version;
mod watch;

#[cfg(test)]
pub(crate) mod tests;

pub use audit::write_promotion_audit;
pub use directory::{
    BLUEPRINTS_FILE, CURRENT, DirectoryError, Version, current_version, list_versions, read_current,
    read_version, version_name, version_number,
};
pub use run::write_run;
pub use run_files::{PORTFOLIO_FILE, RunFilesError, publish_conclusions, write_run_files};
pub use version::{Publication, PublishContext, PublishError, publish_version};
pub use watch::{Follower, Sighting};
