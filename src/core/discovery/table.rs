//! The outcome table: what discovery reads. Columns with dictionary codes, one row per event and horizon,
//! sorted by (timestamp, symbol, event, horizon), so that nothing downstream depends on the order of the
//! input.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::condition::{Condition, ConditionTest};
use super::repeats::{Collapsed, Repeats};
use super::table_error::TableError;
use crate::market::{BAR_MS, Symbol, Ts};
use crate::outcomes::{Horizon, Outcome};

/// One row before it is encoded.
#[derive(Clone, Debug)]
pub struct OutcomeRow<'a> {
    /// Event type of the row.
    pub event_type: &'a str,
    /// Canonical family of the event type.
    pub family: &'a str,
    /// Symbol that the event happened on.
    pub symbol: &'a str,
    /// Open of the bar that decided the event.
    pub timestamp: Ts,
    /// The instant of the entry.
    pub entry: Ts,
    /// The instant of the exit.
    pub exit: Ts,
    /// -1, 0, 1.
    pub direction: i8,
    /// Label of the holding period.
    pub horizon: &'a str,
    /// Unsigned, decimal; NaN unknown.
    pub forward_return: f64,
    /// The part of it up to the first UTC midnight inside the window; NaN where there is none, or it is
    /// unknown.
    pub mark: f64,
    /// Full round-trip cost, bps.
    pub cost_bps: f64,
    /// sd of one bar's return known at the event, which the score is measured in; NaN unknown.
    pub sigma_bar: f64,
}

/// Outcomes in columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutcomeTable {
    /// Event types by code, sorted.
    pub event_types: Vec<Arc<str>>,
    /// Family of each event type.
    pub families: Vec<Arc<str>>,
    /// Symbols by code, sorted.
    pub symbols: Vec<Symbol>,
    /// Horizons by code, sorted by length.
    pub horizons: Vec<Horizon>,
    /// Conditions by bit.
    pub conditions: Vec<Condition>,
    /// Event code per row.
    pub event: Vec<u16>,
    /// Symbol code per row.
    pub symbol: Vec<u16>,
    /// Horizon code per row.
    pub horizon: Vec<u16>,
    /// Open of the deciding bar per row, ms.
    pub timestamp: Vec<i64>,
    /// Instant of the entry per row, ms; empty in a table without [`OutcomeTable::mark`].
    pub entry: Vec<i64>,
    /// Instant of the exit per row, ms.
    pub exit: Vec<i64>,
    /// Direction per row.
    pub direction: Vec<i8>,
    /// Unsigned forward return per row, decimal.
    pub forward_return: Vec<f64>,
    /// The part of it up to the first UTC midnight inside the window, NaN where there is none; empty in a
    /// table that does not know it: rows whose window crosses midnight are then only counted.
    pub mark: Vec<f64>,
    /// Round-trip cost per row, decimal.
    pub cost: Vec<f64>,
    /// Scale of the scores per row (`sigma_event`, or `sigma_bar` in a table without it); empty where it has
    /// neither.
    pub sigma_bar: Vec<f64>,
    /// Which conditions hold (known true): [`OutcomeTable::words`] words of 64 bits per row.
    pub active: Vec<u64>,
}

impl OutcomeTable {
    /// Number of rows in the table.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.timestamp.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.timestamp.is_empty()
    }

    /// Words of [`OutcomeTable::active`] per row.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.conditions.len().div_ceil(64)
    }

    /// Whether a condition holds on a row.
    #[must_use]
    pub fn is_active(&self, row: usize, condition: usize) -> bool {
        self.active[row * self.words() + condition / 64] >> (condition % 64) & 1 == 1
    }

    /// From matured outcomes, and positions that were open at a midnight and are open still, with what held
    /// on their events. `states` names the graph's states in the order of [`crate::outcomes::Event::states`];
    /// conditions that name anything else are left out.
    ///
    /// # Errors
    /// When the rows contradict each other; cannot happen for outcomes of one compiled spec.
    pub fn from_outcomes<'a>(
        outcomes: impl IntoIterator<Item = &'a Outcome>,
        states: &[Arc<str>],
        conditions: &[Condition],
    ) -> Result<Self, TableError> {
        Self::from_tested(outcomes.into_iter().map(|o| (o, Tested::own_return(o))), states, conditions)
    }

    /// The same with another number of each outcome under test.
    ///
    /// # Errors
    /// As [`OutcomeTable::from_outcomes`].
    pub fn from_tested<'a>(
        outcomes: impl Iterator<Item = (&'a Outcome, Tested)>,
        states: &[Arc<str>],
        conditions: &[Condition],
    ) -> Result<Self, TableError> {
        let resolve = |c: &Condition| Some((c.clone(), ConditionTest::resolve(&[&c.expression], states)?));
        let (conditions, tests): (Vec<Condition>, Vec<ConditionTest>) =
            conditions.iter().filter_map(resolve).unzip();
        let mut builder = TableBuilder::new(conditions, Known { sigma: true, mark: true });
        let mut active = Vec::new();
        for (outcome, tested) in outcomes {
            let event = &outcome.event;
            active.clear();
            active.extend(tests.iter().enumerate().filter(|(_, test)| test.holds(event)).map(|(bit, _)| bit));
            builder.push(
                &OutcomeRow {
                    event_type: &event.event_type,
                    family: &event.family,
                    symbol: event.symbol.as_str(),
                    timestamp: event.bar.open(),
                    entry: outcome.entry(),
                    // The close of the exit bar: nobody knows the outcome earlier, whichever of its prices
                    // closes it.
                    exit: outcome.matured(),
                    direction: tested.direction,
                    horizon: &outcome.horizon.label,
                    forward_return: tested.value,
                    mark: tested.mark,
                    cost_bps: tested.cost_bps,
                    sigma_bar: tested.sigma_bar,
                },
                &active,
            )?;
        }
        Ok(builder.finish())
    }
}

/// The number of an outcome that is under test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// Its side: -1, 0 (none), 1.
    pub direction: i8,
    /// The number, unsigned: a return is decimal. NaN unknown.
    pub value: f64,
    /// Where it stood at the midnight inside its window. NaN where there is none, or the number cannot be
    /// marked.
    pub mark: f64,
    /// What it costs to have it, bps.
    pub cost_bps: f64,
    /// Its sd over one bar, known at the event. NaN unknown.
    pub sigma_bar: f64,
}

impl Tested {
    /// The forward return of the symbol, less the funding that a long position has paid, where that is known.
    /// The funding is in the part after the midnight, if there is one: it is known before the exit.
    #[must_use]
    pub fn own_return(outcome: &Outcome) -> Self {
        Self {
            direction: outcome.event.direction,
            value: less_funding(outcome.forward_return, outcome.funding_paid),
            mark: outcome.midnight_return,
            cost_bps: outcome.cost_bps_round_trip,
            sigma_bar: outcome.event.sigma_event,
        }
    }
}

/// A return less the funding of its window, per unit long; what is unknown is taken for none.
#[must_use]
pub fn less_funding(forward_return: f64, funding_paid: f64) -> f64 {
    if funding_paid.is_nan() { forward_return } else { forward_return - funding_paid }
}

/// Which of the optional numbers the rows of a table have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// A scale of the scores.
    pub sigma: bool,
    /// The return at the midnight inside the window.
    pub mark: bool,
}

/// Encodes rows into the columns of an [`OutcomeTable`].
#[derive(Debug, Default)]
pub struct TableBuilder {
    table: OutcomeTable,
    event_codes: BTreeMap<Arc<str>, u16>,
    symbol_codes: BTreeMap<Arc<str>, u16>,
    horizon_codes: BTreeMap<Arc<str>, u16>,
    known: Known,
}

impl TableBuilder {
    /// For these conditions, and rows that know so much.
    #[must_use]
    pub fn new(conditions: Vec<Condition>, known: Known) -> Self {
        Self { table: OutcomeTable { conditions, ..OutcomeTable::default() }, known, ..Self::default() }
    }

    /// Adds a row; `active` are the indices of the conditions that hold.
    ///
    /// # Errors
    /// Names the row and the column.
    pub fn push(&mut self, row: &OutcomeRow<'_>, active: &[usize]) -> Result<(), TableError> {
        let at = self.table.len();
        if !(-1..=1).contains(&row.direction) {
            return Err(TableError::Direction { row: at, value: i64::from(row.direction) });
        }
        let event = self.event_code(at, row)?;
        let symbol = self.symbol_code(at, row)?;
        let horizon = self.horizon_code(at, row)?;
        let t = &mut self.table;
        t.event.push(event);
        t.symbol.push(symbol);
        t.horizon.push(horizon);
        t.timestamp.push(row.timestamp.0);
        t.exit.push(row.exit.0);
        t.direction.push(row.direction);
        t.forward_return.push(row.forward_return);
        t.cost.push(row.cost_bps / 1e4);
        if self.known.sigma {
            t.sigma_bar.push(row.sigma_bar);
        }
        if self.known.mark {
            t.entry.push(row.entry.0);
            t.mark.push(row.mark);
        }
        let (base, words) = (t.active.len(), t.words());
        t.active.resize(base + words, 0);
        active.iter().for_each(|bit| t.active[base + bit / 64] |= 1 << (bit % 64));
        Ok(())
    }

    fn event_code(&mut self, at: usize, row: &OutcomeRow<'_>) -> Result<u16, TableError> {
        if let Some(&code) = self.event_codes.get(row.event_type) {
            let before = &self.table.families[usize::from(code)];
            return if before.as_ref() == row.family {
                Ok(code)
            } else {
                Err(TableError::TwoFamilies {
                    row: at,
                    event_type: row.event_type.to_owned(),
                    given: row.family.to_owned(),
                    before: before.as_ref().to_owned(),
                })
            };
        }
        let code = next_code(self.table.event_types.len(), at, "event_type")?;
        self.table.event_types.push(row.event_type.into());
        self.table.families.push(row.family.into());
        self.event_codes.insert(row.event_type.into(), code);
        Ok(code)
    }

    fn symbol_code(&mut self, at: usize, row: &OutcomeRow<'_>) -> Result<u16, TableError> {
        if let Some(&code) = self.symbol_codes.get(row.symbol) {
            return Ok(code);
        }
        let symbol =
            Symbol::new(row.symbol).map_err(|e| TableError::Symbol { row: at, reason: e.to_string() })?;
        let code = match self.table.symbols.iter().position(|s| *s == symbol) {
            Some(known) => next_code(known, at, "symbol")?,
            None => {
                self.table.symbols.push(symbol);
                next_code(self.table.symbols.len() - 1, at, "symbol")?
            }
        };
        self.symbol_codes.insert(row.symbol.into(), code);
        Ok(code)
    }

    fn horizon_code(&mut self, at: usize, row: &OutcomeRow<'_>) -> Result<u16, TableError> {
        if let Some(&code) = self.horizon_codes.get(row.horizon) {
            return Ok(code);
        }
        let horizon = Horizon::parse(row.horizon)
            .ok_or_else(|| TableError::Horizon { row: at, value: row.horizon.to_owned() })?;
        let code = match self.table.horizons.iter().position(|h| h.bars == horizon.bars) {
            Some(known) => {
                // Of several labels of one length, the same whatever the order of the rows.
                let named = &mut self.table.horizons[known];
                if horizon.label < named.label {
                    *named = horizon;
                }
                next_code(known, at, "horizon")?
            }
            None => {
                self.table.horizons.push(horizon);
                next_code(self.table.horizons.len() - 1, at, "horizon")?
            }
        };
        self.horizon_codes.insert(row.horizon.into(), code);
        Ok(code)
    }

    /// Sorts dictionaries and rows.
    #[must_use]
    pub fn finish(self) -> OutcomeTable {
        let table = self.sorted_dictionaries();
        if (1..table.len()).all(|i| table.key(i - 1) <= table.key(i)) {
            return table;
        }
        let mut order: Vec<usize> = (0..table.len()).collect();
        order.sort_by_key(|&i| table.key(i));
        table.take(&order)
    }

    /// The same of a table that anybody may have made: an event and holding period is one row.
    ///
    /// # Errors
    /// Where it is several and these are not to be collapsed; names them.
    pub fn finish_unique(self, repeats: Repeats) -> Result<(OutcomeTable, Collapsed), TableError> {
        super::repeats::unique(self.sorted_dictionaries(), repeats)
    }

    fn sorted_dictionaries(self) -> OutcomeTable {
        let mut table = self.table;
        let event_rank = rank_by(&table.event_types, |a, b| a.cmp(b));
        let symbol_rank = rank_by(&table.symbols, |a, b| a.cmp(b));
        let horizon_rank = rank_by(&table.horizons, |a, b| a.bars.cmp(&b.bars));
        table.families = reorder(&table.families, &event_rank);
        table.event_types = reorder(&table.event_types, &event_rank);
        table.symbols = reorder(&table.symbols, &symbol_rank);
        table.horizons = reorder(&table.horizons, &horizon_rank);
        table.event.iter_mut().for_each(|c| *c = event_rank[usize::from(*c)]);
        table.symbol.iter_mut().for_each(|c| *c = symbol_rank[usize::from(*c)]);
        table.horizon.iter_mut().for_each(|c| *c = horizon_rank[usize::from(*c)]);
        table
    }
}

impl OutcomeTable {
    /// What a row is about, in the order of the rows.
    pub(super) fn key(&self, i: usize) -> (i64, u16, u16, u16) {
        (self.timestamp[i], self.symbol[i], self.event[i], self.horizon[i])
    }

    pub(super) fn take(&self, order: &[usize]) -> Self {
        /// A column that the table does not have stays empty.
        fn gather<T: Copy>(column: &[T], order: &[usize]) -> Vec<T> {
            if column.is_empty() { Vec::new() } else { order.iter().map(|&i| column[i]).collect() }
        }
        let words = self.words();
        Self {
            event_types: self.event_types.clone(),
            families: self.families.clone(),
            symbols: self.symbols.clone(),
            horizons: self.horizons.clone(),
            conditions: self.conditions.clone(),
            event: gather(&self.event, order),
            symbol: gather(&self.symbol, order),
            horizon: gather(&self.horizon, order),
            timestamp: gather(&self.timestamp, order),
            entry: gather(&self.entry, order),
            exit: gather(&self.exit, order),
            direction: gather(&self.direction, order),
            forward_return: gather(&self.forward_return, order),
            mark: gather(&self.mark, order),
            cost: gather(&self.cost, order),
            sigma_bar: gather(&self.sigma_bar, order),
            active: order.iter().flat_map(|&i| &self.active[i * words..(i + 1) * words]).copied().collect(),
        }
    }
}

/// The instant of the exit where a table does not say: close of bar `timestamp + lag + horizon`.
#[must_use]
pub const fn default_exit(timestamp: Ts, entry_lag_bars: u32, horizon_bars: u32) -> Ts {
    Ts(timestamp.0 + (entry_lag_bars as i64 + horizon_bars as i64 + 1) * BAR_MS)
}

fn next_code(index: usize, row: usize, column: &'static str) -> Result<u16, TableError> {
    u16::try_from(index).map_err(|_| TableError::TooMany { row, column })
}

/// New code of each old code.
fn rank_by<T>(values: &[T], compare: impl Fn(&T, &T) -> std::cmp::Ordering) -> Vec<u16> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| compare(&values[a], &values[b]));
    let mut rank = vec![0u16; values.len()];
    for (new, &old) in (0u16..).zip(&order) {
        rank[old] = new;
    }
    rank
}

fn reorder<T: Clone>(values: &[T], rank: &[u16]) -> Vec<T> {
    let mut pairs: Vec<(u16, T)> = rank.iter().copied().zip(values.iter().cloned()).collect();
    pairs.sort_by_key(|(rank, _)| *rank);
    pairs.into_iter().map(|(_, v)| v).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::label_condition;

    const SIGMA: Known = Known { sigma: true, mark: false };

    fn row(event: &'static str, symbol: &'static str, minute: i64) -> OutcomeRow<'static> {
        OutcomeRow {
            event_type: event,
            family: "F",
            symbol,
            timestamp: Ts(minute * 60_000),
            entry: Ts((minute + 5) * 60_000),
            exit: Ts((minute + 10) * 60_000),
            direction: 1,
            horizon: "5m",
            forward_return: 0.001,
            mark: f64::NAN,
            cost_bps: 12.0,
            sigma_bar: 0.002,
        }
    }

    #[test]
    fn the_order_of_the_input_leaves_no_trace() {
        let rows = [row("B", "ETHUSDT", 10), row("A", "BTCUSDT", 10), row("A", "ETHUSDT", 5)];
        let build = |order: &[usize]| {
            let mut builder = TableBuilder::new(vec![label_condition("vol_regime", "low")], SIGMA);
            for &i in order {
                builder.push(&rows[i], if i == 1 { &[0] } else { &[] }).unwrap();
            }
            builder.finish()
        };
        let table = build(&[0, 1, 2]);
        assert_eq!(table, build(&[2, 1, 0]));
        assert_eq!(table.timestamp, [300_000, 600_000, 600_000]);
        assert!(table.is_active(1, 0) && !table.is_active(2, 0));
    }

    #[test]
    fn a_wrong_row_is_named() {
        let mut builder = TableBuilder::new(Vec::new(), SIGMA);
        builder.push(&row("A", "BTCUSDT", 0), &[]).unwrap();
        let bad = OutcomeRow { family: "G", ..row("A", "BTCUSDT", 5) };
        assert_eq!(
            builder.push(&bad, &[]).unwrap_err().to_string(),
            "row 1, column canonical_family: A is in 'G' here and in 'F' above"
        );
        let bad = OutcomeRow { horizon: "7m", ..row("A", "BTCUSDT", 5) };
        assert!(builder.push(&bad, &[]).unwrap_err().to_string().starts_with("row 1, column horizon: '7m'"));
    }
}
