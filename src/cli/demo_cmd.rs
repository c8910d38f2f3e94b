//! `backtestd demo`: the main job with nothing else installed and no network. A simulated exchange on
//! loopback and the daemon against it, in one process and in accelerated time.

mod edges;
mod score;
mod walk;

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::dirs::{DataRoot, SpecDir, StateDir};
use crate::daemon::client::Client;
use crate::daemon::config::{
    BinanceUrls, ClockConfig, ClockSource, Config, Fsync, LogFormat, OnSpecChange, RecomputeSchedule,
    Retention, Start,
};
use crate::daemon::{Daemon, Stopper};
use backtestd_binance::venue::{Exchange, ExchangeConfig, Limits, RunningExchange};
use backtestd_core::market::{DAY_MS, Kind, Symbol, Ts};
use backtestd_lab::sim::Scenario;
use backtestd_store::lake::write_bytes;
use backtestd_store::{Store, StoreOptions};
use backtestd_store::{load_specs, read_files};

use score::Score;

/// How often the daemon is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// The demo gives up when the daemon is not live after this long.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(600);

/// The main job, offline: a simulated Binance on loopback, the daemon against it in accelerated time, a
/// published version of blueprints at the end.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  backtestd demo --seed 7 --days 365\n  backtestd demo --keep-running        # edit the specs meanwhile; Ctrl-C ends it"
)]
pub(super) struct DemoCmd {
    /// Seed of the simulated market.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Days of history to fetch before going live.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(20..=1000))]
    days: u32,
    /// Virtual seconds per real second.
    #[arg(long, default_value_t = 1500.0)]
    speed: f64,
    /// Real seconds to stay live before the last discovery run.
    #[arg(long = "exit-after", alias = "exit_after", default_value_t = 15, value_name = "SECS")]
    exit_after: u64,
    /// Stay live after that run until Ctrl-C, on a copy of the specs that may be edited meanwhile.
    #[arg(long, alias = "keep_running")]
    keep_running: bool,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataRoot,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    spec: SpecDir,
}

impl DemoCmd {
    /// Runs it.
    ///
    /// # Errors
    /// When the specs do not load, a port or directory cannot be used, or the daemon fails.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if !(self.speed.is_finite() && self.speed >= 1.0) {
            bail!("--speed is {}, but must be a number of at least 1", self.speed);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on(self.play());
        runtime.shutdown_background();
        let score = result?;
        if self.json {
            println!("{}", serde_json::to_string(&score)?);
        } else {
            print!("{}", score.text());
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn play(&self) -> anyhow::Result<Score> {
        let started = Instant::now();
        let (data_root, state) = (self.data.data_root.join("demo"), self.state.state.join("demo"));
        // Held to the end: a second demo must not wipe what the first one writes.
        let _locks = [lock(&data_root)?, lock(&state)?];
        Store::check_free(&state)?;
        for dir in [&data_root, &state] {
            start_afresh(dir)?;
        }
        let spec = copy_specs(&self.spec.or_shipped(), &state.join("spec"))?;
        let exchange = self.exchange().await?;
        self.say(&format!("exchange    simulated Binance on {} (seed {})", exchange.rest_url(), self.seed));

        let config = self.config(&exchange, data_root.clone(), state.clone(), spec.clone());
        let client = Client::new(&config.socket)?;
        let daemon = Daemon::start(config, Some(exchange.clock())).await?;
        daemon.handle_signals()?;
        let stopper: Stopper = daemon.stopper();
        let mut running = tokio::spawn(daemon.run());

        let watched = async {
            self.until_live(&client).await?;
            self.stay_live(&client).await?;
            self.say("discovery   running over everything that is booked");
            let run = self.last_run(&client).await?;
            let status = client.get("/v1/status", &[]).await?;
            anyhow::Ok((run, status))
        };
        let (run, status) = tokio::select! {
            done = watched => done?,
            ended = &mut running => {
                ended??;
                bail!("the daemon stopped before the demo was over");
            }
        };
        if self.keep_running {
            self.say(&invitation(&spec, &state, &data_root));
        } else {
            stopper.stop();
        }
        running.await??;
        let scenario = exchange.scenario().clone();
        exchange.shutdown().await;
        let costs = load_specs(&spec)?.defaults.costs;
        let leader = &scenario.symbols[0].name;
        let cost_bps = 2.0 * (costs.fee_bps(leader) + costs.slippage_bps(leader));
        // Who has ended it by hand wants the prompt back.
        let walked = if self.keep_running {
            None
        } else {
            self.say(
                "walking     through the history again, look by look, as the daemon would have lived it",
            );
            tokio::task::block_in_place(|| walk::walk(&state, &data_root, &spec))?
        };
        let score = Score::read(&scenario, &state, &data_root, &run, &status, cost_bps)?;
        Ok(score.after(walked, started.elapsed()))
    }

    async fn exchange(&self) -> anyhow::Result<RunningExchange> {
        let scenario = Scenario::default();
        let genesis = backtestd_core::market::parse_time(&scenario.genesis)?;
        let config = ExchangeConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: self.seed,
            start: Ts(genesis.0 + i64::from(self.days) * DAY_MS),
            scenario,
            speed: self.speed,
            // Months of history in seconds of real time: limits count real time, so they are lifted here.
            limits: Limits::unlimited(),
            futures_data_days: i64::from(self.days) + 30,
            ..ExchangeConfig::default()
        };
        Ok(Exchange::start(config).await?)
    }

    fn config(
        &self,
        exchange: &RunningExchange,
        data_root: PathBuf,
        state: PathBuf,
        spec: PathBuf,
    ) -> Config {
        let scenario = exchange.scenario();
        let mut symbols: Vec<Symbol> = scenario.symbols.iter().map(|s| s.name.clone()).collect();
        symbols.sort();
        let mut spot_symbols: Vec<Symbol> =
            scenario.symbols.iter().filter(|s| s.spot.is_some()).map(|s| s.name.clone()).collect();
        spot_symbols.sort();
        Config {
            socket: state.join("backtestd.sock"),
            data_root,
            state,
            spec,
            symbols,
            spot_symbols,
            universe: None,
            collect: [Kind::Funding, Kind::OpenInterest].into_iter().collect(),
            start: Start::DaysBack(self.days),
            // At this speed a round trip on loopback is a good part of a virtual minute.
            grace_ms: 120_000,
            // Kept running, a version comes from an edit or a command alone, so that one can see which.
            recompute: if self.keep_running {
                RecomputeSchedule::Off
            } else {
                RecomputeSchedule::EveryBars(288)
            },
            spec_watch: OnSpecChange::Install,
            keep_reports: 10,
            retention: Retention::default(),
            fsync: Fsync::EveryTick,
            store_cache_mb: StoreOptions::default().cache_mb,
            checkpoint_every_ticks: 288,
            max_analyzer_workers: std::thread::available_parallelism().map_or(1, usize::from).min(8),
            http_listen: None,
            log_format: LogFormat::Text,
            clock: ClockConfig { source: ClockSource::Exchange, speed: self.speed },
            binance: BinanceUrls {
                futures_rest: exchange.rest_url(),
                futures_ws: exchange.futures_ws_url(),
                spot_rest: exchange.rest_url(),
                spot_ws: exchange.spot_ws_url(),
                archive: exchange.archive_url(),
            },
            archive_audit: true,
        }
    }

    async fn until_live(&self, client: &Client) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut last = String::new();
        while started.elapsed() < CATCH_UP_LIMIT {
            let status = client.get("/v1/status", &[]).await?;
            let state = text(&status, "/state");
            let line = format!("{state:<11} {}", text(&status, "/detail"));
            if line != last {
                self.say(&line);
                last = line;
            }
            if state == "live" {
                return Ok(());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        bail!("the daemon was not live after {} s; its last word: {last}", CATCH_UP_LIMIT.as_secs())
    }

    async fn stay_live(&self, client: &Client) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(self.exit_after);
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_secs(self.exit_after.clamp(1, 5))).await;
            let status = client.get("/v1/status", &[]).await?;
            self.say(&format!(
                "{:<11} tick {}, {} ticks live, {} late bars, {} rewinds, {} signals",
                text(&status, "/state"),
                text(&status, "/store/committed_tick"),
                number(&status, "/live/ticks"),
                number(&status, "/live/late_bars"),
                number(&status, "/live/rewinds"),
                number(&status, "/last_signal_seq"),
            ));
        }
        Ok(())
    }

    /// On a busy machine the daemon may fall behind this fast a clock and fetch what it missed; it then says
    /// so, and the run is asked for again.
    async fn last_run(&self, client: &Client) -> anyhow::Result<Value> {
        let wait = json!({ "wait": true, "reason": "end of the demo" });
        let started = Instant::now();
        loop {
            match client.post("/v1/recompute", &wait).await {
                Ok(run) => return Ok(run),
                Err(error) if started.elapsed() > CATCH_UP_LIMIT => {
                    return Err(error).context("the last discovery run");
                }
                Err(_) => self.until_live(client).await?,
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    fn say(&self, line: &str) {
        if !self.json {
            eprintln!("{line}");
        }
    }
}

/// Takes the demo's lock beside one of its directories, or says that another demo has it.
fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.with_extension("lock");
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above).with_context(|| format!("creating {}", above.display()))?;
    }
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another demo is running in {}; end it, or give this one its own --state and --data-root",
            dir.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// The demo's own directories are its own: what an earlier demo left is removed.
fn start_afresh(dir: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("removing the last demo's {}", dir.display()));
        }
    }
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))
}

/// The demo runs on a copy of the specs: what is edited while it runs is not the original.
fn copy_specs(from: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    for (relative, file) in read_files(from)? {
        let target = to.join(relative);
        write_bytes(&target, file.text.as_bytes())
            .with_context(|| format!("copying the specs to {}", to.display()))?;
    }
    Ok(to.to_owned())
}

/// What to try while the demo keeps running.
fn invitation(spec: &Path, state: &Path, data_root: &Path) -> String {
    let exe = std::env::args().next().unwrap_or_else(|| "backtestd".to_owned());
    let (spec, state) = (spec.display(), state.display());
    let versions = data_root.join("blueprints");
    format!(
        "
The daemon keeps running; Ctrl-C ends it. Its specs are the files below {spec} (a copy).
In another terminal:
  {exe} watch {}
In a third, an edit; then the status shows another spec hash, how much of history was replayed, and the run that followed:
  sed -i 's/spacing_bars: .*/spacing_bars: 24/' {spec}/events/vol_spike.yaml
  {exe} status --state {state}
  {exe} blueprints --state {state}",
        versions.display()
    )
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("-")
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}
