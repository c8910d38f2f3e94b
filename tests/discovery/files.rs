//! Outcome tables and candidates as files.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use backtestd::discovery::{OutcomeTable, Repeats, discover};
use backtestd::lake::{
    OutcomeDefaults, dictionary_column, f64_column, read_outcome_table, read_parquet, string_column, table,
    ts_column, verify_parquet, write_discovery, write_phase2_reports,
};
use backtestd::market::{Symbol, Ts};
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
        let same = b.candidates.iter().find(|o| o.candidate_id == c.candidate_id).unwrap();
        assert_eq!(
            (c.n_events, c.n_clusters, c.p_any.to_bits()),
            (same.n_events, same.n_clusters, same.p_any.to_bits())
        );
        assert_eq!(c.q_value.to_bits(), same.q_value.to_bits());
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

    write_phase2_reports(dir.path(), &discovery).unwrap();
    let csv = std::fs::read_to_string(dir.path().join("ALPHA_ONE/phase2_candidates.csv")).unwrap();
    assert!(csv.starts_with("candidate_id,canonical_family,event_type,"));
    let rows = discovery.candidates.iter().filter(|c| &*c.event_type == "ALPHA_ONE").count();
    assert_eq!(csv.lines().count(), rows + 1);
}
