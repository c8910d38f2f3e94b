//! `spec new-event`, through the binary: a file that passes at once, or nothing at all.

use std::fs;
use std::process::{Command, Output};

use backtestd_core::discovery::CatalogueSpec;
use backtestd_core::market::Symbol;
use backtestd_core::spec::SpecReport;

use crate::copy::Copy;

fn spec(copy: &Copy, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_backtestd"))
        .arg("spec")
        .args(args)
        .arg("--spec")
        .arg(copy.dir.path())
        .output()
        .unwrap()
}

fn refused(copy: &Copy, args: &[&str]) -> String {
    let before = copy.content();
    let output = spec(copy, args);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(copy.content() == before, "the tree has changed");
    String::from_utf8(output.stderr).unwrap().replace(&copy.dir.path().display().to_string(), "spec")
}

#[test]
fn a_new_event_passes_the_check_at_once_and_disturbs_nothing_else() {
    let copy = Copy::new();
    let registry = fs::read_to_string(copy.path("events/canonical_event_registry.yaml")).unwrap();
    let taxonomy = fs::read_to_string(copy.path("multiplicity/taxonomy.yaml")).unwrap();
    let output = spec(&copy, &["new-event", "OI_DRIFT"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with("OI_DRIFT in POSITIONING_EXTREMES (where the other OI_ events are)\n"),
        "{said}"
    );

    let loaded = copy.load();
    let event = loaded.event("OI_DRIFT").unwrap();
    assert_eq!(
        (event.family.as_str(), event.file.to_str().unwrap()),
        ("POSITIONING_EXTREMES", "events/oi_drift.yaml")
    );
    assert_eq!(SpecReport::of(&loaded).findings, Vec::<String>::new());
    assert_eq!(spec(&copy, &["check"]).status.code(), Some(0));

    // One line more, after the family's last event; everything else as it was.
    let now = fs::read_to_string(copy.path("events/canonical_event_registry.yaml")).unwrap();
    let line = "    LIQUIDATION_CASCADE: liquidation_cascade.yaml\n";
    assert_eq!(now, registry.replace(line, &format!("{line}    OI_DRIFT: oi_drift.yaml\n")));
    let now = fs::read_to_string(copy.path("multiplicity/taxonomy.yaml")).unwrap();
    assert_eq!(
        now,
        taxonomy.replace(
            "DELEVERAGING_WAVE, LIQUIDATION_CASCADE]",
            "DELEVERAGING_WAVE, LIQUIDATION_CASCADE,\n    OI_DRIFT]"
        )
    );
}

#[test]
fn a_new_event_is_a_draft_that_opens_no_trial_until_the_line_is_taken_out() {
    let copy = Copy::new();
    assert!(spec(&copy, &["new-event", "OI_DRIFT"]).status.success());
    let tested = |copy: &Copy| {
        let asked = CatalogueSpec::from_spec(&copy.load(), &[Symbol::new("BTCUSDT").unwrap()]);
        let why = asked.untested.iter().find(|u| &*u.event_type == "OI_DRIFT").map(|u| u.what.clone());
        (asked.events.iter().any(|e| &*e.event_type == "OI_DRIFT"), why)
    };
    assert_eq!(tested(&copy), (false, Some("draft".to_owned())));
    let said = spec(&copy, &["explain", "OI_DRIFT"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("draft       counted and explained"), "{said:?}");
    let file = copy.path("events/oi_drift.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("draft: true\n", "")).unwrap();
    assert!(tested(&copy).0);
}

#[test]
fn every_family_takes_a_new_event_and_a_second_one() {
    let copy = Copy::new();
    for (ix, (family, _)) in SpecReport::of(&copy.load()).families.iter().enumerate() {
        for letter in ["A", "B"] {
            let name = format!("TRY_{ix}_{letter}");
            let output = spec(
                &copy,
                &["new-event", &name, "--family", family, "--out", &format!("try_{ix}{letter}.yaml")],
            );
            assert!(output.status.success(), "{family}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let report = SpecReport::of(&copy.load());
    assert_eq!((report.events, report.findings), (57 + 22, Vec::new()));
    for file in ["events/canonical_event_registry.yaml", "multiplicity/taxonomy.yaml"] {
        let text = fs::read_to_string(copy.path(file)).unwrap();
        assert!(text.lines().all(|l| l.chars().count() <= 120), "{file}:\n{text}");
    }
}

#[test]
fn what_cannot_be_added_is_refused_with_the_tree_untouched() {
    let copy = Copy::new();
    let cases: [(&[&str], &str); 8] = [
        (&["new-event", "VOL_SHOCK"], "the event 'VOL_SHOCK' exists already, in events/vol_shock.yaml"),
        (
            &["new-event", "vol-squeeze"],
            "'vol-squeeze' is no name for an event: capitals, digits and underscores, beginning with a letter; as in VOL_SQUEEZE",
        ),
        (&["new-event", "X", "--family", "VOLATILITY_TRANSITON"], "(did you mean 'VOLATILITY_TRANSITION'?)"),
        (
            &["new-event", "X"],
            "say which family 'X' belongs to with --family; the families are LIQUIDITY_DISLOCATION, ",
        ),
        (&["new-event", "OI_X", "--out", "oi_flush.yaml"], "the file events/oi_flush.yaml exists already"),
        (&["new-event", "OI_X", "--out", "../x.yaml"], "'../x.yaml' is not a plain name ending in .yaml"),
        (&["new-event", "OI_X", "--out", "x.yml"], "'x.yml' is not a plain name ending in .yaml"),
        // Taken by a state: the compiler says so.
        (&["new-event", "CHOP_STATE", "--family", "FORCED_FLOW"], "the name 'CHOP_STATE' is taken"),
    ];
    for (args, expected) in cases {
        let text = refused(&copy, args);
        assert!(text.contains(expected), "{args:?}: {text}");
    }
    let broken = Copy::new().edit("events/vol_shock.yaml", "vol_ratio <= 1.25", "vol_raito <= 1.25");
    let text = refused(&broken, &["new-event", "OI_X"]);
    assert!(
        text.contains("the specs do not compile as they are") && text.contains("did you mean 'vol_ratio'?"),
        "{text}"
    );
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_others_as_they_were() {
    let copy = Copy::new();
    // A folder stands where the last of the three files is written before it is renamed: not even the
    // superuser gets past that. The shell becomes the program, so it knows its process id beforehand.
    let script =
        r#"mkdir "$1/multiplicity/taxonomy.yaml.tmp-$$" && exec "$0" spec new-event OI_DRIFT --spec "$1""#;
    let before = copy.content();
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_backtestd")])
        .arg(copy.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("taxonomy.yaml") && said.contains("nothing was changed"), "{said}");
    assert!(copy.content() == before, "the new file and the registry's line are taken back");
}
