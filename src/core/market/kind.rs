//! The table of kinds: everything that the program knows of a raw series beside its record type. Store,
//! cleaning, lake, feed and commands read it; none of them has a list of its own. `docs/extend-source.md`
//! adds a row.

use super::record::{Columns, Record, Rows};
use super::{
    Bar, BarIndex, BookDepth, FundingPrint, LiquidationBar, LongShortRatio, MarkBar, Market, OpenInterest,
    QuoteBar, Source, Symbol, Ts,
};

/// What the time of a record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeKey {
    /// The slot that it belongs to: a bar number.
    Bar,
    /// The instant that it describes: milliseconds.
    Instant,
}

/// How a running daemon gets the newest records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// Bars: by stream and REST, and a tick waits for them.
    Bars,
    /// From a stream, summed up bar by bar.
    Stream,
    /// By a request after each bar.
    EachBar,
    /// By a request after the bars around a whole hour.
    Hourly,
    /// Not at all: from archive files only.
    Never,
}

/// A row of the table, beside name and record type.
#[derive(Clone, Copy, Debug)]
pub struct KindFacts {
    /// Stable number in stored keys: never reused.
    pub code: u8,
    /// What the time of a record means.
    pub time: TimeKey,
    /// Folder of its files under `raw/<market>/<symbol>` of the lake; the last part names the schema of the
    /// table.
    pub lake: &'static str,
    /// How a running daemon gets it.
    pub live: Live,
    /// The column that says which share of a bar was observed; the others are unknown where it is too small.
    pub coverage: Option<Source>,
    /// Sources that cleaning makes of the records beside those of their columns.
    pub derived: &'static [Source],
    /// How many of the last columns it gained later: stored records lack them where they are unknown.
    pub later_columns: usize,
}

/// Facts of a kind that has nothing special.
const PLAIN: KindFacts = KindFacts {
    code: 0,
    time: TimeKey::Bar,
    lake: "",
    live: Live::Never,
    coverage: None,
    derived: &[],
    later_columns: 0,
};

macro_rules! kinds {
    (
        $(#[$bars_doc:meta])* Bars = $bars:expr;
        $($(#[$doc:meta])* $kind:ident($record:ident) $field:ident = $facts:expr;)*
    ) => {
        /// What a raw series records. Each kind is a keyspace.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $(#[$bars_doc])*
            Bars,
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[Self::Bars, $(Self::$kind),*];

            /// Its row of the table.
            #[must_use]
            pub const fn facts(self) -> KindFacts {
                match self {
                    Self::Bars => $bars,
                    $(Self::$kind => $facts,)*
                }
            }

            /// The name of the keyspace, in messages and settings too.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Bars => "bars",
                    $(Self::$kind => stringify!($field),)*
                }
            }

            /// The names of the stored columns.
            #[must_use]
            pub const fn columns(self) -> &'static [&'static str] {
                match self {
                    Self::Bars => <Bar as Record>::NAMES,
                    $(Self::$kind => <$record as Record>::NAMES,)*
                }
            }

            /// The source that each stored column feeds, in column order (of bars: those of the perpetual).
            /// The last columns may feed none.
            #[must_use]
            pub const fn sources(self) -> &'static [Source] {
                match self {
                    Self::Bars => <Bar as Record>::SOURCES,
                    $(Self::$kind => <$record as Record>::SOURCES,)*
                }
            }
        }

        /// Records of one series, any kind.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each variant is the record type that it names")]
        pub enum Records {
            Bars(Market, Vec<Bar>),
            $($kind(Vec<$record>),)*
        }

        impl Records {
            /// What they record.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self {
                    Self::Bars(..) => Kind::Bars,
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            /// Records of this kind from times and columns.
            #[must_use]
            pub fn of(kind: Kind, market: Market, rows: &[(i64, Columns)]) -> Self {
                fn list<R: Record>(rows: &[(i64, Columns)]) -> Vec<R> {
                    rows.iter().map(|(time, columns)| R::from_columns(*time, columns)).collect()
                }
                match kind {
                    Kind::Bars => Self::Bars(market, list(rows)),
                    $(Kind::$kind => Self::$kind(list(rows)),)*
                }
            }

            /// The records, whatever their type.
            #[must_use]
            pub fn rows(&self) -> &dyn Rows {
                match self {
                    Self::Bars(_, list) => list,
                    $(Self::$kind(list) => list,)*
                }
            }
        }

        $(impl From<Vec<$record>> for Records {
            fn from(list: Vec<$record>) -> Self {
                Self::$kind(list)
            }
        })*

        /// The raw log of one symbol over a stretch of bars. Every list is sorted by time and free of
        /// duplicates.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct RawSymbol {
            /// Perpetual bars. A slot without a bar is a gap.
            pub perp: Vec<Bar>,
            /// Spot bars of the same base and quote.
            pub spot: Vec<Bar>,
            $($(#[$doc])* pub $field: Vec<$record>,)*
        }

        impl RawSymbol {
            /// The list of a kind; of bars those of the perpetual.
            #[must_use]
            pub fn rows(&self, kind: Kind) -> &dyn Rows {
                match kind {
                    Kind::Bars => &self.perp,
                    $(Kind::$kind => &self.$field,)*
                }
            }

            /// Every list, in the order of the table, spot bars behind those of the perpetual.
            #[must_use]
            pub fn into_records(self) -> Vec<Records> {
                vec![
                    Records::Bars(Market::Perp, self.perp),
                    Records::Bars(Market::Spot, self.spot),
                    $(Records::$kind(self.$field),)*
                ]
            }

            /// Reads every list from a log.
            ///
            /// # Errors
            /// The first one of the log.
            pub fn read<L: Log>(log: &L) -> Result<Self, L::Error> {
                Ok(Self {
                    perp: log.list(Market::Perp)?,
                    spot: log.list(Market::Spot)?,
                    $($field: log.list(Market::Perp)?,)*
                })
            }

            /// Puts records at instants that `is_wanted` (kind and time) of an earlier stretch in front of
            /// the lists.
            pub fn prepend_instants(&mut self, earlier: Self, is_wanted: impl Fn(Kind, Ts) -> bool) {
                $(if !Kind::$kind.is_bar_like() {
                    let wanted = earlier.$field.into_iter().filter(|r| is_wanted(Kind::$kind, Ts(r.time())));
                    self.$field.splice(0..0, wanted);
                })*
            }
        }
    };
}

kinds! {
    /// 5-minute bars, perp or spot.
    Bars = KindFacts { code: 1, lake: "5m/ohlcv", live: Live::Bars, ..PLAIN };
    /// Funding settlements, one for each interval.
    Funding(FundingPrint) funding = KindFacts {
        code: 2,
        time: TimeKey::Instant,
        lake: "funding",
        live: Live::Hourly,
        derived: &[Source::IsFundingPrint, Source::FundingIntervalH],
        // The rate of a special settlement.
        later_columns: 1,
        ..PLAIN
    };
    /// Open interest snapshots.
    OpenInterest(OpenInterest) open_interest =
        KindFacts { code: 3, time: TimeKey::Instant, lake: "open_interest", live: Live::EachBar, ..PLAIN };
    /// Mark, index, premium and predicted funding per bar.
    Mark(MarkBar) mark = KindFacts { code: 4, lake: "mark_index", live: Live::Stream, ..PLAIN };
    /// Liquidations per bar.
    Liquidations(LiquidationBar) liquidations = KindFacts {
        code: 5,
        lake: "liquidations",
        live: Live::Stream,
        coverage: Some(Source::LiqCoverage),
        ..PLAIN
    };
    /// Top of book per bar.
    Quotes(QuoteBar) quotes = KindFacts {
        code: 6,
        lake: "book_ticker_5m",
        live: Live::Stream,
        coverage: Some(Source::TobCoverage),
        ..PLAIN
    };
    /// Snapshots of what rests near the mid price.
    Depth(BookDepth) depth =
        KindFacts { code: 7, time: TimeKey::Instant, lake: "book_depth", live: Live::Never, ..PLAIN };
    /// Long/short ratios of accounts, positions and takers.
    LongShortRatio(LongShortRatio) long_short_ratio =
        KindFacts { code: 8, time: TimeKey::Instant, lake: "long_short_ratio", live: Live::EachBar, ..PLAIN };
}

/// Where [`RawSymbol::read`] gets its lists from.
pub trait Log {
    /// Why a list cannot be read.
    type Error;

    /// The list of a kind, ascending.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list<R: Record>(&self, market: Market) -> Result<Vec<R>, Self::Error>;
}

impl Kind {
    /// The kind of a stored number; `None` for a number that no kind has.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.facts().code == code)
    }

    /// The kind of a name; `None` for a name that no kind has.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Position in [`Kind::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether records are keyed by bar number rather than by an instant.
    #[must_use]
    pub const fn is_bar_like(self) -> bool {
        matches!(self.facts().time, TimeKey::Bar)
    }

    /// The instant that a key's time stands for: a bar's open, or the instant itself.
    #[must_use]
    pub const fn instant(self, time: i64) -> Ts {
        if self.is_bar_like() { BarIndex(time).open() } else { Ts(time) }
    }
}

/// Names a raw series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    /// What it records.
    pub kind: Kind,
    /// Market; everything but bars is [`Market::Perp`].
    pub market: Market,
    /// Whose series it is.
    pub symbol: Symbol,
}

impl Records {
    /// The first row that may depend on them. A record at an instant is first read by the bar that closes
    /// when the lag has passed; on the boundary, by the bar before.
    #[must_use]
    pub fn first_row(&self, lag_ms: i64) -> Option<BarIndex> {
        let first = self.rows().first()?;
        Some(if self.kind().is_bar_like() { BarIndex(first) } else { Ts(first + lag_ms - 1).bar() })
    }
}

/// Records to store for a symbol.
#[derive(Clone, Debug, PartialEq)]
pub struct RawPut {
    /// Whose records they are.
    pub symbol: Symbol,
    /// Its records, any order; of two for the same place the later in the list wins.
    pub records: Records,
}

impl RawPut {
    /// The series the records belong to.
    #[must_use]
    pub fn series(&self) -> SeriesKey {
        let market = match &self.records {
            Records::Bars(market, _) => *market,
            _ => Market::Perp,
        };
        SeriesKey { kind: self.records.kind(), market, symbol: self.symbol.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::MAX_COLUMNS;
    use super::*;

    #[test]
    fn codes_names_and_folders_are_the_kinds_own_and_stay_what_they_are() {
        let rows: Vec<_> = Kind::ALL.iter().map(|k| (k.facts().code, k.name(), k.facts().lake)).collect();
        assert_eq!(
            rows[..7],
            [
                (1, "bars", "5m/ohlcv"),
                (2, "funding", "funding"),
                (3, "open_interest", "open_interest"),
                (4, "mark", "mark_index"),
                (5, "liquidations", "liquidations"),
                (6, "quotes", "book_ticker_5m"),
                (7, "depth", "book_depth"),
            ]
        );
        let distinct = |of: fn(&Kind) -> String| Kind::ALL.iter().map(of).collect::<BTreeSet<_>>().len();
        assert_eq!(distinct(|k| k.facts().code.to_string()), Kind::ALL.len());
        assert_eq!(distinct(|k| k.name().to_owned()), Kind::ALL.len());
        assert_eq!(distinct(|k| k.facts().lake.to_owned()), Kind::ALL.len());
        for (position, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!((kind.index(), Kind::from_code(kind.facts().code)), (position, Some(*kind)));
            assert_eq!(Kind::from_name(kind.name()), Some(*kind));
        }
    }

    #[test]
    fn every_column_but_a_special_settlement_feeds_a_source_of_its_own() {
        let mut seen = BTreeSet::new();
        for kind in Kind::ALL {
            let beside = if *kind == Kind::Funding { 1 } else { 0 };
            assert_eq!(kind.columns().len(), kind.sources().len() + beside, "{}", kind.name());
            assert!(kind.columns().len() <= MAX_COLUMNS, "{}", kind.name());
            assert!(kind.facts().later_columns <= kind.columns().len(), "{}", kind.name());
            assert!(kind.sources().iter().all(|source| seen.insert(*source)), "{}", kind.name());
            assert!(kind.facts().coverage.is_none_or(|c| kind.is_bar_like() && kind.sources().contains(&c)));
        }
    }

    #[test]
    fn a_record_at_an_instant_is_first_read_when_its_lag_has_passed() {
        let at = |ms: i64| {
            let open_interest = OpenInterest { ts: Ts(ms), contracts: 1.0, value: 1.0 };
            Records::from(vec![open_interest])
        };
        let close = BarIndex(100).close().0;
        assert_eq!(at(close).first_row(0), Some(BarIndex(100)));
        assert_eq!(at(close).first_row(60_000), Some(BarIndex(101)));
        assert_eq!(at(close - 60_000).first_row(60_000), Some(BarIndex(100)));
        assert_eq!(Records::of(Kind::Quotes, Market::Perp, &[]).first_row(0), None);
    }
}
