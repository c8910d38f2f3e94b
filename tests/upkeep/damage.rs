//! Seeded damage to store and lake: each is found, and what is whole is not blamed.
//!
//! A few seeds run with every test; `BACKTESTD_DAMAGES=200` runs so many.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backtestd::verify::{
    Area, check_damaged, check_files, check_lake, check_lake_rows, check_store, parquet_files,
};
use backtestd_core::clean::CleanPolicy;
use backtestd_core::market::{BarIndex, Draws, RawPut, Symbol, Ts};
use backtestd_store::lake::{
    LakeFile, SCHEMA_KEY, export_clean, export_raw, list_files, read_parquet, write_parquet,
};
use backtestd_store::{Delivery, Fsync, Origin, Store, load_specs};

use crate::common::{START, market, spec_dir, symbols};

/// A market in a store and in a lake, closed.
struct World {
    _dir: tempfile::TempDir,
    state: PathBuf,
    data: PathBuf,
}

impl World {
    fn new(seed: u64, rows: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (state, data) = (dir.path().join("state"), dir.path().join("data"));
        let mut store = Store::open_with(&state, Fsync::Never).unwrap();
        let names = symbols(2);
        let raw = market(seed, 2, rows).symbols;
        for (n, origin) in [Origin::Stream, Origin::Rest, Origin::Table].into_iter().enumerate() {
            for (symbol, raw) in names.iter().zip(&raw) {
                let puts = raw.clone().into_records().into_iter().map(|mut records| {
                    if let (backtestd_core::market::Records::Bars(_, bars), 2) = (&mut records, n) {
                        bars.truncate(3);
                        bars.iter_mut().for_each(|bar| bar.volume += 1.0);
                    }
                    RawPut { symbol: symbol.clone(), records }
                });
                store.put(&puts.collect::<Vec<_>>(), Delivery::new(origin, "test")).unwrap();
            }
        }
        assert!(!store.conflicts().unwrap().listed.is_empty());
        export(&store, &data, &names);
        Self { _dir: dir, state, data }
    }

    /// Everything that `backtestd verify` looks at, but for facts and blueprints.
    fn findings(&self) -> Vec<String> {
        let files = check_files(&self.state).unwrap().expect("a closed store is sealed");
        let mut areas: Vec<Area> = Vec::new();
        let store = (files.count() == 0).then(|| Store::open_with(&self.state, Fsync::Never).unwrap());
        areas.push(files);
        areas.push(match &store {
            Some(store) => check_store(store, &mut |_| {}).unwrap(),
            None => check_damaged(&self.state, &mut |_| {}),
        });
        let files = parquet_files(&self.data).unwrap();
        areas.push(check_lake(&files, false, &mut |_, _| {}));
        areas.push(check_lake_rows(store.as_ref(), &self.data.join("lake"), &files, &mut |_| {}).unwrap());
        areas.iter().flat_map(|area| &area.findings).map(ToString::to_string).collect()
    }
}

fn export(store: &Store, data: &Path, names: &[Symbol]) {
    let lake = data.join("lake");
    let spec = load_specs(&spec_dir()).unwrap();
    let all = (BarIndex(0), BarIndex(i64::MAX / 2));
    let mut files: Vec<LakeFile> = export_raw(store, &lake, &[], all.0, all.1).unwrap();
    for name in names {
        let collected = [store.coverage(name).unwrap().into_iter().collect()];
        let one = std::slice::from_ref(name);
        let policy =
            CleanPolicy::from_spec(&spec.sources, &spec.defaults, &spec.calendars, one, &collected).unwrap();
        let now = Ts(START.open().0 + (1 << 40));
        files.extend(export_clean(store, &lake, name, policy, all, now).unwrap());
    }
    list_files(&lake, &files).unwrap();
}

fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files_below(&path));
        } else {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// Damages one file, says how, and hands its old content back.
fn damage(world: &World, seed: u64) -> (PathBuf, Vec<u8>, String) {
    let mut draws = Draws::numbered(backtestd_core::market::derive(seed, "damage"), 0);
    let mut pick = |n: usize| (draws.uniform() * n as f64) as usize;
    let is_said = |path: &PathBuf| !path.ends_with("lock") && path.metadata().unwrap().len() > 0;
    let store: Vec<PathBuf> = files_below(&world.state.join("db")).into_iter().filter(is_said).collect();
    let lake: Vec<PathBuf> = files_below(&world.data)
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "parquet"))
        .collect();
    let list = world.data.join("lake/files.json");
    let kind = pick(8);
    let path = match kind {
        0..=2 => store[pick(store.len())].clone(),
        3 => list,
        _ => lake[pick(lake.len())].clone(),
    };
    let old = std::fs::read(&path).unwrap();
    let what = match kind {
        0 | 3 | 4 => {
            // Most of a journal is reserved space: half of the flips hit what is written.
            let written = old.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
            let at = if pick(2) == 0 { pick(written) } else { pick(old.len()) };
            let mut bad = old.clone();
            bad[at] ^= 1 << pick(8);
            std::fs::write(&path, bad).unwrap();
            format!("byte {at} of {} flipped", old.len())
        }
        1 | 5 => {
            let length = pick(old.len());
            std::fs::write(&path, &old[..length]).unwrap();
            format!("cut to {length} of {}", old.len())
        }
        2 | 6 => {
            std::fs::remove_file(&path).unwrap();
            "removed".to_owned()
        }
        // A table that is whole in itself: rows twice, or one row less.
        _ => {
            let table = read_parquet(&path).unwrap();
            let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(table.schema.fields().clone()));
            let rows = arrow::compute::concat_batches(&schema, &table.batches).unwrap();
            let (all, lost) = (rows.num_rows(), rows.num_rows() / 2);
            let batches = match pick(2) {
                0 => vec![rows.clone(), rows],
                _ => vec![rows.slice(0, lost), rows.slice(lost + 1, all - lost - 1)],
            };
            let metadata = BTreeMap::from([(SCHEMA_KEY.to_owned(), table.metadata[SCHEMA_KEY].clone())]);
            write_parquet(&path, &batches[0].schema(), &batches, &metadata).unwrap();
            format!("rewritten in {} batches", batches.len())
        }
    };
    (path, old, what)
}

fn asked_for(usual: u64) -> u64 {
    std::env::var("BACKTESTD_DAMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[test]
fn every_seeded_damage_to_store_or_lake_is_found_and_names_the_file() {
    let world = World::new(5, 700);
    assert_eq!(world.findings(), [""; 0]);
    for seed in 0..asked_for(24) {
        let (path, old, what) = damage(&world, seed);
        let found = world.findings();
        let name = path.display().to_string();
        assert!(found.iter().any(|line| line.contains(&name)), "seed {seed}: {name} {what}: {found:#?}");
        let mut distinct = found.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), found.len(), "nothing is said twice: {found:#?}");
        std::fs::write(&path, old).unwrap();
    }
    assert_eq!(world.findings(), [""; 0], "what was put back is whole again");
}

#[test]
fn nothing_is_found_in_healthy_stores() {
    for seed in 0..asked_for(8) / 4 {
        let world = World::new(100 + seed, 40 + 97 * seed as usize);
        assert_eq!(world.findings(), [""; 0], "seed {seed}");
    }
}

#[test]
fn a_damaged_store_is_not_opened_and_says_what_can_be_fetched_again() {
    let world = World::new(3, 9000);
    // Written out of the journal: a table of bars, in the middle of which a byte changes.
    let tables: Vec<PathBuf> = files_below(&world.state.join("db"))
        .into_iter()
        .filter(|path| path.iter().any(|part| part == "tables"))
        .collect();
    let largest = tables.iter().max_by_key(|path| path.metadata().unwrap().len());
    let Some(table) = largest else { panic!("no table was written: {:?}", files_below(&world.state)) };
    let mut bytes = std::fs::read(table).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0x40;
    std::fs::write(table, &bytes).unwrap();
    let found = world.findings();
    assert!(found.iter().any(|line| line.contains("backtestd backfill --symbols")), "{found:#?}");
    bytes.truncate(bytes.len() - 1);
    std::fs::write(table, &bytes).unwrap();
    let error = Store::open(&world.state).unwrap_err().to_string();
    assert!(error.contains("is damaged") && error.contains("tables/"), "{error}");
}
