//! `backtestd run`: the daemon, in the foreground; systemd starts exactly this.

use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::daemon::config::{Config, ConfigArgs, LogFormat};
use crate::daemon::{Daemon, DaemonError};

/// What is logged unless `RUST_LOG` says otherwise: our own events, and from libraries only what is wrong.
const DEFAULT_FILTER: &str = "warn,backtestd=info";

/// Run the daemon: fetch history, follow the exchange, detect events, publish blueprints, serve the API.
///
/// Example: backtestd run --config /etc/backtestd/backtestd.toml --symbols BTCUSDT,SOLUSDT
#[derive(Debug, clap::Args)]
pub struct RunCmd {
    #[command(flatten)]
    config: ConfigArgs,
}

impl RunCmd {
    /// Runs until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When the daemon cannot start, or something that must not fail fails.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let resolved = match self.config.resolve() {
            Ok(resolved) => resolved,
            Err(error) => {
                // A configuration that cannot be used is misuse: systemd does not retry it.
                eprintln!("backtestd: {error}");
                return Ok(ExitCode::from(2));
            }
        };
        init_log(resolved.config.log_format);
        let workers = resolved.config.max_analyzer_workers;
        // A second pool would be an error only if someone had built one before; then theirs stays.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(workers).build_global();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on(serve(resolved.config));
        // A blocking thread that is still busy (a run) must not hold up the exit.
        runtime.shutdown_background();
        if let Err(error) = &result
            && matches!(
                error.downcast_ref(),
                Some(DaemonError::Unlisted(_) | DaemonError::FutureStart { .. })
            )
        {
            eprintln!("backtestd: {error}");
            return Ok(ExitCode::from(2));
        }
        result?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let daemon = Daemon::start(config, None).await?;
    daemon.handle_signals()?;
    daemon.run().await?;
    Ok(())
}

/// Logs to stderr.
fn init_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let result = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = result {
        eprintln!("backtestd: logging was set up already: {error}");
    }
}
