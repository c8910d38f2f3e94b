//! The ledger of a series in words: which stretches are complete, which are open, which are lost and why,
//! what was repaired and how.

use serde::{Serialize, Serializer};

use super::ledger::{Ledger, Stretch, can_settle};
use backtestd_binance::Rest;
use backtestd_core::market::{BAR_MS, BARS_PER_DAY, BarIndex, Kind, Market, SeriesKey, Symbol, Ts};
use backtestd_store::{Store, StoreError};

/// Stretches of a series that are listed, the newest ones.
const LISTED: usize = 500;

/// Of what has no history at the exchange, so many bars are looked at.
const LISTENED_BARS: i64 = 30 * BARS_PER_DAY;

/// State of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Asked for and answered, or imported.
    Complete,
    /// Changed after its time, as said.
    Repaired,
    /// Told by a stream, and not confirmed.
    Unconfirmed,
    /// Nobody has told it yet; it is asked for.
    Open,
    /// Not to be had, as far as is known.
    Lost,
}

impl State {
    /// The word in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Repaired => "repaired",
            Self::Unconfirmed => "unconfirmed",
            Self::Open => "open",
            Self::Lost => "lost",
        }
    }
}

/// A stretch of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Range {
    /// How it stands with the stretch.
    pub state: State,
    /// First instant: the open of the first bar.
    #[serde(serialize_with = "time")]
    pub from: Ts,
    /// End, exclusive: the close of the last bar.
    #[serde(serialize_with = "time")]
    pub to: Ts,
    /// Records that it has or ought to have.
    pub records: u64,
    /// How it was repaired, or why it is lost.
    pub why: String,
    /// When it was repaired, or when it is asked about again.
    #[serde(serialize_with = "optional_time")]
    pub when: Option<Ts>,
}

/// What is known of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeriesGaps {
    /// Symbol of the series.
    pub symbol: Symbol,
    /// Market of the series.
    pub market: Market,
    /// Kind of its records.
    pub kind: &'static str,
    /// Records filled in after their time, over all repairs.
    pub filled: u64,
    /// Records corrected after their time, over all repairs.
    pub corrected: u64,
    /// Stretches, oldest first; of each state the newest 500 at most.
    pub ranges: Vec<Range>,
}

fn time<S: Serializer>(ts: &Ts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(ts)
}

fn optional_time<S: Serializer>(ts: &Option<Ts>, serializer: S) -> Result<S::Ok, S::Error> {
    match ts {
        Some(ts) => serializer.collect_str(ts),
        None => serializer.serialize_none(),
    }
}

/// The rows that are looked at: from the first of the facts to the present.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// First bar that is looked at.
    pub first: BarIndex,
    /// First bar that has not been committed.
    pub end: BarIndex,
    /// The exchange's time, as far as it is known.
    pub now: Ts,
}

impl SeriesGaps {
    /// Reads it from ledger and store.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read(store: &Store, ledger: &Ledger, series: &SeriesKey, span: Span) -> Result<Self, StoreError> {
        let whole = if series.kind.is_bar_like() {
            Stretch { from: span.first.0, to: span.end.0 }
        } else {
            Stretch { from: span.first.open().0 + 1, to: span.end.open().0 + 1 - BAR_MS }
        };
        let teller = Teller { kind: series.kind };
        let mut ranges = if Rest::history_page(series.kind).is_some() {
            teller.asked(store, ledger, series, whole, span.now)?
        } else {
            teller.listened(store, series, whole)?
        };
        for repair in ledger.repairs() {
            let mut range = teller.range(
                State::Repaired,
                repair.at,
                &format!("{} by {}", repair.change.name(), repair.how),
            );
            range.records = repair.records;
            range.when = Some(repair.when);
            ranges.push(range);
        }
        ranges.sort_by_key(|range| (range.from, range.state));
        for state in [State::Complete, State::Repaired, State::Unconfirmed, State::Open, State::Lost] {
            let mut surplus = ranges.iter().filter(|r| r.state == state).count().saturating_sub(LISTED);
            ranges.retain(|range| {
                let goes = range.state == state && surplus > 0;
                surplus -= usize::from(goes);
                !goes
            });
        }
        let SeriesKey { symbol, market, kind } = series;
        let (filled, corrected) = (ledger.filled, ledger.corrected);
        Ok(Self { symbol: symbol.clone(), market: *market, kind: kind.name(), filled, corrected, ranges })
    }

    /// Whether nothing is open or lost.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.ranges.iter().all(|range| matches!(range.state, State::Complete | State::Repaired))
    }
}

/// Words for stretches of a kind.
struct Teller {
    kind: Kind,
}

impl Teller {
    fn range(&self, state: State, at: Stretch, why: &str) -> Range {
        let (from, to) = if self.kind.is_bar_like() {
            (BarIndex(at.from).open(), BarIndex(at.to).open())
        } else {
            (Ts(at.from), Ts(at.to))
        };
        let records = at.records(self.kind);
        Range { state, from, to, records, why: why.to_owned(), when: None }
    }

    /// Of what the exchange can be asked for.
    fn asked(
        &self,
        store: &Store,
        ledger: &Ledger,
        series: &SeriesKey,
        whole: Stretch,
        now: Ts,
    ) -> Result<Vec<Range>, StoreError> {
        let mut ranges = Vec::new();
        let kept_from = Rest::kept_from(self.kind, now).map_or(i64::MIN, |ts| ts.0);
        for open in ledger.open(whole) {
            if open.to <= kept_from {
                ranges.push(self.range(State::Lost, open, "the exchange keeps it for 30 days only"));
                continue;
            }
            if self.kind == Kind::Funding && !can_settle(open) {
                ranges.push(self.range(State::Complete, open, ""));
                continue;
            }
            let seen = if self.kind.is_bar_like() {
                store.series_rows(series, open.from, open.to)?.times
            } else {
                Vec::new()
            };
            for (at, has_record) in runs(open, &seen) {
                ranges.push(if has_record {
                    self.range(State::Unconfirmed, at, "told by a stream")
                } else {
                    self.range(State::Open, at, "being asked for")
                });
            }
        }
        let mut known: Vec<Stretch> =
            ledger.settled().iter().filter_map(|settled| settled.common(whole)).collect();
        for hole in ledger.holes() {
            let Some(at) = hole.at.common(whole) else { continue };
            let why = if at.to <= kept_from {
                "the exchange keeps it for 30 days only".to_owned()
            } else {
                format!("the exchange has nothing there: {} answers since {}", hole.answers, hole.since)
            };
            let mut range = self.range(State::Lost, at, &why);
            range.when = (at.to > kept_from).then_some(hole.next);
            ranges.push(range);
            known = known
                .into_iter()
                .flat_map(|s| {
                    [Stretch { to: s.to.min(at.from), ..s }, Stretch { from: s.from.max(at.to), ..s }]
                })
                .filter(|s| s.from < s.to)
                .collect();
        }
        ranges.extend(known.into_iter().map(|at| self.range(State::Complete, at, "")));
        Ok(ranges)
    }

    /// Of what only who listens can know: from the first record on.
    fn listened(&self, store: &Store, series: &SeriesKey, whole: Stretch) -> Result<Vec<Range>, StoreError> {
        let whole = Stretch { from: whole.from.max(whole.to - LISTENED_BARS), ..whole };
        let rows = store.series_rows(series, whole.from, whole.to)?;
        let Some(first) = rows.times.first() else {
            return Ok(vec![self.range(
                State::Lost,
                whole,
                "nobody has listened, and the exchange has no history",
            )]);
        };
        let coverage = rows.names.iter().position(|name| name.ends_with("coverage"));
        let share = |row: usize| coverage.map_or(1.0, |column| rows.columns[column][row]);
        let mut parts: Vec<(Stretch, Heard)> = Vec::new();
        let mut add = |at: Stretch, heard: Heard| match parts.last_mut() {
            Some((last, known)) if *known == heard && last.to == at.from => last.to = at.to,
            _ => parts.push((at, heard)),
        };
        let mut next = *first;
        for (row, slot) in rows.times.iter().enumerate() {
            if *slot > next {
                add(Stretch { from: next, to: *slot }, Heard::Nothing);
            }
            let heard = match share(row) {
                share if share >= 1.0 => Heard::All,
                share if share > 0.0 => Heard::Part,
                _ => Heard::Nothing,
            };
            add(Stretch { from: *slot, to: slot + 1 }, heard);
            next = slot + 1;
        }
        if next < whole.to {
            add(Stretch { from: next, to: whole.to }, Heard::Nothing);
        }
        Ok(parts.into_iter().map(|(at, heard)| self.heard(at, heard)).collect())
    }

    fn heard(&self, at: Stretch, heard: Heard) -> Range {
        match heard {
            Heard::All => self.range(State::Complete, at, ""),
            Heard::Part => self.range(
                State::Lost,
                at,
                "heard in part, as its coverage says; the exchange has no history",
            ),
            Heard::Nothing => {
                self.range(State::Lost, at, "nobody has listened, and the exchange has no history")
            }
        }
    }
}

/// How much of a bar was heard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    All,
    Part,
    Nothing,
}

/// The runs of slots with and without a record.
fn runs(open: Stretch, seen: &[i64]) -> Vec<(Stretch, bool)> {
    let mut runs: Vec<(Stretch, bool)> = Vec::new();
    let mut add = |from: i64, to: i64, has_record: bool| {
        if from >= to {
            return;
        }
        match runs.last_mut() {
            Some((last, known)) if *known == has_record && last.to == from => last.to = to,
            _ => runs.push((Stretch { from, to }, has_record)),
        }
    };
    let mut next = open.from;
    for slot in seen {
        add(next, *slot, false);
        add(*slot, slot + 1, true);
        next = slot + 1;
    }
    add(next, open.to, false);
    runs
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Told;
    use super::*;
    use backtestd_core::market::{LiquidationBar, RawPut};
    use backtestd_store::{Delivery, Origin};

    const FIRST: BarIndex = BarIndex(6_000_000);

    fn span(bars: i64) -> Span {
        let end = FIRST + bars;
        Span { first: FIRST, end, now: end.open() }
    }

    fn key(kind: Kind) -> SeriesKey {
        SeriesKey { kind, market: Market::Perp, symbol: Symbol::new("BTCUSDT").unwrap() }
    }

    fn words(gaps: &SeriesGaps) -> Vec<(&'static str, i64, i64)> {
        let bar = |ts: Ts| ts.bar() - FIRST;
        gaps.ranges.iter().map(|r| (r.state.name(), bar(r.from), bar(r.to))).collect()
    }

    #[test]
    fn every_slot_is_complete_open_unconfirmed_or_lost() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let series = key(Kind::Bars);
        let bar = |n: i64| backtestd_core::market::Bar::from_values(FIRST + n, [1.0; 9]);
        let delivery = Delivery::new(Origin::Stream, "test");
        store.put_bars(Market::Perp, &series.symbol, &[bar(7), bar(8)], delivery).unwrap();
        let mut ledger = Ledger::default();
        let at = |from, to| Stretch { from: FIRST.0 + from, to: FIRST.0 + to };
        ledger.settle(at(0, 6), &[at(2, 3)], Told { answers: 2, now: FIRST.open(), patience_s: &[0, 600] });
        let gaps = SeriesGaps::read(&store, &ledger, &series, span(10)).unwrap();
        assert_eq!(
            words(&gaps),
            [
                ("complete", 0, 2),
                ("lost", 2, 3),
                ("complete", 3, 6),
                ("open", 6, 7),
                ("unconfirmed", 7, 9),
                ("open", 9, 10)
            ]
        );
        assert!(gaps.ranges[1].why.contains("2 answers") && !gaps.is_complete(), "{gaps:?}");
    }

    #[test]
    fn what_has_no_history_is_lost_where_nobody_listened() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let series = key(Kind::Liquidations);
        let sum = |n: i64, coverage| LiquidationBar {
            bar: FIRST + n,
            long_usd: 0.0,
            short_usd: 0.0,
            long_n: 0.0,
            short_n: 0.0,
            coverage,
        };
        let records = vec![sum(2, 1.0), sum(3, 0.4), sum(6, 1.0)].into();
        let put = RawPut { symbol: series.symbol.clone(), records };
        store.put(&[put], Delivery::new(Origin::Stream, "test")).unwrap();
        let gaps = SeriesGaps::read(&store, &Ledger::default(), &series, span(7)).unwrap();
        assert_eq!(
            words(&gaps),
            [("complete", 2, 3), ("lost", 3, 4), ("lost", 4, 6), ("complete", 6, 7)],
            "from the first record on"
        );
        assert!(gaps.ranges[1].why.contains("in part"));
    }
}
