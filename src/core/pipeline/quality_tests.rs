use super::*;

fn gate() -> EventGate {
    let gates: crate::spec::gates::GatesSpec =
        serde_saphyr::from_str(include_str!("../../../spec/gates.yaml")).unwrap();
    gates.gate_e1
}

/// 300 onsets on 100 000 known rows, of an event whose file promises 5 to 60 per 10 000.
fn counted() -> EventQuality {
    let tally = Tally { known_rows: 100_000, onsets: 300, outcomes: 300, ..Tally::default() };
    EventQuality {
        event_type: "VOL_SHOCK".to_owned(),
        family: "VOLATILITY_TRANSITION".to_owned(),
        symbol: "BTCUSDT".to_owned(),
        tally,
        per_10k: Some(30.0),
        bounds: (5.0, 60.0),
        join_rate: Some(1.0),
        clustering: Some(0.0),
        unavailable: None,
        findings: Vec::new(),
        excluded: false,
    }
}

fn found(q: &EventQuality, (low, high): (f64, f64)) -> Vec<String> {
    let gate = EventGate { min_prevalence_per_10k: low, max_prevalence_per_10k: high, ..gate() };
    failures(q, &gate).iter().map(ToString::to_string).collect()
}

#[test]
fn an_event_within_its_declared_range_passes_the_shipped_gate() {
    assert_eq!(failures(&counted(), &gate()), []);
    // The common floor is below that of every event, so a rare one is held to its own.
    let rare = EventQuality { per_10k: Some(0.4), bounds: (0.3, 20.0), ..counted() };
    assert_eq!(failures(&rare, &gate()), []);
}

#[test]
fn the_gate_bounds_an_event_whatever_its_file_promises() {
    let (below, above) =
        ("30.00 onsets per 10k bars, wanted >= 400", "30.00 onsets per 10k bars, wanted <= 20");
    assert_eq!(found(&counted(), (0.0, 20.0)), [above]);
    assert_eq!(found(&counted(), (400.0, 401.0)), [below]);
    assert_eq!(found(&counted(), (0.0, 1000.0)), Vec::<String>::new());
    let dense = EventQuality { per_10k: Some(70.0), ..counted() };
    assert_eq!(found(&dense, (0.0, 1000.0)), ["70.00 onsets per 10k bars, wanted <= 60"], "its own range");
}
