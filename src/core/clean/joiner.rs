//! The joiner itself.

use crate::market::HOUR_MS;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::asof::AsOf;
use super::calendar::{Sessions, minutes, release_minutes};
use super::order::check_order;
use super::{CleanError, CleanPolicy, SymbolPolicy, checkpoint};
use crate::market::{
    BarIndex, Columns, FundingPrint, Kind, RawBlock, RawSymbol, Record, Rows, Source, Symbol, SymbolColumns,
    TickBlock, Ts,
};

/// Longest spacing of prints that is taken for an interval; a longer one has a missed print inside.
pub(super) const LONGEST_INTERVAL_H: i64 = 8;
/// Longest spacing of prints that is taken for intervals with missed prints between them. What comes before a
/// longer one says nothing any more: what a print means is settled by a bounded stretch of history.
pub(super) const LONGEST_GAP_H: i64 = 2 * LONGEST_INTERVAL_H;
/// Layout of [`Joiner::checkpoint`].
pub(super) const CHECKPOINT_VERSION: u32 = 4;

/// A print as held.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Print {
    pub(super) rate: f64,
    /// Hours of its interval; resolved when it becomes known.
    pub(super) hours: f64,
    /// Whole hours since the print before; NaN when there was none, or it cannot be an interval.
    pub(super) spacing_h: f64,
}

/// Turns stretches of the raw log into source columns, in order, any chunking.
#[derive(Clone, Debug)]
pub struct Joiner {
    pub(super) symbols: Vec<Symbol>,
    policy: CleanPolicy,
    opens: Sessions,
    closes: Sessions,
    pub(super) next: BarIndex,
    pub(super) states: Vec<State>,
}

/// What is remembered of a symbol between blocks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) funding: AsOf<Print>,
    /// Of every kind that the policy has a rule for.
    pub(super) instants: BTreeMap<Kind, AsOf<Columns>>,
}

/// Columns of one symbol under construction.
struct Out<'a> {
    columns: SymbolColumns,
    policy: &'a SymbolPolicy,
    rows: usize,
}

impl Out<'_> {
    fn set(&mut self, source: Source, values: Vec<f64>) {
        self.columns.set(source, values);
    }

    fn wants(&self, source: Source) -> bool {
        self.policy.collected.contains(&source)
    }

    fn constant(&mut self, source: Source, value: f64) {
        if !value.is_nan() {
            self.set(source, vec![value; self.rows]);
        }
    }
}

impl Joiner {
    /// A joiner whose first row is `first`.
    ///
    /// # Errors
    /// When the policy has another number of symbols or a calendar cannot be used.
    pub fn new(symbols: &[Symbol], policy: CleanPolicy, first: BarIndex) -> Result<Self, CleanError> {
        if policy.symbols.len() != symbols.len() {
            return Err(CleanError::Symbols { expected: symbols.len(), found: policy.symbols.len() });
        }
        let state = State {
            funding: AsOf::default(),
            instants: policy.instants.keys().map(|kind| (*kind, AsOf::default())).collect(),
        };
        Ok(Self {
            opens: Sessions::new(&policy.calendars.sessions, true)?,
            closes: Sessions::new(&policy.calendars.sessions, false)?,
            states: vec![state; symbols.len()],
            symbols: symbols.to_vec(),
            policy,
            next: first,
        })
    }

    /// The bar the next block must start with.
    #[must_use]
    pub const fn next_bar(&self) -> BarIndex {
        self.next
    }

    /// The kinds at instants that it holds beside funding.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        self.policy.instants.keys().copied()
    }

    /// Rows before the first one whose instants [`Joiner::prime`] wants: as far back as a held value may
    /// reach, with the settlements before it, whose distances say how long a settlement is held.
    #[must_use]
    pub fn lead_in_rows(&self) -> usize {
        self.policy.lead_in_rows()
    }

    /// Takes in the instants of the stretch that ends where the first row begins, so that a settlement, an
    /// open interest or a depth that was known by then is held on the first rows. Must come before the first
    /// [`Joiner::push`].
    ///
    /// # Errors
    /// When the stretch ends elsewhere or has other symbols.
    pub fn prime(&mut self, history: &RawBlock) -> Result<(), CleanError> {
        let end = history.first + i64::try_from(history.rows).unwrap_or(i64::MAX);
        if end != self.next {
            return Err(CleanError::NotNext { expected: self.next, found: end });
        }
        if history.symbols.len() != self.symbols.len() {
            return Err(CleanError::Symbols { expected: self.symbols.len(), found: history.symbols.len() });
        }
        for (i, raw) in history.symbols.iter().enumerate() {
            check_order(raw);
            self.states[i].prime(raw, &self.policy, self.policy.symbols[i].funding_interval_h, end.open());
        }
        Ok(())
    }

    /// Joins the next rows.
    ///
    /// # Errors
    /// When the block does not continue the last one, or has other symbols.
    pub fn push(&mut self, raw: &RawBlock) -> Result<TickBlock, CleanError> {
        if raw.first != self.next {
            return Err(CleanError::NotNext { expected: self.next, found: raw.first });
        }
        if raw.symbols.len() != self.symbols.len() {
            return Err(CleanError::Symbols { expected: self.symbols.len(), found: raw.symbols.len() });
        }
        let calendar = self.calendar_columns(raw.first, raw.rows);
        let mut symbols = Vec::with_capacity(self.symbols.len());
        for (i, records) in raw.symbols.iter().enumerate() {
            let policy = &self.policy.symbols[i];
            let mut out = Out { columns: SymbolColumns::new(), policy, rows: raw.rows };
            let slots = Slots { first: raw.first, rows: raw.rows };
            bar_columns(&mut out, slots, records, &self.policy);
            out.constant(Source::InterestRate8h, policy.interest_rate_8h);
            fee_columns(&mut out, slots);
            out.constant(Source::TickSize, policy.tick_size);
            check_order(records);
            let state = &mut self.states[i];
            state.take(records);
            let intervals = state.funding_columns(&mut out, &self.policy, slots);
            scale_prediction(&mut out, &intervals);
            state.instant_columns(&mut out, &self.policy, slots);
            for (source, values) in &calendar {
                out.set(*source, values.clone());
            }
            symbols.push(out.columns);
        }
        self.next = raw.first + i64::try_from(raw.rows).unwrap_or(i64::MAX);
        debug_assert!(
            symbols
                .iter()
                .all(|s| Source::ALL.iter().all(|c| s.get(*c).is_none_or(|column| column.len() == raw.rows))),
            "every column has a value for every row"
        );
        Ok(TickBlock { first: raw.first, rows: raw.rows, symbols })
    }

    /// Session and release columns: the same for every symbol.
    fn calendar_columns(&mut self, first: BarIndex, rows: usize) -> Vec<(Source, Vec<f64>)> {
        let closes = || (0..rows as i64).map(|r| (first + r).close());
        let mut out = Vec::new();
        for (sessions, since, to) in [
            (&mut self.opens, Source::MinutesSinceSessionOpens, Source::MinutesToSessionOpens),
            (&mut self.closes, Source::MinutesSinceSessionCloses, Source::MinutesToSessionCloses),
        ] {
            if sessions.is_empty() {
                continue;
            }
            let (a, b) = closes().map(|close| sessions.minutes(close)).unzip();
            out.push((since, a));
            out.push((to, b));
        }
        let releases = &self.policy.calendars.releases;
        if !releases.is_empty() {
            let (a, b) = closes().map(|close| release_minutes(releases, close)).unzip();
            out.push((Source::MinutesSinceMacro, a));
            out.push((Source::MinutesToMacro, b));
        }
        out
    }
}

/// The rows of a block.
#[derive(Clone, Copy)]
struct Slots {
    first: BarIndex,
    rows: usize,
}

impl Slots {
    fn closes(self) -> impl Iterator<Item = Ts> {
        (0..self.rows as i64).map(move |r| (self.first + r).close())
    }
}

/// Columns of the kinds that stand on their own slot; slots without a record are NaN.
fn bar_columns(out: &mut Out<'_>, slots: Slots, raw: &RawSymbol, policy: &CleanPolicy) {
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.is_bar_like()) {
        let least = kind.facts().coverage.zip(policy.min_coverage.get(&kind).copied());
        slot_columns(out, slots, raw.rows(kind), kind.sources(), least);
    }
    slot_columns(out, slots, &raw.spot, &Source::SPOT_BAR, None);
}

/// With a coverage, the columns are unknown where less of the bar was observed. The coverage itself is always
/// shown.
fn slot_columns(
    out: &mut Out<'_>,
    slots: Slots,
    rows: &dyn Rows,
    sources: &[Source],
    least: Option<(Source, f64)>,
) {
    let column = |at: usize| {
        let mut values = vec![f64::NAN; slots.rows];
        rows.spread(at, slots.first.0, &mut values);
        values
    };
    let observed = least.and_then(|(coverage, least)| {
        let at = sources.iter().position(|source| *source == coverage)?;
        Some((coverage, column(at).into_iter().map(|share| share >= least).collect::<Vec<bool>>()))
    });
    for (at, source) in sources.iter().copied().enumerate() {
        if !out.wants(source) {
            continue;
        }
        let mut values = column(at);
        if let Some((coverage, is_observed)) = &observed
            && source != *coverage
        {
            for (value, _) in values.iter_mut().zip(is_observed).filter(|(_, is_observed)| !**is_observed) {
                *value = f64::NAN;
            }
        }
        out.set(source, values);
    }
}

/// Predicted rate in bps per 8 h: decimal per interval, scaled by the interval known on the row.
fn scale_prediction(out: &mut Out<'_>, intervals: &[f64]) {
    let Some(rates) = out.columns.get(Source::FundingPredBps) else { return };
    let scaled =
        rates.iter().zip(intervals).map(|(rate, interval_h)| rate * 1e4 * 8.0 / interval_h).collect();
    out.set(Source::FundingPredBps, scaled);
}

/// Fees in force at each row's close.
fn fee_columns(out: &mut Out<'_>, slots: Slots) {
    let policy = out.policy;
    let first = [policy.taker_fee_bps, policy.maker_fee_bps];
    if policy.fee_steps.is_empty() {
        out.constant(Source::TakerFeeBps, first[0]);
        out.constant(Source::MakerFeeBps, first[1]);
        return;
    }
    let at =
        |close: Ts| policy.fee_steps.iter().rev().find(|(from, _)| *from <= close).map_or(first, |s| s.1);
    for (i, source) in [Source::TakerFeeBps, Source::MakerFeeBps].into_iter().enumerate() {
        out.set(source, slots.closes().map(|close| at(close)[i]).collect());
    }
}

impl State {
    fn take(&mut self, raw: &RawSymbol) {
        // A record without its value is no record: the one before it is held on.
        self.funding.take(raw.funding.iter().filter(|p| p.is_known()).map(|p| (p.ts, Print::new(p))));
        for (kind, as_of) in &mut self.instants {
            let mut records = Vec::new();
            raw.rows(*kind).each(&mut |time, columns, is_known| {
                if is_known {
                    records.push((Ts(time), *columns));
                }
            });
            as_of.take(records.into_iter());
        }
    }

    /// Holds what was known at `close` of history, where no row is made.
    fn prime(&mut self, raw: &RawSymbol, policy: &CleanPolicy, default_h: f64, close: Ts) {
        self.take(raw);
        self.funding.advance(close, policy.funding_lag_ms, |before, print| {
            print.1.resolve(print.0, before, default_h);
        });
        for (kind, as_of) in &mut self.instants {
            if let Some(rule) = policy.instants.get(kind) {
                as_of.advance(close, rule.lag_ms, |_, _| {});
            }
        }
    }

    /// Funding columns; returns the interval in hours known on each row.
    fn funding_columns(&mut self, out: &mut Out<'_>, policy: &CleanPolicy, slots: Slots) -> Vec<f64> {
        let rows = slots.rows;
        let default_h = out.policy.funding_interval_h;
        let mut rate = vec![f64::NAN; rows];
        let mut is_print = vec![f64::NAN; rows];
        let mut interval = vec![f64::NAN; rows];
        let mut intervals = vec![default_h; rows];
        let (mut since, mut to) = (vec![f64::NAN; rows], vec![f64::NAN; rows]);
        for (row, close) in slots.closes().enumerate() {
            let mut printed = false;
            self.funding.advance(close, policy.funding_lag_ms, |before, print| {
                print.1.resolve(print.0, before, default_h);
                printed = true;
            });
            if let Some((ts, Print { rate: held_rate, hours, .. })) = self.funding.held {
                is_print[row] = f64::from(u8::from(printed));
                intervals[row] = hours;
                let hold_ms = (hours * HOUR_MS as f64) as i64 + policy.funding_grace_ms;
                if close.0 - ts.0 <= hold_ms {
                    rate[row] = held_rate;
                    interval[row] = hours;
                }
            }
            let step = (intervals[row] * HOUR_MS as f64) as i64;
            if step > 0 {
                let past = close.0.rem_euclid(step);
                since[row] = minutes(Some(past));
                to[row] = minutes(Some(if past == 0 { 0 } else { step - past }));
            }
        }
        for (source, values) in [
            (Source::FundingRate, rate),
            (Source::IsFundingPrint, is_print),
            (Source::FundingIntervalH, interval),
        ] {
            if out.wants(source) {
                out.set(source, values);
            }
        }
        out.set(Source::MinutesSinceFunding, since);
        out.set(Source::MinutesToFunding, to);
        intervals
    }

    fn instant_columns(&mut self, out: &mut Out<'_>, policy: &CleanPolicy, slots: Slots) {
        for (kind, as_of) in &mut self.instants {
            let Some(rule) = policy.instants.get(kind) else { continue };
            let sources = kind.sources();
            let mut columns = vec![vec![f64::NAN; slots.rows]; sources.len()];
            for (row, close) in slots.closes().enumerate() {
                as_of.advance(close, rule.lag_ms, |_, _| {});
                if let Some(values) = as_of.value(close, rule.hold_ms) {
                    for (column, value) in columns.iter_mut().zip(values) {
                        column[row] = value;
                    }
                }
            }
            for (source, values) in sources.iter().copied().zip(columns) {
                if out.wants(source) {
                    out.set(source, values);
                }
            }
        }
    }
}

impl Print {
    const fn new(print: &FundingPrint) -> Self {
        Self { rate: print.rate, hours: print.interval_hours, spacing_h: f64::NAN }
    }

    /// Finds the interval: the print's own record, else by the spacing to the print before, else the
    /// contract's.
    ///
    /// A shorter spacing is the interval from now on. One that is a multiple of the spacing before it has a
    /// missed settlement inside, or is a new and longer interval: that is believed when it comes twice in a
    /// row.
    fn resolve(&mut self, ts: Ts, before: Option<(Ts, Self)>, default_h: f64) {
        let has_own = self.hours > 0.0;
        let Some((previous, held)) = before else {
            self.hours = if has_own { self.hours } else { default_h };
            return;
        };
        if previous == ts {
            self.spacing_h = held.spacing_h;
            self.hours = if has_own { self.hours } else { held.hours };
            return;
        }
        let hours = (ts.0 - previous.0 + HOUR_MS / 2).div_euclid(HOUR_MS);
        let spacing = hours as f64;
        let is_interval = (1..=LONGEST_INTERVAL_H).contains(&hours);
        if is_interval {
            self.spacing_h = spacing;
        }
        // The first print has no spacing: its interval is an assumption, which the second one may refute.
        let is_multiple = spacing > held.spacing_h && spacing % held.spacing_h == 0.0;
        self.hours = if has_own {
            self.hours
        } else if is_multiple && hours <= LONGEST_GAP_H {
            held.spacing_h
        } else if is_interval {
            spacing
        } else {
            default_h
        };
    }
}

impl Joiner {
    /// Everything that later rows depend on.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn checkpoint(&self) -> Result<Vec<u8>, CleanError> {
        checkpoint::write(self)
    }

    /// A joiner that continues where [`Joiner::checkpoint`] was taken.
    ///
    /// # Errors
    /// When the bytes are damaged or belong to other symbols.
    pub fn restore(symbols: &[Symbol], policy: CleanPolicy, bytes: &[u8]) -> Result<Self, CleanError> {
        let mut joiner = Self::new(symbols, policy, BarIndex(0))?;
        checkpoint::read(&mut joiner, bytes)?;
        Ok(joiner)
    }
}
