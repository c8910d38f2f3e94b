use super::*;
use crate::publish::tests::{candidate, example, published};
use backtestd_core::blueprints::{Monitoring, Status};
use backtestd_core::conclude::NullTwin;
use backtestd_core::conclude::funnel;
use backtestd_core::pipeline::{EventQuality, PartialSource, QualityFailure, Tally};
use backtestd_core::spec::TestStatistic;

fn quality(event_type: &str, per_10k: f64, most: Option<f64>, unavailable: Option<&str>) -> EventQuality {
    let failure =
        |threshold| QualityFailure { metric: "onsets_per_10k", value: per_10k, relation: "<=", threshold };
    EventQuality {
        event_type: event_type.to_owned(),
        family: "VOLATILITY_TRANSITION".to_owned(),
        symbol: "ALL".to_owned(),
        tally: Tally { onsets: 321, ..Tally::default() },
        per_10k: Some(per_10k),
        bounds: (10.0, 100.0),
        join_rate: Some(1.0),
        clustering: Some(0.0),
        unavailable: unavailable.map(str::to_owned),
        findings: most.map(failure).into_iter().collect(),
        excluded: most.is_some(),
    }
}

fn page(candidates: &[Candidate], blueprints: &[Blueprint]) -> String {
    page_beside(candidates, blueprints, None)
}

fn page_beside(candidates: &[Candidate], blueprints: &[Blueprint], placebo: Option<&Placebo>) -> String {
    let events = vec![
        quality("VOL_SHOCK", 31.0, None, None),
        quality("VOL_SPIKE", 310.0, Some(100.0), None),
        quality("DEPTH_COLLAPSE", 0.0, None, Some("bid_depth_usd")),
    ];
    let partial = PartialSource {
        symbol: "SOLUSDT".to_owned(),
        column: "oi",
        known_from: Some("2025-06-01T00:00:00Z".to_owned()),
        known_through: Some("2026-01-01T00:00:00Z".to_owned()),
        days_without: 151,
        days: 365,
        events: vec!["OI_FLUSH".to_owned()],
    };
    let quality = QualityReport { events, partial_sources: vec![partial], lacking_series: Vec::new() };
    let symbols = [SymbolFacts { symbol: "BTCUSDT".to_owned(), bars: 105_120, gaps: 3, quarantined: 0 }];
    render(&ReportInput {
        run_id: "r<1>",
        start: "2025-01-01T00:00:00Z",
        end: "2026-01-01T00:00:00Z",
        ontology_spec_hash: "sha256:00",
        code_version: "0.1.0",
        version: None,
        symbols: &symbols,
        events: 4321,
        outcomes: 12_000,
        hypotheses: 1620,
        max_q_value: 0.05,
        quality: &quality,
        candidates,
        bridge: &BTreeMap::new(),
        blueprints,
        published: blueprints,
        reasons: &["1 of the discoveries failed STABILITY".to_owned()],
        funnel: &funnel(1620, candidates, &BTreeMap::new(), blueprints.len()),
        placebo,
        measures: &[],
        measure_counts: &[],
    })
}

#[test]
fn the_page_is_one_file_without_script_or_links_out() {
    let page = page(&[candidate()], &[example()]);
    for foreign in ["<script", "http://", "https://", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("Research run r&lt;1&gt;"), "names are escaped");
    assert_eq!(page, self::page(&[candidate()], &[example()]), "the same facts give the same bytes");
}

#[test]
fn every_opened_element_is_closed() {
    let page = page(&[candidate()], &[example()]);
    for name in [
        "div",
        "svg",
        "table",
        "tbody",
        "tr",
        "td",
        "article",
        "dl",
        "ul",
        "main",
        "text",
        "figure",
        "figcaption",
        "svg",
    ] {
        let opened = page.matches(&format!("<{name}>")).count() + page.matches(&format!("<{name} ")).count();
        assert_eq!(opened, page.matches(&format!("</{name}>")).count(), "{name}");
    }
}

#[test]
fn a_run_without_blueprints_says_so_and_why() {
    let page = page(&[], &[]);
    assert!(page.contains("No blueprint: none of 1,620 hypotheses passed every gate"));
    assert!(page.contains("1 of the discoveries failed STABILITY"));
}

#[test]
fn events_out_of_bounds_and_unavailable_ones_are_flagged_with_their_number_and_column() {
    let page = page(&[], &[]);
    assert!(page.contains("310.00 onsets per 10k bars, wanted &lt;= 100; left out of discovery"));
    assert!(page.contains("unavailable: no <code>bid_depth_usd</code>"));
}

#[test]
fn a_source_known_in_part_is_listed_with_its_stretch_and_the_events_that_need_it() {
    let page = page(&[], &[]);
    for part in ["<code>oi</code>", "2025-06-01T00:00:00Z", "151 of 365", "OI_FLUSH"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn the_funnel_counts_what_passed_every_stage_before() {
    let mut unstable = candidate();
    unstable.judgement.gate_stability = false;
    let candidates = [candidate(), unstable];
    let input_page = page(&candidates, &[]);
    let counts: Vec<&str> =
        input_page.split("class=\"value\">").skip(1).filter_map(|rest| rest.split('<').next()).collect();
    assert_eq!(counts, ["1,620", "2", "2", "2", "2", "2", "2", "1", "1", "0", "0"]);
}

#[test]
fn a_placebo_stands_beside_the_run_with_its_mean_and_its_worst_draw() {
    let candidates = [candidate()];
    let real = funnel(1620, &candidates, &BTreeMap::new(), 0);
    let draw = |discoveries: u64| {
        let mut stages = real.clone();
        stages[2].count = discoveries;
        stages
    };
    let twin =
        |null| NullTwin { null, outcomes: 10.0, funnels: vec![draw(0), draw(3)], p_values: vec![0.2, 0.7] };
    let placebo = Placebo {
        schema: "backtestd.placement_null/1",
        seed: 1,
        draws: 2,
        real: real.clone(),
        nulls: vec![twin("placement"), twin("day_signs")],
    };
    let page = page_beside(&candidates, &[], Some(&placebo));
    assert!(page.contains("events moved to other days: 1.50 a draw, at most 3"), "{page}");
    assert!(page.contains("<td class=\"n\">1 of 2</td>"));
}

#[test]
fn every_event_type_with_data_has_its_study() {
    let mut all_states = candidate();
    all_states.measured.state = None;
    let page = page(&[all_states, candidate()], &[]);
    assert_eq!(page.matches("<figure").count(), 1);
    assert!(page.contains("Mean path after"));
}

#[test]
fn names_inside_charts_are_text_too() {
    let mut named = candidate();
    named.measured.state = None;
    named.measured.event_type = "A<b>".into();
    named.measured.horizon.label = "<1h".into();
    let page = page(&[named], &[]);
    assert!(page.contains("aria-label=\"Mean path after A&lt;b&gt;\"") && page.contains("<title>&lt;1h: "));
    assert!(!page.contains("A<b>") && !page.contains("<1h"));
}

#[test]
fn what_became_of_a_publication_is_a_row_with_its_numbers() {
    assert!(!page(&[], &[example()]).contains("After publication"), "an old line says nothing of it");
    let mut lived = published(1);
    let fresh = page(&[], std::slice::from_ref(&lived));
    assert!(fresh.contains("published on evidence through 2026-02-28, nothing closed since"));
    lived.monitoring = Some(Monitoring {
        since: "2026-03-01".to_owned(),
        closed_through: "2026-05-01".to_owned(),
        active_days: 41,
        n_events: 1234,
        mean_bps: Some(4.5),
        after_cost_bps: Some(-7.5),
        claim_gross_bps: 30.0,
        floor_bps: 15.0,
        e_value: 0.25,
        e_sup: 21.0,
        confirmed_on: Some("2026-03-20".to_owned()),
        detector: 201.0,
        detector_max: 240.5,
        suspended_on: Some("2026-04-30".to_owned()),
        retired_on: None,
    });
    lived.status = Status::Watch;
    let page = page(&[], &[lived]);
    for text in [
        "2026-03-01",
        "<td class=\"n\">41</td>",
        "<td class=\"n\">1,234</td>",
        "−7.5",
        "<td class=\"n\">0.25</td>",
        "240.5",
        "watch, live-confirmed 2026-03-20, suspended 2026-04-30",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_ratio_has_no_unit_and_no_cost() {
    let test = |statistic, cost| MeasuredTest {
        statistic,
        canonical_family: "VOLATILITY_TRANSITION".into(),
        event_type: "VOL_SHOCK".into(),
        template_verb: "expand".into(),
        horizon: "1h".into(),
        state_id: String::new(),
        symbol: "BTC<USDT".to_owned(),
        n_events: 1200,
        n_clusters: 90,
        effect: Some(1.25),
        se: None,
        t_stat: Some(2.5),
        df: None,
        cost,
        first_half: Some(1.0),
        second_half: None,
        p_any: 0.2,
        lfsr: None,
        q_value: 0.04,
        is_found: true,
    };
    let counts = [MeasureCount { statistic: TestStatistic::VarianceRatio, trials: 777, tested: 1, found: 1 }];
    let ratio = measures(&[test(TestStatistic::VarianceRatio, None)], &counts).into_string();
    let relative = measures(&[test(TestStatistic::RelativeReturn, Some(12.0))], &counts).into_string();
    assert!(ratio.contains("1 found among 1 (777 trials ever); the first 1 by q."), "{ratio}");
    assert!(ratio.contains(r#"<th class="n">Mean</th><th class="n">First half</th>"#), "{ratio}");
    assert!(
        ratio.contains(r#"<td class="n">90</td><td class="n">+1.250</td><td class="n">+1.000</td>"#),
        "{ratio}"
    );
    assert!(relative.contains(r#"<th class="n">Mean bps</th><th class="n">Cost bps</th>"#), "{relative}");
    assert!(relative.contains(r#"<td class="n">+1.2</td><td class="n">12.0</td>"#), "{relative}");
    assert!(relative.contains(r#"<tr class="hit">"#) && relative.contains("BTC&lt;USDT"), "{relative}");
}
