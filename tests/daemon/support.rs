//! The real binary against a simulated exchange in the test's own process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backtestd::daemon::client::Client;
use backtestd_binance::venue::{Exchange, ExchangeConfig, Limits, RunningExchange};
use backtestd_core::market::{DAY_MS, Ts, parse_time};
use backtestd_lab::sim::Scenario;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// The venue's limits are per real minute; these tests live much faster.
pub(crate) const UNLIMITED: Limits = Limits {
    futures_weight_per_minute: u32::MAX,
    spot_weight_per_minute: u32::MAX,
    futures_data_per_5m: u32::MAX,
    funding_per_5m: u32::MAX,
    refusals_before_ban: u32::MAX,
    first_ban_seconds: 1,
};

/// What the exchange's clock shows when a test begins.
pub(crate) fn begin() -> Ts {
    parse_time("2026-03-01T00:00:00Z").unwrap()
}

/// Starts an exchange whose clock runs `speed` times as fast as ours.
pub(crate) async fn exchange(speed: f64, faults: bool) -> RunningExchange {
    let mut scenario = Scenario::default();
    if !faults {
        scenario.faults.clear();
    }
    exchange_of(scenario, speed).await
}

/// [`exchange`] with another market or other faults.
pub(crate) async fn exchange_of(scenario: Scenario, speed: f64) -> RunningExchange {
    let config =
        ExchangeConfig { speed, start: begin(), scenario, limits: UNLIMITED, ..ExchangeConfig::default() };
    Exchange::start(config).await.unwrap()
}

/// What the exchange has counted since it began: `request <path>`, `fault <kind>`.
pub(crate) async fn tally(exchange: &RunningExchange) -> Value {
    let answer = reqwest::get(format!("{}/_exchange/tally", exchange.rest_url())).await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// A daemon's directories and settings.
pub(crate) struct Home {
    pub dir: tempfile::TempDir,
    flags: Vec<String>,
}

impl Home {
    /// For an exchange; history begins `days` before the exchange's clock.
    pub(crate) fn new(exchange: &RunningExchange, speed: f64, days: i64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let start = Ts(begin().0 - days * DAY_MS);
        let flags = [
            ("state", path("state")),
            ("data-root", path("data")),
            ("spec", spec_dir().display().to_string()),
            ("socket", path("d.sock")),
            ("symbols", "BTCUSDT,SOLUSDT".to_owned()),
            ("collect", "funding,open_interest".to_owned()),
            ("start", start.to_string()),
            ("recompute", "off".to_owned()),
            // Tests of the archive switch it on.
            ("archive-audit", "off".to_owned()),
            ("clock-source", "exchange".to_owned()),
            ("clock-speed", speed.to_string()),
            ("binance-futures-rest", exchange.rest_url()),
            ("binance-spot-rest", exchange.rest_url()),
            ("binance-futures-ws", exchange.futures_ws_url()),
            ("binance-spot-ws", exchange.spot_ws_url()),
        ];
        let flags = flags.into_iter().map(|(key, value)| format!("--{key}={value}")).collect();
        Self { dir, flags }
    }

    /// Replaces a setting.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        let prefix = format!("--{key}=");
        self.flags.retain(|flag| !flag.starts_with(&prefix));
        self.flags.push(format!("{prefix}{value}"));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("d.sock")
    }

    /// A command line of the binary, without the daemon's own environment.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backtestd"));
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("BACKTEST")) {
            command.env_remove(key);
        }
        command.args(words).stdin(Stdio::null());
        command
    }

    /// What `verify --live` prints of the closed store, which must find live and batch alike.
    pub(crate) fn live_is_batch(&self) -> String {
        let output = self
            .command(&["verify", "--live", "--json", "--state"])
            .arg(self.path("state"))
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--spec")
            .arg(spec_dir())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        text
    }

    /// Starts the daemon; its log goes to a file beside the state.
    pub(crate) fn start(&self) -> Running {
        self.start_with(&[])
    }

    /// [`Home::start`] with environment variables.
    pub(crate) fn start_with(&self, variables: &[(&str, &str)]) -> Running {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.command(&["run"]);
        command.envs(variables.iter().copied());
        let child = command.args(&self.flags).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Running { child, log: self.path("log") }
    }

    /// Starts a daemon that is expected to give up, and returns its exit code and last words.
    pub(crate) fn start_in_vain(&self, flags: &[&str]) -> (Option<i32>, String) {
        let output = self.command(&["run"]).args(&self.flags).args(flags).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text.lines().last().unwrap_or_default().to_owned())
    }

    /// Status, once it satisfies `wanted`.
    pub(crate) async fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let client = Client::new(&self.socket()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(180);
        let mut last = Value::Null;
        while Instant::now() < deadline {
            if let Ok(status) = client.get("/v1/status", &[]).await {
                if wanted(&status) {
                    return status;
                }
                last = status;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(15).collect();
        panic!("{what}: waited in vain; last status {last:#}\nlog, newest first:\n{}", tail.join("\n"));
    }

    pub(crate) async fn wait_until_live(&self) -> Value {
        self.wait_for("live", |s| s["state"] == "live" || s["state"] == "degraded").await
    }
}

/// The open time of the last committed tick.
pub(crate) fn committed(status: &Value) -> Ts {
    status["store"]["committed_tick"].as_str().map_or(Ts(0), |t| parse_time(t).unwrap())
}

/// A running daemon; killed when dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// SIGTERM, and the exit status with the time it took.
    pub(crate) fn terminate(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        (status, started.elapsed())
    }

    /// Fails the test if the daemon has ended by itself.
    pub(crate) fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            panic!("the daemon ended with {status}:\n{log}");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a consumer has seen: sequence number and data of each entry, in order of reception.
pub(crate) type Seen = Arc<Mutex<Vec<(u64, String, Value)>>>;

/// Follows the signal stream for ever, reconnecting with `Last-Event-ID`, as a consumer would.
pub(crate) fn follow_signals(socket: PathBuf) -> (Seen, tokio::task::JoinHandle<()>) {
    let seen = Seen::default();
    let out = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        loop {
            // A broken connection is what this consumer is for.
            let _ = read_stream(&socket, &out).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    (seen, task)
}

async fn read_stream(socket: &Path, seen: &Seen) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let last = seen.lock().unwrap().last().map_or(0, |(seq, ..)| *seq);
    let request = format!("GET /v1/signals HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {last}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut lines = BufReader::new(stream).lines();
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    while let Some(line) = lines.next_line().await? {
        if let Some((name, value)) = line.split_once(": ") {
            fields.insert(name.to_owned(), value.to_owned());
        } else if line.is_empty() {
            // A blank line ends an event; only whole events count.
            if let (Some(id), Some(kind), Some(data)) =
                (fields.get("id"), fields.get("event"), fields.get("data"))
                && let Ok(data) = serde_json::from_str(data)
            {
                seen.lock().unwrap().push((id.parse().unwrap(), kind.clone(), data));
            }
            fields.clear();
        }
    }
    Ok(())
}

/// The repository's own specs.
pub(crate) fn spec_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("spec")
}

/// Copies a directory tree.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
