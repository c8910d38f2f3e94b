//! A battery of realistic mistakes over every kind of spec file. Each must name file, line and column, show
//! the text with a caret under it, and say what to do. The whole of what is said is in one snapshot, to be
//! read as a user would.

use backtestd_store::load_specs;
use std::fmt::Write as _;

use backtestd_core::spec::SpecErrors;

use crate::copy::Copy;

/// What somebody does wrong, and where: text of a shipped file, and what they wrote instead.
type Mistake = (&'static str, &'static str, &'static str, &'static str);

const VOL_SHOCK: &str = "events/vol_shock.yaml";
const VOL_SPIKE: &str = "events/vol_spike.yaml";
const REGISTRY: &str = "events/canonical_event_registry.yaml";
const DEFAULTS: &str = "global_defaults.yaml";
const GATES: &str = "gates.yaml";

const MISTAKES: &[Mistake] = &[
    // -- expressions ---------------------------------------------------------------------------------------
    ("a number where a truth value belongs", VOL_SPIKE, "rsurp >= tq(rsurp, 0.995)", "rsurp"),
    ("a truth value where a number belongs", VOL_SHOCK, "severity: vol_ratio", "severity: vol_ratio > 1"),
    ("an unknown function", VOL_SPIKE, "tq(rsurp, 0.995)", "lag(quantil(rsurp, q=0.9, window=288), 1)"),
    ("a function of another language", VOL_SPIKE, "tq(rsurp, 0.995)", "rolling_mean(rsurp, 288)"),
    ("a name that was misspelt", VOL_SHOCK, "vol_ratio <= 1.25", "vol_raito <= 1.25"),
    ("an argument too many", VOL_SPIKE, "tq(rsurp, 0.995)", "abs(rsurp, 2)"),
    ("an argument too few", VOL_SPIKE, "tq(rsurp, 0.995)", "lag(rsurp)"),
    ("a parameter that was misspelt", VOL_SPIKE, "tq(rsurp, 0.995)", "mean(rsurp, windw=288)"),
    ("a colon for an equals sign", VOL_SPIKE, "tq(rsurp, 0.995)", "mean(rsurp, window:288)"),
    ("a window below its minimum", VOL_SPIKE, "tq(rsurp, 0.995)", "mean(rsurp, window=12, min=24)"),
    ("a window of no rows", VOL_SPIKE, "tq(rsurp, 0.995)", "mean(rsurp, window=0)"),
    ("a fraction of a row", VOL_SPIKE, "tq(rsurp, 0.995)", "mean(rsurp, window=1.5)"),
    ("a window that is computed", VOL_SPIKE, "tq(rsurp, 0.995)", "mean(rsurp, window=trades)"),
    ("a look ahead by a negative lag", VOL_SPIKE, "tq(rsurp, 0.995)", "lag(rsurp, -1)"),
    ("a look ahead by shift", VOL_SPIKE, "tq(rsurp, 0.995)", "shift(rsurp, -1)"),
    ("a quantile in percent", VOL_SPIKE, "tq(rsurp, 0.995)", "lag(quantile(rsurp, q=99.5, window=8640), 1)"),
    ("comparisons that chain", VOL_SPIKE, "rsurp >= tq(rsurp, 0.995)", "1 < rsurp < 5"),
    ("a double equals in one", VOL_SPIKE, "rsurp >= tq(rsurp, 0.995)", "rsurp = 1"),
    ("operators of another language", VOL_SPIKE, "rsurp >= tq(rsurp, 0.995)", "rsurp > 1 && close > open"),
    ("a literal that is not a number", VOL_SPIKE, "tq(rsurp, 0.995)", "NaN"),
    ("a bracket that stays open", VOL_SPIKE, "tq(rsurp, 0.995)", "tq(rsurp, 0.995"),
    ("nothing at all", VOL_SPIKE, "when: rsurp >= tq(rsurp, 0.995)", "when: ''"),
    ("a calendar that does not exist", VOL_SPIKE, "tq(rsurp, 0.995)", "minutes_since(session_open)"),
    ("an event that does not exist", VOL_SPIKE, "rsurp >= tq(rsurp, 0.995)", "fired(VOL_SHOK)"),
    ("an event as a name", VOL_SPIKE, "rsurp >= tq(rsurp, 0.995)", "VOL_SHOCK"),
    ("a clock on a pointwise operator", VOL_SPIKE, "tq(rsurp, 0.995)", "abs(rsurp, on=is_funding_print)"),
    (
        "an event that asks for itself",
        VOL_SPIKE,
        "rsurp >= tq(rsurp, 0.995)",
        "rsurp > 1 and not active(VOL_SPIKE)",
    ),
    (
        "a cycle over two files",
        "features/volatility.yaml",
        "expr: ln(close / lag(close, 1))",
        "expr: ln(close / lag(close, 1)) + 0 * vol_ratio",
    ),
    ("a macro without an argument", VOL_SPIKE, "tq(rsurp, 0.995)", "tq(rsurp)"),
    ("a macro that uses itself", "macros.yaml", "tmed(x): ", "tmed(x): tmed(x) + "),
    // -- event files ---------------------------------------------------------------------------------------
    ("a key that was misspelt", VOL_SHOCK, "spacing_bars: 12", "spacing_bar: 12"),
    ("a key that is missing", VOL_SHOCK, "severity: vol_ratio\n", ""),
    ("a key given twice", VOL_SHOCK, "  spacing_bars: 12\n", "  spacing_bars: 12\n  spacing_bars: 6\n"),
    ("an onset of another kind", VOL_SHOCK, "onset: rising", "onset: falling"),
    ("a negative spacing", VOL_SHOCK, "spacing_bars: 12", "spacing_bars: -12"),
    ("an episode of no bars", VOL_SHOCK, "max_bars: 96", "max_bars: 0"),
    ("tabs for indentation", VOL_SHOCK, "  onset: rising", "\tonset: rising"),
    (
        "a list where one value belongs",
        VOL_SHOCK,
        "family: VOLATILITY_TRANSITION",
        "family: [VOLATILITY_TRANSITION]",
    ),
    ("an unknown family", VOL_SHOCK, "family: VOLATILITY_TRANSITION", "family: VOLATILITY_TRANSITON"),
    ("a horizon that the defaults do not have", VOL_SHOCK, "horizons: [60m, 4h]", "horizons: [60m, 2h]"),
    ("a template that the lexicon does not have", VOL_SHOCK, "[follow, fade,", "[folow, fade,"),
    ("a prevalence that is upside down", VOL_SHOCK, "[5, 60]", "[60, 5]"),
    ("a yes of YAML 1.1", VOL_SHOCK, "onset: rising", "onset: rising\nundirected: yes"),
    (
        "a name that YAML 1.1 reads as a truth value",
        VOL_SHOCK,
        "detect:\n",
        "let:\n  on: vol_ratio > 1\ndetect:\n",
    ),
    (
        "text that YAML 1.1 reads as a truth value",
        VOL_SHOCK,
        "confounders: macro releases",
        "confounders: no",
    ),
    // -- the other files -----------------------------------------------------------------------------------
    (
        "an event registered twice",
        REGISTRY,
        "    VOL_SPIKE: vol_spike.yaml\n",
        "    VOL_SPIKE: vol_spike.yaml\n    VOL_SPIKE: vol_spike.yaml\n",
    ),
    (
        "an event registered in two families",
        REGISTRY,
        "  FUNDING_EPISODE:\n",
        "  FUNDING_EPISODE:\n    VOL_SPIKE: vol_spike.yaml\n",
    ),
    ("an event removed from the registry alone", REGISTRY, "    VOL_SHOCK: vol_shock.yaml\n", ""),
    ("an event renamed in its own file alone", VOL_SHOCK, "event_type: VOL_SHOCK", "event_type: VOL_SHOCKS"),
    ("a file that is not there", REGISTRY, "vol_spike.yaml", "vol_spikes.yaml"),
    ("a feature without a unit", "features/trend.yaml", "    unit: ", "    units: "),
    ("a feature named as a source", "features/volatility.yaml", "  logret_1:", "  close:"),
    ("a feature defined twice", "features/volatility.yaml", "  logret_1:", "  trend_z:"),
    (
        "a state of an unknown event",
        "states/trend_structure.yaml",
        "source_event: RANGE_BREAKOUT",
        "source_event: RANGE_BRAKEOUT",
    ),
    (
        "a state of another scope",
        "states/trend_structure.yaml",
        "    scope: source_event",
        "    scope: everything",
    ),
    (
        "a state that reads itself",
        "states/trend_structure.yaml",
        "expr: latch(held(chop <= 0.4, 24), chop >= 0.8)",
        "expr: latch(held(chop <= 0.4, 24), not CHOP_STATE)",
    ),
    ("a macro with an ill-formed head", "macros.yaml", "tmed(x): ", "tmed x: "),
    ("bps as text", DEFAULTS, "fee_bps_per_side: 4.0", "fee_bps_per_side: 4 bps"),
    ("a cost below zero", DEFAULTS, "fee_bps_per_side: 4.0", "fee_bps_per_side: -4.0"),
    ("no entry lag", DEFAULTS, "entry_lag_bars: 1", "entry_lag_bars: 0"),
    ("an entry price of another kind", DEFAULTS, "entry_price: close", "entry_price: mid"),
    ("an entry at the instant of detection", DEFAULTS, "entry_price: close", "entry_price: open"),
    ("a symbol with a dash", DEFAULTS, "symbol: BTCUSDT", "symbol: BTC-USDT"),
    ("a horizon off the grid", DEFAULTS, "[5m, 15m,", "[5m, 7m,"),
    ("a regime that is no feature", DEFAULTS, "    vol_regime:", "    vol_regimes:"),
    ("a layout of the future", DEFAULTS, "schema_version: 1", "schema_version: 2"),
    ("a gate out of range", GATES, "max_q_value: 0.05", "max_q_value: 5.0"),
    (
        "an override out of range, below another with the same key",
        GATES,
        "LIQUIDATION_CASCADE: { max_q_value: 0.13",
        "LIQUIDATION_CASCADE: { max_q_value: 1.3",
    ),
    (
        "more bets than the process holds",
        GATES,
        "follow: [0.05, 0.08, 0.12, 0.17, 0.24]",
        "follow: [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09]",
    ),
    (
        "a gate of prevalence that is upside down",
        GATES,
        "max_prevalence_per_10k: 500.0",
        "max_prevalence_per_10k: -1.0",
    ),
    ("a gate that is not a number", GATES, "stress_cost_multiplier: 1.5", "stress_cost_multiplier: .nan"),
    ("a power of ten that YAML 1.1 reads as text", GATES, "max_q_value: 0.05", "max_q_value: 5e-2"),
    ("a gate that is a word", GATES, "profile: promotion", "profile: strict"),
    ("an override of an unknown event", GATES, "OI_SPIKE_POSITIVE: {", "OI_SPIKE: {"),
    ("a column without a rule", "sources.yaml", "columns: [mark, index]", "columns: [mark]"),
    ("a column of another name", "sources.yaml", "columns: [mark, index]", "columns: [mark, index_price]"),
    ("a hold in words", "sources.yaml", "hold: bar", "hold: one bar"),
    ("a join that the records do not have", "sources.yaml", "join: setting", "join: instant"),
    ("a hold that the records do not have", "sources.yaml", "hold: {seconds: 900}", "hold: bar"),
    (
        "a coverage that nobody measures",
        "sources.yaml",
        "    hold: bar\n",
        "    hold: bar\n    min_coverage: 0.5\n",
    ),
    (
        "columns of one record in two groups",
        "sources.yaml",
        "columns: [oi, oi_value]",
        "columns: [oi]\n    unit: contracts\n    describes: x\n    join: instant\n    lag_s: 60\n    hold: {seconds: 900}\n    unknown_when: x\n  - name: oi_value\n    columns: [oi_value]",
    ),
    (
        "a patience that grows shorter",
        "sources.yaml",
        "hole_patience_s: [0, 600,",
        "hole_patience_s: [600, 0,",
    ),
    (
        "a checksum that is asked for again when nobody looks at its day any more",
        "sources.yaml",
        "checksum_again_days: [3, 8]",
        "checksum_again_days: [3, 80]",
    ),
    (
        "an archive that is asked again at once",
        "sources.yaml",
        "again_after_s: [10800, 21600,",
        "again_after_s: [60, 21600,",
    ),
    ("a day that is audited twice", "sources.yaml", "days_back: [0, 2, 7]", "days_back: [0, 2, 2]"),
    (
        "a filter that conditions on nothing",
        "hypotheses/template_verb_lexicon.yaml",
        "    states: [CROWDING_STATE]\n",
        "",
    ),
    (
        "a template of two legs without the second",
        "events/spot_perp_basis_shock.yaml",
        "relative: { hedge: spot }\n",
        "",
    ),
    (
        "a leg that is held against itself",
        "events/spot_perp_basis_shock.yaml",
        "relative: { hedge: spot }",
        "relative: { own: spot, hedge: spot }",
    ),
    (
        "a leg that does not exist",
        "events/spot_perp_basis_shock.yaml",
        "relative: { hedge: spot }",
        "relative: { hedge: sport }",
    ),
    ("a hedge by no feature", "events/copula_pairs_trading.yaml", "ratio: beta_2016", "ratio: beta_2015"),
    (
        "a filter that must agree with no feature",
        "hypotheses/template_verb_lexicon.yaml",
        "agrees_with: trend_z",
        "agrees_with: trend_zz",
    ),
    (
        "a key that decided nothing",
        "hypotheses/template_verb_lexicon.yaml",
        "    states: [CROWDING_STATE]\n",
        "    states: [CROWDING_STATE]\n    counts_as_test: true\n",
    ),
    (
        "a mirror that does not mirror",
        "hypotheses/template_verb_lexicon.yaml",
        "mirror: follow",
        "mirror: convergence",
    ),
    ("a side of two", "hypotheses/template_verb_lexicon.yaml", "side: -1", "side: -2"),
    ("an event in no family of the registry", "multiplicity/taxonomy.yaml", "[VOL_SHOCK,", "[VOL_SHOKC,"),
    (
        "a relation to an event that does not exist",
        "multiplicity/taxonomy.yaml",
        "events: [BREAKOUT_TRIGGER, RANGE_BREAKOUT]",
        "events: [BREAKOUT_TRIGGER, RANGE_BREAK]",
    ),
    ("a grouping of another kind", "multiplicity/families.yaml", "canonical_family, ", "canonical_famly, "),
    ("a stop above the whole position", "strategies/default.yaml", "stop_bps: null", "stop_bps: 10000"),
    (
        "a delay that must pay, of no delays",
        "strategies/default.yaml",
        "delay_bars: [1, 2, 3, 4, 5, 6]\n  # Not a gate by default: a five-minute edge is legitimately gone after five minutes.\n  min_delayed_after_cost_bps: null",
        "delay_bars: []\n  min_delayed_after_cost_bps: 1.0",
    ),
    ("a cool-down in words", "strategies/default.yaml", "cooldown: horizon", "cooldown: one hour"),
    ("a session in another time zone", "calendars/sessions.yaml", "Asia/Tokyo", "Asia/Tokio"),
    ("a time of day without quotes", "calendars/sessions.yaml", "open: \"09:00\"", "open: 09:00"),
    (
        "a market that closes before it opens",
        "calendars/sessions.yaml",
        "close: \"15:00\"",
        "close: \"08:00\"",
    ),
    ("a day that does not exist", "calendars/holidays.yaml", "2025-01-01", "2025-02-30"),
    ("a release without a time zone", "calendars/macro.yaml", "13:30:00Z", "13:30:00"),
];

fn all() -> String {
    let mut out = String::new();
    for (what, file, from, to) in MISTAKES.iter() {
        let copy = Copy::new().edit(file, from, to);
        let said = if load_specs(copy.dir.path()).is_ok() { "accepted".to_owned() } else { copy.refused() };
        let _ = writeln!(out, "-- {what}\n\n{said}\n");
    }
    out
}

#[test]
fn every_mistake_is_explained() {
    insta::assert_snapshot!(all());
}

#[test]
fn every_mistake_has_a_place_a_caret_and_advice() {
    let mut lacking = Vec::new();
    for (what, file, from, to) in MISTAKES.iter() {
        let copy = Copy::new().edit(file, from, to);
        let Err(SpecErrors(errors)) = load_specs(copy.dir.path()) else {
            lacking.push(format!("{what}: it is accepted"));
            continue;
        };
        // Follow-ups may point elsewhere; the mistake itself is among them.
        // (what was removed has no place of its own, only what still names it has).
        if !to.is_empty() && !errors.iter().any(|e| e.file.ends_with(file) && e.place.is_some()) {
            lacking.push(format!("{what}: no error points into {file}"));
        }
        for error in errors {
            if error.place.is_none() {
                lacking.push(format!("{what}: no place: {error}"));
            }
            if error.help.is_empty() {
                lacking.push(format!("{what}: no advice: {error}"));
            }
        }
    }
    assert!(lacking.is_empty(), "{} lacking:\n\n{}", lacking.len(), lacking.join("\n\n"));
}
