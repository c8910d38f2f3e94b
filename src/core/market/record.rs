//! What every record of the raw log has: a kind, a time, columns. The types are in `raw`, the table of kinds
//! in `kind`.

use super::{Kind, Source};

/// The widest record.
pub const MAX_COLUMNS: usize = 9;
/// Column values of a record, the first of them used: as many as its kind has names.
pub type Columns = [f64; MAX_COLUMNS];

/// A record of the raw log.
pub trait Record: Copy + Send + Sync + 'static {
    /// What it records.
    const KIND: Kind;
    /// Names of its columns, in the store and in the lake.
    const NAMES: &'static [&'static str];
    /// The source that each column feeds, in column order (of bars: those of the perpetual). The last columns
    /// may feed none.
    const SOURCES: &'static [Source];

    /// Bar number or milliseconds, by kind.
    fn time(&self) -> i64;
    /// The values in the order of [`Record::NAMES`], NaN behind them.
    fn columns(&self) -> Columns;
    /// The inverse of [`Record::time`] and [`Record::columns`].
    fn from_columns(time: i64, columns: &Columns) -> Self;

    /// Whether it says anything. A record at an instant that does not is no record: the one before it is held
    /// on.
    fn is_known(&self) -> bool {
        self.columns().iter().any(|v| !v.is_nan())
    }
}

/// Pads with NaN.
pub(super) fn wide<const N: usize>(values: [f64; N]) -> Columns {
    let mut out = [f64::NAN; MAX_COLUMNS];
    out[..N].copy_from_slice(&values);
    out
}

/// Implements [`Record`] for a struct: its kind, its time field (`bar: BarIndex` or `ts: Ts`), and for each
/// value the field, the column's name and the source that it feeds; `beside`, the columns that feed none.
/// `known by` names the field without which a record at an instant says nothing; by default any known value
/// will do.
macro_rules! record {
    ($type:ident: $kind:ident, $key:ident: $time:ident {
        $($field:ident $name:literal $source:ident,)+
    } $(beside { $($extra:ident $extra_name:literal,)+ })? $(known by $by:ident)?) => {
        impl Record for $type {
            const KIND: Kind = Kind::$kind;
            const NAMES: &'static [&'static str] = &[$($name,)+ $($($extra_name,)+)?];
            const SOURCES: &'static [Source] = &[$(Source::$source),+];
            fn time(&self) -> i64 {
                self.$key.0
            }
            fn columns(&self) -> Columns {
                wide([$(self.$field,)+ $($(self.$extra,)+)?])
            }
            fn from_columns(time: i64, columns: &Columns) -> Self {
                let [$($field,)+ $($($extra,)+)? ..] = *columns;
                Self { $key: $time(time), $($field,)+ $($($extra,)+)? }
            }
            $(fn is_known(&self) -> bool {
                !self.$by.is_nan()
            })?
        }
    };
}
pub(super) use record;

/// Records of one series, whatever their type.
pub trait Rows {
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Time and columns of each, in the order of the list; of records that say nothing too.
    fn each(&self, take: &mut dyn FnMut(i64, &Columns, bool));
    /// The earliest time of any of them.
    fn first(&self) -> Option<i64>;
    /// Whether time never falls, or, `strictly`, always rises.
    fn is_ordered(&self, strictly: bool) -> bool;
    /// Writes a column onto slots that begin with number `first`: `out[i]` is the value at time `first + i`.
    fn spread(&self, column: usize, first: i64, out: &mut [f64]);
}

impl<R: Record> Rows for Vec<R> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn each(&self, take: &mut dyn FnMut(i64, &Columns, bool)) {
        for record in self {
            take(record.time(), &record.columns(), record.is_known());
        }
    }

    fn first(&self) -> Option<i64> {
        self.iter().map(Record::time).min()
    }

    fn is_ordered(&self, strictly: bool) -> bool {
        self.is_sorted_by(|a, b| a.time() < b.time() || !strictly && a.time() == b.time())
    }

    fn spread(&self, column: usize, first: i64, out: &mut [f64]) {
        for record in self {
            let slot = usize::try_from(record.time() - first).ok();
            if let Some(value) = slot.and_then(|slot| out.get_mut(slot)) {
                *value = record.columns()[column];
            }
        }
    }
}
