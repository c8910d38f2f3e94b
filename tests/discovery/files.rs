//! Outcome tables and candidates as files.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use backtestd_core::discovery::{OutcomeTable, Repeats, discover};
use backtestd_core::market::{Symbol, Ts};
use backtestd_store::lake::{
    OutcomeDefaults, dictionary_column, f64_column, read_outcome_table, read_parquet, string_column, table,
    ts_column, verify_parquet, write_discovery, write_phase2_reports,
};
use parquet::arrow::ArrowWriter;

use super::world::{config, world};

fn flat_cost(_: &Symbol) -> f64 {
    12.0
}

fn defaults() -> OutcomeDefaults<'static> {
    OutcomeDefaults { cost_bps: &flat_cost, entry_lag_bars: 1, repeats: Repeats::Refuse }
}

fn columns(t: &OutcomeTable) -> Vec<(String, ArrayRef)> {
    let rows = 0..t.len();
    let of = |f: &dyn Fn(usize) -> String| string_column((0..t.len()).map(|i| Some(f(i))));
    vec![
        ("event_type".into(), of(&|i| t.event_types[usize::from(t.event[i])].to_string())),
        ("canonical_family".into(), of(&|i| t.families[usize::from(t.event[i])].to_string())),
        ("symbol".into(), of(&|i| t.symbols[usize::from(t.symbol[i])].to_string())),
        ("timestamp".into(), ts_column(t.timestamp.iter().map(|x| Ts(*x)))),
        (
            "direction".into(),
            Arc::new(Int64Array::from_iter_values(t.direction.iter().map(|d| i64::from(*d)))),
        ),
        (
            "horizon".into(),
            dictionary_column(rows.map(|i| Some(&*t.horizons[usize::from(t.horizon[i])].label))),
        ),
        ("forward_return".into(), f64_column(t.forward_return.iter().copied())),
    ]
}

fn write(path: &Path, columns: Vec<(String, ArrayRef)>) {
    let batch = table(columns).unwrap();
    // Not with the lake's writer: the file may be anybody's.
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_table_survives_the_way_through_parquet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outcomes.parquet");
    let original = world(1, 20, None);
    let mut columns = columns(&original);
    columns.push(("cost_bps_round_trip".into(), f64_column(original.cost.iter().map(|c| c * 1e4))));
    columns.push(("sigma_bar".into(), f64_column(original.sigma_bar.iter().copied())));
    let label = |i: usize| {
        ["low", "mid", "high"]
            .into_iter()
            .enumerate()
            .find(|(c, _)| original.is_active(i, *c))
            .map(|(_, l)| l)
    };
    columns.push(("vol_regime".into(), dictionary_column((0..original.len()).map(label))));
    write(&path, columns);
    let back = read_outcome_table(&path, &defaults()).unwrap().table;
    let (a, b) = (discover(&original, &config()), discover(&back, &config()));
    assert_eq!(a.candidates.len(), b.candidates.len());
    // Conditions are numbered by name in a file; everything else is the same.
    for c in &a.candidates {
        let same = b.candidates.iter().find(|o| o.measured.candidate_id == c.measured.candidate_id).unwrap();
        assert_eq!(
            (c.measured.n_events, c.measured.n_clusters, c.measured.p_any.to_bits()),
            (same.measured.n_events, same.measured.n_clusters, same.measured.p_any.to_bits())
        );
        assert_eq!(c.measured.q_value.to_bits(), same.measured.q_value.to_bits());
    }
}

#[test]
fn other_peoples_types_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outcomes.parquet");
    let original = world(1, 5, None);
    let mut columns = columns(&original);
    columns[0].1 = cast(&columns[0].1, &DataType::LargeUtf8).unwrap();
    columns[3].1 =
        Arc::new(TimestampMicrosecondArray::from_iter_values(original.timestamp.iter().map(|t| t * 1000)));
    columns[4].1 = Arc::new(Float32Array::from_iter_values(original.direction.iter().map(|d| f32::from(*d))));
    columns.push((
        "state.HIGH".into(),
        Arc::new(BooleanArray::from_iter(
            (0..original.len()).map(|i| if i % 3 == 0 { None } else { Some(original.is_active(i, 2)) }),
        )),
    ));
    write(&path, columns);
    let back = read_outcome_table(&path, &defaults()).unwrap().table;
    assert_eq!(back.timestamp, original.timestamp);
    assert_eq!(back.direction, original.direction);
    assert_eq!(back.exit, original.exit);
    assert!(back.sigma_bar.is_empty());
    assert!(back.cost.iter().all(|c| (c - 0.0012).abs() < 1e-15));
    assert_eq!(&*back.conditions[0].id, "HIGH");
    for i in 0..back.len() {
        assert_eq!(back.is_active(i, 0), i % 3 != 0 && original.is_active(i, 2));
    }
    // Integers are times by their size.
    let mut columns = self::columns(&original);
    columns[3].1 = Arc::new(Int64Array::from_iter_values(original.timestamp.iter().map(|t| t / 1000)));
    write(&path, columns);
    assert_eq!(read_outcome_table(&path, &defaults()).unwrap().table.timestamp, original.timestamp);
}

#[test]
fn a_file_that_cannot_be_used_says_where_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outcomes.parquet");
    let original = world(1, 2, None);
    let check = |columns: Vec<(String, ArrayRef)>, expected: &str| {
        write(&path, columns);
        let error = read_outcome_table(&path, &defaults()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let mut without = columns(&original);
    without.remove(4);
    check(without, "column 'direction' is missing; it has event_type, canonical_family");
    let mut bad = columns(&original);
    bad[4].1 = Arc::new(Int64Array::from_iter_values(
        (0..original.len() as i64).map(|i| if i == 3 { 2 } else { 1 }),
    ));
    check(bad, "row 3, column direction: '2' is not -1, 0 or 1");
    let mut null = columns(&original);
    null[2].1 = Arc::new(StringArray::from_iter((0..original.len()).map(|i| (i != 1).then_some("BTCUSDT"))));
    check(null, "row 1, column symbol: the value is null");
    let mut text = columns(&original);
    text[6].1 = text[0].1.clone();
    check(text, "column 'forward_return' is Utf8, but must hold numbers");
}

#[test]
fn candidates_are_written_with_the_contracts_columns_and_the_same_bytes_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let discovery = discover(&world(2, 40, None), &config());
    write_discovery(dir.path(), &discovery).unwrap();
    let path = dir.path().join("phase2_candidates.parquet");
    let first = std::fs::read(&path).unwrap();
    write_discovery(dir.path(), &discovery).unwrap();
    assert_eq!(first, std::fs::read(&path).unwrap());
    verify_parquet(&path).unwrap();
    let file = read_parquet(&path).unwrap();
    let names: Vec<&str> = file.schema.fields().iter().map(|f| f.name().as_str()).collect();
    let contract = "candidate_id canonical_family event_type template_verb horizon state_id symbol direction_rule n_events \
         n_clusters effective_n effect_raw_bps se_bps t_stat df p_value effect_shrunk_family_bps effect_shrunk_event_bps \
         effect_shrunk_state_bps shrinkage_weight_family shrinkage_weight_event shrinkage_weight_state posterior_sd_bps \
         ci_low_bps ci_high_bps e_value e_sym e_bet e_sup p_any lfsr anytime_lower_bps skewness worst_score cohort group_id \
         q_value_group q_value is_discovery after_cost_expectancy_bps stressed_after_cost_expectancy_bps first_half_bps \
         second_half_bps gate_economic gate_economic_conservative gate_stability gate_state_information gate_sample_size \
         gate_phase2_final promotion_track fail_reasons ontology_spec_hash";
    for column in contract.split_whitespace() {
        assert!(names.contains(&column), "{column} is missing");
    }
    assert_eq!(file.metadata["ontology_spec_hash"], "sha256:test");
    let summary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["hypotheses"], 6 * 2 * 5 * 4);

    write_phase2_reports(dir.path(), &discovery, &[]).unwrap();
    let csv = std::fs::read_to_string(dir.path().join("ALPHA_ONE/phase2_candidates.csv")).unwrap();
    assert!(csv.starts_with("candidate_id,canonical_family,event_type,"));
    let rows = discovery.candidates.iter().filter(|c| &*c.measured.event_type == "ALPHA_ONE").count();
    assert_eq!(csv.lines().count(), rows + 1);
}

/// The columns of a small table with one of them made anew.
fn changed(t: &OutcomeTable, name: &str, column: ArrayRef) -> Vec<(String, ArrayRef)> {
    let mut columns = columns(t);
    columns.retain(|(known, _)| known != name);
    columns.push((name.to_owned(), column));
    columns
}

#[test]
fn what_no_market_can_say_is_refused_with_its_row_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outcomes.parquet");
    let t = world(1, 2, None);
    let check = |columns: Vec<(String, ArrayRef)>, expected: &str| {
        write(&path, columns);
        let error = read_outcome_table(&path, &defaults()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(std::error::Error::source(&error).is_none(), "a chain of errors would say it twice");
    };
    let n = t.len();
    let with = |at: usize, value: f64, other: f64| -> ArrayRef {
        f64_column((0..n).map(|i| if i == at { value } else { other }))
    };
    check(changed(&t, "forward_return", with(4, -3.2, 0.01)), "row 4, column forward_return: '-3.2' is not");
    check(
        changed(&t, "cost_bps_round_trip", with(2, -12.0, 12.0)),
        "row 2, column cost_bps_round_trip: '-12'",
    );
    let exits = |shift: i64| ts_column(t.timestamp.iter().map(|x| Ts(*x + shift)));
    check(changed(&t, "exit_ts", exits(-600_000)), "row 0, column exit_ts: ");
    check(changed(&t, "exit_ts", exits(300_000)), "an exit at or after the entry");
    let directions = BooleanArray::from_iter((0..n).map(|i| Some(i % 2 == 0)));
    check(changed(&t, "direction", Arc::new(directions)), "column 'direction' is Boolean");
    let codes: ArrayRef = Arc::new(Int64Array::from_iter_values((0..n as i64).map(|i| i % 3)));
    check(changed(&t, "vol_regime", Arc::clone(&codes)), "column 'vol_regime' is Int64, but must hold text");
    check(changed(&t, "state.MOOD", codes), "row 2, column state.MOOD: '2' is not true or false");
    let mut twice = changed(&t, "state.HOT", Arc::new(BooleanArray::from(vec![true; n])));
    twice.push(("STATE.Hot".to_owned(), Arc::new(BooleanArray::from(vec![true; n]))));
    check(twice, "columns 'state.HOT' and 'STATE.Hot' are the same state");
    let times =
        string_column((0..n).map(|i| Some(if i == 3 { "yesterday" } else { "2024-01-01T00:00:00Z" })));
    check(changed(&t, "timestamp", times), "row 3, column timestamp: 'yesterday' is not a time");
}

#[test]
fn an_infinite_value_is_read_and_left_to_discovery_to_count() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outcomes.parquet");
    let t = world(1, 40, None);
    let inside =
        |i: &usize| (t.exit[*i] - 1).div_euclid(86_400_000) == t.timestamp[*i].div_euclid(86_400_000);
    let used: Vec<usize> = (0..t.len()).filter(inside).collect();
    let returns = t.forward_return.iter().enumerate().map(|(i, r)| match i {
        i if i == used[3] => f64::INFINITY,
        i if i == used[9] => f64::NEG_INFINITY,
        _ => *r,
    });
    let mut columns = changed(&t, "forward_return", f64_column(returns));
    let costs = (0..t.len()).map(|i| if i == used[20] { f64::INFINITY } else { 12.0 });
    columns.push(("cost_bps_round_trip".to_owned(), f64_column(costs)));
    write(&path, columns);
    let read = read_outcome_table(&path, &defaults()).unwrap().table;
    assert_eq!(discover(&read, &config()).summary.rows_dropped, 3);
}

#[test]
fn names_are_one_whatever_their_case_and_blanks_and_times_without_an_offset_are_utc() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outcomes.parquet");
    let t = world(1, 20, None);
    let plain = {
        write(&path, columns(&t));
        read_outcome_table(&path, &defaults()).unwrap().table
    };
    let mut dressed = columns(&t);
    for (name, column) in &mut dressed {
        let text = |i: usize, of: String| match i % 3 {
            0 => of,
            1 => format!("  {} ", of.to_lowercase()),
            _ => format!("{}\t", of.to_uppercase()),
        };
        let name_of: &dyn Fn(usize) -> String = match name.as_str() {
            "event_type" => &|i| t.event_types[usize::from(t.event[i])].to_string(),
            "canonical_family" => &|i| t.families[usize::from(t.event[i])].to_string(),
            "symbol" => &|i| t.symbols[usize::from(t.symbol[i])].to_string(),
            "horizon" => &|i| t.horizons[usize::from(t.horizon[i])].label.to_string(),
            "timestamp" => {
                let naive = |i: usize| Ts(t.timestamp[i]).to_string().replace('T', " ").replace('Z', "");
                *column = string_column((0..t.len()).map(|i| Some(naive(i))));
                continue;
            }
            _ => continue,
        };
        *column = string_column((0..t.len()).map(|i| Some(text(i, name_of(i)))));
    }
    write(&path, dressed);
    assert_eq!(read_outcome_table(&path, &defaults()).unwrap().table, plain);
}

#[test]
fn state_columns_of_every_kind_are_read_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outcomes.parquet");
    let t = world(1, 5, None);
    let words = ["TRUE", "false", "", "True"];
    let moods = ["calm", "wild"];
    let mut columns = columns(&t);
    columns.push(("STATE.LOUD".into(), string_column((0..t.len()).map(|i| Some(words[i % 4])))));
    columns.push(("state.mood".into(), string_column((0..t.len()).map(|i| Some(moods[i % 2])))));
    columns.push((
        "state.NEW".into(),
        Arc::new(Int64Array::from_iter((0..t.len()).map(|i| (i % 3 > 0).then_some(i as i64 % 2)))),
    ));
    write(&path, columns);
    let file = read_outcome_table(&path, &defaults()).unwrap();
    let ids: Vec<&str> = file.table.conditions.iter().map(|c| &*c.id).collect();
    assert_eq!(ids, ["mood_calm", "mood_wild", "LOUD", "NEW"]);
    assert_eq!(
        file.states,
        ["state.mood: 2 labels", "STATE.LOUD: true or false", "state.NEW: true or false"]
    );
    for i in 0..t.len() {
        let held: Vec<bool> = (0..4).map(|c| file.table.is_active(i, c)).collect();
        assert_eq!(held, [i % 2 == 0, i % 2 == 1, i % 4 == 0 || i % 4 == 3, i % 3 > 0 && i % 2 == 1], "{i}");
    }
}

#[test]
fn the_command_names_the_specs_and_says_what_it_collapsed() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let case = root.join("tests/data/cases/discover/few_events_twice.parquet");
    let run = |spec: &Path, flags: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_backtestd"));
        command.args(["discover", "--json", "--outcomes"]).arg(&case).arg("--out").arg(dir.path());
        command.arg("--spec").arg(spec).args(flags).output().unwrap()
    };
    let refused = run(&root.join("spec"), &[]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.matches("row 40 repeats row 0").count() == 1, "{said}");
    let hash_under = |spec: &Path| {
        let output = run(spec, &["--deduplicate"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((said["rows"].as_u64(), said["rows_repeated"].as_u64()), (Some(40), Some(40)));
        let hash = said["ontology_spec_hash"].as_str().unwrap().to_owned();
        let table = read_parquet(&dir.path().join("phase2_candidates.parquet")).unwrap();
        assert_eq!(table.metadata["ontology_spec_hash"], hash);
        hash
    };
    let shipped = hash_under(&root.join("spec"));
    assert_eq!(shipped, backtestd_store::load_specs(&root.join("spec")).unwrap().hash);
    // Other gates, another hash.
    let other = dir.path().join("spec");
    for file in ["gates.yaml", "global_defaults.yaml", "multiplicity/families.yaml"] {
        std::fs::create_dir_all(other.join(file).parent().unwrap()).unwrap();
        let text = std::fs::read_to_string(root.join("spec").join(file)).unwrap();
        std::fs::write(other.join(file), text.replace("min_sample_size: 50", "min_sample_size: 60")).unwrap();
    }
    let changed = hash_under(&other);
    assert!(changed.starts_with("sha256:") && changed != shipped);
}
