//! Rows of one event and holding period that occur more than once. Counted twice, an event would be two; and
//! where the copies differ, the result would depend on their order.

use super::table::OutcomeTable;
use super::table_error::TableError;
use crate::market::Ts;

/// Rows that an error names.
const NAMED: usize = 8;

/// What to do with rows that repeat another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// Refuse the table.
    Refuse,
    /// Keep one row of each event and holding period. Where the copies contradict each other nobody knows
    /// what happened: the row that is kept has no return, and is counted as one that cannot be scored.
    Collapse,
}

/// What collapsing took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collapsed {
    /// Rows that repeated another.
    pub repeated: usize,
    /// Events and holding periods whose rows contradicted each other.
    pub contradicting: usize,
}

/// The rows in order, each event and holding period once.
pub(super) fn unique(
    mut table: OutcomeTable,
    repeats: Repeats,
) -> Result<(OutcomeTable, Collapsed), TableError> {
    let mut order: Vec<usize> = (0..table.len()).collect();
    // Stable: of equal keys the earlier row of the input is first.
    order.sort_by_key(|&i| table.key(i));
    let mut kept = Vec::with_capacity(order.len());
    let mut collapsed = Collapsed::default();
    let (mut extra, mut unknown): (Vec<(usize, usize)>, Vec<usize>) = Default::default();
    for same in order.chunk_by(|&a, &b| table.key(a) == table.key(b)) {
        let (first, others) = (same[0], &same[1..]);
        collapsed.repeated += others.len();
        extra.extend(others.iter().map(|&row| (row, first)));
        if others.iter().all(|&row| contents(&table, row) == contents(&table, first)) {
            kept.push(first);
            continue;
        }
        collapsed.contradicting += 1;
        // Whichever is kept, it is the same one for every order of the input.
        let least = same.iter().copied().min_by(|&a, &b| contents(&table, a).cmp(&contents(&table, b)));
        let least = least.unwrap_or(first);
        unknown.push(least);
        kept.push(least);
    }
    if extra.is_empty() && kept.iter().copied().eq(0..table.len()) {
        return Ok((table, collapsed));
    }
    if repeats == Repeats::Refuse && !extra.is_empty() {
        return Err(refusal(&table, &mut extra));
    }
    for row in unknown {
        table.forward_return[row] = f64::NAN;
        table.mark.get_mut(row).into_iter().for_each(|mark| *mark = f64::NAN);
    }
    Ok((table.take(&kept), collapsed))
}

/// All that a row says beside its key, bit for bit; an unknown number is one value.
fn contents(table: &OutcomeTable, row: usize) -> (i8, i64, [u64; 4], &[u64]) {
    let bits = |x: f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
    let of = |column: &[f64]| column.get(row).copied().unwrap_or(f64::NAN);
    let words = table.words();
    (
        table.direction[row],
        table.exit[row],
        [
            bits(table.forward_return[row]),
            bits(table.cost[row]),
            bits(of(&table.sigma_bar)),
            bits(of(&table.mark)),
        ],
        &table.active[row * words..(row + 1) * words],
    )
}

fn refusal(table: &OutcomeTable, extra: &mut [(usize, usize)]) -> TableError {
    extra.sort_unstable();
    let (row, before) = extra[0];
    let mut rows = extra.iter().take(NAMED).map(|(row, _)| row.to_string()).collect::<Vec<_>>().join(", ");
    if extra.len() > NAMED {
        rows.push_str(", ...");
    }
    TableError::Repeated {
        row,
        before,
        what: format!(
            "{} on {} at {} over {}",
            table.event_types[usize::from(table.event[row])],
            table.symbols[usize::from(table.symbol[row])],
            Ts(table.timestamp[row]),
            table.horizons[usize::from(table.horizon[row])].label,
        ),
        repeated: extra.len(),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::table::{Known, OutcomeRow, TableBuilder};

    fn row(symbol: &'static str, horizon: &'static str, forward_return: f64) -> OutcomeRow<'static> {
        OutcomeRow {
            event_type: "E",
            family: "F",
            symbol,
            timestamp: Ts(600_000),
            entry: Ts(1_200_000),
            exit: Ts(6_000_000),
            direction: 1,
            horizon,
            forward_return,
            mark: f64::NAN,
            cost_bps: 12.0,
            sigma_bar: 0.002,
        }
    }

    fn table(rows: &[OutcomeRow<'_>], repeats: Repeats) -> Result<(OutcomeTable, Collapsed), TableError> {
        let mut builder = TableBuilder::new(Vec::new(), Known { sigma: true, mark: false });
        rows.iter().for_each(|row| builder.push(row, &[]).unwrap());
        builder.finish_unique(repeats)
    }

    #[test]
    fn a_repeated_row_is_refused_by_its_number_whatever_its_names_look_like() {
        let rows = [
            row("BTCUSDT", "60m", 0.1),
            row("ETHUSDT", "60m", 0.1),
            row(" btcusdt ", "60m", 0.1),
            row("BTCUSDT", "1h", 0.1),
        ];
        assert_eq!(
            table(&rows, Repeats::Refuse).unwrap_err().to_string(),
            "row 2 repeats row 0: E on BTCUSDT at 1970-01-01T00:10:00Z over 1h; 2 rows repeat an earlier one (2, 3). An event \
             and holding period is one row, after trimming, case and aliases: remove the others, or pass --deduplicate to \
             collapse them"
        );
        assert!(table(&rows[..2], Repeats::Refuse).is_ok());
        let (table, collapsed) = table(&rows, Repeats::Collapse).unwrap();
        assert_eq!((table.len(), collapsed), (2, Collapsed { repeated: 2, contradicting: 0 }));
    }

    #[test]
    fn rows_that_contradict_each_other_are_one_row_that_nobody_knows_in_every_order() {
        let rows = [row("BTCUSDT", "60m", 0.1), row("BTCUSDT", "60m", 0.2), row("BTCUSDT", "60m", 0.1)];
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
            let rows = order.map(|i: usize| rows[i].clone());
            let (table, collapsed) = table(&rows, Repeats::Collapse).unwrap();
            assert_eq!((table.len(), collapsed), (1, Collapsed { repeated: 2, contradicting: 1 }));
            assert!(table.forward_return[0].is_nan());
        }
    }
}
