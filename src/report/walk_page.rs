//! The page of a walk: what was published when, and what came after each claim.

use maud::{Markup, html};

use super::document::{document, heads, number_heads, numbers, table};
use super::format::{number, signed, thousands};
use super::portfolio::equity;
use backtestd_core::walkforward::{LifeRecord, Record};

/// What the page shows.
#[derive(Clone, Copy, Debug)]
pub struct WalkPage<'a> {
    /// Name of the walk.
    pub run_id: &'a str,
    /// First bar of the evidence.
    pub start: &'a str,
    /// Instant of the first look.
    pub from: &'a str,
    /// End of the history.
    pub end: &'a str,
    /// Days from one look to the next.
    pub step_days: u32,
    /// Number of looks.
    pub looks: u64,
    /// Hash of the specs.
    pub ontology_spec_hash: &'a str,
    /// Version and commit of the program.
    pub code_version: &'a str,
    /// What came of it.
    pub record: &'a Record,
}

/// The page as the text of a file.
#[must_use]
pub fn walk_page(page: &WalkPage<'_>) -> String {
    let totals = &page.record.totals;
    let content = html! {
        h1 { "Walk-forward " (page.run_id) }
        p.note {
            "History from " (page.start) " on was lived through as the daemon would have: from " (page.from) " on, "
            (page.looks) " looks, " (page.step_days) " days apart, each with what was known by then. What was published at an "
            "instant is held against what came after it, until " (page.end) ". No look read a later bar, event or outcome."
        }
        div.facts {
            @for (value, name) in facts(page) { div { b { (value) } span { (name) } } }
        }
        @if let Some(account) = &page.record.account {
            h2 { "One account that followed the versions" }
            p.note {
                "Every blueprint that the version in force let trade, one position per edge, sized as it said, under the caps of "
                "the specs; costs and settled funding paid. Equity is not compounded."
            }
            div.panel { (equity(account)) }
        }
        h2 { "Claims and what came after" }
        p.note {
            "The claim is the estimate of the first publication, before costs, with its " (percent(Some(totals.interval_level)))
            " interval. The mean since is over every later event, whether or not the blueprint was still listed; ± is its standard "
            "error by day. Inside: the two differ by no more than both errors together allow at that level. Trades are those of the "
            "versions in force, after costs and funding."
        }
        (lives(&page.record.lives))
        p.note { "Specs " (page.ontology_spec_hash) ", program " (page.code_version) "." }
    };
    document(&format!("Walk-forward {}", page.run_id), content)
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |s| format!("{} %", number(Some(100.0 * s), 1)))
}

fn facts(page: &WalkPage<'_>) -> Vec<(String, &'static str)> {
    let totals = &page.record.totals;
    let mut out = vec![
        (thousands(totals.versions), "versions"),
        (thousands(totals.published), "blueprints published"),
        (thousands(totals.ended), "of them ended again"),
        (thousands(totals.trades), "trades"),
        (
            format!("{} ± {}", signed(totals.net_bps, 1), number(totals.net_se_bps, 1)),
            "bps a trade after costs",
        ),
        (signed(totals.claim_net_bps, 1), "bps claimed"),
        (percent(totals.hit_rate), "won"),
        (percent(totals.claim_hit_rate), "claimed to win"),
        (format!("{} of {}", totals.inside, totals.judged), "inside their interval"),
    ];
    if let Some(account) = &page.record.account {
        let total = account.end_equity / account.start_equity - 1.0;
        out.push((format!("{} %", signed(Some(100.0 * total), 1)), "of the starting equity"));
        out.push((percent(Some(account.max_drawdown)), "deepest fall"));
    }
    out
}

fn lives(rows: &[LifeRecord]) -> Markup {
    if rows.is_empty() {
        return html! { p { "Nothing was published: no hypothesis passed at any look." } };
    }
    let head = html! {
        (heads(&["Blueprint", "Rule", "Published", "Ended"]))
        (number_heads(&["Claim", "Interval", "Events since", "Mean since", "±"]))
        th { "Inside" }
        (number_heads(&["Trades", "Net", "Claimed", "Won", "Claimed"]))
    };
    table(head, html! { @for life in rows { (row(life)) } })
}

fn row(life: &LifeRecord) -> Markup {
    let inside = match life.is_inside {
        Some(true) => "yes",
        Some(false) => "no",
        None => "–",
    };
    let interval = format!("{} to {}", signed(life.claim_low_bps, 1), signed(life.claim_high_bps, 1));
    let day = |text: &str| text.split('T').next().unwrap_or_default().to_owned();
    html! {
        tr {
            td.one { (life.id) }
            td { (life.what) }
            td.one { (day(&life.published_at)) " " (life.version) }
            td.one { (life.ended_at.as_deref().map_or_else(String::new, day)) }
            (numbers([
                signed(Some(life.claim_bps), 1),
                interval,
                thousands(life.events),
                signed(life.mean_bps, 1),
                number(life.se_bps, 1),
            ]))
            td.one { (inside) }
            (numbers([
                thousands(life.trades),
                signed(life.net_bps, 1),
                signed(life.claim_net_bps, 1),
                percent(life.hit_rate),
                percent(life.claim_hit_rate),
            ]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::walkforward::WalkTotals;

    fn life() -> LifeRecord {
        LifeRecord {
            id: "bp_0123456789abcdef".to_owned(),
            what: "fade <VOL>".to_owned(),
            version: "v000002".to_owned(),
            published_at: "2025-04-08T00:05:00Z".to_owned(),
            suspended_on: None,
            retired_on: None,
            ended_at: Some("2025-05-06T00:05:00Z".to_owned()),
            claim_bps: 31.25,
            claim_low_bps: Some(20.0),
            claim_high_bps: Some(42.5),
            claim_net_bps: Some(18.0),
            claim_hit_rate: Some(0.6),
            events: 1200,
            days: 50,
            mean_bps: Some(28.0),
            se_bps: Some(4.0),
            is_inside: Some(true),
            trades: 900,
            gross_bps: Some(27.0),
            net_bps: Some(15.0),
            hit_rate: Some(0.55),
        }
    }

    #[test]
    fn the_page_holds_each_claim_beside_what_came_after_and_escapes_what_it_quotes() {
        let record =
            Record { lives: vec![life()], trades: Vec::new(), totals: WalkTotals::default(), account: None };
        let page = walk_page(&WalkPage {
            run_id: "walk",
            start: "2025-01-01T00:00:00Z",
            from: "2025-04-01T00:00:00Z",
            end: "2025-06-01T00:00:00Z",
            step_days: 7,
            looks: 9,
            ontology_spec_hash: "sha256:ab",
            code_version: "0",
            record: &record,
        });
        for text in
            ["fade &lt;VOL&gt;", "+31.3", "+20.0 to +42.5", "1,200", "2025-05-06", "55.0 %", "v000002"]
        {
            assert!(page.contains(text), "{text}: {page}");
        }
    }

    #[test]
    fn a_walk_that_published_nothing_says_so() {
        assert!(lives(&[]).into_string().contains("Nothing was published"));
    }
}
