//! The law by which records meet. Each column has the value of the best delivery that knows it, as long as
//! the record can be true (`likelier`):
//!
//! 1. Unknown never overwrites known, and known fills unknown.
//! 2. Of a sum over a bar (liquidations, quotes), the one that covers more of the bar stands.
//! 3. A lower [`Rank`] never overwrites a higher one: a table < the stream < what the exchange has on record.
//! 4. Of equal rank: of bars the one with more trades stands (fewer trades are a bar that was still running),
//!    then the archive before a REST answer: a file is made once, after its day, and has a checksum; an
//!    answer is what was said at a moment, and can be false for that moment. Of anything else a REST answer
//!    stands before the archive, of which labels have changed their meaning. Within the archive more trades,
//!    then the daily file before the monthly one, then the later publication. Of two REST answers, or two
//!    bars of the stream, the later one stands. Of two tables the bar with more trades, else more volume.
//! 5. Where nothing of this decides, the later delivery stands.
//!
//! [`Prefer`] replaces 2 to 5 where the user says so. Values that agree take the later one of their origins
//! in the order of [`Origin`]: a bar of the stream that REST repeats is confirmed, and a bar of REST that a
//! file repeats stays one of REST, so that what the exchange corrects there afterwards is believed.

use std::cmp::Ordering;

use super::Prefer;
use super::kv::series::{Ids, canonical};
use crate::Origin;
use backtestd_core::market::{Columns, Kind, MAX_COLUMNS, Rank, Ts};

/// What a delivery says of itself, as far as it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The delivery's number.
    pub id: u32,
    pub origin: Origin,
    /// When it was made, where it says so.
    pub made: Option<Ts>,
}

/// What was said of each column of a record.
#[derive(Clone, Debug)]
pub(super) enum Says {
    /// All columns came together.
    One(Said),
    /// Each came with its own delivery.
    Each(Box<[Said; MAX_COLUMNS]>),
}

impl Says {
    pub(super) fn of(&self, column: usize) -> Said {
        match self {
            Self::One(said) => *said,
            Self::Each(all) => all[column],
        }
    }

    fn set(&mut self, column: usize, said: Said) {
        match self {
            Self::One(one) if *one == said => {}
            Self::One(one) => {
                let mut all = [*one; MAX_COLUMNS];
                all[column] = said;
                *self = Self::Each(Box::new(all));
            }
            Self::Each(all) => all[column] = said,
        }
    }
}

/// A record and what was said of it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub columns: Columns,
    pub says: Says,
}

impl Held {
    /// The least trusted origin of its known columns, and the delivery of each of them.
    pub(super) fn provenance(&self, width: usize) -> (Origin, Ids) {
        let mut ids = [0; MAX_COLUMNS];
        let mut least: Option<Origin> = None;
        for (column, id) in ids.iter_mut().enumerate().take(width) {
            if !self.columns[column].is_nan() {
                let said = self.says.of(column);
                *id = said.id;
                least = Some(least.map_or(said.origin, |origin| origin.min(said.origin)));
            }
        }
        (least.unwrap_or_else(|| self.says.of(0).origin), ids)
    }
}

/// What merging one record came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Merged {
    /// A column that was unknown is known now.
    pub filled: bool,
    /// Values that agree have a better origin now.
    pub confirmed: bool,
    /// Bit i: column i conflicted, and the new value stands.
    pub won: u32,
    /// Bit i: column i conflicted, and the old value stands.
    pub kept: u32,
}

/// Merges `new` into `old`, column by column.
pub(super) fn merge(kind: Kind, old: &mut Held, new: &Held, prefer: Prefer) -> Merged {
    let (mut out, mut better) = (Merged::default(), 0_u32);
    let weights = (Weight::of(kind, &old.columns), Weight::of(kind, &new.columns));
    for column in 0..kind.columns().len() {
        let (was, now) = (old.columns[column], canonical(new.columns[column]));
        if now.is_nan() {
            continue;
        }
        let (before, said) = (old.says.of(column), new.says.of(column));
        if was.to_bits() == now.to_bits() {
            better |= u32::from(said.origin > before.origin) << column;
            continue;
        }
        if was.is_nan() {
            out.filled = true;
        } else if new_stands(kind, (before, said), &weights, prefer) {
            out.won |= 1 << column;
        } else {
            out.kept |= 1 << column;
            continue;
        }
        old.columns[column] = now;
        old.says.set(column, said);
    }
    for column in (0..kind.columns().len()).filter(|column| better & 1 << column != 0) {
        // A bar of a file that REST contradicts elsewhere stays the file's in what they agree on: it stands
        // or goes whole.
        let is_files = kind == Kind::Bars && old.says.of(column).origin.rank() == Rank::Recorded;
        if out.kept == 0 || !is_files {
            old.says.set(column, new.says.of(column));
            out.confirmed = true;
        }
    }
    if kind == Kind::Bars && out.won != 0 {
        whole_bar(old, new);
    }
    out
}

/// A bar of REST that a file has corrected in one column is the file's in all that they agree on, in this
/// order too.
fn whole_bar(held: &mut Held, new: &Held) {
    let is_recorded = |origin: Origin| origin.rank() == Rank::Recorded;
    for column in 0..Kind::Bars.columns().len() {
        let (before, said) = (held.says.of(column), new.says.of(column));
        let agrees = held.columns[column].to_bits() == canonical(new.columns[column]).to_bits();
        let is_of_file = is_recorded(said.origin) && said.origin != Origin::Rest;
        if agrees && is_of_file && before.origin == Origin::Rest {
            held.says.set(column, said);
        }
    }
}

/// How much of its bar a record saw, as it says itself; unknown is the least.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Weight([f64; 2]);

impl Weight {
    fn of(kind: Kind, columns: &Columns) -> Self {
        const VOLUME: usize = 4;
        const TRADES: usize = 6;
        let coverage = kind.facts().coverage;
        let weight = match kind.sources().iter().position(|source| Some(*source) == coverage) {
            Some(covered) => [columns[covered], 0.0],
            None if kind == Kind::Bars => [columns[TRADES], columns[VOLUME]],
            None => [0.0; 2],
        };
        Self(weight.map(|v| if v.is_nan() { -1.0 } else { v }))
    }

    /// Compares the number of trades of two bars, and nothing else.
    fn trades_against(&self, other: &Self) -> Ordering {
        self.0[0].partial_cmp(&other.0[0]).unwrap_or(Ordering::Equal)
    }
}

/// Whether the new one of two known values stands.
fn new_stands(kind: Kind, (old, new): (Said, Said), (was, now): &(Weight, Weight), prefer: Prefer) -> bool {
    match prefer {
        Prefer::New => return true,
        Prefer::Stored => return false,
        Prefer::Better => {}
    }
    let weight = now.partial_cmp(was).unwrap_or(Ordering::Equal);
    let covers = if kind.facts().coverage.is_some() { weight } else { Ordering::Equal };
    let made = match (old.made, new.made) {
        (Some(old), Some(new)) => new.cmp(&old),
        _ => Ordering::Equal,
    };
    let rank = new.origin.rank();
    let by_kind = match rank {
        _ if rank != old.origin.rank() => rank.cmp(&old.origin.rank()),
        Rank::Recorded if new.origin == Origin::Rest && old.origin == Origin::Rest => made,
        Rank::Recorded if new.origin == Origin::Rest || old.origin == Origin::Rest => {
            let by_origin = new.origin.cmp(&old.origin);
            if kind == Kind::Bars { now.trades_against(was).then(by_origin.reverse()) } else { by_origin }
        }
        Rank::Recorded => weight.then(new.origin.cmp(&old.origin)).then(made),
        Rank::Heard => made,
        Rank::Anybody => weight.then(made),
    };
    covers.then(by_kind).is_ge()
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: f64 = f64::NAN;

    fn held(origin: Origin, made: Option<i64>, values: &[f64]) -> Held {
        let mut columns = [N; MAX_COLUMNS];
        columns[..values.len()].copy_from_slice(values);
        let said = Said { id: 16 + origin as u32, origin, made: made.map(Ts) };
        Held { columns, says: Says::One(said) }
    }

    /// A bar with a close, a volume and trades.
    fn bar(origin: Origin, close: f64, volume: f64, trades: f64) -> Held {
        held(origin, None, &[1.0, 9.0, 0.5, close, volume, N, trades])
    }

    fn both(kind: Kind, first: &Held, second: &Held) -> (Columns, Merged) {
        let mut out = first.clone();
        let merged = merge(kind, &mut out, second, Prefer::Better);
        (out.columns, merged)
    }

    #[test]
    fn unknown_never_overwrites_known_and_known_fills_unknown() {
        let (columns, merged) =
            both(Kind::Depth, &held(Origin::Rest, None, &[1.0, N]), &held(Origin::Table, None, &[N, 2.0]));
        assert_eq!(merged, Merged { filled: true, ..Merged::default() });
        assert_eq!(columns[..2], [1.0, 2.0]);
    }

    #[test]
    fn negative_zero_is_the_same_as_zero() {
        let zeros = [0.0, -0.0].map(|zero| held(Origin::Table, None, &[zero]));
        assert_eq!(both(Kind::Depth, &zeros[0], &zeros[1]).1, Merged::default());
    }

    #[test]
    fn the_better_bar_stands_whichever_came_first() {
        use Origin::{Archive, ArchiveDaily, ArchiveMonthly, Rest, Stream, Table};
        for (better, worse) in [
            // By rank, whatever the trades.
            (bar(Stream, 2.0, 1.0, 1.0), bar(Table, 3.0, 9.0, 9.0)),
            (bar(Archive, 2.0, 1.0, 1.0), bar(Stream, 3.0, 9.0, 9.0)),
            (bar(Rest, 2.0, 1.0, 1.0), bar(Stream, 3.0, 9.0, 9.0)),
            // What is on record: more trades, then the archive.
            (bar(Rest, 2.0, 1.0, 9.0), bar(ArchiveDaily, 3.0, 9.0, 8.0)),
            (bar(ArchiveDaily, 2.0, 1.0, 9.0), bar(Rest, 3.0, 9.0, 8.0)),
            (bar(ArchiveDaily, 2.0, 1.0, 9.0), bar(Rest, 3.0, 9.0, 9.0)),
            (bar(ArchiveMonthly, 2.0, 1.0, 9.0), bar(Rest, 3.0, 9.0, 9.0)),
            (bar(Archive, 2.0, 1.0, N), bar(Rest, 3.0, 9.0, N)),
            // Within the archive and among tables: more trades, then more volume, then the day before the
            // month.
            (bar(ArchiveMonthly, 2.0, 9.0, 9.0), bar(ArchiveDaily, 3.0, 1.0, 1.0)),
            (bar(ArchiveDaily, 2.0, 10.0, 5.0), bar(ArchiveMonthly, 3.0, 4.0, 5.0)),
            (bar(ArchiveDaily, 2.0, 10.0, 5.0), bar(ArchiveMonthly, 3.0, 10.0, 5.0)),
            (bar(ArchiveMonthly, 2.0, 10.0, 5.0), bar(Archive, 3.0, 10.0, 5.0)),
            (bar(Table, 2.0, 0.3, 5.0), bar(Table, 3.0, 10.0, 1.0)),
            (bar(Table, 2.0, 10.0, N), bar(Table, 3.0, 0.3, N)),
        ] {
            for (first, second) in [(&better, &worse), (&worse, &better)] {
                let (columns, merged) = both(Kind::Bars, first, second);
                assert_eq!(columns[3], 2.0, "{first:?} then {second:?}");
                assert_ne!(merged.won | merged.kept, 0);
                assert!(merged.won == 0 || merged.kept == 0, "one bar stands whole: {merged:?}");
            }
        }
    }

    #[test]
    fn of_instants_rest_stands_before_the_archive() {
        let of = |origin, value| held(origin, None, &[value]);
        let (rest, file) = (of(Origin::Rest, 1.0), of(Origin::ArchiveDaily, 2.0));
        for kind in [Kind::OpenInterest, Kind::Funding, Kind::Mark] {
            assert_eq!(both(kind, &rest, &file).0[0], 1.0, "{kind:?}");
            assert_eq!(both(kind, &file, &rest).0[0], 1.0, "{kind:?}");
        }
    }

    #[test]
    fn a_bar_of_rest_that_a_file_repeats_is_corrected_by_rest_and_one_that_a_file_corrects_is_not() {
        let (first, corrected) = (bar(Origin::Rest, 2.0, 1.0, 5.0), bar(Origin::ArchiveDaily, 3.0, 1.0, 5.0));
        let mut same = first.clone();
        let repeated = bar(Origin::ArchiveDaily, 2.0, 1.0, 5.0);
        assert_eq!(merge(Kind::Bars, &mut same, &repeated, Prefer::Better), Merged::default());
        merge(Kind::Bars, &mut same, &bar(Origin::Rest, 4.0, 1.0, 5.0), Prefer::Better);
        assert_eq!(same.columns[3], 4.0);
        let mut other = first.clone();
        merge(Kind::Bars, &mut other, &corrected, Prefer::Better);
        for _ in 0..3 {
            let audit = merge(Kind::Bars, &mut other, &first, Prefer::Better);
            assert_eq!((other.columns[3], audit.won), (3.0, 0), "REST goes on telling the old bar");
        }
        let mut third = bar(Origin::Rest, 5.0, 1.0, 5.0);
        third.columns[1] = 8.0;
        merge(Kind::Bars, &mut other, &third, Prefer::Better);
        assert_eq!(other.columns[1..4], [9.0, 0.5, 3.0], "the file's bar stands whole");
    }

    #[test]
    fn the_later_publication_stands_and_where_nothing_decides_the_later_delivery() {
        for (origin, kind) in [(Origin::ArchiveDaily, Kind::Funding), (Origin::Rest, Kind::Bars)] {
            let of = |made, value| held(origin, Some(made), &[value, 8.0]);
            for (first, second) in [((10, 1.0), (20, 2.0)), ((20, 2.0), (10, 1.0))] {
                let (columns, _) = both(kind, &of(first.0, first.1), &of(second.0, second.1));
                assert_eq!(columns[0], 2.0, "{kind:?}");
            }
        }
        for origin in Origin::ALL {
            let (columns, merged) =
                both(Kind::Depth, &held(origin, None, &[1.0]), &held(origin, None, &[2.0]));
            assert_eq!((columns[0], merged.won), (2.0, 1), "{origin:?}");
        }
    }

    #[test]
    fn the_sum_that_covers_more_of_its_bar_stands_whatever_its_origin() {
        let sum = |origin, usd, coverage| held(origin, None, &[usd, 0.0, 1.0, 0.0, coverage]);
        let (whole, part) = (sum(Origin::Table, 9.0, 1.0), sum(Origin::Rest, 4.0, 0.5));
        for (first, second) in [(&whole, &part), (&part, &whole)] {
            let (columns, _) = both(Kind::Liquidations, first, second);
            assert_eq!((columns[0], columns[4]), (9.0, 1.0));
        }
        let (heard, told) = (sum(Origin::Stream, 9.0, 1.0), sum(Origin::Table, 4.0, 1.0));
        assert_eq!(both(Kind::Liquidations, &heard, &told).0[0], 9.0);
    }

    #[test]
    fn a_preference_outweighs_every_rank() {
        let (rest, table) = (bar(Origin::Rest, 2.0, 1.0, 5.0), bar(Origin::Table, 3.0, 1.0, 1.0));
        for (prefer, close) in [(Prefer::New, 3.0), (Prefer::Stored, 2.0), (Prefer::Better, 2.0)] {
            let mut out = rest.clone();
            merge(Kind::Bars, &mut out, &table, prefer);
            assert_eq!(out.columns[3], close, "{prefer:?}");
        }
    }

    #[test]
    fn values_that_agree_take_the_better_origin_and_a_record_has_the_least_of_its_columns() {
        let mut out = held(Origin::Stream, None, &[1.0, N]);
        let merged = merge(Kind::Depth, &mut out, &held(Origin::Rest, None, &[1.0, N]), Prefer::Better);
        assert_eq!(merged, Merged { confirmed: true, ..Merged::default() });
        assert_eq!(out.provenance(2).0, Origin::Rest);
        let again = merge(Kind::Depth, &mut out, &held(Origin::Stream, None, &[1.0, N]), Prefer::Better);
        assert_eq!(again, Merged::default());
        merge(Kind::Depth, &mut out, &held(Origin::Table, None, &[N, 4.0]), Prefer::Better);
        let (origin, ids) = out.provenance(2);
        assert_eq!((origin, ids[0], ids[1]), (Origin::Table, 16 + Origin::Rest as u32, 16));
    }
}
