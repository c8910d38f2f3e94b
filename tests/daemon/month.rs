//! A simulated month with every trouble on: afterwards the stored records of every source are the exchange's
//! own, the live registry is what batch finds, and every event was announced once and never before its bar
//! had closed.
//!
//! Two days of one seed by default. The whole of it, some minutes a seed: `BACKTESTD_MONTH_DAYS=30
//! BACKTESTD_MONTH_SPEED=3000 BACKTESTD_MONTH_SEEDS=1,2,3,4,5,6,7,8,9,10 cargo test --release --test daemon
//! a_month -- --ignored --nocapture`

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backtestd::daemon::client::Client;
use backtestd_binance::venue::{Exchange, ExchangeConfig};
use backtestd_core::market::{BAR_MS, BARS_PER_DAY, BarIndex, Draws, Symbol, Ts, parse_time};
use backtestd_lab::sim::{Fault, FaultKind, Scenario};
use serde_json::Value;

use super::faults::{assert_equals_the_exchange, final_but_the_newest, ticks};
use super::storm::the_ledger_explains_every_repair;
use super::support::{Home, UNLIMITED, begin, committed, exchange_of, follow_signals, tally};

/// Bars after the last trouble: the audit of its day lies within.
const QUIET_BARS: i64 = BARS_PER_DAY + 20;

/// Troubles of the wire with how often each comes a day, its bars and its share.
const OF_THE_WIRE: [(FaultKind, i64, i64, f64); 28] = [
    (FaultKind::Disconnect, 1, 3, 1.0),
    (FaultKind::HalfOpen, 1, 4, 1.0),
    (FaultKind::SilentStreams, 1, 4, 1.0),
    (FaultKind::DropFrames, 2, 4, 0.5),
    (FaultKind::DuplicateFrames, 2, 4, 0.5),
    (FaultKind::DelayFrames, 1, 3, 0.5),
    (FaultKind::ReorderFrames, 2, 4, 0.5),
    (FaultKind::CorruptFrames, 2, 4, 0.3),
    (FaultKind::StrangeFrames, 2, 4, 0.3),
    (FaultKind::DropClose, 6, 2, 1.0),
    (FaultKind::LateClose, 4, 1, 1.0),
    (FaultKind::WrongClose, 6, 2, 1.0),
    (FaultKind::StaleClose, 2, 1, 1.0),
    (FaultKind::FutureClose, 2, 1, 1.0),
    (FaultKind::AbsurdClose, 2, 1, 1.0),
    (FaultKind::CorrectedKline, 4, 1, 1.0),
    // REST tells them falsely for ever: only the archive's file of the day has them right.
    (FaultKind::CorrectedArchive, 2, 1, 1.0),
    (FaultKind::TooManyRequests, 1, 2, 1.0),
    (FaultKind::Banned, 1, 3, 1.0),
    (FaultKind::ServerError, 2, 5, 0.7),
    (FaultKind::Unavailable, 2, 4, 0.5),
    (FaultKind::HtmlAnswer, 2, 4, 0.4),
    (FaultKind::TruncatedAnswer, 2, 4, 0.4),
    (FaultKind::EmptyAnswer, 2, 4, 0.4),
    (FaultKind::MissingRows, 2, 4, 0.3),
    (FaultKind::ExtraColumn, 2, 6, 1.0),
    (FaultKind::SlowAnswer, 2, 3, 0.5),
    (FaultKind::WrongClock, 1, 2, 1.0),
];

/// Troubles of the archive, which is another host: how often each comes a day, and its bars, hours of them,
/// since it is asked but a few minutes a day.
const OF_THE_ARCHIVE: [(FaultKind, i64, i64); 4] = [
    (FaultKind::ServerError, 1, 60),
    (FaultKind::HtmlAnswer, 1, 48),
    (FaultKind::TruncatedAnswer, 1, 72),
    (FaultKind::SlowAnswer, 1, 24),
];

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

/// What happens to the market itself: the truth has it too.
fn of_the_market(seed: u64, days: i64) -> Vec<Fault> {
    let mut draws = Draws::numbered(seed, -1);
    let mut at =
        |within: i64| begin().bar() + 40 + (draws.uniform() * (within * BARS_PER_DAY - 60) as f64) as i64;
    let of = |name: &str, fault: Fault| Fault { symbols: vec![symbol(name)], ..fault };
    let mut faults = vec![
        Fault::once(FaultKind::Halt, at(days), 3),
        of("SOLUSDT", Fault::once(FaultKind::Delisting, at(days), 9)),
        of("BTCUSDT", Fault::once(FaultKind::SpecialSettlement, at(days), 1)),
    ];
    if days > 2 {
        faults.push(of(
            "SOLUSDT",
            Fault { hours: 4, bars: 0, ..Fault::once(FaultKind::FundingInterval, at(2), 0) },
        ));
    }
    faults
}

fn of_the_wire(seed: u64, days: i64) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (n, (kind, a_day, bars, share)) in OF_THE_WIRE.into_iter().enumerate() {
        for time in 0..a_day * days {
            let mut draws = Draws::numbered(seed ^ (n as u64) << 32, time);
            let from =
                begin().bar() + 12 + (draws.uniform() * (days * BARS_PER_DAY - 12 - bars) as f64) as i64;
            let seconds = match kind {
                FaultKind::LateClose | FaultKind::DelayFrames => 200 + (draws.uniform() * 700.0) as i64,
                // Before the audit of the day, which comes an hour after midnight.
                FaultKind::CorrectedKline => 2700,
                FaultKind::SlowAnswer => 900,
                // Farther back than a frame may be late at this speed: the forty bars of real time are four
                // seconds here.
                FaultKind::StaleClose => 100 * 300,
                // From hours to days: at the speed of this test that is real seconds, at real time it would
                // be minutes.
                FaultKind::WrongClock => {
                    let hours = 4.0 + 100.0 * draws.uniform();
                    (hours * 3600.0).copysign(draws.uniform() - 0.5) as i64
                }
                _ => 0,
            };
            let symbols = match kind {
                FaultKind::DropClose | FaultKind::WrongClose | FaultKind::CorrectedKline
                    if draws.uniform() < 0.5 =>
                {
                    vec![symbol("BTCUSDT")]
                }
                _ => Vec::new(),
            };
            faults.push(Fault { share, seconds, symbols, ..Fault::once(kind, from, bars) });
        }
    }
    faults
}

fn of_the_archive(seed: u64, days: i64) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (n, (kind, a_day, bars)) in OF_THE_ARCHIVE.into_iter().enumerate() {
        for time in 0..a_day * days {
            let mut draws = Draws::numbered(seed ^ (1000 + n as u64) << 32, time);
            let from = begin().bar() + (draws.uniform() * (days * BARS_PER_DAY - bars) as f64) as i64;
            let paths = vec!["/data/".to_owned()];
            faults.push(Fault { paths, seconds: 900, ..Fault::once(kind, from, bars) });
        }
    }
    faults
}

fn scenario(faults: Vec<Fault>) -> Scenario {
    Scenario { faults, ..Scenario::default() }
}

/// The same market without a trouble of the wire, when everything is over.
async fn truth(seed: u64, days: i64, now: Ts) -> backtestd_binance::venue::RunningExchange {
    let config = ExchangeConfig {
        start: now,
        scenario: scenario(of_the_market(seed, days)),
        limits: UNLIMITED,
        ..ExchangeConfig::default()
    };
    Exchange::start(config).await.unwrap()
}

/// So many bars, whatever the daemon says of them meanwhile.
async fn pass(home: &Home, bars: i64) {
    for part in 0..bars / 100 + 1 {
        ticks(home, (bars - 100 * part).min(100)).await;
    }
}

async fn month(seed: u64, days: i64, speed: f64) {
    let mut faults = of_the_market(seed, days);
    faults.extend(of_the_wire(seed, days));
    faults.extend(of_the_archive(seed, days));
    let bans = faults.iter().filter(|fault| fault.kind == FaultKind::Banned).count() as u64;
    let exchange = exchange_of(scenario(faults), speed).await;
    let mut home = Home::new(&exchange, speed, 1);
    home.set("collect", "funding,open_interest,mark,liquidations,quotes");
    home.set("grace-ms", "120000");
    home.set("archive-audit", "on");
    let mut daemon = home.start();
    home.wait_until_live().await;
    let (seen, reader) = follow_signals(home.socket());
    // It is killed three times on the way, and comes back.
    for _ in 0..4 {
        pass(&home, days * BARS_PER_DAY / 4 - 10).await;
        daemon.kill();
        daemon = home.start();
        home.wait_until_live().await;
    }
    let end = begin().bar() + days * BARS_PER_DAY + QUIET_BARS;
    while committed(&ticks(&home, 100).await) < end.open() {}
    // What the exchange itself does not have stays a hole: the contract that was settled for a while, and
    // where that fell on a settlement the eight hours around it.
    let is_quiet = |row: &Value| {
        let at_most = if row["source"] == "funding" { 96 } else { 27 };
        row["missing"].as_u64().unwrap() <= 4 && row["holes"].as_u64().unwrap() <= at_most
    };
    let status = final_but_the_newest(&home, |s| {
        s["unconfirmed_bars"].as_u64().unwrap() <= 8
            && s["gaps"].as_array().unwrap().iter().all(is_quiet)
            && s["archive"]["state"] == "waiting"
    })
    .await;
    daemon.assert_alive();
    let last = committed(&status).bar() - 3;
    let events = all_events(&home).await;
    reader.abort();
    let tally = tally(&exchange).await;
    assert_eq!(daemon.terminate().0.code(), Some(0));

    let truth = truth(seed, days, Ts(last.close().0 + 3_600_000)).await;
    assert_equals_the_exchange(&home, &truth, last).await;
    every_event_was_announced(&seen.lock().unwrap(), &events, &status);
    the_ledger_explains_every_repair(&home, BAR_MS);
    home.live_is_batch();
    let met = tally["fault banned"].as_u64().unwrap_or(0);
    assert!(met <= 8 * (bans + 4), "{met} requests met {bans} bans: {tally}");
    println!(
        "seed {seed}: {days} days, {} events, {met} requests met {bans} bans, {}, archive {}",
        events.len(),
        status["live"],
        status["archive"]
    );
}

/// The registry, by id.
async fn all_events(home: &Home) -> BTreeMap<String, Value> {
    let client = Client::new(&home.socket()).unwrap();
    let mut all = BTreeMap::new();
    for name in ["BTCUSDT", "SOLUSDT"] {
        let query = [("limit", "10000".to_owned()), ("symbol", name.to_owned())];
        let answer = client.get("/v1/events", &query).await.unwrap();
        for event in answer["events"].as_array().unwrap() {
            all.insert(event["event_id"].as_str().unwrap().to_owned(), event.clone());
        }
    }
    all
}

/// What was announced and not retracted, with the open of its bar. Nothing is announced twice, unless it was
/// retracted meanwhile, nor before its bar has closed.
pub(crate) fn announced_once(seen: &[(u64, String, Value)]) -> BTreeMap<String, Ts> {
    let mut standing = BTreeMap::new();
    for (seq, kind, data) in seen {
        let Some(id) = data["event_id"].as_str() else { continue };
        match kind.as_str() {
            "signal" => {
                let ns = |field: &str| data[field].as_i64().unwrap();
                assert!(ns("arrival_ns") >= ns("detected_ns"), "{seq} before its bar closed: {data}");
                let bar = Ts(ns("timestamp_ns") / 1_000_000);
                assert!(standing.insert(id.to_owned(), bar).is_none(), "{seq} twice: {data}");
            }
            "retraction" => {
                assert!(standing.remove(id).is_some(), "{seq} retracts what was not announced: {data}");
            }
            _ => {}
        }
    }
    standing
}

/// What was announced and not retracted is the registry since the first live tick, each once, none before its
/// bar.
fn every_event_was_announced(
    seen: &[(u64, String, Value)],
    events: &BTreeMap<String, Value>,
    status: &Value,
) {
    let standing = announced_once(seen);
    let from = parse_time(status["live"]["live_from"].as_str().unwrap()).unwrap();
    let at = |event: &Value| parse_time(event["timestamp"].as_str().unwrap()).unwrap();
    // What the last ticks detected may still be on its way to the reader.
    let until = Ts(committed(status).0 - 2 * BAR_MS);
    let registry: BTreeSet<&String> =
        events.iter().filter(|(_, event)| at(event) >= from && at(event) < until).map(|(id, _)| id).collect();
    let missing: Vec<_> = registry.iter().filter(|id| !standing.contains_key(**id)).collect();
    assert!(missing.is_empty(), "never announced: {missing:?}");
    let wrong: Vec<_> =
        standing.iter().filter(|(id, bar)| **bar < until && !events.contains_key(*id)).collect();
    assert!(wrong.is_empty(), "announced, standing, and not in the registry: {wrong:?}");
}

fn number(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes a seed; the command is above"]
async fn after_a_month_of_every_trouble_live_is_batch_and_every_record_is_the_exchanges_own() {
    let days = number("BACKTESTD_MONTH_DAYS", 2.0) as i64;
    let speed = number("BACKTESTD_MONTH_SPEED", 1500.0);
    let seeds = std::env::var("BACKTESTD_MONTH_SEEDS").unwrap_or_else(|_| "1".to_owned());
    for seed in seeds.split(',') {
        month(seed.trim().parse().unwrap(), days, speed).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn every_trouble_is_in_it() {
    let kinds: BTreeSet<String> = of_the_market(1, 30)
        .into_iter()
        .chain(of_the_wire(1, 30))
        .map(|fault| format!("{:?}", fault.kind))
        .collect();
    // Listing is the universe's own test.
    assert_eq!(kinds.len(), 32);
    assert!(BarIndex(0) < begin().bar());
}
