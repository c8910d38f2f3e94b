//! A spec change recomputes what changed and ends where a replay of everything ends: in the store, in the
//! pipeline's state, and in what both say about the rows that follow.

use backtestd_store::load_specs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::change::{Install, Step};
use super::facts::Facts;
use crate::daemon::config::resolve;
use crate::daemon::feed::Follow;
use crate::daemon::shared::Shared;
use crate::daemon::status::{ChangeState, ChangeStatus};
use backtestd_binance::clock::ScaledClock;
use backtestd_core::market::{BarIndex, Market, RawBlock, Symbol, Ts};
use backtestd_core::market::{RawPut, Records};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::{Delivery, Fsync, Origin, Store};

#[path = "../../../tests/common/mod.rs"]
pub(super) mod common;

const SYMBOLS: usize = 2;
/// Rows of history before the change, and after it.
const BEFORE: i64 = 4200;
const AFTER: i64 = 150;

/// An edit of a copy of the shipped specs.
struct Tree(tempfile::TempDir);

impl Tree {
    fn shipped() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        copy(&common::spec_dir(), tree.0.path());
        tree
    }

    fn edit(&self, file: &str, from: &str, to: &str) -> &Self {
        let path = self.0.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no '{from}'");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
        self
    }

    /// A word, wherever it stands.
    fn rename(&self, from: &str, to: &str) -> &Self {
        for file in backtestd_store::spec_files(self.0.path()).unwrap() {
            let path = self.0.path().join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, text.replace(from, to)).unwrap();
        }
        self
    }

    /// An event that no state and no other event reads.
    fn remove_event(&self, name: &str) -> &Self {
        let file = format!("{}.yaml", name.to_lowercase());
        std::fs::remove_file(self.0.path().join("events").join(&file)).unwrap();
        self.edit("events/canonical_event_registry.yaml", &format!("    {name}: {file}\n"), "");
        let path = self.0.path().join("multiplicity/taxonomy.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(&format!("{name}, "), "").replace(&format!("{name},\n"), "\n");
        let text = text.replace(&format!(",\n     {name}]"), "]").replace(&format!(", {name}]"), "]");
        std::fs::write(path, text).unwrap();
        self
    }

    /// An event like another, under a new name.
    fn add_event(&self, like: &str, name: &str) -> &Self {
        let [from, to] = [like, name].map(|n| format!("{}.yaml", n.to_lowercase()));
        let text = std::fs::read_to_string(self.0.path().join("events").join(&from)).unwrap();
        std::fs::write(self.0.path().join("events").join(&to), text.replace(like, name)).unwrap();
        self.edit(
            "events/canonical_event_registry.yaml",
            &format!("    {like}: {from}\n"),
            &format!("    {name}: {to}\n    {like}: {from}\n"),
        );
        self.edit("multiplicity/taxonomy.yaml", like, &format!("{name}, {like}"))
    }

    fn load(&self) -> Arc<CompiledSpec> {
        Arc::new(load_specs(self.0.path()).unwrap_or_else(|e| panic!("{e}")))
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A store with its facts, as the storage thread has them.
pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) facts: Facts,
    shared: Arc<Shared>,
    follow: Follow,
}

impl Bench {
    pub(super) fn open(state: &Path, spec: Arc<CompiledSpec>) -> Self {
        let names: Vec<String> = common::symbols(SYMBOLS).iter().map(Symbol::to_string).collect();
        let flags = BTreeMap::from([
            ("state", state.display().to_string()),
            ("data_root", state.join("data").display().to_string()),
            ("symbols", names.join(",")),
            ("start", common::START.open().to_string()),
        ]);
        let config = Arc::new(resolve(&flags, &|_| None, None).unwrap().config);
        // Behind every row: what lies ahead of the clock cannot be true.
        let clock = Arc::new(ScaledClock::new(at(100_000).open(), 1.0));
        let mut follow = Follow::new(&config);
        follow.collected = vec![common::collected().into_iter().collect(); SYMBOLS];
        let (shared, ..) = Shared::new(clock, config);
        let mut store = Store::open_with(state, Fsync::Never).unwrap();
        let facts = Facts::open(&mut store, &shared, &follow, spec).unwrap();
        Self { store, facts, shared, follow }
    }

    /// As a daemon takes in records; says where it stands when it had to go back.
    pub(super) fn deliver(&mut self, market: &RawBlock) -> Option<BarIndex> {
        let delivery = Delivery::new(Origin::Stream, "test");
        for (symbol, raw) in common::symbols(SYMBOLS).into_iter().zip(&market.symbols) {
            let records = raw.clone().into_records().into_iter();
            let puts: Vec<RawPut> =
                records.map(|records| RawPut { symbol: symbol.clone(), records }).collect();
            let judged = self.store.put(&puts, delivery).unwrap().judged;
            if let Some(bar) = judged.from.filter(|bar| *bar < self.facts.next()) {
                self.facts.note_dirty(&mut self.store, bar).unwrap();
            }
        }
        self.facts.rewind_if_dirty(&mut self.store).unwrap()
    }

    pub(super) fn put(&mut self, market: &RawBlock) {
        let delivery = Delivery::new(Origin::Archive, "test");
        for (symbol, raw) in common::symbols(SYMBOLS).into_iter().zip(&market.symbols) {
            let records = raw.clone().into_records().into_iter();
            let puts: Vec<RawPut> =
                records.map(|records| RawPut { symbol: symbol.clone(), records }).collect();
            self.store.put(&puts, delivery).unwrap();
        }
    }

    /// Commits rows up to `end`, with a checkpoint after each push.
    pub(super) fn advance(&mut self, end: BarIndex, rows: i64) {
        while self.facts.next() < end {
            let rows = rows.min(end - self.facts.next()) as usize;
            self.facts.push(&mut self.store, &self.shared, rows, Ts(0), true).unwrap();
        }
    }

    fn install(&mut self, spec: Arc<CompiledSpec>) -> Install {
        self.facts.install(&mut self.store, &self.shared, &self.follow, spec).unwrap()
    }

    fn step(&mut self) -> Step {
        self.facts.step(&mut self.store, &self.shared, &self.follow).unwrap()
    }

    fn finish(&mut self) {
        while matches!(self.step(), Step::More) {}
    }

    fn change(&self) -> ChangeStatus {
        self.shared.status().spec.change.unwrap()
    }

    /// Everything that must not depend on the way here.
    fn content(&self) -> (BTreeMap<&'static str, String>, Vec<u8>) {
        (self.store.digest().unwrap(), self.facts.pipeline.checkpoint().unwrap())
    }

    /// Revisions without the number of their rewind: events that were believed once and are not now.
    fn revisions(&self) -> Vec<String> {
        let all = self.store.revisions(common::START, self.facts.next()).unwrap();
        all.iter().map(|r| format!("{:?}", r.event)).collect()
    }
}

pub(super) fn at(row: i64) -> BarIndex {
    common::START + row
}

/// A closed store with `BEFORE` rows of facts of the shipped specs over a market of `BEFORE + AFTER` rows.
/// Made once.
fn computed() -> &'static PathBuf {
    static MADE: std::sync::OnceLock<(tempfile::TempDir, PathBuf)> = std::sync::OnceLock::new();
    let (_, path) = MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let spec = Arc::new(load_specs(&common::spec_dir()).unwrap_or_else(|e| panic!("{e}")));
        let mut bench = Bench::open(&path, spec);
        bench.put(&common::market(11, SYMBOLS, (BEFORE + AFTER) as usize));
        bench.advance(at(BEFORE), 512);
        assert!(bench.store.events(common::START, at(BEFORE)).unwrap().len() > 500);
        (dir, path)
    });
    path
}

/// A copy of the computed store, under the shipped specs.
pub(super) fn running(dir: &tempfile::TempDir) -> Bench {
    let state = dir.path().join("state");
    copy(computed(), &state);
    Bench::open(&state, Arc::new(load_specs(&common::spec_dir()).unwrap_or_else(|e| panic!("{e}"))))
}

/// The facts of a spec computed from nothing but the raw log.
fn replayed(dir: &tempfile::TempDir, spec: Arc<CompiledSpec>) -> Bench {
    let state = dir.path().join("replayed");
    copy(computed(), &state);
    let mut bench = Bench::open(&state, spec);
    assert_eq!(bench.facts.committed(), None, "facts of another spec are not used");
    bench.advance(at(BEFORE), 512);
    bench
}

/// Changes the spec of a running store, and compares it with a replay at the change and after further rows.
/// Returns what the status says at the end.
fn check(tree: &Tree) -> ChangeStatus {
    let dir = tempfile::tempdir().unwrap();
    let (mut changed, spec) = (running(&dir), tree.load());
    let install = changed.install(Arc::clone(&spec));
    assert!(!matches!(install, Install::Replaying | Install::Unchanged), "{install:?}");
    changed.finish();
    let status = changed.change();
    assert_eq!(status.state, ChangeState::InForce);
    assert_eq!(status.to, spec.hash);
    let mut replayed = replayed(&dir, spec);
    let same = |changed: &Bench, replayed: &Bench, when: &str| {
        let ((facts, state), (all_facts, all_state)) = (changed.content(), replayed.content());
        assert_eq!(facts, all_facts, "{when}: {status:?}");
        assert!(state == all_state, "{when}: the pipeline's state differs: {status:?}");
        assert_eq!(changed.revisions(), replayed.revisions(), "{when}: the audit trails differ");
    };
    same(&changed, &replayed, "at the change");
    changed.advance(at(BEFORE + AFTER), 50);
    replayed.advance(at(BEFORE + AFTER), 512);
    same(&changed, &replayed, "later");
    // What was carried over stands up to a restart, too.
    let Bench { facts, store, .. } = changed;
    let spec = Arc::clone(&facts.spec);
    drop((facts, store));
    let reopened = Bench::open(&dir.path().join("state"), spec);
    same(&reopened, &replayed, "after a restart");
    status
}

#[test]
fn a_threshold_of_one_event_recomputes_that_event_and_what_reads_it() {
    let tree = Tree::shipped();
    let status = check(tree.edit(
        "events/vol_shock.yaml",
        "max(tq(vol_ratio, 0.98), 1.5)",
        "max(tq(vol_ratio, 0.5), 0.5)",
    ));
    assert_eq!(status.what.events_changed, ["VOL_SHOCK", "OVERSHOOT_AFTER_SHOCK"], "one reads the other");
    assert!(status.what.states_changed.contains(&"AFTERSHOCK_STATE".to_owned()), "{:?}", status.what);
    assert!(status.what.features_changed.is_empty());
    assert!(status.what.nodes_recomputed < status.what.nodes, "{:?}", status.what);
    assert!(status.what.nodes - status.what.nodes_kept < 50, "{:?}", status.what);
    assert!(status.replaced.is_some_and(|r| r.events_added > 0));
}

#[test]
fn an_event_that_nobody_reads_leaves_all_other_records_alone() {
    let tree = Tree::shipped();
    let status =
        check(tree.edit("events/support_resistance_break.yaml", "spacing_bars: ", "spacing_bars: 1"));
    assert_eq!(status.what.events_changed, ["SUPPORT_RESISTANCE_BREAK"]);
    assert!(status.what.states_changed.is_empty());
}

#[test]
fn a_new_event_is_detected_in_all_of_history() {
    let tree = Tree::shipped();
    tree.add_event("BAND_BREAK", "WIDE_BAND_BREAK");
    let status = check(tree.edit("events/wide_band_break.yaml", "abs(zb) >= 2.5", "abs(zb) >= 3"));
    assert_eq!(status.what.events_added, ["WIDE_BAND_BREAK"]);
    assert!(status.what.events_changed.is_empty());
    let replaced = status.replaced.unwrap();
    assert!(replaced.events_added > 0 && replaced.events_removed + replaced.events_changed == 0);
}

#[test]
fn a_copy_of_an_event_needs_no_history_and_neither_does_a_renamed_one() {
    let tree = Tree::shipped();
    let status = check(tree.add_event("BAND_BREAK", "SECOND_BAND_BREAK"));
    assert_eq!(status.what.events_added, ["SECOND_BAND_BREAK"]);
    assert_eq!((status.what.nodes_recomputed, status.rows_total), (0, 0));
    let tree = Tree::shipped();
    let status = check(tree.rename("LEAD_LAG_BREAK", "LEAD_LAG_RUPTURE"));
    assert_eq!(status.what.events_renamed, [("LEAD_LAG_BREAK".to_owned(), "LEAD_LAG_RUPTURE".to_owned())]);
    assert_eq!((status.what.nodes_kept, status.rows_total), (status.what.nodes, 0));
}

#[test]
fn a_removed_event_takes_its_facts_with_it() {
    let status = check(Tree::shipped().remove_event("MOMENTUM_DIVERGENCE_TRIGGER"));
    assert_eq!(status.what.events_removed, ["MOMENTUM_DIVERGENCE_TRIGGER"]);
    assert_eq!(status.rows_total, 0);
    let replaced = status.replaced.unwrap();
    assert!(replaced.events_removed > 0 && replaced.events_added + replaced.events_changed == 0);
}

#[test]
fn a_changed_state_is_rewritten_in_every_record() {
    let tree = Tree::shipped();
    let file = "states/statistical_dislocation.yaml";
    let status = check(tree.edit(file, "max(tq(abs(stretch), 0.9), 1)", "max(tq(abs(stretch), 0.8), 1)"));
    assert_eq!(status.what.states_changed, ["STRETCHED_STATE"]);
    assert!(status.what.events_changed.is_empty());
    assert!(status.replaced.is_some_and(|r| r.events_changed > 0));
}

#[test]
fn states_that_come_go_and_change_places_are_told_apart_by_their_content() {
    let tree = Tree::shipped();
    let file = "states/statistical_dislocation.yaml";
    tree.edit(file, "  STRETCHED_STATE:", "  VERY_STRETCHED_STATE:");
    let status =
        check(tree.edit("states/execution_friction.yaml", "  HIGH_FRICTION_STATE:", "  A_FRICTION_STATE:"));
    assert_eq!(status.what.states_added, ["A_FRICTION_STATE", "VERY_STRETCHED_STATE"]);
    assert_eq!(status.what.states_removed, ["HIGH_FRICTION_STATE", "STRETCHED_STATE"]);
    assert_eq!(status.rows_total, 0);
}

#[test]
fn a_feature_that_every_record_carries_changes_every_record() {
    let tree = Tree::shipped();
    let status = check(tree.edit("features/regimes.yaml", "if(fe_bps > 0.5, 1", "if(fe_bps > 0.1, 1"));
    assert!(status.what.features_changed.contains(&"carry_state".to_owned()));
    assert!(status.replaced.is_some_and(|r| r.events_changed > 0));
}

#[test]
fn a_feature_below_many_events_recomputes_them_all() {
    let tree = Tree::shipped();
    let status = check(tree.edit(
        "features/volatility.yaml",
        "lag(sig_288, 1) * exp(rng_tod)",
        "lag(sig_288, 2) * exp(rng_tod)",
    ));
    assert!(status.what.features_changed.contains(&"sigma_bar".to_owned()));
    assert!(status.what.events_changed.len() > 3, "{:?}", status.what);
}

#[test]
fn a_macro_recomputes_whatever_uses_it() {
    let tree = Tree::shipped();
    let status = check(tree.edit("macros.yaml", "window=2016, min=576), 1)", "window=2500, min=576), 1)"));
    assert!(!status.what.events_changed.is_empty());
    assert!(status.what.nodes_kept > 0 && status.what.nodes_kept < status.what.nodes);
}

#[test]
fn another_holding_period_books_the_outcomes_of_its_event_again() {
    let tree = Tree::shipped();
    let status = check(tree.edit("events/band_break.yaml", "horizons: [15m, 60m]", "horizons: [30m, 1d]"));
    assert_eq!(status.what.events_changed, ["BAND_BREAK"]);
    assert_eq!(status.what.nodes_kept, status.what.nodes);
    let replaced = status.replaced.unwrap();
    assert_eq!(replaced.events_added + replaced.events_changed + replaced.events_removed, 0);
    assert!(replaced.outcomes_written > 0);
}

#[test]
fn several_changes_at_once_are_one_change() {
    let tree = Tree::shipped();
    tree.rename("RANGE_BREAKOUT", "RANGE_ESCAPE");
    tree.edit("events/vol_spike.yaml", "spacing_bars: ", "spacing_bars: 1");
    tree.edit("states/statistical_dislocation.yaml", "0.9), 1)", "0.7), 1)");
    tree.edit("events/band_break.yaml", "horizons: [15m, 60m]", "horizons: [15m]");
    tree.edit("macros.yaml", "days=20, half=3", "days=19, half=3");
    check(tree.remove_event("FAILED_CONTINUATION"));
}

#[test]
fn a_gate_changes_the_hash_and_no_fact() {
    let tree = Tree::shipped();
    let gates = std::fs::read_to_string(common::spec_dir().join("gates.yaml")).unwrap();
    std::fs::write(tree.0.path().join("gates.yaml"), gates + "\n# another note\n").unwrap();
    let status = check(&tree);
    assert_eq!(status.what.nodes_kept, status.what.nodes);
    assert_eq!(status.replaced.map(|r| r.outcomes_written), Some(0));
}

#[test]
fn costs_touch_every_outcome_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::shipped();
    let spec = tree.edit("global_defaults.yaml", "fee_bps_per_side: 4.0", "fee_bps_per_side: 5.0").load();
    let mut changed = running(&dir);
    assert!(matches!(changed.install(Arc::clone(&spec)), Install::Replaying));
    assert_eq!(changed.change().why_everything, Some("the costs changed"));
    changed.advance(at(BEFORE), 512);
    assert_eq!(changed.content(), replayed(&dir, spec).content());
}

#[test]
fn ticks_close_under_the_old_spec_until_the_new_one_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::shipped();
    let spec = tree.edit("events/vol_shock.yaml", "tq(vol_ratio, 0.98)", "tq(vol_ratio, 0.9)").load();
    let mut changed = running(&dir);
    let old = changed.facts.spec.hash.clone();
    assert!(matches!(changed.install(Arc::clone(&spec)), Install::Rebuilding));
    let mut steps = 0;
    while matches!(changed.step(), Step::More) {
        steps += 1;
        assert_eq!(changed.facts.spec.hash, old);
        changed.advance(changed.facts.next().next().min(at(BEFORE + AFTER)), 1);
    }
    assert!(steps > 5);
    assert_eq!(changed.facts.spec.hash, spec.hash);
    changed.advance(at(BEFORE + AFTER), 1);
    let mut replayed = replayed(&dir, spec);
    replayed.advance(at(BEFORE + AFTER), 512);
    assert_eq!(changed.content(), replayed.content());
}

#[test]
fn a_repair_of_rows_that_were_run_already_begins_the_change_anew() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::shipped();
    let spec = tree.edit("events/vol_shock.yaml", "tq(vol_ratio, 0.98)", "tq(vol_ratio, 0.9)").load();
    let mut changed = running(&dir);
    changed.install(Arc::clone(&spec));
    for _ in 0..3 {
        assert!(matches!(changed.step(), Step::More));
    }
    // Half the volume of an early bar, as a late delivery would bring it, by the worker's own order of work.
    let symbol = common::symbols(1).remove(0);
    let mut bar = changed.store.bars(Market::Perp, &symbol, at(300), at(301)).unwrap().remove(0);
    bar.volume *= 0.5;
    let put = |bench: &mut Bench| {
        let puts = [RawPut { symbol: symbol.clone(), records: Records::Bars(Market::Perp, vec![bar]) }];
        bench.store.put(&puts, Delivery::new(Origin::Rest, "repair")).unwrap();
    };
    changed.facts.note_dirty(&mut changed.store, at(300)).unwrap();
    put(&mut changed);
    changed.facts.restart_change_behind(&changed.store, at(300), &changed.shared).unwrap();
    assert_eq!(changed.change().restarts, 1);
    changed.finish();
    changed.advance(at(BEFORE), 512);
    let mut replayed = replayed(&dir, spec);
    replayed.facts.note_dirty(&mut replayed.store, at(300)).unwrap();
    put(&mut replayed);
    replayed.facts.rewind_if_dirty(&mut replayed.store).unwrap();
    replayed.advance(at(BEFORE), 512);
    assert_eq!(changed.content(), replayed.content());
}

#[test]
fn a_process_that_dies_in_the_middle_leaves_a_store_of_one_spec() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::shipped();
    let spec = tree.edit("events/vol_shock.yaml", "tq(vol_ratio, 0.98)", "tq(vol_ratio, 0.9)").load();
    let before = running(&tempfile::tempdir().unwrap()).content();
    let mut changed = running(&dir);
    changed.install(Arc::clone(&spec));
    for _ in 0..4 {
        changed.step();
    }
    let old = Arc::clone(&changed.facts.spec);
    drop(changed);
    let state = dir.path().join("state");
    let reopened = Bench::open(&state, old);
    assert_eq!(reopened.content(), before, "under the old spec nothing has happened");
    drop(reopened);
    let mut reopened = Bench::open(&state, Arc::clone(&spec));
    reopened.advance(at(BEFORE), 512);
    assert_eq!(reopened.content(), replayed(&dir, spec).content(), "under the new one all is computed anew");
}

#[test]
fn a_change_that_is_taken_back_leaves_everything_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::shipped();
    let spec = tree.edit("events/vol_shock.yaml", "tq(vol_ratio, 0.98)", "tq(vol_ratio, 0.9)").load();
    let mut bench = running(&dir);
    let before = bench.content();
    let old = Arc::clone(&bench.facts.spec);
    bench.install(spec);
    bench.step();
    assert!(matches!(bench.install(old), Install::Unchanged));
    assert!(matches!(bench.step(), Step::Idle));
    assert_eq!(bench.content(), before);
}
