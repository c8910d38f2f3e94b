//! The shipped unit, as far as it can be judged without booting it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::process::Command;

const UNIT: &str = include_str!("../systemd/backtestd.service");
const USERS: &str = include_str!("../systemd/backtestd.sysusers.conf");

/// Values of a setting in the unit, comments aside.
fn values(key: &str) -> Vec<&'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// What a tool of systemd says; `None` where there is none.
fn analyze(args: &[&str]) -> Option<(bool, String)> {
    let output = Command::new("systemd-analyze").args(args).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn readers_of_the_group_get_to_the_blueprints() {
    // A dynamic user's StateDirectory lies below /var/lib/private, mode 0700 root: nobody else gets in.
    assert!(values("DynamicUser").is_empty());
    assert_eq!((values("User"), values("Group")), (vec!["backtestd"], vec!["backtestd"]));
    let user = USERS.lines().find(|line| line.starts_with("u backtestd ")).expect("sysusers makes the user");
    assert!(user.ends_with("/var/lib/backtestd"));
    assert_eq!(values("StateDirectoryMode"), ["0750"], "the group may enter");
    assert_eq!(values("UMask"), ["0027"], "and read what is written");
    let data = values("Environment").into_iter().find_map(|v| v.strip_prefix("BACKTEST_DATA_ROOT=")).unwrap();
    let state =
        values("StateDirectory")[0].split(' ').map(|dir| format!("/var/lib/{dir}")).collect::<Vec<_>>();
    assert!(state.iter().any(|dir| dir == data), "{data} in {state:?}");
}

#[test]
fn a_daemon_that_ended_is_started_again_for_as_long_as_it_takes() {
    assert_eq!(values("StartLimitIntervalSec"), ["0"], "or a full disk would end it for good");
    assert_eq!((values("Restart"), values("RestartPreventExitStatus")), (vec!["on-failure"], vec!["2"]));
}

#[test]
fn the_unit_is_sound_and_closed_as_systemd_sees_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/backtestd.service");
    // Twenty is an exposure of 2.0.
    let Some((is_closed, text)) =
        analyze(&["security", "--offline=true", "--threshold=20", "--no-pager", path])
    else {
        println!("skipped: no systemd-analyze");
        return;
    };
    assert!(is_closed, "{text}");
    let (_, text) = analyze(&["verify", path]).unwrap();
    // What is not installed here is not the unit's fault.
    let complaints = text.lines().filter(|line| line.contains("backtestd.service"));
    let complaints: Vec<&str> = complaints.filter(|line| !line.contains("/usr/bin/backtestd")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}
