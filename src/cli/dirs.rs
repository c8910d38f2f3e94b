//! Where things are: the same three flags, variables and defaults for every command that needs them.

use std::path::PathBuf;

/// The embedded store.
#[derive(Debug, Clone, clap::Args)]
pub struct StateDir {
    /// Directory of the embedded store.
    #[arg(long = "state", env = "BACKTESTD_STATE", default_value = "./state", value_name = "DIR")]
    pub state: PathBuf,
}

/// The lake, reports and blueprints.
#[derive(Debug, Clone, clap::Args)]
pub struct DataRoot {
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

/// The spec tree.
#[derive(Debug, Clone, clap::Args)]
pub struct SpecDir {
    /// Directory of the specs.
    #[arg(long = "spec", env = "BACKTESTD_SPEC", default_value = "./spec", value_name = "DIR")]
    pub spec: PathBuf,
}
