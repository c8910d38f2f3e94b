//! The page of a calibration: verdicts first, then what every decider did in every world, then power.

use std::fmt::Write as _;

use super::format::{escape, number, signed, thousands};
use super::page::{STYLE, open_page};
use backtestd_lab::calibrate::{
    CalibrationSummary, Criterion, Decider, Estimate, PipelineTally, PublishedTally, ScoresTally, Verdict,
    WorldTally,
};

/// The page as HTML.
#[must_use]
pub fn calibration_page(summary: &CalibrationSummary) -> String {
    let mut out = open_page("Calibration", STYLE);
    let failed = summary.failures();
    let judged = summary.criteria.iter().filter(|c| c.verdict != Verdict::NotMeasured).count();
    let headline = match (judged, failed) {
        (0, _) => "Nothing could be judged: too few cases".to_owned(),
        (n, 0) => format!("All {n} criteria that could be judged hold"),
        (n, f) => format!("{f} of {n} criteria do not hold"),
    };
    let _ = write!(
        out,
        r#"<p class="kicker">Calibration, level {} · seed {} · {} days</p><h1>{headline}</h1><p class="note">Worlds whose truth is known, lived through day by day with the code that production runs; publication counts at every look. ± is one Monte-Carlo standard error, runs being the independent parts.</p>"#,
        summary.level, summary.seed, summary.days
    );
    criteria(&mut out, &summary.criteria);
    if !summary.worlds.is_empty() {
        errors(&mut out, &summary.worlds);
        power(&mut out, &summary.worlds);
        estimates(&mut out, &summary.worlds);
    }
    pipeline(&mut out, &summary.pipeline);
    if let Some(scores) = &summary.scores {
        real_scores(&mut out, scores);
    }
    let _ = writeln!(out, "<footer>backtestd {}</footer></main></body></html>", escape(summary.code_version));
    out
}

/// `0.014 <small>± 0.006</small>`.
fn with_error(e: &Estimate, decimals: usize) -> String {
    let value = number(e.value, decimals);
    match e.se {
        Some(se) => format!("{value} <small>± {}</small>", number(Some(se), decimals)),
        None => value,
    }
}

fn criteria(out: &mut String, criteria: &[Criterion]) {
    if criteria.is_empty() {
        return;
    }
    out.push_str(r#"<h2>Acceptance</h2><div class="scroll"><table><thead><tr><th>No.</th><th>What</th><th class="n">Measured</th><th class="n">Bound</th><th class="n">Cases</th><th>Verdict</th></tr></thead><tbody>"#);
    for c in criteria {
        let (class, verdict) = match c.verdict {
            Verdict::Pass => (" class=\"hit\"", "holds"),
            Verdict::Fail => (" class=\"bad\"", "does not hold"),
            Verdict::NotMeasured => (" class=\"off\"", "too few cases"),
        };
        let relation = match c.relation {
            "<=" => "≤",
            ">=" => "≥",
            ">" => "&gt;",
            other => other,
        };
        let _ = write!(
            out,
            r#"<tr{class}><td>{}</td><td>{}</td><td class="n">{}</td><td class="n">{relation} {}</td><td class="n">{}</td><td class="why">{verdict}</td></tr>"#,
            c.number,
            escape(&c.what),
            with_error(&c.measured, 3),
            number(Some(c.bound), 3),
            thousands(c.measured.cases as u64)
        );
    }
    out.push_str("</tbody></table></div>");
}

fn errors(out: &mut String, worlds: &[WorldTally]) {
    out.push_str(r#"<h2>Errors by world</h2><p class="note">The canaries are tests that are wrong on purpose: if they look fine, this experiment sees nothing.</p><div class="scroll"><table><thead><tr><th>World</th><th>Decider</th><th class="n">Runs</th><th class="n">Published a run</th><th class="n">False a run</th><th class="n">Runs with any false</th><th class="n">FDR ever</th><th class="n">FDR last look</th><th class="n">FDR random look</th></tr></thead><tbody>"#);
    for world in worlds {
        for (decider, d) in &world.deciders {
            let (class, name) = match decider {
                Decider::Production => (" class=\"hit\"", "production"),
                Decider::IidT => ("", "canary: independent t, BH"),
                Decider::DailyCr2 => ("", "canary: daily CR2, BH"),
            };
            let _ = write!(
                out,
                r#"<tr{class}><td>{}</td><td>{name}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td></tr>"#,
                world.world,
                world.runs,
                with_error(&d.published_per_run, 1),
                with_error(&d.false_per_run, 2),
                with_error(&d.any_false, 3),
                with_error(&d.fdr_ever, 3),
                with_error(&d.fdr_final, 3),
                with_error(&d.fdr_random, 3)
            );
        }
    }
    out.push_str("</tbody></table></div>");
}

fn power(out: &mut String, worlds: &[WorldTally]) {
    for world in worlds {
        let classes: Vec<_> = world.power.iter().filter(|c| c.found.cases > 0).collect();
        if classes.is_empty() {
            continue;
        }
        let _ = write!(
            out,
            r#"<h2>Power in <code>{}</code></h2><p class="note">Share of true hypotheses that were published at any look. Strength is |mean| √n / sd of one event.</p><div class="panel"><svg class="chart" viewBox="0 0 760 {}" role="img" aria-label="Power by class">"#,
            world.world,
            classes.len() * 30 + 8
        );
        for (i, class) in classes.iter().enumerate() {
            let y = i * 30;
            let value = class.found.value.unwrap_or(0.0);
            let _ = write!(
                out,
                r#"<text x="268" y="{}" class="label" text-anchor="end">{}</text><rect x="280" y="{}" width="380" height="18" rx="3" class="rail"/><rect x="280" y="{}" width="{:.1}" height="18" rx="3" class="bar last"/><text x="670" y="{}" class="value">{}<tspan class="tick"> of {}</tspan></text>"#,
                y + 19,
                escape(&class.class),
                y + 5,
                y + 5,
                value * 380.0,
                y + 19,
                number(class.found.value, 2),
                thousands(class.found.cases as u64)
            );
        }
        out.push_str("</svg></div>");
    }
}

fn estimates(out: &mut String, worlds: &[WorldTally]) {
    let rows: Vec<(&WorldTally, &str, &PublishedTally)> = worlds
        .iter()
        .flat_map(|w| [(w, "rejected", &w.published), (w, "and every gate", &w.gated)])
        .filter(|(_, _, set)| set.gross_false.cases > 0)
        .collect();
    if rows.is_empty() {
        return;
    }
    out.push_str(r#"<h2>Honesty of published numbers</h2><p class="note">On the day of first publication, in bps against the truth. The mean afterwards is what a trader would have met.</p><div class="scroll"><table><thead><tr><th>World</th><th>Set</th><th class="n">A run</th><th class="n">Gross false</th><th class="n">Net false</th><th class="n">Raw mean</th><th class="n">Published</th><th class="n">Afterwards</th></tr></thead><tbody>"#);
    let bias = |e: &Estimate| {
        let value = signed(e.value, 2);
        e.se.map_or_else(|| value.clone(), |se| format!("{value} <small>± {}</small>", number(Some(se), 2)))
    };
    for (world, name, set) in rows {
        let _ = write!(
            out,
            r#"<tr><td>{}</td><td>{name}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td></tr>"#,
            world.world,
            with_error(&set.per_run, 1),
            with_error(&set.gross_false, 3),
            with_error(&set.net_false, 3),
            bias(&set.raw_bias_bps),
            bias(&set.claim_bias_bps),
            bias(&set.later_bias_bps)
        );
    }
    out.push_str("</tbody></table></div>");
}

fn pipeline(out: &mut String, tallies: &[PipelineTally]) {
    if tallies.is_empty() {
        return;
    }
    out.push_str(r#"<h2>The whole pipeline</h2><div class="scroll"><table><thead><tr><th>Market</th><th class="n">Runs</th><th class="n">Events</th><th class="n">Hypotheses</th><th class="n">Discoveries a run</th><th class="n">False</th><th class="n">Blueprints a run</th><th class="n">False</th><th>Planted edges found</th></tr></thead><tbody>"#);
    for p in tallies {
        let found: Vec<String> = p.edges_found.iter().map(|(id, n)| format!("{id} {n}/{}", p.runs)).collect();
        let _ = write!(
            out,
            r#"<tr><td>{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td>{}</td></tr>"#,
            p.world,
            p.runs,
            number(Some(p.events), 0),
            thousands(p.hypotheses as u64),
            with_error(&p.discoveries.0, 2),
            with_error(&p.discoveries.1, 2),
            with_error(&p.blueprints.0, 2),
            with_error(&p.blueprints.1, 2),
            escape(&found.join(", "))
        );
    }
    out.push_str("</tbody></table></div>");
}

fn real_scores(out: &mut String, scores: &ScoresTally) {
    let _ = write!(
        out,
        r#"<h2>Real day scores, drawn anew</h2><p class="note">{} series, {} draws of {} days each, mean zero by construction; median skewness {}. Numbers are P(p ≤ a) / a: 1 is exact, below 1 is careful.</p><div class="scroll"><table><thead><tr><th>Side</th>"#,
        scores.series,
        thousands(scores.draws as u64),
        scores.days,
        number(Some(scores.median_skewness), 2)
    );
    for (level, _) in &scores.fade {
        let _ = write!(out, r#"<th class="n">a = {level}</th>"#);
    }
    out.push_str("</tr></thead><tbody>");
    for (side, ratios) in [("fade", &scores.fade), ("follow", &scores.follow)] {
        let _ = write!(out, "<tr><td>{side}</td>");
        for (_, ratio) in ratios {
            let _ = write!(out, r#"<td class="n">{}</td>"#, with_error(ratio, 3));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}
