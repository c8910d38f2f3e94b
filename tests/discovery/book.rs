//! The evidence book against plain loops over the table's rows.

use std::collections::BTreeMap;

use backtestd_core::discovery::scores::inverse_scale;
use backtestd_core::discovery::{DaySum, OutcomeRow, OutcomeTable, TableBuilder, default_exit};
use backtestd_core::market::{BAR_MS, DAY_MS, Ts};

use crate::world::{Dice, EVENTS, FIRST_DAY, SYMBOLS, conditions, config};

const DAYS: i64 = 40;

/// Rows of every kind: some without a direction or a return, some whose window crosses midnight, on no condition up to
/// all three.
fn table(seed: u64, symbols: &[&str], rows: usize) -> OutcomeTable {
    let mut dice = Dice::new(seed);
    let mut builder = TableBuilder::new(conditions(), true);
    for _ in 0..rows {
        let (event_type, family) = EVENTS[dice.below(2) as usize];
        let (horizon, bars) = [("5m", 1), ("60m", 12)][dice.below(2) as usize];
        let bar = dice.below(288 * DAYS as u64) as i64;
        let timestamp = Ts(FIRST_DAY * DAY_MS + bar * BAR_MS);
        let active: Vec<usize> = (0..3).filter(|_| dice.below(3) == 0).collect();
        let row = OutcomeRow {
            event_type,
            family,
            symbol: symbols[dice.below(symbols.len() as u64) as usize],
            timestamp,
            exit: default_exit(timestamp, 1, bars),
            direction: [1, -1, 1, -1, 0][dice.below(5) as usize],
            horizon,
            forward_return: if dice.below(20) == 0 { f64::NAN } else { 0.002 * dice.normal() },
            cost_bps: 8.0 + dice.below(5) as f64,
            sigma_bar: if dice.below(20) == 0 { f64::NAN } else { 0.001 + 0.001 * dice.uniform() },
        };
        builder.push(&row, &active).unwrap();
    }
    builder.finish()
}

/// Days and rows left out as (purged, dropped) of a unit, by event, horizon, symbol (`None` pooled) and condition.
fn of_unit(
    table: &OutcomeTable,
    (event, bars, symbol, condition): (&str, u32, Option<&str>, Option<&str>),
) -> (Vec<DaySum>, (u32, u32)) {
    let (mut days, mut left_out) = (BTreeMap::<i64, DaySum>::new(), (0, 0));
    for row in 0..table.len() {
        let horizon = &table.horizons[usize::from(table.horizon[row])];
        let of_symbol = table.symbols[usize::from(table.symbol[row])].as_str();
        let holds = condition.is_none_or(|id| {
            table.is_active(row, table.conditions.iter().position(|c| *c.id == *id).unwrap())
        });
        let is_its = *table.event_types[usize::from(table.event[row])] == *event
            && horizon.bars == bars
            && symbol.is_none_or(|symbol| symbol == of_symbol)
            && holds
            && table.direction[row] != 0;
        if !is_its {
            continue;
        }
        let day = Ts(table.timestamp[row]).day();
        let (r, cost) = (table.forward_return[row], table.cost[row]);
        if Ts(table.exit[row] - 1).day() > day {
            left_out.0 += u32::from(day < FIRST_DAY + DAYS - 1);
        } else if let (false, Some(scale)) = (r.is_nan(), inverse_scale(table.sigma_bar[row], bars)) {
            let sum = days.entry(day).or_insert(DaySum::new(i32::try_from(day).unwrap()));
            sum.add(f64::from(table.direction[row]) * r, cost, scale);
        } else {
            left_out.1 += 1;
        }
    }
    (days.into_values().collect(), left_out)
}

#[test]
fn every_unit_has_the_days_of_its_rows_however_many_are_taken_at_once_and_after_a_restart() {
    for (seed, symbols, rows) in [(1, &SYMBOLS[..], 4000), (2, &SYMBOLS[..1], 1500), (3, &SYMBOLS[..2], 30)] {
        let (table, config) = (table(seed, symbols, rows), config());
        let catalogue = config.catalogue(&table);
        let mut book = config.open_book(&catalogue);
        for day in [0, 1, 2, 9, 10, DAYS - 1] {
            book.advance(&table, &catalogue, FIRST_DAY + day);
        }
        let (mut units, mut active) = (0, 0);
        for place in catalogue.places() {
            let block = &catalogue.blocks[place.block];
            let condition = place.condition.checked_sub(1).map(|c| {
                let rule = &catalogue.conditions[block.conditions[c]];
                rule.condition.id.to_string()
            });
            let symbol = catalogue.symbols.get(place.scope).map(|symbol| symbol.as_str());
            let unit = (&*block.event_type, block.horizon.bars, symbol, condition.as_deref());
            let local = catalogue.local(place.block, place.scope, place.condition);
            let got = (book.days(place.block, local), book.left_out(place.block)[local]);
            assert_eq!(got, of_unit(&table, unit), "seed {seed}, {unit:?}");
            units += 1;
            active += got.0.len();
        }
        assert_eq!(units, catalogue.units);
        let counts = book.counts();
        // A window that crosses the last midnight counts on the day after.
        let taken = table.exit.iter().filter(|exit| Ts(**exit - 1).day() < FIRST_DAY + DAYS).count();
        assert_eq!(counts.used + counts.purged + counts.dropped + counts.undirected, taken as u64);
        assert!(rows < 100 || [counts.purged, counts.dropped, counts.undirected].iter().all(|n| *n > 0));

        // After a restart: the records of all its days, rows that no unit uses among them.
        let records = book.records(FIRST_DAY - 1, book.first_link());
        let mut restored = config.open_book(&catalogue);
        assert_eq!((restored.restore(&records), restored), (DAYS as usize, book));
        assert!(active > 10 * rows / 30, "seed {seed}: {active} days of {units} units");
    }
}
