//! `backtestd doctor` looks at everything and says what to do.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::exchange;

fn doctor(state: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backtestd"));
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("BACKTEST")) {
        command.env_remove(key);
    }
    let data = state.join("data");
    command.args(["doctor", "--json", "--spot-symbols", ""]).args(args);
    if !args.contains(&"--symbols") {
        command.args(["--symbols", "BTCUSDT"]);
    }
    command.arg("--state").arg(state.join("state")).arg("--data-root").arg(data).output().unwrap()
}

/// The findings by what was looked at: grade and text.
fn findings(output: &Output) -> Vec<(String, String, String)> {
    let json: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let rows = json["findings"].as_array().unwrap().iter();
    rows.map(|f| (text(f, "subject"), text(f, "grade"), format!("{} {}", text(f, "seen"), text(f, "advice"))))
        .collect()
}

fn grade(output: &Output, subject: &str) -> String {
    let all = findings(output);
    let found = all.iter().find(|f| f.0 == subject);
    found.unwrap_or_else(|| panic!("no {subject} in {all:?}")).1.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_machine_and_an_exchange_that_answers_are_well() {
    let exchange = exchange(1.0, false).await;
    let dir = tempfile::tempdir().unwrap();
    let (rest, ws) = (exchange.rest_url(), exchange.futures_ws_url());
    let args = [
        "--clock-source",
        "exchange",
        "--binance-futures-rest",
        &rest,
        "--binance-futures-ws",
        &ws,
        "--binance-spot-rest",
        &rest,
    ];
    let output = doctor(dir.path(), &args);
    for subject in [
        "configuration",
        "specs",
        "state",
        "data",
        "store",
        "socket",
        "futures",
        "clock",
        "symbols",
        "streams",
    ] {
        assert_eq!(grade(&output, subject), "ok", "{subject}: {:?}", findings(&output));
    }
    assert!(!dir.path().join("state").exists(), "it makes nothing");

    // By the system's clock the simulated exchange lives in another time.
    let output = doctor(dir.path(), &args[2..]);
    assert_eq!((grade(&output, "clock").as_str(), output.status.code()), ("wrong", Some(3)));
    let told = findings(&output).into_iter().find(|f| f.0 == "clock").unwrap().2;
    assert!(told.contains("the exchange") && told.contains("timedatectl"), "{told}");

    let mut unlisted = args.to_vec();
    unlisted.extend(["--symbols", "NOSUCHUSDT"]);
    let output = doctor(dir.path(), &unlisted);
    assert_eq!(grade(&output, "symbols"), "wrong");
    exchange.shutdown().await;
    let output = doctor(dir.path(), &args);
    assert_eq!((grade(&output, "futures").as_str(), output.status.code()), ("wrong", Some(3)));
}

#[test]
fn what_is_wrong_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let spec = dir.path().join("spec");
    std::fs::create_dir(&spec).unwrap();
    let output = doctor(dir.path(), &["--offline", "--spec", spec.to_str().unwrap()]);
    assert_eq!((grade(&output, "specs").as_str(), output.status.code()), ("wrong", Some(3)));
    let told = findings(&output).into_iter().find(|f| f.0 == "specs").unwrap().2;
    assert!(told.contains("spec check"), "{told}");
    assert!(!findings(&output).iter().any(|f| f.0 == "futures"), "nobody was asked");

    let socket = dir.path().join("socket");
    std::fs::write(&socket, "no socket").unwrap();
    let output = doctor(dir.path(), &["--offline", "--socket", socket.to_str().unwrap()]);
    assert_eq!(grade(&output, "socket"), "wrong");

    let output = doctor(dir.path(), &["--offline", "--grace-ms", "soon"]);
    assert_eq!((grade(&output, "configuration").as_str(), output.status.code()), ("wrong", Some(2)));
}
