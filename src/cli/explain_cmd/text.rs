//! An explanation as text for people.

use serde_json::Value;

use crate::cli::table::{self, plain};

/// Minutes of a bar.
const BAR_MINUTES: u64 = 5;
/// Newest events that are shown.
const EVENTS: usize = 5;

/// The explanation that `gather` found.
pub(super) fn explanation(found: &Value) -> String {
    let b = &found["blueprint"];
    let mut out = format!("{}  {}\n", plain(&found["id"]), standing(found));
    definition(b, &mut out);
    earnings(b, &found["as_traded"], &mut out);
    belief(b, &found["promotion"], &mut out);
    gates(&found["as_traded"], &mut out);
    trades(&found["as_traded"]["examples"], &mut out);
    since(b, &mut out);
    ending(b, &found["monitoring_rule"], &mut out);
    versions(found, &mut out);
    newest(&found["daemon"]["newest_events"], &mut out);
    files(found, &mut out);
    out
}

fn title(out: &mut String, text: &str) {
    out.push_str(&format!("\n{text}\n"));
}

fn line(out: &mut String, name: &str, text: &str) {
    out.push_str(format!("  {name:<16}{text}").trim_end());
    out.push('\n');
}

/// Whether it trades, and why not.
fn standing(found: &Value) -> String {
    let b = &found["blueprint"];
    let status = plain(&b["status"]);
    if found["is_listed"] == false {
        let last = found["versions"].as_array().and_then(|list| list.last());
        let why = last
            .filter(|v| v["what"] == "retired")
            .map_or(String::new(), |v| format!(": {}", plain(&v["why"])));
        return format!("gone since after {}{why}", plain(&found["published_in"]));
    }
    let why = b["status_reason"].as_str().map_or(String::new(), |why| format!(" ({why})"));
    let group = &b["overlap_group"];
    match (status.as_str(), group["role"].as_str()) {
        ("active", Some("member")) => {
            format!("active, but {} trades in its place: their trades overlap", plain(&group["primary"]))
        }
        ("active", Some(_)) => format!("active, trades for {} others of its group", len(&group["members"])),
        ("active", None) => "active: its signals open positions".to_owned(),
        ("watch", _) => format!("suspended: opens no position unless a consumer asks for it{why}"),
        _ => format!("{status}: opens no position{why}"),
    }
}

fn definition(b: &Value, out: &mut String) {
    title(out, "What it does");
    let symbols = &b["symbol_scope"]["symbols"];
    let place = match len(symbols) {
        1 => plain(symbols),
        n => format!("any of {n} symbols ({})", plain(symbols)),
    };
    let side = match b["direction_rule"].as_str() {
        Some("fade") => "against its direction",
        Some("follow") => "in its direction",
        _ => "as its rule says",
    };
    let condition = match b["condition"].as_str() {
        None | Some("all") => String::new(),
        Some(condition) => format!(", while {condition}"),
    };
    let event = format!("{} ({})", plain(&b["event_type"]), plain(&b["canonical_family"]));
    line(out, "when", &format!("{event} is detected on {place}{condition}"));
    line(out, "then", &format!("trade {side} ({})", plain(&b["direction_rule"])));
    let (lag, price) = (number(&b["entry"]["entry_lag_bars"]) as u64, plain(&b["entry"]["price"]));
    let bars = if lag == 1 { "the next bar".to_owned() } else { format!("bar +{lag}") };
    line(out, "enter", &format!("at the {price} of {bars}, {} minutes after it is known", lag * BAR_MINUTES));
    let exit = &b["exit"];
    let barrier = |name: &str| exit[name]["bps"].as_f64().map(|x| format!("{name} at {x:.0} bps"));
    let barriers: Vec<String> = ["stop", "target"].into_iter().filter_map(barrier).collect();
    let barriers = if barriers.is_empty() { "no stop, no target".to_owned() } else { barriers.join(", ") };
    let held = plain(&exit["time_stop_bars"]);
    line(
        out,
        "leave",
        &format!("at the {price} {held} bars ({}) later; {barriers}", plain(&exit["horizon"])),
    );
    let cooldown = number(&b["entry"]["cooldown_bars"]);
    if cooldown > 0.0 {
        line(out, "skip", &format!("an event within {cooldown:.0} bars of the last one taken on its symbol"));
    }
    let s = &b["sizing"];
    let size = match s["mode"].as_str() {
        Some("vol_target") => format!("to a volatility of {:.0} % a year", 100.0 * number(&s["target_vol"])),
        other => other.unwrap_or("-").replace('_', " "),
    };
    let (risk, most) = (100.0 * number(&s["risk_per_trade"]), number(&s["max_position_scale"]));
    line(out, "size", &format!("{size}, risking {risk:.2} % a trade, at most {most:.2} x equity"));
    line(out, "fills", &plain(&b["fill_convention"]));
}

fn earnings(b: &Value, traded: &Value, out: &mut String) {
    title(out, "What it earns, bps of notional a trade");
    let (e, c) = (&b["evidence"], &b["costs"]);
    let l = &b["lineage"];
    // Lines of before have no claim and state their posterior.
    let stated = |claim: &str, before: &str| match &e["claim"] {
        Value::Null => bps(&e[before]),
        stated => bps(&stated[claim]),
    };
    line(
        out,
        "before costs",
        &format!(
            "{} ± {}, 90 % interval {} to {}: {} events on {} days, {} to {}",
            stated("gross_bps", "effect_shrunk_bps"),
            bps(&e["se_bps"]),
            stated("low_bps", "ci_low_bps"),
            stated("high_bps", "ci_high_bps"),
            plain(&e["n_events"]),
            plain(&e["n_clusters"]),
            day(&l["discovery_start"]),
            day(&l["discovery_end"]),
        ),
    );
    let side = |name: &str| number(&c[name]);
    let costs = format!(
        "{:.1}: fees 2 x {:.1}, slippage 2 x {:.1}; funding {}",
        side("round_trip_bps"),
        side("fee_bps_per_side"),
        side("slippage_bps_per_side"),
        if c["funding_included"] == true {
            format!("{} as it was settled", signed(&traded["funding_bps"]))
        } else {
            "not charged".to_owned()
        },
    );
    line(out, "costs", &costs);
    let paid = &traded["cost_parts_bps"];
    line_of_parts(if paid.is_object() { paid } else { &e["bridge"]["costs"] }, out);
    line(
        out,
        "after costs",
        &format!(
            "{}; at stressed costs {}",
            bps(&e["after_cost_expectancy_bps"]),
            bps(&e["stressed_after_cost_expectancy_bps"]),
        ),
    );
    line(out, "by halves", &format!("{}, then {}", bps(&e["first_half_bps"]), bps(&e["second_half_bps"])));
    if traded.is_null() {
        return;
    }
    line(
        out,
        "as it trades",
        &format!(
            "{} after costs and funding over {} trades: {:.1} % won, worst {}, deepest fall {}",
            bps(&traded["after_cost_bps"]),
            plain(&traded["trades"]),
            100.0 * number(&traded["hit_rate"]),
            bps(&traded["worst_bps"]),
            bps(&traded["max_drawdown_bps"]),
        ),
    );
    line(out, "at costs", &pairs(&traded["after_cost_bps_by_cost_multiple"], ""));
    line(out, "entered late", &pairs(&traded["after_cost_bps_by_delay_bars"], " bars"));
    let events = &b["symbol_scope"]["n_by_symbol"];
    let by_symbol: Vec<String> = traded["after_cost_bps_by_symbol"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(symbol, x)| format!("{symbol} {} ({} events)", bps(x), plain(&events[symbol])))
        .collect();
    line(out, "by symbol", &by_symbol.join(", "));
}

/// What the trades paid on average, part by part, as far as the record has them.
fn line_of_parts(paid: &Value, out: &mut String) {
    let parts = paid.as_object().into_iter().flatten();
    let bps = parts.filter_map(|(name, x)| Some((name.strip_suffix("_bps")?, x.as_f64()?)));
    let parts: Vec<String> = bps.map(|(name, x)| format!("{} {x:.2}", name.replace('_', " "))).collect();
    if !parts.is_empty() {
        let measured = paid["spread_measured"].as_f64();
        let measured = measured
            .map_or(String::new(), |share| format!("; spread measured on {:.0} % of trades", 100.0 * share));
        line(out, "paid", &format!("{}{measured}", parts.join(", ")));
    }
}

fn belief(b: &Value, promotion: &Value, out: &mut String) {
    title(out, "Why it is believed");
    let (p, e) = (&b["publication"], &b["evidence"]);
    if p.is_object() {
        line(
            out,
            "selection",
            &format!(
                "one of {} found among {} hypotheses ever tried ({}), on days through {}",
                plain(&p["rejected"]),
                plain(&p["trials"]),
                plain(&p["procedure"]),
                plain(&p["closed_through"]),
            ),
        );
        line(out, "q", &format!("{}, allowed {}", tiny(&p["q_value"]), tiny(&p["max_q_value"])));
        line(
            out,
            "claim",
            &format!("{} before {} of costs", bps(&p["claim_gross_bps"]), bps(&p["cost_bps"])),
        );
    }
    line(
        out,
        "evidence",
        &format!(
            "e-value {}, p at any time {}, sign wrong with probability {}",
            tiny(&e["e_value"]),
            tiny(&e["p_any"]),
            tiny(&e["lfsr"]),
        ),
    );
    let parts = [("train", "train"), ("validation", "validation"), ("test", "test")].map(|(name, key)| {
        format!("{name} {} ({})", bps(&promotion[key]["net_bps"]), plain(&promotion[key]["trades"]))
    });
    if promotion.is_object() {
        let dsr = &promotion["sharpe"]["dsr"];
        line(
            out,
            "over time",
            &format!("{} after costs (trades); deflated Sharpe {}", parts.join(", "), plain(dsr)),
        );
        let chosen = match promotion["found_before_test"].as_bool() {
            Some(true) => "took no part in the choice: discovery finds it in the days before it alone",
            Some(false) => "took part in the choice: the days before it alone do not suffice",
            None => return,
        };
        line(out, "test part", chosen);
    }
}

/// The gates of discovery (`checks`), then those of the bridge (`gates`).
fn gates(traded: &Value, out: &mut String) {
    let lists = ["checks", "gates"].map(|name| traded[name].as_array().map_or(&[][..], Vec::as_slice));
    let checks = lists.concat();
    if checks.is_empty() {
        return;
    }
    title(out, "Gates");
    let cells = |c: &Value| {
        let passed = if c["passed"] == true { "passed" } else { "FAILED" };
        let limit = format!("{} {}", plain(&c["relation"]), tiny(&c["threshold"]));
        vec![format!("  {passed}"), plain(&c["gate"]), plain(&c["metric"]), tiny(&c["value"]), limit]
    };
    let rows: Vec<Vec<String>> = checks.iter().map(cells).collect();
    out.push_str(&table::render(&["", "gate", "measured", "value", "wanted"], &rows));
}

fn trades(examples: &Value, out: &mut String) {
    let Some(examples) = examples.as_object().filter(|map| !map.is_empty()) else { return };
    title(out, "Trades that show it, bps");
    let cells = |name: &str| {
        let t = examples.get(name)?;
        let mut cells = vec![format!("  {name}")];
        cells.extend(
            ["symbol", "side", "detected_at", "entered_at", "left_at", "exit"].map(|key| plain(&t[key])),
        );
        cells.extend(["gross_bps", "cost_bps", "funding_bps", "net_bps"].map(|key| signed(&t[key])));
        Some(cells)
    };
    let rows: Vec<Vec<String>> = ["first", "last", "best", "worst"].into_iter().filter_map(cells).collect();
    let head = ["", "symbol", "side", "detected", "entered", "left", "by", "gross", "cost", "funding", "net"];
    out.push_str(&table::render(&head, &rows));
}

fn since(b: &Value, out: &mut String) {
    let life = &b["monitoring"];
    title(out, "Since publication");
    if !life.is_object() {
        out.push_str("  no day has closed yet that its evidence had not seen\n");
        return;
    }
    line(
        out,
        "events",
        &format!(
            "{} on {} days, {} to {}",
            plain(&life["n_events"]),
            plain(&life["active_days"]),
            plain(&life["since"]),
            plain(&life["closed_through"]),
        ),
    );
    line(
        out,
        "earned",
        &format!("{} before costs, {} after", bps(&life["mean_bps"]), bps(&life["after_cost_bps"])),
    );
    let on = |name: &str, word: &str| life[name].as_str().map(|day| format!("{word} on {day}"));
    let marks =
        [on("confirmed_on", "confirmed live"), on("suspended_on", "suspended"), on("retired_on", "retired")];
    let marks: Vec<String> = marks.into_iter().flatten().collect();
    let marks = if marks.is_empty() { "not confirmed yet".to_owned() } else { marks.join(", ") };
    line(out, "fresh test", &format!("e-value {} after costs; {marks}", tiny(&life["e_value"])));
}

fn ending(b: &Value, rule: &Value, out: &mut String) {
    title(out, "What would end it");
    let (life, claim) = (&b["monitoring"], &b["publication"]);
    let floor = if life["floor_bps"].is_number() {
        Some(number(&life["floor_bps"]))
    } else {
        let share = rule["floor_share_of_claim"].as_f64();
        share.map(|share| (share * number(&claim["claim_gross_bps"])).max(number(&claim["cost_bps"])))
    };
    if let Some(floor) = floor {
        let stands = life["detector"].as_f64().map_or(String::new(), |x| {
            format!("; it stands at {x:.1}, at most {:.1} so far", number(&life["detector_max"]))
        });
        let limits = if rule.is_object() {
            format!("suspended at {}, retired at {}", plain(&rule["suspend_at"]), plain(&rule["retire_at"]))
        } else {
            "at the limits of the specs".to_owned()
        };
        line(
            out,
            "it fades",
            &format!("the detector of a mean below {floor:.1} bps before costs: {limits}{stands}"),
        );
    }
    line(
        out,
        "it is changed",
        "its event, condition, lag, price, costs, holding time or test: another definition, another trial",
    );
    line(out, "never", "a gate that it would fail today, or other hypotheses: a publication stands");
}

fn versions(found: &Value, out: &mut String) {
    title(out, "Versions");
    let b = &found["blueprint"];
    for v in found["versions"].as_array().into_iter().flatten() {
        let why = if v["what"] == "changed" {
            let parts = ["rule", "evidence", "monitoring"].map(|part| (part, len(&v[part])));
            let parts: Vec<String> =
                parts.iter().filter(|(_, n)| *n > 0).map(|(p, n)| format!("{n} of {p}")).collect();
            if parts.is_empty() { plain(&v["why"]) } else { parts.join(", ") }
        } else {
            plain(&v["why"])
        };
        out.push_str(&format!(
            "  {}  {}  {}: {why}\n",
            plain(&v["version"]),
            plain(&v["published_at"]),
            plain(&v["what"])
        ));
    }
    let force = found["in_force"].as_str().map_or("none".to_owned(), str::to_owned);
    out.push_str(&format!(
        "  revision {}, of what is traded {}; in force {force}\n",
        plain(&b["revision"]),
        plain(&b["rule_revision"]),
    ));
}

fn newest(events: &Value, out: &mut String) {
    let Some(events) = events.as_array().filter(|list| !list.is_empty()) else { return };
    title(out, "Newest events of its type");
    for event in events.iter().rev().take(EVENTS) {
        out.push_str(&format!("  {}  {}\n", plain(&event["detected_ts"]), plain(&event["event_id"])));
    }
}

fn files(found: &Value, out: &mut String) {
    title(out, "Where it comes from");
    let l = &found["blueprint"]["lineage"];
    line(out, "run", &format!("{} by {}", plain(&l["run_id"]), plain(&l["code_version"])));
    line(out, "specs", &plain(&l["ontology_spec_hash"]));
    for (name, path) in found["files"].as_object().into_iter().flatten() {
        line(out, name, &plain(path));
    }
    for note in found["notes"].as_array().into_iter().flatten() {
        line(out, "not there", &plain(note));
    }
}

fn len(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

fn day(value: &Value) -> String {
    plain(value).chars().take(10).collect()
}

fn bps(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |x| format!("{x:.1}"))
}

fn signed(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |x| format!("{x:+.2}"))
}

/// A number of any size, short.
fn tiny(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(x) if x == x.trunc() && x.abs() < 1e6 => format!("{x:.0}"),
        Some(x) if x.abs() < 1e-3 || x.abs() >= 1e6 => format!("{x:.1e}"),
        Some(x) => format!("{x:.3}"),
    }
}

fn pairs(map: &Value, unit: &str) -> String {
    let pairs: Vec<String> =
        map.as_object().into_iter().flatten().map(|(name, x)| format!("{name}{unit} {}", bps(x))).collect();
    if pairs.is_empty() { "-".to_owned() } else { pairs.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_of_any_size_are_short() {
        let shown = [1e-22, 0.0005, 0.031, 138.0, 1_438_179.47].map(|x| tiny(&json!(x)));
        assert_eq!(shown, ["1.0e-22", "5.0e-4", "0.031", "138", "1.4e6"]);
        assert_eq!(tiny(&Value::Null), "-");
    }

    #[test]
    fn a_member_of_a_group_says_who_trades() {
        let found = json!({ "blueprint": { "status": "active",
            "overlap_group": { "role": "member", "primary": "bp_1" } } });
        assert_eq!(standing(&found), "active, but bp_1 trades in its place: their trades overlap");
    }
}
