//! The database: merging, ticks, crashes, rewinds, the lock.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "store/provenance.rs"]
mod provenance;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use backtestd_core::discovery::{DayRecord, Trial, TrialKey};
use backtestd_core::market::{Bar, BarIndex, FundingPrint, Market, OpenInterest, Symbol, Ts};
use backtestd_core::market::{RawPut, Records};
use backtestd_core::outcomes::{CostParts, EntryPrice, Horizon, Outcome};
use backtestd_core::outcomes::{EpisodeEnd, Event};
use backtestd_core::spec::TestStatistic;
use backtestd_store::{Delivery, Fsync, Origin, Store, StoreError, TickCommit};

const T0: BarIndex = BarIndex(6_000_000);
const FILE: Delivery<'static> = Delivery::new(Origin::Archive, "file.zip");

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn bar(n: i64, close: f64) -> Bar {
    Bar::from_values(T0 + n, [close, close + 1.0, close - 1.0, close, 5.0, 50.0, 3.0, 2.0, 20.0])
}

fn event(n: i64, severity: f64) -> Event {
    Event {
        event_type: "VOL_SHOCK".into(),
        family: "VOLATILITY".into(),
        symbol: btc(),
        bar: T0 + n,
        direction: -1,
        severity,
        states: Arc::from([1_i8, 0, -1]),
        vol_regime: 2,
        carry_state: i8::MIN,
        sigma_bar: f64::NAN,
        sigma_event: f64::NAN,
        features: vec![("ratio".into(), 0.1 + 0.2), ("gone".into(), f64::NAN), ("tiny".into(), -1e-310)],
    }
}

fn outcome(event: &Event, bars: u32, forward_return: f64) -> Outcome {
    Outcome {
        event: Arc::new(event.clone()),
        horizon: Horizon { label: format!("{}m", bars * 5).into(), bars },
        entry_lag_bars: 1,
        entry_price: EntryPrice::Close,
        forward_return,
        midnight_return: f64::NAN,
        mfe_bps: 12.5,
        mae_bps: f64::NAN,
        funding_paid: 0.0001,
        cost_bps_round_trip: 12.0,
        costs: CostParts::whole(12.0),
    }
}

fn open(dir: &Path) -> Store {
    Store::open_with(dir, Fsync::Never).unwrap()
}

/// Two values that print alike bit for bit are bit-identical; NaN prints alike too.
fn bits<T: std::fmt::Debug>(values: &[T]) -> String {
    format!("{values:?}")
}

#[test]
fn the_same_records_twice_change_nothing_and_a_conflict_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let bars: Vec<_> = (0..100).map(|n| bar(n, 100.0)).collect();
    assert_eq!(store.put_bars(Market::Perp, &btc(), &bars, FILE).unwrap().inserted, 100);
    let digest = store.digest().unwrap();
    let again = store.put_bars(Market::Perp, &btc(), &bars, FILE).unwrap();
    assert!(again.is_noop() && again.unchanged == 100);
    assert_eq!(store.digest().unwrap(), digest);

    let mut later = bars[40..60].to_vec();
    later[3].volume = 6.0;
    let report =
        store.put_bars(Market::Perp, &btc(), &later, Delivery { label: "later.zip", ..FILE }).unwrap();
    assert_eq!((report.conflicts, report.unchanged), (1, 19));
    let text = report.listed[0].to_string();
    assert!(text.starts_with("later.zip: perp BTCUSDT bars at "), "{text}");
    assert!(text.ends_with("volume was 5 (archive), now 6 (archive)"), "{text}");
    assert_eq!(store.bars(Market::Perp, &btc(), T0 + 43, T0 + 44).unwrap()[0].volume, 6.0);
}

#[test]
fn columns_that_one_source_lacks_are_filled_by_another_and_never_erased() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let full = bar(0, 100.0);
    let bare = Bar { quote_volume: f64::NAN, trades: f64::NAN, ..full };
    store.put_bars(Market::Spot, &btc(), &[bare], FILE).unwrap();
    let report = store.put_bars(Market::Spot, &btc(), &[full], FILE).unwrap();
    assert_eq!((report.filled, report.conflicts), (1, 0));
    assert!(store.put_bars(Market::Spot, &btc(), &[bare], FILE).unwrap().is_noop());
    assert!(store.bars(Market::Spot, &btc(), T0, T0 + 1).unwrap()[0].same_as(&full));
}

#[test]
fn coverage_lists_columns_with_a_known_value_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let bare = Bar { taker_buy_quote: f64::NAN, taker_buy_volume: f64::NAN, ..bar(0, 100.0) };
    store.put_bars(Market::Perp, &btc(), &[bare], FILE).unwrap();
    store.put_records(&btc(), &[FundingPrint::regular(Ts(0), 0.1, f64::NAN)], FILE).unwrap();
    let names: Vec<_> = store.coverage(&btc()).unwrap().iter().map(|s| s.name()).collect();
    assert_eq!(
        names,
        [
            "open",
            "high",
            "low",
            "close",
            "volume",
            "quote_volume",
            "trades",
            "funding_rate",
            "is_funding_print",
            "funding_interval_h"
        ]
    );
}

#[test]
fn consecutive_blocks_hand_over_every_record_once_by_the_close_of_their_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let bars: Vec<_> = (0..40).map(|n| bar(n, 100.0)).collect();
    store.put_bars(Market::Perp, &btc(), &bars, FILE).unwrap();
    // On the grid, a millisecond after it, and in the middle of bars.
    let oi: Vec<_> = (0..80)
        .map(|i| OpenInterest {
            ts: Ts(T0.open().0 + i * 150_000 + i % 3),
            contracts: i as f64,
            value: f64::NAN,
        })
        .collect();
    store.put_records(&btc(), &oi, FILE).unwrap();
    let symbols = [Symbol::new("ETHUSDT").unwrap(), btc()];
    let whole = store.raw(&symbols, T0, 40).unwrap();
    assert!(whole.symbols[0].perp.is_empty());
    assert_eq!(
        whole.symbols[1].open_interest.len(),
        79,
        "the instant of the first open belongs to the row before"
    );
    let mut parts = Vec::new();
    for (from, rows) in [(0, 1), (1, 7), (8, 12), (20, 20)] {
        let block = store.raw(&symbols, T0 + from, rows).unwrap();
        let end = (T0 + from + rows as i64).open();
        assert!(block.symbols[1].open_interest.iter().all(|o| o.ts <= end));
        parts.extend(block.symbols[1].open_interest.clone());
    }
    assert_eq!(bits(&parts), bits(&whole.symbols[1].open_interest));
}

#[test]
fn facts_read_back_bit_for_bit_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (event(0, 3.5), event(4, f64::NAN));
    let outcomes = [outcome(&first, 1, -0.01), outcome(&first, 3, f64::NAN), outcome(&second, 1, 0.5)];
    let ends = [EpisodeEnd { event_type: "VOL_SHOCK".into(), symbol: btc(), onset: T0, exit: T0 + 2 }];
    {
        let mut store = open(dir.path());
        store
            .commit(&TickCommit {
                through: T0 + 6,
                raw: &[RawPut { symbol: btc(), records: Records::Bars(Market::Perp, vec![bar(0, 1.5)]) }],
                events: &[first.clone(), second.clone()],
                episode_ends: &ends,
                outcomes: &outcomes,
                checkpoint: Some(b"state"),
                meta: &[("spec", b"sha256:1")],
                ..TickCommit::default()
            })
            .unwrap();
    }
    let store = open(dir.path());
    let end = T0 + 100;
    assert_eq!(store.committed().unwrap(), Some(T0 + 6));
    assert_eq!(bits(&store.events(T0, end).unwrap()), bits(&[first, second]));
    assert_eq!(bits(&store.outcomes(T0, end).unwrap()), bits(&outcomes));
    assert_eq!(store.episode_ends(T0, end).unwrap(), ends);
    assert_eq!(store.latest_checkpoint(T0 + 6).unwrap(), Some((T0 + 6, b"state".to_vec())));
    assert_eq!(store.latest_checkpoint(T0 + 5).unwrap(), None);
    assert_eq!(store.meta("spec").unwrap().unwrap(), b"sha256:1");
    assert_eq!(store.bars(Market::Perp, &btc(), T0, end).unwrap().len(), 1);
}

#[test]
fn a_tick_is_applied_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let tick = TickCommit { through: T0, ..TickCommit::default() };
    store.commit(&tick).unwrap();
    let error = store.commit(&tick).unwrap_err();
    assert!(matches!(error, StoreError::NotForward { .. }), "{error}");
}

#[test]
fn a_rewind_keeps_an_audit_trail_of_what_changed_and_of_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for n in 0..10 {
        let e = event(n, n as f64);
        store
            .commit(&TickCommit {
                through: T0 + n,
                events: std::slice::from_ref(&e),
                outcomes: &if n >= 2 { vec![outcome(&event(n - 2, (n - 2) as f64), 1, 0.1)] } else { vec![] },
                checkpoint: Some(&[n as u8]),
                ..TickCommit::default()
            })
            .unwrap();
    }
    let before = store.digest().unwrap();
    let rewound = store.rewind(T0 + 6).unwrap();
    assert_eq!((rewound.events, rewound.outcomes), (3, 3));
    assert_eq!(store.committed().unwrap(), Some(T0 + 6));
    assert_eq!(store.events(T0, T0 + 100).unwrap().len(), 7);
    assert_eq!(store.checkpoints().unwrap().last(), None, "the three newest lay after the bar");

    // The repaired history: event 7 as before, event 8 with another severity, event 9 gone.
    let repaired = [event(7, 7.0), event(8, 8.5)];
    store.commit(&TickCommit { through: T0 + 9, events: &repaired, ..TickCommit::default() }).unwrap();
    let trail = store.revisions(T0, T0 + 100).unwrap();
    let was: Vec<_> = trail.iter().map(|r| (r.event.severity, r.rewind, r.believed_until)).collect();
    assert_eq!(was, [(8.0, 1, T0 + 9), (9.0, 1, T0 + 9)]);
    assert_eq!((store.revision_of(&repaired[0]).unwrap(), store.revision_of(&repaired[1]).unwrap()), (0, 1));
    assert_ne!(store.digest().unwrap()["events"], before["events"]);
}

#[test]
fn a_rewind_takes_back_the_evidence_of_days_that_it_opens_again_and_never_a_trial() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let first = T0.open().day();
    let record = |day: i64| DayRecord { day: first + day, link: [day as u8; 32], bytes: vec![day as u8; 40] };
    let trial = |n: u8| Trial {
        key: TrialKey([n; 32]),
        cohort: 1,
        first_look: first,
        catalogue: [0; 32],
        statistic: TestStatistic::OwnReturn,
        family: "F".to_owned(),
        event_type: format!("E{n}"),
        horizon: "5m".to_owned(),
        condition: String::new(),
        scope: "ALL".to_owned(),
        share: Some(0.25),
        by_order: 0.5,
        begun: None,
    };
    store.commit(&TickCommit { through: T0 + 5 * 288, ..TickCommit::default() }).unwrap();
    store.replace_evidence(i64::MIN, &(0..4).map(record).collect::<Vec<_>>()).unwrap();
    store.add_trials(&[trial(1), trial(2)]).unwrap();
    store.add_trials(&[Trial { cohort: 9, ..trial(2) }, trial(3)]).unwrap();
    // When a trial has begun is remembered once, and nothing else of it changes.
    store.begin_trials(&[Trial { begun: Some(first + 9), cohort: 9, ..trial(1) }, trial(8)]).unwrap();
    store.begin_trials(&[Trial { begun: Some(first + 11), ..trial(1) }]).unwrap();
    let beside = Trial { statistic: TestStatistic::VarianceRatio, ..trial(4) };
    store.add_trials(std::slice::from_ref(&beside)).unwrap();

    // Into the third day: the first two stay closed.
    let midnight = (first + 2) * 288;
    store.rewind(BarIndex(midnight + 10)).unwrap();
    assert_eq!(store.evidence().unwrap(), [record(0), record(1)]);
    assert_eq!((store.last_evidence().unwrap().unwrap().0, store.replays().unwrap()), (first + 1, 1));
    // Within an open day nothing that was closed is touched.
    store.rewind(BarIndex(midnight + 5)).unwrap();
    assert_eq!((store.evidence().unwrap().len(), store.replays().unwrap()), (2, 1));
    drop(store);
    let store = open(dir.path());
    let mut trials = store.trials().unwrap();
    assert_eq!(trials.pop(), Some(beside));
    let cohorts: Vec<_> = trials.iter().map(|t| (t.event_type.clone(), t.cohort)).collect();
    assert_eq!(cohorts, [("E1".to_owned(), 1), ("E2".to_owned(), 1), ("E3".to_owned(), 1)]);
    assert_eq!(trials.iter().map(|t| t.begun).collect::<Vec<_>>(), [Some(first + 9), None, None]);
    assert_eq!(store.evidence().unwrap().len(), 2);
}

#[test]
fn signals_resume_updates_survive_until_a_tick_takes_them_and_first_arrivals_stay() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut store = open(dir.path());
        assert_eq!(store.append_updates(&[b"a".to_vec(), b"b".to_vec()]).unwrap(), 2);
        assert_eq!(store.append_updates(&[b"c".to_vec()]).unwrap(), 3);
        let signals: Vec<_> = (1..=5).map(|seq| (seq, format!("{{\"seq\":{seq}}}").into_bytes())).collect();
        store
            .commit(&TickCommit {
                through: T0,
                signals: &signals,
                updates_through: Some(2),
                arrivals: &[("x".to_owned(), Ts(5))],
                ..TickCommit::default()
            })
            .unwrap();
    }
    let mut store = open(dir.path());
    store
        .commit(&TickCommit {
            through: T0 + 1,
            arrivals: &[("x".to_owned(), Ts(9))],
            ..TickCommit::default()
        })
        .unwrap();
    assert_eq!(store.arrival("x").unwrap(), Some(Ts(5)));
    assert_eq!(store.updates().unwrap(), [(3, b"c".to_vec())]);
    let seqs = |after| store.signals_after(after, 2).unwrap().iter().map(|s| s.0).collect::<Vec<_>>();
    assert_eq!((seqs(0), seqs(3), seqs(5)), (vec![1, 2], vec![4, 5], vec![]));
    assert_eq!(store.prune_signals(4).unwrap(), 3);
    assert_eq!((store.last_signal().unwrap(), store.signals_after(0, 9).unwrap().len()), (5, 2));
    assert_eq!((store.prune_signals(99).unwrap(), store.first_signal().unwrap()), (1, Some(5)));
    assert_eq!(store.last_signal().unwrap(), 5, "the numbering goes on from the newest");
}

#[test]
fn what_only_grows_shrinks_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let arrivals: Vec<_> = (0..5).map(|n| (format!("event {n}"), Ts(n))).collect();
    store.commit(&TickCommit { through: T0, arrivals: &arrivals, ..TickCommit::default() }).unwrap();
    for id in ["a", "b", "c"] {
        store.put_run(id, b"{}").unwrap();
    }
    assert_eq!(store.prune_arrivals(Ts(3)).unwrap(), 3);
    assert_eq!(store.arrival("event 2").unwrap(), None);
    assert_eq!(store.arrival("event 3").unwrap(), Some(Ts(3)));
    assert_eq!(store.prune_arrivals(Ts(3)).unwrap(), 0);
    assert_eq!(store.drop_runs(["a", "c"]).unwrap(), 2);
    let left: Vec<String> = store.runs().unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(left, ["b"]);
    for n in 1..=3 {
        // Another one each time: a rewind that ends with the same event has changed nothing.
        let event = event(0, n as f64);
        let through = T0 + n;
        store
            .commit(&TickCommit { through, events: std::slice::from_ref(&event), ..TickCommit::default() })
            .unwrap();
        store.rewind(T0 - 1).unwrap();
        store.commit(&TickCommit { through: T0, ..TickCommit::default() }).unwrap();
    }
    let believed = |store: &Store| -> Vec<BarIndex> {
        store.revisions(T0, T0 + 9).unwrap().iter().map(|r| r.believed_until).collect()
    };
    assert_eq!(believed(&store), [T0 + 1, T0 + 2, T0 + 3]);
    assert_eq!(store.prune_revisions(T0 + 3).unwrap(), 2);
    assert_eq!(believed(&store), [T0 + 3]);
}

#[test]
fn two_stores_that_know_the_same_have_the_same_digest() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut one, mut two) = (open(a.path()), open(b.path()));
    let bars: Vec<_> = (0..300).map(|n| bar(n, 100.0)).collect();
    one.put_bars(Market::Perp, &btc(), &bars, FILE).unwrap();
    let rest = Delivery::new(Origin::Rest, "klines");
    two.put_bars(Market::Perp, &btc(), &bars[100..], rest).unwrap();
    two.put_bars(Market::Perp, &btc(), &bars[..150], rest).unwrap();
    assert_eq!(one.digest().unwrap(), two.digest().unwrap());
    two.put_bars(Market::Perp, &btc(), &[bar(300, 1.0)], rest).unwrap();
    assert_ne!(one.digest().unwrap()["bars"], two.digest().unwrap()["bars"]);
}

/// Set in a child process: the directory to open. The child then does what `CHILD_DOES` says.
const CHILD_DIR: &str = "BACKTESTD_TEST_STORE";

/// Not a test of its own: the body of the child processes below.
#[test]
fn child_process() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let mut store = Store::open_with(Path::new(&dir), Fsync::Never).unwrap();
    let mut out = std::io::stdout();
    for n in 0.. {
        let e = event(n, n as f64);
        let o: Vec<_> =
            (n >= 2).then(|| outcome(&event(n - 2, (n - 2) as f64), 1, 0.1)).into_iter().collect();
        let raw = [RawPut { symbol: btc(), records: Records::Bars(Market::Perp, vec![bar(n, n as f64)]) }];
        let tick = TickCommit {
            through: T0 + n,
            raw: &raw,
            events: std::slice::from_ref(&e),
            outcomes: &o,
            checkpoint: Some(&vec![n as u8; 50_000]),
            ..TickCommit::default()
        };
        store.commit(&tick).unwrap();
        writeln!(out, "committed {n}").unwrap();
    }
}

/// Starts a child that commits ticks and kills it, without warning, after it has reported `ticks` of them.
fn killed_after(dir: &Path, ticks: usize) -> i64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process", "--nocapture", "--test-threads=1"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = -1;
    let mut seen = 0;
    for line in lines.map_while(Result::ok) {
        let Some(n) = line.split("committed ").nth(1).and_then(|n| n.parse().ok()) else { continue };
        last = n;
        seen += 1;
        if seen == 1 {
            let error = Store::open_with(dir, Fsync::Never).unwrap_err();
            let StoreError::Locked { pid, .. } = &error else { panic!("{error}") };
            assert_eq!(*pid, Some(child.id()), "{error}");
        }
        if seen >= ticks {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    last
}

#[test]
fn kill_9_leaves_whole_ticks_and_frees_the_lock() {
    for ticks in [1, 2, 7, 40, 150] {
        let dir = tempfile::tempdir().unwrap();
        let reported = killed_after(dir.path(), ticks);
        let store = open(dir.path());
        let committed = store.committed().unwrap().unwrap() - T0;
        assert!(
            committed >= reported,
            "tick {reported} was reported as committed, the store has {committed}"
        );
        let end = T0 + 10_000;
        let count = usize::try_from(committed).unwrap() + 1;
        assert_eq!(store.bars(Market::Perp, &btc(), T0, end).unwrap().len(), count);
        assert_eq!(store.events(T0, end).unwrap().len(), count);
        assert_eq!(store.outcomes(T0, end).unwrap().len(), count.saturating_sub(2));
        let (at, bytes) = store.latest_checkpoint(end).unwrap().unwrap();
        assert_eq!((at - T0, bytes.len(), bytes[0]), (committed, 50_000, committed as u8));
    }
}

#[test]
fn a_store_of_another_schema_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    std::fs::remove_file(dir.path().join("SEAL")).unwrap();
    {
        let db = fjall::Database::builder(dir.path().join("db")).open().unwrap();
        let meta = db.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
        meta.insert("schema", 7_u32.to_le_bytes()).unwrap();
    }
    let error = Store::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("schema version 7, this program reads 1"), "{error}");
}
