//! A version that another process publishes into the daemon's directory is in force without a restart.

use backtestd::publish::{PublishContext, publish_version};

use super::support::{Home, begin, exchange};

const SPEED: f64 = 600.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_takes_the_version_that_somebody_else_publishes() {
    let exchange = exchange(SPEED, false).await;
    let home = Home::new(&exchange, SPEED, 1);
    let mut daemon = home.start();
    let before = home.wait_until_live().await;
    assert!(before["blueprints"]["version"].is_null(), "{}", before["blueprints"]);
    let context = |run: &str, why: &str| PublishContext {
        published_at: begin(),
        run_id: run.to_owned(),
        ontology_spec_hash: "0".repeat(64),
        data_watermark: begin(),
        code_version: "test".to_owned(),
        verdicts: Default::default(),
        lives: Default::default(),
        overlap: Default::default(),
        reasons: vec![why.to_owned()],
        memory: None,
    };
    let dir = home.path("data").join("blueprints");
    let published = publish_version(&dir, &[], &context("another-process", "nothing was found")).unwrap();
    assert_eq!(published.version, "v000001");
    home.wait_for("the version", |s| s["blueprints"]["version"] == "v000001").await;

    // One that is damaged leaves the one before in force, and is taken when it is whole.
    let link = dir.join("current");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("v000002", &link).unwrap();
    super::faults::ticks(&home, 3).await;
    let status = home.wait_for("a status", |s| s["blueprints"].is_object()).await;
    assert_eq!(status["blueprints"]["version"], "v000001");
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    let log = std::fs::read_to_string(home.path("log")).unwrap();
    assert!(log.contains("the published version cannot be read"), "it is said");
}
