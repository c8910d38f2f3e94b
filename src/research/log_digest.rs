//! What a run reads of the log, as hashes: other data, other runs, and other stages.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::ResearchError;
use super::collect::{CHUNK_ROWS, Start, chunk_rows, whole_months_end};
use super::request::Request;
use backtestd_core::market::{Kind, RawBlock, Rows, Symbol, hex};
use backtestd_store::Store;

/// Hashes of what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogHashes {
    /// Of every record of the history, all symbols together.
    pub data: [u8; 32],
    /// The same by symbol (`log/BTCUSDT`), and what was read before the history and after the range
    /// (`log/before`, `log/after`), as hex.
    pub parts: BTreeMap<String, String>,
}

/// Takes the records as they are read.
#[derive(Debug)]
pub(super) struct LogDigest {
    data: Sha256,
    symbols: Vec<(Symbol, Sha256)>,
    before: Sha256,
    after: Sha256,
}

impl LogDigest {
    /// Nothing read yet. Blocks hold the symbols in this order.
    pub(super) fn new(symbols: &[Symbol]) -> Self {
        let symbols = symbols.iter().map(|symbol| (symbol.clone(), Sha256::new())).collect();
        Self { data: Sha256::new(), symbols, before: Sha256::new(), after: Sha256::new() }
    }

    /// The next stretch of the history.
    pub(super) fn add(&mut self, raw: &RawBlock) {
        for (at, (_, own)) in self.symbols.iter_mut().enumerate() {
            let bytes = bytes_of(raw, at);
            own.update(&bytes);
            self.data.update(&bytes);
        }
    }

    /// What holds on the first rows.
    pub(super) fn before(&mut self, raw: &RawBlock) {
        (0..self.symbols.len()).for_each(|at| self.before.update(bytes_of(raw, at)));
    }

    /// What follows the range and belongs to its last month.
    pub(super) fn after(&mut self, raw: &RawBlock) {
        (0..self.symbols.len()).for_each(|at| self.after.update(bytes_of(raw, at)));
    }

    /// The hashes of all that was read.
    pub(super) fn finish(self) -> LogHashes {
        let own = self.symbols.into_iter().map(|(symbol, sha)| (format!("log/{symbol}"), sha));
        let around = [("log/before".to_owned(), self.before), ("log/after".to_owned(), self.after)];
        let parts = own.chain(around).map(|(name, sha)| (name, hex(&sha.finalize()))).collect();
        LogHashes { data: self.data.finalize().into(), parts }
    }
}

/// The records of one symbol of a stretch.
fn bytes_of(raw: &RawBlock, at: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(symbol) = raw.symbols.get(at) else { return bytes };
    let spot: &dyn Rows = &symbol.spot;
    for rows in Kind::ALL.iter().map(|kind| symbol.rows(*kind)).chain([spot]) {
        bytes.extend((rows.len() as u64).to_le_bytes());
        rows.each(&mut |time, columns, _| {
            bytes.extend(time.to_le_bytes());
            bytes.extend(columns.iter().flat_map(|value| value.to_le_bytes()));
        });
    }
    bytes
}

/// Reads everything that the pipeline of a request would read, and nothing else: the hashes are those that it
/// would find.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn read_log(store: &Store, request: &Request, start: &Start) -> Result<LogHashes, ResearchError> {
    let (symbols, mut log) = (&start.symbols, LogDigest::new(&start.symbols));
    log.before(&store.lead_in(symbols, start.history_from, start.pipeline.lead_in_rows())?);
    let mut from = start.history_from;
    while from < request.end {
        let rows = chunk_rows(request, &[], from);
        log.add(&store.raw(symbols, from, rows)?);
        from = from + rows as i64;
    }
    if request.write_features {
        let end = whole_months_end(store, &request.symbols, request.end)?;
        while from < end {
            let rows = CHUNK_ROWS.min((end - from) as usize);
            log.after(&store.raw(symbols, from, rows)?);
            from = from + rows as i64;
        }
    }
    Ok(log.finish())
}
