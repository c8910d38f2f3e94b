//! The whole daemon: the real binary, a simulated exchange, the real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "daemon/archive.rs"]
mod archive;
#[path = "daemon/audit.rs"]
mod audit;
#[path = "daemon/crash.rs"]
mod crash;
#[path = "daemon/faults.rs"]
mod faults;
#[path = "daemon/journal.rs"]
mod journal;
#[path = "daemon/marks.rs"]
mod marks;
#[path = "daemon/month.rs"]
mod month;
#[path = "daemon/opinion.rs"]
mod opinion;
#[path = "daemon/proxy.rs"]
mod proxy;
#[path = "daemon/published.rs"]
mod published;
#[path = "daemon/quotes.rs"]
mod quotes;
#[path = "daemon/respec.rs"]
mod respec;
#[path = "daemon/statistics.rs"]
mod statistics;
#[path = "daemon/storm.rs"]
mod storm;
#[path = "daemon/support.rs"]
mod support;
#[path = "daemon/universe.rs"]
mod universe;

use std::time::Duration;

use backtestd::daemon::client::{Client, ClientError};
use serde_json::json;

use support::{Home, committed, copy_tree, exchange, follow_signals, spec_dir};

const SPEED: f64 = 600.0;

#[tokio::test(flavor = "multi_thread")]
async fn it_backfills_goes_live_answers_and_stops_within_five_seconds() {
    let exchange = exchange(SPEED, true).await;
    let home = Home::new(&exchange, SPEED, 4);
    let mut daemon = home.start();
    let live = home.wait_until_live().await;
    let ticks = home.wait_for("ticks", |s| s["live"]["ticks"].as_u64().unwrap_or(0) >= 5).await;
    daemon.assert_alive();
    assert!(committed(&ticks) > committed(&live));
    assert_eq!(ticks["symbols"].as_array().unwrap().len(), 4, "two perpetuals, two spot pairs");
    for series in ticks["symbols"].as_array().unwrap() {
        assert_eq!(series["listed_as"], "TRADING", "{series}");
        assert!(series["tick_size"].as_f64().unwrap() > 0.0, "{series}");
    }
    assert!(ticks["spec"]["hash"].as_str().unwrap().starts_with("sha256:"));

    let client = Client::new(&home.socket()).unwrap();
    let events = client.get("/v1/events", &[("limit", "5".into())]).await.unwrap();
    assert!(!events["events"].as_array().unwrap().is_empty(), "four days have events");
    let printed = home.command(&["status", "--json", "--socket"]).arg(home.socket()).output().unwrap();
    assert!(printed.status.success());
    assert!(String::from_utf8_lossy(&printed.stdout).contains("\"committed_tick\""));

    let (code, last_words) = home.start_in_vain(&[]);
    assert_eq!(code, Some(1));
    assert!(last_words.contains("another daemon answers on"), "{last_words}");
    let mut other = Home::new(&exchange, SPEED, 4);
    other.set("state", &home.path("state").display().to_string());
    let (code, last_words) = other.start_in_vain(&[]);
    assert_eq!(code, Some(1));
    assert!(last_words.contains("is in use by process"), "{last_words}");
    assert!(!other.socket().exists(), "its socket goes with it");
    other.set("symbols", "BTCUSTD,SOLUSDT");
    let (code, last_words) = other.start_in_vain(&[]);
    assert_eq!(code, Some(2));
    assert!(last_words.contains("no perpetual contract 'BTCUSTD' (did you mean 'BTCUSDT'?)"), "{last_words}");

    let (status, took) = daemon.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(!home.socket().exists(), "the socket goes with the daemon");
}

#[tokio::test(flavor = "multi_thread")]
async fn recompute_publishes_a_version_and_says_when_nothing_changed() {
    let exchange = exchange(SPEED, false).await;
    let home = Home::new(&exchange, SPEED, 3);
    let mut daemon = home.start();
    home.wait_until_live().await;
    let client = Client::new(&home.socket()).unwrap();
    let first = client.post("/v1/recompute", &json!({ "wait": true, "reason": "test" })).await.unwrap();
    assert_eq!(first["version"], "v000001", "{first}");
    assert_eq!(first["changed"], true);
    assert!(home.path("data/blueprints/current/blueprints.jsonl").exists());
    names_its_report(&home, &first).await;
    let runs = client.get("/v1/runs", &[]).await.unwrap();
    assert_eq!(runs["runs"][0]["reason"], "test");
    let status = client.get("/v1/status", &[]).await.unwrap();
    let trials = status["discovery"]["trials"].as_u64().unwrap();
    assert_eq!(Some(trials), first["hypotheses"].as_u64(), "one cohort: everything that was ever looked at");
    assert_eq!(status["discovery"]["cohorts"][0]["units"], trials);
    // On the same day there is nothing new to look at: the same run is the answer, and it takes no time.
    let again = client.post("/v1/recompute", &json!({ "wait": true, "reason": "again" })).await.unwrap();
    if client.get("/v1/status", &[]).await.unwrap()["discovery"]["closed_through"]
        == status["discovery"]["closed_through"]
    {
        assert_eq!((&again["changed"], &again["run_id"]), (&json!(false), &first["run_id"]));
    }
    let listed = client.get("/v1/blueprints", &[]).await.unwrap();
    assert_eq!(listed["version"], "v000001");
    let (seen, reader) = follow_signals(home.socket());
    home.wait_for("the announcement", |_| {
        seen.lock()
            .unwrap()
            .iter()
            .any(|(_, kind, data)| kind == "blueprint_version" && data["version"] == "v000001")
    })
    .await;
    reader.abort();
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    batch_over_the_same_days_gives_the_same_candidates(&home, &first);
}

/// The run's page is written, and both the run and `status` say where.
async fn names_its_report(home: &Home, run: &serde_json::Value) {
    let run_id = run["run_id"].as_str().unwrap();
    let path = home.path("data/reports/research").join(run_id).join("report.html");
    assert_eq!(run["report"].as_str(), path.to_str());
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains(run_id) && page.ends_with("</html>\n"));
    let printed = home.command(&["status", "--socket"]).arg(home.socket()).output().unwrap();
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.contains(&format!("report      {}", path.display())), "{printed}");
}

/// `research` over the daemon's store through the last day that its run had seen.
fn batch_over_the_same_days_gives_the_same_candidates(home: &Home, run: &serde_json::Value) {
    let run_id = run["run_id"].as_str().unwrap();
    let summary = |root: &std::path::Path, id: &str| -> serde_json::Value {
        let path = root.join("reports/phase2").join(id).join("summary.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let live = summary(&home.path("data"), run_id);
    let last_day = live["closed_through"].as_str().unwrap();
    let batch = home.path("batch");
    for _ in 0..2 {
        let output = home
            .command(&["research", "--json", "--end", last_day, "--run-id", "batch"])
            .arg("--state")
            .arg(home.path("state"))
            .arg("--data-root")
            .arg(&batch)
            .arg("--spec")
            .arg(spec_dir())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(summary(&batch, "batch"), live);
    for event in std::fs::read_dir(home.path("data/reports/phase2").join(run_id)).unwrap() {
        let name = event.unwrap().file_name();
        let read = |root: &std::path::Path, id: &str| {
            let path = root.join("reports/phase2").join(id).join(&name).join("phase2_candidates.parquet");
            std::fs::read(path).ok()
        };
        assert!(read(&batch, "batch") == read(&home.path("data"), run_id), "{}", name.display());
    }
    runs_are_listed_and_told_apart(home, &batch);
}

/// `runs` over the folder of the batch run, beside which a run over one symbol is made.
fn runs_are_listed_and_told_apart(home: &Home, root: &std::path::Path) {
    let say = |words: &[&str]| {
        let output = home.command(words).arg("--data-root").arg(root).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
    };
    let state = home.path("state").display().to_string();
    let spec = spec_dir().display().to_string();
    let one =
        ["research", "--json", "--symbols", "BTCUSDT", "--run-id", "one", "--state", &state, "--spec", &spec];
    assert_eq!(say(&one).0, Some(0));
    let (code, list) = say(&["runs", "list"]);
    assert_eq!((code, list.lines().count()), (Some(0), 3), "{list}");
    let (code, shown) = say(&["runs", "show", "bat"]);
    assert!(code == Some(0) && shown.starts_with("run batch\n") && shown.contains("hypotheses"), "{shown}");
    let (code, same) = say(&["runs", "diff", "batch", "batch"]);
    assert!(code == Some(0) && same.contains("the same"), "{same}");
    let (code, differs) = say(&["runs", "diff", "batch", "one", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&differs).unwrap();
    assert_eq!(code, Some(3));
    assert!(found["facts"].as_array().unwrap().iter().any(|fact| fact["name"] == "hypotheses"), "{differs}");
    let (code, missing) = say(&["runs", "show", "nothing"]);
    assert!(code == Some(1) && missing.contains("no run 'nothing'"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_spec_leaves_the_old_one_in_force_and_a_good_one_replaces_it() {
    let exchange = exchange(SPEED, false).await;
    let mut home = Home::new(&exchange, SPEED, 2);
    let spec = home.path("spec");
    copy_tree(&spec_dir(), &spec);
    home.set("spec", &spec.display().to_string());
    let mut daemon = home.start();
    let before = home.wait_until_live().await;
    let hash = before["spec"]["hash"].clone();

    let file = spec.join("events/vol_shock.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("when:", "when: no_such_name_at_all and")).unwrap();
    let broken = home.wait_for("the error", |s| s["spec"]["error"].is_string()).await;
    assert!(
        broken["spec"]["error"].as_str().unwrap().contains("vol_shock.yaml:"),
        "{}",
        broken["spec"]["error"]
    );
    assert_eq!(broken["spec"]["hash"], hash);
    let client = Client::new(&home.socket()).unwrap();
    let error = client.post("/v1/reload", &json!({})).await.unwrap_err();
    assert!(matches!(error, ClientError::Problem { status: 422, .. }), "{error}");

    std::fs::write(&file, &good).unwrap();
    home.wait_for("the error to go", |s| s["spec"]["error"].is_null()).await;

    let tweaked = good.replace("spacing_bars: ", "spacing_bars: 1");
    assert_ne!(tweaked, good);
    std::fs::write(&file, tweaked).unwrap();
    let after = home
        .wait_for("the new spec", |s| {
            s["spec"]["hash"] != hash && (s["state"] == "live" || s["state"] == "degraded")
        })
        .await;
    assert!(after["spec"]["error"].is_null());
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[test]
fn a_configuration_that_cannot_be_used_is_misuse() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = runtime.block_on(async { Home::new(&exchange(1.0, false).await, 1.0, 1) });
    let (code, last_words) = home.start_in_vain(&["--grace-ms=soon"]);
    assert_eq!(code, Some(2), "{last_words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_ready_status_watchdog_reload_and_stop() {
    let exchange = exchange(SPEED, false).await;
    let home = Home::new(&exchange, SPEED, 1);
    let path = home.path("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let heard = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let out = std::sync::Arc::clone(&heard);
    let listener = tokio::spawn(async move {
        let mut buffer = [0_u8; 4096];
        while let Ok(n) = socket.recv(&mut buffer).await {
            let mut heard = out.lock().unwrap();
            heard.push_str(&String::from_utf8_lossy(&buffer[..n]));
            heard.push('\n');
        }
    });
    let notify = path.display().to_string();
    let mut daemon = home.start_with(&[("NOTIFY_SOCKET", &notify), ("WATCHDOG_USEC", "600000")]);
    home.wait_until_live().await;
    let has = |words: &str| heard.lock().unwrap().contains(words);
    assert!(has("READY=1"));
    home.wait_for("three signs of life", |_| heard.lock().unwrap().matches("WATCHDOG=1").count() >= 3).await;
    home.wait_for("the phase", |_| has("STATUS=live")).await;
    daemon.signal("HUP");
    home.wait_for("the reload", |_| has("RELOADING=1") && has("MONOTONIC_USEC=")).await;
    home.wait_for("its end", |_| heard.lock().unwrap().matches("READY=1").count() >= 2).await;
    assert_eq!(daemon.terminate().0.code(), Some(0));
    home_settles().await;
    assert!(has("STOPPING=1"));
    listener.abort();
}

/// Datagrams that were sent before the end are read a moment after it.
async fn home_settles() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
