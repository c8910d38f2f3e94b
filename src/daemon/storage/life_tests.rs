//! From the first publication to the last line of a retired blueprint, as a daemon lives through it: days are
//! committed to the store, the evidence book takes each of them, runs publish, and the process ends and
//! starts again in between.

use backtestd_store::load_specs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::change_tests::common;
use super::evidence::{Evidence, LookError, Standing};
use super::job::RunInput;
use crate::daemon::discover::{self, Found};
use crate::publish::{read_current, read_version};
use backtestd_core::blueprints::{Blueprint, Status, Triggered, match_event};
use backtestd_core::clock::Clock;
use backtestd_core::market::{BarIndex, DAY_MS, Symbol, Ts};
use backtestd_core::outcomes::Event;
use backtestd_core::outcomes::{CostParts, Outcome};
use backtestd_core::pipeline::QualityReport;
use backtestd_core::spec::CompiledSpec;
use backtestd_store::{Fsync, Store, TickCommit};

const FIRST_DAY: i64 = 20_000;
const EVENT: &str = "VOL_SPIKE";
/// A run looks every so many days.
const EVERY: i64 = 5;

/// A clock that shows one instant.
#[derive(Debug)]
pub(super) struct StandingClock(pub(super) Ts);

impl Clock for StandingClock {
    fn now(&self) -> Ts {
        self.0
    }

    fn wall_until(&self, _: Ts) -> Duration {
        Duration::ZERO
    }
}

/// What an event has traded at the close of its bar.
fn triggered(event: &Event, states: &[&str], blueprints: &[Blueprint]) -> Vec<Triggered> {
    match_event(event, states, blueprints, event.detected()).blueprints
}

/// The storage thread's part of a daemon.
struct Process {
    root: PathBuf,
    spec: Arc<CompiledSpec>,
    symbols: Vec<Symbol>,
    store: Store,
    evidence: Evidence,
    /// The first day that is not committed.
    day: i64,
}

impl Process {
    fn start(root: &Path, spec: &Arc<CompiledSpec>, day: i64) -> Self {
        let symbols: Vec<Symbol> = ["BTCUSDT", "ETHUSDT"].map(|s| Symbol::new(s).unwrap()).to_vec();
        let store = Store::open_with(&root.join("state"), Fsync::Never).unwrap();
        let evidence = Evidence::new(&store, spec, &symbols).unwrap();
        Self { root: root.to_owned(), spec: Arc::clone(spec), symbols, store, evidence, day }
    }

    fn restart(self) -> Self {
        let Self { root, spec, day, store, .. } = self;
        drop(store);
        Self::start(&root, &spec, day)
    }

    /// An event of a symbol at an hour of a day. All states are unknown.
    fn event(&self, symbol: usize, day: i64, hour: i64) -> Event {
        let meta = self.spec.event(EVENT).unwrap();
        Event {
            event_type: EVENT.into(),
            family: meta.family.as_str().into(),
            symbol: self.symbols[symbol].clone(),
            bar: Ts(day * DAY_MS + hour * 3_600_000).bar(),
            direction: if (day + hour) % 2 == 0 { 1 } else { -1 },
            severity: 1.0,
            states: self.spec.states.iter().map(|_| -1).collect(),
            vol_regime: -1,
            carry_state: i8::MIN,
            sigma_bar: 0.001,
            sigma_event: 0.001,
            features: Vec::new(),
        }
    }

    /// Commits a day of events after which the price goes on by `bps` on average.
    fn live_through_a_day(&mut self, bps: f64) {
        let horizon = self.spec.event(EVENT).unwrap().horizons[0].clone();
        let (mut events, mut outcomes) = (Vec::new(), Vec::new());
        for (symbol, hour) in [(0, 3), (1, 3), (0, 14), (1, 15)] {
            let event = self.event(symbol, self.day, hour);
            // Noise without a mean over any four days, not the same on two days.
            let phase = (self.day * 7 + hour * 5 + symbol as i64).rem_euclid(4);
            let noise = [-25.0, 10.0, 30.0, -15.0][phase as usize];
            events.push(event.clone());
            outcomes.push(Outcome {
                event: Arc::new(event.clone()),
                horizon: horizon.clone(),
                entry_lag_bars: 1,
                entry_price: self.spec.defaults.entry_price,
                forward_return: f64::from(event.direction) * (bps + noise) / 1e4,
                midnight_return: f64::NAN,
                mfe_bps: 0.0,
                mae_bps: 0.0,
                funding_paid: 0.0,
                cost_bps_round_trip: 12.0,
                costs: CostParts::whole(12.0),
            });
        }
        let through = Ts((self.day + 1) * DAY_MS).bar() - 1;
        let tick = TickCommit { through, events: &events, outcomes: &outcomes, ..TickCommit::default() };
        self.store.commit(&tick).unwrap();
        self.day += 1;
    }

    /// A discovery run at the midnight before [`Process::day`].
    fn run(&mut self) -> Found {
        let (first, next) = (Ts(FIRST_DAY * DAY_MS).bar(), Ts(self.day * DAY_MS).bar());
        let looked =
            match self.evidence.look(&mut self.store, &self.spec, first, Standing { next, marked: &[] }) {
                Ok(looked) => looked.under(&QualityReport::default()),
                Err(LookError::Refused(why)) => panic!("{why}"),
                Err(LookError::Failed(error)) => panic!("{error}"),
            };
        let closed_end: BarIndex = looked.closed_end;
        assert_eq!(closed_end, next);
        let input = RunInput {
            spec: Arc::clone(&self.spec),
            symbols: self.symbols.clone(),
            first,
            looked,
            quality: QualityReport::default(),
            bars: Vec::new(),
            unchanged: None,
        };
        let outcomes = self.store.outcomes(first, closed_end).unwrap();
        let request = discover::Request {
            run_id: format!("run-{}", self.day),
            clock: Arc::new(StandingClock(Ts(self.day * DAY_MS))),
            data_root: self.root.join("data"),
            state: self.root.join("state"),
            with_report: true,
        };
        // The shipped rule has no barrier: it needs no bars.
        let mut markets = BTreeMap::new();
        discover::run(&input, discover::candidates(&input), &outcomes, &request, &mut markets).unwrap()
    }

    /// Runs every few days until `is_done`, at most `days` days; the last run's result.
    fn live(&mut self, bps: f64, days: i64, is_done: impl Fn(&[Blueprint]) -> bool) -> Found {
        for _ in 0..days.div_euclid(EVERY) {
            (0..EVERY).for_each(|_| self.live_through_a_day(bps));
            let found = self.run();
            if is_done(&found.blueprints) {
                return found;
            }
        }
        panic!("nothing happened in {days} days: {:?}", self.run().blueprints);
    }

    fn triggers(&self, blueprints: &[Blueprint]) -> usize {
        let states: Vec<&str> = self.spec.states.iter().map(|s| &*s.id).collect();
        triggered(&self.event(0, self.day, 3), &states, blueprints).len()
    }
}

fn pooled(blueprints: &[Blueprint]) -> Option<&Blueprint> {
    blueprints.iter().find(|b| b.symbol_scope.symbols.len() == 2)
}

#[test]
fn an_edge_is_published_confirmed_live_suspended_when_it_dies_and_retired() {
    let root = tempfile::tempdir().unwrap();
    let spec = Arc::new(load_specs(&common::spec_dir()).unwrap_or_else(|e| panic!("{e}")));
    let mut daemon = Process::start(root.path(), &spec, FIRST_DAY);

    let published = daemon.live(60.0, 300, |lines| pooled(lines).is_some());
    let line = pooled(&published.blueprints).unwrap().clone();
    let facts = line.publication.clone().unwrap();
    assert_eq!((line.status, &line.monitoring), (Status::Active, &None));
    assert_eq!(facts.closed_through, backtestd_core::discovery::ledger::date(daemon.day - 1));
    assert!(daemon.triggers(&published.blueprints) > 0, "tomorrow's event is a signal");

    // It goes on: confirmed on days that the publication had not seen, and a new version says so.
    let mut daemon = daemon.restart();
    let id = line.id;
    let of = |lines: &[Blueprint]| lines.iter().find(|b| b.id == id).cloned();
    let confirmed = daemon.live(60.0, 200, |lines| {
        of(lines).is_some_and(|b| b.monitoring.is_some_and(|m| m.confirmed_on.is_some()))
    });
    assert!(confirmed.changed && confirmed.version > published.version);
    let alive = of(&confirmed.blueprints).unwrap();
    let monitoring = alive.monitoring.clone().unwrap();
    assert_eq!(alive.status, Status::Active);
    assert_eq!(alive.publication.as_ref(), Some(&facts), "what was claimed stands");
    assert!(monitoring.e_value >= 20.0 && monitoring.suspended_on.is_none(), "{monitoring:?}");
    assert!((monitoring.after_cost_bps.unwrap() - 48.0).abs() < 3.0, "{monitoring:?}");

    // It dies: suspended first, and no event triggers it any more.
    let suspended = daemon.live(-20.0, 200, |lines| of(lines).is_some_and(|b| b.status != Status::Active));
    let watch = of(&suspended.blueprints).unwrap();
    assert_eq!(watch.status, Status::Watch);
    let since = watch.monitoring.clone().unwrap();
    assert!(watch.status_reason.unwrap().starts_with("monitoring: suspended on "));
    assert_eq!(since.confirmed_on, monitoring.confirmed_on);
    assert!(suspended.changed && suspended.watch > 0);
    let states: Vec<&str> = spec.states.iter().map(|s| &*s.id).collect();
    let event = daemon.event(0, daemon.day, 3);
    assert!(triggered(&event, &states, &suspended.blueprints).iter().all(|t| t.id != id));

    // A process that starts from the store alone says the same of the same days.
    // (What was retired beside it is listed once, and leaves with the next run.)
    let settled = daemon.run();
    let before = daemon.store.replays().unwrap();
    let mut daemon = daemon.restart();
    let again = daemon.run();
    assert!(!again.changed, "the same closed days: {:?}", of(&again.blueprints));
    assert_eq!((again.version, daemon.store.replays().unwrap()), (settled.version, before));

    // Then retired: listed once more with the reason, and gone from the version after that, for good.
    let retired = daemon.live(-20.0, 200, |lines| of(lines).is_some_and(|b| b.status == Status::Retired));
    let last = of(&retired.blueprints).unwrap();
    assert!(last.status_reason.unwrap().starts_with("monitoring: retired on "));
    let dir = root.path().join("data/blueprints");
    let current = read_current(&dir).unwrap().unwrap();
    assert_eq!(current.manifest.version, retired.version);
    assert!(current.manifest.retired.iter().any(|c| c.id == id && c.why.contains("monitoring: retired")));
    (0..EVERY).for_each(|_| daemon.live_through_a_day(-20.0));
    let after = daemon.run();
    assert!(after.version > retired.version && of(&after.blueprints).is_none());
    (0..60).for_each(|_| daemon.live_through_a_day(60.0));
    assert!(of(&daemon.run().blueprints).is_none(), "what monitoring retired does not return");
    // Every version that was in force on the way is still what it was.
    let number = |version: &str| version.trim_start_matches('v').parse::<u32>().unwrap();
    let first = read_version(&dir, number(&published.version)).unwrap();
    assert_eq!(first.blueprints, published.blueprints);
}
