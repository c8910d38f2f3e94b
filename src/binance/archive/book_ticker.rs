//! Best quotes (`bookTicker`), summed up over 5-minute bars as they stream by: a day of them is gigabytes.
//!
//! Rows need not be in order, but a row more than [`REACH_MS`] behind the newest is refused: its bar is
//! summed up by then. The bars at both ends of a file may go on in a neighbouring file, so their quotes come
//! along as [`QuoteEdge`]s.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::owner::Owner;
use super::table::{Column, Row, Schema, Table};
use super::{ArchiveError, FileSpec, Finding};
use crate::aggregate::{OLDEST_QUOTE_MS, Quote, QuoteSeconds};
use backtestd_core::market::{BarIndex, DAY_MS, QuoteBar, Symbol, Ts};

const UPDATE_ID: usize = 0;
const BID: usize = 1;
const ASK_QUANTITY: usize = 4;
const TIME: usize = 5;
const SYMBOL: usize = 6;

const SCHEMA: Schema<'static> = Schema {
    kind: "book_ticker",
    columns: COLUMNS,
    ignored: &["event_time", "source", "exchange"],
    more: None,
};

const COLUMNS: &[Column] = &[
    Column { name: "update_id", place: 0, aliases: &["update_id", "u"], required: true },
    Column {
        name: "best_bid_price",
        place: 1,
        aliases: &["best_bid_price", "bid_price", "b"],
        required: true,
    },
    Column { name: "best_bid_qty", place: 2, aliases: &["best_bid_qty", "bid_qty"], required: true },
    Column {
        name: "best_ask_price",
        place: 3,
        aliases: &["best_ask_price", "ask_price", "a"],
        required: true,
    },
    Column { name: "best_ask_qty", place: 4, aliases: &["best_ask_qty", "ask_qty"], required: true },
    // The stream is summed up by the same time.
    Column {
        name: "transaction_time",
        place: 5,
        aliases: &["transaction_time", "event_time", "timestamp"],
        required: true,
    },
    Column { name: "symbol", place: usize::MAX, aliases: &["symbol"], required: false },
];

/// How far behind the newest row a row may come.
const REACH_MS: i64 = 3_600_000;

/// Files cover a month at most: a longer step between two rows is a broken time, not silence.
const LONGEST_SILENCE_MS: i64 = 32 * DAY_MS;

/// The quotes around a bar that lies at an end of a file: what a neighbouring file needs to sum the bar up
/// anew.
#[derive(Clone, Debug, PartialEq)]
pub struct QuoteEdge {
    /// The contract that is quoted.
    pub symbol: Symbol,
    /// The bar at the edge of the file.
    pub bar: BarIndex,
    /// Its quotes and those just before it.
    pub quotes: QuoteSeconds,
}

/// What a file comes to.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    /// Every bar from the first to the last quote.
    pub bars: Vec<QuoteBar>,
    /// The first bar, the last one, and the one after it.
    pub edges: Vec<QuoteEdge>,
}

/// Reads a file in constant memory, by symbol.
pub(super) fn read(
    file: &Path,
    input: impl Read,
    spec: &FileSpec,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<Symbol, Quotes>, ArchiveError> {
    let mut table = Table::open(file, input, &SCHEMA, findings)?;
    let mut owner = Owner::new(file, spec);
    let mut builders: BTreeMap<Symbol, Builder> = BTreeMap::new();
    let (mut unusable, mut backwards) = (0_u64, 0_u64);
    while let Some(row) = table.next_row()? {
        let Some(symbol) = owner.of(&row, SYMBOL)? else { continue };
        let quote = quote(&row)?;
        let builder = match builders.get_mut(&symbol) {
            Some(builder) => builder,
            None => builders.entry(symbol.clone()).or_insert_with(|| Builder::new(symbol)),
        };
        unusable += u64::from(!quote.is_valid());
        backwards += u64::from(quote.update_id < builder.last_id);
        builder.last_id = quote.update_id;
        if quote.ts.0 < builder.newest.0.saturating_sub(REACH_MS) {
            return Err(row.bad(
                TIME,
                row.text(TIME)?,
                "more than an hour before a row above it; sort the file by transaction_time and import it again",
            ));
        }
        if builder.open.is_some() && quote.ts.0 > builder.newest.0 + LONGEST_SILENCE_MS {
            return Err(row.bad(TIME, row.text(TIME)?, "more than a month after every row above it"));
        }
        builder.take(quote);
    }
    owner.report(findings);
    for (count, what) in [
        (unusable, "crossed or one-sided quotes, no snapshot is taken of them"),
        (backwards, "rows whose update_id is below the row's before, ordered by time"),
    ] {
        if count > 0 {
            let what = format!("{count} {what}");
            findings.push(Finding { file: file.display().to_string(), line: None, what });
        }
    }
    Ok(builders.into_iter().map(|(symbol, builder)| (symbol, builder.end())).collect())
}

fn quote(row: &Row<'_>) -> Result<Quote, ArchiveError> {
    let id = row.text(UPDATE_ID)?;
    let update_id = id.parse().map_err(|_| row.bad(UPDATE_ID, id, "not a whole number"))?;
    let mut values = [0.0; 4];
    for (value, column) in values.iter_mut().zip(BID..=ASK_QUANTITY) {
        *value = row.number(column)?;
        if value.is_nan() || *value < 0.0 {
            return Err(row.bad(column, row.text(column)?, "a quote needs a number of 0 or more"));
        }
    }
    let [bid, bid_quantity, ask, ask_quantity] = values;
    Ok(Quote { ts: row.time(TIME)?, update_id, bid, bid_quantity, ask, ask_quantity })
}

/// Bars that may still get rows.
struct Builder {
    symbol: Symbol,
    last_id: i64,
    seconds: QuoteSeconds,
    /// The oldest bar that is not summed up.
    open: Option<BarIndex>,
    newest: Ts,
    out: Quotes,
}

impl Builder {
    fn new(symbol: Symbol) -> Self {
        Self {
            symbol,
            last_id: i64::MIN,
            seconds: QuoteSeconds::default(),
            open: None,
            newest: Ts(i64::MIN),
            out: Quotes::default(),
        }
    }

    fn take(&mut self, quote: Quote) {
        let bar = quote.ts.bar();
        let is_untouched = self.out.bars.is_empty();
        let open = *self.open.get_or_insert(bar);
        if is_untouched && bar < open {
            self.open = Some(bar);
        }
        self.seconds.observe(quote);
        self.newest = self.newest.max(quote.ts);
        while self.open.is_some_and(|open| open.close().0 + REACH_MS <= self.newest.0) {
            self.finish_bar();
        }
    }

    fn finish_bar(&mut self) {
        let Some(bar) = self.open else { return };
        if self.out.bars.is_empty() {
            self.edge(bar);
        }
        self.out.bars.push(self.seconds.summarise(bar, OLDEST_QUOTE_MS));
        self.seconds.forget_through(bar, OLDEST_QUOTE_MS);
        self.open = Some(bar.next());
    }

    fn end(mut self) -> Quotes {
        let last = self.newest.bar();
        while self.open.is_some_and(|open| open < last) {
            self.finish_bar();
        }
        if self.open == Some(last) {
            let carried = self.seconds.around(last.next(), OLDEST_QUOTE_MS);
            if !self.out.bars.is_empty() {
                self.edge(last);
            }
            self.finish_bar();
            self.out.edges.push(QuoteEdge { symbol: self.symbol.clone(), bar: last.next(), quotes: carried });
        }
        self.out
    }

    fn edge(&mut self, bar: BarIndex) {
        let quotes = self.seconds.around(bar, OLDEST_QUOTE_MS);
        self.out.edges.push(QuoteEdge { symbol: self.symbol.clone(), bar, quotes });
    }
}
