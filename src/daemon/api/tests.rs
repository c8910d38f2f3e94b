//! The API over a real socket, against queues that the tests answer themselves.

use backtestd_store::load_specs;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::*;
use crate::daemon::client::{Client, ClientError};
use crate::daemon::config::resolve;
use crate::daemon::shared::{Control, Query, Refusal, Reloaded, RunReport, Ticket};
use crate::daemon::stream_log::{EntryKind, StreamEntry};
use backtestd_binance::clock::ScaledClock;
use backtestd_binance::install_tls;
use backtestd_core::explain::History;
use backtestd_core::market::{RawBlock, Source, Symbol, parse_time};

struct Fixture {
    dir: tempfile::TempDir,
    shared: Arc<Shared>,
    control: mpsc::Receiver<Control>,
    queries: mpsc::Receiver<Query>,
}

impl Fixture {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let flags = BTreeMap::from([
            ("state", dir.path().display().to_string()),
            ("data_root", dir.path().join("data").display().to_string()),
        ]);
        let config = Arc::new(resolve(&flags, &|_| None, None).unwrap().config);
        let clock = Arc::new(ScaledClock::new(parse_time("2026-03-01").unwrap(), 1.0));
        let (shared, control, queries) = Shared::new(clock, config);
        let listener = listen_unix(&shared.config.socket).await.unwrap();
        tokio::spawn(serve_unix(listener, Arc::clone(&shared), shared.stopping()));
        Self { dir, shared, control, queries }
    }

    fn socket(&self) -> PathBuf {
        self.shared.config.socket.clone()
    }

    fn client(&self) -> Client {
        Client::new(&self.socket()).unwrap()
    }
}

fn entry(seq: u64) -> StreamEntry {
    StreamEntry { seq, kind: EntryKind::Signal, data: Arc::new(json!({ "seq": seq })) }
}

/// An open signal stream, read by hand: what a consumer's socket sees.
struct SignalReader(Lines<BufReader<UnixStream>>);

impl SignalReader {
    async fn open(fixture: &Fixture, last_event_id: Option<u64>) -> Self {
        let mut socket = UnixStream::connect(fixture.socket()).await.unwrap();
        let resume = last_event_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!("GET /v1/signals HTTP/1.1\r\nHost: x\r\n{resume}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut reader = Self(BufReader::new(socket).lines());
        reader.until("event: heartbeat").await;
        reader
    }

    async fn until(&mut self, wanted: &str) -> String {
        let read = async {
            while let Some(line) = self.0.next_line().await.unwrap() {
                if line.starts_with(wanted) {
                    return line;
                }
            }
            panic!("the stream ended before '{wanted}'");
        };
        tokio::time::timeout(Duration::from_secs(10), read).await.unwrap()
    }

    async fn ids(&mut self, n: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        for _ in 0..n {
            ids.push(self.until("id: ").await[4..].parse().unwrap());
        }
        ids
    }
}

#[tokio::test]
async fn status_has_the_contract_keys_and_the_socket_its_mode() {
    let fixture = Fixture::start().await;
    let status = fixture.client().get("/v1/status", &[]).await.unwrap();
    for key in
        ["version", "uptime_s", "state", "spec", "symbols", "streams", "store", "discovery", "blueprints"]
    {
        assert!(status.get(key).is_some(), "{key} is missing");
    }
    assert_eq!(status["state"], "starting");
    let mode = std::fs::metadata(fixture.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_a_dead_ones_socket_replaced() {
    let fixture = Fixture::start().await;
    let error = listen_unix(&fixture.socket()).await.unwrap_err();
    assert!(matches!(error, ApiError::AlreadyServed { .. }), "{error}");
    let stale = fixture.dir.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    listen_unix(&stale).await.unwrap();
    let file = fixture.dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(matches!(listen_unix(&file).await.unwrap_err(), ApiError::NotASocket { .. }));
}

#[tokio::test]
async fn a_client_without_a_daemon_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let error = Client::new(&dir.path().join("none.sock")).unwrap().get("/v1/status", &[]).await.unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
    assert!(error.to_string().contains("backtestd run"), "{error}");
}

#[tokio::test]
async fn a_signal_reader_resumes_after_the_last_id_without_loss_or_repetition() {
    let mut fixture = Fixture::start().await;
    fixture.shared.stream.resume_at(2);
    fixture.shared.stream.append([entry(3), entry(4)]);
    let mut reader = SignalReader::open(&fixture, Some(0)).await;
    // Entries 1 and 2 are older than memory: the store is asked, then memory continues.
    let Query::Stream { from, reply, .. } = fixture.queries.recv().await.unwrap() else { panic!() };
    assert_eq!(from, 1);
    reply.send(Ok(vec![entry(1), entry(2)])).unwrap();
    assert_eq!(reader.ids(4).await, [1, 2, 3, 4]);
    fixture.shared.stream.append([entry(5)]);
    assert_eq!(reader.ids(1).await, [5]);
    let mut other = SignalReader::open(&fixture, Some(4)).await;
    assert_eq!(other.ids(1).await, [5]);
}

#[tokio::test]
async fn a_signal_reader_without_an_id_starts_at_the_present_and_hears_heartbeats() {
    let fixture = Fixture::start().await;
    fixture.shared.stream.append([entry(1)]);
    let mut reader = SignalReader::open(&fixture, None).await;
    let started = std::time::Instant::now();
    reader.until("event: heartbeat").await;
    assert!(started.elapsed() <= Duration::from_secs(5));
    fixture.shared.stream.append([entry(2)]);
    assert_eq!(reader.ids(1).await, [2]);
}

#[tokio::test]
async fn a_position_before_what_is_kept_is_told_what_it_missed_and_where_to_go_on() {
    let fixture = Fixture::start().await;
    fixture.shared.stream.resume_at(9);
    fixture.shared.stream.kept_from(5);
    let error = fixture.client().get("/v1/signals", &[("after", "2".into())]).await.unwrap_err();
    let ClientError::Problem { status: 410, detail, .. } = error else { panic!("{error}") };
    assert!(
        detail.starts_with("entries 3 to 4 are no longer kept (retention.signals_days = 90)"),
        "{detail}"
    );
    assert!(detail.ends_with("go on with after=4"), "{detail}");
    // From the first one that is kept on, it goes on.
    SignalReader::open(&fixture, Some(4)).await;
}

#[tokio::test]
async fn a_position_ahead_of_the_stream_is_an_error() {
    let fixture = Fixture::start().await;
    let error = fixture.client().get("/v1/signals", &[("after", "7".into())]).await.unwrap_err();
    assert!(error.to_string().contains("ahead of the stream"), "{error}");
}

#[tokio::test]
async fn open_signal_streams_end_when_the_daemon_stops() {
    let fixture = Fixture::start().await;
    let mut reader = SignalReader::open(&fixture, None).await;
    fixture.shared.stop();
    let end = async { while reader.0.next_line().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(2), end).await.unwrap();
}

#[tokio::test]
async fn recompute_answers_at_once_or_waits_for_the_report() {
    let mut fixture = Fixture::start().await;
    let client = fixture.client();
    tokio::spawn(async move {
        while let Some(Control::Recompute { reply, .. }) = fixture.control.recv().await {
            let (tx, done) = tokio::sync::oneshot::channel();
            reply.send(Ok(Ticket { run_id: "r1".into(), done })).unwrap();
            let report = RunReport {
                run_id: "r1".into(),
                version: Some("v000001".into()),
                changed: true,
                hypotheses: 3,
                trials: 0,
                discoveries: 1,
                duration_ms: 5,
                report: None,
            };
            let _ = tx.send(Ok(report));
        }
    });
    let accepted = client.post("/v1/recompute", &json!({})).await.unwrap();
    assert_eq!(accepted, json!({ "run_id": "r1" }));
    let waited = client.post("/v1/recompute", &json!({ "wait": true, "reason": "test" })).await.unwrap();
    assert_eq!(waited["version"], "v000001");
    assert_eq!(waited["changed"], true);
    let error = client.post("/v1/recompute", &json!({ "wiat": true })).await.unwrap_err();
    assert!(error.to_string().contains("wiat"), "{error}");
}

#[tokio::test]
async fn a_refused_reload_is_422_with_the_spec_errors() {
    let mut fixture = Fixture::start().await;
    let client = fixture.client();
    tokio::spawn(async move {
        while let Some(Control::Reload { reply }) = fixture.control.recv().await {
            let broken = Refusal::Invalid("events/X.yaml:3:7: unknown name".into());
            let answer: Result<Reloaded, Refusal> = Err(broken);
            reply.send(answer).unwrap();
        }
    });
    let error = client.post("/v1/reload", &json!({})).await.unwrap_err();
    let ClientError::Problem { status, detail } = error else { panic!("{error}") };
    assert_eq!(status, 422);
    assert!(detail.contains("X.yaml:3:7"));
}

#[tokio::test]
async fn the_loopback_port_may_only_read() {
    let fixture = Fixture::start().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    tokio::spawn(serve_loopback(port, Arc::clone(&fixture.shared), fixture.shared.stopping()));
    install_tls();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{port}");
    let mut tries = 0;
    let status = loop {
        match http.get(format!("{url}/v1/status")).send().await {
            Ok(response) => break response.status(),
            Err(error) => assert!(tries < 100, "{error}"),
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(status, 200);
    let foreign = http.get(format!("{url}/v1/status")).header("host", "evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403, "a name that was made to point here");
    let refused = http.post(format!("{url}/v1/reload")).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn event_queries_are_checked_and_passed_on() {
    let mut fixture = Fixture::start().await;
    let client = fixture.client();
    let error = client.get("/v1/events", &[("since", "yesterday".into())]).await.unwrap_err();
    assert!(error.to_string().contains("yesterday"), "{error}");
    let asked = tokio::spawn(async move {
        let query = [("since", "2026-01-01".into()), ("type", "VOL_SHOCK".into()), ("limit", "7".into())];
        client.get("/v1/events", &query).await.unwrap()
    });
    let Query::History { reply } = fixture.queries.recv().await.unwrap() else { panic!("is it an event?") };
    reply.send(Ok(history())).unwrap();
    let Query::Events(wanted, reply) = fixture.queries.recv().await.unwrap() else { panic!() };
    assert_eq!((wanted.limit, wanted.event_type.as_deref()), (7, Some("VOL_SHOCK")));
    assert_eq!(wanted.since, Some(parse_time("2026-01-01").unwrap()));
    reply.send(Ok(vec![json!({ "event_id": "x" })])).unwrap();
    assert_eq!(asked.await.unwrap(), json!({ "events": [{ "event_id": "x" }] }));
}

#[tokio::test]
async fn an_event_that_no_spec_has_is_a_mistake_and_not_silence() {
    let mut fixture = Fixture::start().await;
    let ask = |fixture: &Fixture, name: &'static str| {
        let client = fixture.client();
        tokio::spawn(async move {
            client.get("/v1/events", &[("type", name.into())]).await.unwrap_err().to_string()
        })
    };
    for (name, offered) in
        [("VOL_SHOK", "did you mean VOL_SHOCK?"), ("spike", "VOL_SPIKE"), ("NOPE", "no such event;")]
    {
        let asked = ask(&fixture, name);
        let Query::History { reply } = fixture.queries.recv().await.unwrap() else { panic!() };
        reply.send(Ok(history())).unwrap();
        let error = asked.await.unwrap();
        assert!(error.contains(offered) && error.contains(name), "{error}");
    }
}

/// The specs of the repository over a history of one symbol.
fn history() -> History {
    let spec = load_specs(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/spec"))).unwrap();
    let first = parse_time("2026-03-01").unwrap().bar();
    History {
        spec: Arc::new(spec),
        symbols: vec![Symbol::new("BTCUSDT").unwrap()],
        collected: vec![Source::ALL.iter().copied().collect()],
        first,
        end: first + 600,
    }
}

#[tokio::test]
async fn blueprints_come_from_the_current_version() {
    let fixture = Fixture::start().await;
    let client = fixture.client();
    assert_eq!(client.get("/v1/blueprints", &[]).await.unwrap()["version"], Value::Null);
    let root = fixture.dir.path().join("data/blueprints");
    std::fs::create_dir_all(root.join("v000001")).unwrap();
    std::fs::write(root.join("v000001/manifest.json"), r#"{"version":"v000001"}"#).unwrap();
    std::fs::write(root.join("v000001/blueprints.jsonl"), "{\"id\":\"bp_1\"}\n").unwrap();
    std::os::unix::fs::symlink("v000001", root.join("current")).unwrap();
    let listed = client.get("/v1/blueprints", &[]).await.unwrap();
    assert_eq!((&listed["version"], &listed["blueprints"][0]["id"]), (&json!("v000001"), &json!("bp_1")));
    let error = client.get("/v1/blueprints/bp_2/explain", &[]).await.unwrap_err();
    assert!(error.to_string().contains("no blueprint bp_2"), "{error}");
}

#[tokio::test]
async fn the_openapi_document_lists_exactly_the_served_routes() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, verbs)| verbs.as_object().unwrap().keys().map(|verb| (verb.clone(), path.clone())))
        .collect();
    // The router cannot be listed; its source can.
    let served: BTreeSet<(String, String)> = include_str!("mod.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".route(\""))
        .map(|rest| {
            let (path, rest) = rest.split_once('"').unwrap();
            let verb = rest.trim_start_matches(", ").split('(').next().unwrap();
            (verb.to_owned(), path.to_owned())
        })
        .collect();
    assert_eq!(described, served);
    let fixture = Fixture::start().await;
    assert_eq!(fixture.client().get("/v1/openapi.json", &[]).await.unwrap(), document);
}

#[tokio::test]
async fn the_openapi_status_schema_names_every_key_of_the_status() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let fixture = Fixture::start().await;
    let status = serde_json::to_value(fixture.shared.status()).unwrap();
    let schema = &document["components"]["schemas"]["Status"]["properties"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(schema), keys(&status));
    for section in [
        "clock",
        "rest",
        "spec",
        "archive",
        "refused",
        "store",
        "backfill",
        "live",
        "discovery",
        "blueprints",
    ] {
        assert_eq!(keys(&schema[section]["properties"]), keys(&status[section]), "{section}");
    }
}

#[tokio::test]
async fn an_explanation_replays_the_log_under_the_specs_in_force() {
    let mut fixture = Fixture::start().await;
    let history = history();
    let client = fixture.client();
    // The storage thread: a log of nothing but gaps.
    tokio::spawn(async move {
        while let Some(query) = fixture.queries.recv().await {
            match query {
                Query::History { reply } => reply.send(Ok(history.clone())).unwrap(),
                Query::Raw { stretch, reply } => {
                    let raw = RawBlock::empty(stretch.first, stretch.rows, stretch.symbols.len());
                    reply.send(Ok(raw)).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
    });
    let place = |at: &str| [("symbol", "BTCUSDT".to_owned()), ("at", at.to_owned())];
    let trace = client.get("/v1/explain/VOL_SPIKE", &place("2026-03-02T12:32:00Z")).await.unwrap();
    assert_eq!(trace["timestamp"], "2026-03-02T12:30:00Z", "floored to its bar");
    assert_eq!(trace["outcome"], "unknown");
    assert_eq!(trace["history"]["rows"], 439);
    assert!(trace["text"].as_str().unwrap().starts_with("VOL_SPIKE (event) on BTCUSDT"));
    let counts = client.get("/v1/explain/VOL_SPIKE", &[]).await.unwrap();
    assert_eq!(counts["prevalence"]["symbols"][0]["known_rows"], 0);

    let status = |answer: Result<Value, ClientError>| match answer.unwrap_err() {
        ClientError::Problem { status, detail } => (status, detail),
        error => panic!("{error}"),
    };
    let (code, detail) = status(client.get("/v1/explain/VOL_SPIK", &place("2026-03-02")).await);
    assert!(code == 404 && detail.ends_with("did you mean 'VOL_SPIKE'?"), "{code} {detail}");
    let (code, detail) = status(client.get("/v1/explain/VOL_SPIKE", &place("2026-04-01")).await);
    assert!(code == 422 && detail.contains("is not stored"), "{code} {detail}");
    let (code, _) = status(client.get("/v1/explain/VOL_SPIKE", &[("at", "2026-03-02".to_owned())]).await);
    assert_eq!(code, 400);
}

#[tokio::test]
async fn half_a_request_is_not_waited_for_and_a_list_is_no_command() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let fixture = Fixture::start().await;
    let mut half = UnixStream::connect(fixture.socket()).await.unwrap();
    half.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), half.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "cut after its deadline");
    let error = fixture.client().post("/v1/recompute", &json!([])).await.unwrap_err();
    let ClientError::Problem { status, detail } = error else { panic!("{error}") };
    assert!(status == 400 && detail.contains("not an object"), "{status} {detail}");
    let mut large = UnixStream::connect(fixture.socket()).await.unwrap();
    let head = "POST /v1/recompute HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n";
    large.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 512];
    let n = large.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..n]);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("problem+json"), "{answer}");
}
