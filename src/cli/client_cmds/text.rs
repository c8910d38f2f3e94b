//! The answers of the daemon as text, and what tables of them are made of.

use serde_json::Value;

use crate::cli::table::{self, plain};

pub(in crate::cli) fn rows(list: &Value, cells: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list.as_array().map(|items| items.iter().map(cells).collect()).unwrap_or_default()
}

pub(super) fn events_text(answer: &Value) -> String {
    let cells = |e: &Value| {
        ["detected_ts", "event_type", "symbol", "direction", "severity", "event_id"]
            .map(|k| plain(&e[k]))
            .to_vec()
    };
    let list = rows(&answer["events"], cells);
    table::render(&["detected", "event", "symbol", "direction", "severity", "id"], &list)
}

pub(super) fn blueprints_text(answer: &Value) -> String {
    let Some(version) = answer["version"].as_str() else {
        return "nothing published yet; `backtestd recompute --wait` runs discovery\n".to_owned();
    };
    let list = rows(&answer["blueprints"], |b| {
        vec![
            plain(&b["id"]),
            plain(&b["status"]),
            plain(&b["event_type"]),
            plain(&b["direction_rule"]),
            plain(&b["symbol_scope"]["symbols"]),
            plain(&b["exit"]["horizon"]),
            plain(&b["condition"]),
            plain(&b["evidence"]["after_cost_expectancy_bps"]),
            plain(&b["evidence"]["q_value"]),
        ]
    });
    let head = ["id", "status", "event", "rule", "symbols", "horizon", "condition", "after cost bps", "q"];
    format!("{version}, published {}\n\n{}", plain(&answer["published_at"]), table::render(&head, &list))
}

pub(super) fn explain_text(answer: &Value) -> String {
    let pretty = serde_json::to_string_pretty(answer).unwrap_or_default();
    format!("{}{pretty}\n", life_text(&answer["blueprint"]))
}

/// What was claimed and what came of it, in two sentences; empty for a blueprint that says nothing of it.
fn life_text(blueprint: &Value) -> String {
    let (claim, life) = (&blueprint["publication"], &blueprint["monitoring"]);
    let mut text = String::new();
    let bps = |v: &Value| v.as_f64().map_or_else(|| "-".to_owned(), |x| format!("{x:.2}"));
    if claim.is_object() {
        text.push_str(&format!(
            "published  on evidence through {}: claims {} bps before {} bps of cost; q {} by {}, one of {} among {} trials \
             (cohort {} of {})\n",
            plain(&claim["closed_through"]),
            bps(&claim["claim_gross_bps"]),
            bps(&claim["cost_bps"]),
            claim["q_value"],
            plain(&claim["procedure"]),
            claim["rejected"],
            claim["trials"],
            claim["cohort"],
            claim["cohort_trials"],
        ));
    }
    let costs = &blueprint["evidence"]["bridge"]["costs"];
    if costs.is_object() {
        text.push_str(&format!(
            "each trip  paid {} bps of fees, {} of spread (measured on {:.0} %), {} of slippage, {} of impact, {} of borrowing \
             and {} of funding\n",
            bps(&costs["fee_bps"]),
            bps(&costs["spread_bps"]),
            100.0 * costs["spread_measured"].as_f64().unwrap_or(0.0),
            bps(&costs["slippage_bps"]),
            bps(&costs["impact_bps"]),
            bps(&costs["borrow_bps"]),
            bps(&costs["funding_bps"]),
        ));
    }
    if life.is_object() {
        let state =
            match (life["retired_on"].as_str(), life["suspended_on"].as_str(), life["confirmed_on"].as_str())
            {
                (Some(on), ..) => format!("retired on {on}"),
                (None, Some(on), _) => format!("suspended on {on}"),
                (None, None, Some(on)) => format!("confirmed live on {on}"),
                (None, None, None) => "not confirmed yet".to_owned(),
            };
        text.push_str(&format!(
            "since then {} events on {} days earned {} bps ({} after cost); {state}; e-value {:.3}, detector {:.1} of a mean \
             below {} bps\n",
            life["n_events"],
            life["active_days"],
            bps(&life["mean_bps"]),
            bps(&life["after_cost_bps"]),
            life["e_value"].as_f64().unwrap_or(1.0),
            life["detector"].as_f64().unwrap_or(0.0),
            bps(&life["floor_bps"]),
        ));
    }
    text
}

pub(super) fn recompute_text(answer: &Value) -> String {
    let run = plain(&answer["run_id"]);
    if answer.get("changed").is_none() {
        return format!("run {run} accepted; `backtestd status` shows its end\n");
    }
    let outcome = match (answer["changed"].as_bool(), answer["version"].as_str()) {
        (Some(true), Some(version)) => format!("published {version}"),
        (_, Some(version)) => format!("nothing changed, {version} stays"),
        (_, None) => "nothing published".to_owned(),
    };
    let report = answer["report"].as_str().map(|path| format!("report {path}\n")).unwrap_or_default();
    format!(
        "run {run}: {} hypotheses, {} discoveries in {} ms; {outcome}\n{report}",
        answer["hypotheses"], answer["discoveries"], answer["duration_ms"]
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_waited_recompute_says_what_it_published() {
        let answer = json!({ "run_id": "r1", "version": "v000002", "changed": false, "hypotheses": 9,
            "discoveries": 1, "duration_ms": 120 });
        let text = recompute_text(&answer);
        assert_eq!(text, "run r1: 9 hypotheses, 1 discoveries in 120 ms; nothing changed, v000002 stays\n");
    }

    #[test]
    fn a_run_names_its_report() {
        let answer = json!({ "run_id": "r1", "version": "v000002", "changed": true, "hypotheses": 9,
            "discoveries": 1, "duration_ms": 120, "report": "/data/reports/research/r1/report.html" });
        assert!(
            recompute_text(&answer)
                .ends_with("published v000002\nreport /data/reports/research/r1/report.html\n")
        );
    }
}
