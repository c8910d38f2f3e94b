//! `reports/promotions/<run_id>/promotion_audit.parquet`: what became of every candidate, gate by gate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backtestd_core::blueprints::Compiled;
use backtestd_core::discovery::{BridgeColumns, Candidate};
use backtestd_store::lake::{
    LakeError, SCHEMA_KEY, bool_column, f64_column, list_column, string_column, table, write_parquet,
};

/// The value of `backtestd.schema`.
const AUDIT_SCHEMA: &str = "backtestd.promotion_audit/1";

/// Writes the audit of a run and returns its path. The bridge's gates are null where the bridge had nothing
/// to look at.
///
/// # Errors
/// When the file cannot be written.
pub fn write_promotion_audit(
    reports: &Path,
    ontology_spec_hash: &str,
    run_id: &str,
    candidates: &[Candidate],
    compiled: &Compiled,
) -> Result<PathBuf, LakeError> {
    let text = |f: &dyn Fn(&Candidate) -> String| string_column(candidates.iter().map(|c| Some(f(c))));
    let gate = |f: &dyn Fn(&Candidate) -> bool| bool_column(candidates.iter().map(|c| Some(f(c))));
    let bridge =
        |f: &dyn Fn(&BridgeColumns) -> bool| bool_column(candidates.iter().map(|c| c.bridge.as_ref().map(f)));
    let blueprint =
        |c: &Candidate| compiled.verdicts.get(&c.measured.candidate_id).and_then(|v| v.compiled_as.clone());
    let verdict = |c: &Candidate| {
        let mut reasons: Vec<String> = c.judgement.fail_reasons.iter().map(ToString::to_string).collect();
        let why = compiled.verdicts.get(&c.measured.candidate_id).map(|v| v.why.clone()).unwrap_or_default();
        if reasons.is_empty() && !why.is_empty() {
            reasons.push(why);
        }
        reasons
    };
    let columns = vec![
        ("candidate_id", text(&|c| c.measured.candidate_id.clone())),
        ("canonical_family", text(&|c| c.measured.canonical_family.to_string())),
        ("event_type", text(&|c| c.measured.event_type.to_string())),
        ("template_verb", text(&|c| c.measured.template_verb.to_string())),
        ("horizon", text(&|c| c.measured.horizon.label.to_string())),
        ("state_id", text(&|c| c.state_id().to_owned())),
        ("symbol", text(&|c| c.measured.scope.label().to_owned())),
        ("direction_rule", text(&|c| c.measured.direction_rule.to_string())),
        ("q_value", f64_column(candidates.iter().map(|c| c.measured.q_value))),
        ("is_discovery", gate(&|c| c.judgement.is_discovery)),
        ("gate_sample_size", gate(&|c| c.judgement.gate_sample_size)),
        ("gate_lfsr", gate(&|c| c.judgement.gate_lfsr)),
        ("gate_economic", gate(&|c| c.judgement.gate_economic)),
        ("gate_economic_conservative", gate(&|c| c.judgement.gate_economic_conservative)),
        ("gate_stability", gate(&|c| c.judgement.gate_stability)),
        ("gate_state_information", gate(&|c| c.judgement.gate_state_information)),
        ("gate_phase2_final", gate(&|c| c.judgement.gate_phase2_final)),
        ("gate_bridge_has_trades", bridge(&|b| b.gate_has_trades)),
        ("gate_bridge_after_cost_positive", bridge(&|b| b.gate_after_cost_positive)),
        ("gate_bridge_stressed_positive", bridge(&|b| b.gate_stressed_positive)),
        ("gate_bridge_edge_cost_ratio", bridge(&|b| b.gate_edge_cost_ratio)),
        ("gate_bridge_turnover", bridge(&|b| b.gate_turnover)),
        ("gate_bridge_tradable", bridge(&|b| b.tradable)),
        ("promotion_track", text(&|c| c.judgement.promotion_track.to_string())),
        ("promoted", gate(&|c| blueprint(c).is_some())),
        ("blueprint_id", string_column(candidates.iter().map(blueprint))),
        ("reasons", list_column(candidates.iter().map(verdict))),
        ("ontology_spec_hash", text(&|_| ontology_spec_hash.to_owned())),
    ];
    let batch = table(columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect())?;
    let path = reports.join("promotions").join(run_id).join("promotion_audit.parquet");
    let metadata = BTreeMap::from([
        (SCHEMA_KEY.to_owned(), AUDIT_SCHEMA.to_owned()),
        ("ontology_spec_hash".to_owned(), ontology_spec_hash.to_owned()),
    ]);
    write_parquet(&path, &batch.schema(), &[batch], &metadata)?;
    Ok(path)
}
