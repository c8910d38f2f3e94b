//! Writing `phase2_candidates`: one row per tested hypothesis. Undefined numbers are null.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{
    LakeError, SCHEMA_KEY, bool_column, f64_column, i64_column, list_column, string_column, table,
    write_bytes, write_parquet,
};
use backtestd_core::discovery::{BridgeColumns, Candidate, Discovery};
use backtestd_core::market::Symbol;

/// Layout of the columns.
const CANDIDATES_SCHEMA: &str = "phase2_candidates/1";

/// The candidates as a table with the contract's columns.
///
/// # Errors
/// Only if the columns disagree in length, which the construction excludes.
pub(super) fn candidates_table(
    rows: &[&Candidate],
    beside: Vec<NumberColumn>,
) -> Result<RecordBatch, LakeError> {
    let mut columns = identity(rows);
    columns.extend(statistics(rows));
    columns.extend(evidence(rows));
    columns.extend(verdicts(rows));
    columns.extend(bridge(rows));
    columns.push(text("promotion_track", rows, |c| c.judgement.promotion_track.to_string()));
    columns.push((
        "fail_reasons".to_owned(),
        list_column(rows.iter().map(|c| c.judgement.fail_reasons.iter().map(ToString::to_string).collect())),
    ));
    columns.push(text("ontology_spec_hash", rows, |c| c.measured.ontology_spec_hash.to_string()));
    columns.extend(beside.into_iter().map(|c| (c.name, f64_column(c.values))));
    table(columns)
}

/// A column of numbers beside those that a candidate itself has; NaN is written as null.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberColumn {
    /// Name of the column.
    pub name: String,
    /// One number per candidate, in their order.
    pub values: Vec<f64>,
}

impl NumberColumn {
    /// The values of some of the candidates.
    fn of(&self, places: &[usize]) -> Self {
        let value = |at: &usize| self.values.get(*at).copied().unwrap_or(f64::NAN);
        Self { name: self.name.clone(), values: places.iter().map(value).collect() }
    }
}

type Column = (String, ArrayRef);

fn text(name: &str, rows: &[&Candidate], f: impl Fn(&Candidate) -> String) -> Column {
    (name.to_owned(), string_column(rows.iter().map(|c| Some(f(c)))))
}

fn number(name: &str, rows: &[&Candidate], f: impl Fn(&Candidate) -> Option<f64>) -> Column {
    (name.to_owned(), f64_column(rows.iter().map(|c| f(c).unwrap_or(f64::NAN))))
}

fn whole(name: &str, rows: &[&Candidate], f: impl Fn(&Candidate) -> u64) -> Column {
    (name.to_owned(), i64_column(rows.iter().map(|c| i64::try_from(f(c)).ok())))
}

fn flag(name: &str, rows: &[&Candidate], f: impl Fn(&Candidate) -> bool) -> Column {
    (name.to_owned(), bool_column(rows.iter().map(|c| Some(f(c)))))
}

fn identity(rows: &[&Candidate]) -> Vec<Column> {
    vec![
        text("candidate_id", rows, |c| c.measured.candidate_id.clone()),
        text("canonical_family", rows, |c| c.measured.canonical_family.to_string()),
        text("event_type", rows, |c| c.measured.event_type.to_string()),
        text("template_verb", rows, |c| c.measured.template_verb.to_string()),
        text("horizon", rows, |c| c.measured.horizon.label.to_string()),
        text("state_id", rows, |c| c.state_id().to_owned()),
        text("symbol", rows, |c| c.measured.scope.label().to_owned()),
        text("direction_rule", rows, |c| c.measured.direction_rule.to_string()),
        text("condition", rows, |c| {
            c.measured.state.as_ref().map_or_else(String::new, |s| s.expression.to_string())
        }),
        (
            "template_aliases".to_owned(),
            list_column(
                rows.iter()
                    .map(|c| c.measured.template_aliases.iter().map(AsRef::as_ref).collect::<Vec<&str>>()),
            ),
        ),
        whole("horizon_bars", rows, |c| u64::from(c.measured.horizon.bars)),
        whole("entry_lag_bars", rows, |c| u64::from(c.measured.entry_lag_bars)),
    ]
}

fn statistics(rows: &[&Candidate]) -> Vec<Column> {
    vec![
        whole("n_events", rows, |c| c.measured.n_events),
        whole("n_clusters", rows, |c| c.measured.n_clusters),
        number("effective_n", rows, |c| c.measured.effective_n),
        whole("n_purged", rows, |c| c.measured.n_purged),
        whole("n_dropped", rows, |c| c.measured.n_dropped),
        number("cost_bps", rows, |c| c.measured.cost_bps),
        number("effect_raw_bps", rows, |c| c.measured.effect_raw_bps),
        number("se_bps", rows, |c| c.measured.se_bps),
        number("t_stat", rows, |c| c.measured.t_stat),
        number("df", rows, |c| c.measured.df),
        number("p_value", rows, |c| Some(c.measured.p_value)),
        number("effect_shrunk_family_bps", rows, |c| c.measured.effect_shrunk_family_bps),
        number("effect_shrunk_event_bps", rows, |c| c.measured.effect_shrunk_event_bps),
        number("effect_shrunk_state_bps", rows, |c| c.measured.effect_shrunk_state_bps),
        number("shrinkage_weight_family", rows, |c| c.measured.shrinkage_weight_family),
        number("shrinkage_weight_event", rows, |c| c.measured.shrinkage_weight_event),
        number("shrinkage_weight_state", rows, |c| c.measured.shrinkage_weight_state),
        number("posterior_mean_bps", rows, |c| c.measured.posterior_mean_bps),
        number("posterior_sd_bps", rows, |c| c.measured.posterior_sd_bps),
        number("ci_low_bps", rows, |c| c.measured.ci_low_bps),
        number("ci_high_bps", rows, |c| c.measured.ci_high_bps),
        number("claim_gross_bps", rows, |c| c.measured.claim.map(|claim| claim.gross_bps)),
        number("claim_sd_bps", rows, |c| c.measured.claim.map(|claim| claim.sd_bps)),
        number("claim_low_bps", rows, |c| c.measured.claim.map(|claim| claim.low_bps)),
        number("claim_high_bps", rows, |c| c.measured.claim.map(|claim| claim.high_bps)),
    ]
}

fn evidence(rows: &[&Candidate]) -> Vec<Column> {
    vec![
        number("e_value", rows, |c| Some(c.measured.e_value)),
        number("e_sym", rows, |c| Some(c.measured.e_sym)),
        number("e_bet", rows, |c| Some(c.measured.e_bet)),
        number("e_sup", rows, |c| Some(c.measured.e_sup)),
        number("p_any", rows, |c| Some(c.measured.p_any)),
        number("e_pair", rows, |c| Some(c.measured.e_pair)),
        number("e_value_gross", rows, |c| Some(c.measured.e_value_gross)),
        number("p_any_gross", rows, |c| Some(c.measured.p_any_gross)),
        number("lfsr", rows, |c| c.measured.lfsr),
        number("lfsr_net", rows, |c| c.measured.lfsr_net),
        number("anytime_lower_bps", rows, |c| c.measured.anytime_lower_bps),
        number("skewness", rows, |c| c.measured.skewness),
        number("worst_score", rows, |c| c.measured.worst_score),
        number("weight_sum", rows, |c| Some(c.measured.weight_sum)),
        ("e_sup_date".to_owned(), string_column(rows.iter().map(|c| c.measured.e_sup_date.as_deref()))),
        flag("quarantined", rows, |c| c.measured.quarantined),
        flag("is_admitted", rows, |c| c.measured.influence.is_admitted),
        whole("capped_days", rows, |c| c.measured.influence.capped_days),
        number("top_day_share", rows, |c| c.measured.influence.top_day_share),
        whole("n_floored", rows, |c| c.measured.influence.n_floored),
        whole("n_left_out_of_pool", rows, |c| c.measured.influence.n_left_out_of_pool),
        (
            "left_out_symbols".to_owned(),
            list_column(rows.iter().map(|c| {
                c.measured.influence.left_out_symbols.iter().map(Symbol::as_str).collect::<Vec<&str>>()
            })),
        ),
        number("log_e_value", rows, |c| Some(c.measured.influence.log_e_value)),
        number("log_e_sup", rows, |c| Some(c.measured.influence.log_e_sup)),
        (
            "same_series_as".to_owned(),
            string_column(rows.iter().map(|c| c.measured.influence.same_series_as.as_deref())),
        ),
        number("days_to_decision", rows, |c| c.measured.influence.days_to_decision),
        flag("direction_tied", rows, |c| c.measured.is_tied),
        text("definition_hash", rows, |c| c.measured.definition_hash.to_string()),
        whole("cohort", rows, |c| u64::from(c.measured.cohort)),
        number("p_threshold", rows, |c| c.measured.p_threshold),
        text("group_id", rows, |c| c.measured.group_id.to_string()),
        number("q_value_group", rows, |c| Some(c.measured.q_value_group)),
        number("q_value_global", rows, |c| Some(c.measured.q_value_global)),
        number("q_value_by", rows, |c| Some(c.measured.q_value_by)),
        number("q_value_ebh", rows, |c| Some(c.measured.q_value_ebh)),
        number("q_value_seed", rows, |c| c.measured.q_value_seed),
        number("q_value", rows, |c| Some(c.measured.q_value)),
        flag("is_discovery", rows, |c| c.judgement.is_discovery),
    ]
}

fn verdicts(rows: &[&Candidate]) -> Vec<Column> {
    vec![
        number("after_cost_expectancy_bps", rows, |c| c.judgement.after_cost_expectancy_bps),
        number("stressed_after_cost_expectancy_bps", rows, |c| {
            c.judgement.stressed_after_cost_expectancy_bps
        }),
        number("first_half_bps", rows, |c| c.measured.first_half_bps),
        number("second_half_bps", rows, |c| c.measured.second_half_bps),
        flag("gate_economic", rows, |c| c.judgement.gate_economic),
        flag("gate_economic_conservative", rows, |c| c.judgement.gate_economic_conservative),
        flag("gate_stability", rows, |c| c.judgement.gate_stability),
        flag("gate_state_information", rows, |c| c.judgement.gate_state_information),
        flag("gate_sample_size", rows, |c| c.judgement.gate_sample_size),
        flag("gate_lfsr", rows, |c| c.judgement.gate_lfsr),
        flag("gate_phase2_final", rows, |c| c.judgement.gate_phase2_final),
    ]
}

/// Null where the bridge did not look.
fn bridge(rows: &[&Candidate]) -> Vec<Column> {
    let number = |name: &str, f: fn(&BridgeColumns) -> Option<f64>| {
        (
            format!("bridge_{name}"),
            f64_column(rows.iter().map(|c| c.bridge.as_ref().and_then(f).unwrap_or(f64::NAN))),
        )
    };
    let flag = |name: &str, f: fn(&BridgeColumns) -> bool| {
        (format!("bridge_{name}"), bool_column(rows.iter().map(|c| c.bridge.as_ref().map(f))))
    };
    vec![
        (
            "bridge_trades".to_owned(),
            i64_column(rows.iter().map(|c| c.bridge.as_ref().and_then(|b| i64::try_from(b.trades).ok()))),
        ),
        number("gross_bps", |b| b.gross_bps),
        number("after_cost_bps", |b| b.after_cost_bps),
        number("stressed_bps", |b| b.stressed_bps),
        number("edge_cost_ratio", |b| b.edge_cost_ratio),
        number("turnover", |b| b.turnover),
        number("hit_rate", |b| b.hit_rate),
        number("max_drawdown_bps", |b| b.max_drawdown_bps),
        flag("gate_has_trades", |b| b.gate_has_trades),
        flag("gate_after_cost_positive", |b| b.gate_after_cost_positive),
        flag("gate_stressed_positive", |b| b.gate_stressed_positive),
        flag("gate_edge_cost_ratio", |b| b.gate_edge_cost_ratio),
        flag("gate_turnover", |b| b.gate_turnover),
        flag("tradable", |b| b.tradable),
    ]
}

/// Writes `phase2_candidates.parquet` and `summary.json` into a folder.
///
/// # Errors
/// When the disk refuses.
pub fn write_discovery(dir: &Path, discovery: &Discovery) -> Result<(), LakeError> {
    let rows: Vec<&Candidate> = discovery.candidates.iter().collect();
    write_candidates(dir, &rows, Vec::new(), &discovery.summary.ontology_spec_hash)?;
    write_summary(dir, discovery)
}

/// Writes `<EVENT>/phase2_candidates.parquet` (+ `.csv`) for every event type, and `summary.json`, into a
/// run's folder. `beside` are columns that stand last.
///
/// # Errors
/// When the disk refuses.
pub fn write_phase2_reports(
    dir: &Path,
    discovery: &Discovery,
    beside: &[NumberColumn],
) -> Result<(), LakeError> {
    let events: BTreeSet<&str> =
        discovery.candidates.iter().map(|c| c.measured.event_type.as_ref()).collect();
    for event in events {
        let of_event = |at: &usize| discovery.candidates[*at].measured.event_type.as_ref() == event;
        let places: Vec<usize> = (0..discovery.candidates.len()).filter(of_event).collect();
        let rows: Vec<&Candidate> = places.iter().map(|at| &discovery.candidates[*at]).collect();
        let beside = beside.iter().map(|column| column.of(&places)).collect();
        let dir = dir.join(event);
        let batch = write_candidates(&dir, &rows, beside, &discovery.summary.ontology_spec_hash)?;
        let path = dir.join("phase2_candidates.csv");
        write_bytes(&path, &csv_bytes(&path, &batch)?)?;
    }
    write_summary(dir, discovery)
}

fn write_candidates(
    dir: &Path,
    rows: &[&Candidate],
    beside: Vec<NumberColumn>,
    spec_hash: &str,
) -> Result<RecordBatch, LakeError> {
    let batch = candidates_table(rows, beside)?;
    let metadata = BTreeMap::from([
        (SCHEMA_KEY.to_owned(), CANDIDATES_SCHEMA.to_owned()),
        ("ontology_spec_hash".to_owned(), spec_hash.to_owned()),
    ]);
    let path = dir.join("phase2_candidates.parquet");
    write_parquet(&path, batch.schema_ref(), std::slice::from_ref(&batch), &metadata)?;
    Ok(batch)
}

fn write_summary(dir: &Path, discovery: &Discovery) -> Result<(), LakeError> {
    let path = dir.join("summary.json");
    let mut json = serde_json::to_vec_pretty(&discovery.summary).map_err(|e| LakeError::format(&path, e))?;
    json.push(b'\n');
    write_bytes(&path, &json).map(|_| ())
}

/// The table as text: nulls are empty.
fn csv_bytes(path: &Path, batch: &RecordBatch) -> Result<Vec<u8>, LakeError> {
    let fail = |e: &dyn std::fmt::Display| LakeError::format(path, e);
    let options = FormatOptions::default().with_null("");
    let formatters: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref(), &options))
        .collect::<Result<_, _>>()
        .map_err(|e| fail(&e))?;
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(batch.schema_ref().fields().iter().map(|f| f.name())).map_err(|e| fail(&e))?;
    for row in 0..batch.num_rows() {
        let cell = |(f, c): (&ArrayFormatter<'_>, &ArrayRef)| {
            if c.is_null(row) { String::new() } else { f.value(row).to_string() }
        };
        out.write_record(formatters.iter().zip(batch.columns()).map(cell)).map_err(|e| fail(&e))?;
    }
    out.into_inner().map_err(|e| fail(&e))
}
