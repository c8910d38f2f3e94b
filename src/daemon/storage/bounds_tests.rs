//! What only grows is bounded: the stream of signals in the store and in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::signal::{Signals, encode};
use crate::daemon::config::resolve;
use crate::daemon::shared::Shared;
use crate::daemon::stream_log::EntryKind;
use backtestd_binance::clock::ScaledClock;
use backtestd_core::market::{BarIndex, DAY_MS, Symbol, Ts};
use backtestd_core::outcomes::Event;
use backtestd_store::{Fsync, Store, TickCommit};
use serde_json::json;

const FIRST_DAY: i64 = 20_000;
const KEPT_DAYS: i64 = 2;

struct Fixture {
    store: Store,
    shared: Arc<Shared>,
    signals: Signals,
}

impl Fixture {
    fn open(dir: &std::path::Path) -> Self {
        let flags = BTreeMap::from([
            ("state", dir.display().to_string()),
            ("retention.signals_days", KEPT_DAYS.to_string()),
        ]);
        let config = Arc::new(resolve(&flags, &|_| None, None).unwrap().config);
        let clock = Arc::new(ScaledClock::new(at(0, 0), 1.0));
        let (shared, ..) = Shared::new(clock, config);
        let mut store = Store::open_with(dir, Fsync::Never).unwrap();
        let mut signals = Signals::open(&store, &shared, Vec::new()).unwrap();
        signals.begin(&mut store, at(0, 0).bar()).unwrap();
        Self { store, shared, signals }
    }

    /// A tick detects an event; what is announced of it.
    fn tick(&mut self, event: &Event, now: Ts) -> Vec<u64> {
        let through = self.store.committed().unwrap().map_or(event.bar, |bar| bar.next());
        let entries = self.signals.entries(
            (event.bar, event.bar.next()),
            std::slice::from_ref(event),
            &|_| Some(100.0),
            now,
        );
        let signals: Vec<_> = entries.iter().map(encode).collect();
        let commit = TickCommit { through, signals: &signals, ..TickCommit::default() };
        self.store.commit(&commit).unwrap();
        let numbers = entries.iter().map(|e| e.seq).collect();
        self.signals.announced(&self.shared, entries);
        numbers
    }
}

fn at(day: i64, hour: i64) -> Ts {
    Ts((FIRST_DAY + day) * DAY_MS + hour * 3_600_000)
}

fn event(bar: BarIndex) -> Event {
    Event {
        event_type: "VOL_SPIKE".into(),
        family: "VOLATILITY".into(),
        symbol: Symbol::new("BTCUSDT").unwrap(),
        bar,
        direction: 1,
        severity: 1.0,
        states: Arc::from([]),
        vol_regime: -1,
        carry_state: i8::MIN,
        sigma_bar: 0.001,
        sigma_event: 0.001,
        features: Vec::new(),
    }
}

#[test]
fn a_version_is_kept_as_long_as_the_signals_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Fixture::open(dir.path());
    let version = |at: Ts| json!({ "version": "v000001", "published_at_ns": at.nanos() });
    let announce = |daemon: &mut Fixture, at: Ts| {
        let (kind, data) = (EntryKind::BlueprintVersion, version(at));
        daemon.signals.announce(&mut daemon.store, &daemon.shared, kind, data).unwrap();
    };
    // The first thing that a store ever said.
    announce(&mut daemon, at(0, 12));
    let one = event(at(0, 13).bar());
    assert_eq!(daemon.tick(&one, one.detected()), [2]);
    announce(&mut daemon, at(3, 12));
    let mut left = |now| {
        daemon.signals.prune(&mut daemon.store, &daemon.shared, now).unwrap();
        (daemon.store.signals_after(0, 99).unwrap().len(), daemon.shared.stream.first())
    };
    assert_eq!(left(at(1, 0)), (3, 1), "a day's turn within the retention drops nothing");
    assert_eq!(left(at(3, 13)), (1, 3));
}

#[test]
fn signals_are_kept_for_their_retention_and_none_comes_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Fixture::open(dir.path());
    let mut events = Vec::new();
    for day in 0..10 {
        let one = event(at(day, 12).bar());
        assert_eq!(daemon.tick(&one, one.detected()), [day as u64 + 1]);
        events.push(one);
    }
    assert_eq!(daemon.signals.remembered(), 10);
    let now = at(9, 13);
    assert_eq!(daemon.signals.prune(&mut daemon.store, &daemon.shared, now).unwrap(), 8);
    let of = |daemon: &Fixture| {
        let kept = daemon.store.signals_after(0, 99).unwrap().iter().map(|(seq, _)| *seq).collect::<Vec<_>>();
        (kept, daemon.signals.remembered(), daemon.shared.stream.first())
    };
    assert_eq!(of(&daemon), (vec![9, 10], 2, 9));
    // A replay of everything: neither what is remembered nor what is too old to be remembered is announced.
    for one in &events {
        assert_eq!(daemon.tick(one, now), [0; 0], "{}", one.id());
    }
    drop(daemon);
    let mut daemon = Fixture::open(dir.path());
    assert_eq!(of(&daemon), (vec![9, 10], 2, 9));
    for one in &events {
        assert_eq!(daemon.tick(one, now), [0; 0], "{}", one.id());
    }
    assert_eq!(daemon.tick(&event(at(9, 12).bar() + 1), now), [11], "the numbering goes on");
    // Long after: the newest stays, for its number.
    daemon.signals.prune(&mut daemon.store, &daemon.shared, at(90, 0)).unwrap();
    assert_eq!(of(&daemon), (vec![11], 0, 11));
}
