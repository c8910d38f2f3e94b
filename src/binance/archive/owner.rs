//! To which symbol the rows of a table belong.

use std::collections::BTreeMap;
use std::path::Path;

use super::table::Row;
use super::{ArchiveError, FileKind, FileSpec, Finding, no_symbol};
use backtestd_core::market::{Instrument, Symbol};

/// Gives each row to the symbol that its own column names, else to the file's; rows of other contracts, of
/// another market and of symbols that were not asked for are passed over and counted.
pub(super) struct Owner<'a> {
    file: &'a Path,
    spec: &'a FileSpec,
    /// The last text and what it means (its owner, or why it is passed over): neighbouring rows mostly say
    /// the same.
    last: Option<(String, Result<Symbol, String>)>,
    passed: BTreeMap<String, u64>,
}

impl<'a> Owner<'a> {
    pub(super) const fn new(file: &'a Path, spec: &'a FileSpec) -> Self {
        Self { file, spec, last: None, passed: BTreeMap::new() }
    }

    /// The owner of a row; `None` when the row is to be passed over.
    pub(super) fn of(&mut self, row: &Row<'_>, column: usize) -> Result<Option<Symbol>, ArchiveError> {
        let text = row.text(column)?;
        if text.is_empty() {
            return self.spec.symbol.clone().map(Some).ok_or_else(|| no_symbol(self.file));
        }
        if self.last.as_ref().is_none_or(|(last, _)| last != text) {
            let found = Instrument::parse(text).ok_or_else(|| {
                row.bad(column, text, "not a symbol (as in BTCUSDT, BTC/USDT or BTC/USDT:USDT)")
            })?;
            self.last = Some((text.to_owned(), self.judge(text, found)));
        }
        match &self.last {
            Some((_, Ok(symbol))) => Ok(Some(symbol.clone())),
            Some((_, Err(reason))) => {
                match self.passed.get_mut(reason) {
                    Some(rows) => *rows += 1,
                    None => _ = self.passed.insert(reason.clone(), 1),
                }
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn judge(&self, text: &str, found: Instrument) -> Result<Symbol, String> {
        if let Some(problem) = found.problem() {
            return Err(format!("{found}: {problem}"));
        }
        if found.market.is_some_and(|market| market != self.spec.market) {
            return Err(format!("{text}: not of the {} market", self.spec.market));
        }
        let symbol = self.whole(found.symbol);
        match &self.spec.only {
            Some(only) if *only != symbol => Err(format!("{symbol}: not the --symbol {only}")),
            _ => Ok(symbol),
        }
    }

    /// A base coin that stands alone is the file's pair, where that begins with it; captures of liquidations
    /// leave the quote asset out.
    fn whole(&self, symbol: Symbol) -> Symbol {
        if Instrument::quote(&symbol).is_some() {
            return symbol;
        }
        let named = self.spec.symbol.as_ref().filter(|named| {
            Instrument::quote(named).is_some_and(|q| named.as_str().strip_suffix(q) == Some(symbol.as_str()))
        });
        match named {
            Some(named) => named.clone(),
            None if self.spec.kind == FileKind::Liquidations => {
                Symbol::new(&format!("{symbol}USDT")).unwrap_or(symbol)
            }
            None => symbol,
        }
    }

    /// Tells what was passed over.
    pub(super) fn report(self, findings: &mut Vec<Finding>) {
        for (what, rows) in self.passed {
            findings.push(Finding {
                file: self.file.display().to_string(),
                line: None,
                what: format!("{rows} rows passed over, of {what}"),
            });
        }
    }
}
