//! Small tables that once went wrong, and others of their kinds: tests/data/cases/discover.

use std::path::{Path, PathBuf};

use backtestd_core::discovery::{
    Candidate, DirectionRule, Discovery, DiscoveryConfig, Known, OutcomeRow, OutcomeTable, PromotionTrack,
    Repeats, TableBuilder, discover,
};
use backtestd_core::market::{DAY_MS, Ts};
use backtestd_core::spec::gates::CatalogueKind;
use backtestd_store::lake::{OutcomeDefaults, OutcomeFile, OutcomeFileError, read_outcome_table};

use super::world::config;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases/discover").join(format!("{name}.parquet"))
}

fn read(name: &str, repeats: Repeats) -> Result<OutcomeFile, OutcomeFileError> {
    let cost = |_: &backtestd_core::market::Symbol| 12.0;
    read_outcome_table(&case(name), &OutcomeDefaults { cost_bps: &cost, entry_lag_bars: 1, repeats })
}

fn table(name: &str) -> OutcomeTable {
    read(name, Repeats::Refuse).unwrap().table
}

/// As the command does it.
fn closed() -> DiscoveryConfig {
    let mut config = config();
    config.gates.multiplicity.catalogue = CatalogueKind::Closed;
    // The numbers below are those of one mixture on both sides and of an even budget: what is bounded does
    // not depend on it.
    (config.gates.multiplicity.budget.pooled_unconditional, config.gates.multiplicity.budget.by_order) =
        (0.0, 0.0);
    let evidence = &mut config.gates.evidence;
    (evidence.mix_sym.follow, evidence.mix_sym.fade) = (0.1, 0.1);
    let bets = vec![0.02, 0.04, 0.07, 0.11, 0.155];
    (evidence.bet_lambdas.follow, evidence.bet_lambdas.fade) = (bets.clone(), bets);
    config
}

/// Without the bounds.
fn unbounded() -> DiscoveryConfig {
    let mut config = closed();
    let influence = &mut config.gates.evidence.influence;
    (influence.max_day_score, influence.min_sigma_bar, influence.min_sigma_share) = (1e300, 1e-300, 1e-300);
    (influence.max_cost_to_move, influence.max_pool_weight, influence.max_gain_to_loss) =
        (1e300, 1e300, 1e300);
    config
}

fn of<'a>(discovery: &'a Discovery, event: &str, scope: &str) -> &'a Candidate {
    let mut found = discovery.candidates.iter().filter(|c| {
        *c.measured.event_type == *event && c.measured.scope.label() == scope && c.measured.state.is_none()
    });
    found.next().unwrap_or_else(|| panic!("{event} on {scope}"))
}

fn discoveries(discovery: &Discovery) -> usize {
    discovery.candidates.iter().filter(|c| c.judgement.is_discovery).count()
}

/// The rows of a table with other numbers in some of them.
fn with(table: &OutcomeTable, mut change: impl FnMut(usize, &mut OutcomeRow<'_>) -> bool) -> OutcomeTable {
    let mut builder = TableBuilder::new(table.conditions.clone(), Known { sigma: true, mark: false });
    for i in 0..table.len() {
        let mut row = OutcomeRow {
            event_type: &table.event_types[usize::from(table.event[i])],
            family: &table.families[usize::from(table.event[i])],
            symbol: table.symbols[usize::from(table.symbol[i])].as_str(),
            timestamp: Ts(table.timestamp[i]),
            entry: Ts(table.exit[i]),
            exit: Ts(table.exit[i]),
            direction: table.direction[i],
            horizon: &table.horizons[usize::from(table.horizon[i])].label,
            forward_return: table.forward_return[i],
            mark: f64::NAN,
            cost_bps: table.cost[i] * 1e4,
            sigma_bar: table.sigma_bar[i],
        };
        let active: Vec<usize> = (0..table.conditions.len()).filter(|c| table.is_active(i, *c)).collect();
        if change(i, &mut row) {
            builder.push(&row, &active).unwrap();
        }
    }
    builder.finish()
}

#[test]
fn a_bad_print_in_one_event_changes_the_verdict_of_no_other() {
    let clean = discover(&table("bad_print_clean"), &closed());
    let marginal = of(&clean, "MARG", "AAAUSDT");
    assert!((marginal.measured.q_value - 0.073).abs() < 5e-4, "{}", marginal.measured.q_value);
    assert_eq!(marginal.judgement.promotion_track, PromotionTrack::FallbackOnly);
    assert_eq!(discoveries(&clean), 0);

    let original = table("bad_print_clean");
    let bad = original.event_types.iter().position(|e| &**e == "BADPRINT").unwrap();
    let rows: Vec<usize> = (0..original.len()).filter(|&i| usize::from(original.event[i]) == bad).collect();
    let printed = |prints: &[(usize, f64)]| {
        with(&original, |i, row| {
            if let Some((_, value)) = prints.iter().find(|(at, _)| rows[*at] == i) {
                row.forward_return = *value * f64::from(row.direction);
            }
            true
        })
    };
    let mut worlds = vec![("the case".to_owned(), table("bad_print"))];
    // The first day, the last one; gains and losses; sizes from a tenfold price to what no market has;
    // several of them.
    for value in [0.5, 9.0, 8.2e6, 1e30, 1e99, -0.99] {
        worlds.extend([0, 30, 59].map(|at| (format!("{value} in row {at}"), printed(&[(at, value)]))));
    }
    worlds.push(("two".to_owned(), printed(&[(10, 8.2e6), (11, 8.2e6)])));
    worlds.push(("three of them".to_owned(), printed(&[(5, 1e4), (30, 2e5), (50, 1e3)])));
    for (name, world) in worlds {
        let found = discover(&world, &closed());
        let with = of(&found, "MARG", "AAAUSDT");
        assert_eq!(with.measured.q_value.to_bits(), marginal.measured.q_value.to_bits(), "{name}");
        assert_eq!(
            with.judgement.promotion_track, marginal.judgement.promotion_track,
            "{name}: {:?}",
            with.judgement.fail_reasons
        );
        assert_eq!(discoveries(&found), 0, "{name}");
    }
    let capped = discover(&table("bad_print"), &closed());
    assert_eq!(of(&capped, "BADPRINT", "AAAUSDT").measured.influence.capped_days, 1);
    // An event that pays a little, and once a lot: its evidence rests on that day.
    let once = with(&original, |i, row| {
        if usize::from(original.event[i]) == bad {
            let paid = if i == rows[30] { 0.5 } else { 0.0013 + 0.0002 * (i % 3) as f64 };
            row.forward_return = paid * f64::from(row.direction);
        }
        true
    });
    assert!(
        of(&discover(&once, &closed()), "BADPRINT", "AAAUSDT").measured.influence.top_day_share.unwrap()
            > 0.9
    );

    // Without the cap on a day the print is a discovery and takes the marginal one with it.
    let free = discover(&table("bad_print"), &unbounded());
    assert!(
        of(&free, "BADPRINT", "AAAUSDT").judgement.is_discovery
            && of(&free, "MARG", "AAAUSDT").measured.q_value < 0.05
    );
}

#[test]
fn what_can_never_be_accepted_helps_no_other() {
    // Six states of thirty good events each, and one of a single enormous one: too few events, or too few
    // days.
    let original = table("bad_print_clean");
    let bad = original.event_types.iter().position(|e| &**e == "BADPRINT").unwrap();
    let lucky = with(&original, |i, row| {
        if usize::from(original.event[i]) == bad {
            row.forward_return = (0.05 + 0.01 * (i % 5) as f64) * f64::from(row.direction);
            // Fewer than fifty of its events are left.
            return i % 5 != 0;
        }
        true
    });
    let found = discover(&lucky, &closed());
    let few = of(&found, "BADPRINT", "AAAUSDT");
    assert!(
        few.measured.p_any < 2e-3 && few.measured.n_events < 50,
        "{} {}",
        few.measured.p_any,
        few.measured.n_events
    );
    assert!(
        !few.measured.influence.is_admitted && !few.judgement.is_discovery && few.measured.q_value >= 1.0
    );
    let clean = discover(&original, &closed());
    assert_eq!(
        of(&found, "MARG", "AAAUSDT").measured.q_value.to_bits(),
        of(&clean, "MARG", "AAAUSDT").measured.q_value.to_bits(),
        "k counts none of them, and m all of them"
    );
    // Were they let in, the marginal one would be found beside them.
    let mut open = closed();
    (open.gates.gate_v1_phase2.base.min_sample_size, open.gates.gate_v1_phase2.base.min_clusters) = (1, 1);
    assert!(
        of(&discover(&lucky, &open), "MARG", "AAAUSDT").measured.q_value
            < of(&clean, "MARG", "AAAUSDT").measured.q_value
    );
    // Enough events, on too few days.
    let crowded = with(&original, |i, row| {
        if usize::from(original.event[i]) == bad {
            row.forward_return = (0.05 + 0.01 * (i % 5) as f64) * f64::from(row.direction);
            let day = row.timestamp.day();
            let first = original.timestamp[0] / DAY_MS;
            (row.timestamp, row.exit) = (
                Ts((first + (day - first) / 8) * DAY_MS + i as i64 * 300_000 % (200 * 300_000)),
                Ts((first + (day - first) / 8) * DAY_MS
                    + (i as i64 * 300_000 % (200 * 300_000))
                    + 14 * 300_000),
            );
        }
        true
    });
    let found = discover(&crowded, &closed());
    let few = of(&found, "BADPRINT", "AAAUSDT");
    assert!(
        few.measured.n_events >= 50 && few.measured.n_clusters < 30 && few.measured.q_value >= 1.0,
        "{} {}",
        few.measured.n_events,
        few.measured.n_clusters
    );
}

#[test]
fn the_same_rows_twice_are_refused_by_number_or_count_once() {
    let once = discover(&table("few_events"), &closed());
    let refused = read("few_events_twice", Repeats::Refuse).unwrap_err().to_string();
    assert!(
        refused.contains(" repeats row ") && refused.contains("40 rows repeat an earlier one"),
        "{refused}"
    );
    let file = read("few_events_twice", Repeats::Collapse).unwrap();
    assert_eq!((file.collapsed.repeated, file.collapsed.contradicting), (40, 0));
    assert_eq!(discover(&file.table, &closed()), once);
    assert!(once.candidates.iter().all(|c| c.judgement.promotion_track == PromotionTrack::None));
}

#[test]
fn a_symbol_that_hardly_moves_does_not_silence_its_pool() {
    let alone = discover(&table("pool"), &closed());
    let pool = of(&alone, "E1", "ALL");
    assert!(pool.measured.p_any < 1e-20 && pool.judgement.promotion_track == PromotionTrack::Standard);
    let quiet = table("pool_with_peg");
    let peg = quiet.symbols.iter().position(|s| s.as_str() == "PEG").unwrap();
    // As it is; three, ten and a hundred times as quiet; with a tenth of its rows.
    let mut worlds = vec![("the case".to_owned(), quiet.clone())];
    for factor in [3.0, 10.0, 100.0] {
        let world = with(&quiet, |i, row| {
            if usize::from(quiet.symbol[i]) == peg {
                (row.forward_return, row.sigma_bar) = (row.forward_return / factor, row.sigma_bar / factor);
            }
            true
        });
        worlds.push((format!("{factor} times as quiet"), world));
    }
    worlds.push((
        "a tenth".to_owned(),
        with(&quiet, |i, _| usize::from(quiet.symbol[i]) != peg || i % 10 == 0),
    ));
    for (name, world) in worlds {
        let found = discover(&world, &closed());
        let with = of(&found, "E1", "ALL");
        // The very same evidence: its rows are in the table, in its own unit, and not in the pool.
        assert_eq!(with.measured.p_any.to_bits(), pool.measured.p_any.to_bits(), "{name}");
        assert_eq!(
            with.judgement.promotion_track,
            PromotionTrack::Standard,
            "{name}: {:?}",
            with.judgement.fail_reasons
        );
        let rows = of(&found, "E1", "PEG").measured.n_events;
        assert_eq!(with.measured.influence.n_left_out_of_pool, rows, "{name}");
        assert_eq!(
            with.measured.influence.left_out_symbols.iter().map(|s| s.as_str()).collect::<Vec<_>>(),
            ["PEG"]
        );
        assert!(
            with.measured.scope.symbols().iter().all(|s| s.as_str() != "PEG"),
            "what is not tested is not traded"
        );
        let told = &found.summary.left_out_of_pool;
        assert_eq!((told.len(), told[0].symbol.as_str(), told[0].rows), (1, "PEG", rows), "{name}");
    }
    let free = discover(&quiet, &unbounded());
    assert!(of(&free, "E1", "ALL").measured.p_any > 0.05, "without the rule the pool is silent");
}

#[test]
fn one_tiny_sigma_neither_decides_nor_reverses_a_unit() {
    let original = table("pool");
    for sigma in [2e-4, 2e-5, 2e-6, 2e-9, 1e-300, f64::MIN_POSITIVE] {
        for at in [0, 60, 700, original.len() - 1] {
            let world = with(&original, |i, row| {
                row.sigma_bar = if i == at { sigma } else { row.sigma_bar };
                true
            });
            let found = discover(&world, &closed());
            let after = of(&found, "E1", "ALL");
            assert_eq!(after.measured.direction_rule, DirectionRule::Follow, "{sigma} at {at}");
            assert_eq!(after.judgement.promotion_track, PromotionTrack::Standard, "{sigma} at {at}");
            assert!(after.measured.p_any < 1e-15, "{sigma} at {at}: {}", after.measured.p_any);
        }
    }
    let world = with(&original, |i, row| {
        row.sigma_bar = if i == 60 { 2e-9 } else { row.sigma_bar };
        true
    });
    assert_eq!(discover(&world, &closed()).summary.rows_floored, 1);
    let free = discover(&world, &unbounded());
    assert!(
        of(&free, "E1", "ALL").measured.p_any > 1e-6,
        "without the bounds one sigma takes the evidence away"
    );
}

#[test]
fn a_precise_sibling_leaves_the_others_their_weights() {
    let (six, seven) =
        (discover(&table("shrink"), &closed()), discover(&table("shrink_with_peg"), &closed()));
    for symbol in ["S00", "S01", "S02", "S03", "S04", "S05"] {
        let weight = |d: &Discovery| of(d, "E1", symbol).measured.shrinkage_weight_state.unwrap();
        let shrunk = |d: &Discovery| of(d, "E1", symbol).measured.effect_shrunk_state_bps.unwrap();
        assert!(
            weight(&six) > 0.85 && (weight(&seven) - weight(&six)).abs() < 0.05,
            "{symbol}: {}",
            weight(&seven)
        );
        assert!((shrunk(&seven) - shrunk(&six)).abs() < 2.5, "{symbol}: {} {}", shrunk(&six), shrunk(&seven));
    }
}

#[test]
fn a_return_that_never_varies_is_no_test() {
    let original = table("constant_return");
    for constant in [0.001, 0.1, -0.07, 0.0, 1e-7, 1.0 / 3.0] {
        for noise in [0.0, 1e-16] {
            let world = with(&original, |i, row| {
                row.forward_return =
                    f64::from(row.direction) * (constant + noise * (i % 3) as f64 * constant);
                true
            });
            let found = discover(&world, &closed());
            let unit = of(&found, "E1", "AAAUSDT");
            assert_eq!(
                (unit.measured.t_stat, unit.measured.p_value, unit.measured.p_any, unit.measured.q_value),
                (None, 1.0, 1.0, 1.0),
                "{constant}"
            );
            assert_eq!(
                (unit.measured.lfsr, unit.measured.ci_low_bps, unit.measured.se_bps),
                (None, None, None),
                "{constant}"
            );
            assert_eq!(unit.judgement.promotion_track, PromotionTrack::None);
        }
    }
}
