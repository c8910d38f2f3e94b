//! The evidence book as records, and the trial ledger in whole conclusions.

use std::collections::BTreeMap;

use backtestd_core::discovery::{
    Accounting, Candidate, Catalogue, CatalogueSpec, Known, OutcomeRow, OutcomeTable, TableBuilder,
    TrialLedger, begun, book_of, candidate_id, conclude_book, conclude_in,
};
use backtestd_core::market::{DAY_MS, Ts};
use backtestd_core::spec::gates::{CatalogueKind, GatesSpec, Procedure};

use super::world::{Edge, FIRST_DAY, config, world};

const DAYS: i64 = 90;

const TWO_YEARS: i64 = 730;

fn planted(days: i64) -> OutcomeTable {
    world(21, days, Some(Edge { event: "BETA_ONE", bps: -45.0 }))
}

/// The rows that `keep` wants, as a table of their own.
fn part(table: &OutcomeTable, keep: impl Fn(usize) -> bool) -> OutcomeTable {
    let mut builder = TableBuilder::new(table.conditions.clone(), Known { sigma: true, mark: false });
    for i in (0..table.len()).filter(|i| keep(*i)) {
        let row = OutcomeRow {
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
        builder.push(&row, &active).unwrap();
    }
    builder.finish()
}

/// What a daemon reads when a day closes: the outcomes that matured on it.
fn matured_on(table: &OutcomeTable, day: i64) -> OutcomeTable {
    part(table, |i| (table.exit[i] - 1).div_euclid(DAY_MS) == day)
}

#[test]
fn two_years_taken_day_by_day_from_what_matured_are_one_batch_bit_for_bit_and_so_are_their_records() {
    let config = config();
    let table = planted(TWO_YEARS);
    let catalogue = config.catalogue(&table);
    let last = FIRST_DAY + TWO_YEARS - 1;
    let mut batch = config.open_book(&catalogue);
    batch.advance(&table, &catalogue, last);
    let first_link = batch.first_link();
    let by = conclude_book(&catalogue, &batch, &config).summary.discoveries_by_procedure;
    assert!(by["tree_bh"] > 0 && by["closed_bh"] >= by["global"], "{by:?}");
    let batch_records = batch.records(FIRST_DAY - 1, first_link);

    let mut daily = config.open_book(&catalogue);
    let (mut link, mut records) = (first_link, Vec::new());
    for day in FIRST_DAY..=last {
        for _ in 0..3 {
            daily.advance(&matured_on(&table, day), &catalogue, day);
        }
        let new = daily.records(day - 1, link);
        assert_eq!(new.len(), 1);
        link = new[0].link;
        records.extend(new);
    }
    assert_eq!(batch, daily);
    assert_eq!(batch_records, records);

    // After a restart the records are the book again.
    let mut restored = config.open_book(&catalogue);
    assert_eq!(restored.restore(&records), records.len());
    assert_eq!(restored, daily);
    assert_eq!(conclude_book(&catalogue, &restored, &config), conclude_book(&catalogue, &batch, &config));
}

#[test]
fn a_damaged_record_ends_the_book_before_it_and_the_days_after_it_can_be_taken_again() {
    let config = config();
    let table = planted(DAYS);
    let catalogue = config.catalogue(&table);
    let last = FIRST_DAY + DAYS - 1;
    let mut whole = config.open_book(&catalogue);
    whole.advance(&table, &catalogue, last);
    let start = whole.first_link();
    let records = whole.records(FIRST_DAY - 1, start);
    for damage in 0..3 {
        let mut damaged = records.clone();
        match damage {
            0 => damaged[40].bytes[50] ^= 1,
            1 => drop(damaged.remove(40)),
            _ => damaged[40].bytes.truncate(60),
        }
        let mut book = config.open_book(&catalogue);
        assert_eq!(book.restore(&damaged), 40, "damage {damage}");
        assert_eq!(book.through_day(), Some(FIRST_DAY + 39));
        book.advance(&table, &catalogue, last);
        let again = book.records(FIRST_DAY + 39, records[39].link);
        assert_eq!(again, records[40..]);
        assert_eq!(book, whole);
    }
    // Records of another catalogue do not fit at all.
    let other = part(&table, |i| table.event[i] != 0);
    let other = config.catalogue(&other);
    assert_eq!(config.open_book(&other).restore(&records), 0);
}

#[test]
fn later_cohorts_leave_the_first_alone_and_pay_with_their_own_share() {
    let config = config();
    // Large enough to be found in so few days by the side that bets least.
    let table = world(21, DAYS, Some(Edge { event: "BETA_ONE", bps: -90.0 }));
    let early = part(&table, |i| table.event[i] < 4);
    let catalogue = |t: &OutcomeTable| -> Catalogue {
        Catalogue::new(&CatalogueSpec::from_table(t, 1), &config.families)
    };
    let (small, large) = (catalogue(&early), catalogue(&table));
    let mut ledger = TrialLedger::default();
    let look = |ledger: &mut TrialLedger, c: &Catalogue, day| -> Accounting {
        let new = ledger.admit(c, &config.gates.multiplicity, day).unwrap();
        ledger.extend(new, CatalogueKind::Open);
        ledger.account(c)
    };
    let first = look(&mut ledger, &small, FIRST_DAY);
    let before = conclude_in(&small, &book_of(&early, &small, &config), &first, &config);
    let alone = conclude_book(&small, &book_of(&early, &small, &config), &config);
    assert!(before.candidates == alone.candidates, "a ledger with one cohort changes nothing");
    let second = look(&mut ledger, &large, FIRST_DAY + 1);
    let after = conclude_in(&large, &book_of(&table, &large, &config), &second, &config);
    assert_eq!((after.summary.trials, after.summary.cohorts.len()), (large.units, 2));

    let q: BTreeMap<&str, f64> = after
        .candidates
        .iter()
        .map(|c| (c.measured.candidate_id.as_str(), c.measured.q_value_global))
        .collect();
    for c in &before.candidates {
        // More rejections elsewhere can only help; its own share is what it was, to the last bit.
        assert!(q[c.measured.candidate_id.as_str()] <= c.measured.q_value_global);
    }
    let by = &before.summary.discoveries_by_procedure;
    assert!(before.summary.discoveries > 0 && by["closed_bh"] >= by["global"], "{by:?}");
    // The definition: reject p <= q k s, s being the share of the trial since it began.
    let days = begun(&large, &book_of(&table, &large, &config), &config.gates);
    let shares: BTreeMap<String, f64> = large
        .places()
        .map(|place| {
            let block = &large.blocks[place.block];
            let condition = large.condition(place).map_or("", |c| &c.condition.id);
            let scope = large.scope(place);
            let id = candidate_id(&block.event_type, &block.horizon.label, condition, scope.label(), 1);
            let at = large.local(place.block, place.scope, place.condition);
            (id, second.shares(&days)[place.block][at])
        })
        .collect();
    let share = |c: &Candidate| shares[&c.measured.candidate_id];
    let level = 0.05;
    let k = after.candidates.iter().filter(|c| c.measured.q_value_global <= level).count();
    for c in &after.candidates {
        let threshold = level * k as f64 * share(c);
        assert_eq!(
            c.measured.q_value_global <= level,
            c.measured.p_any <= threshold,
            "{} {}",
            c.measured.p_any,
            threshold
        );
        assert!((c.measured.p_threshold.unwrap() - threshold).abs() < 1e-15);
        assert_eq!(
            c.measured.cohort,
            if ["GAMMA_ONE", "GAMMA_TWO"].contains(&&*c.measured.event_type) { 2 } else { 1 }
        );
    }
    // Looking at the small catalogue again: what was added stays counted, and nothing moved back.
    let third = look(&mut ledger, &small, FIRST_DAY + 2);
    let again = conclude_in(&small, &book_of(&early, &small, &config), &third, &config);
    assert_eq!(again.summary.trials, large.units);
    let rejected = |d: &backtestd_core::discovery::Discovery| -> Vec<String> {
        d.candidates
            .iter()
            .filter(|c| c.judgement.is_discovery)
            .map(|c| c.measured.candidate_id.clone())
            .collect()
    };
    assert_eq!(rejected(&again), rejected(&before));
}

#[test]
fn the_shipped_gates_publish_with_the_global_procedure_and_refuse_the_prior_rule() {
    let mut gates: GatesSpec = config().gates;
    assert_eq!(gates.multiplicity.publish_with, Procedure::Global);
    gates.validate().unwrap();
    gates.multiplicity.publish_with = Procedure::SeedCompat;
    let error = gates.validate().unwrap_err().to_string();
    assert!(
        error.starts_with("gates.yaml: multiplicity.publish_with is seed_compat, but must be grouped_bb"),
        "{error}"
    );
    let discovery = conclude_book(
        &config().catalogue(&planted(DAYS)),
        &book_of(&planted(DAYS), &config().catalogue(&planted(DAYS)), &config()),
        &config(),
    );
    let by = &discovery.summary.discoveries_by_procedure;
    assert_eq!(
        by.keys().copied().collect::<Vec<_>>(),
        [
            "closed_bh",
            "closed_ebh",
            "global",
            "grouped_bb",
            "seed_compat",
            "strict_by",
            "strict_ebh",
            "tree_bh"
        ]
    );
    assert!(by["strict_by"] <= by["global"] && by["global"] <= by["closed_bh"]);
}
