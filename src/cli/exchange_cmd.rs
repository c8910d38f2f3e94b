//! `backtestd exchange`: the simulated Binance alone, for any client.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use backtestd_binance::venue::{Exchange, ExchangeConfig, Limits, RunningExchange};
use backtestd_core::market::{DAY_MS, Ts, parse_time};
use backtestd_lab::sim::{Scenario, Side};

/// Run a simulated Binance (USD-M futures and spot market data) on loopback
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  backtestd exchange --listen 127.0.0.1:8901 --seed 7 --speed 60\n  \
    curl 'http://127.0.0.1:8901/fapi/v1/klines?symbol=BTCUSDT&interval=5m&limit=3'")]
pub struct ExchangeArgs {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8901")]
    pub listen: SocketAddr,
    /// Seed of the market
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Scenario file (YAML) instead of the built-in one; see --print-scenario
    #[arg(long)]
    pub scenario: Option<PathBuf>,
    /// Virtual seconds per real second
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub speed: f64,
    /// What the exchange's clock shows at start: RFC 3339, a date, or milliseconds [default: 2026-03-01]
    #[arg(long, value_parser = parse_time)]
    pub start: Option<Ts>,
    /// Request weight per real minute on /fapi [default: the venue's 2400 times --speed; the other limits
    /// grow alike]
    #[arg(long)]
    pub weight_limit: Option<u32>,
    /// Contracts that trade: more than the scenario has are drawn from the seed, and beside them come settled
    /// and announced ones and delivery contracts as on the venue. Without --scenario the market then begins
    /// 40 days before --start
    #[arg(long, value_name = "N")]
    pub contracts: Option<usize>,
    /// Days that /futures/data reaches back (the venue: 30)
    #[arg(long, default_value_t = ExchangeConfig::default().futures_data_days)]
    pub futures_data_days: i64,
    /// Print the addresses and the planted edges as one JSON line
    #[arg(long)]
    pub json: bool,
    /// Print the built-in scenario and exit
    #[arg(long)]
    pub print_scenario: bool,
}

/// History of a market of many contracts, days: each day of each costs memory.
const CROWD_DAYS: i64 = 40;

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err(format!("'{text}' is not a positive number")),
    }
}

/// Serves until interrupted (SIGINT or SIGTERM).
///
/// # Errors
/// When the scenario cannot be used or the address cannot be bound.
pub fn run(args: &ExchangeArgs) -> anyhow::Result<()> {
    if args.print_scenario {
        print!("{}", backtestd_lab::sim::DEFAULT_SCENARIO);
        return Ok(());
    }
    let mut scenario = match &args.scenario {
        Some(path) => Scenario::load(path)?,
        None => Scenario::default(),
    };
    let defaults = ExchangeConfig::default();
    let start = args.start.unwrap_or(defaults.start);
    if let Some(contracts) = args.contracts {
        scenario.crowd(args.seed, contracts);
        if args.scenario.is_none() {
            let begin = start.0.div_euclid(DAY_MS) * DAY_MS - CROWD_DAYS * DAY_MS;
            scenario.genesis = Ts(begin).rfc3339();
        }
    }
    let mut limits = Limits::scaled(args.speed);
    limits.futures_weight_per_minute = args.weight_limit.unwrap_or(limits.futures_weight_per_minute);
    let config = ExchangeConfig {
        listen: args.listen,
        seed: args.seed,
        scenario,
        start,
        speed: args.speed,
        limits,
        futures_data_days: args.futures_data_days,
        ..defaults
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, args.json))
}

async fn serve(config: ExchangeConfig, as_json: bool) -> anyhow::Result<()> {
    let exchange = Exchange::start(config).await?;
    if as_json {
        println!("{}", facts(&exchange));
    } else {
        print_facts(&exchange);
    }
    stop_signal().await?;
    exchange.shutdown().await;
    Ok(())
}

fn facts(exchange: &RunningExchange) -> serde_json::Value {
    serde_json::json!({
        "rest": exchange.rest_url(),
        "futures_ws": exchange.futures_ws_url(),
        "spot_ws": exchange.spot_ws_url(),
        "server_time": exchange.clock().now().0,
        "symbols": exchange.scenario().symbols.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
        "edges": exchange.scenario().edges,
    })
}

fn print_facts(exchange: &RunningExchange) {
    println!("REST        {} (/fapi/v1, /futures/data, /api/v3)", exchange.rest_url());
    println!("futures ws  {} (/market, /public, /private)", exchange.futures_ws_url());
    println!("spot ws     {}", exchange.spot_ws_url());
    println!("time        {}", exchange.clock().now());
    for edge in &exchange.scenario().edges {
        let side = match edge.side {
            Side::Fade => "fade",
            Side::Follow => "follow",
        };
        println!(
            "planted     {} ({side}, {} bps over {} bars): {}",
            edge.event_type, edge.drift_bps, edge.horizon_bars, edge.doc
        );
    }
}

async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}
