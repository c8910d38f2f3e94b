//! The evidence book against plain loops over the table's rows.

use std::collections::BTreeMap;

use backtestd_core::discovery::scores::inverse_scale;
use backtestd_core::discovery::{
    DaySum, Known, LeftOut, OutcomeRow, OutcomeTable, TableBuilder, default_exit,
};
use backtestd_core::market::{BAR_MS, DAY_MS, Ts};

use crate::world::{Dice, EVENTS, FIRST_DAY, SYMBOLS, conditions, config};

const DAYS: i64 = 40;

/// Rows of every kind: some without a direction or a return, some whose window crosses midnight, on no
/// condition up to all three.
fn table(seed: u64, symbols: &[&str], rows: usize, mark: bool) -> OutcomeTable {
    let mut dice = Dice::new(seed);
    let mut builder = TableBuilder::new(conditions(), Known { sigma: true, mark });
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
            entry: default_exit(timestamp, 1, 0),
            exit: default_exit(timestamp, 1, bars),
            direction: [1, -1, 1, -1, 0][dice.below(5) as usize],
            horizon,
            forward_return: if dice.below(20) == 0 { f64::NAN } else { 0.002 * dice.normal() },
            // Of windows over midnight alone it is read.
            mark: if dice.below(5) == 0 { f64::NAN } else { 0.001 * dice.normal() },
            cost_bps: 8.0 + dice.below(5) as f64,
            sigma_bar: match dice.below(20) {
                0 => f64::NAN,
                1 => 1e-4,
                2 => 1e-9,
                _ => 0.001 + 0.001 * dice.uniform(),
            },
        };
        builder.push(&row, &active).unwrap();
    }
    builder.finish()
}

/// What of a row counts on a day.
struct Piece {
    row: usize,
    day: i64,
    r: f64,
    is_carried: bool,
}

/// The pieces that count up to the last day, day after day: a window over midnight is two, marked in between.
/// `None` for the return where nobody knows the mark.
fn pieces(table: &OutcomeTable) -> Vec<(Piece, bool)> {
    let mut out = Vec::new();
    for row in 0..table.len() {
        let (r, exit) = (table.forward_return[row], Ts(table.exit[row] - 1).day());
        let entry = table.entry.get(row).map_or(table.timestamp[row], |entry| *entry);
        let (day, mark) = (Ts(entry).day(), table.mark.get(row).copied().unwrap_or(f64::NAN));
        if exit == day {
            out.push((Piece { row, day, r, is_carried: false }, true));
        } else if mark.is_nan() {
            out.push((Piece { row, day: exit, r, is_carried: false }, false));
        } else {
            out.push((Piece { row, day, r: mark, is_carried: false }, true));
            out.push((Piece { row, day: exit, r: r - mark, is_carried: true }, true));
        }
    }
    out.retain(|(piece, _)| piece.day < FIRST_DAY + DAYS);
    out.sort_by_key(|(piece, _)| piece.day);
    out
}

/// Weights of the pieces of one event and holding period in a unit of one symbol and in a pool, `None` where
/// a row is not used, and whether its sigma was lifted. As gates.yaml says it: medians over the first used
/// rows of 32 active days before the row's, five at least.
fn weights(
    table: &OutcomeTable,
    event: &str,
    bars: u32,
) -> BTreeMap<(usize, bool), (f64, Option<f64>, bool)> {
    const FLOOR: f64 = 1e-5;
    let mut firsts: BTreeMap<u16, Vec<(i64, f64)>> = BTreeMap::new();
    let mut out = BTreeMap::new();
    for (Piece { row, day, r, is_carried }, is_marked) in pieces(table) {
        let horizon = &table.horizons[usize::from(table.horizon[row])];
        let is_known = r.is_finite() && table.sigma_bar[row] > 0.0;
        let is_its = *table.event_types[usize::from(table.event[row])] == *event && horizon.bars == bars;
        if !is_its || !is_known || table.direction[row] == 0 || !is_marked {
            continue;
        }
        let typical = |symbol: u16| {
            let before: Vec<f64> = firsts
                .get(&symbol)
                .into_iter()
                .flatten()
                .filter(|(d, _)| *d < day)
                .map(|(_, w)| *w)
                .collect();
            let mut last: Vec<f64> = before.iter().rev().take(32).copied().collect();
            last.sort_by(f64::total_cmp);
            (last.len() >= 5).then(|| last[last.len() / 2])
        };
        let sigma = table.sigma_bar[row];
        let plain = inverse_scale(sigma.max(FLOOR), bars).unwrap();
        let own = typical(table.symbol[row]);
        let weight = own.map_or(plain, |own| plain.min(own / 0.2));
        let mut pool: Vec<f64> = (0..table.symbols.len() as u16).filter_map(typical).collect();
        pool.sort_by(f64::total_cmp);
        let pooled = if table.cost[row] * own.unwrap_or(weight) > 1.0 {
            None
        } else {
            let share = pool.get(pool.len() / 2).map_or(1.0, |pool| (4.0 * pool / weight).min(1.0));
            // A row of a book holds the share in 255ths.
            let share = (share * 255.0).floor() / 255.0;
            (share > 0.0).then_some(weight * share)
        };
        let of_symbol = firsts.entry(table.symbol[row]).or_default();
        if !is_carried && of_symbol.last().is_none_or(|(d, _)| *d < day) {
            of_symbol.push((day, weight));
        }
        out.insert((row, is_carried), (weight, pooled, sigma < FLOOR || weight < plain));
    }
    out
}

/// Days and rows left out of a unit, by event, horizon, symbol (`None` pooled) and condition.
fn of_unit(
    table: &OutcomeTable,
    weights: &BTreeMap<(usize, bool), (f64, Option<f64>, bool)>,
    (event, bars, symbol, condition): (&str, u32, Option<&str>, Option<&str>),
) -> (Vec<DaySum>, LeftOut) {
    let (mut days, mut left_out) = (BTreeMap::<i64, DaySum>::new(), LeftOut::default());
    for (Piece { row, day, r, is_carried }, is_marked) in pieces(table) {
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
        if !is_marked {
            left_out.purged += 1;
        } else if let Some(&(weight, pooled, is_floored)) = weights.get(&(row, is_carried)) {
            left_out.floored += u32::from(is_floored && !is_carried);
            // A catalogue of one symbol has no pool.
            let weight = if symbol.is_some() { Some(weight) } else { pooled };
            let Some(weight) = weight else {
                left_out.apart += u32::from(!is_carried);
                continue;
            };
            let sum = days.entry(day).or_insert(DaySum::new(i32::try_from(day).unwrap()));
            let signed = f64::from(table.direction[row]) * r;
            if is_carried {
                // No event of its own, and no cost.
                sum.parts += 1;
                let w = weight * (1.0 / f64::from(sum.parts).sqrt());
                (sum.sum, sum.squares) = (sum.sum + signed, sum.squares + signed * signed);
                sum.z += w * signed;
            } else {
                sum.add(signed, table.cost[row], weight);
            }
        } else if !is_carried {
            left_out.dropped += 1;
        }
    }
    (days.into_values().collect(), left_out)
}

#[test]
fn every_unit_has_the_days_of_its_rows_however_many_are_taken_at_once_and_after_a_restart() {
    let cases = [
        (1, &SYMBOLS[..], 4000, false),
        (2, &SYMBOLS[..1], 1500, false),
        (3, &SYMBOLS[..2], 30, false),
        (4, &SYMBOLS[..], 4000, true),
        (5, &SYMBOLS[..1], 1500, true),
    ];
    for (seed, symbols, rows, mark) in cases {
        let (table, config) = (table(seed, symbols, rows, mark), config());
        let catalogue = config.catalogue(&table);
        let mut book = config.open_book(&catalogue);
        for day in [0, 1, 2, 9, 10, DAYS - 1] {
            book.advance(&table, &catalogue, FIRST_DAY + day);
        }
        let (mut units, mut active, mut floored, mut apart) = (0, 0, 0, 0);
        let weights: BTreeMap<(String, u32), _> = catalogue
            .blocks
            .iter()
            .map(|b| (b.event_type.to_string(), b.horizon.bars))
            .map(|of| (of.clone(), weights(&table, &of.0, of.1)))
            .collect();
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
            let weights = &weights[&(block.event_type.to_string(), block.horizon.bars)];
            let expected = of_unit(&table, weights, unit);
            assert_eq!(got, expected, "seed {seed}, {unit:?}");
            floored += expected.1.floored;
            apart += expected.1.apart;
            units += 1;
            active += got.0.len();
        }
        assert_eq!(units, catalogue.units);
        assert!(rows < 100 || floored > 0 && (symbols.len() == 1 || apart > 0), "{floored} {apart}");
        let counts = book.counts();
        // A window that crosses the last midnight counts on the day after, unless it is marked there.
        let (all, tails) = (pieces(&table), |(piece, _): &&(Piece, bool)| piece.is_carried);
        let taken = all.len() - all.iter().filter(tails).count();
        let usable = |(piece, _): &&(Piece, bool)| {
            piece.is_carried
                && piece.r.is_finite()
                && table.sigma_bar[piece.row] > 0.0
                && table.direction[piece.row] != 0
        };
        assert_eq!(counts.marked, all.iter().filter(usable).count() as u64);
        assert!(rows < 100 || mark == (counts.marked > 0));
        assert_eq!(counts.used + counts.purged + counts.dropped + counts.undirected, taken as u64);
        assert!(rows < 100 || [counts.purged, counts.dropped, counts.undirected].iter().all(|n| *n > 0));

        // After a restart: the records of all its days, rows that no unit uses among them.
        let records = book.records(FIRST_DAY - 1, book.first_link());
        let mut restored = config.open_book(&catalogue);
        assert_eq!((restored.restore(&records), restored), (DAYS as usize, book));
        assert!(active > 10 * rows / 30, "seed {seed}: {active} days of {units} units");
    }
}
