//! Files of the public archive, and tables like them, made into raw records.
//!
//! A file is read to its end and checked before anything of it is stored: it is imported whole or not at all. Large
//! files (quotes) stream by; only their sums are kept. Repairs (a
//! label moved to the grid, a 0 that means unknown, an incomplete bar left out) are returned as findings; anything
//! else that does not fit is an error with file, line, field and value.

mod book_depth;
mod book_ticker;
mod content;
mod decimal;
mod error;
mod funding;
mod klines;
mod lake;
mod liquidations;
mod mark;
mod metrics;
mod name;
mod parquet;
mod table;
mod unfinished;

use std::fmt;
use std::path::Path;

pub use book_ticker::QuoteEdge;
pub use content::read_file;
pub use error::ArchiveError;
pub use name::{FileKind, NameFacts, from_path};

use backtestd_core::market::RawPut;
use backtestd_core::market::{Market, Symbol};

/// What is to be read.
#[derive(Clone, Debug)]
pub struct FileSpec {
    /// Kind of file.
    pub kind: FileKind,
    /// Market of bars.
    pub market: Market,
    /// Symbol for files that do not carry one.
    pub symbol: Option<Symbol>,
    /// Width of a kline, when known.
    pub interval_ms: Option<i64>,
    /// Liquidation captures: the user vouches that the recorder was connected from the first to the last order.
    pub continuous: bool,
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

/// A file's content, ready to be stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileContent {
    /// Records by series.
    pub puts: Vec<RawPut>,
    /// Quotes at the ends of a book ticker file, to be joined with those of its neighbours.
    pub edges: Vec<QuoteEdge>,
    /// Repairs and omissions.
    pub findings: Vec<Finding>,
}

/// The symbol of a row: its own column, else the file's.
fn row_symbol(
    row: &table::Row<'_>,
    column: usize,
    named: Option<&Symbol>,
    file: &Path,
) -> Result<Symbol, ArchiveError> {
    let text = row.text(column)?;
    if text.is_empty() {
        return named.cloned().ok_or_else(|| no_symbol(file));
    }
    match named {
        Some(named) if named.as_str() == text => Ok(named.clone()),
        _ => Symbol::new(text).map_err(|e| row.bad(column, text, &e.to_string())),
    }
}

fn no_symbol(file: &Path) -> ArchiveError {
    ArchiveError::Unnamed { file: file.to_owned(), what: "symbol", flag: "--symbol" }
}
