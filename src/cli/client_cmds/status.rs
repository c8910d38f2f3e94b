//! The answer of `status` as text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::text::rows;
use crate::cli::table;
use crate::cli::table::plain;

/// "2026-03-01T00:05:00Z, this machine +0.012 s".
fn clock_text(s: &Value) -> String {
    let offset = s["clock"]["offset_ms"].as_i64();
    let offset = offset.map(|ms| format!(", this machine {:+.3} s", ms as f64 / 1000.0));
    format!("{}{}", plain(&s["now"]), offset.unwrap_or_default())
}

fn rest_text(rest: &Value) -> String {
    let until = rest["banned_until"].as_str().map(|until| format!(" until {until}")).unwrap_or_default();
    let why = rest["last_failure"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    format!(
        "{}{until}, {} requests, {} failed{why}",
        plain(&rest["state"]),
        rest["requests"],
        rest["failures"]
    )
}

/// Bars that wait for their confirmation, and what is missing or a hole, by kind.
fn gaps_text(s: &Value) -> String {
    let mut text = format!("{} bars unconfirmed", s["unconfirmed_bars"]);
    for row in s["gaps"].as_array().into_iter().flatten() {
        for what in ["missing", "holes"] {
            if row[what].as_u64().unwrap_or(0) > 0 {
                text.push_str(&format!(", {} {} {what}", row[what], plain(&row["source"])));
            }
        }
    }
    text
}

/// The comparison with files of the archive: what the last one came to, and what is in its way.
fn archive_text(archive: &Value) -> String {
    let mut text = plain(&archive["state"]);
    if text != "off" {
        let (files, corrected, filled) = (&archive["files"], &archive["corrected"], &archive["filled"]);
        text.push_str(&format!(
            ", {files} files compared since the start ({corrected} records corrected, {filled} filled in)"
        ));
    }
    if let Some(next) = archive["next_at"].as_str() {
        text.push_str(&format!(", next at {next}"));
    }
    if archive["last"].is_object() {
        let last = &archive["last"];
        let (path, at) = (plain(&last["path"]), plain(&last["at"]));
        text.push_str(&format!("; last {path} at {at}: {} corrected", last["corrected"]));
    }
    if let Some(why) = archive["failure"].as_str() {
        text.push_str(&format!("; {why}"));
    }
    text
}

/// Where the report of the last run is, and why the last one failed.
fn run_facts(discovery: &Value) -> Vec<Vec<String>> {
    let fact = |name: &str, field: &str| {
        discovery[field].as_str().map(|text| vec![name.to_owned(), text.to_owned()])
    };
    fact("report", "last_report").into_iter().chain(fact("run error", "last_error")).collect()
}

/// Records that are kept apart, if there are any.
fn held_fact(s: &Value) -> Option<Vec<String>> {
    let held = s["quarantined"].as_u64().filter(|held| *held > 0)?;
    let how = "records that cannot be true (backtestd quarantine list)";
    Some(vec!["quarantine".to_owned(), format!("{held} {how}")])
}

/// What aggregated trades say of klines.
fn opinion_fact(s: &Value) -> Option<Vec<String>> {
    let opinion = s["live"]["second_opinion"].as_object()?;
    let (compared, matched) = (&opinion["compared"], &opinion["matched"]);
    let last = opinion["last_difference"].as_str().map(|text| format!("; {text}")).unwrap_or_default();
    Some(vec!["trades".to_owned(), format!("{matched} of {compared} bars equal their klines{last}")])
}

/// How much of the last bar liquidations were listened to.
fn coverage_fact(s: &Value) -> Option<Vec<String>> {
    let coverage = s["live"]["liq_coverage"].as_f64()?;
    Some(vec![
        "coverage".to_owned(),
        format!("liquidations were listened to {:.1} % of the last bar", 100.0 * coverage),
    ])
}

/// Who is followed by a rule, who is on the way in, and who left last.
fn universe_fact(s: &Value) -> Option<Vec<String>> {
    let universe = s["universe"].as_object()?;
    let mut text = format!("{} members: {}", universe["members"], plain(&universe["rule"]));
    let joining: Vec<&str> =
        universe["joining"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !joining.is_empty() {
        let (done, total) = (&universe["rows_done"], &universe["rows_total"]);
        text.push_str(&format!("; joining: {} ({done} of {total} rows)", joining.join(", ")));
    }
    if let Some(last) = universe["left"].as_array().and_then(|left| left.first()) {
        let (symbol, at, why) = (plain(&last["symbol"]), plain(&last["at"]), plain(&last["why"]));
        text.push_str(&format!("; {symbol} left at {at}: {why}"));
    }
    Some(vec!["universe".to_owned(), text])
}

pub(super) fn status_text(s: &Value) -> String {
    let mut facts = vec![
        vec!["state".to_owned(), format!("{}: {}", plain(&s["state"]), plain(&s["detail"]))],
        vec![
            "version".to_owned(),
            format!("{} (pid {}, up {} s)", plain(&s["version"]), s["pid"], s["uptime_s"]),
        ],
        vec!["clock".to_owned(), clock_text(s)],
        vec!["rest".to_owned(), rest_text(&s["rest"])],
        vec!["not final".to_owned(), gaps_text(s)],
        vec!["archive".to_owned(), archive_text(&s["archive"])],
        vec![
            "spec".to_owned(),
            format!("{} since {}", plain(&s["spec"]["hash"]), plain(&s["spec"]["loaded_at"])),
        ],
        vec![
            "store".to_owned(),
            format!(
                "committed {}, checkpoint {}, {} MB",
                plain(&s["store"]["committed_tick"]),
                plain(&s["store"]["checkpoint"]),
                s["store"]["bytes"].as_u64().unwrap_or(0) / 1_000_000
            ),
        ],
        vec![
            "discovery".to_owned(),
            format!(
                "last {} ({} hypotheses, {} discoveries, closed through {}), next {}{}",
                plain(&s["discovery"]["last_run_id"]),
                s["discovery"]["hypotheses"],
                s["discovery"]["discoveries"],
                plain(&s["discovery"]["closed_through"]),
                plain(&s["discovery"]["next_at"]),
                s["discovery"]["running"].as_str().map(|id| format!(", running {id}")).unwrap_or_default()
            ),
        ],
        vec!["trials".to_owned(), trials_text(&s["discovery"])],
        vec!["nearest".to_owned(), nearest_text(&s["discovery"])],
        vec![
            "blueprints".to_owned(),
            format!(
                "{} ({} active, {} watch, {} confirmed live)",
                plain(&s["blueprints"]["version"]),
                s["blueprints"]["active"],
                s["blueprints"]["watch"],
                s["blueprints"]["live_confirmed"]
            ),
        ],
    ];
    facts.extend([opinion_fact(s), coverage_fact(s)].into_iter().flatten());
    facts.extend(universe_fact(s));
    facts.extend(held_fact(s));
    facts.extend(run_facts(&s["discovery"]));
    let mut text: String = facts.iter().map(|f| format!("{:<11} {}\n", f[0], f[1])).collect();
    if let Some(error) = s["spec"]["error"].as_str() {
        text.push_str(&format!("spec error  the tree on disk is not in force:\n{error}\n"));
    }
    text.push_str(&waiting_text(&s["spec"]["waiting"]));
    text.push_str(&change_text(&s["spec"]["change"]));
    text.push('\n');
    let series = rows(&s["symbols"], |x| {
        vec![
            plain(&x["symbol"]),
            plain(&x["market"]),
            plain(&x["watermark"]),
            seconds(&x["lag_ms"]),
            plain(&x["gaps_open"]),
        ]
    });
    text.push_str(&table::render(&["symbol", "market", "watermark", "lag", "gaps"], &series));
    text.push('\n');
    text.push_str(&streams_table(s));
    text.push_str(&quality_text(s));
    text
}

fn streams_table(s: &Value) -> String {
    let streams = rows(&s["streams"], |x| {
        vec![
            plain(&x["name"]),
            plain(&x["connected"]),
            seconds(&x["last_message_ms"]),
            plain(&x["reconnects"]),
        ]
    });
    table::render(&["stream", "connected", "silent for", "reconnects"], &streams)
}

fn seconds(ms: &Value) -> String {
    ms.as_i64().map_or("-".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1000.0))
}

/// Event types outside `gate_e1`, sources known in part, and event types that cannot occur; nothing where all
/// is well.
fn quality_text(s: &Value) -> String {
    let mut text = String::new();
    let worst = rows(&s["quality"]["worst"], |f| {
        let number = f["value"].as_f64().unwrap_or(f64::NAN);
        vec![
            plain(&f["event_type"]),
            plain(&f["symbol"]),
            format!(
                "{} {number:.3}, wanted {} {}",
                plain(&f["metric"]),
                plain(&f["relation"]),
                f["threshold"]
            ),
            if f["excluded"] == true { "left out".to_owned() } else { "tested".to_owned() },
        ]
    });
    if !worst.is_empty() {
        let head = ["unfit event", "worst on", "finding", "discovery"];
        text.push_str(&format!("\n{}", table::render(&head, &worst)));
    }
    let partial = rows(&s["quality"]["partial_sources"], |p| {
        vec![
            plain(&p["column"]),
            plain(&p["symbol"]),
            plain(&p["known_from"]),
            plain(&p["known_through"]),
            format!("{} of {}", p["days_without"], p["days"]),
            plain(&p["events"]),
        ]
    });
    if !partial.is_empty() {
        let head = ["source in part", "symbol", "known from", "through", "days without", "events"];
        text.push_str(&format!("\n{}", table::render(&head, &partial)));
    }
    let mut lacking: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for x in s["spec"]["unavailable"].as_array().into_iter().flatten() {
        lacking.entry((plain(&x["event_type"]), plain(&x["missing"]))).or_default().push(plain(&x["symbol"]));
    }
    if !lacking.is_empty() {
        let lines: Vec<Vec<String>> =
            lacking.into_iter().map(|((event, column), on)| vec![event, column, on.join(" ")]).collect();
        text.push_str(&format!("\n{}", table::render(&["unavailable event", "no source", "on"], &lines)));
    }
    text
}

/// A changed spec tree that waits for a reload.
fn waiting_text(waiting: &Value) -> String {
    let Some(hash) = waiting["hash"].as_str() else { return String::new() };
    format!(
        "spec waits  {hash}: {} new trials; `backtestd reload --dry-run` says which, `backtestd reload` puts it in force\n",
        waiting["trials"]["new"]
    )
}

/// The last spec change, if there was one: what it touches, how far it is.
fn change_text(change: &Value) -> String {
    let what = &change["what"];
    let Some(state) = change["state"].as_str() else { return String::new() };
    let mut text = format!(
        "spec change {}: {} of {} nodes kept, {} recomputed over {} of {} rows{}\n",
        state.replace('_', " "),
        what["nodes_kept"],
        what["nodes"],
        what["nodes_recomputed"],
        change["rows_done"],
        change["rows_total"],
        change["duration_ms"].as_u64().map(|ms| format!(", {ms} ms")).unwrap_or_default()
    );
    if let Some(why) = change["why_everything"].as_str() {
        text.push_str(&format!("            all of history, because {why}\n"));
    }
    for key in ["events", "states", "features"]
        .iter()
        .flat_map(|noun| ["added", "changed", "removed", "renamed"].map(|verb| format!("{noun}_{verb}")))
    {
        let names = rows(&what[key.as_str()], |name| {
            let pair: Vec<&str> = name.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if pair.is_empty() { vec![plain(name)] } else { vec![pair.join(" -> ")] }
        });
        if !names.is_empty() {
            let label = key.replace('_', " ");
            text.push_str(&format!("            {label}: {}\n", names.concat().join(", ")));
        }
    }
    text
}

/// `1620 ever, cohort 1: 1600 (budget 0.61, first look 2026-03-01), cohort 2: ...; evidence replayed 0
/// times`.
fn trials_text(discovery: &Value) -> String {
    let cohorts = discovery["cohorts"].as_array().into_iter().flatten().map(|c| {
        format!(
            ", cohort {}: {} (budget {:.2}, first look {})",
            c["cohort"],
            c["units"],
            c["budget"].as_f64().unwrap_or(0.0),
            plain(&c["first_look"])
        )
    });
    format!(
        "{} ever{}; closed days taken again {} times",
        discovery["trials"],
        cohorts.collect::<String>(),
        discovery["replays"]
    )
}

/// What may be found next, and when.
fn nearest_text(discovery: &Value) -> String {
    let of = |n: &Value| {
        let condition = n["state_id"].as_str().filter(|id| !id.is_empty()).map(|id| format!(" in {id}"));
        format!(
            "{} {} {}{}: {:.0} days",
            plain(&n["event_type"]),
            plain(&n["horizon"]),
            plain(&n["scope"]),
            condition.unwrap_or_default(),
            n["days"].as_f64().unwrap_or(f64::NAN)
        )
    };
    let nearest: Vec<String> = discovery["nearest"].as_array().into_iter().flatten().map(of).collect();
    if nearest.is_empty() { "nothing in sight at the pace so far".to_owned() } else { nearest.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_readable_and_shows_a_spec_error() {
        let mut status = crate::daemon::status::Status {
            detail: "opening the store".into(),
            ..crate::daemon::status::Status::default()
        };
        status.spec.error = Some("events/X.yaml:3:7: unknown name".into());
        let text = status_text(&serde_json::to_value(status).unwrap());
        assert!(text.starts_with("state       starting: opening the store\n"), "{text}");
        assert!(text.contains("the tree on disk is not in force:\nevents/X.yaml:3:7"), "{text}");
    }
}
