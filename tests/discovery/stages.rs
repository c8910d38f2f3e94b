//! The stage cache: a run that takes stages from it leaves the bytes of one that computes everything.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backtestd::research::{Request, RunSummary, STAGE_CACHE, WalkRequest, WalkSummary, run, walk_forward};
use backtestd_core::market::{Market, RawBlock, RawPut, Records, Ts};
use backtestd_core::spec::{CompiledSpec, SourceFile};
use backtestd_store::{Delivery, Fsync, Origin, Store, read_files};

use super::common::{START, market, spec_dir, symbols};

/// 30 days: half of them warm up.
const ROWS: usize = 8640;

struct Place {
    dir: tempfile::TempDir,
    store: Store,
    files: BTreeMap<String, SourceFile>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_with(&dir.path().join("state"), Fsync::Never).unwrap();
        let mut place = Self { dir, store, files: read_files(&spec_dir()).unwrap() };
        let raw = market(11, 3, ROWS);
        place.put(&raw, 0..3);
        place
    }

    /// Perpetual bars and marks of all symbols, spot of some.
    fn put(&mut self, raw: &RawBlock, spot: std::ops::Range<usize>) {
        for (at, (symbol, raw)) in symbols(3).iter().zip(raw.symbols.clone()).enumerate() {
            let put = |records| RawPut { symbol: symbol.clone(), records };
            let mut puts = vec![put(Records::Bars(Market::Perp, raw.perp)), put(Records::Mark(raw.mark))];
            if spot.contains(&at) && at < 2 {
                puts.push(put(Records::Bars(Market::Spot, raw.spot)));
            }
            self.store.put(&puts, Delivery::new(Origin::Archive, "test")).unwrap();
        }
    }

    fn edit(&mut self, path: &str, from: &str, to: &str) {
        let file = self.files.get_mut(path).unwrap();
        assert!(file.text.contains(from), "{path} has {from}");
        file.text = file.text.replacen(from, to, 1).into();
    }

    fn research(&mut self, data: &str, stage_cache: bool) -> RunSummary {
        let request = self.request(data, stage_cache);
        // The state remembers the highest version of any data root; each root here begins its own.
        let _ = fs::remove_file(self.dir.path().join("state/last_version"));
        run(&mut self.store, &request, Ts(0), &mut |_, _, _| {}).unwrap()
    }

    fn request(&self, data: &str, stage_cache: bool) -> Request {
        let spec = CompiledSpec::from_files(Path::new("spec"), &self.files).unwrap();
        let bars = START + 4320..START + ROWS as i64;
        let plain = Request::plain(&Arc::new(spec), symbols(3), bars, self.data(data));
        Request { publish: true, write_features: true, stage_cache, ..plain }
    }

    fn data(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Every file below a data root that is a result: the records of runs carry times, the cache is nobody's
    /// result.
    fn results(&self, data: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.data(data);
        let mut out = BTreeMap::new();
        let mut open = vec![root.clone()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                if path.is_symlink() {
                    out.insert(name, fs::read_link(&path).unwrap().to_string_lossy().as_bytes().to_vec());
                } else if path.is_dir() {
                    if name != "cache" {
                        open.push(path);
                    }
                } else if !(name.starts_with("runs/") && name.ends_with(".json")) {
                    out.insert(name, fs::read(&path).unwrap());
                }
            }
        }
        out
    }

    fn assert_equal(&self, one: &str, other: &str) {
        let (a, b) = (self.results(one), self.results(other));
        assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
        assert!(a.len() > 20, "{:?}", a.keys());
        for (name, bytes) in &a {
            assert!(*bytes == b[name], "{name} differs");
        }
    }
}

/// Stages of a run that were taken from the cache, and the reasons of those that were not.
fn taken(summary: &RunSummary) -> (Vec<&str>, BTreeMap<&str, &str>) {
    let cached = summary.stages.iter().filter(|s| s.is_cached).map(|s| s.stage.as_str()).collect();
    let rest = summary.stages.iter().filter(|s| !s.is_cached);
    (cached, rest.map(|s| (s.stage.as_str(), s.why.as_str())).collect())
}

const ALL: [&str; 5] = ["pipeline", "tables", "evidence", "conclude", "report"];

#[test]
fn a_second_run_takes_every_stage_and_leaves_the_bytes_of_one_that_computes_them() {
    let mut place = Place::new();
    let first = place.research("cached", true);
    assert_eq!(taken(&first).0, [""; 0]);
    assert!(first.events > 100 && first.hypotheses > 0, "{}", first.text());
    let second = place.research("cached", true);
    let (cached, computed) = taken(&second);
    assert_eq!(cached, ALL, "{computed:?}");
    assert_eq!(
        computed.keys().copied().collect::<Vec<_>>(),
        ["bars"],
        "what is read is what others are held against"
    );
    let plain = place.research("plain", false);
    place.assert_equal("cached", "plain");
    assert_eq!((&first.run_id, &second.run_id), (&plain.run_id, &plain.run_id));
    let told =
        |s: &RunSummary| (s.outcomes, s.hypotheses, s.discoveries, s.reasons.clone(), s.version.clone());
    assert_eq!((told(&first), told(&second)), (told(&plain), told(&plain)));
}

#[test]
fn a_second_walk_takes_the_pass_over_the_log_and_leaves_the_bytes_of_one_that_makes_it() {
    let mut place = Place::new();
    let mut walk = |data: &str, stage_cache: bool| {
        let request = Request { publish: false, write_features: false, ..place.request(data, stage_cache) };
        let from = WalkRequest { from: (START + 6000).open(), step_days: 3 };
        walk_forward(&mut place.store, &request, from, &mut |_, _, _| {}).unwrap()
    };
    let (first, second, plain) = (walk("cached", true), walk("cached", true), walk("plain", false));
    let cached = |summary: &WalkSummary| summary.stages.iter().filter(|s| s.is_cached).count();
    assert_eq!([&first, &second, &plain].map(cached), [0, 1, 0], "{}", second.text());
    assert!(second.text().contains("pipeline     from cache (run "), "{}", second.text());
    assert!(first.looks.len() >= 2, "{}", first.text());
    let other = {
        let request = Request { publish: false, write_features: false, ..place.request("cached", true) };
        let from = WalkRequest { from: (START + 6000).open(), step_days: 4 };
        walk_forward(&mut place.store, &request, from, &mut |_, _, _| {}).unwrap()
    };
    assert_eq!(cached(&other), 0, "other looks are another pass");
    let results = |data: &str| -> BTreeMap<String, Vec<u8>> {
        let own = |name: &String| name.contains(&first.run_id);
        place.results(data).into_iter().filter(|(name, _)| own(name)).collect()
    };
    let (a, b) = (results("cached"), results("plain"));
    assert!(a.len() > 4, "{:?}", a.keys());
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        // The one file that says where it lies.
        assert!(*bytes == b[name] || name.ends_with("walk_forward.json"), "{name} differs");
    }
}

#[test]
fn a_changed_file_of_the_specs_computes_what_reads_it_and_nothing_else() {
    let mut place = Place::new();
    place.research("cached", true);

    place.edit("gates.yaml", "max_q_value: 0.05", "max_q_value: 0.04");
    let gated = place.research("cached", true);
    let (cached, why) = taken(&gated);
    assert_eq!(cached, ["pipeline"]);
    for stage in ["tables", "evidence", "conclude"] {
        assert!(why[stage].starts_with("spec/gates.yaml changed since run "), "{stage}: {}", why[stage]);
    }
    place.research("plain", false);
    let name = gated.run_id.clone();
    let of_run = |files: BTreeMap<String, Vec<u8>>| -> BTreeMap<String, Vec<u8>> {
        // The other root has no earlier run, and its first version is this one.
        files
            .into_iter()
            .filter(|(n, _)| n.contains(&name) || n.starts_with("lake") || n.starts_with("events"))
            .collect()
    };
    let (a, b) = (of_run(place.results("cached")), of_run(place.results("plain")));
    assert!(a.keys().any(|n| n.starts_with("lake/features")) && a.len() > 10);
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let other: Vec<_> = a.iter().filter(|(n, bytes)| b[*n] != **bytes).map(|(n, _)| n).collect();
    // The report names the version in force, which is another root's here.
    assert!(other.iter().all(|n| n.ends_with("report.html") || n.ends_with("report.log")), "{other:?}");

    place.edit("events/vol_spike.yaml", "spacing_bars: ", "spacing_bars: 1");
    let (cached, why) = {
        let run = place.research("cached", true);
        let (c, w) = taken(&run);
        (c.len(), w["pipeline"].to_owned())
    };
    assert_eq!(cached, 0);
    assert!(why.starts_with("spec/events/vol_spike.yaml changed since run "), "{why}");
}

#[test]
fn other_records_are_other_inputs_by_symbol() {
    let mut place = Place::new();
    place.research("cached", true);
    let raw = market(11, 3, ROWS);
    let put = RawPut {
        symbol: symbols(3)[2].clone(),
        records: Records::Bars(Market::Spot, raw.symbols[2].spot.clone()),
    };
    place.store.put(&[put], Delivery::new(Origin::Archive, "test")).unwrap();
    let run = place.research("cached", true);
    let (cached, why) = taken(&run);
    assert_eq!(cached, [""; 0]);
    let symbol = &symbols(3)[2];
    assert!(why["pipeline"].starts_with(&format!("log/{symbol}, ")), "{}", why["pipeline"]);
    let others = [&symbols(3)[0], &symbols(3)[1]];
    assert!(others.iter().all(|s| !why["pipeline"].contains(s.as_str())), "{}", why["pipeline"]);
}

#[test]
fn a_damaged_entry_is_noticed_by_its_hash_and_computed_again() {
    let mut place = Place::new();
    place.research("cached", true);
    place.research("plain", false);
    for stage in ALL {
        let dir = place.data("cached").join(STAGE_CACHE).join(stage);
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            let at = if path.extension().is_some_and(|e| e == "bin") {
                bytes.len() / 2
            } else {
                // What the entry says of the first thing that it read.
                let text = String::from_utf8(bytes.clone()).unwrap();
                let inputs = text.find("\"inputs\"").unwrap();
                inputs + text[inputs..].find("\": \"").unwrap() + 4
            };
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            fs::write(&path, &bytes).unwrap();
            let run = place.research("cached", true);
            let (cached, why) = taken(&run);
            assert!(!cached.contains(&stage), "{stage}: {} was not noticed", path.display());
            // A report is drawn with its conclusions, which say why.
            let told = why[if stage == "report" { "conclude" } else { stage }];
            assert!(told.contains("damaged"), "{stage}: {told}");
            place.assert_equal("cached", "plain");
            assert_eq!(taken(&place.research("cached", true)).0, ALL, "and it is whole again");
        }
    }
    // So is a file of a stage that somebody has changed since.
    let outcomes = place.data("cached").join("events/events.parquet");
    fs::write(&outcomes, b"no parquet").unwrap();
    let run = place.research("cached", true);
    assert_eq!(taken(&run).1["tables"], "events/events.parquet is not what it wrote");
    place.assert_equal("cached", "plain");
}
