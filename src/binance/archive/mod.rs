//! Files of the public archive, and tables like them, made into raw records.
//!
//! A file is read to its end and checked before anything of it is stored: it is imported whole or not at all.
//! Large files (quotes) stream by; only their sums are kept. Repairs (a label moved to the grid, a 0 that
//! means unknown, an incomplete bar left out) are returned as findings; anything else that does not fit is an
//! error with file, line, field and value.

mod book_depth;
mod book_ticker;
mod checksum;
mod content;
mod decimal;
mod error;
mod fetch;
mod frame;
mod funding;
mod kline_rows;
mod klines;
mod lake;
mod layout;
mod liquidations;
mod mark;
mod members;
mod metrics;
mod name;
mod orders;
mod owner;
mod parts;
pub mod plan;
mod table;
mod unfinished;

use std::fmt;
use std::path::Path;

pub use book_ticker::QuoteEdge;
pub use content::read_file;
pub use error::ArchiveError;
pub use fetch::{ArchiveHost, FetchError, Fetched, Had};
pub use members::facts_of_members;
pub use name::{Fact, FileKind, NameFacts, from_path, origin_of};
pub use orders::BarOrders;
pub use parts::BarParts;
pub use unfinished::{Certainty, Suspect};

use backtestd_core::market::{Market, Origin, RawPut, SeriesKey, Symbol, Ts};

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// Kind of file.
    pub kind: FileKind,
    /// Market of bars.
    pub market: Market,
    /// Whether nothing said the market: what the content shows to be of another one is refused.
    pub market_is_assumed: bool,
    /// Whether the user said the kind: then a member of an archive that is of another one is passed over.
    pub kind_is_given: bool,
    /// Symbol of rows that do not name one.
    pub symbol: Option<Symbol>,
    /// The only symbol that is wanted.
    pub only: Option<Symbol>,
    /// Width of a kline, when known.
    pub interval_ms: Option<i64>,
    /// Liquidation captures: the user vouches that the recorder was connected from the first to the last
    /// order.
    pub continuous: bool,
}

impl FileSpec {
    /// A kind without more knowledge, of the perp market.
    #[must_use]
    pub const fn of(kind: FileKind) -> Self {
        Self {
            kind,
            market: Market::Perp,
            market_is_assumed: false,
            kind_is_given: false,
            symbol: None,
            only: None,
            interval_ms: None,
            continuous: false,
        }
    }
}

/// Something that was repaired or left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path of the file, as text.
    pub file: String,
    /// Line, when one is to blame.
    pub line: Option<u64>,
    /// What was found and done.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Where a record of one of the lake's own tables came from, as the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// Kind of source.
    pub origin: Origin,
    /// When the source was made.
    pub made: Option<Ts>,
}

/// What a file is, as far as it decides between its values and those of others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// When the file was made, by its own account: the newest date of a zip's members.
    pub made: Option<Ts>,
    /// Where records came from before: bar numbers or milliseconds by kind, in order.
    pub told: Vec<(SeriesKey, Vec<(i64, Told)>)>,
}

/// A file's content, ready to be stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileContent {
    /// Records by series.
    pub puts: Vec<RawPut>,
    /// Quotes at the ends of a book ticker file, to be joined with those of its neighbours.
    pub edges: Vec<QuoteEdge>,
    /// Parts of 5-minute bars of which this file lacks others, by symbol and market.
    pub parts: Vec<(Symbol, Market, BarParts)>,
    /// Liquidation orders behind the sums: another capture may hold more of the same bars.
    pub orders: Vec<(Symbol, BarOrders)>,
    /// What it says of where it came from.
    pub provenance: Provenance,
    /// Bars that look as if they had been stored before they closed. They are still among `puts`.
    pub suspects: Vec<Suspect>,
    /// Repairs and omissions.
    pub findings: Vec<Finding>,
}

impl FileContent {
    /// Whether the file held nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.puts.iter().all(|put| put.records.rows().is_empty())
            && self.parts.is_empty()
            && self.findings.is_empty()
    }
}

fn no_symbol(file: &Path) -> ArchiveError {
    ArchiveError::Unnamed { file: file.to_owned(), what: "symbol", flag: "--symbol" }
}
